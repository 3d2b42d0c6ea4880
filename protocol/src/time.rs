//! Points in time: RFC 3339, UTC, milliseconds; and spans in milliseconds.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z, between year 0 and year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time with an offset")]
pub struct TimeError;

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const EPOCH: Self = Self(0);
    /// `9999-12-31T23:59:59.999Z`: how the contract writes "no end".
    pub const MAX: Self = Self(253_402_300_799_999);
    /// 0000-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(-62_167_219_200_000);

    /// Builds a time from milliseconds since the Unix epoch, held within [`MIN`](Self::MIN) and
    /// [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis > Self::MAX.0 {
            Self::MAX
        } else if millis < Self::MIN.0 {
            Self::MIN
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time `millis` later, held at [`MAX`](Self::MAX).
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self::from_millis(
            self.0
                .saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)),
        )
    }

    /// The time `millis` earlier, held at [`MIN`](Self::MIN).
    #[must_use]
    pub fn minus_millis(self, millis: u64) -> Self {
        Self::from_millis(
            self.0
                .saturating_sub(i64::try_from(millis).unwrap_or(i64::MAX)),
        )
    }

    /// Milliseconds from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Whether `last` was less than `millis` ago. What lies ahead was written before a clock was set
    /// back: nobody knows how long ago that is, and it holds nothing up.
    #[must_use]
    pub fn is_within(self, millis: u64, last: Self) -> bool {
        last <= self && self.millis_since(last) < millis
    }
}

impl Timestamp {
    /// The text form: four digits hold every year there is. By hand, since a license holds up to
    /// five times for each entitlement.
    pub(crate) fn to_ascii(self) -> [u8; 24] {
        let since_year_0 = self.0.abs_diff(Self::MIN.0);
        let (day, milli) = (since_year_0 / DAY_MS, since_year_0 % DAY_MS);
        let (year, month, day) = calendar(day);
        let seconds = milli / 1_000;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, pair) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, seconds / 3_600),
            (14, seconds / 60 % 60),
            (17, seconds % 60),
            (20, milli % 1_000 / 10),
        ] {
            text[place] = digit(pair / 10);
            text[place + 1] = digit(pair - pair / 10 * 10);
        }
        text[22] = digit(milli % 10);
        text
    }

    fn with_text<T>(self, then: impl FnOnce(&str) -> T) -> T {
        let text = self.to_ascii();
        then(std::str::from_utf8(&text).expect("digits and marks are ASCII"))
    }
}

/// The digit of a number below ten.
fn digit(number: u64) -> u8 {
    let [digit, ..] = number.to_le_bytes();
    b'0' + digit
}

/// Year, month and day of the day that is so many days after the first of January of year 0, in the
/// Gregorian calendar.
///
/// Days are counted from the first of March, so that the day that comes and goes is a year's last
/// (<https://howardhinnant.github.io/date_algorithms.html>, `civil_from_days`).
fn calendar(day: u64) -> (u64, u64, u64) {
    // One whole cycle is added, so that nothing is below zero before the first March.
    let day = day + CYCLE_DAYS - 60;
    let (cycle, day) = (day / CYCLE_DAYS, day % CYCLE_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (400 * cycle + year + next - 400, month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        // The longest form anyone sends: nanoseconds and a numeric offset.
        if text.len() > 35 {
            return Err(TimeError);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimeError)?;
        let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
        Ok(Self::from_millis(
            i64::try_from(millis).map_err(|_| TimeError)?,
        ))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.with_text(|text| serializer.serialize_str(text))
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self::from_millis)
        }
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .description(Some("RFC 3339, UTC, milliseconds"))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// After 400 years the calendar begins anew.
const CYCLE_DAYS: u64 = 146_097;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What it was written with before it was written by hand.
    fn as_a_library_writes_it(moment: Timestamp) -> String {
        let nanos = i128::from(moment.as_millis()) * 1_000_000;
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        let (hour, minute, second) = time.to_hms();
        let milli = time.millisecond();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }

    #[test]
    fn each_day_of_the_first_and_of_the_last_cycle_is_written_as_a_library_writes_it() {
        let cycle_ms = CYCLE_DAYS * DAY_MS;
        for first in [Timestamp::MIN, Timestamp::MAX.minus_millis(cycle_ms)] {
            for day in 0..=CYCLE_DAYS {
                let moment = first.plus_millis(day * DAY_MS);
                assert_eq!(moment.to_string(), as_a_library_writes_it(moment));
            }
        }
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn any_time_is_written_as_a_library_writes_it(
            millis in Timestamp::MIN.0..=Timestamp::MAX.0,
        ) {
            let moment = Timestamp::from_millis(millis);
            prop_assert_eq!(moment.to_string(), as_a_library_writes_it(moment));
            prop_assert_eq!(
                serde_json::to_string(&moment).unwrap(),
                format!("\"{moment}\"")
            );
            prop_assert_eq!(moment.to_string().parse::<Timestamp>(), Ok(moment));
        }
    }

    #[test]
    fn a_time_is_written_in_utc_with_milliseconds() {
        for (text, millis, written) in [
            (
                "2026-11-22T05:35:28Z",
                1_795_325_728_000,
                "2026-11-22T05:35:28.000Z",
            ),
            (
                "2026-11-22T07:35:28.1239+02:00",
                1_795_325_728_123,
                "2026-11-22T05:35:28.123Z",
            ),
            (
                "9999-12-31T23:59:59.999Z",
                253_402_300_799_999,
                "9999-12-31T23:59:59.999Z",
            ),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.as_millis(), millis, "{text}");
            assert_eq!(time.to_string(), written);
        }
    }

    #[test]
    fn a_time_without_offset_or_with_a_zone_name_is_refused() {
        for text in [
            "2026-11-22T05:35:28",
            "2026-11-22",
            "2026-11-22T05:35:28Z[UTC]",
            "now",
            "",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimeError), "{text}");
        }
    }

    #[test]
    fn arithmetic_stays_within_the_calendar() {
        assert_eq!(Timestamp::MAX.plus_millis(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus_millis(u64::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::EPOCH.millis_since(Timestamp::MAX), 0);
    }
}
