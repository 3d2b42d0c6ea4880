//! A model of the state: what the store keeps in sled, written behind the journal, each group with
//! its watermark in one step. A crash takes any suffix of the steps, or everything.

use provost_journal::{Position, Reader};
use provost_kernel::{At, State, apply};
use provost_protocol::envelope::Envelope;
use provost_store::merkle::{Frontier, Hash, leaf_hash, node_hash};

use super::{
    oracle::{Failure, wrong},
    random::Random,
    tally::{Count, Tally},
    workload::Workload,
};

/// What is applied of one tenant's log.
#[derive(Debug, Clone)]
struct Applied {
    state: State,
    seq: u64,
    frontier: Frontier,
}

/// The state of all tenants, and how it came to be.
#[derive(Debug)]
pub(crate) struct Folded {
    tenants: Vec<Applied>,
    watermark: Option<Position>,
    steps: Vec<Step>,
}

/// What one step replaced.
#[derive(Debug)]
struct Step {
    before: Vec<(usize, Applied)>,
    watermark: Option<Position>,
}

/// Why a replay ended early.
#[derive(Debug)]
pub(crate) enum NotReplayed {
    /// The disk failed: the process ends and starts again.
    Disk,
    Failed(Failure),
}

impl Folded {
    pub(crate) fn new(workload: &Workload) -> Self {
        let tenants = workload.tenants.iter();
        let empty = |id| Applied {
            state: State::new(id, 1),
            seq: 0,
            frontier: Frontier::default(),
        };
        Self {
            tenants: tenants
                .map(|tenant| empty(tenant.log.state.tenant_id()))
                .collect(),
            watermark: None,
            steps: Vec::new(),
        }
    }

    /// Applies one durable group, in one step.
    pub(crate) fn take_in<'a>(
        &mut self,
        end: Position,
        events: impl Iterator<Item = (&'a Envelope, &'a [u8])>,
    ) -> Result<(), Failure> {
        let mut before: Vec<(usize, Applied)> = Vec::new();
        for (envelope, bytes) in events {
            let tenant = envelope.tenant;
            let known = |applied: &Applied| applied.state.tenant_id() == tenant;
            let number = self.tenants.iter().position(known);
            let number =
                number.ok_or_else(|| wrong(format!("an event of a stranger, {tenant}")))?;
            let applied = &mut self.tenants[number];
            if !before.iter().any(|(known, _)| *known == number) {
                before.push((number, applied.clone()));
            }
            if envelope.seq != applied.seq + 1 {
                let (after, seq) = (applied.seq, envelope.seq);
                return Err(wrong(format!("{tenant}/{seq} is applied after {after}")));
            }
            applied.seq = envelope.seq;
            applied.frontier.append(leaf_hash(bytes));
            let at = At {
                tenant,
                epoch: envelope.epoch,
                seq: envelope.seq,
                time: envelope.time,
            };
            apply(&mut applied.state, at, &envelope.event);
        }
        let watermark = self.watermark.replace(end);
        self.steps.push(Step { before, watermark });
        Ok(())
    }

    /// What a crash leaves.
    pub(crate) fn crash(&mut self, random: &mut Random, tally: &mut Tally) {
        let steps = self.steps.len();
        let lost = match random.below(16) {
            0..=5 => 0,
            6..=12 => random.index(8).min(steps),
            13 => random.index(steps + 1),
            // Everything: gone, or found damaged and removed.
            _ => steps,
        };
        for _ in 0..lost {
            self.undo();
        }
        if lost > 0 {
            tally.hit(Count::StateLost);
        }
    }

    /// Loses everything.
    pub(crate) fn clear(&mut self) {
        while !self.steps.is_empty() {
            self.undo();
        }
    }

    fn undo(&mut self) {
        if let Some(step) = self.steps.pop() {
            for (number, applied) in step.before {
                self.tenants[number] = applied;
            }
            self.watermark = step.watermark;
        }
    }

    /// Brings the state up to the journal's end, as the store does when it opens: from the
    /// watermark on, each record's header against its envelope, a step for some groups each.
    pub(crate) fn replay(&mut self, reader: &Reader, tally: &mut Tally) -> Result<(), NotReplayed> {
        let failed = |what: String| NotReplayed::Failed(wrong(what));
        if self.watermark.is_some_and(|at| at > reader.end()) {
            let (at, end) = (self.watermark, reader.end());
            return Err(failed(format!("the state, at {at:?}, is ahead of {end}")));
        }
        if self.watermark.is_none() {
            tally.hit(Count::Rebuilt);
        }
        let from = self.watermark.unwrap_or(Position::START);
        for group in reader.groups_from(from) {
            let group = group.map_err(|error| match error {
                provost_journal::ReadError::Io { .. } => NotReplayed::Disk,
                damaged => failed(format!("a replay from {from} fails: {damaged}")),
            })?;
            let mut events = Vec::with_capacity(group.records.len());
            for (at, record) in &group.records {
                let envelope = Envelope::from_bytes(&record.payload)
                    .map_err(|error| failed(format!("no envelope at {at}: {error}")))?;
                if (envelope.tenant, envelope.seq) != (record.tenant, record.seq) {
                    return Err(failed(format!("header and envelope disagree at {at}")));
                }
                events.push((envelope, &*record.payload));
            }
            tally.add(Count::Replayed, u64::try_from(events.len()).unwrap_or(0));
            let events = events.iter().map(|(envelope, bytes)| (envelope, *bytes));
            self.take_in(group.end, events)
                .map_err(NotReplayed::Failed)?;
        }
        Ok(())
    }

    /// Compares the state with what the kernel decided and was told is durable.
    pub(crate) fn check(&self, workload: &Workload) -> Result<(), Failure> {
        for (applied, tenant) in self.tenants.iter().zip(&workload.tenants) {
            let id = applied.state.tenant_id();
            let leaves = u64::try_from(tenant.leaves.len()).unwrap_or(u64::MAX);
            let found = (applied.seq, applied.frontier.size());
            if found != (tenant.log.seq, leaves) {
                let wanted = (tenant.log.seq, leaves);
                return Err(wrong(format!("{id} ends at {found:?}, not {wanted:?}")));
            }
            if applied.state != tenant.log.state {
                return Err(wrong(format!("{id}: the state is not the journal's fold")));
            }
        }
        Ok(())
    }

    /// Compares each tree's root with its definition, over the leaves of what was acknowledged.
    pub(crate) fn check_roots(&self, workload: &Workload) -> Result<(), Failure> {
        for (applied, tenant) in self.tenants.iter().zip(&workload.tenants) {
            let empty = tenant.leaves.is_empty();
            if !empty && applied.frontier.root() != root(&tenant.leaves) {
                let id = applied.state.tenant_id();
                return Err(wrong(format!("{id}: another root than its events have")));
            }
        }
        Ok(())
    }
}

/// The definition of RFC 6962, section 2.1, for one leaf or more.
fn root(leaves: &[Hash]) -> Hash {
    if let [leaf] = leaves {
        return *leaf;
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    node_hash(&root(left), &root(right))
}
