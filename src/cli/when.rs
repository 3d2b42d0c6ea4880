//! Times and spans, as people write and read them.

use provost_protocol::Timestamp;

/// Writes a time with how far away it is: `2026-11-22 05:35:28Z (in 3 h)`.
pub(super) fn when(time: Timestamp, now: Timestamp) -> String {
    if time == Timestamp::MAX {
        return "no end".to_owned();
    }
    let text = time.to_string();
    // Always `YYYY-MM-DDThh:mm:ss.mmmZ`.
    let (date, clock) = (
        text.get(..10).unwrap_or(&text),
        text.get(11..19).unwrap_or(""),
    );
    let away = if time > now {
        format!("in {}", span(time.millis_since(now)))
    } else {
        format!("{} ago", span(now.millis_since(time)))
    };
    format!("{date} {clock}Z ({away})")
}

/// Writes a span in its largest unit: `3 h`.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Reads a span: a number with `s`, `m`, `h` or `d`. Answers milliseconds.
pub(super) fn parse_span(text: &str) -> Result<u64, String> {
    let why = || "a number with s, m, h or d, as in 24h".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(why)?;
    let number: u64 = number.parse().map_err(|_| why())?;
    let unit_ms: u64 = match unit {
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "d" => 24 * 60 * 60 * 1_000,
        _ => return Err(why()),
    };
    number.checked_mul(unit_ms).ok_or_else(why)
}

/// A moment as people name one: a time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At this time.
    At(Timestamp),
    /// So many milliseconds ago.
    Ago(u64),
}

impl Moment {
    /// The time that is meant by somebody who speaks at `now`.
    pub(super) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(millis) => now.minus_millis(millis),
        }
    }
}

/// Reads a time, or how long ago: `2026-11-22T08:00:00Z`, `24h`.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse() {
        return Ok(Moment::At(time));
    }
    parse_span(text)
        .map(Moment::Ago)
        .map_err(|_| "a time as in 2026-11-22T08:00:00Z, or how long ago as in 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now: Timestamp = "2026-11-22T05:35:28Z".parse().unwrap();
        assert_eq!(
            moment("2026-11-22T05:35:28Z").map(|at| at.before(now.plus_millis(7))),
            Ok(now)
        );
        assert_eq!(
            moment("90s").map(|at| at.before(now)),
            Ok(now.minus_millis(90_000))
        );
        moment("yesterday").unwrap_err();
    }

    #[test]
    fn a_time_says_how_far_away_it_is() {
        let now: Timestamp = "2026-11-22T05:35:28Z".parse().unwrap();
        assert_eq!(
            when(now.plus_millis(10_800_000), now),
            "2026-11-22 08:35:28Z (in 3 h)"
        );
        assert_eq!(
            when(now.minus_millis(5_000), now),
            "2026-11-22 05:35:23Z (5 s ago)"
        );
        assert_eq!(when(Timestamp::MAX, now), "no end");
    }

    #[test]
    fn a_span_is_read_with_its_unit_only() {
        assert_eq!(parse_span("90s"), Ok(90_000));
        assert_eq!(parse_span("7d"), Ok(604_800_000));
        for bad in [
            "",
            "h",
            "24",
            "1.5h",
            "-1h",
            "1w",
            "1ü",
            "99999999999999999999d",
        ] {
            parse_span(bad).unwrap_err();
        }
        assert_eq!(
            parse_span("213503982335d"),
            Err("a number with s, m, h or d, as in 24h".into())
        );
    }
}
