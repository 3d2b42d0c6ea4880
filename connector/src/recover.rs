//! Recovery: the certificate ended while the connector was off, and the binding key brings another.
//!
//! What survives a crash: number and key of a recovery are on disk before they are sent, and stay
//! until its certificate is (see [`crate::identity`]). So a recovery is repeated, never doubled: a
//! number that went with two keys would look like a copy of this runtime.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use provost_certs::{
    ConnectError, KeystoreError, Recovering, RecoveryError, RecoveryTls, TlsKey, make_recovery,
};
use provost_protocol::{
    Code, Problem,
    certificate::{Challenge, ChallengeRequest, NewCertificate},
    json::{self, Limits},
};
use serde::{Serialize, de::DeserializeOwned};
use tracing::info;

use crate::{
    core::Core,
    http::{ExchangeError, Talk},
    identity::IdentityError,
    node::blocking,
    route::{ProxyError, Route},
};

/// Why the runtime did not recover.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RecoverError {
    /// The proxy on the way opens no tunnel.
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    /// No TLS session came about.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The kernel did not answer.
    #[error("{0}")]
    Exchange(#[from] ExchangeError),
    /// The kernel refuses.
    #[error("the kernel refuses: {}: {}", .0.code, .0.detail)]
    Refused(Problem),
    /// The answer is not the contract's.
    #[error("the kernel answered outside the contract: {0}")]
    Answer(String),
    /// Keys or certificate cannot be kept.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The request cannot be made.
    #[error("{0}")]
    Request(#[from] RecoveryError),
    /// The work on the disk was broken off.
    #[error("the work on the disk was broken off")]
    Broken,
}

/// Proves the binding key to the kernel and takes the certificate that it gives into use.
pub(crate) async fn recover(
    core: &Arc<Core>,
    addr: &str,
    route: &Route,
) -> Result<(), RecoverError> {
    let beginning = Arc::clone(core);
    let begin = move || beginning.identity.begin_recovery();
    let (counter, key) = on_disk(begin).await??;
    match ask(core, (addr, route), counter, &key).await {
        Ok(certificate) => {
            let (taking, me) = (Arc::clone(core), core.me);
            let take = move || {
                let held = taking.identity.take(me, key, certificate.certificate)?;
                taking.identity.end_recovery()?;
                Ok::<_, IdentityError>(held)
            };
            let held = on_disk(take).await??;
            info!(counter, certificate.serial = %held.serial, until = %held.not_after,
                "recovered: the binding key brought a new certificate");
            Ok(())
        }
        Err(RecoverError::Refused(problem)) => {
            match problem.code {
                // This number had its certificate, whose answer was lost long ago.
                Code::Conflict => {
                    let ending = Arc::clone(core);
                    on_disk(move || ending.identity.end_recovery()).await??;
                }
                // The number is unused, and the key will not do.
                Code::CsrRefused => {
                    let dropping = Arc::clone(core);
                    let forget = move || dropping.identity.keystore().forget_recovery();
                    on_disk(forget).await?.map_err(IdentityError::from)?;
                }
                _ => {}
            }
            Err(RecoverError::Refused(problem))
        }
        Err(failure) => Err(failure),
    }
}

async fn ask(
    core: &Arc<Core>,
    (addr, route): (&str, &Route),
    counter: u64,
    key: &TlsKey,
) -> Result<NewCertificate, RecoverError> {
    let reading = Arc::clone(core);
    let read = move || {
        let keystore = reading.identity.keystore();
        Ok::<_, KeystoreError>((keystore.trust()?, keystore.held_binding_key()?))
    };
    let (trust, binding) = on_disk(read).await?.map_err(IdentityError::from)?;
    let tls = RecoveryTls::new(&trust, core.me.install)?.not_earlier_than(core.floor.passed());
    let tunnel = route.tunnel(addr).await?;
    let (stream, exporter) = tls.connect(addr, tunnel, CONNECT_MAX).await?;
    let mut talk = Talk::begin(stream, ANSWER_MAX).await?;
    let who = Recovering {
        tenant: core.me.tenant,
        runtime: core.me.runtime,
        counter,
    };
    let wish = ChallengeRequest {
        tenant_id: who.tenant,
        runtime_id: who.runtime,
    };
    let challenge: Challenge = post(&mut talk, addr, CHALLENGE_PATH, &wish).await?;
    let request = make_recovery(who, &challenge.nonce, exporter, (&binding, key))?;
    post(&mut talk, addr, RECOVERY_PATH, &request).await
}

async fn post<T: DeserializeOwned>(
    talk: &mut Talk,
    addr: &str,
    path: &str,
    body: &(impl Serialize + Sync),
) -> Result<T, RecoverError> {
    let outside = |error: &dyn std::fmt::Display| RecoverError::Answer(error.to_string());
    let body = serde_json::to_vec(body).map_err(|error| outside(&error))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, addr)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| outside(&error))?;
    let (status, answer) = talk.ask(request, ANSWER_MAX).await?;
    read(status, &answer)
}

fn read<T: DeserializeOwned>(status: StatusCode, answer: &[u8]) -> Result<T, RecoverError> {
    let limits = Limits {
        bytes_max: ANSWER_BYTES_MAX,
    };
    if status.is_success() {
        return json::parse(answer, &limits)
            .map_err(|error| RecoverError::Answer(error.to_string()));
    }
    match json::parse::<Problem>(answer, &limits) {
        Ok(problem) => Err(RecoverError::Refused(problem)),
        Err(_) => Err(RecoverError::Answer(format!(
            "status {status} without a problem"
        ))),
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RecoverError> {
    blocking(work).await.map_err(|_| RecoverError::Broken)
}

const CHALLENGE_PATH: &str = "/kernel/recovery/challenge";
const RECOVERY_PATH: &str = "/kernel/recovery";

/// A handshake over a slow line with one lost packet.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// The kernel signs, and makes durable that it did.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// A certificate is below 2 KiB, a problem too.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
