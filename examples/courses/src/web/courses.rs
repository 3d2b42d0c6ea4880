//! One course: its lessons and exercises.

use axum::extract::{Extension, Path};

use super::pages::{self, CoursePage, Frame, Step};
use super::{Answer, Visit, gate};
use crate::accounts::CourseProgress;
use crate::content::Lesson;

/// Shows a course the person may open.
pub(super) async fn show(Extension(visit): Extension<Visit>, Path(course): Path<String>) -> Answer {
    let (session, course) = gate::enter(&visit, &course, true).await?;
    let account = visit
        .app
        .record(session.key, |account| account.clone())
        .await?;
    let progress = account
        .progress
        .get(&course.id)
        .cloned()
        .unwrap_or_default();
    let page = CoursePage {
        frame: Frame::of(&visit),
        course,
        steps: course
            .lessons
            .iter()
            .map(|lesson| step(lesson, &progress))
            .collect(),
        scores: course
            .exercises
            .iter()
            .map(|exercise| (exercise, account.best(&exercise.id)))
            .collect(),
        completed_at: progress.completed_at,
    };
    pages::show(&page)
}

fn step<'a>(lesson: &'a Lesson, progress: &CourseProgress) -> Step<'a> {
    let state = if progress.completed.contains(&lesson.number) {
        "completed"
    } else if progress.started.contains(&lesson.number) {
        "started"
    } else {
        "not started"
    };
    Step { lesson, state }
}
