//! The pilot, driven by cookies and forms as a person would, with the real kernel behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use provost_courses::drive::{Browser, Page};
use serde_json::Value;

#[tokio::test]
async fn every_page_served_stands_with_its_verdict_in_the_journal() {
    let dev = Dev::start().await;
    let (browser, home) = Browser::login(&dev.courses(), "ada", "provost-dev")
        .await
        .unwrap();
    assert_eq!(home.status, 200);
    let mut pages = vec![home];
    for path in [
        "/courses/cloud-fundamentals",
        "/courses/cloud-fundamentals/lessons/1",
        "/courses/cloud-fundamentals/lessons/2",
        "/courses/cloud-fundamentals/exercises/cloud-basics",
    ] {
        let page = browser.get(path).await.unwrap();
        assert_eq!(page.status, 200, "{path}");
        pages.push(page);
    }
    let start = browser
        .submit(pages.last().unwrap(), "start", &[])
        .await
        .unwrap();
    assert_eq!(start.status, 200);
    let answers = [("q0", "1"), ("q1", "0"), ("q2", "2")];
    let result = browser.submit(&start, "answer", &answers).await.unwrap();
    assert_eq!(result.text("result").unwrap(), "Score: 3 of 3, passed");
    pages.extend([start, result]);
    let locked = browser.get("/courses/secure-delivery").await.unwrap();
    assert_eq!(locked.status, 403);
    pages.push(locked);

    let log = dev.log_with(&pages).await;

    let verdicts = verdicts(&log);
    for page in &pages {
        let correlation = page.correlation_id.as_deref().unwrap();
        let given = verdicts.get(correlation);
        assert!(given.is_some(), "{} was served without a verdict", page.url);
        if page.url.path().starts_with("/courses/") {
            let allowed = page.status == 200;
            assert!(given.unwrap().contains(&allowed), "{}: {given:?}", page.url);
        }
    }
    let kinds: BTreeSet<&str> = log
        .iter()
        .filter_map(|event| event["data"]["type"].as_str())
        .collect();
    for kind in [
        "user.login",
        "session.started",
        "course.opened",
        "lesson.started",
        "assessment.started",
        "assessment.completed",
        "access.denied",
    ] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
}

#[tokio::test]
async fn a_video_is_served_in_parts_and_only_to_whom_the_course_is_open() {
    let dev = Dev::start().await;
    let (browser, _) = Browser::login(&dev.courses(), "ada", "provost-dev")
        .await
        .unwrap();
    let lesson = browser
        .get("/courses/cloud-fundamentals/lessons/2")
        .await
        .unwrap();
    let from = lesson.body.find("src=\"").unwrap() + 5;
    let video = lesson.body[from..].split('"').next().unwrap();

    let part = browser
        .raw(reqwest::Method::GET, video, &[("range", "bytes=0-99")])
        .await
        .unwrap();

    assert_eq!(part.status(), 206);
    assert!(
        part.headers()["content-range"]
            .to_str()
            .unwrap()
            .starts_with("bytes 0-99/")
    );
    let stranger = Browser::open(&dev.courses()).unwrap();
    let refused = stranger
        .raw(reqwest::Method::GET, video, &[])
        .await
        .unwrap();
    assert_ne!(refused.status(), 200);
}

/// `provost dev` in a folder of its own; it and its children end with this.
struct Dev {
    child: Child,
    _home: tempfile::TempDir,
    dir: PathBuf,
    ports: Value,
}

impl Dev {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("dev");
        let child = Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(["dev", "--data"])
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The operator's file is written before the connector enrolls, the courses start last.
        let ports = wait_for("ports.json", || read_json(&dir.join("ports.json"))).await;
        let dev = Self {
            child,
            _home: home,
            dir,
            ports,
        };
        wait_for("the seeded user", || dev.individual()).await;
        let tenant = dev.individual().unwrap();
        wait_for("the grants", || {
            let entitlements = dev.get(&format!("/v1/tenants/{tenant}/entitlements"))?;
            (entitlements["items"].as_array()?.len() == 2).then_some(())
        })
        .await;
        dev
    }

    fn courses(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports["courses"])
    }

    fn individual(&self) -> Option<String> {
        let operator = std::fs::read_to_string(self.dir.join("operator")).ok()?;
        let log = self.log(&operator)?;
        let admitted = log
            .iter()
            .find(|event| event["kind"] == "tenant.individual-admitted")?;
        Some(admitted["data"]["tenant"].as_str()?.to_owned())
    }

    /// The person's log, once something of every page is in it.
    async fn log_with(&self, pages: &[Page]) -> Vec<Value> {
        let tenant = self.individual().unwrap();
        wait_for("every page in the journal", || {
            let log = self.log(&tenant)?;
            let seen = verdicts(&log);
            let all = pages
                .iter()
                .filter_map(|page| page.correlation_id.as_deref());
            all.into_iter()
                .all(|id| seen.contains_key(id))
                .then_some(log)
        })
        .await
    }

    fn log(&self, tenant: &str) -> Option<Vec<Value>> {
        let mut log: Vec<Value> = Vec::new();
        loop {
            let after = log
                .last()
                .and_then(|event| event["seq"].as_u64())
                .unwrap_or(0);
            let page = self.get(&format!(
                "/v1/tenants/{tenant}/audit?limit=100&after={after}"
            ))?;
            let items = page["items"].as_array()?.clone();
            let full = items.len() == 100;
            log.extend(items);
            if !full {
                return Some(log);
            }
        }
    }

    /// Asks the admin API from a thread of its own: no runtime is blocked that the pages need.
    fn get(&self, path: &str) -> Option<Value> {
        let key = std::fs::read_to_string(self.dir.join("kernel/admin.key")).ok()?;
        let url = format!("http://127.0.0.1:{}{path}", self.ports["admin"]);
        let ask = async move {
            let client = reqwest::Client::builder().no_proxy().build().ok()?;
            let answer = client.get(url).bearer_auth(key.trim()).send().await.ok()?;
            answer.error_for_status().ok()?.json().await.ok()
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.ok()?.block_on(ask)
        })
        .join()
        .ok()?
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Its children die with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Correlation id → what was answered to the checks behind it.
fn verdicts(log: &[Value]) -> BTreeMap<String, Vec<bool>> {
    let mut verdicts: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for event in log {
        let allowed = match event["kind"].as_str() {
            Some("quota.consumed") => Some(true),
            Some("quota.denied") => Some(false),
            Some("audit.recorded") if event["data"]["type"] == "entitlement.verdict" => {
                event["data"]["event"]["payload"]["allowed"].as_bool()
            }
            _ => None,
        };
        if let (Some(allowed), Some(id)) = (allowed, event["correlation_id"].as_str()) {
            verdicts.entry(id.to_owned()).or_default().push(allowed);
        }
    }
    verdicts
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
