//! The tenant: suspension, entitlements and their order, revision.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use provost_kernel::{
    Command,
    check::{Question, evaluate},
    command::Grant,
};
use provost_protocol::{
    Timestamp,
    entity::{Feature, Limit, Mode},
    verdict::Reason,
};

use crate::world::{World, at, config, own, runtime_id};

/// A plain list, searched as the contract's words say.
#[derive(Debug, Clone)]
struct Naive {
    suspended: bool,
    granted: Vec<Row>,
    revision: u64,
    hours: u64,
}

#[derive(Debug, Clone)]
struct Row {
    feature: &'static str,
    mine: bool,
    yes: bool,
    mode: Mode,
    until: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Suspend,
    Resume,
    Grant(Row),
    Remove(&'static str, bool),
    Wait(u64),
    Expire,
}

const FEATURES: [&str; 4] = ["export", "export:a", "export:b", "seat"];

impl Naive {
    fn find(&self, feature: &str, mine: bool) -> Option<&Row> {
        self.granted
            .iter()
            .find(|row| row.feature == feature && row.mine == mine)
    }

    fn verdict(&self, feature: &str) -> (bool, Reason) {
        if self.suspended {
            return (false, Reason::TenantSuspended);
        }
        let key = feature.split(':').next().unwrap();
        let order = [(feature, true), (feature, false), (key, true), (key, false)];
        let Some(row) = order.iter().find_map(|(name, mine)| self.find(name, *mine)) else {
            return (false, Reason::NoEntitlement);
        };
        let reason = if self.hours >= row.until {
            Reason::EntitlementExpired
        } else if row.yes {
            return (true, Reason::Entitled);
        } else {
            Reason::FeatureOff
        };
        match row.mode {
            Mode::Enforce => (false, reason),
            Mode::Warn => (true, reason),
            Mode::Shadow => (true, Reason::Entitled),
        }
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Naive;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Naive> {
        Just(Naive {
            suspended: false,
            granted: Vec::new(),
            revision: 1,
            hours: 0,
        })
        .boxed()
    }

    fn transitions(state: &Naive) -> BoxedStrategy<Step> {
        let hours = state.hours;
        let feature = || prop::sample::select(FEATURES.to_vec());
        let row = (
            feature(),
            any::<bool>(),
            any::<bool>(),
            0_usize..3,
            1_u64..50,
        )
            .prop_map(move |(feature, mine, yes, mode, hours_more)| Row {
                feature,
                mine,
                yes,
                mode: Mode::ALL[mode],
                until: hours + hours_more,
            });
        prop_oneof![
            1 => Just(Step::Suspend),
            2 => Just(Step::Resume),
            4 => row.prop_map(Step::Grant),
            1 => (feature(), any::<bool>()).prop_map(|(name, mine)| Step::Remove(name, mine)),
            1 => (1_u64..30).prop_map(Step::Wait),
            1 => Just(Step::Expire),
        ]
        .boxed()
    }

    fn apply(mut state: Naive, step: &Step) -> Naive {
        match step {
            Step::Suspend => {
                state.revision += u64::from(!state.suspended);
                state.suspended = true;
            }
            Step::Resume => {
                state.revision += u64::from(state.suspended);
                state.suspended = false;
            }
            Step::Grant(row) => {
                state
                    .granted
                    .retain(|old| old.feature != row.feature || old.mine != row.mine);
                state.granted.push(row.clone());
                state.revision += 1;
            }
            Step::Remove(feature, mine) => {
                let before = state.granted.len();
                state
                    .granted
                    .retain(|old| old.feature != *feature || old.mine != *mine);
                state.revision += u64::from(state.granted.len() < before);
            }
            Step::Wait(hours) => state.hours += hours,
            // How many ends were recorded before is the system's own business.
            Step::Expire => {}
        }
        state
    }
}

struct Machine;

impl StateMachineTest for Machine {
    /// The world, and events that raise the revision without being in the naive count.
    type SystemUnderTest = (World, i64);
    type Reference = Reference;

    fn init_test(_state: &Naive) -> (World, i64) {
        let mut world = World::company(start(), "UTC");
        world.create_token(1, 1).unwrap();
        world.enroll(1, 1).unwrap();
        (world, 0)
    }

    fn apply((mut world, mut extra): (World, i64), _state: &Naive, step: Step) -> (World, i64) {
        let runtime = |mine: bool| mine.then(|| runtime_id(1));
        match step {
            Step::Suspend => {
                world
                    .run(&Command::SuspendTenant {
                        reason: "unpaid".to_owned(),
                    })
                    .unwrap();
            }
            Step::Resume => {
                world
                    .run(&Command::ResumeTenant {
                        reason: String::new(),
                    })
                    .unwrap();
            }
            Step::Grant(row) => {
                let grant = Grant {
                    feature: Feature::parse(row.feature).unwrap(),
                    runtime: runtime(row.mine),
                    limit: Limit::Flag(row.yes),
                    time_window: None,
                    mode: row.mode,
                    valid_until: start().plus_millis(row.until * 3_600_000),
                };
                // The same grant again is no event.
                extra += i64::try_from(world.run(&Command::Grant(grant)).unwrap().len()).unwrap();
                extra -= 1;
            }
            Step::Remove(feature, mine) => {
                let feature = Feature::parse(feature).unwrap();
                let _gone = world.run(&Command::RemoveEntitlement {
                    feature,
                    runtime: runtime(mine),
                });
            }
            Step::Wait(hours) => world.now = world.now.plus_millis(hours * 3_600_000),
            Step::Expire => {
                let ended = world.run(&Command::Expire).unwrap();
                extra += i64::try_from(ended.len()).unwrap();
                assert!(
                    world.run(&Command::Expire).unwrap().is_empty(),
                    "an end is told once"
                );
            }
        }
        (world, extra)
    }

    fn check_invariants((world, extra): &(World, i64), naive: &Naive) {
        for feature in FEATURES {
            let facts = world.state.check_facts(&own(1)).unwrap();
            let question = Question::new(feature, None, None).unwrap();
            let verdict = evaluate(&facts, &world.state, &question, world.now).verdict;
            assert_eq!(
                (verdict.allowed, verdict.reason),
                naive.verdict(feature),
                "{feature}"
            );
        }
        let revision = i64::try_from(world.state.tenant().unwrap().revision).unwrap();
        assert_eq!(revision, i64::try_from(naive.revision).unwrap() + extra);
        let rows = world.state.tenant().unwrap().entitlements;
        assert_eq!(rows, u64::try_from(naive.granted.len()).unwrap());
    }
}

fn start() -> Timestamp {
    at("2026-11-22T00:00:00Z")
}

prop_state_machine! {
    #![proptest_config(config(256))]
    #[test]
    fn the_tenant_is_as_its_naive_model(sequential 1..40 => Machine);
}
