//! A runtime, from outside.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use provost_kernel::liveness::Rhythm;
use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    entity::{Health, Liveness, RuntimeStatus, RuntimeType},
};
use tokio::sync::watch;

use super::{
    actor::{Beat, CloseSession, OpenSession, RuntimeActor, Tick},
    checkpoints::TakeCheckpoint,
    copies::{RecoveryRefused, TokenReplaced, TokenStale},
};
use crate::{Guarded, Health as ActorHealth, Peer, TenantError, ask::tell};

/// A runtime, from outside. Cheap to clone; knows how long to wait.
#[derive(Debug, Clone)]
pub struct RuntimeHandle {
    actor: Guarded<RuntimeActor>,
    live: Arc<Live>,
}

/// What is volatile about a live runtime, for those who look.
#[derive(Debug, Clone)]
pub struct LiveRuntime {
    /// Its own tenant.
    pub tenant: TenantId,
    /// The runtime.
    pub runtime: RuntimeId,
    /// What it is.
    pub runtime_type: RuntimeType,
    /// What the kernel sees of its heartbeats.
    pub liveness: Liveness,
    /// What it says of itself.
    pub health: Health,
    /// When it last beat, since the kernel started.
    pub last_beat: Option<Timestamp>,
    /// Its last figures.
    pub metrics: BTreeMap<String, f64>,
    /// Whether a session is open.
    pub connected: bool,
    /// The generation of its newest session.
    pub generation: u64,
    /// From where it last came.
    pub address: Option<SocketAddr>,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatAnswer {
    /// The runtime's status.
    pub status: RuntimeStatus,
    /// How often to beat, and how long silence is borne.
    pub rhythm: Rhythm,
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
    /// Changes when a younger session takes over.
    pub generations: watch::Receiver<u64>,
    /// How often to beat, and how long silence is borne.
    pub rhythm: Rhythm,
}

/// The shared cell behind [`LiveRuntime`].
#[derive(Debug)]
pub(crate) struct Live {
    cell: Mutex<LiveRuntime>,
    pub(super) generation: watch::Sender<u64>,
}

impl Live {
    pub(crate) fn new(runtime: LiveRuntime) -> Self {
        Self {
            cell: Mutex::new(runtime),
            generation: watch::Sender::new(0),
        }
    }

    pub(crate) fn look(&self) -> LiveRuntime {
        self.cell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut LiveRuntime)) {
        change(&mut self.cell.lock().unwrap_or_else(PoisonError::into_inner));
    }
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
    pub async fn beat(
        &self,
        health: Health,
        metrics: BTreeMap<String, f64>,
        address: SocketAddr,
    ) -> Result<BeatAnswer, TenantError> {
        self.actor
            .ask(
                Beat {
                    health,
                    metrics,
                    address,
                },
                PATIENCE,
            )
            .await?
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

    pub(crate) fn tick(&self, now: Timestamp) {
        self.tell(Tick { now });
    }

    pub(crate) fn is_asleep(&self) -> bool {
        matches!(
            self.actor.health(),
            ActorHealth::Stopped | ActorHealth::Quarantined
        )
    }

    fn tell<M>(&self, message: M)
    where
        RuntimeActor: actix::Handler<M>,
        M: actix::Message + Send + 'static,
        M::Result: Send,
    {
        if let ActorHealth::Running(address, _) = self.actor.health() {
            tell(&*address, message, "runtime");
        }
    }
}

/// A first heartbeat waits for one group commit; everything else is memory.
const PATIENCE: Duration = Duration::from_secs(5);
