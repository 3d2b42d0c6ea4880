//! Checkpoints: where a tenant's log ends, signed, and whether it continues what a runtime holds.
//!
//! A runtime shows the last checkpoint it was given. What this log does not continue is recorded
//! before anything is answered, and nothing more is signed in an epoch that forked: a log must
//! never sign two checkpoints that contradict each other (C2SP tlog-checkpoint).

use std::time::Duration;

use provost_kernel::{Command, EntityKey, command::ReportHeld, state::Held};
use provost_protocol::{
    Code, CorrelationId, Problem,
    event::Event,
    tlog::{Checkpoint, origin},
    wire::{CheckpointAnswer, HeldCheckpoint},
};
use provost_store::{Head, Pending, ReadError};
use tokio::time::timeout;

use super::{Gateway, Known, Peer};
use crate::{TenantError, TenantHandle};

/// Who asks, and for what it is tied to.
pub(super) struct Asking<'a> {
    pub(super) peer: &'a Peer,
    pub(super) correlation_id: CorrelationId,
    pub(super) known: &'a Known,
}

impl Gateway {
    /// Judges what the runtime holds, then signs where its own tenant's log ends.
    pub(super) async fn checkpoint(
        &self,
        asking: &Asking<'_>,
        acted: &TenantHandle,
        held: Option<HeldCheckpoint>,
    ) -> Result<CheckpointAnswer, Problem> {
        if acted.id() != asking.known.caller.tenant {
            let own = "a runtime is shown its own tenant's log only";
            return Err(Problem::new(Code::IdentityMismatch, own));
        }
        let permit = asking.known.runtime.take_checkpoint().await;
        permit
            .map_err(|error| error.problem())?
            .map_err(|wait_ms| {
                Problem::new(Code::RateLimited, "one checkpoint in ten minutes")
                    .retry_after_ms(wait_ms)
            })?;
        let held = held.map(|held| self.verified(acted, &held)).transpose()?;
        let continued = match held {
            Some(held) => self.judge(asking, acted, held).await?.then_some(held.size),
            None => None,
        };
        self.signed(acted, continued).await
    }

    /// Only what this kernel signed counts: nobody else can make it raise an alarm.
    fn verified(&self, acted: &TenantHandle, held: &HeldCheckpoint) -> Result<Held, Problem> {
        let house = self.directory.house();
        let origin = origin(house.install, acted.id(), held.epoch);
        let key = house.checkpoint_signer.public_key();
        let checkpoint = Checkpoint::verify(&held.note, &origin, &key)
            .map_err(|error| Problem::new(Code::Invalid, format!("held: {error}")))?;
        Ok(Held {
            epoch: held.epoch,
            size: checkpoint.size,
            root: checkpoint.root,
        })
    }

    /// Whether the log continues what is held. If not, that is durable when this returns.
    async fn judge(
        &self,
        asking: &Asking<'_>,
        acted: &TenantHandle,
        held: Held,
    ) -> Result<bool, Problem> {
        let backend = &self.directory.house().backend;
        let own_root = read(backend.root_at(acted.id(), held.size)).await?;
        let head = self.head(acted).await?;
        if own_root == Some(held.root) && held.epoch <= head.epoch {
            return Ok(true);
        }
        let report = Command::ReportHeld(ReportHeld {
            runtime: asking.peer.identity.runtime,
            held,
            own_root,
        });
        let meta = asking.peer.meta(asking.correlation_id);
        let executed = acted.execute(report, meta).await;
        let executed = executed.map_err(|error| error.problem())?;
        for recorded in &executed.events {
            alarm(acted, &recorded.event);
        }
        Ok(false)
    }

    async fn signed(
        &self,
        acted: &TenantHandle,
        continued: Option<u64>,
    ) -> Result<CheckpointAnswer, Problem> {
        let head = self.head(acted).await?;
        // After the head: a fork that was recorded meanwhile counts.
        let state = acted.look(vec![EntityKey::History]).await;
        let state = state.map_err(|error| error.problem())?;
        if state
            .history()
            .is_some_and(|history| history.is_forked(head.epoch))
        {
            let why = "a runtime holds a checkpoint that this log does not continue";
            return Err(Problem::new(Code::LogForked, why));
        }
        let house = self.directory.house();
        let consistency = match continued {
            None => None,
            Some(from) => read(house.backend.consistency(acted.id(), from, head.seq)).await?,
        };
        let checkpoint = Checkpoint {
            origin: origin(house.install, acted.id(), head.epoch),
            size: head.seq,
            root: head.frontier.root(),
        };
        Ok(CheckpointAnswer {
            note: checkpoint.sign(&*house.checkpoint_signer),
            epoch: head.epoch,
            consistency: consistency.unwrap_or_default(),
        })
    }

    async fn head(&self, acted: &TenantHandle) -> Result<Head, Problem> {
        let head = read(self.directory.house().backend.head(acted.id())).await?;
        head.ok_or_else(|| TenantError::NotFound.problem())
    }
}

/// Says loudly what the log says too: whoever reads neither the log nor the figures has no alarm.
fn alarm(acted: &TenantHandle, event: &Event) {
    match event {
        Event::LogForked(fork) => {
            metrics::counter!(FORKS).increment(1);
            tracing::error!(tenant.id = %acted.id(), log.epoch = fork.epoch,
                held.size = fork.held_size, runtime.id = %fork.runtime_id,
                "the log forked: a runtime holds a checkpoint that it does not continue");
        }
        Event::LogRangeLost(lost) => {
            metrics::counter!(RANGES_LOST).increment(1);
            tracing::error!(tenant.id = %acted.id(), log.epoch = lost.old_epoch,
                from.seq = lost.from_seq, to.seq = lost.to_seq, runtime.id = %lost.runtime_id,
                "events were lost by a restore: a runtime holds a checkpoint of them");
        }
        _ => {}
    }
}

async fn read<T>(pending: Pending<Result<T, ReadError>>) -> Result<T, Problem> {
    let read = timeout(READ_PATIENCE, pending).await;
    read.unwrap_or(Err(ReadError::Overloaded))
        .map_err(|error| TenantError::from(error).problem())
}

/// At most 64 reads of a few bytes; a disk that needs two seconds for them is stuck.
const READ_PATIENCE: Duration = Duration::from_secs(2);

const FORKS: &str = "provost_log_forks_total";

const RANGES_LOST: &str = "provost_log_ranges_lost_total";
