//! What was decided and waits for the disk, cut into batches that fit one append each.

use std::{collections::VecDeque, fmt, sync::Arc};

use provost_kernel::{EntityKey, State, state::Entity};
use provost_protocol::envelope::Envelope;
use provost_store::Stamped;

use super::{TenantError, message::Executed};

/// What is called with the outcome, once it is durable.
pub(super) type Done = Box<dyn FnOnce(Result<Executed, TenantError>)>;

/// Something decided, whose answer waits for its group.
pub(super) struct Waiting {
    /// What it is answered with.
    pub(super) envelopes: Vec<Arc<Envelope>>,
    /// What is to be written of it: of a repetition nothing.
    pub(super) fresh: Vec<Stamped>,
    pub(super) repeated: bool,
    pub(super) done: Done,
}

/// What travels in one append.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) answers: Vec<Waiting>,
    /// The state after it and its last sequence, where more was decided since.
    pub(super) sealed: Option<(State, u64)>,
    events: usize,
    bytes: usize,
}

/// All that waits, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    batches: VecDeque<Batch>,
    commands: usize,
    bytes: usize,
}

impl Waiting {
    /// Answers: it is durable.
    pub(super) fn finish(self, committed: &State) {
        (self.done)(Ok(Executed {
            events: self.envelopes,
            state: committed.clone(),
            repeated: self.repeated,
        }));
    }

    fn bytes(&self) -> usize {
        bytes_of(&self.fresh)
    }
}

impl Queue {
    /// Whether no more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.commands >= WAITING_MAX || self.bytes >= WAITING_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether these events still fit the last batch; where they do not, it is to be sealed.
    pub(super) fn fits(&self, events: &[Stamped]) -> bool {
        self.batches.back().is_none_or(|last| {
            last.sealed.is_some()
                || last.events == 0
                || (last.events + events.len() <= BATCH_EVENTS_MAX
                    && last.bytes + bytes_of(events) <= BATCH_BYTES_MAX)
        })
    }

    /// Closes the last batch with the state after it.
    pub(super) fn seal(&mut self, after: State, after_seq: u64) {
        if let Some(last) = self.batches.back_mut() {
            last.sealed = Some((after, after_seq));
        }
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        if self.batches.back().is_none_or(|last| last.sealed.is_some()) {
            self.batches.push_back(Batch::default());
        }
        self.commands += 1;
        self.bytes += waiting.bytes();
        if let Some(last) = self.batches.back_mut() {
            last.events += waiting.fresh.len();
            last.bytes += waiting.bytes();
            last.answers.push(waiting);
        }
    }

    /// The oldest batch.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.commands -= batch.answers.len();
        self.bytes -= batch.bytes;
        Some(batch)
    }

    /// Everything, when none of it will be written.
    pub(super) fn take_all(&mut self) -> Vec<Waiting> {
        let all = std::mem::take(self).batches;
        all.into_iter().flat_map(|batch| batch.answers).collect()
    }

    /// An entity was read: it stands in every state that waits.
    pub(super) fn load(&mut self, key: &EntityKey, entity: &Arc<Entity>) {
        for (after, _) in self.batches.iter_mut().filter_map(|b| b.sealed.as_mut()) {
            after.load(key.clone(), Arc::clone(entity));
        }
    }
}

fn bytes_of(events: &[Stamped]) -> usize {
    events.iter().map(|stamped| stamped.bytes.len()).sum()
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("events", &self.envelopes.len())
            .finish_non_exhaustive()
    }
}

/// Commands decided while one group is under way (architecture.md, section 3).
const WAITING_MAX: usize = 256;

/// As much as the journal's own queue holds; a tenant alone never fills more than that.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Half of what one group of the journal may hold: an append is one group or none.
const BATCH_EVENTS_MAX: usize = 4_096;

/// Half of what one group of the journal may hold; one call of audit events is below it.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
