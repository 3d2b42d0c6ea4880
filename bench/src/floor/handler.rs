//! A bare handler: the daemon's HTTP stack, the body read to its end, ready JSON.

use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::post,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The one path that clients ask.
pub(super) fn routes(body: String) -> Router {
    let ready = Bytes::from(body);
    Router::new().route(
        "/kernel/entitlements/check",
        post(move |headers: HeaderMap, _read: Bytes| {
            let ready = ready.clone();
            async move { answer(&headers, ready) }
        }),
    )
}

pub(super) async fn serve(stream: TlsStream<TcpStream>, routes: Router) -> std::io::Result<()> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN);
    builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await
        .map_err(std::io::Error::other)
}

/// The same heads as the kernel's: type, and the correlation id that came.
fn answer(headers: &HeaderMap, ready: Bytes) -> impl IntoResponse + use<> {
    let name = HeaderName::from_static("x-correlation-id");
    let correlation = headers.get(&name).cloned();
    let mut out = HeaderMap::new();
    out.insert(CONTENT_TYPE, JSON);
    if let Some(correlation) = correlation {
        out.insert(name, correlation);
    }
    (out, ready)
}

const JSON: axum::http::HeaderValue = axum::http::HeaderValue::from_static("application/json");

/// As the daemon waits.
const HEADERS_WITHIN: Duration = Duration::from_secs(15);
