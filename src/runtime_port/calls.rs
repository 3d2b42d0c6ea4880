//! The runtimes' calls as HTTP: who asks and within which budget, then the call itself.

mod five;
mod trust;

use std::{num::NonZeroU32, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header::CONNECTION},
    response::{IntoResponse, Response},
};
use provost_actors::{
    Budget, Kept, Peer,
    budget::{CHECK, cost},
    is_final_refusal,
};
use provost_protocol::{
    Code, CorrelationId, Problem, RuntimeId, TenantId,
    envelope::Source,
    sign::PeerIdentity,
    wire::{self, Operation, Outcome},
};
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
    /// The caller, once its identity was checked.
    kept: Option<Kept>,
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
        let over = is_final_refusal(problem.code);
        let mut response = Refusal::from(problem.correlated(correlation)).into_response();
        if over {
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
        match call {
            Call::Heartbeat => budget.take_beat()?,
            _ => budget.take(CHECK)?,
        }
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
    let mut asked = Asked {
        port,
        peer,
        headers,
        correlation,
        budget: remote.budget.clone(),
        kept: None,
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
    async fn check_identity(&mut self, call: Call) -> Result<(), Problem> {
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
            self.kept = Some(known.into_kept());
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

    async fn call(&mut self, operation: Operation) -> Result<Outcome, Problem> {
        let tenant = self.headers.tenant;
        // What it costs beyond the one that every call has paid.
        let rest = NonZeroU32::new(cost(&operation).get() - CHECK.get());
        if let (Some(budget), Some(rest)) = (&self.budget, rest) {
            budget.take(rest)?;
        }
        let gateway = &self.port.gateway;
        let mut request = wire::Request {
            id: 0,
            correlation_id: self.correlation,
            tenant,
            operation,
        };
        if let Some(kept) = &mut self.kept {
            let now = gateway.directory().house().clock.now();
            if let Some(outcome) = gateway.at_once(&self.peer, kept, &mut request, now) {
                return Ok(outcome);
            }
        }
        gateway
            .call(&self.peer, tenant, self.correlation, request.operation)
            .await
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

/// A resolve with a token of 16 KiB is the largest of the small bodies.
const BODY_MAX: usize = 64 * 1024;

/// 1 MiB of events and what stands around them.
const AUDIT_BODY_MAX: usize = 1024 * 1024 + 4 * 1024;
