//! A guarded actor, from outside.

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, Addr, Context, Handler, Message, dev::SendError};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};

use crate::ask::{Ask, AskError, hand_over, instant_after, wait_for};

/// How a guarded actor is.
pub enum Health<A: Actor> {
    /// Being built for the first time.
    Starting,
    /// Alive at this address; the number tells one life from the next.
    Running(Arc<Addr<A>>, u64),
    /// Failed, and waiting for its next life or being built.
    Restarting,
    /// Failed too often: kept down until somebody makes another guardian.
    Quarantined,
    /// Ended by itself, or let go of by its last handle.
    Stopped,
}

/// A handle to a guarded actor that outlives the actor's single lives.
///
/// Cheap to clone, and usable from every thread. While a handle exists, the actor is kept.
pub struct Guarded<A: Actor> {
    health: watch::Receiver<Health<A>>,
    waiting: Arc<Semaphore>,
}

/// The address of a life, and which life it is.
type Found<A> = (Arc<Addr<A>>, u64);

impl<A: Actor<Context = Context<A>>> Guarded<A> {
    pub(super) fn new(health: watch::Receiver<Health<A>>) -> Self {
        Self {
            health,
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// How the actor is now.
    #[must_use]
    pub fn health(&self) -> Health<A> {
        self.health.borrow().clone()
    }

    /// Whether it can be asked now.
    pub(crate) fn is_running(&self) -> bool {
        matches!(&*self.health.borrow(), Health::Running(..))
    }

    /// Whether it is down for good: stopped or quarantined.
    pub(crate) fn is_down(&self) -> bool {
        matches!(
            &*self.health.borrow(),
            Health::Stopped | Health::Quarantined
        )
    }

    /// Whether it ended by itself, or was let go of.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(&*self.health.borrow(), Health::Stopped)
    }

    /// The actor's health as a value that can be watched.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Health<A>> {
        self.health.clone()
    }

    /// Asks the actor; finds it again, once, when it has just been replaced.
    ///
    /// An actor that is being built or rebuilt is waited for, within the deadline and by a bounded
    /// number of askers. A message that was accepted is never sent again.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask<M>(&self, message: M, deadline: Duration) -> Result<M::Result, AskError>
    where
        A: Handler<Ask<M>>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let until = instant_after(deadline);
        let (address, life) = self.resolve(0, until).await?;
        let message = match hand_over(&*address, message) {
            Ok(answer) => return wait_for(answer, until).await,
            Err(SendError::Full(_)) => return Err(AskError::Overloaded),
            Err(SendError::Closed(message)) => message,
        };
        drop(address);
        let (address, _) = self.resolve(life, until).await?;
        match hand_over(&*address, message) {
            Ok(answer) => wait_for(answer, until).await,
            Err(SendError::Full(_)) => Err(AskError::Overloaded),
            Err(SendError::Closed(_)) => Err(AskError::Gone),
        }
    }

    /// Waits until the actor is down for good: stopped or quarantined.
    pub async fn ended(&self) {
        let is_down = |health: &Health<A>| matches!(health, Health::Stopped | Health::Quarantined);
        // An error means that the guardian itself is gone, and its actor with it.
        let _ = self.health.clone().wait_for(is_down).await.map(drop);
    }

    /// Finds the address of a life later than `after`.
    async fn resolve(&self, after: u64, until: Instant) -> Result<Found<A>, AskError> {
        if let Some(found) = settled(&self.health.borrow(), after) {
            return found;
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(AskError::Overloaded);
        };
        let mut health = self.health.clone();
        let mut found = None;
        let next = health.wait_for(|health| {
            found = settled(health, after);
            found.is_some()
        });
        match timeout_at(until, next).await.map(|outcome| outcome.is_ok()) {
            Ok(true) => found.unwrap_or(Err(AskError::Gone)),
            Ok(false) => Err(AskError::Gone),
            Err(_) => Err(AskError::Restarting),
        }
    }
}

/// What an asker can do with this health; `None` is to wait for another.
fn settled<A: Actor>(health: &Health<A>, after: u64) -> Option<Result<Found<A>, AskError>> {
    match health {
        Health::Running(address, life) if *life > after => Some(Ok((address.clone(), *life))),
        Health::Running(..) | Health::Starting | Health::Restarting => None,
        Health::Quarantined => Some(Err(AskError::Quarantined)),
        Health::Stopped => Some(Err(AskError::Gone)),
    }
}

impl<A: Actor> Clone for Health<A> {
    fn clone(&self) -> Self {
        match self {
            Self::Starting => Self::Starting,
            Self::Running(address, life) => Self::Running(address.clone(), *life),
            Self::Restarting => Self::Restarting,
            Self::Quarantined => Self::Quarantined,
            Self::Stopped => Self::Stopped,
        }
    }
}

impl<A: Actor> fmt::Debug for Health<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("Starting"),
            Self::Running(_, life) => write!(f, "Running(life {life})"),
            Self::Restarting => f.write_str("Restarting"),
            Self::Quarantined => f.write_str("Quarantined"),
            Self::Stopped => f.write_str("Stopped"),
        }
    }
}

impl<A: Actor> Clone for Guarded<A> {
    fn clone(&self) -> Self {
        Self {
            health: self.health.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

impl<A: Actor> fmt::Debug for Guarded<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("health", &*self.health.borrow())
            .finish()
    }
}

/// As many askers may wait for one actor's next life as may have commands in flight in a tenant:
/// more could not be accepted when it is back.
const WAITING_MAX: usize = 256;
