//! Every refusal over HTTP: `application/problem+json` with a stable code, whoever refuses.
//!
//! A handler returns a [`Refusal`]; [`answer`] wraps all handlers of a listener and makes sure that
//! what leaves as an error is one: also what the router, an extractor or a panic produced.

mod answer;

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use provost_actors::TenantError;
use provost_protocol::{Code, CorrelationId, Problem, json::JsonError};
use provost_store::ReadError;

pub use self::answer::{CORRELATION_HEADER, Edge, answer};

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub Box<Problem>);

impl Refusal {
    /// Builds a refusal from its code and what is wrong with this call.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// There is no such thing, or it is another tenant's: the two are not told apart.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "not found")
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.0.code
    }

    /// The refusal that an HTTP status stands for, where something else than a handler refused.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => return Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => (Code::MethodNotAllowed, "another method is needed"),
            StatusCode::PAYLOAD_TOO_LARGE => (Code::BodyTooLarge, "the body is too large"),
            status if status.is_client_error() => (
                Code::Malformed,
                status.canonical_reason().unwrap_or("malformed"),
            ),
            _ => (Code::Internal, "an internal error"),
        };
        Self::new(code, detail)
    }

    fn correlated(mut self, id: CorrelationId) -> Self {
        self.0.correlation_id = Some(id);
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<TenantError> for Refusal {
    fn from(error: TenantError) -> Self {
        error.problem().into()
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => Problem::new(Code::Overloaded, "too much is being read")
                .retry_after_ms(RETRY_MS)
                .into(),
            ReadError::Closed => Problem::new(Code::Draining, "the kernel is stopping")
                .retry_after_ms(RETRY_MS)
                .into(),
            ReadError::Damaged(why) => {
                tracing::error!(%why, "what was asked for is damaged");
                // The place names other tenants: it stands in the log, not in the answer.
                let detail = "what was asked for is damaged on the disk: see the kernel's log";
                Self::new(Code::StorageUnavailable, detail)
            }
            error => {
                tracing::error!(%error, "the store cannot be read");
                Self::new(Code::Internal, "an internal error")
            }
        }
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        let code = match error {
            JsonError::TooLarge { .. } => Code::BodyTooLarge,
            _ => Code::Malformed,
        };
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.0.retry_after_ms.map(seconds);
        let mut response = (status, Json(&self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        // For `answer`, which knows the correlation id.
        response.extensions_mut().insert(self);
        response
    }
}

/// Whole seconds, rounded up: whoever comes too early is refused again.
const fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1_000)
}

/// RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The readers' queue drains within milliseconds.
const RETRY_MS: u64 = 1_000;

#[cfg(test)]
mod tests;
