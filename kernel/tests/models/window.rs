//! Windows tile time: every moment lies in exactly one, and the next begins where it ends.

use proptest::prelude::*;
use provost_kernel::window::window_at;
use provost_protocol::{Timestamp, entity::TimeWindow};

use crate::world::config;

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
