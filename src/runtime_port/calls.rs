//! The five v0.1 calls and renewal (v0.2) as HTTP: headers, body, gateway, answer.

use std::{num::NonZeroU32, sync::Arc};

use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONNECTION},
    response::{IntoResponse, Response},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use provost_actors::{
    Budget, Facts, Peer,
    budget::{CHECK, cost},
};
use provost_kernel::check::Question;
use provost_protocol::{
    Code, CorrelationId, Problem, RuntimeId, TenantId,
    certificate::{NewCertificate, RenewRequest},
    envelope::Source,
    json::RawJson,
    sign::PeerIdentity,
    trust::TrustBundleAnswer,
    v01,
    wire::{self, Operation, Outcome},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Remote, RuntimePort, body,
    headers::{self, Headers, Needs},
};
use crate::problem::Refusal;

/// Which call a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Register,
    Heartbeat,
    Resolve,
    Check,
    Audit,
    /// Of v0.2: another certificate.
    Renew,
    /// Of v0.2: the roots to trust.
    TrustBundle,
}

/// One call, with everything that its headers said.
struct Asked {
    port: Arc<RuntimePort>,
    peer: Peer,
    headers: Headers,
    correlation: CorrelationId,
    budget: Option<Arc<Budget>>,
}

/// Serves a call; every answer carries the correlation id.
pub(super) async fn serve(
    port: Arc<RuntimePort>,
    remote: Arc<Remote>,
    call: Call,
    request: Request,
) -> Response {
    let (correlation, read) = correlation(&port, request.headers());
    let answered = match read {
        Ok(()) => answer(Arc::clone(&port), &remote, call, correlation, request).await,
        Err(problem) => Err(problem),
    };
    let refused = |problem: Problem| {
        let over = matches!(
            problem.code,
            Code::RuntimeRevoked | Code::CertificateRefused
        );
        let mut response = Refusal::from(problem.correlated(correlation)).into_response();
        if over {
            // Whose certificate or runtime is refused now is refused whatever it asks next.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    };
    echoing(correlation, answered.unwrap_or_else(refused))
}

/// Refuses what is no call, in the form of those that are.
pub(super) fn refuse(port: &RuntimePort, headers: &HeaderMap, problem: Problem) -> Response {
    let (correlation, read) = correlation(port, headers);
    let problem = read.err().unwrap_or(problem).correlated(correlation);
    echoing(correlation, Refusal::from(problem).into_response())
}

/// Who shows no certificate is told that, and nothing of what is there.
pub(super) fn certificate_required() -> Problem {
    let detail = "connect with the runtime's certificate; only enrolment and recovery go without";
    Problem::new(Code::CertificateRequired, detail)
}

/// The correlation id to answer with, and what is wrong with the one that came.
fn correlation(port: &RuntimePort, headers: &HeaderMap) -> (CorrelationId, Result<(), Problem>) {
    let house = port.gateway.directory().house();
    let fresh = || CorrelationId::from_parts(house.clock.now(), house.random.id_bytes());
    match headers::correlation(headers, fresh) {
        Ok(correlation) => (correlation, Ok(())),
        Err(problem) => (fresh(), Err(problem)),
    }
}

fn echoing(correlation: CorrelationId, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(&correlation.to_string()) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-correlation-id"), value);
    }
    response
}

async fn answer(
    port: Arc<RuntimePort>,
    remote: &Remote,
    call: Call,
    correlation: CorrelationId,
    request: Request,
) -> Result<Response, Problem> {
    let Some(identity) = remote.identity.clone() else {
        return Err(certificate_required());
    };
    // Before anything is looked up or read: who asks for too much waits.
    if let Some(budget) = &remote.budget {
        budget.take(CHECK)?;
    }
    let needs = if call == Call::Register {
        Needs::Certificate
    } else {
        Needs::Token
    };
    let headers = Headers::read(request.headers(), &identity, needs)?;
    if matches!(call, Call::Heartbeat | Call::Renew) {
        check_path(request.uri().path(), identity.runtime)?;
    }
    let version = headers.version;
    let peer = Peer {
        identity,
        address: remote.address,
        version,
        source: Source::Runtime,
    };
    let asked = Asked {
        port,
        peer,
        headers,
        correlation,
        budget: remote.budget.clone(),
    };
    asked.check_identity(call).await?;
    let limit = if call == Call::Audit {
        AUDIT_BODY_MAX
    } else {
        BODY_MAX
    };
    let bytes = body::read(request.into_body(), limit).await?;
    match call {
        Call::Heartbeat => asked.heartbeat(&bytes).await,
        Call::Check => asked.check(&bytes).await,
        // In a place of their own: the two that are asked all the time do not carry their room.
        Call::Register => Box::pin(asked.register(&bytes)).await,
        Call::Resolve => Box::pin(asked.resolve(&bytes)).await,
        Call::Audit => Box::pin(asked.audit(&bytes)).await,
        Call::Renew => Box::pin(asked.renew(&bytes)).await,
        Call::TrustBundle => Box::pin(asked.trust_bundle()).await,
    }
}

impl Asked {
    const fn identity(&self) -> &PeerIdentity {
        &self.peer.identity
    }

    /// Whether certificate, token and tenant go together: judged before the body is looked at.
    ///
    /// The token is valid only with a certificate of its runtime, and only the newest one.
    async fn check_identity(&self, call: Call) -> Result<(), Problem> {
        let known = self.port.gateway.known(self.identity()).await?;
        if call == Call::Register {
            return self.check_own_tenant();
        }
        let shown = self.headers.token_sha256.unwrap_or_default();
        self.port
            .gateway
            .acted_for(&known, self.headers.tenant)
            .await?;
        if is_token(known.record().token_sha256.as_deref(), &shown) {
            return Ok(());
        }
        self.port
            .gateway
            .token_stale(&known, &self.peer, &hex::encode(shown));
        let detail = "the runtime token is not the newest one of this runtime";
        Err(Problem::new(Code::TokenRefused, detail))
    }

    fn check_own_tenant(&self) -> Result<(), Problem> {
        if self.headers.tenant == self.identity().tenant {
            return Ok(());
        }
        let detail = "a runtime registers with its own tenant";
        Err(Problem::new(Code::IdentityMismatch, detail))
    }

    fn check_tenant(&self, tenant: TenantId) -> Result<(), Problem> {
        if tenant == self.headers.tenant {
            return Ok(());
        }
        Err(Problem::new(
            Code::TenantMismatch,
            "tenant_id is not X-Tenant-Id",
        ))
    }

    async fn call(&self, operation: Operation) -> Result<Outcome, Problem> {
        let tenant = self.headers.tenant;
        // What it costs beyond the one that every call has paid.
        let rest = NonZeroU32::new(cost(&operation).get() - CHECK.get());
        if let (Some(budget), Some(rest)) = (&self.budget, rest) {
            budget.take(rest)?;
        }
        self.port
            .gateway
            .call(&self.peer, tenant, self.correlation, operation)
            .await
    }

    async fn register(&self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::RegisterRequest = body::parse(bytes, BODY_MAX)?;
        self.check_tenant(request.tenant_id)?;
        if self
            .port
            .registrations
            .check_key(&self.identity().runtime)
            .is_err()
        {
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

    fn now(&self) -> provost_protocol::Timestamp {
        self.port.gateway.directory().house().clock.now()
    }

    fn fresh_token(&self) -> String {
        let secret = self.port.gateway.directory().house().random.secret();
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(secret))
    }

    async fn heartbeat(&self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::HeartbeatRequest = body::parse(bytes, BODY_MAX)?;
        let metrics = request.metrics.unwrap_or_default();
        let beat = wire::Heartbeat {
            health: request.status,
            metrics,
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

    async fn resolve(&self, bytes: &[u8]) -> Result<Response, Problem> {
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

    async fn check(&self, bytes: &[u8]) -> Result<Response, Problem> {
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
            feature: question.feature,
            consume: question.consume,
            idempotency: self.headers.idempotency,
        };
        match self.call(Operation::Check(check)).await? {
            Outcome::Checked(verdict) => Ok(Json(v01::CheckAnswer::from(verdict)).into_response()),
            other => Err(unexpected(&other)),
        }
    }

    async fn audit(&self, bytes: &[u8]) -> Result<Response, Problem> {
        let request: v01::AuditRequest = body::parse(bytes, AUDIT_BODY_MAX)?;
        let text = request.event.as_str();
        let many = text.starts_with('[');
        if many && self.peer.version == provost_protocol::ContractVersion::V0_1 {
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

    async fn renew(&self, bytes: &[u8]) -> Result<Response, Problem> {
        if self.peer.version == provost_protocol::ContractVersion::V0_1 {
            let detail = "renewal needs contract version v0.2";
            return Err(Problem::new(Code::Invalid, detail));
        }
        let request: RenewRequest = body::parse(bytes, BODY_MAX)?;
        let csr = STANDARD.decode(&request.csr).map_err(|_| {
            Problem::new(
                Code::CsrRefused,
                "csr: not standard base64 of a request's DER",
            )
        })?;
        match self.call(Operation::Renew { csr }).await? {
            Outcome::Renewed(renewed) => Ok(Json(NewCertificate {
                certificate: renewed.certificate,
                not_after: renewed.not_after,
            })
            .into_response()),
            other => Err(unexpected(&other)),
        }
    }

    async fn trust_bundle(&self) -> Result<Response, Problem> {
        if self.peer.version == provost_protocol::ContractVersion::V0_1 {
            let detail = "the trust bundle needs contract version v0.2";
            return Err(Problem::new(Code::Invalid, detail));
        }
        match self.call(Operation::TrustBundle).await? {
            Outcome::TrustBundle(bundle) => Ok(Json(TrustBundleAnswer {
                id: bundle.id,
                roots: bundle.roots,
            })
            .into_response()),
            other => Err(unexpected(&other)),
        }
    }
}

fn check_path(path: &str, runtime: RuntimeId) -> Result<(), Problem> {
    let id = path.split('/').nth(3).unwrap_or_default();
    let named = id
        .parse::<RuntimeId>()
        .map_err(|error| Problem::new(Code::IdMalformed, format!("runtime_id: {error}")))?;
    if named == runtime {
        return Ok(());
    }
    let detail = "the path names another runtime than the certificate";
    Err(Problem::new(Code::IdentityMismatch, detail))
}

/// Whether a token is the one that is held, compared in constant time.
fn is_token(held: Option<&str>, shown: &[u8; 32]) -> bool {
    let mut token = [0; 32];
    held.is_some_and(|held| hex::decode_to_slice(held, &mut token).is_ok())
        && bool::from(token.as_slice().ct_eq(shown))
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

/// The authority failed: nothing about the inside is told.
pub(super) fn signing_failed(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a certificate could not be signed");
    Problem::new(Code::Internal, "the certificate could not be signed")
}

fn unexpected(outcome: &Outcome) -> Problem {
    tracing::error!(
        ?outcome,
        "the gateway answered something else than was asked"
    );
    Problem::new(Code::Internal, "the answer is of another call")
}

/// Tells people and scanners of leaked secrets what it is.
const TOKEN_PREFIX: &str = "rt_";

/// A resolve with a token of 16 KiB is the largest of the small bodies.
const BODY_MAX: usize = 64 * 1024;

/// 1 MiB of events and what stands around them.
const AUDIT_BODY_MAX: usize = 1024 * 1024 + 4 * 1024;

/// One place is free again after a sixth of a minute.
const REGISTER_AGAIN_MS: u64 = 10_000;
