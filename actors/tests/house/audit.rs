//! Audit events: each id once.

use provost_actors::Peer;
use provost_protocol::{
    Code, EventId, Problem, TenantId,
    entity::DeploymentMode,
    wire::{Operation, Outcome},
};

use tokio::task::spawn_local;

use super::world::*;

#[tokio::test(start_paused = true)]
async fn the_same_id_and_bytes_give_the_same_seq_and_other_bytes_a_conflict() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let one = event(&peer, tenant, 1, 1, r#"{"a":1}"#);
        let other = event(&peer, tenant, 1, 1, r#"{"a":2}"#);
        let first = send(&world, &peer, vec![one.clone()]).await.unwrap();
        for world in [&world, &world.restarted()] {
            let again = send(world, &peer, vec![one.clone()]).await;
            assert_eq!(again.unwrap(), first);
            let conflict = send(world, &peer, vec![other.clone()]).await;
            assert_eq!(code(conflict), Code::EventConflict);
        }
        assert_eq!(world.count(tenant, "audit.recorded").await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_call_that_names_an_id_twice_records_it_once_or_not_at_all() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let (one, two) = (
            event(&peer, tenant, 1, 1, "{}"),
            event(&peer, tenant, 1, 2, "{}"),
        );
        let twice = vec![one.clone(), two, one.clone()];
        let seqs = send(&world, &peer, twice).await.unwrap();
        assert_eq!(seqs[0], seqs[2]);
        assert_eq!(seqs[1], seqs[0] + 1);
        let differs = event(&peer, tenant, 1, 3, r#"{"x":1}"#);
        let other = event(&peer, tenant, 1, 3, r#"{"x":2}"#);
        let mixed = send(&world, &peer, vec![differs, other]).await;
        assert_eq!(code(mixed), Code::EventConflict);
        assert_eq!(
            world.count(tenant, "audit.recorded").await,
            2,
            "all or none"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_batch_sent_again_after_a_restart_and_weeks_records_nothing_twice() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let batch: Vec<_> = (0..1_000)
            .map(|n| event(&peer, tenant, 1, n, "{}"))
            .collect();
        let first = send(&world, &peer, batch.clone()).await.unwrap();
        let later = world.restarted();
        assert_eq!(send(&later, &peer, batch.clone()).await.unwrap(), first);
        let much_later = world.restarted_after(21);
        assert_eq!(send(&much_later, &peer, batch).await.unwrap(), first);
        assert_eq!(world.count(tenant, "audit.recorded").await, 1_000);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_remembered_when_asked_and_pushed_out_before_it_was_judged_is_looked_up_again() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let batch = |batch: u8, count: u16| {
            let events = (0..count).map(|n| event(&peer, tenant, batch, n, "{}"));
            events.collect::<Vec<_>>()
        };
        let first = send(&world, &peer, batch(1, 500)).await.unwrap();
        world.store.hold_searches(true);
        let sends = [batch(2, 1_000), [batch(1, 500), batch(3, 1)].concat()].map(|events| {
            let (world, peer) = (world.clone(), peer.clone());
            spawn_local(async move { send(&world, &peer, events).await })
        });
        settle().await;
        world.store.hold_searches(false);
        let [flood, repeated] = sends;
        flood.await.unwrap().unwrap();
        assert_eq!(repeated.await.unwrap().unwrap()[..500], first);
        assert_eq!(world.count(tenant, "audit.recorded").await, 1_501);
    })
    .await;
}

async fn send(world: &World, peer: &Peer, events: Vec<Vec<u8>>) -> Result<Vec<u64>, Problem> {
    let operation = Operation::Audit(events);
    match world.call(peer, peer.identity.tenant, operation).await? {
        Outcome::Recorded(recorded) => Ok(recorded.iter().map(|one| one.seq).collect()),
        other => panic!("{other:?}"),
    }
}

/// An event's bytes as a runtime sends them.
pub(crate) fn event(
    peer: &Peer,
    tenant: TenantId,
    batch: u8,
    number: u16,
    payload: &str,
) -> Vec<u8> {
    let mut random = [batch; 10];
    random[..2].copy_from_slice(&number.to_be_bytes());
    // The first bits hold the version; the number stands in what is left of them.
    random[4..6].copy_from_slice(&number.to_be_bytes());
    let (id, runtime) = (EventId::from_parts(START, random), peer.identity.runtime);
    let correlation = correlation();
    format!(
        r#"{{"event_id":"{id}","tenant_id":"{tenant}","runtime_id":"{runtime}","actor_type":"user","actor_id":"someone","type":"session.started","timestamp":"{START}","correlation_id":"{correlation}","payload":{payload}}}"#
    )
    .into_bytes()
}
