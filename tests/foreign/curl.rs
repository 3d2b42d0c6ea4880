//! The five calls of v0.1, made by curl.

use serde_json::json;

use crate::{
    tool::curl,
    world::{Idp, Kernel},
};

#[tokio::test]
async fn curl_with_the_client_certificate_is_answered_all_five_calls() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let idp = Idp::new("https://login.example.org");
    idp.trusted_by(&kernel, &tenant).await;
    let mut runtime = kernel.enroll(&tenant, "on_prem").await;

    let body = json!({
        "tenant_id": tenant, "runtime_type": "app", "deployment_mode": "on_prem",
        "version": "1.0.0", "capabilities": [],
    });
    let registered = curl(&kernel, &runtime, "/kernel/runtimes/register", &body).must(201);
    assert_eq!(registered.json["runtime_id"], *runtime.id);
    registered.json["runtime_token"]
        .as_str()
        .unwrap()
        .clone_into(&mut runtime.token);

    let path = format!("/kernel/runtimes/{}/heartbeat", runtime.id);
    let beat = curl(
        &kernel,
        &runtime,
        &path,
        &json!({"status": "healthy", "metrics": {}}),
    );
    assert_eq!(beat.must(200).json["status"], "active");

    let body = json!({"tenant_id": tenant, "external_token": idp.token("ada")});
    let resolved = curl(&kernel, &runtime, "/kernel/identity/resolve", &body).must(200);
    assert_eq!(resolved.json["identity"]["external_id"], "ada");

    for (feature, allowed, reason) in [
        ("reports", true, "ENTITLED"),
        ("exports", false, "NO_ENTITLEMENT"),
    ] {
        let body = json!({"tenant_id": tenant, "runtime_id": runtime.id, "feature": feature});
        let checked = curl(&kernel, &runtime, "/kernel/entitlements/check", &body).must(200);
        assert_eq!(
            (&checked.json["allowed"], &checked.json["reason"]),
            (&json!(allowed), &json!(reason)),
            "{checked:?}"
        );
    }

    let event = runtime.event(json!({"page": 7}));
    let body = json!({ "event": event });
    let accepted = curl(&kernel, &runtime, "/kernel/audit/events", &body).must(202);
    assert_eq!(accepted.json["event_id"], event["event_id"]);
    let events = kernel.events(&tenant).await;
    assert!(
        events.iter().any(|one| one["data"]["event"] == event),
        "{events:?}"
    );
}
