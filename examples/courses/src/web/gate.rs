//! The question before everything: may this person use this course?

use serde_json::json;

use super::failure::Denial;
use super::{Failure, Visit};
use crate::connector::{Use, Verdict};
use crate::content::Course;
use crate::sessions::Session;

/// Asks for a course and goes on only when the kernel allows it; the course is looked at after.
///
/// A denial is reported before it is shown. The first use of a course in a session is reported too;
/// `always` reports every one.
pub(super) async fn enter<'a>(
    visit: &'a Visit,
    course: &str,
    always: bool,
) -> Result<(&'a Session, &'a Course), Failure> {
    let session = visit.session()?;
    let course = visit.app.catalog.course(course).ok_or(Failure::NotFound)?;
    let verdict = ask(visit, session, course).await?;
    if !verdict.allowed {
        return Err(deny(visit, course, &course.title, COURSE_ACCESS, verdict).await);
    }
    if always || !session.has_opened(&course.id) {
        let reporter = visit.app.reporter(session.key, visit.correlation)?;
        let opened = reporter.event("course.opened", json!({ "course": course.id }));
        visit.app.connector.audit(&opened).await?;
        session.mark_opened(&course.id);
    }
    Ok((session, course))
}

/// Asks whether a course is open to a person, without going in.
pub(super) async fn ask(
    visit: &Visit,
    session: &Session,
    course: &Course,
) -> Result<Verdict, Failure> {
    let used = Use {
        tenant: session.key.tenant,
        feature: COURSE_ACCESS,
        resource: &course.id,
        consume: None,
    };
    Ok(visit.app.connector.check(used, visit.correlation).await?)
}

/// Reports a denial and makes its page; a denial that cannot be reported is not governed.
pub(super) async fn deny(
    visit: &Visit,
    course: &Course,
    what: &str,
    feature: &str,
    verdict: Verdict,
) -> Failure {
    let reason = verdict
        .reason
        .unwrap_or_else(|| "no reason given".to_owned());
    let reported = async {
        let session = visit.session()?;
        let reporter = visit.app.reporter(session.key, visit.correlation)?;
        let payload =
            json!({ "feature": feature, "course": course.id, "what": what, "reason": reason });
        visit
            .app
            .connector
            .audit(&reporter.event("access.denied", payload))
            .await?;
        Ok::<(), Failure>(())
    };
    match reported.await {
        Ok(()) => Failure::Denied(Box::new(Denial {
            what: what.to_owned(),
            course: course.title.clone(),
            reason,
            limits: verdict.limits,
        })),
        Err(failure) => failure,
    }
}

/// The feature that opens a course.
const COURSE_ACCESS: &str = "course_access";
