//! Liveness: late after one interval and a half, lost after a grace, whoever slept.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use provost_kernel::liveness::{Change, Pulse, Rhythm, grace_ms};
use provost_protocol::{
    Timestamp,
    entity::{Liveness, SecurityLevel},
};

use crate::world::config;

const RHYTHM: Rhythm = Rhythm {
    interval_ms: 10_000,
    grace_ms: 30_000,
};

/// Counts the silence the runtime is to blame for, in milliseconds.
#[derive(Debug, Clone)]
struct Naive {
    now: u64,
    silence: u64,
    seen: Liveness,
    change: Option<Change>,
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// The kernel slept so long, and noticed.
    Sleep(u64),
    Beat,
    Tick,
    Restart,
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Naive;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Naive> {
        Just(Naive {
            now: 0,
            silence: 0,
            seen: Liveness::Online,
            change: None,
        })
        .boxed()
    }

    fn transitions(_state: &Naive) -> BoxedStrategy<Step> {
        prop_oneof![
            5 => prop::sample::select(vec![1, 4_999, 5_000, 9_999, 10_000, 15_000]).prop_map(Step::Wait),
            1 => (1_u64..100_000).prop_map(Step::Sleep),
            2 => Just(Step::Beat),
            5 => Just(Step::Tick),
            1 => Just(Step::Restart),
        ]
        .boxed()
    }

    fn apply(mut state: Naive, step: &Step) -> Naive {
        state.change = None;
        match step {
            Step::Wait(millis) => {
                state.now += millis;
                state.silence += millis;
            }
            Step::Sleep(millis) => state.now += millis,
            Step::Beat => {
                state.change = match state.seen {
                    Liveness::Online => None,
                    Liveness::Late => Some(Change::Caught),
                    Liveness::Lost => Some(Change::Returned),
                };
                (state.silence, state.seen) = (0, Liveness::Online);
            }
            Step::Tick => {
                let due = match state.silence {
                    0..15_000 => Liveness::Online,
                    15_000..30_000 => Liveness::Late,
                    30_000.. => Liveness::Lost,
                };
                if due > state.seen {
                    let lost = due == Liveness::Lost;
                    state.change = Some(if lost { Change::Lost } else { Change::Late });
                    state.seen = due;
                }
            }
            Step::Restart => {
                state.silence = 0;
                if state.seen == Liveness::Late {
                    state.seen = Liveness::Online;
                }
            }
        }
        state
    }
}

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = Pulse;
    type Reference = Reference;

    fn init_test(_state: &Naive) -> Pulse {
        Pulse::begin(Timestamp::EPOCH, RHYTHM, false)
    }

    fn apply(mut pulse: Pulse, naive: &Naive, step: Step) -> Pulse {
        let now = Timestamp::EPOCH.plus_millis(naive.now);
        let due = pulse.deadline().is_some_and(|deadline| deadline <= now);
        let change = match step {
            Step::Wait(_) => None,
            Step::Sleep(millis) => {
                pulse.kernel_slept(millis);
                None
            }
            Step::Beat => pulse.beat(now),
            Step::Tick => {
                let change = pulse.tick(now);
                assert_eq!(
                    change.is_some(),
                    due,
                    "the deadline says when a tick is worth it"
                );
                change
            }
            Step::Restart => {
                pulse = Pulse::begin(now, RHYTHM, pulse.liveness() == Liveness::Lost);
                None
            }
        };
        assert_eq!(change, naive.change);
        pulse
    }

    fn check_invariants(pulse: &Pulse, naive: &Naive) {
        assert_eq!(pulse.liveness(), naive.seen);
    }
}

prop_state_machine! {
    #![proptest_config(config(256))]
    #[test]
    fn liveness_is_as_its_naive_model(sequential 1..40 => Machine);
}

proptest! {
    #![proptest_config(config(256))]
    #[test]
    fn every_rhythm_bears_a_missed_beat_and_asks_no_more_of_the_kernel_than_it_said(
        fleet in 0_u64..2_000_000, seed: u64, strict: bool,
    ) {
        let level = [SecurityLevel::Standard, SecurityLevel::Enterprise][usize::from(strict)];
        let rhythm = Rhythm::for_fleet(fleet, level);
        let spread = rhythm.spread(seed);
        prop_assert_eq!(spread.grace_ms, rhythm.grace_ms);
        prop_assert!(spread.grace_ms >= grace_ms(spread.interval_ms));
        prop_assert_eq!(grace_ms(spread.interval_ms), spread.interval_ms * 2 + 10_000);
        let tenth = rhythm.interval_ms / 10;
        prop_assert!(spread.interval_ms.abs_diff(rhythm.interval_ms) <= tenth);
        let least = if strict { 5_000 } else { 10_000 };
        prop_assert!((least..=300_000).contains(&rhythm.interval_ms));
        // Stretched, the fleet is just within what a kernel takes, up to the longest interval.
        let beats_a_second = fleet * 1_000 / rhythm.interval_ms;
        prop_assert!(beats_a_second <= 501 || rhythm.interval_ms == 300_000);
    }
}

#[test]
fn the_interval_grows_with_the_fleet_from_the_policys_own() {
    let interval = |fleet, level| Rhythm::for_fleet(fleet, level).interval_ms;
    for (fleet, standard, enterprise) in [
        (0, 10_000, 5_000),
        (2_500, 10_000, 5_000),
        (5_000, 10_000, 10_000),
        (10_000, 20_000, 20_000),
        (150_000, 300_000, 300_000),
        (u64::MAX, 300_000, 300_000),
    ] {
        assert_eq!(interval(fleet, SecurityLevel::Standard), standard);
        assert_eq!(interval(fleet, SecurityLevel::Enterprise), enterprise);
    }
}

#[test]
fn a_fleet_that_is_told_at_once_does_not_beat_at_once() {
    let rhythm = Rhythm::for_fleet(10_000, SecurityLevel::Standard);
    let mut tenths = [0_u32; 10];
    for seed in 0..10_000 {
        let late = rhythm.spread(seed).interval_ms - 18_000;
        tenths[usize::try_from(late * 10 / 4_001).unwrap()] += 1;
    }
    assert!(
        tenths.iter().all(|&count| (800..1_200).contains(&count)),
        "{tenths:?}"
    );
}

proptest! {
    #![proptest_config(config(256))]

    /// Whoever looks only when told to, and does not hear of beats, still sees every silence at its
    /// very deadline.
    #[test]
    fn who_looks_when_told_is_never_behind_a_deadline(
        beats in prop::collection::vec((0..40_000_u64, any::<u64>()), 1..60),
        fleet in 0..400_000_u64,
    ) {
        let rhythm = Rhythm::for_fleet(fleet, SecurityLevel::Standard);
        let mut now = Timestamp::EPOCH;
        let mut pulse = Pulse::begin(now, rhythm.spread(0), false);
        let mut look = pulse.look_at(now);
        for (gap, seed) in beats {
            let beat = now.plus_millis(gap * rhythm.interval_ms / 10_000);
            while let Some(at) = look.filter(|at| *at <= beat) {
                pulse.tick(at);
                now = at;
                look = pulse.look_at(now);
                prop_assert!(look.is_none_or(|look| look > now), "it looks at one moment once");
            }
            now = beat;
            let heard = pulse.beat(now);
            pulse.set_rhythm(rhythm.spread(seed));
            if heard.is_some() {
                look = pulse.look_at(now);
            }
            prop_assert!(look <= pulse.deadline(), "{look:?} {pulse:?}");
        }
    }
}
