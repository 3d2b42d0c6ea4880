//! The kernel's two doors, as anyone outside would knock at them.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::{Value, value::RawValue};

use super::child::Addresses;

/// A running kernel.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    addresses: Addresses,
    admin: Client,
    key: String,
    root: Certificate,
}

impl Kernel {
    pub(crate) fn new(addresses: Addresses, data: &Path) -> anyhow::Result<Self> {
        let key = std::fs::read_to_string(data.join("admin.key"))?
            .trim()
            .to_owned();
        let root = Certificate::from_pem(&std::fs::read(data.join("root.pem"))?)?;
        let admin = Client::builder().no_proxy().timeout(ADMIN_WITHIN).build()?;
        Ok(Self {
            addresses,
            admin,
            key,
            root,
        })
    }

    /// A client of the runtime port, without a certificate where there is none yet.
    pub(crate) fn client(&self, identity: Option<&str>) -> anyhow::Result<Client> {
        let mut builder = Client::builder()
            .no_proxy()
            .timeout(CALL_WITHIN)
            .tls_certs_only([self.root.clone()]);
        if let Some(pem) = identity {
            builder = builder.identity(Identity::from_pem(pem.as_bytes())?);
        }
        Ok(builder.build()?)
    }

    /// A path of the runtime port.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addresses.runtime)
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.ask(Method::POST, path, Some(body)).await?,
        )?)
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.ask(Method::GET, path, None).await?,
        )?)
    }

    /// A tenant's log after a sequence, in order, each event as its exact text.
    pub(crate) async fn log_after(
        &self,
        tenant: &str,
        mut after: u64,
    ) -> anyhow::Result<Vec<Box<RawValue>>> {
        let mut all = Vec::new();
        loop {
            let path = format!("/v1/tenants/{tenant}/audit?limit={PAGE}&after={after}");
            let items = self.items(&path).await?;
            let count = items.len();
            after += u64::try_from(count)?;
            all.extend(items);
            if count < PAGE {
                return Ok(all);
            }
        }
    }

    /// The items of one page of the admin API, each as its exact text.
    pub(crate) async fn items(&self, path: &str) -> anyhow::Result<Vec<Box<RawValue>>> {
        #[derive(serde::Deserialize)]
        struct Page {
            items: Vec<Box<RawValue>>,
        }
        let page: Page = serde_json::from_str(&self.ask(Method::GET, path, None).await?)?;
        Ok(page.items)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<String> {
        let url = format!("http://{}{path}", self.addresses.admin);
        let mut request = self.admin.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{path} was not answered"))?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(text)
    }
}

/// The largest page there is.
const PAGE: usize = 100;

/// Reading a page takes milliseconds; a hanging kernel is a finding.
const ADMIN_WITHIN: Duration = Duration::from_secs(30);

/// A commit takes milliseconds; a killed kernel breaks the connection at once.
const CALL_WITHIN: Duration = Duration::from_secs(30);
