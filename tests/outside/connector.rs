//! The connector as a process beside a product: enrolled, online, told of a suspension.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    bad_certificates::posing,
    world::{Answer, Kernel, now, provost, say, until},
};

/// An enrolled connector. It is killed when this value goes.
pub(crate) struct Connector {
    child: Option<Child>,
    address: SocketAddr,
    client: Client,
    folder: tempfile::TempDir,
}

impl Connector {
    async fn start(kernel: &Kernel, tenant: &str) -> Self {
        Self::start_as(kernel, tenant, "on_prem").await
    }

    /// Enrolls in a deployment mode, and waits for the link.
    pub(crate) async fn start_as(kernel: &Kernel, tenant: &str, mode: &str) -> Self {
        let token = kernel.token(tenant, mode).await;
        let mut connector = Self::enrolled(&token, kernel.port());
        connector.run();
        connector.link("up").await;
        connector
    }

    /// Enrolls at the kernel, to dial somebody from its start on.
    pub(crate) fn enrolled(token: &str, whom: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join(DATA).display().to_string();
        let enrolled = provost(&["connector", "enroll", token, "--data", &data]);
        assert!(enrolled.status.success(), "{enrolled:?}");
        // Free when it was looked for; the connector's first choice would collide between tests.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let data = toml::Value::String(data);
        let text = format!("data_dir = {data}\nlisten = \"{address}\"\nkernel = \"{whom}\"\n");
        std::fs::write(folder.path().join(CONFIG), text).unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            child: None,
            address,
            client,
            folder,
        }
    }

    /// Adds lines to its configuration, for its next start.
    pub(crate) fn configure(&self, lines: &str) {
        let path = self.folder.path().join(CONFIG);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + lines).unwrap();
    }

    /// Dials somebody else from its next start on.
    pub(crate) fn follow(&self, whom: SocketAddr) {
        let path = self.folder.path().join(CONFIG);
        let before = std::fs::read_to_string(&path).unwrap();
        let others = before.lines().filter(|line| !line.starts_with("kernel = "));
        let mut text: Vec<String> = others.map(str::to_owned).collect();
        text.push(format!("kernel = \"{whom}\"\n"));
        std::fs::write(path, text.join("\n")).unwrap();
    }

    /// A file beside its data.
    pub(crate) fn beside(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// A copy of it, with all its keys, that listens somewhere else.
    pub(crate) fn copy(&self, whom: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.folder.path().join(DATA))
            .arg(folder.path())
            .status();
        assert!(copied.unwrap().success());
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let data = toml::Value::String(folder.path().join(DATA).display().to_string());
        let text = format!("data_dir = {data}\nlisten = \"{address}\"\nkernel = \"{whom}\"\n");
        std::fs::write(folder.path().join(CONFIG), text).unwrap();
        Self {
            child: None,
            address,
            client: self.client.clone(),
            folder,
        }
    }

    /// Starts the process.
    pub(crate) fn run(&mut self) {
        let log = self.folder.path().join(LOG);
        let log = File::options().create(true).append(true).open(log);
        let child = Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(["connector", "run", "--config"])
            .arg(self.folder.path().join(CONFIG))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Ends the process as a power switch would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Whoever has ended already cannot be killed.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }

    /// The text of one of its files.
    pub(crate) fn kept_text(&self, file: &str) -> String {
        let path = self.folder.path().join(DATA).join(file);
        std::fs::read_to_string(path).unwrap()
    }

    /// One of its files.
    pub(crate) fn kept(&self, file: &str) -> Value {
        let path = self.folder.path().join(DATA).join(file);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Waits until the link is in a state; gives the reason for it.
    pub(crate) async fn link(&self, state: &str) -> String {
        let link = until(state, async || {
            let link = self.try_get("/status").await?.json["link"].clone();
            (link["state"] == state).then_some(link)
        });
        link.await["reason"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn try_get(&self, path: &str) -> Option<Answer> {
        let asked = self
            .client
            .get(format!("http://{}{path}", self.address))
            .send()
            .await;
        Some(Answer::read(asked.ok()?).await)
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = self
            .client
            .post(format!("http://{}{path}", self.address))
            .header("X-Contract-Version", "v0.1")
            .json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.send().await.unwrap()).await
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
            say(&format!("the connector's log:\n{log}"));
        }
    }
}

#[tokio::test]
async fn a_product_is_governed_through_its_connector_and_hears_of_a_suspension_at_once() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let connector = Connector::start(&kernel, &tenant).await;

    let register = json!({
        "tenant_id": tenant, "runtime_type": "app", "deployment_mode": "on_prem",
        "version": "2.0.0", "capabilities": [],
    });
    let registered = connector
        .post("/kernel/runtimes/register", &[], &register)
        .await;
    assert!([200, 201].contains(&registered.status), "{registered:?}");
    let (runtime, token) = (
        registered.str("runtime_id"),
        registered.str("runtime_token"),
    );
    let bearer = format!("Bearer {token}");
    let headers = [
        ("X-Tenant-Id", &*tenant),
        ("X-Runtime-Id", &*runtime),
        ("Authorization", &*bearer),
    ];
    let check = json!({"tenant_id": tenant, "runtime_id": runtime, "feature": "reports"});
    let checked = async || {
        let answer = connector
            .post("/kernel/entitlements/check", &headers, &check)
            .await
            .must(200);
        (
            answer.json["allowed"].as_bool().unwrap(),
            answer.str("reason"),
        )
    };
    assert_eq!(checked().await, (true, "ENTITLED".to_owned()));

    let event = json!({"event": {
        "event_id": Uuid::now_v7().to_string(), "tenant_id": tenant, "runtime_id": runtime,
        "actor_type": "user", "actor_id": "ada", "type": "report.opened",
        "timestamp": now().to_string(),
        "correlation_id": Uuid::now_v7().to_string(), "payload": {"page": 1},
    }});
    connector
        .post("/kernel/audit/events", &headers, &event)
        .await
        .must(202);
    until("the event is delivered", async || {
        let events = kernel.events(&tenant).await;
        let there = |one: &&Value| one["data"]["event_id"] == event["event"]["event_id"];
        events
            .iter()
            .find(there)
            .map(|one| assert_eq!(one["source"], "connector"))
    })
    .await;

    kernel
        .post(
            &format!("/v1/tenants/{tenant}/suspend"),
            json!({"reason": "unpaid"}),
        )
        .await;
    until("the suspension is delivered", async || {
        (checked().await == (false, "TENANT_SUSPENDED".to_owned())).then_some(())
    })
    .await;
    until("the connector confirms", async || {
        let events = kernel.events(&tenant).await;
        let confirmed = |one: &&Value| one["kind"] == "runtime.desired-state-confirmed";
        events.iter().find(confirmed).map(drop)
    })
    .await;
    kernel
        .post(&format!("/v1/tenants/{tenant}/resume"), json!({}))
        .await;
    until("the resumption is delivered", async || {
        checked().await.0.then_some(())
    })
    .await;
    let license = connector.try_get("/license").await.unwrap().must(200);
    assert!(
        license.text.starts_with("-----BEGIN LICENSE FILE-----"),
        "{license:?}"
    );
}

#[tokio::test]
async fn a_connector_stays_away_from_whoever_plays_the_kernel() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let thief = kernel.enroll(&tenant, "on_prem").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = posing(&thief, &kernel);
    let posing = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let shaken = acceptor.accept(stream).await.map(drop);
        // It stays open: whoever dials again waits, and why the first time failed stands so long.
        (shaken, listener)
    });

    let token = kernel.token(&tenant, "on_prem").await;
    let mut connector = Connector::enrolled(&token, address);
    connector.run();

    let reason = connector.link("down").await;
    assert!(reason.contains("not our kernel"), "{reason}");
    assert!(
        posing.await.unwrap().0.is_err(),
        "the thief was shaken hands with"
    );
    let status = connector.try_get("/status").await.unwrap();
    assert_eq!(
        status.json["generation"], 0,
        "no session ever began: {status:?}"
    );
}

const DATA: &str = "connector";

const CONFIG: &str = "connector.toml";

const LOG: &str = "connector.log";
