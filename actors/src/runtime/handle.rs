//! A runtime, from outside.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use provost_kernel::liveness::Rhythm;
use provost_protocol::{
    Timestamp,
    entity::{self, RuntimeStatus},
};

use super::{
    actor::{CloseSession, OpenSession, RuntimeActor, TakeBeat, Tick},
    checkpoints::TakeCheckpoint,
    copies::{CopiesResolved, RecoveryRefused, TokenReplaced, TokenStale},
    live::{Beat, Live, LiveRuntime},
    younger::Younger,
};
use crate::{Guarded, Health, Peer, TenantError, ask::tell};

/// A runtime, from outside. Cheap to clone; knows how long to wait.
#[derive(Debug, Clone)]
pub struct RuntimeHandle {
    actor: Guarded<RuntimeActor>,
    live: Arc<Live>,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatAnswer {
    /// The runtime's status.
    pub status: RuntimeStatus,
    /// How often to beat, and how long silence is borne.
    pub rhythm: Rhythm,
}

/// What a runtime's record says, as far as a beat could change it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    pub(crate) status: RuntimeStatus,
    pub(crate) health: entity::Health,
    pub(crate) lost: bool,
}

/// A session is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// What the connector drew at its start.
    pub nonce: [u8; 16],
    /// The generation of its last session, as it says.
    pub last_generation: u64,
    /// Serial number of its certificate, hex.
    pub serial: String,
    /// From where it comes.
    pub address: SocketAddr,
}

/// A session was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The session's generation.
    pub generation: u64,
    /// Comes when a younger session takes over.
    pub younger: Younger,
    /// How often to beat, and how long silence is borne.
    pub rhythm: Rhythm,
}

impl RuntimeHandle {
    pub(crate) const fn new(actor: Guarded<RuntimeActor>, live: Arc<Live>) -> Self {
        Self { actor, live }
    }

    /// What is volatile about it.
    #[must_use]
    pub fn live(&self) -> LiveRuntime {
        self.live.look()
    }

    /// Takes in a heartbeat. The first one of a runtime's life is durable when the answer comes;
    /// no other causes a write.
    ///
    /// # Errors
    /// [`TenantError`].
    pub(crate) async fn beat(&self, beat: Beat) -> Result<BeatAnswer, TenantError> {
        self.actor.ask(TakeBeat(beat), PATIENCE).await?
    }

    /// The same without asking the actor, where the beat changes nothing but when the runtime was
    /// last heard of; `None`, and nothing taken, where it may change more.
    pub(crate) fn beat_at_once(
        &self,
        beat: &mut Beat,
        seen: Recorded,
        rhythm: Rhythm,
        now: Timestamp,
    ) -> Option<BeatAnswer> {
        let settled = !seen.lost
            && seen.health == beat.health
            && matches!(
                seen.status,
                RuntimeStatus::Active | RuntimeStatus::Suspended
            );
        let taken = settled && self.actor.is_running() && self.live.beat(beat, rhythm, now);
        taken.then_some(BeatAnswer {
            status: seen.status,
            rhythm,
        })
    }

    /// Opens a session; one that was open hears that it is replaced.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn open(&self, opening: Opening) -> Result<Opened, TenantError> {
        Ok(self.actor.ask(OpenSession(opening), PATIENCE).await?)
    }

    /// Says that a registration replaced the runtime's token.
    pub(crate) fn token_replaced(&self, peer: &Peer, token_sha256: String) {
        self.tell(TokenReplaced {
            token_sha256,
            address: peer.address,
            serial: peer.identity.serial.clone(),
        });
    }

    /// Says that a call came with a token that is not the newest one.
    pub(crate) fn token_stale(&self, peer: &Peer, token_sha256: String) {
        self.tell(TokenStale {
            token_sha256,
            address: peer.address,
            serial: peer.identity.serial.clone(),
        });
    }

    /// Says that a recovery in its name was refused because its number was used already.
    pub(crate) fn recovery_refused(&self, address: SocketAddr) {
        self.tell(RecoveryRefused { address });
    }

    /// Says that an operator has dealt with its copies.
    pub(crate) fn copies_resolved(&self) {
        self.tell(CopiesResolved);
    }

    /// Takes one of the checkpoints that may be signed for it, or says in how many milliseconds
    /// there is one.
    pub(crate) async fn take_checkpoint(&self) -> Result<Result<(), u64>, TenantError> {
        Ok(self.actor.ask(TakeCheckpoint, PATIENCE).await?)
    }

    /// Says that a session has ended.
    pub fn closed(&self, generation: u64) {
        self.live.change(|live| {
            live.connected &= live.generation != generation;
        });
        self.tell(CloseSession { generation });
    }

    /// Has the actor look whether its runtime is late or lost. Says whether it will: at once, or
    /// when it is made anew, for then it begins with a look.
    pub(crate) fn tick(&self, now: Timestamp) -> bool {
        self.tell(Tick { now })
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.actor.is_down()
    }

    /// Says whether there was room for it; true also where there is no actor just now.
    fn tell<M>(&self, message: M) -> bool
    where
        RuntimeActor: actix::Handler<M>,
        M: actix::Message + Send + 'static,
        M::Result: Send,
    {
        match self.actor.health() {
            Health::Running(address, _) => tell(&*address, message, "runtime"),
            _ => true,
        }
    }
}

/// A first heartbeat waits for one group commit; everything else is memory.
const PATIENCE: Duration = Duration::from_secs(5);
