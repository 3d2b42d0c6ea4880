//! The network is gone, and everybody knows it.

use std::time::Duration;

use serde_json::json;

use crate::{places::between, site::Site};

#[test]
fn a_partition_is_lived_through_on_the_license_and_what_was_said_meanwhile_is_obeyed_at_once() {
    between(async |net| {
        let site = Site::open(net, "enterprise").await;
        let product = site.product().await;
        let take = json!({"consume": 1});
        let taken = product.ask("exports", take.clone(), None).await.must(200);
        assert_eq!(taken.json["allowed"], true);

        site.net.unplug();
        let (downed, lost) = tokio::join!(site.found_down(), site.lost());
        assert!(lost >= GRACE_LEAST, "lost too early, after {lost:?}");

        // What the license allows, and nothing else.
        assert_eq!(product.reason("reports").await, "ENTITLED");
        assert_eq!(product.reason("refunds").await, "NO_ENTITLEMENT");
        let denied = product.ask("exports", take, None).await.must(200);
        assert_eq!(denied.json["allowed"], false);
        assert_eq!(denied.str("reason"), "NO_LEASE");
        assert_eq!(site.mode().await["mode"], "degraded");
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(product.record(json!({"page": 1})).await);
        }
        let status = site.connector.status().await;
        assert!(status["spool"]["waiting"].as_u64() >= Some(20), "{status}");

        let suspend = format!("/v1/tenants/{}/suspend", site.tenant);
        site.kernel
            .post(&suspend, json!({"reason": "unpaid"}))
            .await;
        assert_eq!(product.reason("reports").await, "ENTITLED", "not heard yet");
        site.net.plug();
        let back = site.back().await;
        // The first answer under the new session, not one of the next.
        assert_eq!(product.reason("reports").await, "TENANT_SUSPENDED");

        site.hold_once(&ids).await;
        site.was_lost_once().await;
        let attempts = site
            .connector
            .log()
            .matches("no session with the kernel")
            .count();
        assert!(
            (2..=ATTEMPTS_MAX).contains(&attempts),
            "{attempts} attempts: with back-off"
        );
        site.kernel
            .post(&format!("/v1/tenants/{}/resume", site.tenant), json!({}))
            .await;
        product.until_reason("ENTITLED").await;
        crate::world::say(&format!(
            "partition: down after {:?} ({}), lost after {lost:?}, back after {back:?}, \
             {attempts} attempts",
            downed.1, downed.0
        ));
    });
}

/// Two intervals of 5.5 s and ten seconds, less the interval that had run when the network went.
const GRACE_LEAST: Duration = Duration::from_secs(15);

/// The waits are drawn below a bound that doubles: six on average in the time that this lasts.
const ATTEMPTS_MAX: usize = 20;
