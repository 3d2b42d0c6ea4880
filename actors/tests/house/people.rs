//! People who get a tenant of their own, whatever happens between two steps.

use provost_actors::Peer;
use provost_kernel::Command;
use provost_protocol::{Code, TenantId, entity::DeploymentMode, verdict::Reason};
use provost_store::Backend;

use super::{store::Fault, world::*};

#[tokio::test(start_paused = true)]
async fn a_person_seen_first_gets_one_tenant_and_is_found_there_again() {
    local(async {
        let (world, operator, peer) = platform().await;
        let first = world.resolve(&peer, operator, "ada").await.unwrap();
        assert_ne!(first.tenant, operator);
        assert_eq!(world.kinds(first.tenant).await, HOME);
        let again = world
            .restarted()
            .resolve(&peer, operator, "ada")
            .await
            .unwrap();
        assert_eq!(
            (again.tenant, again.identity),
            (first.tenant, first.identity)
        );
        let other = world.resolve(&peer, operator, "bob").await.unwrap();
        assert_ne!(other.tenant, first.tenant);
        assert_eq!(world.count(operator, ADMITTED).await, 2);
        assert_eq!(
            code(world.resolve(&peer, operator, "forged").await),
            Code::ExternalTokenRefused
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_steps_ends_in_the_same_one_tenant() {
    local(async {
        for step in 1..=4 {
            for fault in [Fault::Refused, Fault::Lost, Fault::Unheard] {
                let (world, operator, peer) = platform().await;
                world.store.fail(step, fault);
                let failed = world.resolve(&peer, operator, "ada").await;
                assert_eq!(failed.unwrap_err().status, 503, "step {step}, {fault:?}");

                let world = world.restarted();
                let found = world.resolve(&peer, operator, "ada").await.unwrap();
                let kinds = world.kinds(found.tenant).await;
                assert_eq!(kinds[..4], HOME, "step {step}, {fault:?}");
                assert!(kinds[4..].iter().all(|kind| *kind == HOME[3]), "{kinds:?}");
                assert_eq!(world.count(operator, ADMITTED).await, 1);
                let all = world.store.tenants(None, 10).await.unwrap();
                assert_eq!(all.len(), 2, "the operator's and the person's");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn for_a_person_a_runtime_acts_only_within_twelve_hours_of_a_resolve() {
    local(async {
        let (world, operator, peer) = platform().await;
        let home = world.resolve(&peer, operator, "ada").await.unwrap().tenant;
        let reason = |verdict: provost_protocol::verdict::Verdict| verdict.reason;
        let check = world.check(&peer, home).await.unwrap();
        assert_eq!(reason(check), Reason::NoEntitlement);
        seconds(12 * 3_600 + 1).await;
        let check = world.check(&peer, home).await.unwrap();
        assert_eq!(reason(check), Reason::ResolveNeeded);
        world.resolve(&peer, operator, "ada").await.unwrap();
        let check = world.check(&peer, home).await.unwrap();
        assert_eq!(reason(check), Reason::NoEntitlement);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_suspended_nobody_is_admitted() {
    local(async {
        let (world, operator, peer) = platform().await;
        let suspend = Command::SuspendRuntime {
            runtime: peer.identity.runtime,
            reason: String::new(),
        };
        world.execute(operator, suspend).await.unwrap();
        let refused = world.resolve(&peer, operator, "ada").await;
        assert_eq!(code(refused), Code::RuntimeSuspended);
        assert_eq!(world.count(operator, ADMITTED).await, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_operators_people_are_not_admitted_through_an_attached_runtime() {
    local(async {
        let (world, operator, peer) = platform().await;
        let customer = world.tenant(2, Some(operator)).await;
        world.execute(customer, provider(2, true)).await.unwrap();
        world.attach(customer, &peer).await;
        let refused = world.resolve(&peer, customer, "ada").await;
        assert_eq!(code(refused), Code::IdentityMismatch);
        assert_eq!(world.count(customer, ADMITTED).await, 0);
    })
    .await;
}

/// An operator with a shared runtime, whose people get tenants of their own.
async fn platform() -> (World, TenantId, Peer) {
    let world = World::new();
    let operator = world.tenant(1, None).await;
    world.execute(operator, provider(1, true)).await.unwrap();
    let peer = world.runtime(operator, 10, DeploymentMode::Shared).await;
    (world, operator, peer)
}

const ADMITTED: &str = "tenant.individual-admitted";

const HOME: [&str; 4] = [
    "tenant.created",
    "runtime.attached",
    "identity.created",
    "identity.resolved",
];
