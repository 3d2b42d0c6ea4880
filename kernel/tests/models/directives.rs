//! What operators direct: kills, limits, and the word on copies.

use proptest::prelude::*;
use provost_kernel::{
    Command, Rejection,
    check::{Question, evaluate},
    command::{Grant, LimitRuntime},
    license::{Licensee, plan_license},
    limits::DIRECTED_LIMITS_MAX,
};
use provost_protocol::{
    Timestamp,
    entity::{DeploymentMode, Feature, Limit, Mode, RuntimeType, SecurityLevel},
    event::{Event, Sighting},
    verdict::{Reason, Verdict},
};

use crate::world::{World, at, config, hash, own, runtime_id};

fn world() -> World {
    let mut world = World::company(at("2026-11-22T00:00:00Z"), "UTC");
    world.create_token(1, 1).unwrap();
    world.enroll(1, 1).unwrap();
    world
}

fn feature(text: &str) -> Feature {
    text.parse().unwrap()
}

fn grant(world: &mut World, text: &str, limit: Limit) {
    let grant = Grant {
        feature: feature(text),
        runtime: None,
        limit,
        time_window: None,
        mode: Mode::Enforce,
        valid_until: Timestamp::MAX,
    };
    world.run(&Command::Grant(grant)).unwrap();
}

fn limit(world: &World, text: &str, limit: Limit, hours: u64) -> Command {
    Command::LimitRuntime(LimitRuntime {
        runtime: runtime_id(1),
        feature: feature(text),
        limit,
        until: world.now.plus_millis(hours * 3_600_000),
        reason: "calm".to_owned(),
    })
}

fn unlimit(text: &str) -> Command {
    Command::UnlimitRuntime {
        runtime: runtime_id(1),
        feature: feature(text),
        reason: String::new(),
    }
}

fn kill() -> Command {
    Command::KillRuntime {
        runtime: runtime_id(1),
        reason: "leaked".to_owned(),
    }
}

fn resume() -> Command {
    Command::ResumeRuntime {
        runtime: runtime_id(1),
        reason: "replaced".to_owned(),
    }
}

fn suspend() -> Command {
    Command::SuspendRuntime {
        runtime: runtime_id(1),
        reason: String::new(),
    }
}

fn ask(world: &World, text: &str, consume: Option<u64>) -> Verdict {
    let caller = provost_kernel::Caller {
        killed: world.state.is_killed(runtime_id(1)),
        ..own(1)
    };
    let facts = world.state.check_facts(&caller).unwrap();
    let question = Question::new(text, None, consume).unwrap();
    evaluate(&facts, &world.state, &question, world.now).verdict
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::kind).collect()
}

#[test]
fn a_killed_runtime_is_denied_everything_until_it_is_resumed() {
    let mut world = world();
    grant(&mut world, "x", Limit::Unlimited);
    let before = world.state.revision();
    assert_eq!(kinds(&world.run(&kill()).unwrap()), ["runtime.killed"]);
    assert_eq!(
        world.state.revision(),
        before + 1,
        "its runtimes hear of it"
    );
    assert_eq!(world.run(&kill()).unwrap(), [], "killed is killed");
    assert_eq!(ask(&world, "x", None).reason, Reason::Killed);
    assert_eq!(ask(&world, "x", Some(1)).reason, Reason::Killed);
    let licensee = Licensee {
        caller: own(1),
        runtime_type: RuntimeType::App,
        deployment_mode: DeploymentMode::OnPrem,
        cnf: hash(1),
    };
    assert_eq!(
        plan_license(&world.state, &licensee, world.now),
        Err(Rejection::RuntimeKilled),
        "whatever the caller carried"
    );
    assert_eq!(kinds(&world.run(&resume()).unwrap()), ["runtime.unkilled"]);
    assert_eq!(world.state.revision(), before + 2);
    assert!(ask(&world, "x", None).allowed);
    assert!(plan_license(&world.state, &licensee, world.now).is_ok());
}

#[test]
fn a_resume_ends_suspension_and_kill_alike() {
    let mut world = world();
    world.run(&suspend()).unwrap();
    world.run(&kill()).unwrap();
    let events = world.run(&resume()).unwrap();
    assert_eq!(kinds(&events), ["runtime.resumed", "runtime.unkilled"]);
    assert_eq!(world.run(&resume()).unwrap(), []);
}

#[test]
fn a_revoked_runtime_cannot_be_killed_and_no_word_is_left_of_it() {
    let mut world = world();
    world.run(&kill()).unwrap();
    let revoke = Command::RevokeRuntime {
        runtime: runtime_id(1),
        reason: String::new(),
    };
    world.run(&revoke).unwrap();
    assert_eq!(world.state.directives(runtime_id(1)), None);
    assert_eq!(world.run(&kill()), Err(Rejection::RuntimeRevoked));
    let limited = limit(&world, "x", Limit::Quota(1), 1);
    assert_eq!(world.run(&limited), Err(Rejection::RuntimeRevoked));
}

#[test]
fn a_limit_covers_its_feature_and_a_limit_with_a_resource_only_that() {
    let mut world = world();
    grant(&mut world, "x", Limit::Quota(100));
    grant(&mut world, "y", Limit::Flag(true));
    world
        .run(&limit(&world, "x:pdf", Limit::Flag(false), 1))
        .unwrap();
    assert_eq!(ask(&world, "x:pdf", None).reason, Reason::FeatureOff);
    assert!(ask(&world, "x:csv", None).allowed && ask(&world, "x", None).allowed);
    world.run(&limit(&world, "x", Limit::Quota(2), 1)).unwrap();
    for text in ["x", "x:csv"] {
        let limits = ask(&world, text, None).limits.unwrap();
        assert_eq!(limits.quota, Some(2), "{text}");
    }
    assert!(ask(&world, "y", None).allowed, "another feature");
    world.run(&limit(&world, "y", Limit::Quota(0), 1)).unwrap();
    assert_eq!(ask(&world, "y", None).reason, Reason::FeatureOff);
}

#[test]
fn a_limit_ends_with_its_time_and_its_record_with_the_next_change() {
    let mut world = world();
    grant(&mut world, "x", Limit::Quota(100));
    world.run(&limit(&world, "x", Limit::Quota(2), 1)).unwrap();
    world.now = world.now.plus_millis(3_600_000);
    assert_eq!(ask(&world, "x", None).limits.unwrap().quota, Some(100));
    world.run(&limit(&world, "z", Limit::Quota(2), 1)).unwrap();
    let held = &world.state.directives(runtime_id(1)).unwrap().limits;
    assert_eq!(held.len(), 1);
    world.run(&unlimit("z")).unwrap();
    assert_eq!(world.state.directives(runtime_id(1)), None);
    assert_eq!(world.run(&unlimit("z")), Err(Rejection::NotFound));
}

#[test]
fn a_limit_that_narrows_nothing_or_has_ended_is_refused() {
    let mut world = world();
    for (value, hours) in [
        (Limit::Flag(true), 1),
        (Limit::Unlimited, 1),
        (Limit::Quota(u64::MAX), 1),
        (Limit::Quota(1), 0),
    ] {
        let refused = world.run(&limit(&world.clone(), "x", value, hours));
        assert!(
            matches!(refused, Err(Rejection::Invalid { .. })),
            "{refused:?}"
        );
    }
    let once = limit(&world, "x", Limit::Quota(1), 1);
    assert_eq!(world.run(&once).unwrap().len(), 1);
    assert_eq!(world.run(&once).unwrap(), [], "as it is");
    for number in 1..DIRECTED_LIMITS_MAX {
        let more = limit(&world, &format!("f{number}"), Limit::Quota(1), 1);
        world.run(&more).unwrap();
    }
    let surplus = limit(&world, "g", Limit::Quota(1), 1);
    assert!(matches!(
        world.run(&surplus),
        Err(Rejection::TooMany { .. })
    ));
    let again = limit(&world, "x", Limit::Quota(2), 1);
    assert_eq!(world.run(&again).unwrap().len(), 1, "replaced");
    world.now = world.now.plus_millis(3_600_000);
    let freed = limit(&world, "g", Limit::Quota(1), 1);
    assert_eq!(
        world.run(&freed).unwrap().len(),
        1,
        "ended ones count no more"
    );
}

#[test]
fn copies_are_an_alarm_once_an_hour_until_an_operator_resolves_them() {
    let mut world = world();
    let sighting = |address: &str| Sighting {
        address: address.to_owned(),
        serial: "5a".to_owned(),
        generation: 1,
        seen: Timestamp::EPOCH,
    };
    let report = Command::ReportClone {
        runtime: runtime_id(1),
        sightings: vec![sighting("a"), sighting("b")],
    };
    let before = world.state.revision();
    for (minutes, alarms) in [(0, 1), (30, 0), (29, 0), (1, 1), (59, 0)] {
        world.now = world.now.plus_millis(minutes * 60_000);
        assert_eq!(world.run(&report).unwrap().len(), alarms, "{minutes}");
    }
    let record = world.state.copies(runtime_id(1)).unwrap().clone();
    assert_eq!((record.alarms, record.sightings.len()), (2, 2));
    let later = world.now.plus_millis(48 * 3_600_000);
    assert!(record.stands(SecurityLevel::Enterprise, later));
    assert!(!record.stands(SecurityLevel::Standard, later));
    let resolve = Command::ResolveClone {
        runtime: runtime_id(1),
        reason: "switched off".to_owned(),
    };
    assert_eq!(world.run(&resolve).unwrap().len(), 1);
    assert_eq!(world.run(&resolve).unwrap(), []);
    assert_eq!(world.state.copies(runtime_id(1)), None);
    assert_eq!(world.run(&report).unwrap().len(), 1, "seen again");
    assert_eq!(
        world.state.revision(),
        before,
        "nothing a runtime should know"
    );
}

proptest! {
    #![proptest_config(config(512))]
    #[test]
    fn a_limit_only_ever_narrows(
        granted in 0_usize..6, to in prop::option::of(0_u64..6), covers: bool,
        used in 0_u64..5, consume in prop::option::of(1_u64..4),
    ) {
        let limits = [
            Limit::Flag(true), Limit::Flag(false), Limit::Unlimited,
            Limit::Quota(0), Limit::Quota(3), Limit::Quota(5),
        ];
        let mut free = world();
        grant(&mut free, "x", limits[granted]);
        for _ in 0..used {
            let take = provost_kernel::command::Consume {
                caller: own(1), feature: feature("x"), amount: 1, prior: None,
            };
            free.run(&Command::Consume(take)).unwrap();
        }
        let mut narrowed = free.clone();
        let to = to.map_or(Limit::Flag(false), Limit::Quota);
        let directed = limit(&narrowed, if covers { "x" } else { "x:y" }, to, 1);
        narrowed.run(&directed).unwrap();
        for text in ["x", "x:y", "x:z"] {
            let (wide, narrow) = (ask(&free, text, consume), ask(&narrowed, text, consume));
            prop_assert!(wide.allowed || !narrow.allowed, "{}: {:?} {:?}", text, wide, narrow);
            let quota = |verdict: &Verdict| {
                verdict.limits.as_ref().and_then(|limits| limits.quota).unwrap_or(u64::MAX)
            };
            let shown = quota(&narrow) <= quota(&wide) || !narrow.allowed;
            prop_assert!(shown, "{}: {:?} {:?}", text, wide, narrow);
        }
    }
}
