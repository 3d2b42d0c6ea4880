//! One local API, one issuer, one pilot, on free ports and in a folder of their own.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use provost_courses::drive::{Browser, Page};
use provost_courses::{Config, issuer, run};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::local_api::LocalApi;

pub(crate) struct World {
    pub(crate) api: LocalApi,
    pub(crate) issuer: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Config,
    pilot: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    _issuer_stop: oneshot::Sender<()>,
}

pub(crate) const ADA: (&str, &str) = ("ada", "ada's own password");
pub(crate) const BOB: (&str, &str) = ("bob", "bob's own password");

impl World {
    pub(crate) async fn start() -> Self {
        let (api, connector) = LocalApi::start().await;
        let folder = tempfile::tempdir().unwrap();
        let listen = free_port();
        let (stop, stopped) = oneshot::channel();
        let (tell, bound) = oneshot::channel();
        let issuer_config = issuer::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            issuer_url: None,
            client_id: "courses".to_owned(),
            redirect_uris: vec![format!("http://{listen}/callback")],
            users: users().clone(),
            data: folder.path().join("issuer"),
            token_ttl_seconds: 3600,
        };
        tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap_or_default() };
            issuer::run(
                issuer_config,
                |address| tell.send(address).unwrap(),
                shutdown,
            )
            .await
            .unwrap();
        });
        let issuer = format!("http://{}", bound.await.unwrap());
        api.kernel().issuer.clone_from(&issuer);
        let operator_tenant = api.kernel().operator;
        let config = Config {
            listen,
            connector_url: format!("http://{connector}"),
            operator_tenant,
            issuer_url: issuer.clone(),
            client_id: "courses".to_owned(),
            data: folder.path().join("courses"),
            content: None,
            public_url: None,
            session_ttl_minutes: 60,
        };
        let mut world = Self {
            api,
            issuer,
            folder,
            config,
            pilot: None,
            _issuer_stop: stop,
        };
        world.start_pilot().await;
        world
    }

    pub(crate) async fn start_pilot(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (tell, bound) = oneshot::channel();
        let config = self.config.clone();
        let beats = self.api.kernel().beats;
        let task = tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap_or_default() };
            run(config, |address| tell.send(address).unwrap(), shutdown)
                .await
                .unwrap();
        });
        bound.await.unwrap();
        self.pilot = Some((stop, task));
        // The second beat answered: what follows the first has been done.
        let api = self.api.clone();
        until("two heartbeats", async || api.kernel().beats >= beats + 2).await;
    }

    /// Stops the pilot as SIGTERM does.
    pub(crate) async fn stop_pilot(&mut self) {
        let (stop, task) = self.pilot.take().unwrap();
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    /// Ends the pilot where it stands, as SIGKILL does to what it would still have done.
    pub(crate) async fn kill_pilot(&mut self) {
        let (_stop, task) = self.pilot.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.config.listen)
    }

    pub(crate) async fn login(&self, who: (&str, &str)) -> Browser {
        let (browser, page) = Browser::login(&self.base(), who.0, who.1).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(page.url.path(), "/");
        browser
    }
}

/// Begins an attempt and hands in answers.
pub(crate) async fn attempt(browser: &Browser, exercise: &str, answers: [&str; 3]) -> Page {
    let page = browser.get(exercise).await.unwrap();
    let page = browser.submit(&page, "start", &[]).await.unwrap();
    if page.status != 200 {
        return page;
    }
    let filled = [("q0", answers[0]), ("q1", answers[1]), ("q2", answers[2])];
    browser.submit(&page, "answer", &filled).await.unwrap()
}

/// Waits for a condition, within a deadline.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !holds().await {
            tick.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for {what}");
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// One user file for all tests: hashing passwords is slow on purpose.
fn users() -> &'static PathBuf {
    static USERS: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    &USERS
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("users.json");
            let ada = issuer::User::new(ADA.0, "Ada Lovelace", "ada@example.com", ADA.1);
            let bob = issuer::User::new(BOB.0, "Bob Noyce", "bob@example.com", BOB.1);
            issuer::write_users(&path, &[ada, bob]).unwrap();
            (folder, path)
        })
        .1
}
