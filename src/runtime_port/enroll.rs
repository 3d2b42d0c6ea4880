//! Enrolment: a token and a proof become a certificate.
//!
//! Order: check → sign → journal the event that contains the certificate → answer. If the process
//! dies before the event is durable, the certificate is known to nobody; if it dies after, the same
//! key asks again and hears the same answer.

use std::sync::Arc;

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse, Response},
};
use provost_actors::{Meta, TenantError, TenantHandle};
use provost_certs::{CheckedRequest, EnrolError, check_request};
use provost_kernel::{
    Command, Rejection,
    command::Enroll,
    enrolment::{Admission, admission_needs, admit},
    renewal::certificate_ttl_ms,
    state::EnrolmentRecord,
};
use provost_protocol::{
    Code, CorrelationId, Problem, RuntimeId,
    enrolment::{ENROL_REQUEST_MAX, EnrolAnswer, EnrolRequest, PublicKeyEntry},
    entity::{DeploymentMode, RuntimeType, SecurityLevel},
    envelope::{ActorRef, Source},
    sign::Signer,
    spiffe::SpiffeId,
};

use super::{Remote, RuntimePort, body, calls::signing_failed};
use crate::problem::Refusal;

pub(super) async fn serve(
    port: Arc<RuntimePort>,
    remote: Arc<Remote>,
    request: Request,
) -> Response {
    let house = port.gateway.directory().house();
    let correlation = CorrelationId::from_parts(house.clock.now(), house.random.id_bytes());
    let answered = match port.strangers.admit(remote.address.ip()) {
        Ok(()) => enroll(&port, &remote, correlation, request).await,
        Err(refused) => Err(refused),
    };
    match answered {
        Ok(answer) => Json(answer).into_response(),
        Err(refused) => {
            if refused.code != Code::RateLimited {
                port.strangers.missed(remote.address.ip(), refused.code);
            }
            tracing::info!(
                peer.addr = %remote.address, code = %refused.code,
                correlation_id = %correlation, "an enrolment was refused"
            );
            Refusal::from(refused.correlated(correlation)).into_response()
        }
    }
}

async fn enroll(
    port: &RuntimePort,
    remote: &Remote,
    correlation: CorrelationId,
    request: Request,
) -> Result<EnrolAnswer, Problem> {
    let bytes = body::read(request.into_body(), ENROL_REQUEST_MAX).await?;
    let checked = {
        let _signing = port.strangers.signing().await?;
        let request: EnrolRequest = body::parse(&bytes, ENROL_REQUEST_MAX)?;
        check_request(&request).map_err(|error| refusal(&error))?
    };
    let house = port.gateway.directory().house();
    let unknown = || Problem::new(Code::EnrolTokenUnknown, "unknown enrolment token");
    let tenant = house
        .backend
        .token_tenant(checked.token)
        .await
        .map_err(|error| TenantError::from(error).problem())?
        .ok_or_else(unknown)?;
    let tenant = port
        .gateway
        .directory()
        .tenant(tenant)
        .await
        .map_err(|error| match error {
            TenantError::NotFound => unknown(),
            // A good token is not thrown away because the tenant is busy.
            other => other.problem(),
        })?;
    let meta = Meta {
        actor: ActorRef::system(),
        source: Source::Runtime,
        correlation_id: correlation,
        idempotency: None,
    };
    // A second round only where the same key came twice at once: then the first one's answer.
    for _ in 0..2 {
        match judge(&tenant, &checked, house.clock.now())
            .await
            .map_err(|e| e.problem())?
        {
            Admission::Again(record) => return answer(port, &tenant, &record).await,
            Admission::Refused(rejection) => {
                report_misuse(&tenant, &checked, remote, &rejection, meta).await;
                return Err(TenantError::from(rejection).problem());
            }
            Admission::New { .. } => {
                let signing = port.strangers.signing().await?;
                let command = sign(port, &tenant, &checked)?;
                drop(signing);
                match tenant
                    .execute(Command::Enroll(Box::new(command)), meta.clone())
                    .await
                {
                    Ok(_) | Err(TenantError::Rejected(_)) => {}
                    Err(error) => return Err(error.problem()),
                }
            }
        }
    }
    match judge(&tenant, &checked, house.clock.now())
        .await
        .map_err(|error| error.problem())?
    {
        Admission::Again(record) => answer(port, &tenant, &record).await,
        Admission::Refused(rejection) => Err(TenantError::from(rejection).problem()),
        Admission::New { .. } => {
            Err(Problem::new(Code::Overloaded, "try again").retry_after_ms(1_000))
        }
    }
}

async fn judge(
    tenant: &TenantHandle,
    checked: &CheckedRequest,
    now: provost_protocol::Timestamp,
) -> Result<Admission, TenantError> {
    let state = tenant
        .look(admission_needs(checked.token, &checked.cnf))
        .await?;
    Ok(admit(
        &state,
        checked.token,
        &hex::encode(checked.secret_sha256),
        &checked.cnf,
        now,
    ))
}

fn sign(
    port: &RuntimePort,
    tenant: &TenantHandle,
    checked: &CheckedRequest,
) -> Result<Enroll, Problem> {
    let house = port.gateway.directory().house();
    let now = house.clock.now();
    let runtime = RuntimeId::from_parts(now, house.random.id_bytes());
    let level = tenant
        .view()
        .tenant()
        .map_or(SecurityLevel::Enterprise, |record| {
            record.policies.security_level
        });
    let ttl_ms = certificate_ttl_ms(level);
    let issued = port
        .authority
        .issue_runtime(&checked.csr, (tenant.id(), runtime), now, ttl_ms)
        .map_err(|error| signing_failed(&error))?;
    Ok(Enroll {
        runtime,
        token: checked.token,
        secret_sha256: hex::encode(checked.secret_sha256),
        cnf: checked.cnf.clone(),
        binding_key: encode(&checked.binding_spki),
        certificate: issued.pem,
        serial: issued.serial,
        not_after: issued.not_after,
    })
}

/// The stored certificate, with what else the runtime needs to know.
async fn answer(
    port: &RuntimePort,
    tenant: &TenantHandle,
    record: &EnrolmentRecord,
) -> Result<EnrolAnswer, Problem> {
    let key = provost_kernel::EntityKey::Runtime(record.runtime);
    let state = tenant
        .look(vec![key])
        .await
        .map_err(|error| error.problem())?;
    let (deployment_mode, runtime_type) = state
        .runtime(record.runtime)
        .map(|runtime| (runtime.deployment_mode, runtime.runtime_type))
        .unwrap_or((DeploymentMode::Dedicated, RuntimeType::Custom));
    let install = port.authority.install();
    Ok(EnrolAnswer {
        runtime_id: record.runtime,
        tenant_id: tenant.id(),
        install_id: install,
        deployment_mode,
        runtime_type,
        certificate: record.certificate.clone(),
        root: port.authority.root_pem(),
        license_keys: vec![PublicKeyEntry::of(&port.signers.license.public_key())],
        checkpoint_key: PublicKeyEntry::of(&port.signers.checkpoint.public_key()),
        kernel_name: SpiffeId::Kernel { install }.to_string(),
    })
}

/// A used-up token with a strange key is an alarm in the tenant's log.
async fn report_misuse(
    tenant: &TenantHandle,
    checked: &CheckedRequest,
    remote: &Remote,
    rejection: &Rejection,
    meta: Meta,
) {
    if *rejection != Rejection::TokenUsed {
        return;
    }
    let command = Command::ReportMisuse {
        token: checked.token,
        cnf: checked.cnf.clone(),
        address: remote.address.ip().to_string(),
    };
    tracing::warn!(token.id = %checked.token, peer.addr = %remote.address, "a used-up enrolment token came with another key");
    if let Err(error) = tenant.execute(command, meta).await {
        tracing::error!(%error, "a misused enrolment token was not recorded");
    }
}

fn refusal(error: &EnrolError) -> Problem {
    let code = match error {
        EnrolError::Token(_) => Code::EnrolTokenUnknown,
        EnrolError::Csr(_) => Code::CsrRefused,
        _ => Code::BindingRefused,
    };
    Problem::new(code, error.to_string())
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
