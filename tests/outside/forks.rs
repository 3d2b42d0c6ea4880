//! A log that was replaced, and one that was restored: what a connector holds of it tells.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    backup::{asked, backup, text},
    world::{Connector, Kernel, Start, until},
};

/// A checkpoint that a connector keeps.
struct Held {
    epoch: u64,
    size: u64,
    root: String,
}

/// What must never go backwards: the license's epoch and sequence, the desired state's revision.
#[derive(Debug, Clone, Copy)]
struct Standing {
    license: (u64, u64),
    revision: u64,
}

impl Standing {
    fn of(status: &Value) -> Self {
        let number = |field: &str| status["tenants"][0][field].as_u64().unwrap_or(0);
        Self {
            license: (number("license_epoch"), number("license_seq")),
            revision: number("desired_revision"),
        }
    }

    /// Where it stands now, which must not be behind.
    fn then(self, status: &Value) -> Self {
        let now = Self::of(status);
        let on = now.license >= self.license && now.revision >= self.revision;
        assert!(on, "went back from {self:?}: {status}");
        now
    }
}

impl Connector {
    /// Looks at the status, which must not go back.
    async fn looked_at(&self, stood: &mut Standing) -> Option<Value> {
        let status = self.try_get("/status").await?.json;
        *stood = stood.then(&status);
        Some(status)
    }

    /// Waits for a checkpoint of an epoch that reaches so far.
    async fn holds(&self, epoch: u64, size: u64, stood: &mut Standing) -> Held {
        until("the connector holds a checkpoint", async || {
            let status = self.looked_at(stood).await?;
            let held = &status["checkpoint"];
            let reached = held["epoch"].as_u64()? >= epoch && held["size"].as_u64()? >= size;
            reached.then_some(())
        })
        .await;
        let kept = self.kept("checkpoints.json");
        let newest = kept["held"].as_array().unwrap().last().unwrap();
        Held {
            epoch: newest["epoch"].as_u64().unwrap(),
            size: newest["size"].as_u64().unwrap(),
            root: newest["root"].as_str().unwrap().to_owned(),
        }
    }

    /// Waits for a license and a desired state that are newer than these.
    async fn passes(&self, before: Standing, stood: &mut Standing) {
        until("the connector has heard the news", async || {
            self.looked_at(stood).await?;
            let passed = stood.license > before.license && stood.revision > before.revision;
            passed.then_some(())
        })
        .await;
    }

    /// Waits for the alarm.
    async fn alarm(&self, stood: &mut Standing) -> Value {
        until("the connector raises the alarm", async || {
            let status = self.looked_at(stood).await?;
            (!status["fork"].is_null()).then_some(status)
        })
        .await
    }
}

#[tokio::test]
async fn an_older_copy_of_the_data_is_an_alarm_on_both_sides_until_a_restore_begins_a_new_epoch() {
    let (mut kernel, tenant, mut connector) = enrolled().await;
    let address = kernel.port();
    kernel.stop().await;
    let (data, older) = (kernel.data(), kernel.folder().join("older"));
    copy(&data, &older);
    serve_at(&mut kernel, Some(address)).await;
    toggle(&kernel, &tenant, "one history").await;
    connector.run();
    let mut stood = NOTHING;
    let shown = to_u64(kernel.events(&tenant).await.len());
    let held = connector.holds(1, shown, &mut stood).await;
    connector.passes(NOTHING, &mut stood).await;

    // The older copy goes on where nobody sees it, beyond what the connector holds.
    connector.kill();
    kernel.stop().await;
    fs::rename(&data, kernel.folder().join("newer")).unwrap();
    fs::rename(&older, &data).unwrap();
    serve_at(&mut kernel, None).await;
    while to_u64(kernel.events(&tenant).await.len()) <= held.size {
        toggle(&kernel, &tenant, "another history").await;
    }
    let path = format!("/v1/tenants/{tenant}/audit/checkpoint");
    let unaware = kernel.get(&path).await.must(200);
    assert_eq!(unaware.json["epoch"], held.epoch, "the same epoch");
    kernel.stop().await;
    serve_at(&mut kernel, Some(address)).await;
    connector.run();

    let status = connector.alarm(&mut stood).await;
    assert_eq!(
        status["fork"]["why"],
        "the kernel's log does not continue the checkpoint held"
    );
    assert_eq!(
        (
            &status["checkpoint"]["epoch"],
            &status["checkpoint"]["size"]
        ),
        (&json!(held.epoch), &json!(held.size)),
        "what contradicts the kernel is kept"
    );
    let told = until("the connector's alarm is delivered", async || {
        let events = kernel.events(&tenant).await;
        let told = |one: &&Value| one["data"]["type"] == "connector.log-forked";
        events.iter().find(told).cloned()
    })
    .await;
    assert_eq!(told["kind"], "audit.recorded");
    let payload = &told["data"]["event"]["payload"];
    assert_eq!(payload["held_size"], held.size, "{told}");
    assert_eq!(payload["held_root"], held.root, "{told}");

    let events = kernel.events(&tenant).await;
    let fork = only(&events, "log.forked");
    let status = connector.try_get("/status").await.unwrap().json;
    assert_eq!(fork["data"]["runtime_id"], status["runtime_id"]);
    assert_eq!(fork["data"]["epoch"], held.epoch);
    assert_eq!(fork["data"]["held_size"], held.size);
    assert_eq!(fork["data"]["held_root"], held.root);
    let own_root = fork["data"]["own_root"].as_str();
    assert!(own_root.is_some_and(|own| own != held.root), "{fork}");
    assert_eq!(figure(&kernel, "provost_log_forks_total").await, "1");
    assert!(kernel.log().contains("the log forked"), "{}", kernel.log());
    kernel.get(&path).await.must_refuse(409, "log_forked");

    let file = kernel.folder().join("one.backup");
    backup(&kernel.data(), &file);
    restore(&mut kernel, &file, address).await;
    let new = connector.holds(held.epoch + 1, 1, &mut stood).await;
    let status = connector.try_get("/status").await.unwrap().json;
    assert_eq!(status["fork"], Value::Null, "{status}");
    let signed = kernel.get(&path).await.must(200);
    assert_eq!(signed.json["epoch"], new.epoch);
    only(&kernel.events(&tenant).await, "log.forked");
}

#[tokio::test]
async fn what_a_restore_lost_is_named_exactly_and_the_connector_goes_on_with_the_new_epoch() {
    let (mut kernel, tenant, mut connector) = enrolled().await;
    let address = kernel.port();
    connector.run();
    let mut stood = NOTHING;
    connector.holds(1, 1, &mut stood).await;
    connector.passes(NOTHING, &mut stood).await;
    let file = kernel.folder().join("one.backup");
    let log = kernel.events(&tenant).await;
    backup(&kernel.data(), &file);

    // What the backup does not have; the connector is shown the end of it when it comes again.
    let before = stood;
    toggle(&kernel, &tenant, "lost").await;
    let grant = json!({"feature": "exports", "limit": 10});
    kernel.grant(&tenant, grant).await;
    connector.passes(before, &mut stood).await;
    connector.kill();
    let shown = to_u64(kernel.events(&tenant).await.len());
    connector.run();
    let held = connector.holds(1, shown, &mut stood).await;
    assert_eq!(held.epoch, 1);
    let before = stood;
    restore(&mut kernel, &file, address).await;

    let new = connector.holds(2, 1, &mut stood).await;
    connector.passes(before, &mut stood).await;
    assert_eq!(stood.license.0, new.epoch, "licenses are of the new epoch");
    assert!(stood.revision < 1 << 53, "exact in JSON: {stood:?}");
    let status = connector.try_get("/status").await.unwrap().json;
    assert_eq!(status["fork"], Value::Null, "{status}");
    let after = kernel.events(&tenant).await;
    assert_eq!(after[..log.len()], log[..]);
    let restored = only(&after, "log.restored");
    assert_eq!(restored["epoch"], new.epoch);
    let kept = restored["data"]["size"].as_u64().unwrap();
    assert_eq!(restored["seq"], kept + 1);
    let lost = only(&after, "log.range-lost");
    let named = json!({
        "old_epoch": 1, "from_seq": kept + 1, "to_seq": held.size, "root": held.root,
        "runtime_id": status["runtime_id"],
    });
    assert_eq!(lost["data"], named);
    assert!(kept < held.size, "{lost}");
    assert!(after.iter().all(|event| event["kind"] != "log.forked"));
    let ranges = figure(&kernel, "provost_log_ranges_lost_total").await;
    assert_eq!(ranges, "1");

    // And it is governed on.
    let before = stood;
    kernel
        .grant(&tenant, json!({"feature": "exports", "limit": 20}))
        .await;
    connector.passes(before, &mut stood).await;
    until("the connector confirms in the new epoch", async || {
        let events = kernel.events(&tenant).await;
        let confirmed = |one: &&Value| {
            one["kind"] == "runtime.desired-state-confirmed" && one["epoch"] == new.epoch
        };
        events.iter().find(confirmed).map(drop)
    })
    .await;
}

/// A kernel at an address that it can have again, and a connector that is not running yet.
async fn enrolled() -> (Kernel, String, Connector) {
    let start = Start {
        runtime: Some(SocketAddr::from((APART, 0))),
        ..Start::default()
    };
    let kernel = Kernel::start_as(start).await;
    let tenant = kernel.company().await;
    let grant = json!({"feature": "reports", "limit": true});
    kernel.grant(&tenant, grant).await;
    let token = kernel.token(&tenant, "on_prem").await;
    let connector = Connector::enrolled(&token, kernel.port());
    (kernel, tenant, connector)
}

/// Starts the kernel where the connector looks for it, or where nobody does.
async fn serve_at(kernel: &mut Kernel, runtime: Option<SocketAddr>) {
    kernel.start_next(Start {
        runtime,
        ..Start::default()
    });
    kernel.serve().await;
}

/// Goes on from a backup in a new folder.
async fn restore(kernel: &mut Kernel, file: &Path, address: SocketAddr) {
    kernel.stop().await;
    let data = kernel.data();
    fs::rename(&data, kernel.folder().join("before")).unwrap();
    asked(&["backup", "restore", text(file), "--to", text(&data)], 0);
    serve_at(kernel, Some(address)).await;
}

async fn toggle(kernel: &Kernel, tenant: &str, reason: &str) {
    for act in ["suspend", "resume"] {
        let path = format!("/v1/tenants/{tenant}/{act}");
        kernel.post(&path, json!({ "reason": reason })).await;
    }
}

/// The one event of a kind.
fn only<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let mut found = events.iter().filter(|event| event["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert_eq!(found.next(), None, "one {kind}");
    first
}

/// A figure of the kernel without labels.
async fn figure(kernel: &Kernel, name: &str) -> String {
    let metrics = kernel.get("/metrics").await.must(200).text;
    let mut lines = metrics.lines();
    let figure = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    figure
        .unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .to_owned()
}

/// A whole folder, with the modes of its files.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

const NOTHING: Standing = Standing {
    license: (0, 0),
    revision: 0,
};

/// No other test listens here: a port that a kernel left is free when it comes again.
const APART: [u8; 4] = [127, 0, 0, 2];
