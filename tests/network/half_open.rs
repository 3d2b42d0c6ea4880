//! Packets vanish in one direction, and nobody is told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    cable::{Towards, Weather},
    places::between,
    site::Site,
    world::{say, wait::until_within},
};

#[test]
fn when_nothing_reaches_the_kernel_both_sides_find_it_and_a_kill_is_obeyed_all_the_same() {
    between(async |net| {
        let site = Site::open(net, "enterprise").await;
        let product = site.product().await;
        let id = product.record(json!({"page": 1})).await;
        site.hold_once(&[id]).await;

        site.net.cable.make(Towards::Kernel, Weather::CUT);
        kill(&site).await;
        // It arrives, over the direction that is left: who cannot answer obeys all the same.
        product.until_reason("KILLED").await;
        let id = product.record(json!({"page": 1})).await;
        let (down, lost, ended) = tokio::join!(site.found_down(), site.lost(), let_go(&site));

        site.net.cable.make(Towards::Kernel, Weather::CLEAR);
        let back = site.back().await;
        assert_eq!(product.reason("reports").await, "KILLED");
        site.hold_once(&[id]).await;
        site.was_lost_once().await;
        say(&format!(
            "nothing reaches the kernel: down after {:?} ({}), lost after {lost:?}, session ended \
             after {ended:?}, back after {back:?}",
            down.1, down.0
        ));
    });
}

#[test]
fn when_nothing_reaches_the_connector_it_lets_go_and_a_kill_meanwhile_is_obeyed_at_its_return() {
    between(async |net| {
        let site = Site::open(net, "enterprise").await;
        let product = site.product().await;
        site.net.cable.make(Towards::Connector, Weather::CUT);
        kill(&site).await;
        // Its farewell waits behind what was never acknowledged: the kernel's own deadline counts.
        let (down, lost, ended) = tokio::join!(site.found_down(), site.lost(), let_go(&site));
        assert_eq!(product.reason("reports").await, "ENTITLED", "not heard yet");
        let id = product.record(json!({"page": 1})).await;

        site.net.cable.make(Towards::Connector, Weather::CLEAR);
        let back = site.back().await;
        // The first answer under the new session, not one of the next.
        assert_eq!(product.reason("reports").await, "KILLED");
        site.hold_once(&[id]).await;
        site.was_lost_once().await;
        say(&format!(
            "nothing reaches the connector: down after {:?} ({}), lost after {lost:?}, session \
             ended after {ended:?}, back after {back:?}",
            down.1, down.0
        ));
    });
}

async fn kill(site: &Site) {
    let path = format!("{}/kill", site.runtime);
    let reason = json!({"reason": "leaked key"});
    site.kernel.post(&path, reason).await;
}

/// Waits until the kernel holds no session any more; gives how long that took.
async fn let_go(site: &Site) -> Duration {
    let began = Instant::now();
    until_within(LET_GO_WITHIN, "the kernel ends the session", async || {
        (site.live().await["connected"] == false).then_some(())
    })
    .await;
    began.elapsed()
}

/// Half a minute for what nobody acknowledges, after an interval in which nothing was said, and a
/// busy machine.
const LET_GO_WITHIN: Duration = Duration::from_secs(42);
