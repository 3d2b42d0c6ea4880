//! Heartbeats, silence and return.

use std::time::Duration;

use provost_actors::{Peer, Swept};
use provost_kernel::Command;
use provost_protocol::entity::{DeploymentMode, Limit, Liveness, RuntimeStatus};
use tokio::task::spawn_local;

use super::{store::Fault, world::*};

#[tokio::test(start_paused = true)]
async fn the_first_heartbeat_activates_once_and_no_other_causes_a_write() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world.store.take_appends(tenant);
        world.store.hold_appends();
        let firsts: Vec<_> = (0..3)
            .map(|_| {
                let (world, peer) = (world.clone(), peer.clone());
                spawn_local(async move { world.beat(&peer).await })
            })
            .collect();
        settle().await;
        world.store.release_appends();
        for first in firsts {
            assert_eq!(first.await.unwrap().unwrap().status, RuntimeStatus::Active);
        }
        for _ in 0..200 {
            seconds(5).await;
            assert_eq!(
                world.beat(&peer).await.unwrap().status,
                RuntimeStatus::Active
            );
        }
        assert_eq!(world.store.take_appends(tenant), [1]);
        assert_eq!(world.count(tenant, ACTIVATED).await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn runtimes_that_fall_silent_together_are_one_event_and_so_is_their_return() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 3).await;
        seconds(25).await;
        assert_eq!(
            world.count(tenant, LOST).await,
            0,
            "within their grace nobody is lost"
        );
        seconds(20).await;
        assert_eq!(world.count(tenant, LOST).await, 1);
        let lost = world.directory.live(tenant, peers[0].identity.runtime);
        assert!(lost.is_none_or(|live| live.liveness == Liveness::Lost));

        for peer in &peers {
            world.beat(peer).await.unwrap();
        }
        seconds(3).await;
        for peer in &peers {
            world.beat(peer).await.unwrap();
        }
        seconds(3).await;
        assert_eq!(world.count(tenant, RETURNED).await, 1);
        let view = world.handle(tenant).await.view();
        assert!(
            peers
                .iter()
                .all(|peer| !view.runtime(peer.identity.runtime).unwrap().lost)
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_commits_all_the_time_still_records_who_was_lost() {
    local(async {
        let world = World::new();
        let (tenant, _) = fleet(&world, 1).await;
        for number in 0..450 {
            world
                .execute(tenant, grant("busy", Limit::Quota(number)))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(world.count(tenant, LOST).await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn those_who_return_one_after_the_other_do_not_put_the_record_off() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 12).await;
        seconds(45).await;
        for peer in &peers {
            world.beat(peer).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let events = world.count(tenant, RETURNED).await;
        assert!((3..=6).contains(&events), "{events} events in six seconds");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_could_not_be_written_is_written_once_the_disk_is_free() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 2).await;
        world.store.memory.refuse_writes(true);
        seconds(90).await;
        assert_eq!(world.count(tenant, LOST).await, 0);
        world.store.memory.refuse_writes(false);
        seconds(20).await;
        assert_eq!(world.count(tenant, LOST).await, 1);
        seconds(120).await;
        assert_eq!(world.count(tenant, LOST).await, 1);
        let asleep = world.directory.live(tenant, peers[0].identity.runtime);
        assert!(asleep.is_none(), "a lost runtime costs nothing");
        assert_eq!(world.directory.tenants_awake(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_the_kernel_slept_nobody_is_lost() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 3).await;
        tokio::time::advance(Duration::from_secs(3_600)).await;
        settle().await;
        for peer in &peers {
            world.beat(peer).await.unwrap();
        }
        seconds(20).await;
        assert_eq!(world.count(tenant, LOST).await, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_those_who_did_not_come_back_are_swept_up_in_one_event() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 4).await;
        let world = world.restarted();
        let grace = world.directory.grace_after_start().await.unwrap();
        assert!(grace >= Duration::from_secs(30));
        world.beat(&peers[0]).await.unwrap();
        assert_eq!(swept(&world).await, 3);
        assert_eq!(world.count(tenant, LOST).await, 1);
        let view = world.handle(tenant).await.view();
        assert!(!view.runtime(peers[0].identity.runtime).unwrap().lost);
        assert_eq!(swept(&world).await, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_did_not_come_back_while_the_disk_was_full_is_recorded_once_it_is_not() {
    local(async {
        let world = World::new();
        let (tenant, _) = fleet(&world, 2).await;
        let world = world.restarted();
        let directory = world.directory.clone();
        let sweep = spawn_local(async move { directory.sweep_after_grace().await });
        world.store.memory.refuse_writes(true);
        seconds(120).await;
        assert_eq!(world.count(tenant, LOST).await, 0);
        world.store.memory.refuse_writes(false);
        seconds(20).await;
        assert_eq!(sweep.await.unwrap(), 2);
        assert_eq!(world.count(tenant, LOST).await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_was_suspended_and_did_not_come_back_is_lost_too() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 2).await;
        for peer in &peers {
            let suspend = Command::SuspendRuntime {
                runtime: peer.identity.runtime,
                reason: String::new(),
            };
            world.execute(tenant, suspend).await.unwrap();
        }
        let world = world.restarted();
        world.beat(&peers[0]).await.unwrap();
        assert_eq!(swept(&world).await, 1);
        let view = world.handle(tenant).await.view();
        assert!(view.runtime(peers[1].identity.runtime).unwrap().lost);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_became_durable_unheard_is_counted_all_the_same() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 2).await;
        let world = world.restarted();
        world.store.fail(1, Fault::Unheard);
        assert_eq!(world.directory.sweep_after_grace().await, 2);
        assert_eq!(world.count(tenant, LOST).await, 1);
        let lost = world.directory.lost();
        assert_eq!(lost.values().sum::<usize>(), 2);
        for peer in &peers {
            world.beat(peer).await.unwrap();
        }
        assert!(world.directory.lost().is_empty(), "they came back");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_slept_after_its_start_gives_the_rest_of_the_grace_all_the_same() {
    local(async {
        let world = World::new();
        let (tenant, peers) = fleet(&world, 2).await;
        let world = world.restarted();
        let directory = world.directory.clone();
        let sweep = spawn_local(async move { directory.sweep_after_grace().await });
        seconds(5).await;
        tokio::time::advance(Duration::from_secs(3_600)).await;
        settle().await;
        assert_eq!(world.count(tenant, LOST).await, 0, "it was the kernel");
        world.beat(&peers[0]).await.unwrap();
        for _ in 0..3 {
            seconds(10).await;
            world.beat(&peers[0]).await.unwrap();
        }
        assert_eq!(sweep.await.unwrap(), 1);
        assert_eq!(world.count(tenant, LOST).await, 1);
        let lost = world.directory.lost();
        assert_eq!(lost.values().sum::<usize>(), 1);
        world.beat(&peers[1]).await.unwrap();
        assert!(world.directory.lost().is_empty(), "it came back");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_who_asks_before_it_beats_has_the_grace_it_was_told_before() {
    local(async {
        let world = World::new();
        let (tenant, _) = fleet(&world, 1).await;
        let asking = world.runtime(tenant, 9, DeploymentMode::OnPrem).await;
        world.beat(&asking).await.unwrap();
        // As if 100,000 had been there: each was told to beat every 200 s.
        world.store.pretend_online(100_000);
        let world = world.restarted();
        let grace = world.directory.grace_after_start().await.unwrap();
        assert!(grace > Duration::from_secs(400), "{grace:?}");
        world.check(&asking, tenant).await.unwrap();
        seconds(300).await;
        let live = world.directory.live(tenant, asking.identity.runtime);
        assert_ne!(live.unwrap().liveness, Liveness::Lost);
        let beat = world.beat(&asking).await.unwrap();
        assert!(beat.heartbeat_interval_ms > 150_000, "stretched at once");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_the_policys_spread_anew_with_each_answer() {
    local(async {
        let world = World::new();
        let (_, peers) = fleet(&world, 1).await;
        let mut intervals = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let beat = world.beat(&peers[0]).await.unwrap();
            let interval = beat.heartbeat_interval_ms;
            assert!((9_000..=11_000).contains(&interval), "{interval}");
            assert_eq!(beat.desired.heartbeat_interval_ms, interval);
            intervals.insert(interval);
        }
        assert!(intervals.len() > 30, "{intervals:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_did_not_come_back_are_as_few_events_as_they_fit_into() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        for number in 0..600_u16 {
            world.many(tenant, number).await;
        }
        let world = world.restarted();
        assert_eq!(swept(&world).await, 600);
        assert_eq!(world.count(tenant, LOST).await, 2, "of 500 at most");
    })
    .await;
}

async fn swept(world: &World) -> usize {
    let mut swept = Swept::default();
    world.directory.sweep(&mut swept).await.unwrap();
    swept.lost
}

/// A tenant with so many runtimes that have beaten once.
async fn fleet(world: &World, count: u8) -> (provost_protocol::TenantId, Vec<Peer>) {
    let tenant = world.tenant(1, None).await;
    let mut peers = Vec::new();
    for number in 0..count {
        peers.push(
            world
                .runtime(tenant, 10 + number, DeploymentMode::OnPrem)
                .await,
        );
    }
    for peer in &peers {
        world.beat(peer).await.unwrap();
    }
    (tenant, peers)
}

const ACTIVATED: &str = "runtime.activated";
const LOST: &str = "runtime.lost";
const RETURNED: &str = "runtime.returned";
