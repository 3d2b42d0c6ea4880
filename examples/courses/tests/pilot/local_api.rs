//! A local API as contract v0.1 describes it, strict about headers, with switches for what fails.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) issuer: String,
    pub(crate) operator: Uuid,
    pub(crate) runtime: Uuid,
    pub(crate) token: String,
    pub(crate) registrations: usize,
    pub(crate) beats: usize,
    /// By subject: identity and tenant.
    pub(crate) people: BTreeMap<String, (Uuid, Uuid)>,
    pub(crate) granted: BTreeSet<String>,
    pub(crate) attempts_used: BTreeMap<Uuid, u64>,
    pub(crate) consumed: BTreeMap<Uuid, Value>,
    pub(crate) checks: Vec<Check>,
    pub(crate) events: Vec<Value>,
    pub(crate) resolves: Vec<Uuid>,
    pub(crate) unreachable: bool,
    /// Audit calls that are still answered before the connector's storage fails.
    pub(crate) audit_left: Option<usize>,
    pub(crate) suspended: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) resource: String,
    pub(crate) correlation: Uuid,
    pub(crate) allowed: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct LocalApi(Arc<Mutex<Kernel>>);

const QUOTA: u64 = 2;
pub(crate) const RESETS_AT: &str = "2099-01-01T00:00:00.000Z";

impl LocalApi {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let api = Self::default();
        {
            let mut kernel = api.kernel();
            kernel.operator = Uuid::now_v7();
            kernel.runtime = Uuid::now_v7();
            kernel.granted = ["cloud-fundamentals", "linux-essentials"]
                .map(str::to_owned)
                .into();
        }
        let router = Router::new()
            .route("/kernel/runtimes/register", post(register))
            .route("/kernel/runtimes/{id}/heartbeat", post(heartbeat))
            .route("/kernel/identity/resolve", post(resolve))
            .route("/kernel/entitlements/check", post(check))
            .route("/kernel/audit/events", post(audit))
            .with_state(api.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (api, address)
    }

    pub(crate) fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.0.lock().unwrap()
    }

    /// The events of a type, in the order they came.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.kernel()
            .events
            .iter()
            .filter(|event| event["type"] == kind)
            .cloned()
            .collect()
    }
}

/// A status and a code of the contract.
type Refusal = (u16, &'static str);

fn problem((status, code): Refusal) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let body = json!({ "code": code, "status": status.as_u16(), "detail": code });
    (
        status,
        [("content-type", "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}

fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn uuid(headers: &HeaderMap, name: &str) -> Result<Uuid, Refusal> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    match value.and_then(|value| value.parse::<Uuid>().ok()) {
        Some(id) if id.get_version_num() == 7 => Ok(id),
        Some(_) => Err((400, "id_malformed")),
        None => Err((400, "header_missing")),
    }
}

/// Tenant and correlation id of a call that carries all the contract asks for.
fn admitted(kernel: &Kernel, headers: &HeaderMap) -> Result<(Uuid, Uuid), Refusal> {
    if headers
        .get("x-contract-version")
        .is_none_or(|version| version != "v0.1")
    {
        return Err((400, "version_unknown"));
    }
    let (tenant, correlation) = (
        uuid(headers, "x-tenant-id")?,
        uuid(headers, "x-correlation-id")?,
    );
    if uuid(headers, "x-runtime-id")? != kernel.runtime {
        return Err((401, "identity_mismatch"));
    }
    let bearer = format!("Bearer {}", kernel.token);
    if kernel.token.is_empty()
        || headers
            .get("authorization")
            .is_none_or(|held| *held != bearer)
    {
        return Err((401, "token_refused"));
    }
    let known = kernel.people.values().any(|(_, own)| *own == tenant);
    if tenant != kernel.operator && !known {
        return Err((401, "identity_mismatch"));
    }
    Ok((tenant, correlation))
}

async fn register(State(api): State<LocalApi>, headers: HeaderMap, body: String) -> Response {
    let mut kernel = api.kernel();
    let body: Value = serde_json::from_str(&body).unwrap();
    if body["tenant_id"] != json!(kernel.operator)
        || uuid(&headers, "x-tenant-id").ok() != Some(kernel.operator)
        || headers
            .get("x-contract-version")
            .is_none_or(|version| version != "v0.1")
        || uuid(&headers, "x-correlation-id").is_err()
        || body["runtime_type"] != "courses"
        || body["deployment_mode"] != "shared"
    {
        return problem((422, "invalid"));
    }
    kernel.registrations += 1;
    kernel.token = format!("token-{}", kernel.registrations);
    let status = if kernel.registrations == 1 { 201 } else { 200 };
    let policies = json!({
        "security_level": "standard", "heartbeat_interval_ms": 100, "grace_ms": 1000,
        "license_ttl_ms": 1000, "offline_max_ms": 1000,
    });
    answer(
        status,
        json!({
            "runtime_id": kernel.runtime, "status": "registered", "policies_applied": policies,
            "runtime_token": kernel.token, "contract_version": "v0.1",
        }),
    )
}

async fn heartbeat(
    State(api): State<LocalApi>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut kernel = api.kernel();
    if let Err(refused) = admitted(&kernel, &headers) {
        return problem(refused);
    }
    let body: Value = serde_json::from_str(&body).unwrap();
    if id != kernel.runtime
        || !["healthy", "degraded"]
            .map(Value::from)
            .contains(&body["status"])
    {
        return problem((422, "invalid"));
    }
    kernel.beats += 1;
    let status = if kernel.suspended {
        "suspended"
    } else {
        "active"
    };
    answer(
        200,
        json!({ "status": status, "heartbeat_interval_ms": 100, "directives": [] }),
    )
}

async fn resolve(State(api): State<LocalApi>, headers: HeaderMap, body: String) -> Response {
    let (issuer, operator) = {
        let kernel = api.kernel();
        match admitted(&kernel, &headers) {
            Ok((tenant, _)) if tenant == kernel.operator => {}
            Ok(_) => return problem((422, "tenant_mismatch")),
            Err(refused) => return problem(refused),
        }
        if kernel.unreachable {
            return problem((503, "kernel_unreachable"));
        }
        (kernel.issuer.clone(), kernel.operator)
    };
    let body: Value = serde_json::from_str(&body).unwrap();
    if body["tenant_id"] != json!(operator) {
        return problem((422, "tenant_mismatch"));
    }
    let Some(claims) = verified(&issuer, body["external_token"].as_str().unwrap()).await else {
        return problem((401, "external_token_refused"));
    };
    let mut kernel = api.kernel();
    let sub = claims["sub"].as_str().unwrap().to_owned();
    let fresh = (Uuid::now_v7(), Uuid::now_v7());
    let (identity, tenant) = *kernel.people.entry(sub.clone()).or_insert(fresh);
    kernel
        .resolves
        .push(uuid(&headers, "x-correlation-id").unwrap());
    let identity = json!({
        "identity_id": identity, "tenant_id": tenant, "external_id": sub, "provider": "oidc",
        "roles": ["member"], "attributes": { "name": claims["name"] },
    });
    answer(200, json!({ "identity": identity, "entitlements": [] }))
}

/// Verifies an ID token as the kernel would: signature by the issuer's published key, issuer, audience.
async fn verified(issuer: &str, token: &str) -> Option<Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let keys = client
        .get(format!("{issuer}/jwks.json"))
        .send()
        .await
        .ok()?
        .text()
        .await
        .ok()?;
    let keys: Value = serde_json::from_str(&keys).ok()?;
    let key = &keys["keys"][0];
    let key = jsonwebtoken::DecodingKey::from_ec_components(key["x"].as_str()?, key["y"].as_str()?)
        .ok()?;
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_audience(&["courses"]);
    rules.set_issuer(&[issuer]);
    Some(
        jsonwebtoken::decode::<Value>(token, &key, &rules)
            .ok()?
            .claims,
    )
}

async fn check(State(api): State<LocalApi>, headers: HeaderMap, body: String) -> Response {
    let mut kernel = api.kernel();
    let (tenant, correlation) = match admitted(&kernel, &headers) {
        Ok(admitted) => admitted,
        Err(refused) => return problem(refused),
    };
    let body: Value = serde_json::from_str(&body).unwrap();
    if body["tenant_id"] != json!(tenant) || body["runtime_id"] != json!(kernel.runtime) {
        return problem((422, "tenant_mismatch"));
    }
    let resource = body["context"]["resource"].as_str().unwrap().to_owned();
    let verdict = match body["feature"].as_str().unwrap() {
        "course_access" if kernel.granted.contains(&resource) => json!({ "allowed": true }),
        "assessment_attempts" if body["context"]["consume"] == 1 => {
            let Ok(key) = uuid(&headers, "idempotency-key") else {
                return problem((400, "header_missing"));
            };
            consume(&mut kernel, tenant, key)
        }
        _ => json!({ "allowed": false, "reason": "NO_ENTITLEMENT" }),
    };
    let allowed = verdict["allowed"] == true;
    kernel.checks.push(Check {
        resource,
        correlation,
        allowed,
    });
    answer(200, verdict)
}

fn consume(kernel: &mut Kernel, tenant: Uuid, key: Uuid) -> Value {
    if let Some(answered) = kernel.consumed.get(&key) {
        return answered.clone();
    }
    let used = kernel.attempts_used.entry(tenant).or_default();
    let allowed = *used < QUOTA;
    *used += u64::from(allowed);
    let limits = json!({
        "quota": QUOTA, "used": *used, "remaining": QUOTA - *used, "time_window": "month",
        "resets_at": RESETS_AT, "mode": "enforce",
    });
    let mut verdict = json!({ "allowed": allowed, "limits": limits });
    if !allowed {
        verdict["reason"] = json!("QUOTA_EXCEEDED");
    }
    kernel.consumed.insert(key, verdict.clone());
    verdict
}

async fn audit(State(api): State<LocalApi>, headers: HeaderMap, body: String) -> Response {
    let mut kernel = api.kernel();
    let (tenant, correlation) = match admitted(&kernel, &headers) {
        Ok(admitted) => admitted,
        Err(refused) => return problem(refused),
    };
    match kernel.audit_left.as_mut() {
        Some(0) => return problem((503, "storage_unavailable")),
        Some(left) => *left -= 1,
        None => {}
    }
    let body: Value = serde_json::from_str(&body).unwrap();
    let event = body["event"].clone();
    let consistent = event["tenant_id"] == json!(tenant)
        && event["correlation_id"] == json!(correlation)
        && event["runtime_id"] == json!(kernel.runtime)
        && ["user", "runtime"]
            .map(Value::from)
            .contains(&event["actor_type"])
        && event["timestamp"]
            .as_str()
            .is_some_and(|time| time.len() == 24);
    if !consistent {
        return problem((422, "tenant_mismatch"));
    }
    match kernel
        .events
        .iter()
        .find(|held| held["event_id"] == event["event_id"])
    {
        Some(held) if *held != event => return problem((409, "event_conflict")),
        Some(_) => {}
        None => kernel.events.push(event.clone()),
    }
    answer(
        202,
        json!({ "event_id": event["event_id"], "seq": kernel.events.len() }),
    )
}
