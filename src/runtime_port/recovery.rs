//! Recovery: a runtime whose certificate has ended proves its binding key and has another.
//!
//! Order: rate → format → nonce → proof → judge → sign → journal the event that contains the
//! certificate → answer. If the process dies before the event is durable, nothing has happened and
//! the runtime asks again under the same counter; if it dies after, the same counter with the same
//! key hears the same answer.
//!
//! Whether a runtime exists is told to nobody who cannot sign for it: the challenge is given for any
//! pair of ids, and an unknown one is refused as a wrong signature is.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_actors::{Meta, TenantError, TenantHandle, certificates};
use provost_certs::{CheckedRecovery, RecoveryError, check_recovery};
use provost_kernel::{
    Command, Rejection,
    command::{Recover, ReportCopy},
    renewal::{Renewal, recover, renewal_needs},
};
use provost_protocol::{
    Code, CorrelationId, Problem,
    certificate::{
        Challenge, ChallengeRequest, NewCertificate, RECOVERY_REQUEST_MAX, RecoveryRequest,
    },
    envelope::{ActorRef, Source},
    sign::IssueError,
};

use super::{Remote, RuntimePort, body, calls::signing_failed, challenges::CHALLENGE_LASTS};
use crate::problem::Refusal;

/// Which half of the exchange a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Challenge,
    Recover,
}

/// One recovery under way.
struct Recovering<'a> {
    port: &'a RuntimePort,
    request: RecoveryRequest,
    checked: CheckedRecovery,
    key_sha256: String,
    meta: Meta,
}

pub(super) async fn serve(
    port: Arc<RuntimePort>,
    remote: Arc<Remote>,
    step: Step,
    request: Request,
) -> Response {
    let house = port.gateway.directory().house();
    let correlation = CorrelationId::from_parts(house.clock.now(), house.random.id_bytes());
    let answered = match port.strangers.admit(remote.address.ip()) {
        Err(refused) => Err(refused),
        Ok(()) => match step {
            Step::Challenge => challenge(&port, request)
                .await
                .map(|challenge| Json(challenge).into_response()),
            Step::Recover => recovered(&port, &remote, correlation, request)
                .await
                .map(|certificate| Json(certificate).into_response()),
        },
    };
    answered.unwrap_or_else(|refused| {
        if refused.code != Code::RateLimited {
            port.strangers.missed(remote.address.ip(), refused.code);
        }
        tracing::debug!(
            peer.addr = %remote.address, code = %refused.code,
            correlation_id = %correlation, "a recovery was refused"
        );
        Refusal::from(refused.correlated(correlation)).into_response()
    })
}

async fn challenge(port: &RuntimePort, request: Request) -> Result<Challenge, Problem> {
    let bytes = body::read(request.into_body(), RECOVERY_REQUEST_MAX).await?;
    let request: ChallengeRequest = body::parse(&bytes, RECOVERY_REQUEST_MAX)?;
    let house = port.gateway.directory().house();
    let nonce = house.random.secret();
    let whom = (request.tenant_id, request.runtime_id);
    if !port.challenges.give(nonce, whom, Instant::now()) {
        let detail = "too many recoveries have begun";
        return Err(Problem::new(Code::RateLimited, detail).retry_after_ms(CROWDED_MS));
    }
    let lasts_ms = u64::try_from(CHALLENGE_LASTS.as_millis()).unwrap_or(u64::MAX);
    Ok(Challenge {
        nonce: STANDARD.encode(nonce),
        expires: house.clock.now().plus_millis(lasts_ms),
    })
}

async fn recovered(
    port: &RuntimePort,
    remote: &Remote,
    correlation_id: CorrelationId,
    request: Request,
) -> Result<NewCertificate, Problem> {
    let bytes = body::read(request.into_body(), RECOVERY_REQUEST_MAX).await?;
    let exporter = remote.exporter.ok_or_else(|| {
        let detail = "a recovery needs a connection without a certificate";
        Problem::new(Code::Invalid, detail)
    })?;
    let signing = port.strangers.signing().await?;
    let request: RecoveryRequest = body::parse(&bytes, RECOVERY_REQUEST_MAX)?;
    let checked = check_recovery(&request, exporter).map_err(|error| malformed(&error))?;
    let whom = (request.tenant_id, request.runtime_id);
    if !port.challenges.take(&checked.nonce, whom, Instant::now()) {
        return Err(refused());
    }
    drop(signing);
    let key_sha256 = hex::encode(checked.csr.key_sha256());
    let recovering = Recovering {
        port,
        meta: Meta {
            actor: ActorRef::runtime(request.runtime_id),
            source: Source::Runtime,
            correlation_id,
            idempotency: None,
        },
        request,
        checked,
        key_sha256,
    };
    recovering.answer(remote).await
}

impl Recovering<'_> {
    async fn answer(&self, remote: &Remote) -> Result<NewCertificate, Problem> {
        let tenant = self.proven().await?;
        let house = self.port.gateway.directory().house();
        let (runtime, counter) = (self.request.runtime_id, self.request.counter);
        // A second round only where the same key came twice at once: then the first one's answer.
        for _ in 0..ROUNDS {
            let (state, perhaps_revoked) = certificates(&tenant, runtime, house.clock.now())
                .await
                .map_err(|error| error.problem())?;
            match recover(
                &state,
                runtime,
                counter,
                &self.key_sha256,
                house.clock.now(),
            ) {
                Renewal::Again(last) => {
                    return Ok(NewCertificate {
                        certificate: last.certificate,
                        not_after: last.not_after,
                    });
                }
                Renewal::Refused(rejection) => {
                    self.report_copy(&tenant, remote, &rejection).await;
                    return Err(TenantError::from(rejection).problem());
                }
                Renewal::New { ttl_ms } => {
                    let command = self.sign(ttl_ms, perhaps_revoked).await?;
                    match tenant.execute(command, self.meta.clone()).await {
                        Ok(_) | Err(TenantError::Rejected(_)) => {}
                        Err(error) => return Err(error.problem()),
                    }
                }
            }
        }
        Err(TenantError::Overloaded.problem())
    }

    /// The runtime's tenant, once its binding key is proven.
    async fn proven(&self) -> Result<TenantHandle, Problem> {
        let directory = self.port.gateway.directory();
        let runtime = self.request.runtime_id;
        let tenant = match directory.tenant(self.request.tenant_id).await {
            Ok(tenant) => Some(tenant),
            Err(TenantError::NotFound) => None,
            // A good proof is not thrown away because the tenant is busy.
            Err(other) => return Err(other.problem()),
        };
        let state = match &tenant {
            Some(tenant) => {
                let state = tenant.look(renewal_needs(runtime)).await;
                Some(state.map_err(|error| error.problem())?)
            }
            None => None,
        };
        let record = state.as_ref().and_then(|state| state.runtime(runtime));
        let proves = self
            .checked
            .proves(record.map(|record| record.binding_key.as_str()));
        tenant.filter(|_| proves).ok_or_else(refused)
    }

    async fn sign(&self, ttl_ms: u64, perhaps_revoked: Vec<String>) -> Result<Command, Problem> {
        let _signing = self.port.strangers.signing().await?;
        let house = self.port.gateway.directory().house();
        let whom = (self.request.tenant_id, self.request.runtime_id);
        let issued = house
            .issuer
            .issue(&self.checked.csr_der, whom, house.clock.now(), ttl_ms)
            .map_err(|error| match error {
                IssueError::Request(_) => Problem::new(Code::CsrRefused, error.to_string()),
                error => signing_failed(&error),
            })?;
        Ok(Command::Recover(Box::new(Recover {
            runtime: self.request.runtime_id,
            counter: self.request.counter,
            key_sha256: self.key_sha256.clone(),
            issued,
            perhaps_revoked,
        })))
    }

    /// A used counter with another key is an alarm in the tenant's log.
    async fn report_copy(&self, tenant: &TenantHandle, remote: &Remote, rejection: &Rejection) {
        let Rejection::CounterUsed { counter, held } = rejection else {
            return;
        };
        let runtime = self.request.runtime_id;
        tracing::warn!(
            runtime.id = %runtime, tenant.id = %tenant.id(), peer.addr = %remote.address,
            counter, held, "a recovery counter was used already: two copies of a runtime, or one set back"
        );
        let directory = self.port.gateway.directory();
        directory.recovery_refused(tenant.id(), runtime, remote.address);
        let command = Command::ReportCopy(ReportCopy {
            runtime,
            counter: *counter,
            key_sha256: self.key_sha256.clone(),
            address: remote.address.ip().to_string(),
        });
        if let Err(error) = tenant.execute(command, self.meta.clone()).await {
            tracing::error!(%error, "a copy of a runtime was not recorded");
        }
    }
}

/// One answer for a wrong signature, a used nonce, and a runtime that does not exist.
fn refused() -> Problem {
    Problem::new(Code::RecoveryRefused, "the proof does not hold")
}

fn malformed(error: &RecoveryError) -> Problem {
    let code = match error {
        RecoveryError::Csr(_) => Code::CsrRefused,
        _ => Code::Malformed,
    };
    Problem::new(code, error.to_string())
}

/// Judge, sign and record, and read what was recorded; once more where two asked at once.
const ROUNDS: u32 = 3;

/// Nonces are of use for a minute; by half of it many have been used.
const CROWDED_MS: u64 = 30_000;
