//! A product that asks its connector, and nobody else.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Connector, now, until};

/// A product beside its connector.
#[derive(Debug, Clone)]
pub(crate) struct Product<'a> {
    connector: &'a Connector,
    tenant: String,
    pub(crate) runtime: String,
    token: String,
}

impl<'a> Product<'a> {
    pub(crate) async fn register(connector: &'a Connector, tenant: &str) -> Self {
        let register = json!({
            "tenant_id": tenant, "runtime_type": "app", "deployment_mode": "on_prem",
            "version": "2.0.0", "capabilities": [],
        });
        let registered = connector
            .post("/kernel/runtimes/register", &[], &register)
            .await;
        assert!([200, 201].contains(&registered.status), "{registered:?}");
        Self {
            connector,
            tenant: tenant.to_owned(),
            runtime: registered.str("runtime_id"),
            token: registered.str("runtime_token"),
        }
    }

    /// Whether it may, why, and how much at most: of the feature `reports`.
    pub(crate) async fn check(&self, consume: Option<u64>) -> (bool, String, Value) {
        let context = consume.map_or(json!({}), |consume| json!({"consume": consume}));
        let answer = self.ask("reports", context, None).await.must(200);
        let allowed = answer.json["allowed"].as_bool().unwrap();
        let quota = answer.json["limits"]["quota"].clone();
        (allowed, answer.str("reason"), quota)
    }

    /// Asks about a feature; under a key it counts once, however often it is asked.
    pub(crate) async fn ask(&self, feature: &str, context: Value, key: Option<&str>) -> Answer {
        let check = json!({
            "tenant_id": self.tenant, "runtime_id": self.runtime, "feature": feature,
            "context": context,
        });
        let key = key.map(|key| ("Idempotency-Key", key));
        self.post("/kernel/entitlements/check", key, &check).await
    }

    /// The reason that it is given for a feature.
    pub(crate) async fn reason(&self, feature: &str) -> String {
        let answer = self.ask(feature, json!({}), None).await.must(200);
        answer.str("reason")
    }

    pub(crate) async fn until_reason(&self, wanted: &str) {
        until(wanted, async || {
            (self.check(None).await.1 == wanted).then_some(())
        })
        .await;
    }

    /// Reports an event, which must be taken; gives its id.
    pub(crate) async fn record(&self, payload: Value) -> String {
        let id = Uuid::now_v7().to_string();
        let event = json!({"event": {
            "event_id": id, "tenant_id": self.tenant, "runtime_id": self.runtime,
            "actor_type": "user", "actor_id": "ada", "type": "report.opened",
            "timestamp": now().to_string(),
            "correlation_id": Uuid::now_v7().to_string(), "payload": payload,
        }});
        self.post("/kernel/audit/events", None, &event)
            .await
            .must(202);
        id
    }

    async fn post(&self, path: &str, more: Option<(&str, &str)>, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![
            ("X-Tenant-Id", &*self.tenant),
            ("X-Runtime-Id", &*self.runtime),
            ("Authorization", &*bearer),
        ];
        headers.extend(more);
        self.connector.post(path, &headers, body).await
    }
}
