//! Equal inputs, equal verdicts: the kernel's state and a plain list, as a license will be.

use proptest::prelude::*;
use provost_kernel::{
    Command, State,
    check::{CheckFacts, Grant, Grants, Metering, Question, Resolve, Usage, evaluate},
    command,
    desired::{Surroundings, desired_state},
    license::{PlannedEntitlement, effective},
    state::Entitlement,
    window::Window,
};
use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{Feature, Limit, Mode, RuntimeStatus, TenantStatus, TimeWindow},
    verdict::Reason,
    wire::DesiredLimit,
};

use crate::world::{World, at, config, own, runtime_id};

/// A license's entitlements, with the windows as the kernel computed them, and what the runtime
/// was told to be narrowed to.
struct License(Vec<PlannedEntitlement>, Vec<DesiredLimit>);

impl License {
    fn row(&self, feature: &Feature, runtime: Option<RuntimeId>) -> Option<&PlannedEntitlement> {
        self.0
            .iter()
            .find(|row| row.feature == *feature && row.runtime == runtime)
    }
}

impl Grants for License {
    fn grant(&self, feature: &Feature, runtime: Option<RuntimeId>) -> Option<Grant> {
        self.row(feature, runtime).map(Grant::from)
    }

    fn usage(&self, feature: &Feature, grant: &Grant, _now: Timestamp) -> Usage {
        let row = self.row(feature, grant.runtime).unwrap();
        let window = row.window.unwrap_or(Window::FOREVER);
        Usage {
            window,
            begun: row.window.is_some(),
            used: row.used,
        }
    }

    fn narrowing(&self, _runtime: RuntimeId) -> &[DesiredLimit] {
        &self.1
    }
}

const FEATURES: [&str; 4] = ["x", "x:y", "x:z", "w"];

proptest! {
    #![proptest_config(config(512))]
    #[test]
    fn a_license_gives_the_verdicts_of_the_state_it_was_made_from(
        grants in prop::collection::vec((0_usize..4, any::<bool>(), 0_u8..9, 0_usize..3, 1_u64..40), 0..9),
        uses in prop::collection::vec((0_usize..4, 1_u64..4, 0_u64..20), 0..12),
        limits in prop::collection::vec((0_usize..4, prop::option::of(0_u64..4), 1_u64..30), 0..3),
        status in 0_usize..4,
        suspended: bool,
        consume in prop::option::of(1_u64..5),
        offline: bool,
    ) {
        let mut world = World::company(at("2026-03-28T20:00:00Z"), "Europe/Lisbon");
        world.create_token(1, 1).unwrap();
        world.enroll(1, 1).unwrap();
        for (feature, mine, what, mode, hours) in grants {
            let (limit, time_window) = match what {
                0 => (Limit::Flag(true), None),
                1 => (Limit::Flag(false), None),
                2 => (Limit::Unlimited, None),
                3 => (Limit::Unlimited, Some(TimeWindow::Month)),
                4 => (Limit::Quota(3), None),
                5 => (Limit::Quota(2), Some(TimeWindow::Day)),
                6 => (Limit::Quota(5), Some(TimeWindow::Hour)),
                7 => (Limit::Quota(0), Some(TimeWindow::Week)),
                _ => (Limit::Quota(4), Some(TimeWindow::Rolling { minutes: 180 })),
            };
            world.run(&Command::Grant(command::Grant {
                feature: Feature::parse(FEATURES[feature]).unwrap(),
                runtime: mine.then(|| runtime_id(1)),
                limit,
                time_window,
                mode: Mode::ALL[mode],
                valid_until: world.now.plus_millis(hours * 3_600_000),
            })).unwrap();
        }
        for (feature, amount, hours) in uses {
            world.now = world.now.plus_millis(hours * 1_800_000);
            let feature = Feature::parse(FEATURES[feature]).unwrap();
            let take = command::Consume { caller: own(1), feature, amount, prior: None };
            world.run(&Command::Consume(take)).unwrap();
        }
        for (feature, quota, hours) in limits {
            let limit = command::LimitRuntime {
                runtime: runtime_id(1),
                feature: Feature::parse(FEATURES[feature]).unwrap(),
                limit: quota.map_or(Limit::Flag(false), Limit::Quota),
                until: world.now.plus_millis(hours * 600_000),
                reason: String::new(),
            };
            world.run(&Command::LimitRuntime(limit)).unwrap();
            world.now = world.now.plus_millis(600_000);
        }
        let caller = own(1);
        let surroundings = Surroundings { trust_bundle: String::new(), heartbeat_interval_ms: 1 };
        let told = desired_state(&world.state, &caller, &surroundings).unwrap();
        let planned = effective(&world.state, runtime_id(1), world.now);
        prop_assert_eq!(&planned, &one_by_one(&world.state, world.now));
        let license = License(planned, told.limits);
        let facts = CheckFacts {
            runtime: runtime_id(1),
            runtime_status: RuntimeStatus::ALL[status],
            runtime_tenant_status: TenantStatus::Active,
            tenant_status: TenantStatus::ALL[usize::from(suspended)],
            resolve: Resolve::NotNeeded,
            killed: false,
            metering: if offline { Metering::LeaseOnly } else { Metering::Quota },
        };
        for feature in FEATURES {
            let question = Question::new(feature, None, consume).unwrap();
            let online = evaluate(&facts, &world.state, &question, world.now).verdict;
            let mut local = evaluate(&facts, &license, &question, world.now).verdict;
            // A window that has not begun has no bounds in a license; taking begins it.
            if let (Some(online), Some(local)) = (&online.limits, &mut local.limits)
                && local.resets_at.is_none()
            {
                local.resets_at = online.resets_at;
            }
            prop_assert_eq!(online, local, "{}", feature);
        }
    }
}

/// What [`effective`] gives, each entitlement looked up by itself.
fn one_by_one(state: &State, now: Timestamp) -> Vec<PlannedEntitlement> {
    let runtime = runtime_id(1);
    let concerns = |entitlement: &&Entitlement| match entitlement.runtime {
        Some(of) => of == runtime,
        None => state
            .entitlement(&entitlement.feature, Some(runtime))
            .is_none(),
    };
    let plan = |of: &Entitlement| {
        let usage = state.usage_of(&of.feature, of.runtime, of.time_window, now);
        PlannedEntitlement {
            feature: of.feature.clone(),
            runtime: of.runtime,
            limit: of.limit,
            time_window: of.time_window,
            mode: of.mode,
            valid_until: of.valid_until,
            created: of.created,
            updated: of.updated,
            window: usage.begun.then_some(usage.window),
            used: usage.used,
        }
    };
    state.entitlements().filter(concerns).map(plan).collect()
}

#[test]
fn reasons_come_in_their_order() {
    let mut world = World::company(at("2026-11-22T00:00:00Z"), "UTC");
    let facts = world.state.check_facts(&own(1)).unwrap();
    let question = Question::new("x", None, None).unwrap();
    let ask = |world: &World, facts: &CheckFacts| {
        evaluate(facts, &world.state, &question, world.now)
            .verdict
            .reason
    };
    let mut facts = CheckFacts {
        resolve: Resolve::Until(Some(world.now)),
        ..facts
    };
    assert_eq!(ask(&world, &facts), Reason::ResolveNeeded);
    facts.tenant_status = TenantStatus::Suspended;
    assert_eq!(ask(&world, &facts), Reason::TenantSuspended);
    facts.runtime_status = RuntimeStatus::Suspended;
    assert_eq!(ask(&world, &facts), Reason::RuntimeSuspended);
    facts.killed = true;
    assert_eq!(ask(&world, &facts), Reason::Killed);
    facts.runtime_status = RuntimeStatus::Revoked;
    assert_eq!(ask(&world, &facts), Reason::RuntimeRevoked);
    world
        .run(&Command::SuspendTenant {
            reason: String::new(),
        })
        .unwrap();
    let facts = world.state.check_facts(&own(1)).unwrap();
    assert_eq!(ask(&world, &facts), Reason::TenantSuspended);
}

#[test]
fn a_resource_comes_after_a_colon_or_in_the_context_but_only_once() {
    let one = Question::new("report_export:cloud", None, None).unwrap();
    assert_eq!(
        Question::new("report_export", Some("cloud"), None).unwrap(),
        one
    );
    assert_eq!(
        Question::new("report_export:cloud", Some("cloud"), None).unwrap(),
        one
    );
    assert!(Question::new("report_export:cloud", Some("other"), None).is_err());
}
