//! One correlation id gives the whole story, from a person's login to the license it led to.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Connector, Idp, Kernel, now, until};

#[tokio::test]
async fn one_correlation_id_tells_of_resolve_check_consumption_and_license() {
    let kernel = Kernel::start().await;
    let operator = kernel.company().await;
    let idp = Idp::new("https://login.example.org");
    let mut settings = idp.settings();
    settings["individuals"] = json!(true);
    let providers = format!("/v1/tenants/{operator}/providers");
    kernel.post(&providers, settings).await;
    let connector = Connector::start_as(&kernel, &operator, "shared").await;
    let register = json!({
        "tenant_id": operator, "runtime_type": "app", "deployment_mode": "shared",
        "version": "2.0.0", "capabilities": [],
    });
    let registered = connector
        .post("/kernel/runtimes/register", &[], &register)
        .await;
    let runtime = registered.str("runtime_id");
    let bearer = format!("Bearer {}", registered.str("runtime_token"));
    let story = Uuid::now_v7().to_string();
    let asking = async |tenant: &str, path: &str, body: Value| {
        let key = Uuid::now_v7().to_string();
        let headers = [
            ("X-Tenant-Id", tenant),
            ("X-Runtime-Id", &runtime),
            ("Authorization", &bearer),
            ("X-Correlation-Id", &story),
            ("Idempotency-Key", &key),
        ];
        connector.post(path, &headers, &body).await
    };

    // A person comes for the first time, opens a report, exports it, and the product says so.
    let body = json!({"tenant_id": operator, "external_token": idp.token("ada")});
    let resolved = asking(&operator, "/kernel/identity/resolve", body)
        .await
        .must(200);
    let person = resolved.json["identity"]["tenant_id"].as_str().unwrap();
    assert_ne!(person, operator, "a tenant of her own");
    let found = until("the license is there", async || {
        let found = told(&kernel, person, &story);
        found.contains_key("license.issued").then_some(found)
    });
    found.await;
    kernel
        .grant(person, json!({"feature": "reports", "limit": true}))
        .await;
    kernel
        .grant(
            person,
            json!({"feature": "exports", "limit": 5, "time_window": "day"}),
        )
        .await;
    let path = "/kernel/entitlements/check";
    let check = json!({"tenant_id": person, "runtime_id": runtime, "feature": "reports"});
    until("the grant is known", async || {
        let answer = asking(person, path, check.clone()).await.must(200);
        (answer.json["allowed"] == true).then_some(())
    })
    .await;
    let consume = json!({
        "tenant_id": person, "runtime_id": runtime, "feature": "exports",
        "context": {"consume": 2},
    });
    let taken = asking(person, path, consume).await.must(200);
    assert_eq!(taken.json["allowed"], true, "{taken:?}");
    let event = json!({"event": {
        "event_id": Uuid::now_v7().to_string(), "tenant_id": person, "runtime_id": runtime,
        "actor_type": "user", "actor_id": "ada", "type": "report.exported",
        "timestamp": now().to_string(), "correlation_id": story, "payload": {},
    }});
    asking(person, "/kernel/audit/events", event)
        .await
        .must(202);

    // All of it is found by the one id, and nothing else is.
    let wanted = [
        "identity.created",
        "identity.resolved",
        "license.issued",
        "quota.consumed",
        "audit.recorded report.exported",
        "audit.recorded entitlement.verdict",
    ];
    let found = until("the story is whole", async || {
        let found = told(&kernel, person, &story);
        wanted
            .iter()
            .all(|kind| found.contains_key(*kind))
            .then_some(found)
    })
    .await;
    for (kind, event) in &found {
        assert_eq!(event["correlation_id"], *story, "{kind}");
    }
    assert!(
        !found.contains_key("entitlement.set"),
        "the operator's own doing: {found:?}"
    );
    let at = |kind: &str| found[kind]["seq"].as_u64().unwrap();
    assert!(at("identity.resolved") < at("license.issued"), "{found:?}");
    assert!(at("license.issued") < at("quota.consumed"), "{found:?}");

    // In the operator's log the same id tells who was let in.
    let admitted = told(&kernel, &operator, &story);
    assert!(
        admitted
            .keys()
            .any(|kind| kind == "tenant.individual-admitted"),
        "{admitted:?}"
    );
}

/// What `audit query` finds under a correlation id: by kind, and by type where a runtime told it.
fn told(kernel: &Kernel, tenant: &str, correlation: &str) -> BTreeMap<String, Value> {
    let query = ["audit", "query", tenant, "--correlation", correlation];
    let (done, lines) = kernel.command(&[&query[..], &["--all", "--output", "json"]].concat());
    assert!(done, "{lines}");
    let events = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .map(|event| {
            let kind = event["kind"].as_str().unwrap();
            let name = event["data"]["type"]
                .as_str()
                .map_or_else(|| kind.to_owned(), |sent| format!("{kind} {sent}"));
            (name, event)
        })
        .collect()
}
