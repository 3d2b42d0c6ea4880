//! Processes that die right before a step on their disk, at each step in turn: strace kills them as
//! they begin the system call.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    strace::Strace,
    world::{Connector, HOUR_MS, Kernel, now, say, until},
};

/// What becomes of a certificate that a connector begins with.
struct Ailing {
    /// How long ago it began, and how long it lasts.
    age_ms: u64,
    life_ms: u64,
    /// The event by which the kernel gives another.
    heals_by: &'static str,
}

#[tokio::test]
async fn a_connector_that_dies_at_any_step_of_a_renewal_gets_one_certificate_and_uses_it() {
    dies_at_each_step(Ailing {
        age_ms: 15 * HOUR_MS,
        life_ms: 24 * HOUR_MS,
        heals_by: "runtime.certificate-renewed",
    })
    .await;
}

#[tokio::test]
async fn a_connector_that_dies_at_any_step_of_a_recovery_recovers_once_and_comes_back() {
    dies_at_each_step(Ailing {
        age_ms: 2 * HOUR_MS,
        life_ms: HOUR_MS,
        heals_by: "runtime.recovered",
    })
    .await;
}

#[tokio::test]
async fn a_kernel_that_dies_at_any_step_of_a_rotation_takes_it_up_where_it_was() {
    let whole = rotated(&mut Kernel::start().await, None).await;
    assert!(!whole.died);
    for calls in [CHANGES, SYNCS] {
        let mut deaths = 0;
        loop {
            let mut kernel = Kernel::start().await;
            let killing = killing(calls, deaths + 1);
            let how: Vec<&str> = killing.iter().map(String::as_str).collect();
            let strace = Strace::attach(&kernel, &how).await;
            let end = rotated(&mut kernel, Some(strace)).await;
            assert_eq!(end.files, whole.files, "{calls}: {deaths}");
            if !end.died {
                break;
            }
            deaths += 1;
            assert!(deaths < STEPS_MAX, "it never comes to an end");
        }
        assert!(deaths > 1, "{calls}: {deaths}");
        say(&format!("a rotation, {calls}: {deaths} deaths"));
    }
}

/// How a rotation ended.
struct Rotated {
    died: bool,
    /// How many files of each kind lie in the data folder.
    files: Vec<(&'static str, usize)>,
}

/// Takes every step of a rotation, again where the kernel died over it and had not done it.
async fn rotated(kernel: &mut Kernel, strace: Option<Strace>) -> Rotated {
    let first = ca(kernel).await;
    let mut died = false;
    for (step, phase) in [
        ("prepare", "prepared"),
        ("activate", "activated"),
        ("retire", "settled"),
    ] {
        let body = json!({ "step": step });
        let path = "/v1/keys/ca/rotation";
        let answer = kernel.try_ask(Method::POST, path, Some(body.clone())).await;
        if let Some(answer) = answer {
            answer.must(200);
            continue;
        }
        died = true;
        again(kernel).await;
        if ca(kernel).await["phase"] != phase {
            kernel.post(path, body).await;
        }
    }
    drop(strace);
    // It may have died after its last answer.
    if kernel
        .try_ask(Method::GET, "/v1/keys/ca", None)
        .await
        .is_none()
    {
        died = true;
        again(kernel).await;
    }
    let last = ca(kernel).await;
    assert_eq!(last["phase"], "settled");
    assert_ne!(last["active"], first["active"]);
    let tenant = kernel.company().await;
    kernel.runtime(&tenant, "on_prem").await;
    let names: BTreeSet<String> = std::fs::read_dir(kernel.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let kinds = [".key", ".pem", ".tmp"];
    let files = kinds.map(|kind| {
        let of_kind = names.iter().filter(|name| name.ends_with(kind));
        (kind, of_kind.count())
    });
    Rotated {
        died,
        files: files.into(),
    }
}

/// Waits until it is dead, and starts it again.
async fn again(kernel: &mut Kernel) {
    kernel.ended().await;
    kernel.serve().await;
}

async fn ca(kernel: &Kernel) -> Value {
    kernel.get("/v1/keys/ca").await.must(200).json
}

/// One connector after the other dies one step later, until one does not.
async fn dies_at_each_step(ailing: Ailing) {
    let kernel = Kernel::start().await;
    for calls in [CHANGES, SYNCS] {
        let mut deaths = 0;
        while died_and_healed(&kernel, &ailing, killing(calls, deaths + 1)).await {
            deaths += 1;
            assert!(deaths < STEPS_MAX, "it never comes to an end");
        }
        assert!(deaths > 1, "{calls}: {deaths}");
        say(&format!("{}, {calls}: {deaths} deaths", ailing.heals_by));
    }
}

/// Runs a connector that is killed like this, and runs it again; says whether it died.
async fn died_and_healed(kernel: &Kernel, ailing: &Ailing, killing: Vec<String>) -> bool {
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let mut connector = Connector::enrolled(&token, kernel.port());
    let began = now().minus_millis(ailing.age_ms);
    let first = connector.certify(kernel, began, ailing.life_ms);

    // With -D it is strace that is the child, and the connector that is killed below.
    connector.under = vec!["strace".to_owned(), "-D".to_owned(), "-f".to_owned()];
    connector.under.extend(killing);
    connector.run();
    let died = until("it is dead, or healed", async || {
        let healed = serial(&connector, &first).await.is_some();
        (connector.has_ended() || healed).then_some(!healed)
    });
    let died = died.await;
    connector.kill();
    connector.under.clear();
    connector.run();
    let held = until("it is healed", async || serial(&connector, &first).await).await;

    let events = kernel.events(&tenant).await;
    let healing: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == ailing.heals_by)
        .collect();
    assert_eq!(healing.len(), 1, "{events:?}");
    assert_eq!(healing[0]["data"]["serial"], held.as_str(), "{events:?}");
    died
}

/// The certificate in use, once it is another than the first, its session stands, and its key waits
/// for nothing.
async fn serial(connector: &Connector, first: &str) -> Option<String> {
    let status = connector.try_get("/status").await?.json;
    let serial = status["certificate"]["serial"].as_str()?;
    let waits = ["keys/pending.key", "keys/recovery.key"]
        .iter()
        .any(|file| connector.data().join(file).exists());
    let up = status["link"]["state"] == "up";
    (serial != first && up && !waits).then(|| serial.to_owned())
}

/// What makes strace kill whom it looks at as a thread begins its call of this number.
fn killing(calls: &str, number: usize) -> Vec<String> {
    let inject = format!("inject={calls}:signal=KILL:when={number}");
    let trace = format!("trace={calls}");
    let words = ["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    words.map(str::to_owned).into()
}

/// What changes the names in a folder. Not every machine has all of them.
const CHANGES: &str = "?rename,?renameat,renameat2,?symlink,symlinkat,?unlink,unlinkat";

/// What makes a file durable.
const SYNCS: &str = "fsync,fdatasync";

/// Several times what any of it takes.
const STEPS_MAX: usize = 60;
