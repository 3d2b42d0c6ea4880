//! Quota windows: from when to when units are counted together.
//!
//! Calendar windows follow the tenant's time zone with its daylight saving, by the time-zone
//! database that is compiled in; the machine's own is never read. Windows of one kind in one zone
//! tile time: each moment lies in exactly one. Rolling windows begin with their first use.

use std::sync::LazyLock;

use jiff::{
    Span, ToSpan,
    civil::{Date, date},
    tz::{TimeZone, TimeZoneDatabase},
};
use provost_protocol::{Timestamp, entity::TimeWindow};

use crate::planted::planted;

/// From `start`, inclusive, to `end`, exclusive; [`Timestamp::MAX`] where it never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment inside.
    pub start: Timestamp,
    /// The first moment after.
    pub end: Timestamp,
}

impl Window {
    /// The window of a quota that is counted for ever.
    pub const FOREVER: Self = Self {
        start: Timestamp::EPOCH,
        end: Timestamp::MAX,
    };

    /// Whether the moment lies inside.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }

    /// When it ends; absent where it never does.
    #[must_use]
    pub fn resets_at(&self) -> Option<Timestamp> {
        (self.end < Timestamp::MAX).then_some(self.end)
    }
}

/// Whether the name is a zone of the IANA time-zone database, as compiled in.
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    name.len() <= ZONE_BYTES_MAX && DATABASE.get(name).is_ok()
}

/// Gives the window in which units taken `now` are counted.
///
/// `first_use` is the start of the counter's present window, which only a rolling window needs.
/// A zone that this build does not know counts in UTC: it was known to the build that stored it,
/// and a denial would help nobody.
#[must_use]
pub fn window_at(
    window: Option<TimeWindow>,
    zone: &str,
    now: Timestamp,
    first_use: Option<Timestamp>,
) -> Window {
    let calendar = |period| calendar_window(period, &time_zone(zone), now);
    match window {
        None => Window::FOREVER,
        Some(TimeWindow::Hour) => hour_window(&time_zone(zone), now).unwrap_or(Window::FOREVER),
        Some(TimeWindow::Day) => calendar(Period::Day),
        Some(TimeWindow::Week) => calendar(Period::Week),
        Some(TimeWindow::Month) => calendar(Period::Month),
        Some(TimeWindow::Year) => calendar(Period::Year),
        Some(TimeWindow::Rolling { minutes }) => {
            let length_ms = u64::from(minutes) * MINUTE_MS;
            let running =
                first_use.filter(|&start| start <= now && now < start.plus_millis(length_ms));
            let start = running.unwrap_or(now);
            Window {
                start,
                end: start.plus_millis(length_ms),
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Period {
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    /// The first date of the period that holds the date.
    fn first(self, day: Date) -> Option<Date> {
        match self {
            Self::Day => Some(day),
            Self::Week => {
                let days: i64 = day.weekday().to_monday_zero_offset().into();
                day.checked_sub(days.days()).ok()
            }
            Self::Month if planted("month_end_wrong") => {
                day.checked_sub(i64::from((day.day() - 1) % 30).days()).ok()
            }
            Self::Month => Some(day.first_of_month()),
            Self::Year => Some(date(day.year(), 1, 1)),
        }
    }

    fn length(self) -> Span {
        match self {
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month if planted("month_end_wrong") => 30.days(),
            Self::Month => 1.month(),
            Self::Year => 1.year(),
        }
    }
}

/// Beyond what the calendar can hold, a window has no end rather than a wrong one.
fn calendar_window(period: Period, zone: &TimeZone, now: Timestamp) -> Window {
    bounds(period, zone, now).unwrap_or(Window::FOREVER)
}

fn bounds(period: Period, zone: &TimeZone, now: Timestamp) -> Option<Window> {
    let mut first = period.first(instant(now)?.to_zoned(zone.clone()).date())?;
    // Where clocks go back over midnight a date is left and entered again. Its windows are bounded
    // by the first midnight of each date, so the search may have to move on by one.
    for _ in 0..BOUNDS_STEPS_MAX {
        let next = first.checked_add(period.length()).ok()?;
        let window = Window {
            start: midnight(first, zone)?,
            end: midnight(next, zone)?,
        };
        if window.contains(now) {
            return Some(window);
        }
        first = if now < window.start {
            first.checked_sub(period.length()).ok()?
        } else {
            next
        };
    }
    None
}

/// The moment at which the date begins; where midnight is skipped, the moment after the gap.
fn midnight(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let zone = if planted("daylight_saving_ignored") {
        let january = date(day.year(), 1, 1).at(0, 0, 0, 0);
        january.to_zoned(zone.clone()).ok()?.offset().to_time_zone()
    } else {
        zone.clone()
    };
    let zoned = day.at(0, 0, 0, 0).to_zoned(zone).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

/// A clock hour ends with the clock's hour or where the clock is moved: an hour that repeats is
/// two windows, one that is skipped is none.
fn hour_window(zone: &TimeZone, now: Timestamp) -> Option<Window> {
    let moment = instant(now)?;
    let offset = zone.to_offset(moment);
    let local_ms = now.as_millis() + i64::from(offset.seconds()) * 1_000;
    let mut window = Window {
        start: Timestamp::from_millis(now.as_millis() - local_ms.rem_euclid(HOUR_MS)),
        end: Timestamp::from_millis(now.as_millis() - local_ms.rem_euclid(HOUR_MS) + HOUR_MS),
    };
    if zone.to_offset(instant(window.start)?) != offset {
        let just_after = instant(now.plus_millis(1))?;
        let moved = zone.preceding(just_after).next()?.timestamp();
        window.start = Timestamp::from_millis(moved.as_millisecond());
    }
    if zone.to_offset(instant(window.end.minus_millis(1))?) != offset {
        let moved = zone.following(moment).next()?.timestamp();
        window.end = Timestamp::from_millis(moved.as_millisecond());
    }
    Some(window)
}

fn instant(moment: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(moment.as_millis()).ok()
}

fn time_zone(name: &str) -> TimeZone {
    DATABASE.get(name).unwrap_or(TimeZone::UTC)
}

/// The database that is compiled in, and only that, whatever features other crates turn on.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const MINUTE_MS: u64 = 60 * 1_000;

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// The first guess is off by at most one date; the rest is room for zones yet to be invented.
const BOUNDS_STEPS_MAX: usize = 4;

/// The longest IANA name has 32 bytes (`America/Argentina/ComodRivadavia`).
const ZONE_BYTES_MAX: usize = 64;
