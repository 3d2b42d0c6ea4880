//! The kernel decides, and hears everything.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use crate::world::{ADA, World, attempt, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_course_that_is_not_granted_shows_the_reason_and_reports_the_denial() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    let open = browser.get("/courses/cloud-fundamentals").await.unwrap();
    assert_eq!(open.status, 200);
    assert!(open.body.contains("Ask first, then act"));
    let denied = browser
        .get("/courses/secure-delivery/lessons/1")
        .await
        .unwrap();
    assert_eq!(denied.status, 403);
    assert_eq!(denied.text("reason").unwrap(), "NO_ENTITLEMENT");
    assert!(denied.body.contains("Secure delivery"));
    assert!(
        !denied.body.contains("What can go wrong"),
        "content on a denied page"
    );
    let shown = denied.text("correlation").unwrap();
    assert_eq!(Some(&shown), denied.correlation_id.as_ref());
    let event = &world.api.events("access.denied")[0];
    assert_eq!(event["correlation_id"], shown.as_str());
    assert_eq!(event["payload"]["reason"], "NO_ENTITLEMENT");
    let check = world.api.kernel().checks.last().cloned().unwrap();
    assert_eq!(
        (check.resource.as_str(), check.allowed),
        ("secure-delivery", false)
    );
    assert_eq!(check.correlation.to_string(), shown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_with_course_content_has_a_verdict_of_its_own() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    for path in [
        "/",
        "/progress",
        "/courses/cloud-fundamentals",
        "/courses/cloud-fundamentals/lessons/1",
        "/courses/cloud-fundamentals/lessons/2/video",
        "/courses/cloud-fundamentals/exercises/cloud-basics",
    ] {
        let answer = browser.raw(reqwest::Method::GET, path, &[]).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let id: Uuid = answer.headers()["x-correlation-id"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let asked = world
            .api
            .kernel()
            .checks
            .iter()
            .filter(|check| check.correlation == id)
            .count();
        assert!(asked > 0, "{path} was shown without a check");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_sent_with_the_right_actor_and_tenant() {
    let mut world = World::start().await;
    let browser = world.login(ADA).await;
    browser.get("/courses/linux-essentials").await.unwrap();
    for lesson in 1..=3 {
        let path = format!("/courses/linux-essentials/lessons/{lesson}");
        let page = browser.get(&path).await.unwrap();
        browser.submit(&page, "complete", &[]).await.unwrap();
    }
    attempt(
        &browser,
        "/courses/linux-essentials/exercises/linux-basics",
        ["1", "0", "2"],
    )
    .await;
    browser.get("/courses/secure-delivery").await.unwrap();
    world.stop_pilot().await;
    let (identity, tenant) = *world.api.kernel().people.values().next().unwrap();
    let events = world.api.kernel().events.clone();
    let kinds: BTreeSet<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let expected = [
        "access.denied",
        "assessment.completed",
        "assessment.started",
        "course.completed",
        "course.opened",
        "lesson.completed",
        "lesson.started",
        "session.ended",
        "session.started",
        "user.login",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
    for event in &events {
        assert_eq!(event["actor_type"], "user");
        assert_eq!(event["actor_id"], identity.to_string());
        assert_eq!(event["tenant_id"], json!(tenant));
    }
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((count("lesson.started"), count("lesson.completed")), (3, 3));
    assert_eq!((count("course.completed"), count("user.login")), (1, 1));
    // One browser action, one correlation id: the resolve, the login and the session's start.
    let resolve = json!(world.api.kernel().resolves[0]);
    for kind in ["user.login", "session.started"] {
        assert_eq!(world.api.events(kind)[0]["correlation_id"], resolve);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_while_events_cannot_be_told_and_they_are_told_once_afterwards() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    browser.get("/courses/cloud-fundamentals").await.unwrap();
    world.api.kernel().audit_left = Some(0);
    let page = browser
        .get("/courses/cloud-fundamentals/lessons/1")
        .await
        .unwrap();
    assert_eq!(page.status, 503);
    assert!(page.body.contains("Governance unavailable"));
    assert!(
        !page.body.contains("order form"),
        "content without governance"
    );
    world.api.kernel().audit_left = None;
    let api = world.api.clone();
    until("the event that waited", async || {
        !api.events("lesson.started").is_empty()
    })
    .await;
    assert_eq!(
        browser
            .get("/courses/cloud-fundamentals/lessons/1")
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(world.api.events("lesson.started").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_replaced_once_and_the_call_repeated() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    let before = world.api.kernel().registrations;
    world.api.kernel().token = "replaced by a copy".to_owned();
    assert_eq!(
        browser
            .get("/courses/cloud-fundamentals")
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(world.api.kernel().registrations, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_cut_off_by_a_crash_is_ended_by_the_next_start() {
    let mut world = World::start().await;
    let _browser = world.login(ADA).await;
    world.kill_pilot().await;
    assert!(world.api.events("session.ended").is_empty());
    world.start_pilot().await;
    let api = world.api.clone();
    until("the end of the session", async || {
        !api.events("session.ended").is_empty()
    })
    .await;
    let ended = world.api.events("session.ended");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["payload"]["reason"], "interrupted");
    let started = world.api.events("session.started");
    assert_eq!(
        ended[0]["payload"]["session_id"],
        started[0]["payload"]["session_id"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_that_fails_is_a_page_and_an_event_of_the_runtime() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    let (_, tenant) = *world.api.kernel().people.values().next().unwrap();
    let folder = world.config.data.join("tenants").join(tenant.to_string());
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "not a folder").unwrap();
    let page = browser
        .get("/courses/cloud-fundamentals/lessons/1")
        .await
        .unwrap();
    assert_eq!(page.status, 500);
    assert!(
        !page.body.contains("tenants/"),
        "an inside detail on the page"
    );
    let error = &world.api.events("runtime.error")[0];
    assert_eq!(error["actor_type"], "runtime");
    assert_eq!(error["tenant_id"], json!(world.api.kernel().operator));
    assert_eq!(error["correlation_id"], page.correlation_id.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_is_shown() {
    let world = World::start().await;
    world.api.kernel().suspended = true;
    let browser = provost_courses::drive::Browser::open(&world.base()).unwrap();
    until("the notice", async || {
        browser
            .get("/")
            .await
            .unwrap()
            .body
            .contains("suspended by its operator")
    })
    .await;
    assert_eq!(browser.get("/readyz").await.unwrap().status, 503);
    assert!(world.folder.path().exists());
}
