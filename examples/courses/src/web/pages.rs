//! The templates and what they show; askama escapes every value.

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;

use super::{Answer, Failure, Visit};
use crate::accounts::Attempt;
use crate::content::{Block, Course, Exercise, Lesson, Span};

/// What every page carries around its content.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) viewer: Option<Viewer>,
    pub(crate) suspended: bool,
    pub(crate) correlation: String,
}

/// The person logged in.
#[derive(Debug)]
pub(crate) struct Viewer {
    pub(crate) name: String,
    pub(crate) csrf: String,
}

/// A course in a list.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) course: &'a Course,
    /// Whether the kernel lets this person open it; none when nobody is logged in.
    pub(crate) open: Option<bool>,
    pub(crate) reason: String,
    pub(crate) done: usize,
    pub(crate) completed_at: Option<String>,
    pub(crate) scores: Vec<Score<'a>>,
}

/// The best score at an exercise.
#[derive(Debug)]
pub(crate) struct Score<'a> {
    pub(crate) title: &'a str,
    pub(crate) best: Option<usize>,
    pub(crate) total: usize,
}

/// A lesson in a course's list.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) lesson: &'a Lesson,
    pub(crate) state: &'static str,
}

#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage<'a> {
    pub(crate) frame: Frame,
    pub(crate) rows: Vec<Row<'a>>,
}

#[derive(Template)]
#[template(path = "progress.html")]
pub(crate) struct ProgressPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) rows: Vec<Row<'a>>,
}

#[derive(Template)]
#[template(path = "course.html")]
pub(crate) struct CoursePage<'a> {
    pub(crate) frame: Frame,
    pub(crate) course: &'a Course,
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) scores: Vec<(&'a Exercise, Option<usize>)>,
    pub(crate) completed_at: Option<String>,
}

#[derive(Template)]
#[template(path = "lesson.html")]
pub(crate) struct LessonPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) course: &'a Course,
    pub(crate) lesson: &'a Lesson,
    pub(crate) completed: bool,
    pub(crate) csrf: &'a str,
}

#[derive(Template)]
#[template(path = "exercise.html")]
pub(crate) struct ExercisePage<'a> {
    pub(crate) frame: Frame,
    pub(crate) course: &'a Course,
    pub(crate) exercise: &'a Exercise,
    pub(crate) csrf: &'a str,
    /// The attempt to answer now.
    pub(crate) open: Option<&'a Attempt>,
    /// The attempt graded last.
    pub(crate) graded: Option<&'a Attempt>,
    /// The id the next attempt will have; it also makes taking it from the quota happen once.
    pub(crate) fresh: String,
}

#[derive(Template)]
#[template(path = "denied.html")]
pub(crate) struct DeniedPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) what: &'a str,
    pub(crate) course: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) quota: Option<String>,
    pub(crate) resets_at: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "problem.html")]
pub(crate) struct ProblemPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) login: bool,
}

impl Frame {
    /// Makes the frame of a visit.
    pub(crate) fn of(visit: &Visit) -> Self {
        Self {
            viewer: visit.session.as_ref().map(|session| Viewer {
                name: session.name.clone(),
                csrf: session.csrf.clone(),
            }),
            suspended: visit.app.connector.standing().status == "suspended",
            correlation: visit.correlation.to_string(),
        }
    }
}

/// Renders a page with status 200.
pub(crate) fn show(page: &impl Template) -> Answer {
    render(StatusCode::OK, page)
}

/// Renders a page.
pub(crate) fn render(status: StatusCode, page: &impl Template) -> Result<Response, Failure> {
    let html = page
        .render()
        .map_err(|error| Failure::Internal(format!("template: {error}")))?;
    Ok((status, Html(html)).into_response())
}
