//! The quota window: a list of everything taken, summed by a calendar written by hand.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use provost_kernel::{
    Command, answer,
    command::{Consume, Grant},
};
use provost_protocol::{
    Timestamp,
    entity::{Feature, Limit, Mode, TimeWindow},
    event::Event,
    verdict::Reason,
};

use crate::world::{World, config, own};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

#[derive(Debug, Clone)]
struct Naive {
    window: TimeWindow,
    lisbon: bool,
    quota: u64,
    now: i64,
    taken: Vec<(i64, u64)>,
    /// Start of the present rolling window.
    first_use: Option<i64>,
    allowed: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Take(u64),
}

impl Naive {
    /// What names the window a moment lies in; equal for moments of one window only.
    fn name(&self, moment: i64) -> (i64, i64) {
        let local = moment
            + if self.lisbon {
                lisbon_offset(moment)
            } else {
                0
            };
        let day = local.div_euclid(DAY);
        let (year, month, _) = civil(day);
        match self.window {
            // Lisbon's clocks move by whole hours: an hour is an hour.
            TimeWindow::Hour => (moment.div_euclid(HOUR), 0),
            TimeWindow::Day => (day, 0),
            // 1970-01-05 was a Monday.
            TimeWindow::Week => ((day - 4).div_euclid(7), 0),
            TimeWindow::Month => (year, month),
            TimeWindow::Year => (year, 0),
            TimeWindow::Rolling { .. } => unreachable!("rolling windows have no name"),
        }
    }

    fn length(&self) -> Option<i64> {
        match self.window {
            TimeWindow::Rolling { minutes } => Some(i64::from(minutes) * 60_000),
            _calendar => None,
        }
    }

    fn same_window(&self, moment: i64) -> bool {
        match (self.length(), self.first_use) {
            (Some(_), None) => false,
            (Some(length), Some(first)) => moment >= first && self.now < first + length,
            (None, _) => self.name(moment) == self.name(self.now),
        }
    }

    fn used(&self) -> u64 {
        self.taken
            .iter()
            .filter(|(when, _)| self.same_window(*when))
            .map(|(_, n)| n)
            .sum()
    }

    fn is_end(&self, end: i64) -> bool {
        match (self.length(), self.first_use) {
            (Some(length), first) => Some(end - length) == first,
            (None, _) => self.same_window(end - 1) && !self.same_window(end),
        }
    }
}

/// Howard Hinnant's days-to-civil, for years after 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

/// European rule: summer from the last Sunday of March, 01:00 UTC, to that of October.
fn lisbon_offset(moment: i64) -> i64 {
    let shifted = (moment - HOUR).div_euclid(DAY);
    let (_, month, day) = civil(shifted);
    // Days since the last Sunday, 1970-01-04 being one.
    let since_sunday = (shifted - 3).rem_euclid(7);
    let last_sunday_passed = day - since_sunday >= 25;
    let summer = match month {
        4..=9 => true,
        3 => last_sunday_passed,
        10 => !last_sunday_passed,
        _winter => false,
    };
    if summer { HOUR } else { 0 }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Naive;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Naive> {
        let windows = vec![
            TimeWindow::Hour,
            TimeWindow::Day,
            TimeWindow::Week,
            TimeWindow::Month,
            TimeWindow::Year,
            TimeWindow::Rolling { minutes: 7 * 60 },
        ];
        // From 2026 to 2029, to meet a leap year.
        let begin = 1_767_225_600_000_i64..1_861_920_000_000;
        (
            prop::sample::select(windows),
            any::<bool>(),
            1_u64..12,
            begin,
        )
            .prop_map(|(window, lisbon, quota, now)| Naive {
                window,
                lisbon,
                quota,
                now,
                taken: Vec::new(),
                first_use: None,
                allowed: true,
            })
            .boxed()
    }

    fn transitions(state: &Naive) -> BoxedStrategy<Step> {
        let stride = match state.window {
            TimeWindow::Hour | TimeWindow::Rolling { .. } => HOUR,
            TimeWindow::Day => 8 * HOUR,
            TimeWindow::Week => 2 * DAY,
            TimeWindow::Month => 6 * DAY,
            TimeWindow::Year => 70 * DAY,
        };
        prop_oneof![
            2 => (0..stride).prop_map(Step::Wait),
            // Whole hours meet the boundaries themselves.
            1 => (1_i64..5).prop_map(move |n| Step::Wait(n * (stride / 4))),
            4 => (1_u64..6).prop_map(Step::Take),
        ]
        .boxed()
    }

    fn apply(mut state: Naive, step: &Step) -> Naive {
        match step {
            Step::Wait(millis) => state.now += millis,
            Step::Take(amount) => {
                state.allowed = state.used() + amount <= state.quota;
                if state.allowed {
                    let running = |first| state.length().is_some_and(|l| state.now < first + l);
                    if !state.first_use.is_some_and(running) {
                        state.first_use = Some(state.now);
                    }
                    state.taken.push((state.now, *amount));
                }
            }
        }
        state
    }
}

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = World;
    type Reference = Reference;

    fn init_test(naive: &Naive) -> World {
        let zone = if naive.lisbon { "Europe/Lisbon" } else { "UTC" };
        let mut world = World::company(Timestamp::from_millis(naive.now), zone);
        let grant = Grant {
            feature: Feature::parse("exports").unwrap(),
            runtime: None,
            limit: Limit::Quota(naive.quota),
            time_window: Some(naive.window),
            mode: Mode::Enforce,
            valid_until: Timestamp::MAX,
        };
        world.run(&Command::Grant(grant)).unwrap();
        world
    }

    fn apply(mut world: World, naive: &Naive, step: Step) -> World {
        world.now = Timestamp::from_millis(naive.now);
        let Step::Take(amount) = step else {
            return world;
        };
        let feature = Feature::parse("exports:pdf").unwrap();
        let command = Command::Consume(Consume {
            caller: own(1),
            feature,
            amount,
            prior: None,
        });
        let events = world.run(&command).unwrap();
        let verdict = answer(&events[0]).unwrap();
        assert_eq!(verdict.allowed, naive.allowed);
        if !naive.allowed {
            assert_eq!(verdict.reason, Reason::QuotaExhausted);
            assert!(matches!(events[0], Event::QuotaDenied(_)));
        }
        let limits = verdict.limits.unwrap();
        assert_eq!(limits.used, Some(naive.used()));
        assert_eq!(limits.remaining, Some(naive.quota - naive.used()));
        if naive.length().is_none() || naive.used() > 0 {
            let end = limits.resets_at.unwrap().as_millis();
            assert!(
                naive.is_end(end),
                "{} is not the end",
                limits.resets_at.unwrap()
            );
        }
        world
    }
}

prop_state_machine! {
    #![proptest_config(config(256))]
    #[test]
    fn the_quota_window_is_as_its_naive_model(sequential 1..40 => Machine);
}
