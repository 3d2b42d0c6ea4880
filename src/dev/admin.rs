//! The admin API and the connector's local API, as anyone outside would call them.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, value::RawValue};

/// A caller of the admin API.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    client: Client,
    base: String,
    key: String,
}

/// One event of a tenant's log, with the exact bytes that are stored.
#[derive(Debug, Clone)]
pub(super) struct LoggedEvent {
    pub(super) text: String,
    pub(super) json: Value,
}

impl Admin {
    pub(super) fn new(port: u16, key_file: &Path) -> anyhow::Result<Self> {
        let key = std::fs::read_to_string(key_file).context("the first admin key is missing")?;
        let base = format!("http://127.0.0.1:{port}");
        Ok(Self {
            client: client()?,
            base,
            key: key.trim().to_owned(),
        })
    }

    /// Whether the kernel serves.
    pub(super) async fn is_ready(&self) -> bool {
        let answer = self
            .client
            .get(format!("{}/readyz", self.base))
            .send()
            .await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// The whole log of a tenant, in order.
    pub(super) async fn log(&self, tenant: &str) -> anyhow::Result<Vec<LoggedEvent>> {
        #[derive(serde::Deserialize)]
        struct Page {
            items: Vec<Box<RawValue>>,
        }
        let mut events: Vec<LoggedEvent> = Vec::new();
        loop {
            let after = events.last().and_then(|event| event.seq()).unwrap_or(0);
            let path = format!("/v1/tenants/{tenant}/audit?limit=100&after={after}");
            let text = self.text(Method::GET, &path, None).await?;
            let page: Page = serde_json::from_str(&text)?;
            let full = page.items.len() == 100;
            for item in page.items {
                let json = serde_json::from_str(item.get())?;
                events.push(LoggedEvent {
                    text: item.get().to_owned(),
                    json,
                });
            }
            if !full {
                return Ok(events);
            }
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let text = self.text(method, path, body).await?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON"))
    }

    async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<String> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.base))
            .bearer_auth(&self.key);
        if method != Method::GET {
            request = request.header("Idempotency-Key", uuid::Uuid::now_v7().to_string());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{path} was not answered"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            anyhow::bail!("{method} {path} answered {status}: {text}");
        }
        Ok(text)
    }
}

impl LoggedEvent {
    pub(super) fn seq(&self) -> Option<u64> {
        self.json["seq"].as_u64()
    }

    pub(super) fn kind(&self) -> &str {
        self.json["kind"].as_str().unwrap_or_default()
    }

    /// The type of a runtime's audit event.
    pub(super) fn audit_type(&self) -> &str {
        self.json["data"]["type"].as_str().unwrap_or_default()
    }

    pub(super) fn correlation_id(&self) -> &str {
        self.json["correlation_id"].as_str().unwrap_or_default()
    }

    /// What a runtime's audit event carries.
    pub(super) fn payload(&self) -> &Value {
        &self.json["data"]["event"]["payload"]
    }

    /// The event's leaf hash in its tenant's Merkle log, hex (RFC 6962).
    pub(super) fn leaf(&self) -> String {
        hex::encode(provost_store::merkle::leaf_hash(self.text.as_bytes()))
    }

    /// `seq 7 (leaf 12ab…)`, short enough for a line.
    pub(super) fn cite(&self) -> String {
        let seq = self.seq().unwrap_or(0);
        format!(
            "seq:{seq},leaf:{}",
            self.leaf().chars().take(16).collect::<String>()
        )
    }
}

/// The connector's local API, as far as anyone on the machine may read it.
#[derive(Debug, Clone)]
pub(super) struct Local {
    client: Client,
    base: String,
}

impl Local {
    pub(super) fn new(port: u16) -> anyhow::Result<Self> {
        Ok(Self {
            client: client()?,
            base: format!("http://127.0.0.1:{port}"),
        })
    }

    pub(super) async fn status(&self) -> anyhow::Result<Value> {
        let answer = self
            .client
            .get(format!("{}/status", self.base))
            .send()
            .await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    pub(super) async fn license(&self, tenant: &str) -> anyhow::Result<String> {
        let url = format!("{}/license?tenant={tenant}", self.base);
        let answer = self.client.get(url).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

/// Loopback never goes through a proxy.
fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().no_proxy().timeout(CALL_WITHIN).build()?)
}

/// Every call here is answered within a group commit or two.
const CALL_WITHIN: Duration = Duration::from_secs(15);
