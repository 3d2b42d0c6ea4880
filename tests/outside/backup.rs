//! Backup, restore and rebuild by the command line, beside real daemons.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::world::{Kernel, Runtime, provost};

/// A kernel with a history, still running.
async fn grown() -> (Kernel, Runtime) {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "exports", "limit": 10}))
        .await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    runtime
        .consume(&kernel, ("exports", 4), "order-1")
        .await
        .must(200);
    (kernel, runtime)
}

/// A path as a word of a command.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command that must end so; gives what it answered.
pub(crate) fn asked(words: &[&str], code: i32) -> Value {
    let mut all = words.to_vec();
    all.extend(["--output", "json"]);
    let done = provost(&all);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(code), "{words:?}: {said}");
    let answer = String::from_utf8(done.stdout).unwrap();
    serde_json::from_str(&answer).unwrap_or(Value::String(said))
}

/// Makes a backup of a data folder.
pub(crate) fn backup(data: &Path, to: &Path) -> Value {
    let words = ["backup", "create", "--data", text(data), "--to", text(to)];
    asked(&words, 0)
}

#[tokio::test]
async fn a_kernel_serves_from_a_restored_backup_in_a_new_epoch() {
    let (mut kernel, runtime) = grown().await;
    let tenant = runtime.tenant.clone();
    let file = kernel.folder().join("one.backup");
    let made = backup(&kernel.data(), &file);
    let log = kernel.events(&tenant).await;
    assert_eq!(made["holds"], true);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let verified = asked(&["backup", "verify", text(&file)], 0);
    assert_eq!(made, verified);
    // What the backup does not have.
    runtime
        .consume(&kernel, ("exports", 3), "order-2")
        .await
        .must(200);
    kernel.stop().await;
    let data = kernel.data();
    fs::rename(&data, kernel.folder().join("lost")).unwrap();

    let install = verified["install_id"].as_str().unwrap();
    let words = ["backup", "restore", text(&file), "--to", text(&data)];
    let restored = asked(&[&words[..], &["--expect-install", install]].concat(), 0);
    kernel.serve().await;

    let after = kernel.events(&tenant).await;
    assert_eq!(after[..log.len()], log[..]);
    let first = &after[log.len()];
    let of_tenant = |one: &&Value| one["tenant_id"] == tenant.as_str();
    let told = restored["tenants"].as_array().unwrap();
    let told = told.iter().find(of_tenant).unwrap();
    assert_eq!(first["kind"], "log.restored");
    assert_eq!(first["epoch"], told["epoch"]);
    assert_eq!(first["seq"], json!(log.len() + 1));
    assert_eq!(
        first["data"],
        json!({"old_epoch": 1, "size": log.len(), "root": told["root"]})
    );
    // The same keys and certificates: the runtime is known, and what was lost can be done again.
    runtime.beat(&kernel).await.must(200);
    let again = runtime
        .consume(&kernel, ("exports", 3), "order-2")
        .await
        .must(200);
    assert_eq!(again.status, 200);
    let events = kernel.events(&tenant).await;
    let mut named: Vec<(u64, u64)> = events
        .iter()
        .map(|event| {
            let number = |field: &str| event[field].as_u64().unwrap();
            (number("epoch"), number("seq"))
        })
        .collect();
    assert!(named.is_sorted_by(|one, next| one < next), "{named:?}");
    named.dedup_by_key(|(epoch, _)| *epoch);
    assert_eq!(named.len(), 2, "{named:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_backup_is_said_by_name_and_exit_code() {
    let (kernel, _) = grown().await;
    let folder = kernel.folder().to_owned();
    let file = folder.join("one.backup");
    backup(&kernel.data(), &file);
    let said = |words: &[&str], code: i32, why: &str| {
        let answer = asked(words, code);
        let answer = answer["why"]
            .as_str()
            .map_or(answer.to_string(), str::to_owned);
        assert!(answer.contains(why), "{words:?}: {answer}");
    };
    let (data, to) = (kernel.data(), folder.join("new"));
    let (data, to) = (text(&data), text(&to));
    let one = text(&file);
    said(
        &["backup", "create", "--data", data, "--to", one],
        1,
        "exists",
    );
    said(
        &["backup", "create", "--data", to, "--to", "x"],
        2,
        "no installation",
    );
    said(&["backup", "restore", one, "--to", data], 1, "empty folder");
    let other = "01890a5d-ac96-774b-bcce-b302099a8057";
    let words = [
        "backup",
        "restore",
        one,
        "--to",
        to,
        "--expect-install",
        other,
    ];
    said(&words, 1, other);

    let whole = fs::read(&file).unwrap();
    let bad = folder.join("bad.backup");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut newer = whole.clone();
    newer[8] = 9;
    let cases = [
        (&whole[..whole.len() - 1], 4, "cut short"),
        (&whole[..100], 4, "cut short"),
        (&flipped, 4, "damaged"),
        (&newer, 1, "newer program"),
        (b"nothing of the kind", 4, "no backup"),
    ];
    for (bytes, code, why) in cases {
        fs::write(&bad, bytes).unwrap();
        said(&["backup", "verify", text(&bad)], code, why);
        said(&["backup", "restore", text(&bad), "--to", to], code, why);
    }
    assert!(!Path::new(to).exists(), "a refusal leaves nothing");
    said(&["store", "rebuild", "--data", data], 1, "in use");
}

#[tokio::test]
async fn a_restore_killed_anywhere_leaves_a_folder_that_is_whole_or_refused() {
    let (mut kernel, runtime) = grown().await;
    let file = kernel.folder().join("one.backup");
    backup(&kernel.data(), &file);
    kernel.stop().await;
    let data = kernel.data();
    fs::rename(&data, kernel.folder().join("lost")).unwrap();
    let mut refused = 0;
    for round in 0..KILLS {
        let mut child = Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(["backup", "restore", text(&file), "--to", text(&data)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // As soon as the folder holds so many files more: each round is killed a little later.
        let deadline = Instant::now() + Duration::from_secs(60);
        while count(&data) <= round && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the restore does nothing");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if data.join("restore.incomplete").exists() {
            let words = ["backup", "restore", text(&file), "--to", text(&data)];
            let why = asked(&words, 1).to_string();
            assert!(why.contains("interrupted restore"), "{why}");
            let (status, log) = kernel.refuses_to_start().await;
            assert!(!status.success());
            assert!(log.contains("interrupted restore"), "{log}");
            refused += 1;
        }
        let _ = fs::remove_dir_all(&data);
    }
    assert!(refused > KILLS / 2, "{refused}");
    let words = ["backup", "restore", text(&file), "--to", text(&data)];
    asked(&words, 0);
    kernel.serve().await;
    runtime.beat(&kernel).await.must(200);
}

/// Everything below a folder.
fn count(dir: &Path) -> usize {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let below = |path: &Path| if path.is_dir() { count(path) } else { 0 };
    entries
        .flatten()
        .map(|entry| 1 + below(&entry.path()))
        .sum()
}

#[tokio::test]
async fn a_rebuild_says_how_much_it_did_and_changes_no_answer() {
    let (mut kernel, runtime) = grown().await;
    let before = kernel.events(&runtime.tenant).await;
    kernel.stop().await;
    let data = kernel.data();
    let rebuilt = asked(&["store", "rebuild", "--data", text(&data)], 0);
    let events = rebuilt["events"].as_u64().unwrap();
    assert!(events >= u64::try_from(before.len()).unwrap(), "{rebuilt}");
    assert!(rebuilt["seconds"].as_f64().unwrap() > 0.0, "{rebuilt}");
    assert!(
        rebuilt["events_per_second"].as_u64().unwrap() > 0,
        "{rebuilt}"
    );
    let told = provost(&["store", "rebuild", "--data", text(&data)]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("events a second"), "{told}");
    kernel.serve().await;
    assert_eq!(kernel.events(&runtime.tenant).await, before);
    runtime.beat(&kernel).await.must(200);
}

/// The folder of a small installation holds a few files more than this when it is restored.
const KILLS: usize = 10;
