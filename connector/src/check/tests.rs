use proptest::prelude::*;
use std::borrow::Cow;

use provost_kernel::{
    At, Caller, Command, State, apply,
    check::Metering,
    command::{CreateTenant, Grant as GrantCommand},
    decide,
    license::{Licensee, plan_license},
};
use provost_protocol::{
    entity::{DeploymentMode, Mode as Softness, Policies, RuntimeType, TenantType, TimeWindow},
    wire::DesiredState,
};

use super::*;
use crate::{
    tenants::HeldLicense,
    testing::{self, DAY_MS, desired, document, runtime, tenant},
};

const NOW: i64 = 1_795_325_728_000;

fn caller() -> Caller {
    Caller {
        runtime: runtime(),
        tenant: tenant(),
        tenant_status: TenantStatus::Active,
        status: RuntimeStatus::Active,
        killed: false,
    }
}

/// A tenant with entitlements, as the kernel's own rules make it.
fn state(grants: &[GrantCommand], now: Timestamp) -> State {
    let mut state = State::new(tenant(), 1);
    let create = CreateTenant {
        tenant_type: TenantType::Company,
        name: "Acme".to_owned(),
        policies: Policies::default(),
        operator: None,
        time_zone: "Europe/Lisbon".to_owned(),
        region: None,
    };
    let mut seq = 0;
    let commands = std::iter::once(Command::CreateTenant(create))
        .chain(grants.iter().cloned().map(Command::Grant));
    for command in commands {
        // A grant that the kernel refuses is not there on either side.
        for event in decide(&state, &command, now).unwrap_or_default() {
            seq += 1;
            apply(
                &mut state,
                At {
                    tenant: tenant(),
                    epoch: 1,
                    seq,
                    time: now,
                },
                &event,
            );
        }
    }
    state
}

/// The license that the kernel would issue of it.
fn licensed(state: &State, now: Timestamp) -> LicenseDocument {
    let licensee = Licensee {
        caller: caller(),
        runtime_type: RuntimeType::Custom,
        deployment_mode: DeploymentMode::Dedicated,
        cnf: "09".repeat(32),
    };
    let plan = plan_license(state, &licensee, now).unwrap();
    let entitlements = plan
        .entitlements
        .into_iter()
        .map(|planned| LicenseEntitlement {
            feature: planned.feature,
            runtime: planned.runtime,
            limit: planned.limit,
            time_window: planned.time_window,
            mode: planned.mode,
            valid_until: planned.valid_until,
            created: planned.created,
            updated: planned.updated,
            window: planned.window.map(|window| (window.start, window.end)),
        });
    let entitlements = entitlements.collect();
    LicenseDocument {
        entitlements,
        ..document(now, DAY_MS, DAY_MS)
    }
}

fn held(document: LicenseDocument, desired: DesiredState) -> Tenant {
    let license = HeldLicense {
        text: "".into(),
        document: document.into(),
    };
    Tenant::restored(Some(license), Some((1, 1)), Some(desired))
}

fn around(own: &Tenant, now: Timestamp) -> Around<'_> {
    Around {
        runtime: runtime(),
        runtime_status: RuntimeStatus::Active,
        own: Some(own),
        now,
    }
}

fn grant() -> impl Strategy<Value = GrantCommand> {
    let limit = prop_oneof![
        any::<bool>().prop_map(Limit::Flag),
        (0_u64..3).prop_map(Limit::Quota),
        Just(Limit::Unlimited),
    ];
    let window = prop_oneof![
        Just(None),
        Just(Some(TimeWindow::Day)),
        Just(Some(TimeWindow::Month)),
        Just(Some(TimeWindow::Rolling { minutes: 90 })),
    ];
    let mode = prop_oneof![
        Just(Softness::Enforce),
        Just(Softness::Warn),
        Just(Softness::Shadow)
    ];
    let end = prop_oneof![
        Just(Timestamp::MAX),
        Just(Timestamp::from_millis(NOW + 60_000))
    ];
    (feature(), any::<bool>(), limit, window, mode, end).prop_map(
        |(feature, narrow, limit, time_window, mode, valid_until)| GrantCommand {
            feature,
            runtime: narrow.then(runtime),
            limit,
            time_window,
            mode,
            valid_until,
        },
    )
}

fn feature() -> impl Strategy<Value = Feature> {
    let names = ["a", "a:x", "a:y", "b", "b:x"];
    prop::sample::select(names.to_vec()).prop_map(|name| name.parse().unwrap())
}

proptest! {
    #[test]
    fn a_license_answers_as_the_state_it_was_issued_from(
        grants in prop::collection::vec(grant(), 0..8),
        feature in feature(),
        consume in prop::option::of(1_u64..3),
        killed in any::<bool>(),
        suspended in any::<bool>(),
        late in any::<bool>(),
    ) {
        let now = Timestamp::from_millis(NOW);
        let state = state(&grants, now);
        let mut wanted = desired(3);
        wanted.killed = killed;
        if suspended {
            wanted.tenant_status = TenantStatus::Suspended;
        }
        let tenant = held(licensed(&state, now), wanted.clone());
        // Two minutes later one end has passed; the calendar windows are the same.
        let at = if late { now.plus_millis(120_000) } else { now };
        let mut facts = state.check_facts(&Caller { killed, ..caller() }).unwrap();
        facts.tenant_status = wanted.tenant_status;
        facts.runtime_tenant_status = wanted.tenant_status;
        facts.metering = Metering::LeaseOnly;
        let question = Question {
            feature: Cow::Owned(feature),
            consume,
        };
        let there = evaluate(&facts, &state, &question, at);
        let here = judge(Some(&tenant), &around(&tenant, at), &question);
        prop_assert_eq!(here.verdict, there.verdict);
        prop_assert_eq!(here.overridden, there.overridden);
    }
}

#[test]
fn statuses_come_first_then_the_license_then_the_entitlement() {
    let at = Timestamp::from_millis;
    let license = || document(at(0), 1_000, 1_000);
    let question = Question {
        feature: Cow::Owned("report_export".parse().unwrap()),
        consume: None,
    };
    let mut killed = desired(2);
    killed.killed = true;
    let mut suspended = desired(2);
    suspended.runtime_status = RuntimeStatus::Suspended;
    for (wanted, now, reason) in [
        (desired(1), 500, Reason::Entitled),
        (desired(1), 1_500, Reason::Entitled),
        (desired(1), 2_000, Reason::LicenseExpired),
        (killed.clone(), 500, Reason::Killed),
        (killed, 9_000, Reason::Killed),
        (suspended, 500, Reason::RuntimeSuspended),
    ] {
        let tenant = held(license(), wanted);
        let judged = judge(Some(&tenant), &around(&tenant, at(now)), &question);
        assert_eq!(judged.verdict.reason, reason, "at {now}");
    }
    let own = Tenant::default();
    let judged = judge(None, &around(&own, at(1)), &question);
    assert_eq!(judged.verdict.reason, Reason::NoLicense);
}

#[test]
fn a_limit_of_the_desired_state_only_narrows_and_only_for_a_while() {
    let at = Timestamp::from_millis;
    let mut license = document(at(0), DAY_MS, 0);
    license.entitlements = vec![testing::entitlement("a", Limit::Flag(true), at(0))];
    let mut wanted = desired(2);
    let feature: Feature = "a".parse().unwrap();
    wanted.limits = vec![DesiredLimit {
        feature: feature.clone(),
        limit: Limit::Flag(false),
        until: at(1_000),
    }];
    let tenant = held(license, wanted);
    let question = Question {
        feature: Cow::Owned(feature),
        consume: None,
    };
    let reason = |now| {
        judge(Some(&tenant), &around(&tenant, at(now)), &question)
            .verdict
            .reason
    };
    assert_eq!(reason(999), Reason::FeatureOff);
    assert_eq!(reason(1_000), Reason::Entitled);
}
