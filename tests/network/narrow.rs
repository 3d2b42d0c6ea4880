//! The line is narrow, and much has waited for it.

use serde_json::json;

use crate::{
    cable::Weather,
    places::between,
    site::Site,
    world::{say, until},
};

#[test]
fn a_narrow_line_carries_a_long_backlog_and_no_beat_waits_behind_it_for_too_long() {
    between(async |net| {
        let site = Site::open(net, "enterprise").await;
        site.net.cable.make_all(LINE);
        let product = site.product().await;
        let session = site.connector.status().await["generation"].clone();
        let long = "a page of what was done ".repeat(350);
        let mut ids = Vec::new();
        for _ in 0..EVENTS {
            ids.push(product.record(json!({"text": long})).await);
        }
        let began = std::time::Instant::now();
        until("the backlog is delivered", async || {
            let status = site.connector.status().await;
            assert_eq!(status["link"]["state"], "up", "{status}");
            (status["spool"]["waiting"] == 0).then_some(())
        })
        .await;
        let took = began.elapsed();
        site.hold_once(&ids).await;
        assert_eq!(site.count("runtime.lost").await, 0);
        let status = site.connector.status().await;
        assert_eq!(status["generation"], session, "one session all the time");
        say(&format!(
            "a narrow line: {EVENTS} events of 8 KB delivered in {took:?}"
        ));
    });
}

/// 32 KB a second, a quarter of a second away: no whole batch of 512 KB is answered within ten
/// seconds.
const LINE: Weather = Weather::new(0.0, 125.0, 0.0).narrow(256);

/// 800 KB: half a minute of this line.
const EVENTS: usize = 100;
