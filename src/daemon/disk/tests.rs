use std::{
    io,
    sync::atomic::{AtomicU64, AtomicUsize},
};

use provost_actors::Spawner;
use provost_kernel::command::CreateTenant;
use provost_protocol::{
    Timestamp,
    entity::{Policies, TenantType},
};
use provost_store::{Backend, MemoryStore, Range};
use tokio::task::LocalSet;

use super::*;
use crate::admin::tests::world::{house, meta};

/// A kernel in one thread, whose disk is a number.
struct World {
    backend: Arc<dyn Backend>,
    directory: Directory,
    internal: TenantId,
    free: Arc<AtomicU64>,
    failing: Arc<AtomicUsize>,
}

impl World {
    async fn new() -> Self {
        let backend: Arc<dyn Backend> = Arc::new(MemoryStore::new());
        let internal = TenantId::from_parts(Timestamp::EPOCH, [1; 10]);
        let house = house(Arc::clone(&backend));
        let directory = Directory::new(Arc::new(house), Spawner::local());
        let create = Command::CreateTenant(CreateTenant {
            tenant_type: TenantType::Internal,
            name: "operator".to_owned(),
            policies: Policies::default(),
            operator: None,
            time_zone: "UTC".to_owned(),
            region: None,
        });
        directory.create(internal, create, meta()).await.unwrap();
        Self {
            backend,
            directory,
            internal,
            free: Arc::new(AtomicU64::new(TOTAL)),
            failing: Arc::default(),
        }
    }

    /// A watch as a started kernel has it.
    fn watch(&self) -> DiskWatch {
        let (free, failing) = (Arc::clone(&self.free), Arc::clone(&self.failing));
        DiskWatch {
            directory: self.directory.clone(),
            internal: self.internal,
            gauge: Gauge::from_fn(move || {
                if failing.load(Ordering::Relaxed) > 0 {
                    failing.fetch_sub(1, Ordering::Relaxed);
                    return Err(io::ErrorKind::Other.into());
                }
                Ok(Space {
                    free: free.load(Ordering::Relaxed),
                    total: TOTAL,
                })
            }),
            limits: Limits {
                disk_low_bytes: Some(LOW),
                ..Limits::default()
            },
            status: DiskStatus::default(),
        }
    }

    fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Relaxed);
    }

    /// The alarms in the internal tenant's log, oldest first.
    async fn alarms(&self) -> Vec<String> {
        let range = Range {
            limit: 100,
            ..Range::default()
        };
        let events = self.backend.read(self.internal, range).await.unwrap();
        let kinds = events.iter().map(|event| event.envelope.event.kind());
        kinds
            .filter(|kind| kind.starts_with("install."))
            .map(str::to_owned)
            .collect()
    }
}

async fn in_world<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let run = async { test(World::new().await).await };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn a_disk_that_runs_low_is_one_event_and_one_more_when_it_is_well_again() {
    in_world(async |world| {
        let watch = world.watch();
        watch.look().await;
        assert!(!watch.status.is_low());
        assert!(world.alarms().await.is_empty());

        world.set_free(LOW - 1);
        watch.look().await;
        watch.look().await;
        assert!(watch.status.is_low());
        assert_eq!(world.alarms().await, ["install.disk-low"]);

        // At the edge nothing changes; an eighth more ends it.
        world.set_free(LOW + LOW / 8 - 1);
        watch.look().await;
        assert!(watch.status.is_low());
        world.set_free(LOW + LOW / 8);
        watch.look().await;
        assert!(!watch.status.is_low());
        let both = ["install.disk-low", "install.disk-recovered"];
        assert_eq!(world.alarms().await, both);
        let seen = Look {
            free_bytes: LOW + LOW / 8,
            low_bytes: LOW,
        };
        assert_eq!(watch.status.last(), Some(seen));
    })
    .await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_alarm_that_stands_in_the_log() {
    in_world(async |world| {
        world.set_free(LOW - 1);
        world.watch().look().await;

        let again = world.watch();
        assert_eq!(again.recorded().await, Ok(true));
        again.status.0.low.store(true, Ordering::Relaxed);
        again.look().await;
        assert_eq!(world.alarms().await, ["install.disk-low"]);

        world.set_free(TOTAL);
        again.look().await;
        assert_eq!(world.watch().recorded().await, Ok(false));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_disk_is_looked_at_from_the_start_and_every_half_minute() {
    in_world(async |world| {
        let watch = world.watch();
        let status = watch.status.clone();
        world.failing.store(2, Ordering::Relaxed);
        world.set_free(LOW - 1);
        let running = tokio::task::spawn_local(watch.run());
        tokio::time::sleep(LOOK_EVERY + LOOK_EVERY / 2).await;
        // Twice the disk did not say; the third look shows it.
        assert_eq!((status.last(), status.is_low()), (None, false));
        tokio::time::sleep(LOOK_EVERY).await;
        assert!(status.is_low());
        running.abort();
    })
    .await;
}

#[test]
fn the_mark_is_a_twentieth_of_the_disk_within_bounds_unless_it_is_given() {
    let limits = Limits::default();
    let mark = |total, limits: &Limits| low_bytes(limits, Space { free: 0, total });
    let gib = 1_024 * 1_024 * 1_024;
    assert_eq!(mark(100 * gib, &limits), 5 * gib);
    assert_eq!(mark(4_000 * gib, &limits), 10 * gib);
    assert_eq!(mark(gib, &limits), 2 * gib);
    let given = Limits {
        disk_low_bytes: Some(7),
        ..limits
    };
    assert_eq!(mark(100 * gib, &given), 7);
}

const TOTAL: u64 = 1_000_000;
const LOW: u64 = 80_000;
