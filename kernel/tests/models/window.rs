//! Windows tile time: every moment lies in exactly one, and the next begins where it ends.

use proptest::prelude::*;
use provost_kernel::window::{Window, is_time_zone, window_at};
use provost_protocol::{Timestamp, entity::TimeWindow};

use crate::world::{at, config};

const ZONES: [&str; 10] = [
    "UTC",
    "America/Sao_Paulo",
    "Europe/Lisbon",
    "Asia/Kolkata",
    "Pacific/Apia",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Casablanca",
    "Asia/Kathmandu",
];

const WINDOWS: [TimeWindow; 5] = [
    TimeWindow::Hour,
    TimeWindow::Day,
    TimeWindow::Week,
    TimeWindow::Month,
    TimeWindow::Year,
];

proptest! {
    #![proptest_config(config(3_000))]
    #[test]
    fn windows_of_a_zone_tile_time_without_gap(
        zone in prop::sample::select(ZONES.to_vec()),
        window in prop::sample::select(WINDOWS.to_vec()),
        // 1970 to 2100.
        millis in 0_i64..4_102_444_800_000,
        thousandths in 0_u64..1_000,
    ) {
        let now = Timestamp::from_millis(millis);
        let at = |moment| window_at(Some(window), zone, moment, None);
        let this = at(now);
        prop_assert!(this.start <= now && now < this.end);
        // Any other moment of the window gives the same one.
        let length = this.end.millis_since(this.start);
        let inside = this.start.plus_millis(length * thousandths / 1_000);
        prop_assert_eq!(at(inside), this);
        prop_assert_eq!(at(this.end.minus_millis(1)), this);
        prop_assert_eq!(at(this.end).start, this.end);
        prop_assert_eq!(at(this.start.minus_millis(1)).end, this.start);
    }

    #[test]
    fn a_rolling_window_holds_the_moment_and_its_first_use(
        minutes in 1_u32..100_000,
        first in 0_i64..4_102_444_800_000,
        later in 0_u64..10_000_000_000,
    ) {
        let first = Timestamp::from_millis(first);
        let now = first.plus_millis(later);
        let window = window_at(Some(TimeWindow::Rolling { minutes }), "UTC", now, Some(first));
        prop_assert!(window.start <= now && now < window.end);
        prop_assert_eq!(window.end.millis_since(window.start), u64::from(minutes) * 60_000);
        prop_assert_eq!(window.start == first || window.start == now, true);
    }
}

#[test]
fn windows_follow_the_calendar_of_the_zone() {
    let table = [
        // (window, zone, now, start, end)
        (
            "day",
            "UTC",
            "2026-11-22T05:35:28Z",
            "2026-11-22T00:00:00Z",
            "2026-11-23T00:00:00Z",
        ),
        // Half-hour offset.
        (
            "hour",
            "Asia/Kolkata",
            "2026-11-22T05:35:28Z",
            "2026-11-22T05:30:00Z",
            "2026-11-22T06:30:00Z",
        ),
        (
            "day",
            "Asia/Kolkata",
            "2026-11-22T18:30:00Z",
            "2026-11-22T18:30:00Z",
            "2026-11-23T18:30:00Z",
        ),
        // Spring forward: 23 hours; the hour 01 is skipped (Lisbon, last Sunday of March).
        (
            "day",
            "Europe/Lisbon",
            "2026-03-29T12:00:00Z",
            "2026-03-29T00:00:00Z",
            "2026-03-29T23:00:00Z",
        ),
        (
            "hour",
            "Europe/Lisbon",
            "2026-03-29T01:10:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
        ),
        // Fall back: 25 hours; the hour 01 repeats and is two windows.
        (
            "day",
            "Europe/Lisbon",
            "2026-10-25T12:00:00Z",
            "2026-10-24T23:00:00Z",
            "2026-10-26T00:00:00Z",
        ),
        (
            "hour",
            "Europe/Lisbon",
            "2026-10-25T00:30:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
        ),
        (
            "hour",
            "Europe/Lisbon",
            "2026-10-25T01:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
        ),
        // Half an hour of daylight saving: half an hour repeats.
        (
            "hour",
            "Australia/Lord_Howe",
            "2026-04-04T15:10:00Z",
            "2026-04-04T15:00:00Z",
            "2026-04-04T15:30:00Z",
        ),
        // Midnight skipped: 2018-11-04 began at 01:00 in São Paulo.
        (
            "day",
            "America/Sao_Paulo",
            "2018-11-04T12:00:00Z",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z",
        ),
        // Midnight came twice: 2018-02-17 had 25 hours.
        (
            "day",
            "America/Sao_Paulo",
            "2018-02-18T02:30:00Z",
            "2018-02-17T02:00:00Z",
            "2018-02-18T03:00:00Z",
        ),
        // A whole day skipped: no 2011-12-30 in Apia.
        (
            "day",
            "Pacific/Apia",
            "2011-12-30T09:59:59.999Z",
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
        ),
        (
            "day",
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z",
        ),
        // A minute past midnight the clock went back to the day before.
        (
            "day",
            "America/St_Johns",
            "2010-11-07T03:00:00Z",
            "2010-11-07T02:30:00Z",
            "2010-11-08T03:30:00Z",
        ),
        // Months and leap years.
        (
            "month",
            "UTC",
            "2024-02-29T23:59:59Z",
            "2024-02-01T00:00:00Z",
            "2024-03-01T00:00:00Z",
        ),
        (
            "month",
            "UTC",
            "2026-01-31T12:00:00Z",
            "2026-01-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
        ),
        (
            "year",
            "UTC",
            "2028-12-31T00:00:00Z",
            "2028-01-01T00:00:00Z",
            "2029-01-01T00:00:00Z",
        ),
        (
            "month",
            "Europe/Lisbon",
            "2026-10-31T12:00:00Z",
            "2026-09-30T23:00:00Z",
            "2026-11-01T00:00:00Z",
        ),
        // ISO weeks begin on Monday, also across the year.
        (
            "week",
            "UTC",
            "2026-11-22T23:59:59Z",
            "2026-11-16T00:00:00Z",
            "2026-11-23T00:00:00Z",
        ),
        (
            "week",
            "UTC",
            "2027-01-01T00:00:00Z",
            "2026-12-28T00:00:00Z",
            "2027-01-04T00:00:00Z",
        ),
    ];
    for (window, zone, now, start, end) in table {
        let got = window_at(Some(window.parse().unwrap()), zone, at(now), None);
        assert_eq!(
            got,
            Window {
                start: at(start),
                end: at(end)
            },
            "{window} {zone} {now}"
        );
    }
}

#[test]
fn a_rolling_window_begins_with_its_first_use_and_begins_anew_after_its_end() {
    let window = Some(TimeWindow::Rolling { minutes: 90 });
    let (first, inside, after) = (
        at("2026-01-01T10:07:00Z"),
        at("2026-01-01T11:36:59Z"),
        at("2026-01-01T11:37:00Z"),
    );
    assert_eq!(window_at(window, "UTC", first, None).start, first);
    assert_eq!(window_at(window, "UTC", inside, Some(first)).end, after);
    assert_eq!(window_at(window, "UTC", after, Some(first)).start, after);
}

#[test]
fn an_unknown_zone_counts_in_utc_and_the_end_of_the_calendar_has_no_end() {
    let now = at("2026-11-22T05:35:28Z");
    let day = Some(TimeWindow::Day);
    assert_eq!(
        window_at(day, "Mars/Base", now, None),
        window_at(day, "UTC", now, None)
    );
    assert!(!is_time_zone("Mars/Base") && is_time_zone("America/Sao_Paulo"));
    assert_eq!(window_at(day, "UTC", Timestamp::MAX, None), Window::FOREVER);
}
