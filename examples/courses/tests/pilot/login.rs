//! Logging in and out.

use provost_courses::drive::Browser;

use crate::world::{ADA, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_shows_the_form_again_and_the_right_one_opens_a_session() {
    let world = World::start().await;
    let browser = Browser::open(&world.base()).unwrap();
    let again = browser.log_in("ada", "guess").await.unwrap();
    assert_eq!(again.status, 401);
    assert_eq!(
        again.text("message").unwrap(),
        "User name or password is wrong."
    );
    assert!(world.api.kernel().resolves.is_empty());
    let home = browser
        .submit(&again, "login", &[("password", ADA.1)])
        .await
        .unwrap();
    assert_eq!((home.status, home.url.path()), (200, "/"));
    assert!(home.body.contains("Ada Lovelace"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_leads_to_the_page_that_was_asked_for() {
    let world = World::start().await;
    let browser = Browser::open(&world.base()).unwrap();
    let form = browser.get("/courses/linux-essentials").await.unwrap();
    let filled = [("username", ADA.0), ("password", ADA.1)];
    let page = browser.submit(&form, "login", &filled).await.unwrap();
    assert_eq!(
        (page.status, page.url.path()),
        (200, "/courses/linux-essentials")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_resolve_there_is_no_session() {
    let world = World::start().await;
    world.api.kernel().unreachable = true;
    let (browser, page) = Browser::login(&world.base(), ADA.0, ADA.1).await.unwrap();
    assert_eq!(page.status, 503);
    assert!(page.body.contains("Cannot log in right now"));
    let progress = browser.get("/progress").await.unwrap();
    assert!(progress.form("login").is_some(), "led to {}", progress.url);
    assert!(world.api.events("session.started").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_cannot_be_told_opens_nothing_and_is_told_later_with_its_end() {
    let world = World::start().await;
    world.api.kernel().audit_left = Some(1);
    let (browser, page) = Browser::login(&world.base(), ADA.0, ADA.1).await.unwrap();
    assert_eq!(page.status, 503);
    assert!(page.body.contains("Governance unavailable"));
    assert!(
        browser
            .get("/progress")
            .await
            .unwrap()
            .form("login")
            .is_some()
    );
    world.api.kernel().audit_left = None;
    let api = world.api.clone();
    crate::world::until("the end of the session", async || {
        !api.events("session.ended").is_empty()
    })
    .await;
    let kinds: Vec<String> = api
        .kernel()
        .events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["user.login", "session.started", "session.ended"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_ends_the_session_and_the_next_login_asks_for_the_password() {
    let world = World::start().await;
    let browser = world.login(ADA).await;
    let home = browser.get("/").await.unwrap();
    let out = browser.submit(&home, "logout", &[]).await.unwrap();
    assert!(!out.body.contains("Ada Lovelace"));
    assert_eq!(
        world.api.events("session.ended")[0]["payload"]["reason"],
        "logout"
    );
    assert!(browser.get("/login").await.unwrap().form("login").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_answered_in_another_browser_opens_nothing() {
    let world = World::start().await;
    let browser = Browser::open(&world.base()).unwrap();
    let begun = browser
        .raw(reqwest::Method::GET, "/login", &[])
        .await
        .unwrap();
    let to = reqwest::Url::parse(begun.headers()["location"].to_str().unwrap()).unwrap();
    let state = to
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let other = Browser::open(&world.base()).unwrap();
    let page = other
        .get(&format!("/callback?state={state}&code=x"))
        .await
        .unwrap();
    assert_eq!(page.status, 400);
    assert!(page.body.contains("not begun in this browser"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sixth_wrong_password_in_a_minute_has_to_wait() {
    let world = World::start().await;
    let browser = Browser::open(&world.base()).unwrap();
    let mut page = browser.log_in("ada", "guess").await.unwrap();
    for _ in 0..4 {
        page = browser
            .submit(&page, "login", &[("password", "guess")])
            .await
            .unwrap();
        assert_eq!(page.status, 401);
    }
    let waits = browser
        .submit(&page, "login", &[("password", ADA.1)])
        .await
        .unwrap();
    assert_eq!(waits.status, 429);
    assert!(
        waits
            .text("message")
            .unwrap()
            .contains("Too many wrong passwords")
    );
}
