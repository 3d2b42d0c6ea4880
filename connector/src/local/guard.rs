//! What every request passes: room, host, origin, correlation id.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use provost_protocol::{Code, CorrelationId, Problem};

use super::{Local, refusal::Refusal};

/// The correlation id of a request, in its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correlation(pub(super) CorrelationId);

/// Lets a request through, and echoes its correlation id on whatever is answered.
pub(super) async fn guard(
    State(local): State<Local>,
    mut request: Request,
    next: Next,
) -> Response {
    let (correlation, given) = match correlation(&local, request.headers()) {
        Ok(id) => (id, Ok(())),
        Err(problem) => (local.node.correlation(), Err(problem)),
    };
    request.extensions_mut().insert(Correlation(correlation));
    let admitted = given.and_then(|()| admitted(request.headers()));
    let response = match (admitted, local.room.try_acquire()) {
        (Err(problem), _) => Refusal(problem).into_response(),
        (Ok(()), Err(_)) => {
            let problem = Problem::new(Code::Overloaded, "too many calls at once");
            Refusal(problem.retry_after_ms(ROOM_RETRY_MS)).into_response()
        }
        (Ok(()), Ok(_room)) => next.run(request).await,
    };
    correlated(response, correlation)
}

/// A method that the path does not know.
pub(super) async fn method_not_allowed() -> Refusal {
    let detail = "the path does not know this method";
    std::future::ready(Refusal(Problem::new(Code::MethodNotAllowed, detail))).await
}

/// A path that is not there.
pub(super) async fn not_found() -> Refusal {
    std::future::ready(Refusal(Problem::new(Code::NotFound, "no such path"))).await
}

fn correlation(local: &Local, headers: &HeaderMap) -> Result<CorrelationId, Problem> {
    match headers.get("x-correlation-id") {
        None => Ok(local.node.correlation()),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| {
                Problem::new(
                    Code::IdMalformed,
                    "X-Correlation-Id is not a UUID of version 7",
                )
            }),
    }
}

/// Only programs on this machine, by this machine's names; no page of any browser.
fn admitted(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(Code::OriginRefused, detail));
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    if host.is_some_and(|host| !is_ours(host)) {
        return refuse("the Host is not this machine's loopback");
    }
    match headers.get(header::ORIGIN) {
        None => Ok(()),
        Some(origin) => {
            let origin = origin.to_str().unwrap_or_default();
            match origin.strip_prefix("http://") {
                Some(host) if is_ours(host) => Ok(()),
                _ => refuse("requests of a page from elsewhere are refused"),
            }
        }
    }
}

fn is_ours(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    ["127.0.0.1", "localhost", "::1"].contains(&name)
}

fn correlated(response: Response, correlation: CorrelationId) -> Response {
    let refusal = response.extensions().get::<Refusal>().cloned();
    let mut response = match refusal {
        Some(Refusal(problem)) if problem.correlation_id.is_none() => {
            Refusal(problem.correlated(correlation)).into_response()
        }
        _ => response,
    };
    if let Ok(value) = HeaderValue::from_str(&correlation.to_string()) {
        response.headers_mut().insert("x-correlation-id", value);
    }
    response
}

/// A call takes milliseconds.
const ROOM_RETRY_MS: u64 = 100;
