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
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(nanos) else {
            return f.write_str("out-of-range");
        };
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        let (hour, minute, second, milli) = (
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond(),
        );
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
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
            serializer.collect_str(self)
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

#[cfg(test)]
mod tests {
    use super::*;

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
