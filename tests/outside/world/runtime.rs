//! A runtime as its maker would write it from the contract: a certificate, headers, JSON.

use provost_certs::{Alpn, RuntimeTls, TlsKey, TlsPair, TrustBundle};
use reqwest::{Client, Identity, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Kernel, wait::now};

/// An enrolled runtime.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) tenant: String,
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) version: &'static str,
    pub(crate) mode: String,
    pub(crate) install: String,
    pub(crate) key_pem: String,
    pub(crate) certificate_pem: String,
    pub(crate) enrolment: Value,
    client: Client,
}

/// One request, to be spoilt.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Runtime {
    pub(crate) fn new(kernel: &Kernel, mode: &str, tls: &TlsKey, answer: &Answer) -> Self {
        let (key_pem, certificate_pem) = (tls.to_pem().expose().clone(), answer.str("certificate"));
        Self {
            tenant: answer.str("tenant_id"),
            id: answer.str("runtime_id"),
            token: String::new(),
            version: "v0.1",
            mode: mode.to_owned(),
            install: answer.str("install_id"),
            client: client(kernel, &format!("{key_pem}{certificate_pem}")),
            key_pem,
            certificate_pem,
            enrolment: answer.json.clone(),
        }
    }

    /// The same runtime with another certificate.
    pub(crate) fn with_certificate(&self, kernel: &Kernel, key: &str, certificate: &str) -> Self {
        let (key_pem, certificate_pem) = (key.to_owned(), certificate.to_owned());
        Self {
            client: client(kernel, &format!("{key}{certificate}")),
            key_pem,
            certificate_pem,
            ..self.clone()
        }
    }

    /// The headers of every call.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("x-tenant-id".to_owned(), self.tenant.clone()),
            ("x-runtime-id".to_owned(), self.id.clone()),
            ("x-contract-version".to_owned(), self.version.to_owned()),
            ("x-correlation-id".to_owned(), Uuid::now_v7().to_string()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        if !self.token.is_empty() {
            headers.push(("authorization".to_owned(), format!("Bearer {}", self.token)));
        }
        headers
    }

    /// A request as the contract wants it.
    pub(crate) fn asking(&self, path: &str, body: &Value) -> Ask {
        let (headers, body) = (self.headers(), body.to_string().into_bytes());
        Ask {
            method: Method::POST,
            path: path.to_owned(),
            headers,
            body,
        }
    }

    /// Sends a request; an error is the connection's.
    pub(crate) async fn try_send(&self, kernel: &Kernel, ask: &Ask) -> reqwest::Result<Answer> {
        let url = format!("https://{}{}", kernel.port(), ask.path);
        let mut request = self
            .client
            .request(ask.method.clone(), url)
            .body(ask.body.clone());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        Ok(Answer::read(request.send().await?).await)
    }

    pub(crate) async fn send(&self, kernel: &Kernel, ask: &Ask) -> Answer {
        self.try_send(kernel, ask).await.unwrap()
    }

    pub(crate) async fn call(&self, kernel: &Kernel, path: &str, body: Value) -> Answer {
        self.send(kernel, &self.asking(path, &body)).await
    }

    pub(crate) async fn register(&mut self, kernel: &Kernel) -> Answer {
        let body = json!({
            "tenant_id": self.tenant, "runtime_type": "app", "deployment_mode": self.mode,
            "version": "1.0.0", "capabilities": ["reports"],
        });
        let answer = self.call(kernel, "/kernel/runtimes/register", body).await;
        if let Some(token) = answer.json["runtime_token"].as_str() {
            self.token = token.to_owned();
        }
        answer
    }

    pub(crate) async fn beat(&self, kernel: &Kernel) -> Answer {
        let path = format!("/kernel/runtimes/{}/heartbeat", self.id);
        self.call(
            kernel,
            &path,
            json!({"status": "healthy", "metrics": {"load": 0.5}}),
        )
        .await
    }

    pub(crate) async fn resolve(&self, kernel: &Kernel, token: &str) -> Answer {
        let body = json!({"tenant_id": self.tenant, "external_token": token});
        self.call(kernel, "/kernel/identity/resolve", body).await
    }

    pub(crate) fn checking(&self, feature: &str, context: Value) -> Ask {
        let body = json!({
            "tenant_id": self.tenant, "runtime_id": self.id, "feature": feature,
            "context": context,
        });
        self.asking("/kernel/entitlements/check", &body)
    }

    pub(crate) async fn check(&self, kernel: &Kernel, feature: &str) -> Answer {
        self.send(kernel, &self.checking(feature, json!({}))).await
    }

    /// Takes units under an idempotency key.
    pub(crate) async fn consume(
        &self,
        kernel: &Kernel,
        (feature, amount): (&str, u64),
        key: &str,
    ) -> Answer {
        let mut ask = self.checking(feature, json!({"consume": amount}));
        ask.headers
            .push(("idempotency-key".to_owned(), key.to_owned()));
        self.send(kernel, &ask).await
    }

    /// An audit event with a new id.
    pub(crate) fn event(&self, payload: Value) -> Value {
        json!({
            "event_id": Uuid::now_v7().to_string(), "tenant_id": self.tenant,
            "runtime_id": self.id, "actor_type": "user", "actor_id": "ada",
            "type": "report.opened", "timestamp": now().to_string(),
            "correlation_id": Uuid::now_v7().to_string(), "payload": payload,
        })
    }

    pub(crate) async fn audit(&self, kernel: &Kernel, event: &Value) -> Answer {
        self.call(kernel, "/kernel/audit/events", json!({ "event": event }))
            .await
    }

    /// The connector's own way to the kernel.
    pub(crate) fn tls(&self, kernel: &Kernel, alpn: Alpn) -> RuntimeTls {
        let key = TlsKey::from_pem(&self.key_pem).unwrap();
        let pair = TlsPair::new(key, self.certificate_pem.clone()).unwrap();
        let trust = TrustBundle::from_pem(&kernel.root_pem()).unwrap();
        RuntimeTls::new(&trust, self.install.parse().unwrap(), &pair, alpn).unwrap()
    }
}

impl Ask {
    /// The same with a header replaced, or removed.
    pub(crate) fn header(mut self, name: &str, value: Option<&str>) -> Self {
        self.headers.retain(|(known, _)| known != name);
        if let Some(value) = value {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn text(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }
}

fn client(kernel: &Kernel, identity_pem: &str) -> Client {
    let identity = Identity::from_pem(identity_pem.as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().tls_certs_only([kernel.root()]);
    builder.identity(identity).build().unwrap()
}
