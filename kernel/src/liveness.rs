//! Liveness of one runtime: what its heartbeats, or their absence, say. Volatile.
//!
//! A beat never causes a write. What survives a crash is only that the log says *lost*; after a
//! restart every other runtime has a full grace, since the kernel was away, not the fleet.

use provost_protocol::{
    Timestamp,
    entity::{Liveness, SecurityLevel},
};

use crate::planted::planted;

/// The liveness of one runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    liveness: Liveness,
    /// The last beat, moved on by the time the kernel slept.
    counted_from: Timestamp,
    last_beat: Option<Timestamp>,
    rhythm: Rhythm,
}

/// How often to beat, and how long silence is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// From beat to beat.
    pub interval_ms: u64,
    /// From the last beat to *lost*.
    pub grace_ms: u64,
}

/// A change of liveness. *Lost* and *returned* are for the log, the others are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One interval and a half without a beat.
    Late,
    /// A whole grace without a beat.
    Lost,
    /// A beat, late but not lost.
    Caught,
    /// The first beat after *lost*.
    Returned,
}

impl Pulse {
    /// Begins with a full grace: at the first beat, or at a restart. `lost` is what the log says.
    #[must_use]
    pub const fn begin(now: Timestamp, rhythm: Rhythm, lost: bool) -> Self {
        let liveness = if lost {
            Liveness::Lost
        } else {
            Liveness::Online
        };
        Self {
            liveness,
            counted_from: now,
            last_beat: None,
            rhythm,
        }
    }

    /// A heartbeat came.
    pub fn beat(&mut self, now: Timestamp) -> Option<Change> {
        self.counted_from = self.counted_from.max(now);
        self.last_beat = Some(now);
        let change = match self.liveness {
            Liveness::Online => None,
            Liveness::Late => Some(Change::Caught),
            Liveness::Lost => Some(Change::Returned),
        };
        self.liveness = Liveness::Online;
        change
    }

    /// The kernel set another rhythm: it counts from the last beat.
    pub const fn set_rhythm(&mut self, rhythm: Rhythm) {
        self.rhythm = rhythm;
    }

    /// The wheel ticked late by `delay_ms`: the kernel slept, not the runtime.
    pub fn kernel_slept(&mut self, delay_ms: u64) {
        if !planted("sleep_not_forgiven") {
            self.counted_from = self.counted_from.plus_millis(delay_ms);
        }
    }

    /// The clock was set back by so much: what is counted goes with it.
    pub fn clock_set_back(&mut self, by_ms: u64) {
        self.counted_from = self.counted_from.minus_millis(by_ms);
        if let Some(beat) = self.last_beat {
            self.last_beat = Some(beat.minus_millis(by_ms));
        }
    }

    /// Time passed. At most one change: who slept through *late* is *lost* at once.
    pub fn tick(&mut self, now: Timestamp) -> Option<Change> {
        let (late, lost) = (self.late_at(), self.lost_at());
        match self.liveness {
            Liveness::Lost => None,
            Liveness::Online | Liveness::Late if now >= lost => {
                self.liveness = Liveness::Lost;
                Some(Change::Lost)
            }
            Liveness::Online if now >= late => {
                self.liveness = Liveness::Late;
                Some(Change::Late)
            }
            Liveness::Online | Liveness::Late => None,
        }
    }

    /// When [`tick`](Self::tick) is next worth calling; never for the lost.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.liveness {
            Liveness::Online => Some(self.late_at().min(self.lost_at())),
            Liveness::Late => Some(self.lost_at()),
            Liveness::Lost => None,
        }
    }

    /// When to look at it next, by somebody who does not hear of every beat.
    ///
    /// While it is online that is early enough for whatever the beats until then lead to, as long as
    /// their intervals are not [much shorter](Rhythm::is_much_shorter); once there, it is the
    /// deadline itself.
    #[must_use]
    pub fn look_at(&self, now: Timestamp) -> Option<Timestamp> {
        let deadline = self.deadline()?;
        if self.liveness != Liveness::Online {
            return Some(deadline);
        }
        let early = deadline.minus_millis(self.rhythm.interval_ms / EARLY_PART);
        Some(if early > now { early } else { deadline })
    }

    /// The liveness as of the last beat or tick.
    #[must_use]
    pub const fn liveness(&self) -> Liveness {
        self.liveness
    }

    /// When it last beat, since the restart.
    #[must_use]
    pub const fn last_beat(&self) -> Option<Timestamp> {
        self.last_beat
    }

    /// The rhythm in force.
    #[must_use]
    pub const fn rhythm(&self) -> Rhythm {
        self.rhythm
    }

    fn late_at(&self) -> Timestamp {
        let interval_ms = self.rhythm.interval_ms;
        self.counted_from
            .plus_millis(interval_ms.saturating_add(interval_ms / 2))
    }

    fn lost_at(&self) -> Timestamp {
        let grace_ms = self.rhythm.grace_ms;
        let grace_ms = if planted("lost_too_early") {
            grace_ms - grace_ms / 3
        } else {
            grace_ms
        };
        self.counted_from.plus_millis(grace_ms)
    }
}

impl Rhythm {
    /// Chooses the rhythm of a fleet of so many on this kernel, by how strictly the runtime's
    /// tenant is handled.
    ///
    /// The interval is the policy's while the fleet is small; from then on it grows with the fleet,
    /// so that the kernel sees [`BEATS_A_SECOND_MAX`], up to [`INTERVAL_MS_MAX`].
    #[must_use]
    pub fn for_fleet(fleet: u64, level: SecurityLevel) -> Self {
        let stretched = fleet.saturating_mul(1_000) / BEATS_A_SECOND_MAX;
        let least = match level {
            SecurityLevel::Standard => INTERVAL_MS_STANDARD,
            SecurityLevel::Enterprise => INTERVAL_MS_ENTERPRISE,
        };
        let interval_ms = stretched.clamp(least, INTERVAL_MS_MAX);
        // Of the longest interval that the spread gives: no beat in time is ever late.
        let grace_ms = grace_ms(interval_ms + interval_ms / SPREAD_PART);
        Self {
            interval_ms,
            grace_ms,
        }
    }

    /// Whether this interval is shorter than another by more than what spreading does to one and
    /// the same: by more than a fifth.
    #[must_use]
    pub const fn is_much_shorter(&self, than_ms: u64) -> bool {
        self.interval_ms.saturating_mul(5) < than_ms.saturating_mul(4)
    }

    /// Spreads the interval by ±10 %, so that a fleet that started at once does not beat at once;
    /// the same seed gives the same spread. Grace stays.
    #[must_use]
    pub const fn spread(self, seed: u64) -> Self {
        let spread = self.interval_ms / SPREAD_PART;
        let jitter = mix(seed) % (2 * spread + 1);
        Self {
            interval_ms: self.interval_ms - spread + jitter,
            grace_ms: self.grace_ms,
        }
    }
}

/// How long silence is borne of who was told to beat after `interval_ms`.
#[must_use]
pub const fn grace_ms(interval_ms: u64) -> u64 {
    interval_ms
        .saturating_mul(INTERVALS_BORNE)
        .saturating_add(GRACE_MS_MORE)
}

/// Spreads a seed over all bits (splitmix64's finaliser): ids made in one moment differ in few.
const fn mix(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// Ten seconds: an operator sees a dead runtime within half a minute.
pub const INTERVAL_MS_STANDARD: u64 = 10_000;

/// Five seconds: of a strictly handled tenant within twenty.
pub const INTERVAL_MS_ENTERPRISE: u64 = 5_000;

/// Five minutes: with two intervals borne, ten minutes to *lost* are still an operator's time.
pub const INTERVAL_MS_MAX: u64 = 300_000;

/// One beat is a few tens of microseconds: 500 a second are some hundredths of one core, so that
/// liveness never competes with what runtimes ask. 5,000 runtimes beat every 10 s; 10,000 every
/// 20 s; 150,000 every five minutes.
pub const BEATS_A_SECOND_MAX: u64 = 500;

/// One beat may be lost, with the next one's time to come.
const INTERVALS_BORNE: u64 = 2;

/// Ten seconds more: a reconnect with its back-off, or a slow restart of a proxy.
const GRACE_MS_MORE: u64 = 10_000;

/// A tenth either way.
const SPREAD_PART: u64 = 10;

/// The last beat and 7/6 of an interval: a beat right after that one, with an interval shorter by a
/// fifth, is late after 6/5.
const EARLY_PART: u64 = 3;
