//! From an append to its acknowledgement: the journal's thread makes it durable and answers, the
//! state's thread takes it into the state.
//!
//! ```text
//! actor ──Append──▶ journal thread ──durable group──▶ state thread
//!                   admits by expected sequence       one batch in sled for all that waits,
//!                   fdatasync, answers, index         with the watermark
//! ```
//!
//! If the process dies before the fdatasync returned, the append may or may not be there and was
//! not acknowledged. If it dies after, the next start replays it. The state never runs ahead, and
//! who reads it waits for it ([`crate::handover`]).

use std::{collections::HashMap, sync::Arc, thread};

use provost_journal::{Durable, Record, RefusedWhy, Sink};
use provost_protocol::TenantId;
use tokio::sync::oneshot;

use crate::{
    backend::{AppendError, Stamped},
    convert::to_u64,
    db::{Db, DbError},
    doubt::Doubt,
    ended::{Ended, Ends},
    fail_points,
    handover::{Giver, Group, Handover},
    keeper::Bell,
    projector::Projector,
    segments::Segments,
    sequences::Sequences,
};

/// Ends the process: called with why, after it was logged. The daemon aborts; systemd restarts it.
pub type FatalHook = Arc<dyn Fn(&str) + Send + Sync>;

/// One append on its way.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) tenant: TenantId,
    pub(crate) expected: u64,
    pub(crate) events: Vec<Stamped>,
    pub(crate) reply: oneshot::Sender<Result<(), AppendError>>,
}

/// What the journal's thread does around its groups.
pub(crate) struct StoreSink {
    db: Db,
    doubt: Doubt,
    segments: Arc<Segments>,
    /// Last durable sequence of each tenant whose events may not be in the state yet.
    durable: Sequences,
    /// Last sequence in the group that is being formed.
    forming: HashMap<TenantId, u64>,
    /// The segment whose index holds as many tenants as it may, if the last one does.
    crowded: Option<u64>,
    out: Giver,
}

/// Who looks after a segment once it is sealed.
#[derive(Debug)]
pub(crate) struct Care {
    pub(crate) segments: Arc<Segments>,
    pub(crate) bell: Bell,
}

impl StoreSink {
    pub(crate) fn new(db: Db, doubt: Doubt, segments: Arc<Segments>, out: Giver) -> Self {
        Self {
            db,
            doubt,
            segments,
            durable: Sequences::default(),
            forming: HashMap::new(),
            crowded: None,
            out,
        }
    }

    fn last_seq(&self, tenant: TenantId) -> Result<u64, AppendError> {
        let forming = self.forming.get(&tenant).copied();
        if let Some(seq) = forming.or_else(|| self.durable.get(tenant)) {
            return Ok(seq);
        }
        // All that this tenant appended is in the state.
        let head = self.db.head(tenant).map_err(|error| {
            self.doubt.raise(&error.to_string());
            AppendError::Refused(error.to_string())
        })?;
        Ok(head.map_or(0, |head| head.seq))
    }
}

impl Sink<Ticket> for StoreSink {
    type Refusal = AppendError;

    fn admit(&mut self, records: &mut Vec<Record>, ticket: &Ticket) -> Result<(), AppendError> {
        let tenant = ticket.tenant;
        let found = self.last_seq(tenant)?;
        if found != ticket.expected {
            return Err(AppendError::Conflict {
                expected: ticket.expected,
                found,
            });
        }
        if let Some(last) = records.last() {
            self.forming.insert(tenant, last.seq);
        }
        Ok(())
    }

    fn durable(&mut self, group: Durable<Ticket>) {
        self.durable.extend(self.forming.drain(), &self.out);
        // Not only where this group rolled: a seal before it may have.
        let rolled = self.segments.roll(group.end.segment).is_some();
        fail_points::reach(fail_points::BEFORE_ANSWER);
        self.out.durable();
        // Whoever was told and reads waits for the rest of this.
        let mut index = self.segments.taking();
        let mut events = Vec::with_capacity(group.items.len());
        for item in group.items {
            // Whoever asked may have gone.
            let _ = item.ticket.reply.send(Ok(()));
            events.extend(item.ticket.events.into_iter().zip(item.positions));
        }
        fail_points::reach(fail_points::BEFORE_APPLY);
        for (stamped, at) in &events {
            index.insert(stamped, *at);
        }
        self.crowded = (index.tenants() >= TENANTS_A_SEGMENT).then_some(group.end.segment);
        drop(index);
        self.out.give(Group {
            end: group.end,
            events: events.into_iter().map(|(stamped, _)| stamped).collect(),
            rolled,
        });
    }

    fn ends_segment(&self, active: u64) -> bool {
        self.crowded == Some(active)
    }

    fn refused(&mut self, ticket: Ticket, why: RefusedWhy<AppendError>) {
        let error = match why {
            RefusedWhy::NotAdmitted(error) => error,
            why @ RefusedWhy::TooLarge => {
                // It alone leaves the group that is being formed.
                self.forming.insert(ticket.tenant, ticket.expected);
                AppendError::Refused(why.to_string())
            }
            other => {
                // The whole group was refused: what it would have made of the sequences is void.
                self.forming.clear();
                tracing::error!(error = %other, "the journal refuses writes");
                AppendError::Refused(other.to_string())
            }
        };
        let _ = ticket.reply.send(Err(error));
    }
}

/// Starts the state's thread. It ends when the sink is gone and all it gave is applied, or when
/// the state fails: the process is ended then, and the next start replays.
pub(crate) fn start_applier(
    db: Db,
    doubt: Doubt,
    handover: Arc<Handover>,
    care: Care,
) -> std::io::Result<Ended> {
    let (ends, ended) = Ends::pair();
    let name = "provost-state".to_owned();
    thread::Builder::new().name(name).spawn(move || {
        while let Some(groups) = handover.take() {
            match doubt.guard(|| apply_groups(&db, &groups)) {
                Some(Ok(())) => {
                    fail_points::reach(fail_points::AFTER_BATCH);
                    handover.applied(to_u64(groups.len()));
                    if groups.iter().any(|group| group.rolled) {
                        care.sealed();
                    }
                }
                Some(Err(error)) => doubt.raise(&error.to_string()),
                None => {}
            }
            if doubt.is_raised() {
                break;
            }
        }
        handover.end();
        drop((db, care));
        ends.here();
    })?;
    Ok(ended)
}

impl Care {
    /// Hands a sealed segment's index over; writes one here where too many wait, as a brake.
    fn sealed(&self) {
        self.bell.ring();
        let unwritten = self.segments.unwritten();
        if let Some(oldest) = unwritten
            .first()
            .filter(|_| unwritten.len() > UNWRITTEN_MAX)
        {
            self.segments.write(*oldest);
        }
    }
}

fn apply_groups(db: &Db, groups: &[Group]) -> Result<(), DbError> {
    let Some(last) = groups.last() else {
        return Ok(());
    };
    let mut projector = Projector::new(db);
    for stamped in groups.iter().flat_map(|group| &group.events) {
        projector.project(&stamped.envelope, stamped.marks.leaf)?;
    }
    fail_points::reach(fail_points::BEFORE_BATCH);
    projector.commit(last.end)
}

impl std::fmt::Debug for StoreSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSink").finish_non_exhaustive()
    }
}

/// The group that brings so many is the last one of its segment. Where they are many, of most there
/// is one event, which takes some 200 bytes of the index in memory: so many are seven MiB.
const TENANTS_A_SEGMENT: usize = 32_768;
/// Indexes of sealed segments that may wait in memory to be written, some ten MiB each.
const UNWRITTEN_MAX: usize = 4;
