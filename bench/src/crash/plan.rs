//! How each round ends, drawn from the seed: a kill at some moment, or a fail point.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt as _, rngs::StdRng, seq::SliceRandom as _};

/// How a round ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// SIGKILL, so long after everybody began to write.
    Kill(Duration),
    /// The process ends itself at a fail point; SIGKILL where it does not come there in time.
    Point(Point),
}

/// A fail point and when it ends the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) name: &'static str,
    /// What the crate `fail` is told: `3*off->return`, `5%return`.
    pub(super) program: String,
}

/// Draws plans. Every fail point comes as often as every other: they are dealt like cards.
#[derive(Debug, Default)]
pub(super) struct Plans {
    deck: Vec<&'static str>,
}

/// How often each fail point was set, and how often it ended the process.
#[derive(Debug)]
pub(super) struct Tally {
    points: BTreeMap<&'static str, (u32, u32)>,
}

impl Point {
    /// As it stands in the environment of the daemon.
    pub(super) fn setting(&self) -> String {
        format!("{}={}", self.name, self.program)
    }
}

impl Plans {
    pub(super) fn draw(&mut self, random: &mut StdRng) -> Plan {
        if random.random() {
            return Plan::Kill(Duration::from_millis(random.random_range(MOMENT_MS)));
        }
        if self.deck.is_empty() {
            self.deck = every_point();
            self.deck.shuffle(random);
        }
        let name = self.deck.pop().unwrap_or_default();
        let program = if is_of(name, &AT_START) {
            "return".to_owned()
        } else if is_of(name, &RARE) {
            format!("{}*off->return", random.random_range(RARE_PASSES))
        } else if random.random() {
            format!("{}*off->return", random.random_range(PASSES))
        } else {
            format!("{}%return", random.random_range(PERCENT))
        };
        Plan::Point(Point { name, program })
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        let points = every_point().into_iter().map(|name| (name, (0, 0)));
        Self {
            points: points.collect(),
        }
    }

    pub(super) fn enter(&mut self, name: &'static str, fired: bool) {
        let (set, ended) = self.points.entry(name).or_default();
        *set += 1;
        *ended += u32::from(fired);
    }

    /// Rounds in which a fail point ended the process, and those in which none was reached.
    pub(super) fn rounds(&self) -> (u32, u32) {
        let sums = self.points.values();
        let (set, fired) = sums.fold((0, 0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
        (fired, set - fired)
    }

    /// Those that never ended the process.
    pub(super) fn never(&self) -> Vec<&'static str> {
        let points = self.points.iter();
        let silent = points.filter(|(_, (_, fired))| *fired == 0);
        silent.map(|(name, _)| *name).collect()
    }

    /// What was set often enough and never ended the process: it guards nothing.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mute = |(name, (set, fired)): (&&str, &(u32, u32))| {
            (*fired == 0 && *set >= SET_ENOUGH)
                .then(|| format!("{name} was set {set} times and never ended the daemon"))
        };
        self.points.iter().filter_map(mute).collect()
    }

    /// A line for each.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(name, (set, fired)): (&&str, &(u32, u32))| {
            format!("fail point: {name:<28} set={set:<4} ended_the_daemon={fired}")
        };
        self.points.iter().map(line).collect()
    }
}

/// Every fail point of the daemon.
fn every_point() -> Vec<&'static str> {
    let mut all = provost_actors::fail_points::ALL.to_vec();
    all.extend(provost_journal::fail_points::ALL);
    all.extend(provost_store::fail_points::ALL);
    all
}

/// Whether a fail point has to do with one of these.
fn is_of(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| name.contains(word))
}

/// Passed once or twice, while the daemon starts.
const AT_START: [&str; 2] = ["state-opened", "replay"];

/// Passed a few times a round instead of at every group: the end of a segment, and a pause.
const RARE: [&str; 4] = ["segment", "index", "seal", "compress"];

/// From the first handshakes on to some hundred groups.
const MOMENT_MS: std::ops::Range<u64> = 20..450;

/// From the first group on to as many as the shortest rounds see.
const PASSES: std::ops::Range<u32> = 0..30;

/// A round sees a handful.
const RARE_PASSES: std::ops::Range<u32> = 0..3;

/// Of some dozens of passes one is met at 3 %, the first few at 30 %.
const PERCENT: std::ops::RangeInclusive<u32> = 3..=30;

/// So often the longest count of passes is not drawn.
const SET_ENOUGH: u32 = 8;

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn one_seed_draws_one_series_and_another_draws_another() {
        let draw = |seed| {
            let (mut plans, mut random) = (Plans::default(), StdRng::seed_from_u64(seed));
            let series: Vec<Plan> = (0..50).map(|_| plans.draw(&mut random)).collect();
            series
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn every_fail_point_is_set_as_often_as_every_other() {
        let (mut plans, mut random) = (Plans::default(), StdRng::seed_from_u64(7));
        let mut tally = Tally::new();
        let all = tally.points.len();
        let mut set = 0;
        while set < 3 * all {
            if let Plan::Point(point) = plans.draw(&mut random) {
                tally.enter(point.name, true);
                set += 1;
            }
        }
        assert!(tally.points.values().all(|counts| *counts == (3, 3)));
    }

    #[test]
    fn a_point_that_is_set_and_never_ends_the_daemon_is_named() {
        let mut tally = Tally::new();
        let name = every_point()[0];
        for _ in 0..SET_ENOUGH {
            assert_eq!(tally.complaints(), Vec::<String>::new());
            tally.enter(name, false);
        }
        assert!(tally.complaints()[0].contains(name));
        assert!(tally.never().contains(&name));
        tally.enter(name, true);
        assert_eq!(tally.complaints(), Vec::<String>::new());
        assert_eq!(tally.rounds(), (1, SET_ENOUGH));
    }
}
