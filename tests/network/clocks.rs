//! The connector's clock is wrong. A clock ahead only shortens; a clock behind gains nothing, and
//! keeps nobody out.

use serde_json::{Value, json};

use crate::{clock::Clock, places::Network, places::between, site::Site, world::say};

/// A site whose connector keeps a clock of its own. Its certificate and license are of a right one.
struct Skewed {
    site: Site,
    clock: Clock,
}

impl Skewed {
    async fn open(net: Network, level: &str) -> Self {
        let (mut site, clock) = (Site::open(net, level).await, Clock::new());
        site.connector.under = [site.net.there(), clock.under()].concat();
        Self { site, clock }
    }

    /// Starts the connector anew with its clock so many seconds off.
    fn start_off(&mut self, seconds: i64) {
        self.site.connector.kill();
        self.clock.set(seconds);
        self.site.connector.run();
    }

    /// The same without a network; gives where it stands for its tenant.
    async fn start_alone(&mut self, seconds: i64) -> Value {
        self.site.net.unplug();
        self.start_off(seconds);
        self.site.connector.link("down").await;
        self.site.mode().await
    }
}

/// What a clock that is a little off must not change: the link, the checks, the log.
async fn works(skewed: &Skewed) {
    let site = &skewed.site;
    site.connector.link("up").await;
    site.hears_the_time().await;
    let product = site.product().await;
    assert_eq!(product.reason("reports").await, "ENTITLED");
    let id = product.record(json!({"page": 1})).await;
    site.hold_once(&[id]).await;
    let status = site.connector.status().await;
    assert_eq!(status["spool"]["dead_letters"], 0, "its own events too");
    assert_eq!(site.count("runtime.lost").await, 0);
}

fn left_ms(mode: &Value) -> u64 {
    mode["next_in_ms"].as_u64().unwrap()
}

#[test]
fn a_clock_ten_minutes_ahead_changes_nothing_but_the_countdown() {
    between(async |net| {
        let mut skewed = Skewed::open(net, "enterprise").await;
        skewed.start_off(10 * MINUTE);
        works(&skewed).await;
        let licenses = skewed.site.count("license.issued").await;

        let mode = skewed.start_alone(10 * MINUTE).await;
        assert_eq!(mode["mode"], "degraded");
        let left = left_ms(&mode);
        assert!(
            left <= DAY_MS - 10 * MINUTE_MS,
            "the local clock counts where it is ahead: {left}"
        );
        assert!(left > DAY_MS - 13 * MINUTE_MS, "{left}");
        skewed.site.net.plug();
        skewed.site.back().await;
        assert_eq!(skewed.site.count("license.issued").await, licenses);
        say(&format!("ten minutes ahead: {left} ms left of a day"));
    });
}

#[test]
fn a_clock_behind_keeps_nobody_out_and_extends_no_license() {
    between(async |net| {
        let mut skewed = Skewed::open(net, "enterprise").await;
        // Two days ago there was neither the kernel's certificate nor the license.
        for seconds in [-10 * MINUTE, -2 * DAY] {
            skewed.start_off(seconds);
            works(&skewed).await;

            let mode = skewed.start_alone(seconds).await;
            assert_eq!(mode["mode"], "degraded", "the license serves: {mode}");
            let left = left_ms(&mode);
            assert!(left <= DAY_MS, "nothing is gained: {left}");
            assert!(left > DAY_MS - 3 * MINUTE_MS, "{left}");
            let product = skewed.site.product().await;
            assert_eq!(product.reason("reports").await, "ENTITLED");
            skewed.site.net.plug();
            let back = skewed.site.back().await;
            say(&format!(
                "{seconds} s: {left} ms left of a day, back after {back:?}"
            ));
        }
        // Set back while it runs: no session ends by it, and no license begins anew.
        let before = skewed.site.mode().await;
        skewed.clock.set(-3 * DAY);
        skewed.site.hears_the_time().await;
        let product = skewed.site.product().await;
        assert_eq!(product.reason("reports").await, "ENTITLED");
        let after = skewed.site.mode().await;
        assert_eq!(after["license_seq"], before["license_seq"]);
        assert_eq!(skewed.site.connector.status().await["link"]["state"], "up");
    });
}

#[test]
fn a_clock_two_days_ahead_finds_no_kernel_lives_on_its_license_and_comes_back_when_it_is_right() {
    between(async |net| {
        let mut skewed = Skewed::open(net, "standard").await;
        // A session that stands is not broken by a clock.
        skewed.start_off(0);
        skewed.site.connector.link("up").await;
        skewed.clock.set(2 * DAY);
        skewed.site.hears_the_time().await;
        assert_eq!(skewed.site.connector.status().await["link"]["state"], "up");

        // But none begins: by this clock the kernel's certificate of a day has ended.
        skewed.start_off(2 * DAY);
        let reason = skewed.site.connector.link("down").await;
        assert!(reason.contains("not our kernel"), "{reason}");
        let log = skewed.site.connector.log();
        assert!(log.contains("outside its validity"), "{log}");
        let mode = skewed.site.mode().await;
        assert_eq!(mode["mode"], "degraded", "a license of a week: {mode}");
        let product = skewed.site.product().await;
        assert_eq!(product.reason("reports").await, "ENTITLED");
        let ids = [
            product.record(json!({"page": 1})).await,
            product.record(json!({"page": 1})).await,
        ];

        skewed.clock.set(0);
        let back = skewed.site.back().await;
        skewed.site.hold_once(&ids).await;
        // What the connector itself dated two days ahead the kernel refuses: kept, and counted.
        let status = skewed.site.connector.status().await;
        let dead = status["spool"]["dead_letters"].as_u64().unwrap();
        assert!(dead > 0, "{status}");
        let letters = skewed.site.connector.kept_text("spool/dead-letters.jsonl");
        assert_eq!(letters.matches("event_time_refused").count() as u64, dead);
        say(&format!(
            "two days ahead: {reason}; back after {back:?}, {dead} set aside"
        ));
    });
}

#[test]
fn a_clock_beyond_license_and_grace_locks_and_the_right_one_unlocks() {
    between(async |net| {
        let mut skewed = Skewed::open(net, "enterprise").await;
        let mode = skewed.start_alone(2 * DAY).await;
        assert_eq!(mode["mode"], "locked", "a day and a day of grace: {mode}");
        let product = skewed.site.product().await;
        assert_eq!(product.reason("reports").await, "LICENSE_EXPIRED");

        skewed.clock.set(0);
        assert_eq!(product.reason("reports").await, "ENTITLED");
        assert_eq!(skewed.site.mode().await["mode"], "degraded");
        skewed.site.net.plug();
        skewed.site.back().await;
        assert_eq!(product.reason("reports").await, "ENTITLED");
    });
}

/// Seconds.
const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

const MINUTE_MS: u64 = 60 * 1_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
