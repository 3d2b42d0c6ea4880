//! A kernel in one place, a connector in the other, and a product beside it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    places::{KERNEL_IP, Network},
    world::{Connector, Kernel, Product, Start, now, until, wait::until_within},
};

/// Everything that stands for one test.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) connector: Connector,
    pub(crate) kernel: Kernel,
    pub(crate) net: Network,
    pub(crate) tenant: String,
    /// Where the admin API shows the runtime.
    pub(crate) runtime: String,
}

impl Site {
    /// A tenant of a security level, with a connector that is up and holds a license: `reports`
    /// whenever it wants, `exports` a hundred times.
    pub(crate) async fn open(net: Network, level: &str) -> Self {
        let kernel = Kernel::start_as(Start {
            runtime: Some(format!("{KERNEL_IP}:7443").parse().unwrap()),
            ..Start::default()
        })
        .await;
        let tenant = kernel
            .tenant(json!({
                "name": "Acme", "type": "company", "policies": {"security_level": level},
            }))
            .await;
        for (feature, limit) in [("reports", json!(true)), ("exports", json!(100))] {
            let grant = json!({"feature": feature, "limit": limit});
            kernel.grant(&tenant, grant).await;
        }
        let token = kernel.token(&tenant, "on_prem").await;
        let mut connector = Connector::enrolled_under(net.there(), &token, kernel.port());
        connector.run();
        connector.link("up").await;
        let id = connector.status().await["runtime_id"].clone();
        let site = Self {
            runtime: format!("/v1/tenants/{tenant}/runtimes/{}", id.as_str().unwrap()),
            connector,
            kernel,
            net,
            tenant,
        };
        site.product().await.until_reason("ENTITLED").await;
        until("a license is held", async || {
            let license = site.mode().await["license_seq"].as_u64();
            license.map(drop)
        })
        .await;
        site
    }

    pub(crate) async fn product(&self) -> Product<'_> {
        Product::register(&self.connector, &self.tenant).await
    }

    /// Where the connector stands for the tenant.
    pub(crate) async fn mode(&self) -> Value {
        self.connector.status().await["tenants"][0].clone()
    }

    /// Waits until the connector has found that the link is down; gives its reason, and how long
    /// it took.
    pub(crate) async fn found_down(&self) -> (String, Duration) {
        let began = Instant::now();
        let reason = until_within(FOUND_WITHIN, "the connector finds it", async || {
            let link = self.connector.status().await["link"].clone();
            (link["state"] == "down").then(|| link["reason"].as_str().unwrap().to_owned())
        })
        .await;
        (reason, began.elapsed())
    }

    /// Waits until the link is up again by itself.
    pub(crate) async fn back(&self) -> Duration {
        let began = Instant::now();
        until_within(BACK_WITHIN, "the connector comes back", async || {
            let status = self.connector.status().await;
            (status["link"]["state"] == "up").then_some(())
        })
        .await;
        began.elapsed()
    }

    /// Waits until the kernel has called the runtime lost; gives how long that took.
    pub(crate) async fn lost(&self) -> Duration {
        let began = Instant::now();
        until_within(LOST_WITHIN, "the kernel calls it lost", async || {
            (self.count("runtime.lost").await > 0).then_some(())
        })
        .await;
        began.elapsed()
    }

    /// Says that the runtime was called lost once, and returned once.
    pub(crate) async fn was_lost_once(&self) {
        until("the runtime has returned", async || {
            (self.count("runtime.returned").await > 0).then_some(())
        })
        .await;
        assert_eq!(self.count("runtime.returned").await, 1);
        assert_eq!(self.count("runtime.lost").await, 1);
    }

    /// What the kernel knows of the runtime in memory.
    pub(crate) async fn live(&self) -> Value {
        let shown = self.kernel.get(&self.runtime).await.must(200);
        let live = shown.json["live"].clone();
        assert!(live.is_object(), "{shown:?}");
        live
    }

    /// How many events of a kind the tenant's log holds.
    pub(crate) async fn count(&self, kind: &str) -> usize {
        let events = self.kernel.events(&self.tenant).await;
        events.iter().filter(|event| event["kind"] == kind).count()
    }

    /// Waits until nothing waits in the spool, and says that the log holds each of these once.
    pub(crate) async fn hold_once(&self, ids: &[String]) {
        until("the spool is delivered", async || {
            let status = self.connector.status().await;
            (status["spool"]["waiting"] == 0).then_some(())
        })
        .await;
        let mut counts: BTreeMap<&str, u32> = ids.iter().map(|id| (id.as_str(), 0)).collect();
        let events = self.kernel.events(&self.tenant).await;
        for event in &events {
            let id = event["data"]["event_id"].as_str().unwrap_or_default();
            if let Some(count) = counts.get_mut(id) {
                *count += 1;
            }
        }
        let wrong: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
        assert!(wrong.is_empty(), "not once: {wrong:?}");
    }

    /// Says that what the connector takes for the time is the kernel's, within a beat.
    pub(crate) async fn hears_the_time(&self) {
        let true_now = now();
        until("a signed time of this moment", async || {
            let status = self.connector.status().await;
            let heard = status["signed_time"].as_str()?.to_owned();
            // Both are of one format in UTC: the texts order as the moments do.
            (heard >= true_now.to_string()).then_some(())
        })
        .await;
    }
}

/// The longest interval of a strictly handled tenant, 5.5 s; ten for an answer that does not come;
/// the rest is a busy machine's.
const FOUND_WITHIN: Duration = Duration::from_secs(20);

/// The last beat comes up to ten seconds after the cut, when the connector gives up waiting for an
/// answer; a grace of 21 s from there on, a tick of the wheel, and a busy machine.
const LOST_WITHIN: Duration = Duration::from_secs(45);

/// An attempt that hangs ends after ten seconds; by then the back-off is at most eight.
const BACK_WITHIN: Duration = Duration::from_secs(30);
