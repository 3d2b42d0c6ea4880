//! From an append to its acknowledgement: the journal's thread makes it durable, the state's
//! thread applies it and answers.
//!
//! ```text
//! actor ──Append──▶ journal thread ──durable group──▶ state thread ──▶ reply
//!                   admits by expected sequence       one batch in sled, with the watermark
//!                   fdatasync                         then each append's answer
//! ```
//!
//! If the process dies before the fdatasync returned, the append may or may not be there and was
//! not acknowledged. If it dies after, the next start replays it. The state never runs ahead.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use provost_journal::{Durable, Position, Record, RefusedWhy, Sink};
use provost_protocol::TenantId;
use tokio::sync::oneshot;

use crate::{
    backend::{AppendError, Stamped},
    db::Db,
    projector::Projector,
    segments::{SealedIndex, Segments},
};

/// Ends the process: called with why, after it was logged. The daemon aborts; systemd restarts it.
pub type FatalHook = Arc<dyn Fn(&str) + Send + Sync>;

/// One append on its way.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) expected: u64,
    pub(crate) events: Vec<Stamped>,
    pub(crate) reply: oneshot::Sender<Result<(), AppendError>>,
}

/// What the journal's thread does around its groups.
pub(crate) struct StoreSink {
    db: Db,
    segments: Arc<Segments>,
    /// Last durable sequence of each tenant that appended since the start.
    durable: HashMap<TenantId, u64>,
    /// Last sequence in the group that is being formed.
    forming: HashMap<TenantId, u64>,
    apply: mpsc::SyncSender<AppliedGroup>,
}

/// A durable group on its way into the state.
pub(crate) struct AppliedGroup {
    end: Position,
    tickets: Vec<Ticket>,
    sealed: Option<SealedIndex>,
}

impl StoreSink {
    pub(crate) fn new(
        db: Db,
        segments: Arc<Segments>,
        apply: mpsc::SyncSender<AppliedGroup>,
    ) -> Self {
        Self {
            db,
            segments,
            durable: HashMap::new(),
            forming: HashMap::new(),
            apply,
        }
    }

    fn last_seq(&self, tenant: TenantId) -> Result<u64, AppendError> {
        if let Some(seq) = self
            .forming
            .get(&tenant)
            .or_else(|| self.durable.get(&tenant))
        {
            return Ok(*seq);
        }
        // Nothing of this tenant was appended since the start, so the state is not behind.
        let head = self
            .db
            .head(tenant)
            .map_err(|error| AppendError::Refused(error.to_string()))?;
        Ok(head.map_or(0, |head| head.seq))
    }
}

impl Sink<Ticket> for StoreSink {
    type Refusal = AppendError;

    fn admit(&mut self, records: &mut Vec<Record>, ticket: &Ticket) -> Result<(), AppendError> {
        let Some(first) = records.first() else {
            return Ok(());
        };
        let tenant = first.tenant;
        let found = self.last_seq(tenant)?;
        if found != ticket.expected {
            return Err(AppendError::Conflict {
                expected: ticket.expected,
                found,
            });
        }
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        self.forming.insert(tenant, found.saturating_add(count));
        Ok(())
    }

    fn durable(&mut self, group: Durable<Ticket>) {
        self.durable.extend(self.forming.drain());
        let sealed = group
            .rolled
            .and_then(|_| self.segments.roll(group.end.segment));
        let mut tickets = Vec::with_capacity(group.items.len());
        for item in group.items {
            for (stamped, at) in item.ticket.events.iter().zip(&item.positions) {
                self.segments.insert(&stamped.envelope, &stamped.bytes, *at);
            }
            tickets.push(item.ticket);
        }
        // A closed channel means that the state's thread has ended the process already.
        let _ = self.apply.send(AppliedGroup {
            end: group.end,
            tickets,
            sealed,
        });
    }

    fn refused(&mut self, ticket: Ticket, why: RefusedWhy<AppendError>) {
        let error = match why {
            RefusedWhy::NotAdmitted(error) => error,
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

/// Starts the state's thread.
pub(crate) fn start_applier(
    db: Db,
    fatal: FatalHook,
) -> std::io::Result<(mpsc::SyncSender<AppliedGroup>, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::sync_channel::<AppliedGroup>(APPLY_QUEUE);
    let thread = thread::Builder::new().name("provost-state".to_owned()).spawn(move || {
        for group in receiver {
            if let Err(error) = apply_group(&db, &group) {
                tracing::error!(%error, "the state failed: it will be rebuilt from the journal");
                fatal("the state failed");
                return;
            }
            for ticket in group.tickets {
                let _ = ticket.reply.send(Ok(()));
            }
            if let Some(sealed) = group.sealed {
                sealed.write();
            }
        }
    })?;
    Ok((sender, thread))
}

fn apply_group(db: &Db, group: &AppliedGroup) -> Result<(), crate::db::DbError> {
    let mut projector = Projector::new(db);
    for stamped in group.tickets.iter().flat_map(|ticket| &ticket.events) {
        projector.project(&stamped.envelope, &stamped.bytes)?;
    }
    projector.commit(group.end)
}

impl std::fmt::Debug for StoreSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSink").finish_non_exhaustive()
    }
}

/// Groups that may wait for the state: sled applies one in well under the time of an fdatasync, so
/// a longer queue would only hide that it does not.
const APPLY_QUEUE: usize = 4;
