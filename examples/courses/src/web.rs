//! The pages. Every request gets one correlation id, which goes with every call it causes; every
//! page that shows course content asks the kernel before it looks at the content.

mod courses;
mod exercises;
mod failure;
mod gate;
mod home;
mod lessons;
mod login;
mod pages;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{self, HeaderValue};
use uuid::Uuid;

use crate::app::App;
use crate::secret::{cookie, same};
use crate::sessions::Session;
pub(crate) use failure::Failure;

/// One request of one browser: who it is, and the id that ties together all it causes.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) app: Arc<App>,
    pub(crate) correlation: Uuid,
    pub(crate) session: Option<Arc<Session>>,
}

/// What a page handler answers.
pub(crate) type Answer = Result<Response, Failure>;

/// Makes the routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(home::landing))
        .route("/progress", get(home::progress))
        .route("/login", get(login::begin))
        .route("/callback", get(login::callback))
        .route("/logout", post(login::logout))
        .route("/courses/{course}", get(courses::show))
        .route(
            "/courses/{course}/lessons/{lesson}",
            get(lessons::show).post(lessons::complete),
        )
        .route(
            "/courses/{course}/lessons/{lesson}/video",
            get(lessons::video),
        )
        .route(
            "/courses/{course}/exercises/{exercise}",
            get(exercises::show).post(exercises::submit),
        )
        .route("/style.css", get(style))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(async || Failure::NotFound)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(app, accompany))
}

impl Visit {
    /// The session, or the way to the login.
    pub(crate) fn session(&self) -> Result<&Session, Failure> {
        self.session.as_deref().ok_or(Failure::LoginFirst)
    }

    /// Refuses a form that this session's own page did not make.
    pub(crate) fn own_form(&self, csrf: &str) -> Result<&Session, Failure> {
        let session = self.session()?;
        if same(csrf, &session.csrf) {
            Ok(session)
        } else {
            Err(Failure::ForeignForm)
        }
    }
}

/// Gives a request its correlation id and session, a deadline, and its failure a page.
async fn accompany(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let session =
        cookie(request.headers(), SESSION_COOKIE).and_then(|token| app.sessions.find(token));
    let visit = Visit {
        app,
        correlation: Uuid::now_v7(),
        session,
    };
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let asked = request.method().clone();
    request.extensions_mut().insert(visit.clone());
    // A task of its own: an action that has begun ends even if the browser leaves, and a panic
    // becomes an event and a page.
    let mut work = tokio::spawn(next.run(request));
    let answer = match tokio::time::timeout(REQUEST_MAX, &mut work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => failure::carry(Failure::Internal(format!("page handler: {error}"))),
        Err(_) => {
            work.abort();
            failure::carry(Failure::Slow)
        }
    };
    let mut answer = failure::page(&visit, answer, &asked, &path).await;
    protect(&mut answer, visit.correlation);
    answer
}

fn protect(answer: &mut Response, correlation: Uuid) {
    let headers = answer.headers_mut();
    let correlation = HeaderValue::from_str(&correlation.to_string());
    headers.insert(
        "x-correlation-id",
        correlation.expect("a UUID is made of visible ASCII"),
    );
    for (name, value) in PROTECTIONS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

async fn style() -> ([(header::HeaderName, &'static str); 2], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, include_str!("../assets/style.css"))
}

/// The process lives.
async fn healthz(Extension(visit): Extension<Visit>) -> axum::Json<serde_json::Value> {
    axum::Json(health(&visit.app))
}

/// The process can serve: it is registered and the last heartbeat was answered.
async fn readyz(
    Extension(visit): Extension<Visit>,
) -> (http::StatusCode, axum::Json<serde_json::Value>) {
    let standing = visit.app.connector.standing();
    let status = if standing.heard && standing.status != "suspended" {
        http::StatusCode::OK
    } else {
        http::StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(health(&visit.app)))
}

fn health(app: &App) -> serde_json::Value {
    let standing = app.connector.standing();
    let registration = app.connector.registration();
    serde_json::json!({
        "registered": registration.is_some(),
        "runtime_id": registration.as_ref().map(|held| held.runtime_id),
        "status": if standing.status.is_empty() {
            registration.map(|held| held.status.clone())
        } else {
            Some(standing.status)
        },
        "heartbeat_answered": standing.heard,
        "sessions_open": app.sessions.count(),
    })
}

/// The session's cookie; the name differs from the issuer's, since cookies do not tell ports apart.
pub(crate) const SESSION_COOKIE: &str = "courses_session";
/// The largest form is an exercise of a few answers.
const FORM_BYTES_MAX: usize = 16 * 1024;
/// Above the sum of what one action may wait for: two calls to the issuer, two to the connector.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Own styles and own media only, no scripts at all, no frames, nothing guessed.
const PROTECTIONS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; media-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
];
