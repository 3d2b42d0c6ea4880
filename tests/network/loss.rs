//! The network loses and delays, and goes on.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use uuid::Uuid;

use crate::{
    cable::{Towards, Weather},
    places::between,
    site::Site,
    world::{Product, say, wait::until_within},
};

#[test]
fn loss_and_latency_are_neither_felt_by_the_product_nor_taken_for_death() {
    between(async |net| {
        let site = Site::open(net, "enterprise").await;
        let clear = site.net.ping(20);
        assert!(
            clear.lost_percent < 1.0 && clear.average_ms < 50.0,
            "{clear:?}"
        );
        site.net.cable.make_all(BAD);
        let pinged = site.net.ping(100);
        assert!(
            (15.0..60.0).contains(&pinged.lost_percent)
                && (170.0..300.0).contains(&pinged.average_ms),
            "of two ways: {pinged:?}"
        );

        let product = site.product().await;
        let (mut ids, mut beats, mut taken) = (Vec::new(), BTreeSet::new(), 0_u64);
        let mut pace = tokio::time::interval(PACE);
        until_within(WATCHED, "heartbeats arrive", async || {
            pace.tick().await;
            assert_eq!(product.reason("reports").await, "ENTITLED");
            ids.push(product.record(json!({"page": 1})).await);
            if ids.len().is_multiple_of(8) {
                take_one(&product).await;
                taken += 1;
            }
            let live = site.live().await;
            assert_ne!(live["liveness"], "lost");
            beats.insert(live["last_beat"].as_str()?.to_owned());
            (beats.len() >= BEATS).then_some(())
        })
        .await;

        let gaps = gaps_ms(&beats);
        assert!(gaps.iter().all(|gap| *gap < GAP_MS_MAX), "{gaps:?}");
        let (dropped, of) = site.net.cable.dropped(Towards::Kernel);
        site.net.cable.make_all(Weather::CLEAR);
        site.hold_once(&ids).await;
        assert_eq!(site.count("runtime.lost").await, 0);
        let exports = product.ask("exports", json!({}), None).await.must(200);
        assert_eq!(exports.json["limits"]["used"], taken, "each once");
        say(&format!(
            "loss: {pinged:?}, {dropped} of {of} packets to the kernel dropped, gaps of beats \
             {gaps:?} ms, {} events, {taken} units",
            ids.len()
        ));
    });
}

/// Takes a unit. Where the answer is lost it asks again under the same key, as the contract says.
async fn take_one(product: &Product<'_>) {
    let key = Uuid::now_v7().to_string();
    until_within(WATCHED, "a unit is taken", async || {
        let take = json!({"consume": 1});
        let answer = product.ask("exports", take, Some(&key)).await;
        assert!([200, 503, 504].contains(&answer.status), "{answer:?}");
        (answer.status == 200).then(|| assert_eq!(answer.json["allowed"], true))
    })
    .await;
}

fn gaps_ms(beats: &BTreeSet<String>) -> Vec<u64> {
    let at = |text: &String| text.parse::<provost_protocol::Timestamp>().unwrap();
    let later = beats.iter().skip(1);
    beats
        .iter()
        .zip(later)
        .map(|(one, next)| at(next).millis_since(at(one)))
        .collect()
}

/// Each way: a round trip takes 200 ms, 140 to 260, and comes about in 64 of 100 cases.
const BAD: Weather = Weather::new(20.0, 100.0, 30.0);

/// A person's clicks: what such a line carries besides is a few KB a second.
const PACE: Duration = Duration::from_millis(400);

/// Five intervals.
const BEATS: usize = 6;

/// Five intervals of 5.5 s take 28; what is sent again and again comes within as much more.
const WATCHED: Duration = Duration::from_secs(60);

/// Two of the longest intervals: a beat that was sent again a few times is still no missed one.
const GAP_MS_MAX: u64 = 11_000;
