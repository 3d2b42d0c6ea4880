//! One lesson: its text, its video, and the button that completes it.

use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, Path};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::pages::{self, Frame, LessonPage};
use super::{Answer, Failure, Visit, gate};
use crate::connector::now_rfc3339;
use crate::content::{Course, Lesson, Slice, slice};

#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    csrf: String,
}

/// Shows a lesson; the first time is a start.
pub(super) async fn show(
    Extension(visit): Extension<Visit>,
    Path((course, lesson)): Path<(String, String)>,
) -> Answer {
    let (session, course) = gate::enter(&visit, &course, false).await?;
    let lesson = find(course, &lesson)?;
    let reporter = visit.app.reporter(session.key, visit.correlation)?;
    let completed = visit
        .app
        .record(session.key, |account| {
            if account.start_lesson(&course.id, lesson.number) {
                let payload = json!({ "course": course.id, "lesson": lesson.number });
                account
                    .outbox
                    .push(reporter.event("lesson.started", payload));
            }
            account.progress[&course.id]
                .completed
                .contains(&lesson.number)
        })
        .await?;
    let frame = Frame::of(&visit);
    pages::show(&LessonPage {
        frame,
        course,
        lesson,
        completed,
        csrf: &session.csrf,
    })
}

/// Completes a lesson, and the course with its last.
pub(super) async fn complete(
    Extension(visit): Extension<Visit>,
    Path((course, lesson)): Path<(String, String)>,
    form: Result<Form<Completion>, FormRejection>,
) -> Answer {
    let Form(form) = form.map_err(|_| Failure::BadForm("The form is not complete."))?;
    visit.own_form(&form.csrf)?;
    let (session, course) = gate::enter(&visit, &course, false).await?;
    let lesson = find(course, &lesson)?;
    let reporter = visit.app.reporter(session.key, visit.correlation)?;
    visit
        .app
        .record(session.key, |account| {
            if account.complete_lesson(&course.id, lesson.number) {
                let payload = json!({ "course": course.id, "lesson": lesson.number });
                account
                    .outbox
                    .push(reporter.event("lesson.completed", payload));
            }
            if account.complete_course(course, &now_rfc3339()) {
                let payload = json!({ "course": course.id });
                account
                    .outbox
                    .push(reporter.event("course.completed", payload));
            }
        })
        .await?;
    let next = match course.lesson(lesson.number + 1) {
        Some(next) => format!("/courses/{}/lessons/{}", course.id, next.number),
        None => format!("/courses/{}", course.id),
    };
    Ok(Redirect::to(&next).into_response())
}

/// Sends a lesson's video, or the part of it that was asked for.
pub(super) async fn video(
    Extension(visit): Extension<Visit>,
    Path((course, lesson)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let (_, course) = gate::enter(&visit, &course, false).await?;
    let video = find(course, &lesson)?
        .video
        .as_ref()
        .ok_or(Failure::NotFound)?;
    // A range means something for GET only (RFC 9110, 14.2).
    let range = headers.get(header::RANGE).filter(|_| method == Method::GET);
    let (status, body, content_range) =
        match slice(range.and_then(|range| range.to_str().ok()), video.len()) {
            Slice::Whole => (StatusCode::OK, video.clone(), None),
            Slice::Part { first, last } => (
                StatusCode::PARTIAL_CONTENT,
                video.slice(first..=last),
                Some(format!("bytes {first}-{last}/{}", video.len())),
            ),
            Slice::Unsatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                bytes::Bytes::new(),
                Some(format!("bytes */{}", video.len())),
            ),
        };
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    if let Some(range) = content_range.and_then(|range| HeaderValue::from_str(&range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    Ok(answer)
}

fn find<'a>(course: &'a Course, number: &str) -> Result<&'a Lesson, Failure> {
    number
        .parse()
        .ok()
        .and_then(|number| course.lesson(number))
        .ok_or(Failure::NotFound)
}
