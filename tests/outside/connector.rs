//! The connector as a process beside a product: enrolled, online, told of a suspension.

use serde_json::{Value, json};

use crate::{
    bad_certificates::posing,
    world::{Connector, Kernel, Product, until},
};

#[tokio::test]
async fn a_product_is_governed_through_its_connector_and_hears_of_a_suspension_at_once() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let connector = Connector::start_as(&kernel, &tenant, "on_prem").await;

    let product = Product::register(&connector, &tenant).await;
    assert_eq!(product.reason("reports").await, "ENTITLED");

    let id = product.record(json!({"page": 1})).await;
    until("the event is delivered", async || {
        let events = kernel.events(&tenant).await;
        let there = |one: &&Value| one["data"]["event_id"] == *id;
        events
            .iter()
            .find(there)
            .map(|one| assert_eq!(one["source"], "connector"))
    })
    .await;

    kernel
        .post(
            &format!("/v1/tenants/{tenant}/suspend"),
            json!({"reason": "unpaid"}),
        )
        .await;
    product.until_reason("TENANT_SUSPENDED").await;
    assert!(!product.check(None).await.0);
    until("the connector confirms", async || {
        let events = kernel.events(&tenant).await;
        let confirmed = |one: &&Value| one["kind"] == "runtime.desired-state-confirmed";
        events.iter().find(confirmed).map(drop)
    })
    .await;
    kernel
        .post(&format!("/v1/tenants/{tenant}/resume"), json!({}))
        .await;
    product.until_reason("ENTITLED").await;
    assert!(product.check(None).await.0);
    let license = connector.try_get("/license").await.unwrap().must(200);
    assert!(
        license.text.starts_with("-----BEGIN LICENSE FILE-----"),
        "{license:?}"
    );
}

#[tokio::test]
async fn a_connector_stays_away_from_whoever_plays_the_kernel() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let thief = kernel.enroll(&tenant, "on_prem").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = posing(&thief, &kernel);
    let posing = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let shaken = acceptor.accept(stream).await.map(drop);
        // It stays open: whoever dials again waits, and why the first time failed stands so long.
        (shaken, listener)
    });

    let token = kernel.token(&tenant, "on_prem").await;
    let mut connector = Connector::enrolled(&token, address);
    connector.run();

    let reason = connector.link("down").await;
    assert!(reason.contains("not our kernel"), "{reason}");
    assert!(
        posing.await.unwrap().0.is_err(),
        "the thief was shaken hands with"
    );
    let status = connector.status().await;
    assert_eq!(status["generation"], 0, "no session ever began: {status}");
}
