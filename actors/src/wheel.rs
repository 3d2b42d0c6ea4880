//! One timer for many deadlines: a wheel of one-second ticks, and the loop that turns it.
//!
//! [`Wheel`] is pure: it is told the time. Deadlines are rounded up to a tick, so nothing expires
//! early and nothing more than one tick late. A key has at most one deadline, so memory goes with
//! the keys, not with how often they beat; every operation is a few steps down a balanced tree.
//!
//! **A wheel that ticks late moves all deadlines by its delay**: when the process was stopped,
//! swapped out or the machine suspended, the kernel slept, not the fleet; nobody is lost for it. A
//! clock that is set back takes them along: nobody who falls silent stays online until it has
//! caught up.
//!
//! Nothing of it survives a crash: what must, stands in the store's due index.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use provost_protocol::Timestamp;

pub use self::driver::LocalWheel;

mod driver;

/// Deadlines by key, expired tick by tick.
#[derive(Debug, Clone)]
pub struct Wheel<K> {
    due: BTreeMap<i64, BTreeSet<K>>,
    ticks: BTreeMap<K, i64>,
    /// How long the wheel has slept in all, less what the clock was set back: deadlines are kept in
    /// a time without either.
    moved_ms: i64,
}

impl<K: Ord + Clone> Wheel<K> {
    /// Makes an empty wheel.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            due: BTreeMap::new(),
            ticks: BTreeMap::new(),
            moved_ms: 0,
        }
    }

    /// Sets the key's deadline, in place of any earlier one.
    pub fn schedule(&mut self, key: K, deadline: Timestamp) {
        let tick = self.tick_at_or_after(deadline);
        if self.ticks.get(&key) == Some(&tick) {
            return;
        }
        self.cancel(&key);
        self.due.entry(tick).or_default().insert(key.clone());
        self.ticks.insert(key, tick);
    }

    /// Takes the key's deadline away; says whether there was one.
    pub fn cancel(&mut self, key: &K) -> bool {
        let Some(tick) = self.ticks.remove(key) else {
            return false;
        };
        if let Some(keys) = self.due.get_mut(&tick) {
            keys.remove(key);
            if keys.is_empty() {
                self.due.remove(&tick);
            }
        }
        true
    }

    /// Takes out every key whose deadline has come, the oldest tick first, then by key.
    pub fn advance(&mut self, now: Timestamp) -> Vec<K> {
        let reached = self.awake_millis(now).div_euclid(TICK_MS);
        let mut expired = Vec::new();
        while let Some(entry) = self.due.first_entry() {
            if *entry.key() > reached {
                break;
            }
            expired.extend(entry.remove());
        }
        for key in &expired {
            self.ticks.remove(key);
        }
        expired
    }

    /// Moves every deadline that stands by the time the wheel was late.
    pub fn slept(&mut self, delay_ms: u64) {
        self.moved_ms = self.moved_ms.saturating_add_unsigned(delay_ms);
    }

    /// Moves every deadline that stands back, as the clock was.
    pub fn set_back(&mut self, by_ms: u64) {
        self.moved_ms = self.moved_ms.saturating_sub_unsigned(by_ms);
    }

    /// How many keys have a deadline.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ticks.len()
    }

    /// Says whether no key has a deadline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    fn awake_millis(&self, time: Timestamp) -> i64 {
        time.as_millis().saturating_sub(self.moved_ms)
    }

    fn tick_at_or_after(&self, deadline: Timestamp) -> i64 {
        self.awake_millis(deadline)
            .saturating_add(TICK_MS - 1)
            .div_euclid(TICK_MS)
    }
}

impl<K: Ord + Clone> Default for Wheel<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// How long one tick lasts: heartbeats come every ten seconds or slower, so a tenth of a beat is
/// fine enough, and 100,000 runtimes cost one wake-up a second and not 10,000.
pub const TICK: Duration = Duration::from_secs(1);

/// [`TICK`] in milliseconds.
const TICK_MS: i64 = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_expires_early_and_nothing_a_whole_tick_late() {
        let mut wheel = Wheel::new();
        wheel.schedule("beat", at(10_001));
        assert!(wheel.advance(at(10_999)).is_empty());
        assert_eq!(wheel.advance(at(11_000)), ["beat"]);
        assert!(
            wheel.is_empty() && wheel.advance(at(99_000)).is_empty(),
            "once only"
        );
    }

    #[test]
    fn a_key_that_beats_moves_its_deadline_and_leaves_nothing_behind() {
        let mut wheel = Wheel::new();
        for second in 0..10_000 {
            wheel.schedule(1, at(second * 1_000 + 30_000));
        }
        assert_eq!((wheel.len(), wheel.due.len()), (1, 1));
        assert!(wheel.advance(at(10_028_000)).is_empty());
        assert_eq!(wheel.advance(at(10_029_000)), [1]);
    }

    #[test]
    fn sleep_moves_what_stands_and_not_what_comes_after() {
        let mut wheel = Wheel::new();
        wheel.schedule("before", at(30_000));
        wheel.slept(60_000);
        wheel.schedule("after", at(80_000));
        assert_eq!(wheel.advance(at(80_000)), ["after"]);
        assert!(wheel.advance(at(89_999)).is_empty());
        assert_eq!(wheel.advance(at(90_000)), ["before"]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Schedule(u8, i64),
        Cancel(u8),
        Advance(i64),
        Slept(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12_u8, -20_000..120_000_i64).prop_map(|(key, ahead)| Step::Schedule(key, ahead)),
            (0..12_u8).prop_map(Step::Cancel),
            (0..20_000_i64).prop_map(Step::Advance),
            (0..40_u64).prop_map(|seconds| Step::Slept(seconds * 1_000)),
        ]
    }

    proptest! {
        #[test]
        fn the_wheel_agrees_with_a_list_of_deadlines(
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let (mut wheel, mut naive, mut now) = (Wheel::new(), BTreeMap::new(), 1_000_000);
            for step in steps {
                match step {
                    Step::Schedule(key, ahead) => {
                        wheel.schedule(key, at(now + ahead));
                        naive.insert(key, now + ahead);
                    }
                    Step::Cancel(key) => {
                        prop_assert_eq!(wheel.cancel(&key), naive.remove(&key).is_some());
                    }
                    Step::Slept(delay) => {
                        wheel.slept(delay);
                        let delay = i64::try_from(delay).unwrap();
                        naive.values_mut().for_each(|deadline| *deadline += delay);
                    }
                    Step::Advance(by) => {
                        now += by;
                        let mut expired = wheel.advance(at(now));
                        expired.sort_unstable();
                        prop_assert_eq!(expired, take_due(&mut naive, now));
                    }
                }
                prop_assert_eq!(wheel.len(), naive.len());
                prop_assert_eq!(wheel.due.values().map(BTreeSet::len).sum::<usize>(), naive.len());
            }
        }
    }

    /// Whole seconds of sleep keep the ticks in step with the clock, so the model can round too.
    fn take_due(naive: &mut BTreeMap<u8, i64>, now: i64) -> Vec<u8> {
        let is_due = |deadline: i64| (deadline + 999).div_euclid(1_000) * 1_000 <= now;
        let due: Vec<_> = naive
            .iter()
            .filter(|(_, d)| is_due(**d))
            .map(|(k, _)| *k)
            .collect();
        naive.retain(|_, deadline| !is_due(*deadline));
        due
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}
