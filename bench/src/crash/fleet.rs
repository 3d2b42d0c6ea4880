//! Tenants and the runtimes that write for them: enrolled and registered once, before the rounds.

use anyhow::Context as _;
use provost_certs::{BindingKey, TlsKey, make_request};
use provost_protocol::enrolment::EnrolAnswer;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    kernel::Kernel,
    writer::{Unknown, Writer},
};

/// Everybody who writes.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
}

/// One runtime with all it needs to call.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) tenant: String,
    pub(crate) runtime: String,
    pub(crate) token: String,
    identity_pem: String,
}

impl Fleet {
    /// Makes tenants with a quota each, and runtimes for them.
    pub(crate) async fn enroll(kernel: &Kernel, random: &mut StdRng) -> anyhow::Result<Self> {
        let mut members = Vec::new();
        for name in 0..TENANTS {
            let body = json!({"name": format!("tenant {name}"), "type": "company"});
            let tenant = text(&kernel.post("/v1/tenants", body).await?, "tenant_id")?;
            let path = format!("/v1/tenants/{tenant}/entitlements");
            // For ever: a window that ends in the middle of a run would start its counter anew.
            kernel
                .post(&path, json!({"feature": FEATURE, "limit": QUOTA}))
                .await?;
            for _ in 0..CLIENTS / TENANTS {
                members.push(Member::enroll(kernel, &tenant, random).await?);
            }
        }
        Ok(Self { members })
    }

    pub(crate) fn tenants(&self) -> Vec<String> {
        let mut tenants: Vec<String> = self
            .members
            .iter()
            .map(|member| member.tenant.clone())
            .collect();
        tenants.dedup();
        tenants
    }

    /// Lets the first runtime ask for one check and report one event: both answered, the event
    /// durable.
    pub(crate) async fn check_and_record(
        &self,
        kernel: &Kernel,
        random: &mut StdRng,
    ) -> anyhow::Result<()> {
        let member = self.members.first().context("nobody is enrolled")?;
        let client = kernel.client(Some(&member.identity_pem))?;
        let body = json!({
            "tenant_id": member.tenant, "runtime_id": member.runtime, "feature": FEATURE,
        });
        let request = client
            .post(kernel.url("/kernel/entitlements/check"))
            .json(&body);
        let answer = member.signed(request).send().await?.error_for_status()?;
        let answer: Value = answer.json().await?;
        anyhow::ensure!(answer["allowed"] == true, "denied: {answer}");
        let random = StdRng::seed_from_u64(random.random());
        let writer = Writer::new(member.clone(), client, kernel.clone(), Vec::new(), random);
        writer.record().await
    }

    /// A writer for each member; what is to be asked again goes first.
    pub(crate) fn writers(
        &mut self,
        kernel: &Kernel,
        mut again: Vec<Unknown>,
        random: &mut StdRng,
    ) -> anyhow::Result<Vec<Writer>> {
        let mut writers = Vec::new();
        for member in &self.members {
            let client = kernel.client(Some(&member.identity_pem))?;
            let (mine, others) = again
                .into_iter()
                .partition(|unknown| unknown.runtime == member.runtime);
            again = others;
            let random = StdRng::seed_from_u64(random.random());
            writers.push(Writer::new(
                member.clone(),
                client,
                kernel.clone(),
                mine,
                random,
            ));
        }
        Ok(writers)
    }
}

impl Member {
    async fn enroll(kernel: &Kernel, tenant: &str, random: &mut StdRng) -> anyhow::Result<Self> {
        let body = json!({"runtime_type": "custom", "deployment_mode": "dedicated"});
        let token = kernel
            .post(&format!("/v1/tenants/{tenant}/tokens"), body)
            .await?;
        let token = text(&token, "token")?.parse()?;
        let (binding, tls) = (BindingKey::generate()?, TlsKey::generate()?);
        let request = make_request(&token, &binding, &tls)?;
        let url = kernel.url("/kernel/enroll");
        let answer = kernel.client(None)?.post(url).json(&request).send().await?;
        let answer: EnrolAnswer = answer.error_for_status()?.json().await?;
        let mut member = Self {
            tenant: tenant.to_owned(),
            runtime: answer.runtime_id.to_string(),
            token: String::new(),
            identity_pem: format!("{}{}", tls.to_pem().expose(), answer.certificate),
        };
        member.register(kernel).await?;
        member.beat(kernel, random.random()).await?;
        Ok(member)
    }

    async fn register(&mut self, kernel: &Kernel) -> anyhow::Result<()> {
        let body = json!({
            "tenant_id": self.tenant, "runtime_type": "custom", "deployment_mode": "dedicated",
            "version": "1.0.0", "capabilities": [],
        });
        let request = kernel.client(Some(&self.identity_pem))?;
        let request = request
            .post(kernel.url("/kernel/runtimes/register"))
            .json(&body);
        let answer = self.signed(request).send().await?.error_for_status()?;
        self.token = text(&answer.json().await?, "runtime_token")?;
        Ok(())
    }

    async fn beat(&self, kernel: &Kernel, load: f64) -> anyhow::Result<()> {
        let path = format!("/kernel/runtimes/{}/heartbeat", self.runtime);
        let body = json!({"status": "healthy", "metrics": {"load": load}});
        let client = kernel.client(Some(&self.identity_pem))?;
        self.signed(client.post(kernel.url(&path)).json(&body))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Adds the headers of every call.
    pub(crate) fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = request
            .header("X-Tenant-Id", &self.tenant)
            .header("X-Runtime-Id", &self.runtime)
            .header("X-Contract-Version", "v0.1");
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }
}

fn text(json: &Value, field: &str) -> anyhow::Result<String> {
    let text = json[field]
        .as_str()
        .with_context(|| format!("the answer has no {field}"))?;
    Ok(text.to_owned())
}

/// What is consumed.
pub(crate) const FEATURE: &str = "work.units";

/// More than any run consumes.
const QUOTA: u64 = 1_000_000_000;

/// As the issue says: 8 clients write.
const CLIENTS: usize = 8;

/// Several logs, and in each two writers that meet.
const TENANTS: usize = 4;
