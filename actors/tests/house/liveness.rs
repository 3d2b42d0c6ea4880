//! Heartbeats, silence and return.

use std::time::Duration;

use provost_actors::Peer;
use provost_protocol::entity::{DeploymentMode, Limit, Liveness, RuntimeStatus};
use tokio::task::spawn_local;

use super::world::*;

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
        assert_eq!(world.directory.sweep().await.unwrap(), 3);
        assert_eq!(world.count(tenant, LOST).await, 1);
        let view = world.handle(tenant).await.view();
        assert!(!view.runtime(peers[0].identity.runtime).unwrap().lost);
        assert_eq!(world.directory.sweep().await.unwrap(), 0);
    })
    .await;
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
