//! A product with the real connector beside it, that asks its own connector again and again until
//! the answer turns.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use provost_connector::{Config, Connector, enroll};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    fleet::clock_us,
    worker::{Orders, answer},
};

/// Who it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// An empty or missing folder for the connector's data.
    pub(crate) folder: PathBuf,
    /// An enrolment token.
    pub(crate) token: String,
    /// What it asks for; allowed at first.
    pub(crate) feature: String,
}

/// To ask until the answer is this; answered by [`Turned`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Until {
    pub(crate) allowed: bool,
}

/// When it was, in microseconds of the system's clock; said once at the beginning too.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Turned {
    pub(crate) at_us: u64,
}

/// Runs such a process until it is told to end.
///
/// # Errors
/// It could not be enrolled, or the answer did not turn in time.
pub(crate) fn serve() -> anyhow::Result<ExitCode> {
    let mut orders = Orders::open();
    let spec: Spec = orders.next()?.context("no spec")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let product = runtime.block_on(Product::start(&spec))?;
    answer(&runtime.block_on(product.until(true))?)?;
    while let Some(order) = orders.next::<Until>()? {
        answer(&runtime.block_on(product.until(order.allowed))?)?;
    }
    runtime.block_on(product.connector.shutdown());
    Ok(ExitCode::SUCCESS)
}

struct Product {
    connector: Connector,
    client: reqwest::Client,
    tenant: String,
    runtime: String,
    token: String,
    feature: String,
}

impl Product {
    async fn start(spec: &Spec) -> anyhow::Result<Self> {
        let enrolled = enroll(&spec.token, &spec.folder).await?;
        let connector = Connector::start(Config {
            listen: ([127, 0, 0, 1], 0).into(),
            ..Config::new(&spec.folder)
        })
        .await?;
        let mut product = Self {
            connector,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(WITHIN)
                .build()?,
            tenant: enrolled.tenant_id.to_string(),
            runtime: enrolled.runtime_id.to_string(),
            token: String::new(),
            feature: spec.feature.clone(),
        };
        let body = json!({
            "tenant_id": product.tenant, "runtime_type": "app", "deployment_mode": "dedicated",
            "version": "1.0.0", "capabilities": [],
        });
        let answer = product.post("/kernel/runtimes/register", &body).await?;
        let token = answer["runtime_token"].as_str().context("no token")?;
        product.token = token.to_owned();
        Ok(product)
    }

    async fn until(&self, allowed: bool) -> anyhow::Result<Turned> {
        let body = json!({
            "tenant_id": self.tenant, "runtime_id": self.runtime, "feature": self.feature,
        });
        let late = Instant::now() + WITHIN;
        loop {
            let answer = self.post("/kernel/entitlements/check", &body).await?;
            if answer["allowed"] == allowed {
                return Ok(Turned { at_us: clock_us() });
            }
            anyhow::ensure!(Instant::now() < late, "the answer did not turn: {answer}");
            sleep(PAUSE).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("http://{}{path}", self.connector.local_addr());
        let mut request = self
            .client
            .post(url)
            .header("x-contract-version", "v0.1")
            .header("x-tenant-id", &self.tenant)
            .header("x-runtime-id", &self.runtime)
            .json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

/// A product that asks all the time; short beside the second that is asked for.
const PAUSE: Duration = Duration::from_millis(5);

/// The contract is a second.
const WITHIN: Duration = Duration::from_secs(50);
