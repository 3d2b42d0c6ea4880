//! What the five calls of v0.1 say and are answered, as JSON.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use provost_actors::Facts;
use provost_kernel::check::Question;
use provost_protocol::{
    Code, ContractVersion, Problem, Timestamp,
    json::RawJson,
    v01,
    wire::{self, Operation, Outcome},
};
use sha2::{Digest, Sha256};

use super::{AUDIT_BODY_MAX, Asked, BODY_MAX, unexpected};
use crate::runtime_port::body;

impl Asked {
    pub(super) async fn register(&self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::RegisterRequest = body::parse(bytes, BODY_MAX)?;
        self.check_tenant(request.tenant_id)?;
        if !self.port.registrations.admit(self.identity().runtime) {
            let detail = "six registrations a minute";
            return Err(Problem::new(Code::RateLimited, detail).retry_after_ms(REGISTER_AGAIN_MS));
        }
        let token = self.fresh_token();
        let facts = Facts {
            runtime_type: request.runtime_type,
            deployment_mode: request.deployment_mode,
            version: request.version,
            capabilities: request.capabilities,
            token_sha256: Some(hex::encode(Sha256::digest(token.as_bytes()))),
        };
        let done = self
            .port
            .gateway
            .register(&self.peer, self.correlation, facts)
            .await?;
        let answer = v01::RegisterAnswer {
            runtime_id: self.identity().runtime,
            status: v01::ShownRuntimeStatus::Registered,
            policies_applied: done.policies.into(),
            runtime_token: token,
            contract_version: self.peer.version,
        };
        let status = if done.known {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        Ok((status, Json(answer)).into_response())
    }

    pub(super) async fn heartbeat(&mut self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::HeartbeatRequest = body::parse(bytes, BODY_MAX)?;
        let beat = wire::Heartbeat {
            health: request.status,
            metrics: request.metrics.unwrap_or_default().into(),
        };
        match self.call(Operation::Heartbeat(beat)).await? {
            Outcome::Beat(beat) => Ok(Json(v01::HeartbeatAnswer {
                status: beat.status.into(),
                heartbeat_interval_ms: beat.heartbeat_interval_ms,
                directives: v01::directives_of(&beat.desired, self.now()),
                signed_time: beat.signed_time,
            })
            .into_response()),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn resolve(&mut self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::ResolveRequest = body::parse(bytes, BODY_MAX)?;
        self.check_tenant(request.tenant_id)?;
        let resolve = wire::Resolve {
            external_token: request.external_token,
        };
        match self.call(Operation::Resolve(resolve)).await? {
            Outcome::Resolved(resolved) => Ok(Json(resolve_answer(*resolved)).into_response()),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn check(&mut self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::CheckRequest = body::parse(bytes, BODY_MAX)?;
        self.check_tenant(request.tenant_id)?;
        if request.runtime_id != self.identity().runtime {
            return Err(Problem::new(
                Code::TenantMismatch,
                "runtime_id is not X-Runtime-Id",
            ));
        }
        let context = request.context.unwrap_or_default();
        let question = Question::new(
            &request.feature,
            context.resource.as_deref(),
            context.consume,
        )
        .map_err(|error| Problem::new(Code::Invalid, error.to_string()))?;
        let check = wire::Check {
            feature: question.feature.into_owned(),
            consume: question.consume,
            idempotency: self.headers.idempotency,
        };
        match self.call(Operation::Check(check)).await? {
            Outcome::Checked(verdict) => Ok(Json(v01::CheckAnswer::from(verdict)).into_response()),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn audit(&mut self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::AuditRequest = body::parse(bytes, AUDIT_BODY_MAX)?;
        let text = request.event.as_str();
        let many = text.starts_with('[');
        if many && self.peer.version == ContractVersion::V0_1 {
            let detail = "event: an array needs contract version v0.2";
            return Err(Problem::new(Code::Invalid, detail));
        }
        let events: Vec<Vec<u8>> = if many {
            let events: Vec<RawJson> = body::parse(text.as_bytes(), AUDIT_BODY_MAX)?;
            events
                .iter()
                .map(|event| event.as_str().as_bytes().to_vec())
                .collect()
        } else {
            vec![text.as_bytes().to_vec()]
        };
        let recorded = match self.call(Operation::Audit(events)).await? {
            Outcome::Recorded(recorded) => recorded,
            other => return Err(unexpected(&other)),
        };
        let mut accepted: Vec<v01::AuditAccepted> = recorded
            .into_iter()
            .map(|one| v01::AuditAccepted {
                event_id: one.event_id,
                seq: one.seq,
            })
            .collect();
        if many {
            let batch = v01::AuditAcceptedBatch { accepted };
            return Ok((StatusCode::ACCEPTED, Json(batch)).into_response());
        }
        let one = accepted
            .pop()
            .ok_or_else(|| Problem::new(Code::Internal, "no answer"))?;
        Ok((StatusCode::ACCEPTED, Json(one)).into_response())
    }

    fn now(&self) -> Timestamp {
        self.port.gateway.directory().house().clock.now()
    }

    fn fresh_token(&self) -> String {
        let secret = self.port.gateway.directory().house().random.secret();
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(secret))
    }
}

fn resolve_answer(resolved: wire::Resolved) -> v01::ResolveAnswer {
    let tenant_id = resolved.tenant;
    let entitlements = resolved
        .entitlements
        .into_iter()
        .map(|entitlement| v01::Entitlement {
            tenant_id,
            runtime_id: entitlement.runtime,
            feature: entitlement.feature.to_string(),
            limits: v01::EntitlementLimits::of(entitlement.limit, entitlement.time_window),
            valid_until: entitlement.valid_until,
        })
        .collect();
    v01::ResolveAnswer {
        identity: v01::Identity {
            identity_id: resolved.identity,
            tenant_id,
            external_id: resolved.external_id,
            provider: resolved.provider,
            roles: resolved.roles,
            attributes: resolved.attributes,
        },
        entitlements,
    }
}

/// Tells people and scanners of leaked secrets what it is.
const TOKEN_PREFIX: &str = "rt_";

/// One place is free again after a sixth of a minute.
const REGISTER_AGAIN_MS: u64 = 10_000;
