//! An exercise: an attempt is taken from the quota, answered, graded here, and told.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, Path};
use axum::response::{IntoResponse as _, Redirect};
use serde_json::json;
use uuid::Uuid;

use super::pages::{self, ExercisePage, Frame};
use super::{Answer, Failure, Visit, gate};
use crate::accounts::Account;
use crate::connector::{Use, now_rfc3339};
use crate::content::{Course, Exercise};
use crate::sessions::Session;

/// Shows where the person is: an attempt to answer, or the last result and a button for the next.
pub(super) async fn show(
    Extension(visit): Extension<Visit>,
    Path((course, exercise)): Path<(String, String)>,
) -> Answer {
    let (session, course) = gate::enter(&visit, &course, false).await?;
    let exercise = course.exercise(&exercise).ok_or(Failure::NotFound)?;
    let account = visit
        .app
        .record(session.key, |account| account.clone())
        .await?;
    let page = ExercisePage {
        frame: Frame::of(&visit),
        course,
        exercise,
        csrf: &session.csrf,
        open: account.open(&exercise.id),
        graded: account.latest_graded(&exercise.id),
        fresh: Uuid::now_v7().to_string(),
    };
    pages::show(&page)
}

/// Begins an attempt or grades one, by the form's `step`.
pub(super) async fn submit(
    Extension(visit): Extension<Visit>,
    Path((course, exercise)): Path<(String, String)>,
    form: Result<Form<BTreeMap<String, String>>, FormRejection>,
) -> Answer {
    let Form(form) = form.map_err(|_| Failure::BadForm("The form is not complete."))?;
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    visit.own_form(field("csrf"))?;
    let (session, course) = gate::enter(&visit, &course, false).await?;
    let exercise = course.exercise(&exercise).ok_or(Failure::NotFound)?;
    let attempt: Uuid = field("attempt")
        .parse()
        .map_err(|_| Failure::BadForm("The form names no attempt."))?;
    match field("step") {
        "start" => start(&visit, (session, course, exercise), attempt).await?,
        "answer" => grade(&visit, (session, course, exercise), attempt, &form).await?,
        _ => return Err(Failure::BadForm("The form names no step.")),
    }
    let back = format!("/courses/{}/exercises/{}", course.id, exercise.id);
    Ok(Redirect::to(&back).into_response())
}

type Place<'a> = (&'a Session, &'a Course, &'a Exercise);

/// Takes one attempt from the quota and opens it. The attempt's id is the idempotency key: sent
/// twice, or again after an answer got lost, it is one attempt.
async fn start(visit: &Visit, place: Place<'_>, attempt: Uuid) -> Result<(), Failure> {
    let (session, course, exercise) = place;
    if !fresh(attempt) {
        return Err(Failure::BadForm(
            "This page is too old. Open the exercise again.",
        ));
    }
    let account = visit
        .app
        .accounts
        .read(session.key)
        .await
        .map_err(crate::app::ActionError::from)?;
    if account.open(&exercise.id).is_some() || known(&account, attempt) {
        return Ok(());
    }
    let used = Use {
        tenant: session.key.tenant,
        feature: ASSESSMENT_ATTEMPTS,
        resource: &exercise.id,
        consume: Some(attempt),
    };
    let verdict = visit.app.connector.check(used, visit.correlation).await?;
    if !verdict.allowed {
        let what = format!("an attempt at {}", exercise.title);
        return Err(gate::deny(visit, course, &what, ASSESSMENT_ATTEMPTS, verdict).await);
    }
    let reporter = visit.app.reporter(session.key, visit.correlation)?;
    visit
        .app
        .record(session.key, |account| {
            // Another request of the same form may have come first.
            if known(account, attempt) {
                return;
            }
            account.open_attempt(attempt, &exercise.id, &now_rfc3339());
            let payload = json!({
                "course": course.id, "exercise": exercise.id, "attempt_id": attempt,
            });
            account
                .outbox
                .push(reporter.event("assessment.started", payload));
        })
        .await?;
    Ok(())
}

async fn grade(
    visit: &Visit,
    place: Place<'_>,
    attempt: Uuid,
    form: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let (session, course, exercise) = place;
    let answers = (0..exercise.questions.len())
        .map(|number| {
            form.get(&format!("q{number}"))
                .and_then(|answer| answer.parse().ok())
        })
        .collect();
    let reporter = visit.app.reporter(session.key, visit.correlation)?;
    visit
        .app
        .record(session.key, |account| {
            let Some(graded) = account.grade(attempt, exercise, answers) else {
                return;
            };
            let payload = json!({
                "course": course.id, "exercise": exercise.id, "attempt_id": attempt,
                "score": graded.score, "total": exercise.questions.len(),
                "passed": graded.passed,
            });
            account
                .outbox
                .push(reporter.event("assessment.completed", payload));
            if account.complete_course(course, &now_rfc3339()) {
                let payload = json!({ "course": course.id });
                account
                    .outbox
                    .push(reporter.event("course.completed", payload));
            }
        })
        .await?;
    Ok(())
}

fn known(account: &Account, attempt: Uuid) -> bool {
    account
        .attempts
        .iter()
        .any(|held| held.attempt_id == attempt)
}

/// Whether an attempt id was made by a page of the last hour. Its age bounds how long an id could
/// be used again after the history has let it go, far below the kernel's 24 h of memory for keys.
fn fresh(attempt: Uuid) -> bool {
    if attempt.get_version_num() != 7 {
        return false;
    }
    let Some((seconds, _)) = attempt.get_timestamp().map(|made| made.to_unix()) else {
        return false;
    };
    let made = UNIX_EPOCH + Duration::from_secs(seconds);
    let now = SystemTime::now();
    made <= now && now.duration_since(made).is_ok_and(|age| age < PAGE_AGE_MAX)
}

/// The feature an attempt is taken from.
const ASSESSMENT_ATTEMPTS: &str = "assessment_attempts";
/// An exercise page may lie open over lunch.
const PAGE_AGE_MAX: Duration = Duration::from_secs(3600);
