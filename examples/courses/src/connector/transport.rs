//! One request to the local API: headers, deadlines, size limits, and what a refusal means.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::Registration;
use super::wire::Problem;

/// Why the local API did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    /// The connector does not answer: it is down, or slower than the deadline.
    #[error("connector unreachable")]
    Unreachable(#[source] reqwest::Error),
    /// It answered with a problem.
    #[error("connector refused with {status} {code}")]
    Refused { status: u16, code: String },
    /// It answered something that is not the contract's.
    #[error("connector answered outside the contract")]
    Answer(#[source] serde_json::Error),
    /// Its answer was larger than any answer of the contract.
    #[error("connector answered more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// No registration yet: nothing may be done without one.
    #[error("runtime not registered")]
    NotRegistered,
    /// The address given is not an http address.
    #[error("connector address not usable: {0}")]
    Address(String),
}

impl ConnectorError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::NotRegistered => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Answer(_) | Self::TooLarge | Self::Address(_) => false,
        }
    }

    /// Whether the kernel no longer lets this runtime act for the user: log in again.
    pub(crate) fn disowns(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 401 | 403 | 404,
                ..
            }
        )
    }
}

/// A call without its body.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    path: &'a str,
    tenant: Uuid,
    pub(super) correlation: Uuid,
    pub(super) idempotency: Option<Uuid>,
    runtime: Option<(Uuid, crate::secret::Secret)>,
}

impl<'a> Call<'a> {
    pub(super) fn new(path: &'a str, tenant: Uuid, correlation: Uuid) -> Self {
        Self {
            path,
            tenant,
            correlation,
            idempotency: None,
            runtime: None,
        }
    }

    pub(super) fn authorised(&self, held: &Registration) -> Self {
        Self {
            runtime: Some((held.runtime_id, held.token.clone())),
            ..self.clone()
        }
    }
}

#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: String,
}

impl Transport {
    pub(super) fn new(base: &str) -> Result<Self, ConnectorError> {
        let url = reqwest::Url::parse(base)
            .map_err(|error| ConnectorError::Address(format!("{base}: {error}")))?;
        if url.scheme() != "http" {
            return Err(ConnectorError::Address(format!(
                "{base}: http only, it is loopback"
            )));
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(CALL_MAX)
            .build()
            .map_err(ConnectorError::Unreachable)?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        body: &Value,
    ) -> Result<T, ConnectorError> {
        let mut request = self
            .http
            .post(format!("{}{}", self.base, call.path))
            .header("X-Tenant-Id", call.tenant.to_string())
            .header("X-Contract-Version", CONTRACT_VERSION)
            .header("X-Correlation-Id", call.correlation.to_string())
            .json(body);
        if let Some((runtime, token)) = &call.runtime {
            request = request
                .header("X-Runtime-Id", runtime.to_string())
                .bearer_auth(token.expose());
        }
        if let Some(key) = call.idempotency {
            request = request.header("Idempotency-Key", key.to_string());
        }
        let answer = request.send().await.map_err(ConnectorError::Unreachable)?;
        let status = answer.status();
        let bytes = limited(answer).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(ConnectorError::Answer);
        }
        let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_default();
        tracing::debug!(status = status.as_u16(), code = %problem.code, detail = %problem.detail,
            correlation = %call.correlation, path = call.path, "refused by the connector");
        Err(ConnectorError::Refused {
            status: status.as_u16(),
            code: problem.code,
        })
    }
}

async fn limited(mut answer: reqwest::Response) -> Result<Vec<u8>, ConnectorError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(ConnectorError::Unreachable)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ConnectorError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The contract this pilot speaks; sent with every call.
pub(super) const CONTRACT_VERSION: &str = "v0.1";
/// Loopback answers in microseconds or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A durable write and a kernel round trip take milliseconds; a person waits five seconds, not more.
const CALL_MAX: Duration = Duration::from_secs(5);
/// A resolve with a thousand entitlements is under 200 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
