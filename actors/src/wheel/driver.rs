//! The loop that turns a wheel: one for each arbiter, and it knows when it was late.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use provost_protocol::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::{TICK, Wheel};
use crate::clock::{Clock, millis};

/// A wheel that turns by itself on the thread it was made on.
///
/// Clones share one wheel. The loop ends within a tick after the last clone is dropped.
pub struct LocalWheel<K> {
    wheel: Rc<RefCell<Wheel<K>>>,
    moved_ms: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
    last: Rc<Cell<Moment>>,
}

/// What the clocks showed at a tick.
type Moment = (Instant, Timestamp);

impl<K: Ord + Clone + 'static> LocalWheel<K> {
    /// Starts the loop; at every tick at which keys expire, `expired` is given them and the time. It
    /// gives back those it could not look after: they expire again at the next tick.
    ///
    /// Must be called inside a `LocalSet` or an arbiter. `expired` may schedule and cancel.
    #[must_use]
    pub fn start(
        clock: Arc<dyn Clock>,
        expired: impl FnMut(Timestamp, Vec<K>) -> Vec<K> + 'static,
    ) -> Self {
        let wheel = Rc::new(RefCell::new(Wheel::new()));
        let moved_ms = Arc::new(AtomicI64::new(0));
        let last = Rc::new(Cell::new((Instant::now(), clock.now())));
        let shared = (Rc::downgrade(&wheel), Arc::clone(&moved_ms));
        let turning = turn(shared, Arc::clone(&clock), Rc::clone(&last), expired);
        drop(actix::spawn(turning));
        Self {
            wheel,
            moved_ms,
            clock,
            last,
        }
    }

    /// How long it has slept in all, less what the clock was set back, in milliseconds: known
    /// before anything expires late.
    #[must_use]
    pub fn moved(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.moved_ms)
    }

    /// Sets the key's deadline, in place of any earlier one.
    pub fn schedule(&self, key: K, deadline: Timestamp) {
        let now = (Instant::now(), self.clock.now());
        let late_ms = lateness_ms(self.last.get(), now);
        let slept = late_ms > LATENESS_TOLERATED_MS;
        // The next tick moves everything that stands by the sleep it finds, and this deadline comes
        // from after it.
        let deadline = deadline.minus_millis(if slept { late_ms } else { 0 });
        self.wheel.borrow_mut().schedule(key, deadline);
    }

    /// Takes the key's deadline away; says whether there was one.
    pub fn cancel(&self, key: &K) -> bool {
        self.wheel.borrow_mut().cancel(key)
    }

    /// How many keys have a deadline.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// Says whether no key has a deadline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wheel.borrow().is_empty()
    }
}

impl<K> Clone for LocalWheel<K> {
    fn clone(&self) -> Self {
        Self {
            wheel: Rc::clone(&self.wheel),
            moved_ms: Arc::clone(&self.moved_ms),
            clock: Arc::clone(&self.clock),
            last: Rc::clone(&self.last),
        }
    }
}

impl<K> fmt::Debug for LocalWheel<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalWheel").finish_non_exhaustive()
    }
}

async fn turn<K: Ord + Clone>(
    (wheel, moved_ms): (Weak<RefCell<Wheel<K>>>, Arc<AtomicI64>),
    clock: Arc<dyn Clock>,
    last: Rc<Cell<Moment>>,
    mut expired: impl FnMut(Timestamp, Vec<K>) -> Vec<K>,
) {
    loop {
        sleep_until(last.get().0 + TICK).await;
        let Some(wheel) = wheel.upgrade() else { return };
        let this = (Instant::now(), clock.now());
        let before = last.replace(this);
        let back_ms = set_back_ms(before, this);
        let late_ms = lateness_ms(before, this);
        if back_ms > 0 {
            tracing::warn!(
                back_ms,
                "the clock was set back; every deadline goes with it"
            );
            wheel.borrow_mut().set_back(back_ms);
            moved_ms.fetch_sub(signed(back_ms), Ordering::Relaxed);
        } else if late_ms > LATENESS_TOLERATED_MS {
            tracing::warn!(
                late_ms,
                "the wheel ticked late; every deadline moves by that"
            );
            metrics::counter!(LATE_TICKS).increment(1);
            wheel.borrow_mut().slept(late_ms);
            moved_ms.fetch_add(signed(late_ms), Ordering::Relaxed);
        }
        // The borrow ends here: what expires may be scheduled again at once.
        let keys = wheel.borrow_mut().advance(this.1);
        if !keys.is_empty() {
            let again = expired(this.1, keys);
            let mut wheel = wheel.borrow_mut();
            for key in again {
                wheel.schedule(key, this.1.plus_millis(millis(TICK)));
            }
        }
    }
}

/// How much longer than a tick it took, by whichever clock saw more.
///
/// The monotonic clock sees a process that was stopped, but on Linux stands still while the machine
/// is suspended; the wall clock sees that, and a step forward, which is no silence of the fleet's
/// either.
fn lateness_ms(last: Moment, this: Moment) -> u64 {
    let monotonic = millis(this.0.duration_since(last.0));
    let wall = this.1.millis_since(last.1);
    monotonic.max(wall).saturating_sub(millis(TICK))
}

/// By how much deadlines move back where the wall clock was: it should have gone on by a tick, also
/// where the loop was late, for that is sleep.
fn set_back_ms(last: Moment, this: Moment) -> u64 {
    match last.1.millis_since(this.1) {
        0 => 0,
        back => back.saturating_add(millis(TICK)),
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

/// A busy arbiter is late by milliseconds all the time; a quarter of a tick is below what any
/// deadline here can tell, since all are rounded to whole ticks.
const LATENESS_TOLERATED_MS: u64 = 250;

const LATE_TICKS: &str = "provost_wheel_late_ticks_total";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        task::{LocalSet, yield_now},
        time::{advance, sleep},
    };

    use super::*;
    use crate::clock::{ManualClock, RuntimeClock};

    #[tokio::test(start_paused = true)]
    async fn a_deadline_expires_at_its_tick_and_a_beat_puts_it_off() {
        local(async {
            let (wheel, seen) = wheel(Arc::new(RuntimeClock::starting_at(at(0))));
            wheel.schedule("silent", at(30_000));
            wheel.schedule("beating", at(30_000));
            sleep(Duration::from_secs(20)).await;
            wheel.schedule("beating", at(50_000));

            sleep(Duration::from_millis(9_900)).await;
            assert!(seen.borrow().is_empty());
            sleep(Duration::from_millis(1_200)).await;
            assert_eq!(*seen.borrow(), ["silent"]);
            sleep(Duration::from_secs(20)).await;
            assert_eq!(*seen.borrow(), ["silent", "beating"]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_kernel_slept_the_fleet_is_not_lost() {
        local(async {
            let (wheel, seen) = wheel(Arc::new(RuntimeClock::starting_at(at(0))));
            wheel.schedule("fleet", at(30_000));
            sleep(Duration::from_millis(500)).await;

            // One jump, as after SIGSTOP and SIGCONT: the loop is polled once, an hour late.
            advance(Duration::from_secs(3_600)).await;
            settle().await;
            assert!(
                seen.borrow().is_empty(),
                "nobody is lost for the kernel's own sleep"
            );

            sleep(Duration::from_millis(28_000)).await;
            assert!(seen.borrow().is_empty());
            sleep(Duration::from_millis(3_000)).await;
            assert_eq!(
                *seen.borrow(),
                ["fleet"],
                "a fleet that stays silent is lost all the same"
            );
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspended_machine_shows_in_the_wall_clock_alone() {
        local(async {
            let clock = Arc::new(ManualClock::new(at(0)));
            let (wheel, seen) = wheel(clock.clone());
            wheel.schedule("fleet", at(30_000));
            settle().await;

            clock.advance(Duration::from_secs(3_600));
            sleep(Duration::from_millis(1_100)).await;
            assert!(seen.borrow().is_empty());

            for _ in 0..31 {
                clock.advance(Duration::from_secs(1));
                sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(*seen.borrow(), ["fleet"]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_between_the_sleep_and_the_tick_that_finds_it_is_looked_after_in_time() {
        local(async {
            let clock = Arc::new(ManualClock::new(at(0)));
            let (wheel, seen) = wheel(clock.clone());
            settle().await;

            // The machine wakes, and the fleet dials before the wheel has turned.
            clock.advance(Duration::from_secs(3_600));
            sleep(Duration::from_millis(500)).await;
            clock.advance(Duration::from_millis(500));
            wheel.schedule("back", clock.now().plus_millis(30_000));
            let mut after = 0;
            while seen.borrow().is_empty() && after < 100 {
                sleep(Duration::from_secs(1)).await;
                clock.advance(Duration::from_secs(1));
                after += 1;
            }
            assert!((30..=32).contains(&after), "after {after} seconds");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_takes_the_deadlines_along() {
        local(async {
            let clock = Arc::new(ManualClock::new(at(7_200_000)));
            let (wheel, seen) = wheel(clock.clone());
            wheel.schedule("silent", at(7_230_000));
            settle().await;

            clock.set(at(3_600_000));
            for _ in 0..28 {
                sleep(Duration::from_secs(1)).await;
                clock.advance(Duration::from_secs(1));
            }
            assert!(seen.borrow().is_empty());
            wheel.schedule("later", at(3_690_000));
            for _ in 0..4 {
                sleep(Duration::from_secs(1)).await;
                clock.advance(Duration::from_secs(1));
            }
            assert_eq!(*seen.borrow(), ["silent"], "and not an hour later");
            for _ in 0..60 {
                sleep(Duration::from_secs(1)).await;
                clock.advance(Duration::from_secs(1));
            }
            assert_eq!(*seen.borrow(), ["silent", "later"]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_could_not_be_told_expires_again_at_the_next_tick() {
        local(async {
            let told = Rc::new(RefCell::new(0));
            let count = Rc::clone(&told);
            let clock = Arc::new(RuntimeClock::starting_at(at(0)));
            let wheel = LocalWheel::start(clock, move |_, keys: Vec<&str>| {
                *count.borrow_mut() += 1;
                let is_full = *count.borrow() < 3;
                if is_full { keys } else { Vec::new() }
            });
            wheel.schedule("silent", at(2_000));
            sleep(Duration::from_secs(10)).await;
            assert_eq!(*told.borrow(), 3);
            assert!(wheel.is_empty());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_loop_ends_with_the_last_handle() {
        local(async {
            let (wheel, seen) = wheel(Arc::new(RuntimeClock::starting_at(at(0))));
            assert_eq!(Rc::strong_count(&seen), 2, "the loop holds what it calls");
            drop(wheel);
            sleep(TICK * 2).await;
            assert_eq!(Rc::strong_count(&seen), 1);
        })
        .await;
    }

    type Seen = Rc<RefCell<Vec<&'static str>>>;

    fn wheel(clock: Arc<dyn Clock>) -> (LocalWheel<&'static str>, Seen) {
        let seen = Seen::default();
        let sink = seen.clone();
        let wheel = LocalWheel::start(clock, move |_, keys| {
            sink.borrow_mut().extend(keys);
            Vec::new()
        });
        (wheel, seen)
    }

    /// Lets every task that is ready run.
    async fn settle() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    async fn local(test: impl Future<Output = ()>) {
        LocalSet::new().run_until(test).await;
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}
