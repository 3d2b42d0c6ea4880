//! The session: nothing before Hello, nothing new while draining, one ending.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use provost_kernel::session::{Effect, Ending, Input, Session, Stage};
use provost_protocol::{Code, ContractVersion, Timestamp};

use crate::world::config;

/// What an observer of the connection knows.
#[derive(Debug, Clone, Default)]
struct Naive {
    greeted: bool,
    draining: bool,
    over: bool,
    open: BTreeSet<u64>,
    next: u64,
    now: u64,
    silent_since: u64,
    drained_at: u64,
    expected: Vec<Effect>,
}

#[derive(Debug, Clone)]
enum Step {
    Hello(bool),
    Request,
    Confirm,
    Goodbye,
    Garbage,
    Answered,
    Drain,
    Replaced,
    Revoked,
    Wait(u64),
}

impl Naive {
    fn end(&mut self, ending: Ending) -> Vec<Effect> {
        self.over = true;
        vec![Effect::Close(ending)]
    }

    fn reject(&mut self, code: Code, ending: Ending) -> Vec<Effect> {
        self.over = true;
        vec![Effect::Reject(code), Effect::Close(ending)]
    }

    fn effects(&mut self, step: &Step) -> Vec<Effect> {
        let violation = (Code::Malformed, Ending::Violation);
        match step {
            Step::Wait(_) if !self.greeted && self.now >= 10_000 => self.end(Ending::HelloLate),
            Step::Wait(_) if self.draining && self.now >= self.drained_at + 5_000 => {
                self.end(Ending::DrainLate)
            }
            Step::Wait(_)
                if self.greeted && !self.draining && self.now >= self.silent_since + 60_000 =>
            {
                self.end(Ending::Idle)
            }
            Step::Wait(_) => Vec::new(),
            Step::Goodbye => self.end(Ending::Goodbye),
            Step::Replaced => self.end(Ending::Replaced),
            Step::Revoked => self.reject(Code::RuntimeRevoked, Ending::Revoked),
            Step::Garbage => self.reject(violation.0, violation.1),
            Step::Hello(spoken) if !self.greeted => {
                if !spoken {
                    return self.reject(Code::VersionUnknown, Ending::VersionUnknown);
                }
                (self.greeted, self.silent_since) = (true, self.now);
                vec![Effect::Welcome {
                    version: ContractVersion::V0_2,
                    generation: 7,
                }]
            }
            Step::Hello(_) => self.reject(violation.0, violation.1),
            Step::Drain if !self.greeted => self.reject(Code::Draining, Ending::Drained),
            Step::Request | Step::Confirm if !self.greeted => self.reject(violation.0, violation.1),
            Step::Request => {
                let id = self.next;
                self.next += 1;
                if self.draining {
                    return vec![Effect::Refuse {
                        id,
                        code: Code::Draining,
                    }];
                }
                self.silent_since = self.now;
                if self.open.len() == 64 {
                    return vec![Effect::Refuse {
                        id,
                        code: Code::Overloaded,
                    }];
                }
                self.open.insert(id);
                vec![Effect::Serve { id }]
            }
            Step::Confirm => {
                if !self.draining {
                    self.silent_since = self.now;
                }
                vec![Effect::Confirm]
            }
            Step::Answered => {
                self.open.pop_first();
                if self.draining && self.open.is_empty() {
                    return self.end(Ending::Drained);
                }
                Vec::new()
            }
            Step::Drain if self.draining => Vec::new(),
            Step::Drain if self.open.is_empty() => {
                self.over = true;
                vec![Effect::SayGoodbye, Effect::Close(Ending::Drained)]
            }
            Step::Drain => {
                (self.draining, self.drained_at) = (true, self.now);
                vec![Effect::SayGoodbye]
            }
        }
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Naive;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Naive> {
        Just(Naive::default()).boxed()
    }

    fn transitions(state: &Naive) -> BoxedStrategy<Step> {
        // Hello soon, so that most walks get beyond it.
        let hello = if state.greeted { 1 } else { 20 };
        prop_oneof![
            hello => prop::bool::weighted(0.9).prop_map(Step::Hello),
            60 => Just(Step::Request),
            3 => Just(Step::Confirm),
            1 => Just(Step::Goodbye),
            1 => Just(Step::Garbage),
            10 => Just(Step::Answered),
            3 => Just(Step::Drain),
            1 => Just(Step::Replaced),
            1 => Just(Step::Revoked),
            4 => prop::sample::select(vec![1, 999, 4_999, 10_000, 59_999]).prop_map(Step::Wait),
        ]
        .boxed()
    }

    fn apply(mut state: Naive, step: &Step) -> Naive {
        if let Step::Wait(millis) = step {
            state.now += millis;
        }
        state.expected = if state.over {
            Vec::new()
        } else {
            state.effects(step)
        };
        state
    }

    fn preconditions(state: &Naive, step: &Step) -> bool {
        !matches!(step, Step::Answered) || !state.open.is_empty()
    }
}

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = (Session, u64);
    type Reference = Reference;

    fn init_test(_state: &Naive) -> (Session, u64) {
        (Session::new(7, 30_000, Timestamp::EPOCH), 0)
    }

    fn apply((mut session, mut next): (Session, u64), naive: &Naive, step: Step) -> (Session, u64) {
        let now = Timestamp::EPOCH.plus_millis(naive.now);
        let (good, bad) = (["v0.1".to_owned(), "v0.2".to_owned()], ["v9".to_owned()]);
        let due = session.deadline().is_some_and(|deadline| deadline <= now);
        let is_wait = matches!(step, Step::Wait(_));
        let input = match step {
            Step::Hello(true) => Input::Hello(&good),
            Step::Hello(false) => Input::Hello(&bad),
            Step::Request => Input::Request { id: next },
            Step::Confirm => Input::Confirm,
            Step::Goodbye => Input::Goodbye,
            Step::Garbage => Input::Garbage,
            Step::Answered => Input::Answered,
            Step::Drain => Input::Drain,
            Step::Replaced => Input::Replaced,
            Step::Revoked => Input::Revoked,
            Step::Wait(_) => Input::Tick,
        };
        let effects: Vec<Effect> = session.handle(&input, now).into_iter().collect();
        assert_eq!(effects, naive.expected, "{input:?}");
        if is_wait {
            assert_eq!(
                !effects.is_empty(),
                due,
                "the deadline says when a tick is worth it"
            );
        }
        next = naive.next.max(next);
        (session, next)
    }

    fn check_invariants((session, _): &(Session, u64), naive: &Naive) {
        let stage = match (naive.over, naive.draining, naive.greeted) {
            (true, _, _) => Stage::Closed,
            (false, true, _) => Stage::Draining,
            (false, false, true) => Stage::Open,
            (false, false, false) => Stage::AwaitHello,
        };
        assert_eq!(session.stage(), stage);
        assert_eq!(
            session.frame_bytes_max() == 64 * 1_024,
            stage == Stage::AwaitHello
        );
    }
}

prop_state_machine! {
    #![proptest_config(config(256))]
    #[test]
    fn the_session_is_as_its_naive_model(sequential 1..120 => Machine);
}
