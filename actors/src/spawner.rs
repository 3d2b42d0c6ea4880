//! The threads on which actors live, and which tenant lives on which.
//!
//! The daemon makes the arbiters and passes a [`Spawner`] on; actors never make one, so that a test
//! can run everything in its own `LocalSet` with time paused.

use std::{io, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use actix::{Arbiter, ArbiterHandle};
use provost_protocol::TenantId;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

/// The daemon's arbiters: one thread and one event loop each.
#[derive(Debug)]
pub struct Arbiters {
    threads: Vec<Arbiter>,
    spawner: Spawner,
}

/// Places work on arbiters. Cheap to clone, and usable from every thread.
#[derive(Debug, Clone)]
pub struct Spawner {
    shards: Arc<[Shard]>,
}

/// Why work could not be placed; it was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// No arbiter has this number.
    #[error("there is no arbiter {0}")]
    NoSuchArbiter(usize),
    /// Too much waits to be begun there already.
    #[error("the arbiter has too much to begin")]
    Overloaded,
    /// The arbiter has stopped, or the work panicked before it gave its value.
    #[error("the arbiter has stopped")]
    Stopped,
    /// The arbiter did not come to it in time; whether it will is unknown.
    #[error("the arbiter did not begin it in time")]
    Late,
}

/// What went wrong at shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// An arbiter's thread panicked.
    #[error("{0} arbiters panicked")]
    Panicked(usize),
    /// An arbiter still works on something and was left behind.
    #[error("the arbiters did not stop in time")]
    Late,
}

#[derive(Debug)]
struct Shard {
    home: Home,
    /// actix's own command queue has no bound; this is it.
    places: Arc<Semaphore>,
}

#[derive(Debug)]
enum Home {
    Arbiter(ArbiterHandle),
    /// The `LocalSet` of whoever calls.
    Here,
}

impl Arbiters {
    /// Starts `count` arbiters. Must be called on a thread on which an `actix::System` runs.
    ///
    /// # Errors
    /// When a thread or its event loop cannot be made.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let threads = (0..count.get())
            .map(|_| Arbiter::try_new())
            .collect::<io::Result<Vec<_>>>()?;
        let shards = threads
            .iter()
            .map(|thread| Shard::new(Home::Arbiter(thread.handle())));
        let spawner = Spawner {
            shards: shards.collect(),
        };
        Ok(Self { threads, spawner })
    }

    /// What places work on these arbiters.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Stops all arbiters and waits for their threads. What still runs on them is dropped.
    ///
    /// # Errors
    /// [`StopError`]; all that could be stopped has been.
    pub async fn stop(self, within: Duration) -> Result<(), StopError> {
        for thread in &self.threads {
            thread.stop();
        }
        let (done, joined) = oneshot::channel();
        // Not `spawn_blocking`: a runtime waits for that at its end, for ever if an arbiter hangs.
        thread::spawn(move || {
            let panicked = self
                .threads
                .into_iter()
                .filter_map(|thread| thread.join().err());
            let _ = done.send(panicked.count());
        });
        match timeout(within, joined).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(panicked)) => Err(StopError::Panicked(panicked)),
            Ok(Err(_)) | Err(_) => Err(StopError::Late),
        }
    }
}

impl Spawner {
    /// Makes a spawner with one arbiter that is the caller's own `LocalSet`: for tests.
    #[must_use]
    pub fn local() -> Self {
        Self {
            shards: Arc::new([Shard::new(Home::Here)]),
        }
    }

    /// How many arbiters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Says whether there is no arbiter; there always is one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The arbiter on which a tenant and all its runtimes live: the same in every process with as
    /// many arbiters.
    #[must_use]
    pub fn place(&self, tenant: &TenantId) -> usize {
        // An id's leading bytes are its time and nobody vouches for the rest: hash all of it.
        let hash = Sha256::digest(tenant.as_bytes());
        let sum = hash
            .iter()
            .take(8)
            .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let count = u64::try_from(self.shards.len()).unwrap_or(1).max(1);
        usize::try_from(sum % count).unwrap_or(0)
    }

    /// Runs a future that may stay on its thread (`!Send`), made there by `make`.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub fn spawn_on<F>(
        &self,
        arbiter: usize,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), SpawnError>
    where
        F: Future<Output = ()> + 'static,
    {
        self.begin(arbiter, move || {
            drop(actix::spawn(make()));
        })
    }

    /// Calls a function on an arbiter (one that starts actors, say) and waits for its value.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub async fn call_on<T: Send + 'static>(
        &self,
        arbiter: usize,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SpawnError> {
        let (done, value) = oneshot::channel();
        self.begin(arbiter, move || {
            let _ = done.send(call());
        })?;
        match timeout(BEGIN_WITHIN, value).await {
            Ok(value) => value.map_err(|_| SpawnError::Stopped),
            Err(_) => Err(SpawnError::Late),
        }
    }

    fn begin(
        &self,
        arbiter: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), SpawnError> {
        let shard = self
            .shards
            .get(arbiter)
            .ok_or(SpawnError::NoSuchArbiter(arbiter))?;
        let place = shard.place()?;
        let work = move || {
            drop(place);
            work();
        };
        match &shard.home {
            Home::Arbiter(handle) => {
                if handle.spawn_fn(work) {
                    Ok(())
                } else {
                    Err(SpawnError::Stopped)
                }
            }
            Home::Here => {
                drop(actix::spawn(async move { work() }));
                Ok(())
            }
        }
    }
}

impl Shard {
    fn new(home: Home) -> Self {
        Self {
            home,
            places: Arc::new(Semaphore::new(BEGIN_MAX)),
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, SpawnError> {
        self.places
            .clone()
            .try_acquire_owned()
            .map_err(|_| SpawnError::Overloaded)
    }
}

/// Waking a tenant takes 5 ms at most, so a thousand is five seconds of work: more would be late.
const BEGIN_MAX: usize = 1_024;

/// As long as a full queue of [`BEGIN_MAX`] takes.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
