//! Courses, lessons, video, exercises, progress.

use reqwest::Method;

use crate::local_api::RESETS_AT;
use crate::world::{ADA, BOB, World, attempt};

const EXERCISE: &str = "/courses/cloud-fundamentals/exercises/cloud-basics";
const VIDEO: &str = "/courses/cloud-fundamentals/lessons/2/video";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_video_is_served_in_parts_and_only_after_a_check() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    let range = |range| [("range", range)];
    let part = browser
        .raw(Method::GET, VIDEO, &range("bytes=0-99"))
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    let total = part.headers()["content-range"]
        .to_str()
        .unwrap()
        .strip_prefix("bytes 0-99/");
    let total: usize = total.unwrap().parse().unwrap();
    let first = part.bytes().await.unwrap();
    assert_eq!(first.len(), 100);
    assert_eq!(&first[4..8], b"ftyp");
    let whole = browser.raw(Method::GET, VIDEO, &[]).await.unwrap();
    assert_eq!(
        (whole.status().as_u16(), &whole.headers()["accept-ranges"]),
        (200, &"bytes".parse().unwrap())
    );
    let whole = whole.bytes().await.unwrap();
    assert_eq!(whole.len(), total);
    let tail = browser
        .raw(Method::GET, VIDEO, &range("bytes=-10"))
        .await
        .unwrap();
    assert_eq!(tail.bytes().await.unwrap(), whole[total - 10..]);
    let beyond = browser
        .raw(Method::GET, VIDEO, &range("bytes=999999999-"))
        .await
        .unwrap();
    assert_eq!(beyond.status(), 416);
    assert_eq!(
        beyond.headers()["content-range"],
        format!("bytes */{total}")
    );
    world.api.kernel().granted.clear();
    let denied = browser
        .raw(Method::GET, VIDEO, &range("bytes=0-99"))
        .await
        .unwrap();
    assert_eq!(denied.status(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exercise_is_graded_and_the_limit_of_attempts_names_when_it_resets() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    let poor = attempt(&browser, EXERCISE, ["0", "1", "1"]).await;
    assert_eq!(poor.text("result").unwrap(), "Score: 0 of 3, not passed");
    let good = attempt(&browser, EXERCISE, ["1", "0", "1"]).await;
    assert_eq!(good.text("result").unwrap(), "Score: 2 of 3, passed");
    let over = attempt(&browser, EXERCISE, ["1", "0", "2"]).await;
    assert_eq!(over.status, 403);
    assert_eq!(over.text("reason").unwrap(), "QUOTA_EXCEEDED");
    assert_eq!(over.text("resets-at").unwrap(), RESETS_AT);
    let scores: Vec<_> = world
        .api
        .events("assessment.completed")
        .iter()
        .map(|event| event["payload"]["score"].clone())
        .collect();
    assert_eq!(scores, [0, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_sent_twice_takes_one_attempt() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    let page = browser.get(EXERCISE).await.unwrap();
    for _ in 0..2 {
        let open = browser.submit(&page, "start", &[]).await.unwrap();
        assert!(open.form("answer").is_some());
    }
    assert_eq!(world.api.kernel().attempts_used.values().sum::<u64>(), 1);
    assert_eq!(world.api.events("assessment.started").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_and_scores_survive_a_restart_and_sessions_do_not() {
    let mut world = World::start().await;
    let browser = world.login(ADA).await;
    let lesson = browser
        .get("/courses/cloud-fundamentals/lessons/1")
        .await
        .unwrap();
    let next = browser.submit(&lesson, "complete", &[]).await.unwrap();
    assert_eq!(next.url.path(), "/courses/cloud-fundamentals/lessons/2");
    attempt(&browser, EXERCISE, ["1", "0", "2"]).await;
    world.stop_pilot().await;
    assert_eq!(
        world.api.events("session.ended")[0]["payload"]["reason"],
        "shutdown"
    );
    world.start_pilot().await;
    assert!(
        browser
            .get("/progress")
            .await
            .unwrap()
            .form("login")
            .is_some()
    );
    let browser = world.login(ADA).await;
    let progress = browser.get("/progress").await.unwrap();
    assert!(progress.body.contains("1 of 3"), "{}", progress.body);
    assert!(progress.body.contains("3 of 3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_never_see_each_others_progress() {
    let world = World::start().await;
    let ada = world.login(ADA).await;
    let bob = world.login(BOB).await;
    let lesson = ada
        .get("/courses/cloud-fundamentals/lessons/1")
        .await
        .unwrap();
    ada.submit(&lesson, "complete", &[]).await.unwrap();
    attempt(&ada, EXERCISE, ["1", "0", "2"]).await;
    let theirs = bob.get("/progress").await.unwrap().body;
    assert!(!theirs.contains("1 of 3") && !theirs.contains("3 of 3") && !theirs.contains("Ada"));
    let exercise = bob.get(EXERCISE).await.unwrap();
    assert!(exercise.form("start").is_some() && exercise.text("result").is_none());
    // On disk: a folder for each tenant, and in it nothing but that tenant's one person.
    let people: Vec<_> = world.api.kernel().people.values().copied().collect();
    assert_eq!(people.len(), 2);
    for (identity, tenant) in people {
        let folder = world.config.data.join("tenants").join(tenant.to_string());
        let files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(files, [format!("{identity}.json")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_session_changes_nothing() {
    let world = World::start().await;
    let ada = world.login(ADA).await;
    let bob = world.login(BOB).await;
    let lesson = ada
        .get("/courses/linux-essentials/lessons/1")
        .await
        .unwrap();
    let refused = bob.submit(&lesson, "complete", &[]).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("Form not accepted"));
    assert!(world.api.events("lesson.completed").is_empty());
}
