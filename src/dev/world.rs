//! The four processes, how they are started, and what the kernel is told about them.

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use provost_courses::{drive::Browser, issuer};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    admin::{Admin, Local},
    home::{Home, local},
    process::{Process, run},
};

/// Everything that runs.
#[derive(Debug)]
pub(super) struct World {
    pub(super) home: Home,
    pub(super) kernel: Option<Process>,
    pub(super) connector: Option<Process>,
    pub(super) issuer: Option<Process>,
    pub(super) courses: Option<Process>,
    pub(super) local: Local,
    /// The tenant that operates the pilot.
    pub(super) operator: String,
}

impl World {
    pub(super) fn new(home: Home) -> anyhow::Result<Self> {
        let local = Local::new(home.ports.connector)?;
        Ok(Self {
            home,
            kernel: None,
            connector: None,
            issuer: None,
            courses: None,
            local,
            operator: String::new(),
        })
    }

    pub(super) fn admin(&self) -> anyhow::Result<Admin> {
        Admin::new(self.home.ports.admin, &self.home.kernel().join("admin.key"))
    }

    pub(super) fn courses_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.home.ports.courses)
    }

    fn issuer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.home.ports.issuer)
    }

    /// Everything, in order; what was there from an earlier start is used again.
    pub(super) async fn start_all(&mut self) -> anyhow::Result<()> {
        if !self.home.kernel().join("install.json").exists() {
            self.init().await?;
        }
        self.serve().await?;
        self.start_issuer().await?;
        self.set_up_operator().await?;
        if !self.home.connector().join("kernel.json").exists() {
            let token = self.token().await?;
            self.enroll(&token).await?;
        }
        self.start_connector().await?;
        self.start_courses().await
    }

    pub(super) async fn init(&self) -> anyhow::Result<String> {
        let args = words(["init", "--data"], [self.home.kernel().into_os_string()]);
        let (good, text) = run("provost init", args).await?;
        anyhow::ensure!(good, "provost init failed: {text}");
        Ok(text)
    }

    /// Starts the kernel and waits until it is ready.
    pub(super) async fn serve(&mut self) -> anyhow::Result<()> {
        let config = self.home.dir.join("provost.toml");
        fs::write(&config, self.kernel_config())?;
        let args = words(["serve", "--config"], [config.into_os_string()]);
        let mut kernel = Process::start("kernel", &self.home.dir, args)?;
        let admin = self.admin()?;
        let ready = until("the kernel is ready", START_WITHIN, async || {
            anyhow::ensure!(kernel.ended().is_none(), "the kernel has ended");
            Ok(admin.is_ready().await.then_some(()))
        });
        if let Err(error) = ready.await {
            anyhow::bail!("{error}\n{}", kernel.last_words());
        }
        self.kernel = Some(kernel);
        Ok(())
    }

    fn kernel_config(&self) -> String {
        let ports = self.home.ports;
        let data = self.home.kernel();
        let data = toml::Value::String(data.display().to_string());
        format!(
            "data_dir = {data}\n\
             drain_ms = 3000\n\
             [runtime]\nlisten = \"{}\"\nadvertise = \"127.0.0.1:{}\"\n\
             [admin]\nlisten = \"{}\"\n",
            local(ports.runtime),
            ports.runtime,
            local(ports.admin),
        )
    }

    pub(super) async fn start_issuer(&mut self) -> anyhow::Result<()> {
        let users = self.home.dir.join("users.json");
        if !users.exists() {
            let user = |name: &str, person: &str| {
                issuer::User::new(name, person, &format!("{name}@example.invalid"), PASSWORD)
            };
            issuer::write_users(&users, &[user(USER, "Ada"), user(OTHER_USER, "Grace")])?;
        }
        let args = flags(
            "dev-issuer",
            [
                ("--listen", local(self.home.ports.issuer).to_string()),
                ("--issuer-url", self.issuer_url()),
                ("--client-id", CLIENT_ID.to_owned()),
                ("--redirect-uri", format!("{}/callback", self.courses_url())),
                ("--users", users.display().to_string()),
                ("--data", self.home.dir.join("issuer").display().to_string()),
            ],
        );
        let process = Process::start("issuer", &self.home.dir, args)?;
        self.issuer = Some(answering(process, &format!("{}/jwks.json", self.issuer_url())).await?);
        Ok(())
    }

    /// The operator's tenant and the provider its people log in at.
    pub(super) async fn set_up_operator(&mut self) -> anyhow::Result<()> {
        let file = self.home.dir.join("operator");
        if let Ok(operator) = fs::read_to_string(&file) {
            self.operator = operator;
            return Ok(());
        }
        let admin = self.admin()?;
        let tenant = json!({"name": "Dev Courses", "type": "company"});
        let tenant = admin.post("/v1/tenants", tenant).await?;
        let id = tenant["tenant_id"]
            .as_str()
            .context("no tenant id")?
            .to_owned();
        // Inline, because the kernel fetches keys by https only, and this issuer is on loopback.
        let jwks = fetch_json(&format!("{}/jwks.json", self.issuer_url())).await?;
        let provider = json!({
            "kind": "oidc",
            "issuer": self.issuer_url(),
            "audience": CLIENT_ID,
            "algorithms": ["ES256"],
            "jwks": jwks,
            "individuals": true,
        });
        admin
            .post(&format!("/v1/tenants/{id}/providers"), provider)
            .await?;
        fs::write(file, &id)?;
        self.operator = id;
        Ok(())
    }

    pub(super) async fn token(&self) -> anyhow::Result<String> {
        let body = json!({"runtime_type": "courses", "deployment_mode": "shared", "uses": 1});
        let path = format!("/v1/tenants/{}/tokens", self.operator);
        let token = self.admin()?.post(&path, body).await?;
        Ok(token["token"]
            .as_str()
            .context("no token in the answer")?
            .to_owned())
    }

    pub(super) async fn enroll(&self, token: &str) -> anyhow::Result<()> {
        let data = self.home.connector().into_os_string();
        let args = words(["connector", "enroll", token, "--data"], [data]);
        let (good, text) = run("provost connector enroll", args).await?;
        anyhow::ensure!(good, "the enrolment failed: {text}");
        Ok(())
    }

    pub(super) async fn start_connector(&mut self) -> anyhow::Result<()> {
        let mut args = words(
            ["connector", "run", "--data"],
            [self.home.connector().into()],
        );
        args.push("--listen".into());
        args.push(local(self.home.ports.connector).to_string().into());
        let process = Process::start("connector", &self.home.dir, args)?;
        let url = format!("http://127.0.0.1:{}/healthz", self.home.ports.connector);
        self.connector = Some(answering(process, &url).await?);
        Ok(())
    }

    pub(super) async fn start_courses(&mut self) -> anyhow::Result<()> {
        let args = flags(
            "dev-courses",
            [
                ("--listen", local(self.home.ports.courses).to_string()),
                (
                    "--connector-url",
                    format!("http://127.0.0.1:{}", self.home.ports.connector),
                ),
                ("--operator-tenant", self.operator.clone()),
                ("--issuer-url", self.issuer_url()),
                ("--client-id", CLIENT_ID.to_owned()),
                (
                    "--data",
                    self.home.dir.join("courses").display().to_string(),
                ),
            ],
        );
        let process = Process::start("courses", &self.home.dir, args)?;
        let url = format!("{}/readyz", self.courses_url());
        self.courses = Some(answering(process, &url).await?);
        Ok(())
    }

    /// Logs the user in once, as a person would, and grants what the tour needs; gives the person's
    /// own tenant.
    pub(super) async fn seed(&mut self) -> anyhow::Result<String> {
        let (_, page) = Browser::login(&self.courses_url(), USER, PASSWORD).await?;
        anyhow::ensure!(page.status == 200, "the login answered {}", page.status);
        let tenant = self.individual().await?;
        self.grant(&tenant).await?;
        Ok(tenant)
    }

    /// The tenant of the person who logged in first.
    pub(super) async fn individual(&self) -> anyhow::Result<String> {
        let log = self.admin()?.log(&self.operator).await?;
        let admitted = log
            .iter()
            .find(|event| event.kind() == "tenant.individual-admitted");
        let tenant = admitted.and_then(|event| event.json["data"]["tenant"].as_str());
        Ok(tenant.context("nobody was admitted")?.to_owned())
    }

    /// One course for ever, and two attempts a day at its exercise.
    pub(super) async fn grant(&self, tenant: &str) -> anyhow::Result<()> {
        let path = format!("/v1/tenants/{tenant}/entitlements");
        let admin = self.admin()?;
        let course = json!({"feature": format!("course_access:{COURSE}"), "limit": true});
        admin.put(&path, course).await?;
        let attempts = json!({
            "feature": "assessment_attempts", "limit": ATTEMPTS, "time_window": "day",
        });
        admin.put(&path, attempts).await?;
        Ok(())
    }

    /// Waits until one of the processes ends; says which.
    pub(super) async fn any_ended(&mut self) -> &'static str {
        let (kernel, connector) = (&mut self.kernel, &mut self.connector);
        let (issuer, courses) = (&mut self.issuer, &mut self.courses);
        tokio::select! {
            () = ended(kernel) => "the kernel",
            () = ended(connector) => "the connector",
            () = ended(issuer) => "the issuer",
            () = ended(courses) => "the pilot",
        }
    }

    /// Stops everything, the outermost first.
    pub(super) async fn stop_all(&mut self) {
        for process in [
            &mut self.courses,
            &mut self.connector,
            &mut self.issuer,
            &mut self.kernel,
        ] {
            if let Some(mut process) = process.take() {
                process.stop().await;
            }
        }
    }

    /// The ends of all logs, for whoever must find out why.
    pub(super) fn last_words(&self) -> String {
        let running = [&self.kernel, &self.connector, &self.issuer, &self.courses];
        let words = running.into_iter().flatten().map(|process| {
            format!(
                "--- {} (pid {:?})\n{}",
                process.name,
                process.id(),
                process.last_words()
            )
        });
        words.collect::<Vec<_>>().join("\n")
    }
}

async fn ended(process: &mut Option<Process>) {
    match process {
        Some(process) => {
            process.wait().await;
        }
        None => std::future::pending().await,
    }
}

async fn fetch_json(url: &str) -> anyhow::Result<serde_json::Value> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    Ok(client
        .get(url)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?)
}

/// Waits until a process answers at a URL.
async fn answering(mut process: Process, url: &str) -> anyhow::Result<Process> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    let answered = until(process.name, START_WITHIN, async || {
        anyhow::ensure!(process.ended().is_none(), "{} has ended", process.name);
        let answer = client.get(url).send().await;
        Ok(answer
            .is_ok_and(|answer| answer.status().is_success())
            .then_some(()))
    });
    match answered.await {
        Ok(()) => Ok(process),
        Err(error) => anyhow::bail!("{error}\n{}", process.last_words()),
    }
}

/// Asks again and again until something is seen, or the deadline has passed.
pub(super) async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let seen = look().await;
        match seen {
            Ok(Some(seen)) => return Ok(seen),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("waited in vain: {what}")));
            }
            Ok(None) if Instant::now() >= deadline => anyhow::bail!("waited in vain: {what}"),
            Ok(None) | Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

fn words<const N: usize, const M: usize>(words: [&str; N], more: [OsString; M]) -> Vec<OsString> {
    words.into_iter().map(OsString::from).chain(more).collect()
}

fn flags<const N: usize>(command: &str, flags: [(&str, String); N]) -> Vec<OsString> {
    let pairs = flags
        .into_iter()
        .flat_map(|(flag, value)| [flag.into(), value.into()]);
    std::iter::once(command.into()).chain(pairs).collect()
}

/// Where a license is put for another process to verify.
pub(super) fn license_file(home: &Home) -> PathBuf {
    home.dir.join("license.lic")
}

/// A person of the pilot's issuer.
pub(super) const USER: &str = "ada";

/// Another, who has never logged in.
pub(super) const OTHER_USER: &str = "grace";

/// Both persons'; the issuer is on loopback and made for this.
pub(super) const PASSWORD: &str = "provost-dev";

/// The course that is granted.
pub(super) const COURSE: &str = "cloud-fundamentals";

/// A course that is not.
pub(super) const LOCKED_COURSE: &str = "secure-delivery";

/// Attempts a day at the exercise.
pub(super) const ATTEMPTS: u64 = 2;

const CLIENT_ID: &str = "courses";

/// A debug build opens its store and listens well within.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Often enough that a wait is not felt, seldom enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
