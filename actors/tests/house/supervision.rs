//! Panics, rebuilding, quarantine.

use provost_kernel::Command;
use provost_protocol::{
    Code,
    entity::{DeploymentMode, Limit, TenantStatus},
};

use super::{store::Fault, world::*};

#[tokio::test(start_paused = true)]
async fn a_panicking_tenant_is_rebuilt_from_the_store_while_its_neighbour_goes_on() {
    local(async {
        let world = World::new();
        let (sick, well) = (world.tenant(1, None).await, world.tenant(2, None).await);
        let peer = world.runtime(well, 5, DeploymentMode::OnPrem).await;
        world
            .execute(well, grant("seats", Limit::Flag(true)))
            .await
            .unwrap();
        world
            .execute(sick, grant("a", Limit::Quota(1)))
            .await
            .unwrap();
        world.store.panic_in_append(sick, 1);

        let outcome = world.execute(sick, grant("b", Limit::Quota(1))).await;
        assert_eq!(
            outcome.unwrap_err().problem().code,
            Code::OutcomeUnknown,
            "whether it happened only the store can tell"
        );
        assert!(world.check(&peer, well).await.unwrap().allowed);

        let executed = world
            .execute(sick, grant("c", Limit::Quota(1)))
            .await
            .unwrap();
        assert_eq!(
            executed.state.entitlements().count(),
            2,
            "a and c; b was never written"
        );
        assert_eq!(world.count(sick, "entitlement.granted").await, 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_keeps_crashing_is_quarantined_and_nobody_is_suspended() {
    local(async {
        let world = World::new();
        let (sick, well) = (world.tenant(1, None).await, world.tenant(2, None).await);
        let peer = world.runtime(well, 5, DeploymentMode::OnPrem).await;
        world.store.panic_in_append(sick, u32::MAX);
        let mut last = None;
        for _ in 0..6 {
            last = world.execute(sick, grant("a", Limit::Quota(1))).await.err();
            settle().await;
        }
        assert_eq!(last.unwrap().problem().code, Code::OutcomeUnknown);

        let refused = world.directory.tenant(sick).await.unwrap_err().problem();
        assert_eq!(
            (refused.code, refused.status),
            (Code::TenantQuarantined, 503)
        );
        assert!(refused.retry_after_ms.is_some());
        let loads = world.store.loads();
        for _ in 0..20 {
            assert!(world.directory.tenant(sick).await.is_err());
        }
        assert_eq!(
            world.store.loads(),
            loads,
            "it is not built again for whoever asks"
        );
        assert!(
            !world.check(&peer, well).await.unwrap().allowed,
            "the neighbour answers"
        );

        let status = world
            .restarted()
            .handle(sick)
            .await
            .view()
            .tenant()
            .unwrap()
            .status;
        assert_eq!(
            status,
            TenantStatus::Active,
            "only a command changes contract status"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_cannot_be_loaded_is_tried_a_few_times_and_not_for_every_caller() {
    local(async {
        let world = World::new();
        let sick = world.tenant(1, None).await;
        let world = world.restarted();
        world.store.panic_in_load(Some(sick));
        let loads = world.store.loads();
        for _ in 0..10 {
            let refused = world.directory.tenant(sick).await.unwrap_err();
            assert_eq!(refused.problem().code, Code::TenantQuarantined);
        }
        // Once by who came first, and six times by its guardian.
        assert_eq!(world.store.loads() - loads, 1 + 6);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_runtime_of_a_rebuilt_tenant_is_never_told_that_it_is_revoked() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let status = world.beat(&peer).await.unwrap().status;
        world.store.panic_in_append(tenant, 1);
        let _ = world.execute(tenant, grant("a", Limit::Quota(1))).await;

        for _ in 0..30 {
            assert_eq!(world.beat(&peer).await.unwrap().status, status);
            seconds(10).await;
        }
        let suspend = Command::SuspendRuntime {
            runtime: peer.identity.runtime,
            reason: String::new(),
        };
        world.execute(tenant, suspend).await.unwrap();
        let beat = world.beat(&peer).await.unwrap();
        assert_eq!(
            beat.status.to_string(),
            "suspended",
            "it sees the rebuilt tenant's view"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_an_unknown_outcome_the_actor_says_what_the_store_says() {
    local(async {
        for (fault, written) in [(Fault::Lost, 0), (Fault::Unheard, 1)] {
            let world = World::new();
            let tenant = world.tenant(1, None).await;
            let handle = world.handle(tenant).await;
            world.store.fail(1, fault);
            let first = handle
                .execute(grant("a", Limit::Quota(1)), keyed("k", "r"))
                .await;
            assert_eq!(first.unwrap_err().problem().code, Code::OutcomeUnknown);
            assert_eq!(world.count(tenant, "entitlement.granted").await, written);

            let again = handle
                .execute(grant("a", Limit::Quota(1)), keyed("k", "r"))
                .await;
            let again = again.unwrap();
            assert_eq!(again.repeated, written == 1, "{fault:?}");
            assert_eq!(again.events.len(), 1);
            assert_eq!(world.count(tenant, "entitlement.granted").await, 1);
        }
    })
    .await;
}
