//! First contact: a token becomes keys, a certificate and trust, all kept in the data folder.
//!
//! What survives a crash: both keys are on disk before the request goes out. When its answer is
//! lost, the same token with the same keys gets the same answer, so enrolling again is harmless.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use provost_certs::{ConnectError, EnrolError, EnrolTls, Keystore, KeystoreError, make_request};
use provost_protocol::{
    Problem, RuntimeId, TenantId,
    enrolment::EnrolAnswer,
    json::{self, Limits},
    token::{EnrolmentToken, TokenError},
};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::{
    durable::{self, DurableError},
    http::{ExchangeError, exchange},
    route::{ProxyError, ProxySetting, Route},
};

/// Who the runtime is from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The runtime.
    pub runtime_id: RuntimeId,
    /// Its own tenant.
    pub tenant_id: TenantId,
    /// Where its kernel listens.
    pub kernel: String,
    /// Whether it was enrolled before, and nothing was asked.
    pub already: bool,
}

/// Why the runtime is not enrolled. Trying again with the same token is always allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrollError {
    /// The token is no token: it was cut, most likely.
    #[error("{0}")]
    Token(#[source] TokenError),
    /// The proxy on the way to the kernel opens no tunnel.
    #[error("{0}")]
    Proxy(#[source] ProxyError),
    /// The kernel cannot be reached, or whoever answers is not the kernel of the token.
    #[error("{0}")]
    Connect(#[source] ConnectError),
    /// The kernel did not answer.
    #[error("{0}")]
    Exchange(#[source] ExchangeError),
    /// The kernel refuses.
    #[error("the kernel refuses: {}: {}", .0.code, .0.detail)]
    Refused(Problem),
    /// The answer is not the contract's.
    #[error("the kernel answered outside the contract: {0}")]
    Answer(String),
    /// Keys or certificate cannot be kept.
    #[error("{0}")]
    Keys(#[source] KeystoreError),
    /// The request cannot be made.
    #[error("{0}")]
    Request(#[source] EnrolError),
    /// The data folder cannot be written.
    #[error("{0}")]
    Disk(#[source] DurableError),
}

/// What is kept of the kernel beside the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KernelFile {
    addr: String,
}

/// Enrolls the runtime whose data lies in `data_dir`. One that is enrolled already stays as it is.
///
/// # Errors
/// [`EnrollError`] says who must act.
pub async fn enroll(token: &str, data_dir: &Path) -> Result<Enrolled, EnrollError> {
    enroll_through(token, data_dir, None).await
}

/// As [`enroll`], through the proxy named here in place of the environment's.
///
/// # Errors
/// As [`enroll`].
pub async fn enroll_through(
    token: &str,
    data_dir: &Path,
    proxy: Option<&ProxySetting>,
) -> Result<Enrolled, EnrollError> {
    let token: EnrolmentToken = token.trim().parse().map_err(EnrollError::Token)?;
    durable::create_folder(data_dir).map_err(EnrollError::Disk)?;
    let keystore = keystore(data_dir).map_err(EnrollError::Keys)?;
    if let Some(held) = keystore.enrolled().map_err(EnrollError::Keys)? {
        let kernel = kernel_addr(data_dir).map_err(EnrollError::Disk)?;
        let kernel = match kernel {
            Some(kernel) => kernel,
            None => keep_addr(data_dir, token.addr())?,
        };
        return Ok(enrolled(&held.answer, kernel, true));
    }
    let binding = keystore.binding_key().map_err(EnrollError::Keys)?;
    let pending = keystore.pending_key().map_err(EnrollError::Keys)?;
    let request = make_request(&token, &binding, &pending).map_err(EnrollError::Request)?;
    let body =
        serde_json::to_vec(&request).map_err(|error| EnrollError::Answer(error.to_string()))?;
    let answer = ask(&token, body, proxy).await?;
    // The address first: an enrolled runtime knows where its kernel is.
    let kernel = keep_addr(data_dir, token.addr())?;
    keystore
        .save_enrolment(&answer, pending)
        .map_err(EnrollError::Keys)?;
    info!(runtime.id = %answer.runtime_id, tenant.id = %answer.tenant_id, kernel, "enrolled");
    Ok(enrolled(&answer, kernel, false))
}

/// The folder of keys within the data folder.
pub(crate) fn keystore(data_dir: &Path) -> Result<Keystore, KeystoreError> {
    Keystore::open(&data_dir.join(KEYS_FOLDER))
}

/// Where the kernel listens, as the token said.
pub(crate) fn kernel_addr(data_dir: &Path) -> Result<Option<String>, DurableError> {
    let file: Option<KernelFile> = durable::read_json(&data_dir.join(KERNEL_FILE))?;
    Ok(file.map(|file| file.addr))
}

async fn ask(
    token: &EnrolmentToken,
    body: Vec<u8>,
    proxy: Option<&ProxySetting>,
) -> Result<EnrolAnswer, EnrollError> {
    let tls = EnrolTls::new(*token.root_sha256()).map_err(EnrollError::Connect)?;
    let route = Route::to(token.addr(), proxy).map_err(EnrollError::Proxy)?;
    let tunnel = route.tunnel(token.addr()).await;
    let connected = match tunnel.map_err(EnrollError::Proxy)? {
        Some(tunnel) => tls.connect_through(tunnel, token.addr(), CONNECT_MAX).await,
        None => tls.connect(token.addr(), CONNECT_MAX).await,
    };
    let (stream, _first) = connected.map_err(EnrollError::Connect)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(ENROLL_PATH)
        .header(header::HOST, token.addr())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| EnrollError::Answer(error.to_string()))?;
    let (status, answer) = exchange(stream, request, ANSWER_MAX)
        .await
        .map_err(EnrollError::Exchange)?;
    let limits = Limits {
        bytes_max: ANSWER_BYTES_MAX,
    };
    if status.is_success() {
        return json::parse(&answer, &limits)
            .map_err(|error| EnrollError::Answer(error.to_string()));
    }
    match json::parse::<Problem>(&answer, &limits) {
        Ok(problem) => Err(EnrollError::Refused(problem)),
        Err(_) => Err(EnrollError::Answer(format!(
            "status {status} without a problem"
        ))),
    }
}

fn keep_addr(data_dir: &Path, addr: &str) -> Result<String, EnrollError> {
    let path = data_dir.join(KERNEL_FILE);
    let file = KernelFile {
        addr: addr.to_owned(),
    };
    let json =
        serde_json::to_vec_pretty(&file).map_err(|error| EnrollError::Answer(error.to_string()))?;
    durable::write(&path, &json).map_err(EnrollError::Disk)?;
    Ok(file.addr)
}

fn enrolled(answer: &EnrolAnswer, kernel: String, already: bool) -> Enrolled {
    Enrolled {
        runtime_id: answer.runtime_id,
        tenant_id: answer.tenant_id,
        kernel,
        already,
    }
}

const ENROLL_PATH: &str = "/kernel/enroll";
const KEYS_FOLDER: &str = "keys";
const KERNEL_FILE: &str = "kernel.json";

/// A handshake over a slow line with one lost packet.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// The kernel signs, and makes durable that it did.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// A certificate, a bundle of a few roots and some keys, each below 2 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
