//! Tenants that sleep, wake, or are not there at all.

use provost_kernel::{Command, command::Grant};
use provost_protocol::{
    Timestamp,
    entity::{DeploymentMode, Feature, Limit, Mode},
};

use super::world::*;

#[tokio::test(start_paused = true)]
async fn a_quiet_tenant_falls_asleep_and_wakes_with_the_same_answers() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        world
            .execute(tenant, grant("seats", Limit::Quota(10)))
            .await
            .unwrap();
        world.beat(&peer).await.unwrap();
        let before = world.consume(&peer, 4, 1).await.unwrap();
        assert_eq!(world.directory.tenants_awake(), 1);
        seconds(180).await;
        assert_eq!(world.directory.tenants_awake(), 0);

        assert_eq!(
            world.consume(&peer, 4, 1).await.unwrap(),
            before,
            "repeated"
        );
        let next = world.consume(&peer, 4, 2).await.unwrap();
        assert_eq!(next.limits.unwrap().used, Some(8));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_first_call_for_a_tenant_that_sleeps_costs_one_read() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let world = world.restarted();
        let reads = || (world.store.loads(), world.store.lookups());
        let (loads, lookups) = reads();
        world.check(&peer, tenant).await.unwrap();
        world.check(&peer, tenant).await.unwrap();
        assert_eq!(reads(), (loads + 1, lookups));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_runtime_beats_stays_awake() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let loads = world.store.loads();
        for _ in 0..60 {
            world.beat(&peer).await.unwrap();
            seconds(10).await;
        }
        assert_eq!(world.store.loads(), loads);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ids_that_name_nobody_leave_nothing_behind() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let (handle, loads) = (world.handle(tenant).await, world.store.loads());
        for number in 0..3_000_u16 {
            let mut random = [9; 10];
            random[8..].copy_from_slice(&number.to_be_bytes());
            let nobody = provost_protocol::TenantId::from_parts(START, random);
            assert!(world.directory.tenant(nobody).await.is_err());
            let nothing = provost_protocol::RuntimeId::from_parts(START, random);
            assert!(world.directory.runtime(&handle, nothing).await.is_err());
        }
        assert_eq!(world.store.loads() - loads, 3_000, "one look for each");
        assert_eq!(world.directory.fleet_size(), 0);
        assert_eq!(world.directory.tenants_awake(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_sleeping_tenant_wakes_it_and_is_recorded_once() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let trial = Command::Grant(Grant {
            feature: Feature::parse("trial").unwrap(),
            runtime: None,
            limit: Limit::Flag(true),
            time_window: None,
            mode: Mode::Enforce,
            valid_until: Timestamp::from_millis(START.as_millis()).plus_millis(HOUR_MS),
        });
        world.execute(tenant, trial).await.unwrap();
        seconds(600).await;
        assert_eq!(world.directory.wake_due().await.unwrap(), 0);
        assert_eq!(world.directory.tenants_awake(), 0);
        seconds(3_600).await;
        assert_eq!(world.directory.wake_due().await.unwrap(), 1);
        seconds(1).await;
        assert_eq!(world.directory.wake_due().await.unwrap(), 0);
        assert_eq!(world.count(tenant, EXPIRED).await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cannot_be_written_is_tried_again_without_haste() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let trial = Command::Grant(Grant {
            feature: Feature::parse("trial").unwrap(),
            runtime: None,
            limit: Limit::Flag(true),
            time_window: None,
            mode: Mode::Enforce,
            valid_until: Timestamp::from_millis(START.as_millis()).plus_millis(30_000),
        });
        world.execute(tenant, trial).await.unwrap();
        world.store.take_appends(tenant);
        world.store.memory.refuse_writes(true);
        seconds(50).await;
        let tries = world.store.take_appends(tenant).len();
        assert!((3..=6).contains(&tries), "{tries} tries in twenty seconds");
        world.store.memory.refuse_writes(false);
        seconds(10).await;
        assert_eq!(world.count(tenant, EXPIRED).await, 1);
    })
    .await;
}

const EXPIRED: &str = "entitlement.expired";
