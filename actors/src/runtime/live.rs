//! What is volatile about a live runtime: written by its actor, and by whoever takes in a heartbeat
//! that changes nothing but when the runtime was last heard of.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use provost_kernel::liveness::{Pulse, Rhythm};
use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    entity::{Health, Liveness, RuntimeType},
    metrics::Metrics,
};
use tokio::sync::{Notify, futures::Notified};

/// What is volatile about a live runtime, for those who look.
#[derive(Debug, Clone)]
pub struct LiveRuntime {
    /// Its own tenant.
    pub tenant: TenantId,
    /// The runtime.
    pub runtime: RuntimeId,
    /// What it is.
    pub runtime_type: RuntimeType,
    /// What the kernel sees of its heartbeats.
    pub liveness: Liveness,
    /// What it says of itself.
    pub health: Health,
    /// When it last beat, since the kernel started.
    pub last_beat: Option<Timestamp>,
    /// Its last figures.
    pub metrics: Metrics,
    /// Whether a session is open.
    pub connected: bool,
    /// The generation of its newest session.
    pub generation: u64,
    /// From where it last came.
    pub address: Option<SocketAddr>,
}

/// The shared cell behind [`LiveRuntime`].
#[derive(Debug)]
pub(crate) struct Live {
    cell: Mutex<Cell>,
    /// Wakes sessions when a younger one begins. A watch would say the same, in ten times the room.
    begun: Notify,
}

#[derive(Debug)]
struct Cell {
    shown: LiveRuntime,
    pulse: Pulse,
    /// How long the wheel that looks after it has slept in all, less what the clock was set back.
    moved: Arc<AtomicI64>,
    /// How much of it is taken in already.
    moved_ms: i64,
    /// The interval by which the wheel was set.
    looked_for_ms: u64,
    /// Whether the actor is to hear of the next beat, whatever it says.
    awaited: bool,
}

/// A heartbeat, as far as it says something of its runtime.
#[derive(Debug)]
pub(crate) struct Beat {
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) address: SocketAddr,
}

impl Live {
    /// Begins with what is known before the first beat.
    pub(crate) fn new(shown: LiveRuntime, pulse: Pulse) -> Self {
        Self {
            cell: Mutex::new(Cell {
                shown,
                pulse,
                moved: Arc::default(),
                moved_ms: 0,
                looked_for_ms: u64::MAX,
                awaited: false,
            }),
            begun: Notify::new(),
        }
    }

    /// A life of the actor begins, looked after by a wheel that has moved by so much.
    pub(crate) fn begin(&self, pulse: Pulse, moved: Arc<AtomicI64>) {
        let mut cell = self.lock();
        cell.pulse = pulse;
        cell.moved_ms = moved.load(Ordering::Relaxed);
        cell.moved = moved;
        cell.awaited = false;
    }

    /// The generation of its newest session; 0 before the first.
    pub(super) fn generation(&self) -> u64 {
        self.lock().shown.generation
    }

    pub(super) fn set_generation(&self, generation: u64) {
        self.lock().shown.generation = generation;
        self.begun.notify_waiters();
    }

    /// Comes when a session begins.
    pub(super) fn begun(&self) -> Notified<'_> {
        self.begun.notified()
    }

    /// Says whether the actor is to hear of the next beat, whatever it says.
    pub(super) fn await_beat(&self, awaited: bool) {
        self.lock().awaited = awaited;
    }

    pub(crate) fn look(&self) -> LiveRuntime {
        let cell = self.lock();
        let mut shown = cell.shown.clone();
        shown.liveness = cell.pulse.liveness();
        shown.last_beat = cell.pulse.last_beat();
        shown
    }

    /// What a beat says of the runtime.
    pub(super) fn tell(&self, beat: Beat) {
        self.lock().tell(beat);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.lock().shown.connected
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut LiveRuntime)) {
        change(&mut self.lock().shown);
    }

    pub(super) fn rhythm(&self) -> Rhythm {
        self.lock().pulse.rhythm()
    }

    /// The runtime was heard of.
    pub(super) fn heard(&self, rhythm: Rhythm, now: Timestamp) {
        self.lock().heard(rhythm, now);
    }

    /// Takes in a beat that nobody else needs to hear of; says whether that is so, and takes
    /// nothing where it is not.
    ///
    /// The wheel looks early enough for what follows from it ([`Pulse::look_at`]), so that beats
    /// cost no timer.
    pub(super) fn beat(&self, beat: &mut Beat, rhythm: Rhythm, now: Timestamp) -> bool {
        let mut cell = self.lock();
        let changes_more = cell.awaited
            || cell.pulse.liveness() != Liveness::Online
            || rhythm.is_much_shorter(cell.looked_for_ms);
        if changes_more {
            return false;
        }
        cell.heard(rhythm, now);
        cell.tell(Beat {
            metrics: std::mem::take(&mut beat.metrics),
            ..*beat
        });
        true
    }

    /// The wheel says that it is time; gives what is seen then.
    pub(super) fn tick(&self, now: Timestamp) -> Liveness {
        let mut cell = self.lock();
        let missed = cell.go_back();
        // Nobody slept for longer since the last beat than that is ago.
        let heard = cell.pulse.last_beat();
        let missed = heard.map_or(missed, |heard| missed.min(now.millis_since(heard)));
        cell.pulse.kernel_slept(missed);
        // The wheel is the authority: by what it was late besides, it moved the deadline on.
        if let Some(deadline) = cell.pulse.deadline() {
            cell.pulse.kernel_slept(now.millis_since(deadline));
        }
        cell.pulse.tick(now);
        cell.pulse.liveness()
    }

    /// When the wheel is to look next; never at who is lost.
    pub(super) fn look_at(&self, now: Timestamp) -> Option<Timestamp> {
        let mut cell = self.lock();
        cell.looked_for_ms = cell.pulse.rhythm().interval_ms;
        cell.pulse.look_at(now)
    }

    /// A cell is whole at every moment, whoever panicked while holding it.
    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cell {
    fn tell(&mut self, beat: Beat) {
        let Beat {
            health,
            metrics,
            address,
        } = beat;
        self.shown.health = health;
        self.shown.metrics = metrics;
        self.shown.address = Some(address);
    }

    fn heard(&mut self, rhythm: Rhythm, now: Timestamp) {
        // A beat forgives all sleep before it; a clock that was set back it does not move on.
        self.go_back();
        self.pulse.set_rhythm(rhythm);
        self.pulse.beat(now);
    }

    /// Takes in by how much the wheel has moved since it was last asked: back at once, and how long
    /// it has slept is given.
    fn go_back(&mut self) -> u64 {
        let moved = self.moved.load(Ordering::Relaxed);
        let by = moved.saturating_sub(self.moved_ms);
        self.moved_ms = moved;
        match u64::try_from(by) {
            Ok(slept) => slept,
            Err(_) => {
                self.pulse.clock_set_back(by.unsigned_abs());
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        interval_ms: 10_000,
        grace_ms: 30_000,
    };

    #[test]
    fn what_the_kernel_slept_since_a_beat_is_forgiven_once() {
        let (live, slept) = live();
        assert!(live.beat(&mut beat(), RHYTHM, at(10)));
        slept.fetch_add(3_600_000, Ordering::Relaxed);
        assert_eq!(live.tick(at(3_615)), Liveness::Online, "5 s after the beat");
        assert_eq!(live.look_at(at(3_622)), Some(at(3_625)));
        assert_eq!(live.tick(at(3_625)), Liveness::Late);
        assert_eq!(live.tick(at(3_640)), Liveness::Lost);
    }

    #[test]
    fn nobody_slept_for_longer_than_the_last_beat_is_ago() {
        let (live, slept) = live();
        // It was heard after the kernel woke, and before the wheel saw how long it had slept.
        assert!(live.beat(&mut beat(), RHYTHM, at(3_612)));
        slept.fetch_add(3_600_000, Ordering::Relaxed);
        assert_eq!(live.tick(at(3_620)), Liveness::Online);
        assert_eq!(live.look_at(at(3_634)), Some(at(3_635)));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_online_who_is_silent() {
        let (live, moved) = live();
        assert!(live.beat(&mut beat(), RHYTHM, at(7_200)));
        // Beats before and after the wheel has seen it; the clock is an hour behind.
        assert!(live.beat(&mut beat(), RHYTHM, at(3_601)));
        moved.fetch_sub(3_600_000, Ordering::Relaxed);
        assert!(live.beat(&mut beat(), RHYTHM, at(3_610)));
        assert_eq!(live.look().last_beat, Some(at(3_610)));
        assert_eq!(live.tick(at(3_625)), Liveness::Late);
        assert_eq!(live.tick(at(3_640)), Liveness::Lost);
    }

    #[test]
    fn who_is_late_or_told_a_much_shorter_rhythm_is_for_the_actor() {
        let (live, _) = live();
        let shorter = Rhythm {
            interval_ms: 5_000,
            grace_ms: 20_000,
        };
        assert!(!live.beat(&mut beat(), shorter, at(1)));
        assert_eq!(live.look().last_beat, None, "nothing was taken");
        live.await_beat(true);
        assert!(!live.beat(&mut beat(), RHYTHM, at(1)), "it waits for one");
        live.await_beat(false);
        assert_eq!(live.tick(at(15)), Liveness::Late);
        let mut late = beat();
        late.metrics = BTreeMap::from([("load".to_owned(), 1.0)]).into();
        assert!(!live.beat(&mut late, RHYTHM, at(16)));
        assert_eq!(late.metrics.len(), 1, "its figures are the actor's to take");
    }

    /// Looked after by a wheel set for the first beat.
    fn live() -> (Live, Arc<AtomicI64>) {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let pulse = Pulse::begin(at(0), RHYTHM, false);
        let shown = LiveRuntime {
            tenant: id.parse().unwrap(),
            runtime: id.parse().unwrap(),
            runtime_type: RuntimeType::App,
            liveness: Liveness::Online,
            health: Health::Healthy,
            last_beat: None,
            metrics: Metrics::default(),
            connected: true,
            generation: 1,
            address: None,
        };
        let live = Live::new(shown, pulse.clone());
        let slept = Arc::new(AtomicI64::new(0));
        live.begin(pulse, Arc::clone(&slept));
        assert_eq!(live.look_at(at(0)), Some(Timestamp::from_millis(11_667)));
        (live, slept)
    }

    fn beat() -> Beat {
        Beat {
            health: Health::Healthy,
            metrics: Metrics::default(),
            address: "127.0.0.1:1".parse().unwrap(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }
}
