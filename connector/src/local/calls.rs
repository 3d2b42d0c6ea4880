//! The five calls of v0.1, as the kernel answers them.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use provost_kernel::check::Question;
use provost_protocol::{
    Code, Problem, RequestId, RuntimeId,
    v01::{
        AUDIT_BYTES_MAX, AuditRequest, CheckAnswer, CheckRequest, HeartbeatRequest,
        RegisterRequest, ResolveRequest,
    },
};

use super::{
    Local,
    guard::Correlation,
    header::{Caller, id, mismatch, optional, read},
    refusal::{Refusal, json},
};
use crate::node::Asked;

type Answered = Result<Response, Refusal>;

/// `POST /kernel/runtimes/register`
pub(super) async fn register(
    State(local): State<Local>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let caller = Caller::registering(&local.node, &headers)?;
    let request: RegisterRequest = read(body, SMALL_BODY_MAX).await?;
    if request.tenant_id != caller.tenant {
        return Err(disagrees("tenant_id").into());
    }
    let (answer, known) = local.node.register(request, caller.version).await?;
    Ok(json(if known { 200 } else { 201 }, &answer))
}

/// `POST /kernel/runtimes/{runtime_id}/heartbeat`
pub(super) async fn heartbeat(
    State(local): State<Local>,
    Path(runtime): Path<String>,
    Extension(Correlation(correlation)): Extension<Correlation>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    Caller::registered(&local.node, &headers)?;
    let runtime: RuntimeId = id(&runtime, "the path")?;
    if runtime != local.node.core.me.runtime {
        return Err(mismatch("the path names another runtime").into());
    }
    let request: HeartbeatRequest = read(body, SMALL_BODY_MAX).await?;
    Ok(json(
        200,
        &local.node.heartbeat(request, correlation).await?,
    ))
}

/// `POST /kernel/identity/resolve`
pub(super) async fn resolve(
    State(local): State<Local>,
    Extension(Correlation(correlation)): Extension<Correlation>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let caller = Caller::registered(&local.node, &headers)?;
    let request: ResolveRequest = read(body, RESOLVE_BODY_MAX).await?;
    if request.tenant_id != caller.tenant {
        return Err(disagrees("tenant_id").into());
    }
    let token = request.external_token;
    Ok(json(
        200,
        &local
            .node
            .resolve(caller.tenant, token, correlation)
            .await?,
    ))
}

/// `POST /kernel/entitlements/check`
pub(super) async fn check(
    State(local): State<Local>,
    Extension(Correlation(correlation)): Extension<Correlation>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let caller = Caller::registered(&local.node, &headers)?;
    let idempotency: Option<RequestId> = match optional(&headers, "idempotency-key")? {
        Some(text) => Some(id(text, "Idempotency-Key")?),
        None => None,
    };
    let request: CheckRequest = read(body, SMALL_BODY_MAX).await?;
    if request.tenant_id != caller.tenant {
        return Err(disagrees("tenant_id").into());
    }
    if request.runtime_id != local.node.core.me.runtime {
        return Err(disagrees("runtime_id").into());
    }
    let context = request.context.unwrap_or_default();
    if context.consume == Some(0) {
        return Err(Problem::new(Code::Invalid, "context.consume: at least 1").into());
    }
    let question = Question::new(
        &request.feature,
        context.resource.as_deref(),
        context.consume,
    )
    .map_err(|error| Problem::new(Code::Invalid, error.to_string()))?;
    let asked = Asked {
        tenant: caller.tenant,
        question,
        idempotency,
        correlation,
    };
    Ok(json(
        200,
        &CheckAnswer::from(local.node.check(&asked).await?),
    ))
}

/// `POST /kernel/audit/events`
pub(super) async fn audit(State(local): State<Local>, headers: HeaderMap, body: Body) -> Answered {
    let caller = Caller::registered(&local.node, &headers)?;
    let request: AuditRequest = read(body, AUDIT_BODY_MAX).await?;
    Ok(json(
        202,
        &local
            .node
            .audit(caller.tenant, &request.event, caller.version)
            .await?,
    ))
}

fn disagrees(field: &str) -> Problem {
    Problem::new(
        Code::TenantMismatch,
        format!("{field} is not what the headers say"),
    )
}

/// Sixty-four capabilities or thirty-two figures, and what a product adds of its own.
const SMALL_BODY_MAX: usize = 32 * 1024;

/// A token of 16 KiB, whose characters need no escapes.
const RESOLVE_BODY_MAX: usize = 32 * 1024;

/// The contract's mebibyte of events, and the object around them.
const AUDIT_BODY_MAX: usize = AUDIT_BYTES_MAX + 1024;
