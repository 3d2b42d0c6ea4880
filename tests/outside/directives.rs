//! Kill and limit, with real processes: from the operator's word to what the product is answered,
//! through every restart; and two copies of one runtime.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Connector, Kernel, Product, now, until};

fn path_of(tenant: &str, runtime: &str) -> String {
    format!("/v1/tenants/{tenant}/runtimes/{runtime}")
}

/// Waits until the runtime has confirmed all there is.
async fn confirmed(kernel: &Kernel, tenant: &str, runtime: &str) {
    until("the connector confirms", async || {
        let revision = kernel.get(&format!("/v1/tenants/{tenant}")).await.json["revision"].clone();
        let shown = kernel.get(&path_of(tenant, runtime)).await;
        (shown.json["confirmed_revision"] == revision).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_runtime_denies_everything_through_every_restart_until_it_is_resumed() {
    let mut kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let token = kernel.token(&tenant, "on_prem").await;
    let mut connector = Connector::enrolled(&token, kernel.port());
    let said = connector.beside("hook.said");
    connector.configure(&format!(
        "kill_hook = [\"/bin/sh\", \"-c\", \"echo $PROVOST_RUNTIME_ID >> {}\"]\n",
        said.display()
    ));
    connector.run();
    connector.link("up").await;
    let product = Product::register(&connector, &tenant).await;
    product.until_reason("ENTITLED").await;
    let runtime = product.runtime.clone();

    let shown = kernel
        .post(
            &format!("{}/kill", path_of(&tenant, &runtime)),
            json!({"reason": "leaked key"}),
        )
        .await;
    assert_eq!(shown.json["killed"]["reason"], "leaked key");
    product.until_reason("KILLED").await;
    confirmed(&kernel, &tenant, &runtime).await;
    assert_eq!(
        std::fs::read_to_string(&said).unwrap(),
        format!("{runtime}\n"),
        "the hook ran once, before the kill was confirmed"
    );
    let license = kernel
        .get(&format!("/v1/tenants/{tenant}/licenses/{runtime}"))
        .await;

    // Both are ended as by a power switch; the connector comes back alone.
    kernel.kill();
    connector.kill();
    connector.run();
    connector.link("down").await;
    let product = Product::register(&connector, &tenant).await;
    assert_eq!(product.check(None).await.1, "KILLED");
    kernel.serve().await;
    connector.kill();
    connector.follow(kernel.port());
    connector.run();
    connector.link("up").await;
    let product = Product::register(&connector, &tenant).await;
    assert_eq!(product.check(None).await.1, "KILLED");
    assert_eq!(product.check(Some(1)).await.1, "KILLED");
    let now = kernel
        .get(&format!("/v1/tenants/{tenant}/licenses/{runtime}"))
        .await;
    assert_eq!(
        now.json["seq"], license.json["seq"],
        "no license for the killed"
    );

    kernel
        .post(&format!("{}/resume", path_of(&tenant, &runtime)), json!({}))
        .await;
    product.until_reason("ENTITLED").await;
    confirmed(&kernel, &tenant, &runtime).await;
    assert_eq!(
        std::fs::read_to_string(&said).unwrap().lines().count(),
        1,
        "not again after a restart"
    );
    let kinds: Vec<String> = kernel
        .events(&tenant)
        .await
        .iter()
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in ["runtime.killed", "runtime.unkilled"] {
        assert_eq!(kinds.iter().filter(|one| *one == kind).count(), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_limit_narrows_what_kernel_and_connector_answer_until_it_is_taken_away() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": 100}))
        .await;
    let connector = Connector::start_as(&kernel, &tenant, "on_prem").await;
    let product = Product::register(&connector, &tenant).await;
    product.until_reason("ENTITLED").await;
    let limits = format!("{}/limits", path_of(&tenant, &product.runtime));
    let until_then = now().plus_millis(3_600_000).to_string();

    let body = json!({"feature": "reports", "limit": 2, "until": until_then, "reason": "calm"});
    let set = kernel.ask(Method::PUT, &limits, Some(body)).await.must(200);
    assert_eq!(set.json["limits"][0]["limit"], 2);
    confirmed(&kernel, &tenant, &product.runtime).await;
    assert_eq!(product.check(None).await.2, 2);
    assert!(product.check(Some(2)).await.0);
    assert_eq!(product.check(Some(1)).await.1, "QUOTA_EXHAUSTED");
    let refused = json!({"feature": "reports", "limit": "unlimited", "until": until_then});
    kernel
        .ask(Method::PUT, &limits, Some(refused))
        .await
        .must(422);

    // A plain no is the connector's own to say, also with the kernel away.
    let body = json!({"feature": "reports", "limit": false, "until": until_then});
    kernel.ask(Method::PUT, &limits, Some(body)).await.must(200);
    product.until_reason("FEATURE_OFF").await;
    let gone = format!("{limits}?feature=reports");
    kernel.ask(Method::DELETE, &gone, None).await.must(200);
    product.until_reason("ENTITLED").await;
    assert!(product.check(Some(1)).await.0);
    kernel.ask(Method::DELETE, &gone, None).await.must(404);
}

#[tokio::test]
async fn two_copies_of_one_connector_are_both_named() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let connector = Connector::start_as(&kernel, &tenant, "on_prem").await;
    let runtime = connector
        .try_get("/status")
        .await
        .unwrap()
        .str("runtime_id");
    let shown = kernel.get(&path_of(&tenant, &runtime)).await;
    assert_eq!(shown.json["copies"], Value::Null);

    let mut copy = connector.copy(kernel.port());
    copy.run();
    let copies = until("both copies are named", async || {
        let shown = kernel.get(&path_of(&tenant, &runtime)).await;
        let copies = shown.json["copies"].clone();
        copies.is_object().then_some(copies)
    })
    .await;
    let sightings = copies["sightings"].as_array().unwrap();
    assert_eq!(sightings.len(), 2, "{copies}");
    assert_ne!(sightings[0]["generation"], sightings[1]["generation"]);
    assert_eq!(sightings[0]["serial"], sightings[1]["serial"]);
    assert_eq!(copies["stands"], true);
    let (_, shown) = kernel.command(&["runtime", "show", &tenant, &runtime]);
    assert!(shown.contains("ALARM: two copies were alive"), "{shown}");
    let named = |line: &&str| line.starts_with("copy ") && line.contains("127.0.0.1");
    assert_eq!(shown.lines().filter(named).count(), 2, "{shown}");

    copy.kill();
    kernel
        .post(
            &format!("{}/resolve-clone", path_of(&tenant, &runtime)),
            json!({"reason": "switched off"}),
        )
        .await;
    let shown = kernel.get(&path_of(&tenant, &runtime)).await;
    assert_eq!(shown.json["copies"], Value::Null);
}

#[tokio::test]
async fn of_two_copies_nobody_says_that_a_revocation_told_them() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let connector = Connector::start_as(&kernel, &tenant, "on_prem").await;
    let status = connector.try_get("/status").await.unwrap();
    let path = path_of(&tenant, &status.str("runtime_id"));
    let mut copy = connector.copy(kernel.port());
    copy.run();
    until("both copies are named", async || {
        let shown = kernel.get(&path).await;
        shown.json["copies"].is_object().then_some(())
    })
    .await;
    copy.kill();
    let revoked = kernel.post(&format!("{path}/revoke"), json!({})).await;
    let revocation = &revoked.json["revocation"];
    assert_eq!(revocation["not_reached_count"], 1, "{revocation}");
    assert!(revocation["certain_by"].is_string(), "{revocation}");
}
