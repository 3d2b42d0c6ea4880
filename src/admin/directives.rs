//! `/v1/tenants/{tenant_id}/runtimes/{runtime_id}/limits`: what a runtime is narrowed to.

use std::sync::Arc;

use provost_kernel::{
    Command, State,
    command::LimitRuntime,
    state::{DirectivesRecord, EntityKey},
};
use provost_protocol::{Code, RuntimeId, TenantId, entity::Feature};
use serde::Deserialize;

use super::{
    Admin,
    answer::{Answer, etag_of},
    auth::Needs,
    body,
    call::Call,
    reach::Act,
    routes::{Method, Route},
    runtimes::directives_in,
    view::Directives,
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/limits",
        id: "list_limits",
        about: "Shows what a runtime is narrowed to for a tenant that it acts for.",
        needs: Needs::Read,
        body: None,
        answer: (200, "Directives"),
        query: &[],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Put,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/limits",
        id: "limit_runtime",
        about: "Narrows what a runtime may do for a while; replaces the limit of the feature.",
        needs: Needs::Write,
        body: Some("SetLimit"),
        answer: (200, "Directives"),
        query: &[],
        handler: |admin, call| Box::pin(limit(admin, call)),
    },
    Route {
        method: Method::Delete,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/limits",
        id: "unlimit_runtime",
        about: "Takes a limit away, named exactly as it was set.",
        needs: Needs::Write,
        body: None,
        answer: (200, "Directives"),
        query: &["feature"],
        handler: |admin, call| Box::pin(unlimit(admin, call)),
    },
];

/// Names one limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    feature: String,
}

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let (tenant, runtime) = reach(&admin, &call, Act::Within).await?;
    require_acting(&admin, tenant, runtime).await?;
    answer(&admin, tenant, runtime).await
}

async fn limit(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::SetLimit = call.body()?;
    let (tenant, runtime) = reach(&admin, &call, Act::Within).await?;
    let command = Command::LimitRuntime(LimitRuntime {
        runtime,
        feature: body.feature,
        limit: body.limit.0,
        until: body.until,
        reason: body.reason,
    });
    let executed = admin
        .execute_tagged(&call, tenant, command, held(runtime))
        .await?;
    Ok(answer(&admin, tenant, runtime).await?.of(&executed))
}

/// Whoever governs the tenant may have set the limit: only they take it away.
async fn unlimit(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let named: Named = call.query()?;
    let feature = Feature::parse(&named.feature)
        .map_err(|error| Refusal::new(Code::Invalid, error.to_string()))?;
    let (tenant, runtime) = reach(&admin, &call, Act::Govern).await?;
    let command = Command::UnlimitRuntime {
        runtime,
        feature,
        reason: String::new(),
    };
    let executed = admin
        .execute_tagged(&call, tenant, command, held(runtime))
        .await?;
    Ok(answer(&admin, tenant, runtime).await?.of(&executed))
}

async fn reach(admin: &Admin, call: &Call, act: Act) -> Result<(TenantId, RuntimeId), Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, act)
        .await?;
    Ok((tenant.id, call.id("runtime_id")?))
}

/// A runtime that does not act for the tenant is not found there.
async fn require_acting(
    admin: &Admin,
    tenant: TenantId,
    runtime: RuntimeId,
) -> Result<(), Refusal> {
    let keys = vec![EntityKey::Runtime(runtime), EntityKey::Attachment(runtime)];
    let found = admin.backend().entities(tenant, keys).await?;
    let acts = found.iter().any(|(_, entity)| entity.is_some());
    acts.then_some(()).ok_or_else(Refusal::not_found)
}

async fn answer(admin: &Admin, tenant: TenantId, runtime: RuntimeId) -> Result<Answer, Refusal> {
    let found = admin.entity(tenant, EntityKey::Directives(runtime)).await?;
    let record = directives_in(found.as_deref());
    let view = Directives::new(runtime, record, admin.now());
    Ok(Answer::ok(&view)?.tagged(tag(runtime, record)?))
}

fn held(runtime: RuntimeId) -> impl Fn(&State) -> Option<String> + Clone + Send {
    move |state| tag(runtime, state.directives(runtime)).ok()
}

/// Of none, too: whoever has read that nothing is directed can say so.
fn tag(runtime: RuntimeId, record: Option<&DirectivesRecord>) -> Result<String, Refusal> {
    etag_of(&(runtime, record))
}
