//! What wraps all handlers of a listener: correlation, a deadline, panics, and the form of errors.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{ALLOW, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use provost_actors::{Clock, Random};
use provost_protocol::{Code, CorrelationId, Problem};

use super::Refusal;
use crate::telemetry::names;

/// What [`answer`] needs.
#[derive(Debug, Clone)]
pub struct Edge {
    /// For correlation ids that no caller gave.
    pub clock: Arc<dyn Clock>,
    /// For correlation ids that no caller gave.
    pub random: Arc<dyn Random>,
    /// After so long a request is given up; what it began may still become durable.
    pub deadline: Duration,
}

/// Runs a request. The correlation id stands in the request's extensions and in the answer, and
/// every error that leaves is `application/problem+json`.
pub async fn answer(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let given = correlation_of(request.headers());
    let id = match given {
        Ok(Some(id)) => id,
        Ok(None) | Err(_) => edge.fresh_id(),
    };
    request.extensions_mut().insert(id);
    let place = format!("{} {}", request.method(), request.uri().path());
    let mut response = match given {
        Err(refusal) => refusal.into_response(),
        Ok(_) => run(request, next, edge.deadline, id, &place).await,
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        response = as_problem(response, id);
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(CORRELATION_HEADER, value);
    }
    response
}

impl Edge {
    fn fresh_id(&self) -> CorrelationId {
        CorrelationId::from_parts(self.clock.now(), self.random.id_bytes())
    }
}

async fn run(
    request: Request,
    next: Next,
    deadline: Duration,
    id: CorrelationId,
    place: &str,
) -> Response {
    match tokio::time::timeout(deadline, unwinding(next.run(request))).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            metrics::counter!(names::PANICS).increment(1);
            let panic = words_of(&*panic);
            tracing::error!(correlation.id = %id, request = place, panic, "a handler panicked");
            Refusal::new(Code::Internal, "an internal error").into_response()
        }
        Err(_) => {
            tracing::warn!(correlation.id = %id, request = place, "a request was given up");
            let problem = Problem::new(Code::OutcomeUnknown, "the request took too long");
            Refusal::from(problem.retry_after_ms(RETRY_MS)).into_response()
        }
    }
}

/// Drives a future and catches its panic: one bad request must not take its connection, and the
/// other requests on it, along.
async fn unwinding<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut future = Box::pin(future);
    poll_fn(|context| {
        // After a panic the future is dropped and never looked at again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words")
}

/// The same refusal with its correlation id; what is no refusal of ours becomes one.
fn as_problem(mut response: Response, id: CorrelationId) -> Response {
    let status = response.status();
    let refusal = match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => refusal,
        None => Refusal::of_status(status),
    };
    let mut answer = refusal.correlated(id).into_response();
    // Headers that say more about the refusal: the methods there are, what is left of a rate.
    for (name, value) in response.headers() {
        if *name == ALLOW || *name == WWW_AUTHENTICATE || name.as_str().starts_with("x-") {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
    }
    answer
}

fn correlation_of(headers: &HeaderMap) -> Result<Option<CorrelationId>, Refusal> {
    let Some(value) = headers.get(CORRELATION_HEADER) else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| {
        Refusal::new(
            Code::IdMalformed,
            "X-Correlation-Id is no UUID of version 7",
        )
    })
}

/// Ties a request to logs and events.
pub const CORRELATION_HEADER: &str = "x-correlation-id";

/// Whoever hears that the outcome is unknown asks again with the same idempotency key.
const RETRY_MS: u64 = 1_000;
