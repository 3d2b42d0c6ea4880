//! The list of courses, and the person's own progress.

use axum::extract::Extension;

use super::pages::{Frame, HomePage, ProgressPage, Row, Score, show};
use super::{Answer, Failure, Visit, gate};
use crate::accounts::Account;
use crate::content::Course;

/// The landing page; for a person logged in, each row says what the kernel answered for it.
pub(super) async fn landing(Extension(visit): Extension<Visit>) -> Answer {
    let rows = match visit.session {
        Some(_) => rows(&visit).await?,
        None => visit.app.catalog.courses.iter().map(anonymous).collect(),
    };
    show(&HomePage {
        frame: Frame::of(&visit),
        rows,
    })
}

/// How far the person is, course by course.
pub(super) async fn progress(Extension(visit): Extension<Visit>) -> Answer {
    let rows = rows(&visit).await?;
    show(&ProgressPage {
        frame: Frame::of(&visit),
        rows,
    })
}

async fn rows(visit: &Visit) -> Result<Vec<Row<'_>>, Failure> {
    let session = visit.session()?;
    let mut verdicts = Vec::new();
    for course in &visit.app.catalog.courses {
        verdicts.push((course, gate::ask(visit, session, course).await?));
    }
    let account = visit
        .app
        .record(session.key, |account| account.clone())
        .await?;
    Ok(verdicts
        .into_iter()
        .map(|(course, verdict)| Row {
            open: Some(verdict.allowed),
            reason: verdict.reason.unwrap_or_default(),
            ..row(course, &account)
        })
        .collect())
}

fn row<'a>(course: &'a Course, account: &Account) -> Row<'a> {
    let progress = account.progress.get(&course.id);
    let scores = course.exercises.iter().map(|exercise| Score {
        title: &exercise.title,
        best: account.best(&exercise.id),
        total: exercise.questions.len(),
    });
    Row {
        done: progress.map_or(0, |progress| progress.completed.len()),
        completed_at: progress.and_then(|progress| progress.completed_at.clone()),
        scores: scores.collect(),
        ..anonymous(course)
    }
}

fn anonymous(course: &Course) -> Row<'_> {
    Row {
        course,
        open: None,
        reason: String::new(),
        done: 0,
        completed_at: None,
        scores: Vec::new(),
    }
}
