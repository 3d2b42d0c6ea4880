//! The disk alarm: space that runs short is said aloud long before writes are refused.
//!
//! Every half minute the free bytes of the data folder are looked at. Below `limits.disk_low_bytes`
//! the alarm is raised: one event `install.disk-low` in the internal tenant's log, a warning, a
//! figure, and the status. It is over only when an eighth more than that is free again, so that a
//! disk at the edge does not fill the log with its own alarm.
//!
//! What survives a restart is the log: a start goes on from the last alarm that stands in it, so a
//! disk that stays low is one event, however often the kernel starts.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::gauge;
use provost_actors::{Directory, Meta, TenantError};
use provost_kernel::{Command, command::Alarm};
use provost_protocol::{
    CorrelationId, TenantId,
    envelope::{ActorRef, Source},
    event::{DiskLow, DiskRecovered},
};
use provost_store::{Query, ReadError};
use tokio::time::interval;

use crate::{config::Limits, telemetry::names};

/// What a disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Bytes there are.
    pub total: u64,
}

/// Where the space of the data's disk is read.
#[derive(Clone)]
pub struct Gauge(Arc<dyn Fn() -> std::io::Result<Space> + Send + Sync>);

/// What the last look at the disk showed. Cheap to clone; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct DiskStatus(Arc<Shown>);

#[derive(Debug, Default)]
struct Shown {
    last: Mutex<Option<Look>>,
    low: AtomicBool,
}

/// One look at the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Below how many the alarm is raised.
    pub low_bytes: u64,
}

/// Looks at the disk, and raises and ends the alarm.
#[derive(Debug)]
pub(super) struct DiskWatch {
    pub(super) directory: Directory,
    pub(super) internal: TenantId,
    pub(super) gauge: Gauge,
    pub(super) limits: Limits,
    pub(super) status: DiskStatus,
}

impl Gauge {
    /// The file system that holds a folder.
    #[must_use]
    pub fn of(dir: PathBuf) -> Self {
        Self::from_fn(move || {
            let found = rustix::fs::statvfs(&dir)?;
            Ok(Space {
                free: found.f_bavail.saturating_mul(found.f_frsize),
                total: found.f_blocks.saturating_mul(found.f_frsize),
            })
        })
    }

    /// Any other source.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> std::io::Result<Space> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauge(…)")
    }
}

impl DiskStatus {
    /// The last look; none before the first.
    #[must_use]
    pub fn last(&self) -> Option<Look> {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the alarm is raised: recorded in the log, and not over yet.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.0.low.load(Ordering::Relaxed)
    }

    fn show(&self, look: Look) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }
}

impl DiskWatch {
    /// Looks for ever; it ends when it is dropped.
    pub(super) async fn run(self) {
        let mut ticks = interval(LOOK_EVERY);
        let mut known = false;
        loop {
            ticks.tick().await;
            if !known {
                match self.recorded().await {
                    Ok(low) => {
                        self.status.0.low.store(low, Ordering::Relaxed);
                        known = true;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the last disk alarm could not be read");
                        continue;
                    }
                }
            }
            self.look().await;
        }
    }

    /// One look. What could not be recorded is tried again at the next.
    async fn look(&self) {
        let space = match (self.gauge.0)() {
            Ok(space) => space,
            Err(error) => {
                tracing::warn!(%error, "the free space of the disk could not be read");
                return;
            }
        };
        let look = Look {
            free_bytes: space.free,
            low_bytes: low_bytes(&self.limits, space),
        };
        self.status.show(look);
        let was = self.status.is_low();
        let is = is_low(was, look);
        if is != was {
            match self.record(is, look).await {
                Ok(()) => self.status.0.low.store(is, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the disk alarm could not be recorded"),
            }
        }
        // The figure does not wait for the log: the disk may be too full for it.
        gauge!(names::DISK_FREE).set(as_figure(look.free_bytes));
        gauge!(names::DISK_LOW).set(f64::from(u8::from(is)));
    }

    async fn record(&self, low: bool, look: Look) -> Result<(), TenantError> {
        let Look {
            free_bytes,
            low_bytes,
        } = look;
        let alarm = if low {
            tracing::warn!(
                disk.free_bytes = free_bytes,
                disk.low_bytes = low_bytes,
                "the disk is nearly full: writes are refused below limits.disk_free_bytes_min"
            );
            Alarm::DiskLow(DiskLow {
                free_bytes,
                low_bytes,
            })
        } else {
            tracing::info!(disk.free_bytes = free_bytes, "the disk has space again");
            Alarm::DiskRecovered(DiskRecovered { free_bytes })
        };
        raise(&self.directory, self.internal, alarm).await
    }

    /// Whether the last alarm in the log was not ended.
    async fn recorded(&self) -> Result<bool, ReadError> {
        let newest = async |kind: &str| {
            let query = Query {
                kind: Some(kind.to_owned()),
                limit: 1,
                ..Query::default()
            };
            let page = self.directory.house().backend.query(self.internal, query);
            let page = page.await?;
            Ok::<_, ReadError>(page.events.first().map(|event| event.envelope.seq))
        };
        Ok(newest("install.disk-low").await? > newest("install.disk-recovered").await?)
    }
}

/// Records an alarm in the internal tenant's log.
pub(super) async fn raise(
    directory: &Directory,
    internal: TenantId,
    alarm: Alarm,
) -> Result<(), TenantError> {
    let house = directory.house();
    let meta = Meta {
        actor: ActorRef::system(),
        source: Source::Kernel,
        correlation_id: CorrelationId::from_parts(house.clock.now(), house.random.id_bytes()),
        idempotency: None,
    };
    let tenant = directory.tenant(internal).await?;
    tenant
        .execute(Command::RaiseAlarm(alarm), meta)
        .await
        .map(drop)
}

/// Below how many free bytes the alarm is raised.
fn low_bytes(limits: &Limits, space: Space) -> u64 {
    let share = (space.total / LOW_SHARE).min(LOW_SHARE_BYTES_MAX);
    let refusals = limits.disk_free_bytes_min.saturating_mul(LOW_REFUSALS);
    limits.disk_low_bytes.unwrap_or(share.max(refusals))
}

/// Whether the alarm is due, given whether it is raised.
fn is_low(was: bool, look: Look) -> bool {
    let enough = if was {
        look.low_bytes
            .saturating_add(look.low_bytes / RECOVERY_SHARE)
    } else {
        look.low_bytes
    };
    look.free_bytes < enough
}

/// A gauge is a float: exact to 8 PiB.
fn as_figure(bytes: u64) -> f64 {
    let high = u32::try_from(bytes >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(bytes & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high).mul_add(4_294_967_296.0, f64::from(low))
}

/// Even at the fastest that a kernel writes (some 20 MB a second) less than 1 GiB goes between two
/// looks, and the default mark is at least twice that away from the refusal.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// With the default refusal of 256 MiB: an alarm at 2 GiB, some two million events earlier.
const LOW_REFUSALS: u64 = 8;

/// A twentieth of the disk, as monitoring tools have it by custom,
const LOW_SHARE: u64 = 20;

/// but on a large disk no more than 10 GiB: ten million events, days of a busy kernel.
const LOW_SHARE_BYTES_MAX: u64 = 10 * 1_024 * 1_024 * 1_024;

/// More than a start, a rebuild of a small state or a rotated log moves the mark.
const RECOVERY_SHARE: u64 = 8;

#[cfg(test)]
mod tests;
