//! A real connector, started by its command line.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use provost_certs::{Authority, CheckedCsr, Keystore, TlsKey, TlsPair};
use provost_protocol::Timestamp;
use reqwest::Client;
use serde_json::Value;

use super::{Answer, Kernel, say, until};

/// An enrolled connector. It is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Connector {
    child: Option<Child>,
    address: SocketAddr,
    client: Client,
    folder: tempfile::TempDir,
    /// What goes before the command at its next start: a tool that runs it, with its arguments.
    pub(crate) under: Vec<String>,
}

impl Connector {
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
        Self::enrolled_under(Vec::new(), token, whom)
    }

    /// The same by a tool that runs it somewhere else, on this machine: where the loopback is
    /// another one, a socket in its folder leads to its local API.
    pub(crate) fn enrolled_under(under: Vec<String>, token: &str, whom: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join(DATA).display().to_string();
        let enrolled = command(&under)
            .args(["connector", "enroll", token, "--data", &data])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(enrolled.status.success(), "{enrolled:?}");
        // Free when it was looked for; the connector's first choice would collide between tests.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let data = toml::Value::String(data);
        let mut text = format!("data_dir = {data}\nlisten = \"{address}\"\nkernel = \"{whom}\"\n");
        let mut client = Client::builder().no_proxy();
        if !under.is_empty() {
            let socket = folder.path().join(SOCKET);
            text += &format!(
                "socket = {}\n",
                toml::Value::String(socket.display().to_string())
            );
            client = client.unix_socket(socket);
        }
        fs::write(folder.path().join(CONFIG), text).unwrap();
        Self {
            child: None,
            address,
            client: client.build().unwrap(),
            folder,
            under,
        }
    }

    /// Adds lines to its configuration, for its next start.
    pub(crate) fn configure(&self, lines: &str) {
        let path = self.folder.path().join(CONFIG);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + lines).unwrap();
    }

    /// Dials somebody else from its next start on.
    pub(crate) fn follow(&self, whom: SocketAddr) {
        let path = self.folder.path().join(CONFIG);
        let before = fs::read_to_string(&path).unwrap();
        let others = before.lines().filter(|line| !line.starts_with("kernel = "));
        let mut text: Vec<String> = others.map(str::to_owned).collect();
        text.push(format!("kernel = \"{whom}\"\n"));
        fs::write(path, text.join("\n")).unwrap();
    }

    /// A file beside its data.
    pub(crate) fn beside(&self, file: &str) -> PathBuf {
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
        fs::write(folder.path().join(CONFIG), text).unwrap();
        Self {
            child: None,
            address,
            client: self.client.clone(),
            folder,
            under: self.under.clone(),
        }
    }

    /// Puts a certificate of the kernel's authority into its folder, for a key of its own; gives its
    /// serial number.
    pub(crate) fn certify(&self, kernel: &Kernel, at: Timestamp, ttl_ms: u64) -> String {
        let keystore = Keystore::open(&self.data().join("keys")).unwrap();
        let held = keystore.pair().unwrap().identity().clone();
        let authority = Authority::open(&kernel.data()).unwrap();
        let key = TlsKey::generate().unwrap();
        let csr = CheckedCsr::from_pem(&key.request_pem().unwrap()).unwrap();
        let whom = (held.tenant, held.runtime);
        let issued = authority.issue_runtime(&csr, whom, at, ttl_ms).unwrap();
        let pair = TlsPair::new(key, issued.pem).unwrap();
        keystore.save_pair(&pair).unwrap();
        issued.serial
    }

    /// Starts the process.
    pub(crate) fn run(&mut self) {
        let log = self.folder.path().join(LOG);
        let log = File::options().create(true).append(true).open(log);
        let child = command(&self.under)
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

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }

    /// The text of one of its files.
    pub(crate) fn kept_text(&self, file: &str) -> String {
        let path = self.folder.path().join(DATA).join(file);
        fs::read_to_string(path).unwrap()
    }

    /// One of its files.
    pub(crate) fn kept(&self, file: &str) -> Value {
        let path = self.folder.path().join(DATA).join(file);
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// What it says of itself.
    pub(crate) async fn status(&self) -> Value {
        until("the connector answers", async || {
            self.try_get("/status").await
        })
        .await
        .must(200)
        .json
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
            let log = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
            say(&format!("the connector's log:\n{log}"));
        }
    }
}

/// The command, by whatever goes before it.
fn command(under: &[String]) -> Command {
    let executable = env!("CARGO_BIN_EXE_provost").to_owned();
    let mut words = under.iter().chain([&executable]);
    let mut command = Command::new(words.next().expect("the executable at least"));
    command.args(words).env_remove("NOTIFY_SOCKET");
    command
}

pub(crate) const HOUR_MS: u64 = 60 * 60 * 1_000;

const DATA: &str = "connector";

const CONFIG: &str = "connector.toml";

const LOG: &str = "connector.log";

const SOCKET: &str = "api.socket";
