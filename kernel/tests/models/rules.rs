//! Rules that are said once and hold always, each by its sentence.

use provost_kernel::{
    Caller, Command, Rejection, State, answer,
    command::{Attach, AuditEntry, AuditPrior, CreateTenant, Prior},
    desired::{Surroundings, desired_state},
    enrolment::{Admission, admit},
    license::{LicensePolicy, Licensee, plan_license},
};
use provost_protocol::{
    Code, ContractVersion, Timestamp,
    entity::{
        ActorType, DeploymentMode, Feature, Limit, Mode, Policies, RuntimeStatus, RuntimeType,
        SecurityLevel, TenantStatus, TenantType,
    },
    event::Event,
    verdict::Reason,
};

mod make;

use self::make::*;
use crate::world::{World, at, hash, own, runtime_id, tenant_id, token_id};

#[test]
fn the_answer_to_an_enrolment_is_repeated_for_the_same_key_for_15_minutes() {
    let mut world = company();
    world.create_token(1, 1).unwrap();
    world.enroll(1, 1).unwrap();
    let ask = |world: &World, key: u8, secret: u8| {
        admit(
            &world.state,
            token_id(1),
            &hash(secret),
            &hash(key),
            world.now,
        )
    };

    let Admission::Again(stored) = ask(&world, 1, 1) else {
        panic!("not repeated")
    };
    assert_eq!(
        (stored.runtime, stored.certificate.as_str()),
        (runtime_id(1), "certificate")
    );
    assert!(
        world.enroll(1, 1).unwrap().is_empty(),
        "the same key twice is one runtime"
    );
    assert_eq!(ask(&world, 2, 1), Admission::Refused(Rejection::TokenUsed));
    assert_eq!(
        ask(&world, 1, 9),
        Admission::Refused(Rejection::TokenUnknown)
    );

    world.now = world.now.plus_millis(15 * 60_000);
    assert_eq!(
        ask(&world, 1, 1),
        Admission::Refused(Rejection::TokenExpired)
    );
    let misuse = Command::ReportMisuse {
        token: token_id(1),
        cnf: hash(2),
        address: "192.0.2.1".to_owned(),
    };
    assert!(matches!(
        world.run(&misuse).unwrap()[..],
        [Event::EnrolmentTokenMisused(_)]
    ));
}

#[test]
fn a_token_of_three_uses_enrolls_three_keys_however_often_they_ask() {
    let mut world = company();
    world.create_token(1, 3).unwrap();
    for key in 1..=3 {
        assert!(!world.enroll(1, key).unwrap().is_empty());
        // An answer that was lost is asked for again, and takes no use.
        assert!(world.enroll(1, key).unwrap().is_empty());
    }
    assert_eq!(world.enroll(1, 4), Err(Rejection::TokenUsed));
    assert!(world.enroll(1, 2).unwrap().is_empty());
}

#[test]
fn a_token_that_ended_or_was_revoked_enrolls_nobody() {
    let mut world = company();
    world.create_token(1, 5).unwrap();
    world.create_token(2, 5).unwrap();
    world
        .run(&Command::RevokeToken { token: token_id(2) })
        .unwrap();
    assert_eq!(world.enroll(2, 1), Err(Rejection::TokenExpired));
    world.now = world.now.plus_millis(24 * 3_600_000);
    assert_eq!(world.enroll(1, 1), Err(Rejection::TokenExpired));
}

#[test]
fn only_a_shared_runtime_of_the_operator_can_be_attached() {
    let mut world = company();
    let good = attach();
    for bad in [
        Attach {
            deployment_mode: DeploymentMode::Dedicated,
            ..good.clone()
        },
        Attach {
            operator: tenant_id(8),
            ..good.clone()
        },
        Attach {
            operator: tenant_id(1),
            ..good.clone()
        },
        Attach {
            status: RuntimeStatus::Revoked,
            ..good.clone()
        },
    ] {
        assert!(world.run(&Command::Attach(bad.clone())).is_err(), "{bad:?}");
    }
    assert_eq!(
        world.state.check_facts(&shared()),
        Err(Rejection::NotAttached)
    );
    world.run(&Command::Attach(good)).unwrap();
    assert!(world.state.check_facts(&shared()).is_ok());
    let stranger = Caller {
        tenant: tenant_id(8),
        ..shared()
    };
    assert_eq!(
        world.state.check_facts(&stranger),
        Err(Rejection::NotAttached)
    );
    world
        .run(&Command::Detach {
            runtime: runtime_id(8),
        })
        .unwrap();
    assert_eq!(
        world.state.check_facts(&shared()),
        Err(Rejection::NotAttached)
    );
}

#[test]
fn for_an_individual_a_shared_runtime_acts_12_hours_after_a_resolve() {
    let mut world = individual();
    world.run(&Command::Attach(attach())).unwrap();
    world.run(&grant(Limit::Quota(100), Mode::Enforce)).unwrap();
    assert_eq!(
        take(&mut world, shared(), 1),
        (false, Reason::ResolveNeeded)
    );

    assert_eq!(world.run(&resolve("other")), Err(Rejection::OtherPerson));
    world.run(&resolve("ada")).unwrap();
    assert_eq!(take(&mut world, shared(), 1), (true, Reason::Entitled));
    let licensee = Licensee {
        caller: shared(),
        runtime_type: RuntimeType::App,
        deployment_mode: DeploymentMode::Shared,
        cnf: hash(8),
    };
    let plan = plan_license(&world.state, &licensee, world.now).unwrap();
    assert_eq!(plan.expiry, world.now.plus_millis(12 * 3_600_000));

    world.now = world.now.plus_millis(12 * 3_600_000 - 1);
    assert_eq!(take(&mut world, shared(), 1), (true, Reason::Entitled));
    world.now = world.now.plus_millis(1);
    assert_eq!(
        take(&mut world, shared(), 1),
        (false, Reason::ResolveNeeded)
    );
    let refused = plan_license(&world.state, &licensee, world.now);
    assert_eq!(refused, Err(Rejection::ResolveNeeded));
}

#[test]
fn an_individuals_log_is_begun_once_from_the_operators() {
    let mut world = individual();
    let again = create_individual("ada");
    assert!(world.run(&again).unwrap().is_empty());
    assert_eq!(
        world.run(&create_individual("bob")),
        Err(Rejection::Exists("the tenant"))
    );
}

#[test]
fn a_known_person_keeps_the_identity_and_a_suspended_tenant_resolves_nobody() {
    let mut world = company();
    world.run(&Command::Attach(attach())).unwrap();
    assert_eq!(world.run(&resolve("ada")).unwrap().len(), 2);
    assert!(matches!(
        world.run(&resolve("ada")).unwrap()[..],
        [Event::IdentityResolved(_)]
    ));
    world
        .run(&Command::SuspendTenant {
            reason: String::new(),
        })
        .unwrap();
    assert_eq!(world.run(&resolve("ada")), Err(Rejection::TenantSuspended));
}

#[test]
fn a_repeated_consumption_takes_once_and_is_answered_as_at_first() {
    let mut world = company();
    world.run(&grant(Limit::Quota(3), Mode::Enforce)).unwrap();
    for amount in [2, 2] {
        let first = world.run(&consume(own(1), amount, None)).unwrap();
        let prior = Some(Prior::Same(Box::new(first[0].clone())));
        assert!(
            world
                .run(&consume(own(1), amount, prior))
                .unwrap()
                .is_empty()
        );
        assert!(answer(&first[0]).unwrap().limits.is_some());
    }
    let conflict = world.run(&consume(own(1), 1, Some(Prior::Other)));
    assert_eq!(conflict, Err(Rejection::IdempotencyConflict));
    assert_eq!(take(&mut world, own(1), 1), (true, Reason::Entitled));
    assert_eq!(take(&mut world, own(1), 1), (false, Reason::QuotaExhausted));
}

#[test]
fn warn_says_what_shadow_hides_and_both_are_recorded_and_counted() {
    for (mode, reason) in [
        (Mode::Warn, Reason::QuotaExhausted),
        (Mode::Shadow, Reason::Entitled),
    ] {
        let mut world = company();
        world.run(&grant(Limit::Quota(1), mode)).unwrap();
        let events = world.run(&consume(own(1), 5, None)).unwrap();
        let verdict = answer(&events[0]).unwrap();
        assert_eq!((verdict.allowed, verdict.reason), (true, reason));
        assert_eq!(verdict.limits.unwrap().used, Some(5));
        assert!(matches!(events[1], Event::EntitlementOverridden(_)));
    }
}

#[test]
fn units_of_a_plain_yes_are_refused_and_unlimited_ones_are_counted() {
    let mut world = company();
    world.run(&grant(Limit::Flag(true), Mode::Warn)).unwrap();
    assert_eq!(take(&mut world, own(1), 1), (false, Reason::NotMetered));
    world.run(&grant(Limit::Unlimited, Mode::Enforce)).unwrap();
    assert_eq!(take(&mut world, own(1), 7), (true, Reason::Entitled));
    let feature = Feature::parse("exports").unwrap();
    assert_eq!(world.state.counter(&feature, None).unwrap().used, 7);
}

#[test]
fn audit_is_open_to_the_suspended_and_closed_to_the_revoked() {
    let mut world = company();
    world.create_token(1, 1).unwrap();
    world.enroll(1, 1).unwrap();
    let reason = String::new;
    world
        .run(&Command::SuspendTenant { reason: reason() })
        .unwrap();
    world
        .run(&Command::SuspendRuntime {
            runtime: runtime_id(1),
            reason: reason(),
        })
        .unwrap();
    assert_eq!(world.run(&audit(entry(1))).unwrap().len(), 1);
    world
        .run(&Command::RevokeRuntime {
            runtime: runtime_id(1),
            reason: reason(),
        })
        .unwrap();
    assert_eq!(world.run(&audit(entry(2))), Err(Rejection::RuntimeRevoked));
}

#[test]
fn audit_events_that_may_not_be_sent_are_refused_with_their_code() {
    let mut world = company();
    let mut reserved = entry(1);
    reserved.recorded.kind = "Provost.tenant.created".to_owned();
    let table = [
        (
            AuditEntry {
                actor: ActorType::System,
                ..entry(1)
            },
            Code::ActorTypeRefused,
        ),
        (
            AuditEntry {
                actor: ActorType::Agent,
                ..entry(1)
            },
            Code::ActorTypeRefused,
        ),
        (reserved, Code::EventTypeReserved),
        (
            AuditEntry {
                timestamp: Timestamp::MAX,
                ..entry(1)
            },
            Code::EventTimeRefused,
        ),
        (
            AuditEntry {
                payload_bytes: 48 * 1_024 + 1,
                ..entry(1)
            },
            Code::PayloadTooLarge,
        ),
        (
            AuditEntry {
                prior: AuditPrior::Other,
                ..entry(1)
            },
            Code::EventConflict,
        ),
    ];
    for (bad, code) in table {
        let refused = world.run(&audit(bad)).unwrap_err();
        assert_eq!(refused.code(), code);
    }
    let same = AuditEntry {
        prior: AuditPrior::Same,
        ..entry(1)
    };
    assert!(world.run(&audit(same)).unwrap().is_empty());
    let agent = AuditEntry {
        actor: ActorType::Agent,
        version: ContractVersion::V0_2,
        ..entry(1)
    };
    assert_eq!(world.run(&audit(agent)).unwrap().len(), 1);
}

#[test]
fn a_tenant_of_another_region_is_refused() {
    let mut world = World::empty(at("2026-11-22T00:00:00Z"));
    let policies = Policies {
        data_residency: Some("eu".to_owned()),
        ..Policies::default()
    };
    let create = |region: Option<&str>| {
        Command::CreateTenant(CreateTenant {
            tenant_type: TenantType::Company,
            name: "Acme".to_owned(),
            policies: policies.clone(),
            operator: None,
            time_zone: "UTC".to_owned(),
            region: region.map(str::to_owned),
        })
    };
    for region in [None, Some("us")] {
        assert_eq!(
            world.run(&create(region)).unwrap_err().code(),
            Code::Residency
        );
    }
    assert_eq!(world.run(&create(Some("eu"))).unwrap().len(), 1);
}

#[test]
fn lost_and_returned_are_told_once_and_never_of_the_revoked() {
    let mut world = company();
    world.create_token(1, 2).unwrap();
    world.enroll(1, 1).unwrap();
    world.enroll(1, 2).unwrap();
    let revoke = Command::RevokeRuntime {
        runtime: runtime_id(2),
        reason: String::new(),
    };
    world.run(&revoke).unwrap();
    let runtimes = vec![runtime_id(1), runtime_id(2), runtime_id(3)];
    let lost = world
        .run(&Command::MarkLost {
            runtimes: runtimes.clone(),
        })
        .unwrap();
    let [Event::RuntimesLost(lost)] = &lost[..] else {
        panic!("{lost:?}")
    };
    assert_eq!(lost.runtimes, [runtime_id(1)]);
    assert!(
        world
            .run(&Command::MarkLost {
                runtimes: runtimes.clone()
            })
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        world
            .run(&Command::MarkReturned { runtimes })
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_suspension_raises_the_revision_that_the_desired_state_shows() {
    let mut world = company();
    let surroundings = Surroundings {
        trust_bundle: "bundle".to_owned(),
        heartbeat_interval_ms: 10_000,
    };
    let before = desired_state(&world.state, &own(1), &surroundings).unwrap();
    world
        .run(&Command::SuspendTenant {
            reason: String::new(),
        })
        .unwrap();
    let after = desired_state(&world.state, &own(1), &surroundings).unwrap();
    assert_eq!(after.tenant_status, TenantStatus::Suspended);
    assert_eq!(after.revision, before.revision + 1);
}

#[test]
fn after_a_restore_the_revision_is_above_all_that_was_ever_told() {
    let mut world = company();
    let backup = world.state.clone();
    for _ in 0..3 {
        world
            .run(&Command::SuspendTenant {
                reason: String::new(),
            })
            .unwrap();
        world
            .run(&Command::ResumeTenant {
                reason: String::new(),
            })
            .unwrap();
    }
    let told = world.state.revision();

    let mut restored = World {
        state: State::new(tenant_id(1), 2),
        ..company()
    };
    for (key, entity) in backup.iter() {
        restored.state.load(key.clone(), entity.clone());
    }
    let first = restored.state.revision();
    assert!(first > told);
    restored
        .run(&Command::SuspendTenant {
            reason: String::new(),
        })
        .unwrap();
    assert_eq!(restored.state.revision(), first + 1);
}

#[test]
fn an_enterprise_license_is_short_and_takes_nothing_when_it_has_ended() {
    let enterprise = LicensePolicy::of(SecurityLevel::Enterprise);
    assert!(!enterprise.consumes_when_expired);
    assert_eq!(enterprise.offline_max_ms(), 48 * 3_600_000);
    assert!(LicensePolicy::of(SecurityLevel::Standard).consumes_when_expired);
}
