//! Login by the issuer and the kernel; logout. No resolve, no session.

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Extension, Form, Query};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{HeaderMap, SET_COOKIE};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Failure, SESSION_COOKIE, Visit};
use crate::accounts::Key;
use crate::connector::{ConnectorError, now_rfc3339};
use crate::login::{LoginError, Ticket};
use crate::secret::{cookie, same};
use crate::sessions::{PendingLogin, Session};

#[derive(Debug, Deserialize)]
pub(super) struct Begin {
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logout {
    csrf: String,
}

/// Sends the browser to the issuer.
pub(super) async fn begin(
    Extension(visit): Extension<Visit>,
    query: Result<Query<Begin>, QueryRejection>,
) -> Answer {
    let next = query
        .ok()
        .and_then(|Query(begin)| begin.next)
        .filter(|next| local(next));
    let login = PendingLogin::new(next.unwrap_or_else(|| "/".to_owned()));
    let (nonce, verifier) = (login.nonce.clone(), login.verifier.clone());
    let state = visit.app.logins.insert(login);
    let url = visit
        .app
        .provider
        .authorization_url(&visit.app.redirect_uri(), &state, (&nonce, &verifier))
        .await
        .map_err(|error| Failure::NoLogin(error.to_string()))?;
    let mut answer = Redirect::to(&url).into_response();
    set_cookie(&mut answer, &visit, LOGIN_COOKIE, &state, LOGIN_COOKIE_S)?;
    Ok(answer)
}

/// Takes the browser back: code, token, resolve, events, session; in this order or not at all.
pub(super) async fn callback(
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    query: Result<Query<Callback>, QueryRejection>,
) -> Answer {
    let Query(callback) = query.map_err(|_| STRAY)?;
    let state = callback.state.ok_or(STRAY)?;
    if !cookie(&headers, LOGIN_COOKIE).is_some_and(|held| same(held, &state)) {
        return Err(STRAY);
    }
    let login = visit.app.logins.take(&state).ok_or(STRAY)?;
    if callback.error.is_some() {
        return Err(Failure::LoginRefused(
            "The login was not completed at the issuer.",
        ));
    }
    let code = callback.code.ok_or(STRAY)?;
    let _place = visit
        .app
        .callbacks
        .try_acquire()
        .map_err(|_| Failure::Busy)?;
    if !visit.app.sessions.has_room() {
        return Err(Failure::Busy);
    }
    let redirect_uri = visit.app.redirect_uri();
    let ticket = visit
        .app
        .provider
        .exchange(&code, &redirect_uri, &login)
        .await
        .map_err(not_exchanged)?;
    let session = admit(&visit, ticket).await?;
    let cookie = put_in_force(&visit, session).await;
    let mut answer = Redirect::to(&login.next).into_response();
    set_cookie(
        &mut answer,
        &visit,
        SESSION_COOKIE,
        &cookie,
        SESSION_COOKIE_S,
    )?;
    set_cookie(&mut answer, &visit, LOGIN_COOKIE, "", 0)?;
    Ok(answer)
}

/// Ends the session; its event is kept even if nobody can be told right now.
pub(super) async fn logout(
    Extension(visit): Extension<Visit>,
    form: Result<Form<Logout>, FormRejection>,
) -> Answer {
    let Form(form) = form.map_err(|_| Failure::BadForm("The form is not complete."))?;
    let id = visit.own_form(&form.csrf)?.id;
    if let Some(session) = visit.app.sessions.take(id) {
        visit
            .app
            .end_session(&session, "logout", visit.correlation)
            .await;
    }
    let mut answer = Redirect::to("/").into_response();
    set_cookie(&mut answer, &visit, SESSION_COOKIE, "", 0)?;
    Ok(answer)
}

/// Resolves the token and reports the login; the session is not in force yet.
async fn admit(visit: &Visit, ticket: Ticket) -> Result<Session, Failure> {
    let resolved = visit
        .app
        .connector
        .resolve(&ticket.token, visit.correlation)
        .await;
    let identity = resolved.map_err(not_resolved)?;
    let key = Key {
        tenant: identity.tenant_id,
        identity: identity.identity_id,
    };
    let name = ["name", "email"]
        .iter()
        .find_map(|attribute| identity.attributes.get(*attribute).cloned())
        .or(ticket.name)
        .unwrap_or(identity.external_id);
    let session = Session::new(key, name.clone());
    let reporter = visit.app.reporter(key, visit.correlation)?;
    let recorded = visit
        .app
        .record(key, |account| {
            account.name = name;
            account.open_sessions.insert(session.id, now_rfc3339());
            let payload = json!({ "session_id": session.id });
            account
                .outbox
                .push(reporter.event("user.login", payload.clone()));
            account
                .outbox
                .push(reporter.event("session.started", payload));
        })
        .await;
    if let Err(error) = recorded {
        // What could not be told must not be open: the account's record of it ends with it.
        visit
            .app
            .end_session(&session, "not opened", visit.correlation)
            .await;
        return Err(error.into());
    }
    Ok(session)
}

async fn put_in_force(visit: &Visit, session: Session) -> String {
    // The browser's earlier session, if it had one, ends: one cookie, one session.
    let earlier = visit
        .session
        .as_ref()
        .and_then(|held| visit.app.sessions.take(held.id));
    let (cookie, oldest) = visit.app.sessions.insert(session);
    for (gone, reason) in [(earlier, "new login"), (oldest, "too many sessions")] {
        if let Some(gone) = gone {
            visit
                .app
                .end_session(&gone, reason, visit.correlation)
                .await;
        }
    }
    cookie
}

fn not_exchanged(error: LoginError) -> Failure {
    match error {
        LoginError::Refused { status: 400..=499 } | LoginError::Foreign(_) => {
            Failure::LoginRefused("The issuer's answer does not belong to this login.")
        }
        error => Failure::NoLogin(error.to_string()),
    }
}

fn not_resolved(error: ConnectorError) -> Failure {
    match error {
        ConnectorError::Refused {
            status: 401 | 403 | 404 | 422,
            ..
        } => Failure::LoginRefused("This login is not known here, or not admitted."),
        error => Failure::NoLogin(error.to_string()),
    }
}

/// Whether an address stays on this site.
fn local(next: &str) -> bool {
    next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= NEXT_BYTES_MAX
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn set_cookie(
    answer: &mut Response,
    visit: &Visit,
    name: &str,
    value: &str,
    seconds: u64,
) -> Result<(), Failure> {
    let secure = if visit.app.public_url.starts_with("https:") {
        "; Secure"
    } else {
        ""
    };
    let cookie =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = cookie
        .parse()
        .map_err(|_| Failure::Internal("a cookie that is no header".to_owned()))?;
    answer.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}

/// Nobody began this login in this browser, or it was completed already.
const STRAY: Failure =
    Failure::LoginRefused("This login was not begun in this browser, or is over. Log in again.");
/// Ties a login under way to the browser that began it.
const LOGIN_COOKIE: &str = "courses_login";
/// As long as a login under way is kept.
const LOGIN_COOKIE_S: u64 = 600;
/// The server decides when a session is over; the cookie only must not outlive every session.
const SESSION_COOKIE_S: u64 = 12 * 3600;
/// The longest address of ours is well under this.
const NEXT_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_back_to_this_site_only() {
        for (next, expected) in [
            ("/courses/a", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("/a\r\nSet-Cookie: b=c", false),
        ] {
            assert_eq!(local(next), expected, "{next}");
        }
    }
}
