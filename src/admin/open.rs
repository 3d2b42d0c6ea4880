//! What is answered without a key, to whoever is on this machine.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use provost_protocol::{Code, Problem, entity::RuntimeType};

use super::{Admin, openapi, status};
use crate::problem::Refusal;

/// Routes outside the table: probes and the document itself.
pub(super) fn routes() -> Router<Arc<Admin>> {
    let known = Arc::new(Mutex::new(BTreeSet::<(RuntimeType, String)>::new()));
    let metrics = move |State(admin): State<Arc<Admin>>| {
        // What was summed before and is gone shows as 0, not as its last sum.
        let known = Arc::clone(&known);
        async move {
            status::record_fleet(
                &admin,
                &mut known.lock().unwrap_or_else(PoisonError::into_inner),
            );
            (
                [(CONTENT_TYPE, "text/plain; version=0.0.4")],
                admin.context.metrics.render(),
            )
        }
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(
            "/openapi.json",
            get(|| async { axum::Json(openapi::document()) }),
        )
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    if admin.is_draining() {
        let problem = Problem::new(Code::Draining, "the kernel is stopping");
        return Refusal::from(problem.retry_after_ms(DRAINING_RETRY_MS)).into_response();
    }
    match admin.context.readiness.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(problem) => Refusal::from(problem).into_response(),
    }
}

/// A restart takes a few seconds.
const DRAINING_RETRY_MS: u64 = 5_000;
