//! The browser's side: the request for a login, the form, and the way back with a code.

use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use serde::Deserialize;

use super::Issuer;
use super::codes::{Pending, Request};
use crate::secret::{cookie, same};

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    response_type: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct LoginForm {
    request: String,
    csrf: String,
    username: String,
    password: String,
}

#[derive(Template)]
#[template(path = "issuer/login.html")]
struct LoginPage<'a> {
    message: Option<String>,
    request: &'a str,
    csrf: &'a str,
    username: &'a str,
}

#[derive(Template)]
#[template(path = "issuer/problem.html")]
struct ProblemPage {
    title: &'static str,
    text: &'static str,
}

/// Checks what the client asks for and shows the form.
pub(super) async fn begin(
    State(issuer): State<Arc<Issuer>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Query(asked)) = asked else {
        return unusable();
    };
    // Until client and address are known to be ours, nothing is sent anywhere.
    let known = asked.client_id.as_deref() == Some(issuer.client_id.as_str());
    let redirect_uri = asked.redirect_uri.clone().unwrap_or_default();
    if !known || !issuer.redirect_uris.contains(&redirect_uri) {
        return unusable();
    }
    match request(asked, &redirect_uri) {
        Ok(request) => {
            let (id, csrf) = issuer.codes.begin(request);
            let shown = LoginPage {
                message: None,
                request: &id,
                csrf: &csrf,
                username: "",
            };
            form(StatusCode::OK, &shown, &redirect_uri)
        }
        Err((error, state)) => back(&redirect_uri, &[("error", error), ("state", &state)]),
    }
}

/// Checks the password; right: back with a code; wrong: the form again.
pub(super) async fn login(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    filled: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let Ok(Form(filled)) = filled else {
        return unusable();
    };
    let Some(pending) = issuer.codes.pending(&filled.request) else {
        return over();
    };
    let held = cookie(&headers, CSRF_COOKIE).unwrap_or_default();
    if !same(&filled.csrf, &pending.csrf) || !same(held, &pending.csrf) {
        return over();
    }
    if let Err(wait) = issuer.throttle.admit(&filled.username, Instant::now()) {
        return throttled(&filled, &pending, wait);
    }
    let Ok(_place) = issuer.checks.acquire().await else {
        return unusable();
    };
    let worker = Arc::clone(&issuer);
    let (username, password) = (filled.username.clone(), filled.password.clone());
    let verified = tokio::task::spawn_blocking(move || {
        worker
            .users
            .verify(&username, &password)
            .map(super::User::sub)
    });
    let Ok(Some(sub)) = verified.await else {
        let message = "User name or password is wrong.".to_owned();
        return again(StatusCode::UNAUTHORIZED, &filled, &pending, message);
    };
    issuer.throttle.forgive(&filled.username);
    let Some((request, code)) = issuer.codes.grant(&filled.request, sub) else {
        return over();
    };
    let parameters = [
        ("code", code.as_str()),
        ("state", &request.state),
        ("iss", issuer.url.as_str()),
    ];
    back(&request.redirect_uri, &parameters)
}

/// What the client must ask for, or the standard's name for what it did wrong.
fn request(asked: Asked, redirect_uri: &str) -> Result<Request, (&'static str, String)> {
    let state = asked.state.unwrap_or_default();
    if asked.response_type.as_deref() != Some("code") {
        return Err(("unsupported_response_type", state));
    }
    let scope = asked.scope.unwrap_or_default();
    if !scope.split(' ').any(|scope| scope == "openid") {
        return Err(("invalid_scope", state));
    }
    let challenge = asked.code_challenge.unwrap_or_default();
    let nonce = asked.nonce.unwrap_or_default();
    let s256 = asked.code_challenge_method.as_deref() == Some("S256") && challenge.len() == 43;
    let small = !state.is_empty() && state.len() <= OPAQUE_MAX;
    if !s256 || !small || nonce.is_empty() || nonce.len() > OPAQUE_MAX {
        return Err(("invalid_request", state));
    }
    Ok(Request {
        redirect_uri: redirect_uri.to_owned(),
        state,
        nonce,
        challenge,
    })
}

fn throttled(filled: &LoginForm, pending: &Pending, wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let message = format!("Too many wrong passwords. Try again in {seconds} seconds.");
    let mut answer = again(StatusCode::TOO_MANY_REQUESTS, filled, pending, message);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    answer
}

fn again(status: StatusCode, filled: &LoginForm, pending: &Pending, message: String) -> Response {
    let page = LoginPage {
        message: Some(message),
        request: &filled.request,
        csrf: &pending.csrf,
        username: &filled.username,
    };
    form(status, &page, &pending.request.redirect_uri)
}

fn form(status: StatusCode, page: &LoginPage<'_>, redirect_uri: &str) -> Response {
    let mut answer = show(status, page);
    let headers = answer.headers_mut();
    let cookie = format!(
        "{CSRF_COOKIE}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=600",
        page.csrf
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
    // Browsers apply `form-action` to where the form's answer leads as well.
    let origin = reqwest::Url::parse(redirect_uri).map(|url| url.origin().ascii_serialization());
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {}; base-uri 'none'; \
         frame-ancestors 'none'",
        origin.unwrap_or_default()
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn back(redirect_uri: &str, parameters: &[(&str, &str)]) -> Response {
    match reqwest::Url::parse_with_params(redirect_uri, parameters) {
        Ok(url) => Redirect::to(url.as_str()).into_response(),
        Err(_) => unusable(),
    }
}

fn unusable() -> Response {
    let page = ProblemPage {
        title: "This login cannot begin",
        text: "The request did not come from an application known here.",
    };
    show(StatusCode::BAD_REQUEST, &page)
}

fn over() -> Response {
    let page = ProblemPage {
        title: "This login is over",
        text: "The form is too old, was used already, or belongs to another browser. Go back to \
               the application and log in again.",
    };
    show(StatusCode::BAD_REQUEST, &page)
}

fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "template failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Named apart from the pilot's cookies: cookies do not tell ports apart.
const CSRF_COOKIE: &str = "issuer_csrf";
/// Clients send 43 characters; some send small JSON.
const OPAQUE_MAX: usize = 512;
