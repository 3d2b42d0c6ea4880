//! The five calls of v0.1 over HTTPS with a client certificate.

use serde_json::json;

use crate::world::{Idp, Kernel, Start};

#[tokio::test]
async fn a_runtime_registers_once_and_its_first_heartbeat_activates_it() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut runtime = kernel.enroll(&tenant, "on_prem").await;

    let first = runtime.register(&kernel).await.must(201);
    assert_eq!(first.str("runtime_id"), runtime.id);
    assert_eq!(
        (first.str("status"), first.str("contract_version")),
        words("registered", "v0.1")
    );
    for policy in [
        "heartbeat_interval_ms",
        "grace_ms",
        "license_ttl_ms",
        "offline_max_ms",
    ] {
        assert!(
            first.json["policies_applied"][policy].as_u64() > Some(0),
            "{policy}: {first:?}"
        );
    }
    let path = format!("/v1/tenants/{tenant}/runtimes/{}", runtime.id);
    assert_eq!(kernel.get(&path).await.str("status"), "registered");

    let beat = runtime.beat(&kernel).await.must(200);
    assert_eq!(
        (beat.str("status"), beat.json["directives"].clone()),
        ("active".into(), json!([]))
    );
    assert!(beat.u64("heartbeat_interval_ms") > 0 && beat.str("signed_time").contains("/time"));
    let shown = kernel.get(&path).await;
    assert_eq!(shown.str("status"), "active");
    assert_eq!(
        shown.json["live"]["metrics"],
        json!({"load": 0.5}),
        "{shown:?}"
    );

    let replaced = runtime.clone();
    runtime.register(&kernel).await.must(200);
    assert_ne!(runtime.token, replaced.token);
    replaced
        .beat(&kernel)
        .await
        .must_refuse(401, "token_refused");
    runtime.beat(&kernel).await.must(200);
    let kinds = kinds(&kernel, &tenant).await;
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| *kind == "runtime.activated")
            .count(),
        1,
        "{kinds:?}"
    );
}

#[tokio::test]
async fn a_person_is_resolved_to_one_identity_and_what_it_may_do() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let idp = Idp::new("https://login.example.org");
    idp.trusted_by(&kernel, &tenant).await;
    kernel
        .grant(
            &tenant,
            json!({"feature": "reports", "limit": 5, "time_window": "day"}),
        )
        .await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;

    let first = runtime.resolve(&kernel, &idp.token("ada")).await.must(200);
    let again = runtime.resolve(&kernel, &idp.token("ada")).await.must(200);
    let other = runtime
        .resolve(&kernel, &idp.token("grace"))
        .await
        .must(200);

    let identity = &first.json["identity"];
    assert_eq!(identity["external_id"], "ada");
    assert_eq!(identity["tenant_id"], *tenant);
    assert_eq!(identity["roles"], json!(["reader"]));
    assert_eq!(
        identity["identity_id"],
        again.json["identity"]["identity_id"]
    );
    assert_ne!(
        identity["identity_id"],
        other.json["identity"]["identity_id"]
    );
    let entitlement = &first.json["entitlements"][0];
    assert_eq!(entitlement["feature"], "reports");
    assert_eq!(entitlement["runtime_id"], *runtime.id);
    assert_eq!(
        entitlement["limits"],
        json!({"quota": 5, "time_window": "day"})
    );
    assert_eq!(entitlement["valid_until"], "9999-12-31T23:59:59.999Z");
    let log = format!("{:?}{}", kernel.events(&tenant).await, kernel.log());
    assert!(!log.contains("eyJ"), "an external token was written down");
}

#[tokio::test]
async fn a_check_says_yes_no_and_how_much_is_left() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(
            &tenant,
            json!({"feature": "exports", "limit": 3, "time_window": "day"}),
        )
        .await;
    kernel
        .grant(&tenant, json!({"feature": "reports:annual", "limit": true}))
        .await;
    kernel
        .grant(&tenant, json!({"feature": "beta", "limit": false}))
        .await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;

    for (feature, context, allowed, reason) in [
        ("reports:annual", json!({}), true, "ENTITLED"),
        ("reports", json!({"resource": "annual"}), true, "ENTITLED"),
        ("reports", json!({}), false, "NO_ENTITLEMENT"),
        ("beta", json!({}), false, "FEATURE_OFF"),
        ("exports", json!({}), true, "ENTITLED"),
    ] {
        let answer = runtime
            .send(&kernel, &runtime.checking(feature, context))
            .await
            .must(200);
        assert_eq!(
            (&answer.json["allowed"], &answer.json["reason"]),
            (&json!(allowed), &json!(reason))
        );
    }

    let taken = runtime
        .consume(&kernel, ("exports", 2), "order-1")
        .await
        .must(200);
    assert_eq!(taken.json["limits"]["used"], 2);
    let again = runtime
        .consume(&kernel, ("exports", 2), "order-1")
        .await
        .must(200);
    assert_eq!(
        again.json["limits"], taken.json["limits"],
        "the same key takes nothing more"
    );
    runtime
        .consume(&kernel, ("exports", 1), "order-1")
        .await
        .must_refuse(409, "idempotency_conflict");
    let last = runtime
        .consume(&kernel, ("exports", 1), "order-2")
        .await
        .must(200);
    assert_eq!(
        (
            &last.json["limits"]["used"],
            &last.json["limits"]["remaining"]
        ),
        (&json!(3), &json!(0))
    );

    let denied = runtime
        .consume(&kernel, ("exports", 1), "order-3")
        .await
        .must(200);
    assert_eq!(denied.json["allowed"], false);
    assert_eq!(denied.json["reason"], "QUOTA_EXHAUSTED");
    let resets = denied.json["limits"]["resets_at"].as_str().unwrap();
    assert!(
        resets.ends_with("T00:00:00.000Z"),
        "a day of a tenant in UTC ends at midnight: {resets}"
    );
    let kinds = kinds(&kernel, &tenant).await;
    let count = |wanted: &str| kinds.iter().filter(|kind| *kind == wanted).count();
    assert_eq!(
        (count("quota.consumed"), count("quota.denied")),
        (2, 1),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn an_audit_event_is_recorded_once_under_its_id() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut runtime = kernel.runtime(&tenant, "on_prem").await;
    let event = runtime.event(json!({"page": 7}));

    let first = runtime.audit(&kernel, &event).await.must(202);
    let again = runtime.audit(&kernel, &event).await.must(202);
    assert_eq!(first.str("event_id"), event["event_id"].as_str().unwrap());
    assert_eq!(first.json, again.json, "the same bytes, the same answer");
    let mut other = event.clone();
    other["payload"] = json!({"page": 8});
    runtime
        .audit(&kernel, &other)
        .await
        .must_refuse(409, "event_conflict");

    let many = json!([runtime.event(json!({})), event, runtime.event(json!({}))]);
    runtime
        .audit(&kernel, &many)
        .await
        .must_refuse(422, "invalid");
    runtime.version = "v0.2";
    let batch = runtime.audit(&kernel, &many).await.must(202);
    let accepted = batch.json["accepted"].as_array().unwrap();
    assert_eq!(
        accepted[1]["seq"], first.json["seq"],
        "known already: {batch:?}"
    );
    assert_eq!(accepted.len(), 3);

    let events = kernel.events(&tenant).await;
    let at = usize::try_from(first.u64("seq")).unwrap() - 1;
    assert_eq!(events[at]["data"]["event"], event);
    let recorded = events
        .iter()
        .filter(|event| event["kind"] == "audit.recorded")
        .count();
    assert_eq!(recorded, 3);
}

/// The kinds of a tenant's events, in order.
async fn kinds(kernel: &Kernel, tenant: &str) -> Vec<String> {
    let events = kernel.events(tenant).await;
    events
        .iter()
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn words(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[tokio::test]
async fn a_heartbeat_is_heard_from_a_runtime_whose_tenant_asks_too_much() {
    let kernel = Kernel::start_as(Start {
        limits: "tenant_requests_per_second = 1\ntenant_burst = 251\n".to_owned(),
        ..Start::default()
    })
    .await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let mut asked = 0;
    while runtime.check(&kernel, "reports").await.status != 429 {
        asked += 1;
        assert!(asked < 2_000, "nothing is refused");
    }
    runtime.beat(&kernel).await.must(200);
}
