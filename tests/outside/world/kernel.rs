//! A real daemon, started by its command line.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use provost_certs::{BindingKey, TlsKey, make_request};
use provost_protocol::enrolment::EnrolRequest;
use reqwest::{Certificate, Client, Method};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::{Answer, Runtime, until};

/// A kernel in a folder of its own. It is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Kernel {
    folder: tempfile::TempDir,
    process: Option<Process>,
    admin: Client,
    start: Start,
}

/// How a kernel is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// More lines of configuration.
    pub(crate) config: String,
    /// More lines of its `[limits]`.
    pub(crate) limits: String,
    /// Where it listens for runtimes, and its name for them; absent for any port, and its own names.
    pub(crate) runtime: Option<SocketAddr>,
    /// What stands in its tokens, `host:port`; absent for where it listens.
    pub(crate) advertise: Option<String>,
    /// What goes before the command: a tool that runs it, with its arguments.
    pub(crate) under: Vec<String>,
    /// Variables of its environment.
    pub(crate) env: Vec<(String, String)>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    runtime: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Kernel {
    /// Makes an installation and starts a kernel on it.
    pub(crate) async fn start() -> Self {
        Self::start_as(Start::default()).await
    }

    /// The same, started in another way.
    pub(crate) async fn start_as(start: Start) -> Self {
        let mut kernel = Self::init(start);
        kernel.serve().await;
        kernel
    }

    /// Makes an installation, and starts nothing.
    pub(crate) fn init(start: Start) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = provost(&["init", "--data", data.to_str().unwrap()]);
        assert!(made.status.success(), "{made:?}");
        // None is kept: the kernel closes it while a test looks at something else.
        let admin = Client::builder().no_proxy().pool_max_idle_per_host(0);
        let admin = admin.build().unwrap();
        Self {
            folder,
            process: None,
            admin,
            start,
        }
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) async fn serve(&mut self) {
        self.spawn();
        let ready = until("the kernel is ready", async || {
            let process = self.process.as_mut().unwrap();
            if let Some(status) = process.child.try_wait().unwrap() {
                panic!("the kernel ended with {status}");
            }
            process.listens()
        });
        let (runtime, admin) = ready.await;
        let process = self.process.as_mut().unwrap();
        (process.runtime, process.admin) = (Some(runtime), Some(admin));
    }

    /// Starts the daemon, that must end by itself; gives what it said.
    pub(crate) async fn refuses_to_start(&mut self) -> (ExitStatus, String) {
        self.spawn();
        let ended = until("the kernel ends", async || {
            let process = self.process.as_mut().unwrap();
            assert!(process.listens().is_none(), "the kernel is ready");
            process.child.try_wait().unwrap()
        });
        let status = ended.await;
        let mut process = self.process.take().unwrap();
        (status, process.last_words())
    }

    fn spawn(&mut self) {
        let data = toml::Value::String(self.data().display().to_string());
        let config = self.folder.path().join("provost.toml");
        let runtime = match self.start.runtime {
            Some(addr) => format!("listen = \"{addr}\"\nnames = [\"{}\"]", addr.ip()),
            None => "listen = \"127.0.0.1:0\"".to_owned(),
        };
        let advertise = self.start.advertise.as_ref();
        let advertise =
            advertise.map_or_else(String::new, |addr| format!("advertise = \"{addr}\""));
        // A test makes in a second what comes to a kernel in a day, all from one address.
        let rates = if self.start.limits.contains("enrolments_") {
            ""
        } else {
            "enrolments_per_second = 100000\nenrolments_per_address_per_second = 100000\n"
        };
        let text = format!(
            "data_dir = {data}\ndrain_ms = 3000\n\
             {}\n\
             [runtime]\n{runtime}\n{advertise}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nformat = \"json\"\n\
             [limits]\nadmin_requests_per_second = 100000\nadmin_burst = 100000\n\
             {rates}{}",
            self.start.config, self.start.limits
        );
        fs::write(&config, text).unwrap();
        let mut words = self.start.under.clone();
        words.push(env!("CARGO_BIN_EXE_provost").to_owned());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(["serve", "--config"])
            .arg(config)
            .env_remove("NOTIFY_SOCKET")
            .envs(self.start.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        self.process = Some(Process::of(command.spawn().unwrap()));
    }

    /// How it is started from the next time on.
    pub(crate) fn start_next(&mut self, start: Start) {
        self.start = start;
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The segment files of the journal, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data().join("journal")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
        paths.sort();
        paths
    }

    pub(crate) fn port(&self) -> SocketAddr {
        self.process.as_ref().unwrap().runtime.unwrap()
    }

    pub(crate) fn admin_port(&self) -> SocketAddr {
        self.process.as_ref().unwrap().admin.unwrap()
    }

    /// Everything it has logged since it was started.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().unwrap().log()
    }

    pub(crate) fn root_pem(&self) -> String {
        fs::read_to_string(self.data().join("root.pem")).unwrap()
    }

    pub(crate) fn root(&self) -> Certificate {
        Certificate::from_pem(self.root_pem().as_bytes()).unwrap()
    }

    pub(crate) fn pid(&self) -> Pid {
        let id = self.process.as_ref().unwrap().child.id();
        Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }

    /// Ends it as a power switch would.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        rustix::process::kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> (ExitStatus, String) {
        let mut process = self.process.take().unwrap();
        let status = until("the kernel ends", async || {
            process.child.try_wait().unwrap()
        })
        .await;
        (status, process.last_words())
    }

    /// Ends it in peace.
    pub(crate) async fn stop(&mut self) -> String {
        self.terminate();
        let (status, log) = self.ended().await;
        assert!(status.success(), "{status}\n{log}");
        log
    }

    /// Runs a command of the command line against the admin API: whether it succeeded, and what it
    /// printed.
    pub(crate) fn command(&self, words: &[&str]) -> (bool, String) {
        let admin = format!("http://{}", self.admin_port());
        let key = self.data().join("admin.key").display().to_string();
        let whom = ["--admin", &admin, "--key-file", &key];
        let done = provost(&[words, &whom].concat());
        let printed = String::from_utf8(done.stdout).unwrap();
        (done.status.success(), printed)
    }

    /// Asks the admin API.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let answer = self.try_ask(method, path, body).await;
        answer.unwrap_or_else(|| panic!("{path}: no answer"))
    }

    /// The same; `None` where no answer comes.
    pub(crate) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<Answer> {
        let key = fs::read_to_string(self.data().join("admin.key")).unwrap();
        let url = format!("http://{}{path}", self.admin_port());
        let mut request = self.admin.request(method, url).bearer_auth(key.trim());
        if let Some(body) = body {
            request = request.json(&body);
        }
        Some(Answer::read(request.send().await.ok()?).await)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    /// Makes or changes something; it must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let answer = self.ask(Method::POST, path, Some(body)).await;
        assert!(
            (200..300).contains(&answer.status),
            "{path}: {}",
            answer.text
        );
        answer
    }

    pub(crate) async fn tenant(&self, body: Value) -> String {
        self.post("/v1/tenants", body).await.str("tenant_id")
    }

    pub(crate) async fn company(&self) -> String {
        self.tenant(json!({"name": "Acme", "type": "company"}))
            .await
    }

    pub(crate) async fn grant(&self, tenant: &str, body: Value) {
        self.post(&format!("/v1/tenants/{tenant}/entitlements"), body)
            .await;
    }

    pub(crate) async fn token(&self, tenant: &str, mode: &str) -> String {
        let body = json!({"runtime_type": "app", "deployment_mode": mode});
        self.post(&format!("/v1/tenants/{tenant}/tokens"), body)
            .await
            .str("token")
    }

    /// A tenant's whole log, oldest first.
    pub(crate) async fn events(&self, tenant: &str) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let path = format!(
                "/v1/tenants/{tenant}/audit?limit=100&after={}",
                events.len()
            );
            let page = self.get(&path).await.must(200);
            let items = page.json["items"].as_array().unwrap();
            events.extend(items.iter().cloned());
            if items.len() < 100 {
                return events;
            }
        }
    }

    /// A client of the runtime port without a certificate.
    pub(crate) fn stranger(&self) -> Client {
        self.stranger_from("127.0.0.1")
    }

    /// The same from an address of its own.
    pub(crate) fn stranger_from(&self, address: &str) -> Client {
        let address: std::net::IpAddr = address.parse().unwrap();
        Client::builder()
            .no_proxy()
            .local_address(address)
            .tls_certs_only([self.root()])
            .build()
            .unwrap()
    }

    /// Sends an enrolment request as it is.
    pub(crate) async fn enroll_with(&self, request: &EnrolRequest) -> Answer {
        let url = format!("https://{}/kernel/enroll", self.port());
        Answer::read(
            self.stranger()
                .post(url)
                .json(request)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Enrolls a runtime with fresh keys.
    pub(crate) async fn enroll(&self, tenant: &str, mode: &str) -> Runtime {
        let token = self.token(tenant, mode).await.parse().unwrap();
        let (binding, tls) = (BindingKey::generate().unwrap(), TlsKey::generate().unwrap());
        let request = make_request(&token, &binding, &tls).unwrap();
        let answer = self.enroll_with(&request).await.must(200);
        Runtime::new(self, mode, &tls, &answer)
    }

    /// Enrolls, registers and activates a runtime.
    pub(crate) async fn runtime(&self, tenant: &str, mode: &str) -> Runtime {
        let mut runtime = self.enroll(tenant, mode).await;
        runtime.register(self).await.must(201);
        runtime.beat(self).await.must(200);
        runtime
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // Whoever has ended already cannot be killed.
        drop(process.child.kill());
        drop(process.child.wait());
        if std::thread::panicking() {
            say(&format!("the kernel's log:\n{}", process.log()));
        }
    }
}

impl Process {
    fn of(mut child: Child) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (output, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            log,
            runtime: None,
            admin: None,
        }
    }

    /// Where it listens, once it has said so.
    fn listens(&self) -> Option<(SocketAddr, SocketAddr)> {
        let log = self.log.lock().unwrap();
        let mut lines = log
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ready = lines.find(|line| line["message"] == "ready")?;
        let address = |field: &str| ready[field].as_str().unwrap().parse().unwrap();
        Some((address("runtime.addr"), address("admin.addr")))
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The whole log of a process that has ended: its reader is given time to come to the end.
    fn last_words(&mut self) -> String {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while Arc::strong_count(&self.log) > 1 && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        self.log()
    }
}

/// Runs a command to its end.
pub(crate) fn provost(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provost"));
    command
        .args(args)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[expect(clippy::print_stderr, reason = "shown with a failing test")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
