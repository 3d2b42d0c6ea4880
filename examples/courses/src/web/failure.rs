//! What can keep a page from being shown, and the page shown instead.

use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};

use super::pages::{DeniedPage, Frame, ProblemPage, render};
use super::{SESSION_COOKIE, Visit};
use crate::app::ActionError;
use crate::connector::{ConnectorError, Limits};

/// Why a page is not shown.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// Nothing is here.
    NotFound,
    /// A form says something no page of ours makes.
    BadForm(&'static str),
    /// A form that this session's pages did not make.
    ForeignForm,
    /// Nobody is logged in.
    LoginFirst,
    /// The kernel said no.
    Denied(Box<Denial>),
    /// The connector or the kernel cannot be asked; without an answer nothing is done.
    Ungoverned(String),
    /// The kernel no longer lets this runtime act for this person.
    Disowned,
    /// The login cannot be completed now.
    NoLogin(String),
    /// The login did not hold.
    LoginRefused(&'static str),
    /// Too much at once.
    Busy,
    /// It took too long.
    Slow,
    /// Something of ours is broken.
    Internal(String),
}

/// A denial, with all a person should know of it.
#[derive(Debug, Clone)]
pub(crate) struct Denial {
    pub(crate) what: String,
    pub(crate) course: String,
    pub(crate) reason: String,
    pub(crate) limits: Option<Limits>,
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Governance(error) => error.into(),
            ActionError::Store(error) => Self::Internal(error.to_string()),
        }
    }
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        if error.disowns() {
            Self::Disowned
        } else if error.passes() {
            Self::Ungoverned(error.to_string())
        } else {
            Self::Internal(error.to_string())
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        carry(self)
    }
}

/// Puts a failure into an answer, for `page` to show.
pub(super) fn carry(failure: Failure) -> Response {
    let mut answer = failure.status().into_response();
    answer.extensions_mut().insert(failure);
    answer
}

/// Shows the failure an answer carries; passes on any other answer.
pub(super) async fn page(visit: &Visit, answer: Response, asked: &Method, path: &str) -> Response {
    let failure = match answer.extensions().get::<Failure>() {
        Some(failure) => failure.clone(),
        None => return answer,
    };
    match &failure {
        Failure::LoginFirst if asked == Method::GET => {
            return Redirect::to(&to_login(path)).into_response();
        }
        Failure::Internal(inside) => {
            tracing::error!(correlation = %visit.correlation, what = %inside, "page failed");
            visit.app.report_error(inside, visit.correlation).await;
        }
        Failure::Ungoverned(inside) | Failure::NoLogin(inside) => {
            tracing::warn!(correlation = %visit.correlation, what = %inside, "page not governed");
        }
        Failure::Disowned => end_disowned(visit).await,
        _ => {}
    }
    let shown = if let Failure::Denied(denial) = &failure {
        denied(visit, denial)
    } else {
        problem(visit, &failure)
    };
    shown.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadForm(_) | Self::LoginRefused(_) => StatusCode::BAD_REQUEST,
            Self::ForeignForm | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::LoginFirst | Self::Disowned => StatusCode::UNAUTHORIZED,
            Self::Ungoverned(_) | Self::NoLogin(_) | Self::Busy | Self::Slow => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => ("Not found", "There is no page at this address."),
            Self::BadForm(what) => ("Not understood", what),
            Self::ForeignForm => (
                "Form not accepted",
                "This form is not from your session. Open the page again.",
            ),
            Self::LoginFirst => (
                "Please log in",
                "You are not logged in, or your login has ended.",
            ),
            Self::Denied(_) => ("Access denied", "You may not open this."),
            Self::Ungoverned(_) => (
                "Governance unavailable",
                "This platform may do nothing without asking, and there is nobody to ask right now. \
                 Nothing is lost; please try again in a minute.",
            ),
            Self::Disowned => (
                "Your session has ended",
                "The session is no longer valid. Please log in again.",
            ),
            Self::NoLogin(_) => (
                "Cannot log in right now",
                "Your login could not be confirmed, so no session was opened. Sessions already open \
                 go on. Please try again in a minute.",
            ),
            Self::LoginRefused(why) => ("Login not completed", why),
            Self::Busy => (
                "Busy",
                "Too many people at once. Please try again in a moment.",
            ),
            Self::Slow => ("Too slow", "This took too long. Please try again."),
            Self::Internal(_) => (
                "Something went wrong",
                "The operator has been told. The id below helps to find it.",
            ),
        }
    }
}

fn to_login(path: &str) -> String {
    let query: String = reqwest::Url::parse_with_params("http://x/login", [("next", path)])
        .ok()
        .and_then(|url| url.query().map(|query| format!("?{query}")))
        .unwrap_or_default();
    format!("/login{query}")
}

fn denied(visit: &Visit, denial: &Denial) -> Result<Response, Failure> {
    let limits = denial.limits.as_ref();
    let page = DeniedPage {
        frame: Frame::of(visit),
        what: &denial.what,
        course: &denial.course,
        reason: &denial.reason,
        quota: limits
            .and_then(|limits| limits.quota.as_ref())
            .map(ToString::to_string),
        resets_at: limits.and_then(|limits| limits.resets_at.as_deref()),
    };
    render(StatusCode::FORBIDDEN, &page)
}

fn problem(visit: &Visit, failure: &Failure) -> Result<Response, Failure> {
    let (title, text) = failure.words();
    let login = matches!(
        failure,
        Failure::LoginFirst | Failure::Disowned | Failure::LoginRefused(_) | Failure::NoLogin(_)
    );
    let mut frame = Frame::of(visit);
    if matches!(failure, Failure::Disowned) {
        frame.viewer = None;
    }
    let mut answer = render(
        failure.status(),
        &ProblemPage {
            frame,
            title,
            text,
            login,
        },
    )?;
    if failure.status() == StatusCode::SERVICE_UNAVAILABLE {
        answer
            .headers_mut()
            .insert(http::header::RETRY_AFTER, RETRY_AFTER_S.into());
    }
    if matches!(failure, Failure::Disowned) {
        let gone = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        if let Ok(gone) = gone.parse() {
            answer.headers_mut().append(http::header::SET_COOKIE, gone);
        }
    }
    Ok(answer)
}

async fn end_disowned(visit: &Visit) {
    let Some(session) = visit
        .session
        .as_ref()
        .and_then(|held| visit.app.sessions.take(held.id))
    else {
        return;
    };
    visit
        .app
        .end_session(&session, "disowned", visit.correlation)
        .await;
}

/// A connector restarts, and a link usually returns, within this.
const RETRY_AFTER_S: u16 = 10;
