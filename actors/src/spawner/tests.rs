//! Placement, arbiters and their end.

use std::{rc::Rc, sync::mpsc, thread::ThreadId};

use actix::System;
use provost_protocol::Timestamp;
use tokio::task::LocalSet;

use super::*;

#[test]
fn a_tenant_is_placed_alike_in_every_process_and_tenants_spread() {
    let spawner = Spawner {
        shards: (0..4).map(|_| Shard::new(Home::Here)).collect(),
    };
    let golden: TenantId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    // By another tool: first 8 bytes of sha256(id) as a big-endian number, modulo 4.
    assert_eq!(spawner.place(&golden), GOLDEN_PLACE);

    let mut counts = [0_usize; 4];
    for number in 0..4_000_u16 {
        let mut random = [0; 10];
        random[..2].copy_from_slice(&number.to_be_bytes());
        counts[spawner.place(&TenantId::from_parts(Timestamp::EPOCH, random))] += 1;
    }
    assert!(
        counts.iter().all(|count| (850..1_150).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn work_runs_on_the_arbiter_it_was_placed_on_and_may_stay_there() {
    System::new().block_on(async {
        let arbiters = Arbiters::start(TWO).unwrap();
        let spawner = arbiters.spawner();
        let here = thread::current().id();

        let threads = [
            home(&spawner, 0).await,
            home(&spawner, 1).await,
            home(&spawner, 0).await,
        ];
        assert!(threads[0] != here && threads[0] != threads[1] && threads[0] == threads[2]);

        let (done, value) = oneshot::channel();
        let placed = spawner.spawn_on(1, move || {
            let bound_to_its_thread = Rc::new(42);
            async move {
                tokio::task::yield_now().await;
                let _ = done.send((*bound_to_its_thread, thread::current().id()));
            }
        });
        assert_eq!(placed, Ok(()));
        assert_eq!(
            timeout(PATIENCE, value).await.unwrap(),
            Ok((42, threads[1]))
        );
        assert_eq!(
            spawner.spawn_on(2, || async {}),
            Err(SpawnError::NoSuchArbiter(2))
        );
        assert_eq!(arbiters.stop(PATIENCE).await, Ok(()));
    });
}

#[test]
fn a_panic_on_an_arbiter_leaves_it_working() {
    System::new().block_on(async {
        let arbiters = Arbiters::start(TWO).unwrap();
        let spawner = arbiters.spawner();
        let outcome: Result<(), _> = spawner.call_on(0, || panic!("as asked")).await;
        assert_eq!(outcome, Err(SpawnError::Stopped));
        assert_eq!(spawner.call_on(0, || 7).await, Ok(7));
        assert_eq!(arbiters.stop(PATIENCE).await, Ok(()));
    });
}

#[test]
fn what_waits_to_begin_is_bounded() {
    System::new().block_on(async {
        let arbiters = Arbiters::start(TWO).unwrap();
        let spawner = arbiters.spawner();
        let (go, gate) = mpsc::sync_channel::<()>(1);
        let (begun, has_begun) = oneshot::channel();
        spawner
            .spawn_on(0, move || {
                let _ = begun.send(());
                let _ = gate.recv_timeout(PATIENCE);
                async {}
            })
            .unwrap();
        timeout(PATIENCE, has_begun).await.unwrap().unwrap();

        for _ in 0..BEGIN_MAX {
            assert_eq!(spawner.spawn_on(0, || async {}), Ok(()));
        }
        assert_eq!(
            spawner.spawn_on(0, || async {}),
            Err(SpawnError::Overloaded)
        );
        assert_eq!(
            spawner.call_on(1, || 1).await,
            Ok(1),
            "its neighbour has room"
        );

        go.send(()).unwrap();
        assert_eq!(arbiters.stop(PATIENCE).await, Ok(()));
    });
}

#[test]
fn stopping_drops_what_runs_joins_the_threads_and_refuses_more() {
    System::new().block_on(async {
        let arbiters = Arbiters::start(TWO).unwrap();
        let spawner = arbiters.spawner();
        let held = Arc::new(());
        let holder = held.clone();
        let forever = move || async move {
            std::future::pending::<()>().await;
            drop(holder);
        };
        spawner.spawn_on(0, forever).unwrap();
        home(&spawner, 0).await;
        assert_eq!(Arc::strong_count(&held), 2);

        assert_eq!(arbiters.stop(PATIENCE).await, Ok(()));

        assert_eq!(
            Arc::strong_count(&held),
            1,
            "its future was dropped with the thread"
        );
        assert_eq!(spawner.spawn_on(0, || async {}), Err(SpawnError::Stopped));
    });
}

#[test]
fn an_arbiter_that_hangs_does_not_hold_up_the_end() {
    System::new().block_on(async {
        let arbiters = Arbiters::start(TWO).unwrap();
        let (go, gate) = mpsc::sync_channel::<()>(1);
        let (begun, has_begun) = oneshot::channel();
        let hang = move || {
            let _ = begun.send(());
            let _ = gate.recv_timeout(PATIENCE * 10);
            async {}
        };
        arbiters.spawner().spawn_on(0, hang).unwrap();
        timeout(PATIENCE, has_begun).await.unwrap().unwrap();

        assert_eq!(
            arbiters.stop(Duration::from_millis(50)).await,
            Err(StopError::Late)
        );
        go.send(()).unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn the_local_variant_runs_in_the_callers_own_local_set() {
    LocalSet::new()
        .run_until(async {
            let spawner = Spawner::local();
            assert_eq!(home(&spawner, 0).await, thread::current().id());
        })
        .await;
}

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

const GOLDEN_PLACE: usize = 1;

/// Generous: only a test that fails waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

async fn home(spawner: &Spawner, arbiter: usize) -> ThreadId {
    spawner
        .call_on(arbiter, || thread::current().id())
        .await
        .unwrap()
}
