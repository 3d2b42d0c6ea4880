//! The certificate authority is exchanged under a fleet that works.

mod member;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use provost_certs::{Alpn, TrustBundle};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use self::member::{Done, Member, Rhythm};
use crate::world::{Connector, Kernel, Start, say, until, wait::until_within};

/// Takes a step; gives what is then.
async fn step(kernel: &Kernel, step: &str, force: bool) -> Value {
    let body = json!({"step": step, "force": force});
    let answer = kernel.post("/v1/keys/ca/rotation", body).await;
    answer.json["ca"].clone()
}

async fn ca(kernel: &Kernel) -> Value {
    kernel.get("/v1/keys/ca").await.must(200).json
}

async fn until_confirmed(kernel: &Kernel) {
    until("the whole fleet has confirmed", async || {
        let shown = ca(kernel).await;
        (shown["adoption"]["missing"] == 0).then_some(())
    })
    .await;
}

/// Waits until everybody has connected and beaten anew, on average.
async fn go_round(done: &Done, fleet: u64) {
    let count = || {
        let handshakes = done.handshakes.load(Ordering::Relaxed);
        (handshakes, done.beats.load(Ordering::Relaxed))
    };
    let before = count();
    let limit = WITHIN + 3 * rhythm(fleet).session();
    until_within(limit, "the fleet went round", async || {
        let now = count();
        (now.0 >= before.0 + fleet && now.1 >= before.1 + fleet).then_some(())
    })
    .await;
}

/// What the daemon's own counter says of failed handshakes.
async fn failed_handshakes(kernel: &Kernel) -> Vec<String> {
    let figures = kernel.get("/metrics").await.must(200).text;
    let lines = figures.lines().map(str::to_owned);
    lines
        .filter(|line| line.starts_with("provost_handshakes_failed") && !line.ends_with(" 0"))
        .collect()
}

/// `PROVOST_ROTATION_RUNTIMES=1000` is the size of the issue.
fn fleet_size() -> u64 {
    std::env::var("PROVOST_ROTATION_RUNTIMES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(RUNTIMES)
}

/// Two cores run kernel and fleet, in a debug build: as many beats and handshakes a second, however
/// many there are. More is a crowd, of which some would rightly be refused.
fn rhythm(fleet: u64) -> Rhythm {
    let beat_ms = (1_000 * fleet / BEATS_A_SECOND).clamp(200, INTERVAL_MS);
    let sessions_ms = 1_000 * fleet / HANDSHAKES_A_SECOND;
    let beats = u32::try_from(sessions_ms.div_ceil(beat_ms)).unwrap();
    Rhythm {
        beat: Duration::from_millis(beat_ms),
        // The first comes with the handshake: every exchange of roots meets some of both.
        beats_a_session: 1 + beats.max(1),
    }
}

impl Rhythm {
    fn session(self) -> Duration {
        self.beat * (self.beats_a_session - 1)
    }
}

fn roomy() -> Start {
    Start {
        limits: "enrolments_per_second = 1000\nenrolments_per_address_per_second = 1000\n"
            .to_owned(),
        ..Start::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_live_runtimes_fails_no_handshake_and_misses_no_heartbeat() {
    let kernel = Kernel::start_as(roomy()).await;
    let (size, done) = (fleet_size(), Arc::new(Done::default()));
    let (stop, stopping) = watch::channel(false);
    let (renew, due) = watch::channel(false);
    let mut tenants = Vec::new();
    for _ in 0..TENANTS {
        tenants.push(kernel.company().await);
    }
    let mut fleet = JoinSet::new();
    let trust = TrustBundle::from_pem(&kernel.root_pem()).unwrap();
    for (_, tenant) in (0..size).zip(tenants.iter().cycle()) {
        let member = Member {
            runtime: kernel.enroll(tenant, "on_prem").await,
            addr: kernel.port().to_string(),
            trust: trust.clone(),
            done: Arc::clone(&done),
            rhythm: rhythm(size),
            due: due.clone(),
        };
        fleet.spawn(member.live(stopping.clone()));
    }
    go_round(&done, size).await;
    let first = ca(&kernel).await;
    assert_eq!(first["phase"], "settled");

    let prepared = step(&kernel, "prepare", false).await;
    assert_eq!(prepared["phase"], "prepared");
    go_round(&done, size).await;
    until_confirmed(&kernel).await;
    let activated = step(&kernel, "activate", false).await;
    let at = Instant::now();
    assert_eq!(activated["active"], prepared["next"]);
    assert_eq!(activated["old"], first["active"]);
    go_round(&done, size).await;

    // Their certificates are of the old root still: retirement would cut them off, and says so.
    let refused = json!({"step": "retire"});
    kernel
        .ask(Method::POST, "/v1/keys/ca/rotation", Some(refused))
        .await
        .must_refuse(409, "rotation_in_use");
    // They work on until what is signed counts as of the new root (docs/operations.md).
    while at.elapsed() < COUNTED_AS_OLD {
        go_round(&done, size).await;
    }
    renew.send_replace(true);
    let limit = WITHIN + 3 * rhythm(size).session();
    until_within(limit, "the fleet is of the new root", async || {
        let shown = ca(&kernel).await;
        (shown["adoption"]["old_certificates"] == 0).then_some(())
    })
    .await;
    let retired = step(&kernel, "retire", false).await;
    assert_eq!(retired["phase"], "settled");
    assert_eq!(retired["active"], activated["active"]);
    go_round(&done, size).await;

    // Before they stop: whoever has stopped for long is rightly called lost.
    for tenant in &tenants {
        let events = kernel.events(tenant).await;
        let of = |kind: &str| events.iter().find(|event| event["kind"] == kind);
        assert_eq!(of("runtime.lost"), None);
        assert!(of("runtime.trust-confirmed").is_some());
    }
    stop.send_replace(true);
    while let Some(ended) = fleet.join_next().await {
        ended.expect("no handshake failed, and no heartbeat was missed");
    }
    assert_eq!(failed_handshakes(&kernel).await, Vec::<String>::new());
    say(&format!("a rotation under {size} live runtimes: {done:?}"));
    let longest_gap_ms = done.longest_gap_ms.load(Ordering::Relaxed);
    assert!(
        longest_gap_ms < LATE_MS,
        "a beat was late: {longest_gap_ms} ms"
    );
}

#[tokio::test]
async fn a_connector_that_was_off_throughout_comes_back() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut away = Connector::start_as(&kernel, &tenant, "on_prem").await;
    away.kill();
    step(&kernel, "prepare", false).await;
    let activate = json!({"step": "activate"});
    kernel
        .ask(Method::POST, "/v1/keys/ca/rotation", Some(activate))
        .await
        .must_refuse(409, "rotation_not_adopted");
    let activated = step(&kernel, "activate", true).await;
    assert_eq!(activated["phase"], "activated");

    // It believes the old root alone, and shows a certificate of it.
    away.run();
    away.link("up").await;
    until_confirmed(&kernel).await;
    let held = TrustBundle::from_pem(&away.kept_text("keys/root.pem")).unwrap();
    assert_eq!(held.id(), activated["bundle"].as_str().unwrap());
    away.kill();
    away.run();
    away.link("up").await;
}

#[tokio::test]
async fn a_connector_that_was_off_until_its_root_was_retired_recovers() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut away = Connector::start_as(&kernel, &tenant, "on_prem").await;
    away.kill();
    for step_name in ["prepare", "activate"] {
        step(&kernel, step_name, true).await;
    }
    let settled = step(&kernel, "retire", true).await;
    assert_eq!(settled["phase"], "settled");

    // What it holds is of a root that is gone, for years yet; its binding key is its own.
    away.run();
    away.link("up").await;
    until("it trusts the new root", async || {
        let held = TrustBundle::from_pem(&away.kept_text("keys/root.pem")).ok()?;
        (held.id() == settled["bundle"].as_str()?).then_some(())
    })
    .await;
    let events = kernel.events(&tenant).await;
    assert!(
        events
            .iter()
            .any(|event| event["kind"] == "runtime.recovered")
    );
    // And follows from here on.
    step(&kernel, "prepare", false).await;
    until_confirmed(&kernel).await;
}

#[tokio::test]
async fn a_rotation_stands_after_a_kill_between_any_two_of_its_steps() {
    let mut kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    for (step_name, phase) in [
        ("prepare", "prepared"),
        ("activate", "activated"),
        ("retire", "settled"),
    ] {
        let shown = step(&kernel, step_name, true).await;
        assert_eq!(shown["phase"], phase);
        kernel.kill();
        kernel.serve().await;
        let again = ca(&kernel).await;
        for field in ["phase", "active", "next", "old", "bundle"] {
            assert_eq!(again[field], shown[field], "{step_name}: {field}");
        }
    }
    assert!(
        !kernel.data().join("ca.key").exists(),
        "the retired key is gone"
    );
    // Of the retired root: it is not let in any more; who enrolls now is.
    assert!(
        runtime
            .tls(&kernel, Alpn::Provost1)
            .connect(&kernel.port().to_string(), WITHIN)
            .await
            .is_ok()
    );
    let asked = runtime
        .try_send(&kernel, &runtime.checking("reports", json!({})))
        .await;
    assert!(asked.is_err(), "{asked:?}");
}

#[tokio::test]
async fn a_root_that_is_given_up_leaves_nothing_behind() {
    let kernel = Kernel::start().await;
    let before = ca(&kernel).await;
    step(&kernel, "prepare", false).await;
    let aborted = step(&kernel, "abort", false).await;
    assert_eq!(
        (&aborted["phase"], &aborted["active"]),
        (&json!("settled"), &before["active"])
    );
    assert_eq!(aborted["bundle"], before["bundle"]);
    let entries = std::fs::read_dir(kernel.data()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.starts_with("ca-")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn the_command_line_takes_each_step_and_names_who_is_missing() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let run = |words: &[&str]| kernel.command(&[&["key", "rotate", "ca"], words].concat());
    assert!(run(&["--prepare"]).0);
    let (_, text) = run(&["--status", "--output", "json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["adoption"]["missing"], 1);
    // It speaks v0.1, in which nothing can be confirmed.
    assert_eq!(
        status["not_confirmed"][0]["runtime_id"],
        runtime.id.as_str()
    );
    assert_eq!(status["not_confirmed"][0]["adoption"], "delivered");
    assert!(!run(&["--activate"]).0);
    assert!(run(&["--activate", "--force"]).0);
    assert!(!run(&["--retire"]).0);
    assert!(run(&["--retire", "--force"]).0);
    assert!(run(&["--status"]).1.contains("settled"));
    assert!(!run(&[]).0, "a step is named");
    assert!(!run(&["--prepare", "--abort"]).0, "one step");
}

/// A test of seconds; the thousand is asked for by the environment.
const RUNTIMES: u64 = 24;

const TENANTS: usize = 3;

/// What a small fleet is told.
const INTERVAL_MS: u64 = 10_000;

/// One interval and a half: from then on the kernel calls a runtime late.
const LATE_MS: u64 = 15_000;

/// A tenth of a core in a debug build.
const BEATS_A_SECOND: u64 = 100;

/// Of a debug build on two cores that shake hands with themselves: an eighth of their time, which a
/// machine that also builds has left.
const HANDSHAKES_A_SECOND: u64 = 25;

/// As the operator's page says, and a moment.
const COUNTED_AS_OLD: Duration = Duration::from_secs(41);

/// A debug build on a machine that compiles beside it.
const WITHIN: Duration = Duration::from_secs(30);
