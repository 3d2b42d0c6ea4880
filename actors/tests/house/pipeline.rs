//! Decide → journal → apply → reply, and what is seen meanwhile.

use provost_actors::TenantHandle;
use provost_protocol::{
    Code,
    entity::{DeploymentMode, Limit, RuntimeStatus},
};
use tokio::task::{JoinHandle, spawn_local};

use super::world::*;

#[tokio::test(start_paused = true)]
async fn what_comes_while_an_append_is_under_way_travels_together_in_the_next() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world
            .execute(tenant, grant("seats", Limit::Quota(10)))
            .await
            .unwrap();
        world.beat(&peer).await.unwrap();
        world.store.take_appends(tenant);
        world.store.hold_appends();

        let takes: Vec<_> = (0..8)
            .map(|_| {
                let (world, peer) = (world.clone(), peer.clone());
                spawn_local(async move {
                    let take = check("seats", Some(3), None);
                    world.call(&peer, tenant, take).await.map(checked)
                })
            })
            .collect();
        settle().await;
        assert!(
            takes.iter().all(|take| !take.is_finished()),
            "nobody hears before it is durable"
        );
        let view = world.handle(tenant).await.view();
        let feature = provost_protocol::entity::Feature::parse("seats").unwrap();
        assert!(
            view.counter(&feature, None).is_none(),
            "nothing is visible before it is durable"
        );
        let meanwhile = world.check(&peer, tenant).await.unwrap();
        assert_eq!(
            meanwhile.limits.unwrap().used,
            Some(0),
            "a check is answered meanwhile, from what is durable"
        );

        world.store.release_appends();
        let mut allowed = Vec::new();
        for take in takes {
            allowed.push(take.await.unwrap().unwrap().allowed);
        }
        assert_eq!(
            allowed.iter().filter(|allowed| **allowed).count(),
            3,
            "{allowed:?}"
        );
        assert_eq!(
            allowed[..3],
            [true; 3],
            "decided in order, on what was pending"
        );
        assert_eq!(
            world.store.take_appends(tenant),
            [1, 7],
            "one, then all that waited"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn those_who_write_and_wait_in_turns_travel_together_however_many_they_are() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world
            .execute(tenant, grant("seats", Limit::Quota(10_000)))
            .await
            .unwrap();
        world.beat(&peer).await.unwrap();
        world.store.take_appends(tenant);

        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (world, peer) = (world.clone(), peer.clone());
                spawn_local(async move {
                    for _ in 0..ROUNDS {
                        let take = check("seats", Some(1), None);
                        world.call(&peer, tenant, take).await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let appends = world.store.take_appends(tenant);
        assert_eq!(appends.iter().sum::<usize>(), WRITERS * ROUNDS);
        let full = appends.iter().filter(|events| **events == WRITERS).count();
        assert!(full >= ROUNDS - 2, "{appends:?}");
    })
    .await;
}

/// More than tokio runs in one turn of a `LocalSet`, which is 61.
const WRITERS: usize = 100;

/// Enough that one half that is left behind shows.
const ROUNDS: usize = 10;

#[tokio::test(start_paused = true)]
async fn when_the_disk_refuses_all_that_waited_is_refused_and_the_next_goes_through() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let handle = world.handle(tenant).await;
        world.store.memory.refuse_writes(true);
        world.store.hold_appends();
        let waiting: Vec<_> = ["a", "b", "c"].map(|f| execute(&handle, f)).into();
        settle().await;
        world.store.release_appends();
        for refused in waiting {
            assert_eq!(refused.await.unwrap(), Err(Code::StorageUnavailable));
        }
        assert_eq!(handle.view().entitlements().count(), 0);

        world.store.memory.refuse_writes(false);
        assert_eq!(
            execute(&handle, "d").await.unwrap(),
            Ok(2),
            "the seq follows what is there"
        );
        assert_eq!(handle.view().entitlements().count(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn more_than_one_append_may_hold_is_cut_and_stays_in_order() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world.beat(&peer).await.unwrap();
        world.store.take_appends(tenant);
        world.store.hold_appends();
        let sent: Vec<_> = (0..6_u8)
            .map(|call| {
                let (world, peer) = (world.clone(), peer.clone());
                let events =
                    (0..900_u16).map(|n| super::audit::event(&peer, tenant, call, n, "{}"));
                let events = provost_protocol::wire::Operation::Audit(events.collect());
                spawn_local(async move { world.call(&peer, tenant, events).await })
            })
            .collect();
        settle().await;
        world.store.release_appends();
        for call in sent {
            call.await.unwrap().unwrap();
        }
        let appends = world.store.take_appends(tenant);
        assert_eq!(appends.iter().sum::<usize>(), 5_400);
        assert!(appends.iter().all(|events| *events <= 4_096), "{appends:?}");
        assert!(appends.len() <= 4, "{appends:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_loaded_while_an_append_is_under_way_is_still_there_when_it_is_durable() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        // Active already: its heartbeats cause no append that would bring it back.
        world.beat(&peer).await.unwrap();
        let world = world.restarted();
        let handle = world.handle(tenant).await;
        world.store.hold_appends();
        let commit = execute(&handle, "a");
        settle().await;
        let beat = {
            let (world, peer) = (world.clone(), peer.clone());
            spawn_local(async move { world.beat(&peer).await })
        };
        settle().await;
        assert!(
            handle.view().runtime(peer.identity.runtime).is_some(),
            "loaded meanwhile"
        );
        world.store.release_appends();
        commit.await.unwrap().unwrap();
        assert!(handle.view().runtime(peer.identity.runtime).is_some());
        assert_eq!(beat.await.unwrap().unwrap().status, RuntimeStatus::Active);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_key_is_one_event_however_often_and_whenever_it_is_repeated() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world
            .execute(tenant, grant("seats", Limit::Quota(10)))
            .await
            .unwrap();
        world.store.hold_appends();
        let takes: Vec<_> = (0..5)
            .map(|_| {
                let (world, peer) = (world.clone(), peer.clone());
                spawn_local(async move { world.consume(&peer, 4, 1).await })
            })
            .collect();
        settle().await;
        world.store.release_appends();
        let mut answers = Vec::new();
        for take in takes {
            answers.push(take.await.unwrap().unwrap());
        }
        answers.push(world.consume(&peer, 4, 1).await.unwrap());
        let after = world.restarted();
        answers.push(after.consume(&peer, 4, 1).await.unwrap());
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
        assert_eq!(answers[0].limits.as_ref().unwrap().used, Some(4));
        assert_eq!(world.count(tenant, "quota.consumed").await, 1);

        for world in [&world, &after] {
            assert_eq!(
                code(world.consume(&peer, 5, 1).await),
                Code::IdempotencyConflict
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_append_was_refused_binds_nobody() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let handle = world.handle(tenant).await;
        world.store.fail(1, super::store::Fault::Refused);
        let refused = handle
            .execute(grant("a", Limit::Quota(1)), keyed("k", "one"))
            .await;
        assert_eq!(
            refused.unwrap_err().problem().code,
            Code::StorageUnavailable
        );
        let other = handle
            .execute(grant("b", Limit::Quota(1)), keyed("k", "two"))
            .await;
        assert!(!other.unwrap().repeated);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_waits_for_the_disk_takes_so_many_commands_and_refuses_the_rest() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let handle = world.handle(tenant).await;
        world.store.hold_appends();
        let all: Vec<_> = (0..400)
            .map(|n| execute(&handle, &format!("f{n}")))
            .collect();
        settle().await;
        world.store.release_appends();
        let (mut done, mut refused) = (0, 0);
        for one in all {
            match one.await.unwrap() {
                Ok(_) => done += 1,
                Err(Code::Overloaded) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((done, refused), (257, 143), "one under way, 256 behind it");
    })
    .await;
}

/// Grants a feature in a task of its own: the event's seq, or why not.
fn execute(handle: &TenantHandle, feature: &str) -> JoinHandle<Result<u64, Code>> {
    let (handle, command) = (handle.clone(), grant(feature, Limit::Quota(1)));
    spawn_local(async move {
        let executed = handle.execute(command, admin()).await;
        executed
            .map(|executed| executed.events[0].seq)
            .map_err(|error| error.problem().code)
    })
}
