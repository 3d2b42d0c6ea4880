//! What lasts: kills, deleted state, torn and damaged journals, a full disk.

use std::{fs, io::Write as _, os::unix::fs::FileExt as _};

use serde_json::{Value, json};

use crate::world::{Kernel, Runtime, Start};

/// A kernel with a history.
async fn grown(start: Start) -> (Kernel, Runtime) {
    let kernel = Kernel::start_as(start).await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "exports", "limit": 10}))
        .await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    runtime
        .consume(&kernel, ("exports", 4), "order-1")
        .await
        .must(200);
    runtime
        .audit(&kernel, &runtime.event(json!({"n": 1})))
        .await
        .must(202);
    (kernel, runtime)
}

/// What everybody outside can see of a tenant.
async fn seen(kernel: &Kernel, runtime: &Runtime) -> Value {
    let tenant = &runtime.tenant;
    json!({
        "log": kernel.events(tenant).await,
        "tenant": kernel.get(&format!("/v1/tenants/{tenant}")).await.must(200).json,
        "entitlements": kernel.get(&format!("/v1/tenants/{tenant}/entitlements")).await.must(200).json,
        "check": runtime.check(kernel, "exports").await.must(200).json,
        "again": runtime.consume(kernel, ("exports", 4), "order-1").await.must(200).json,
    })
}

#[tokio::test]
async fn a_killed_kernel_gives_the_same_answers_after_its_restart() {
    let (mut kernel, runtime) = grown(Start::default()).await;
    let before = seen(&kernel, &runtime).await;
    kernel.kill();
    kernel.serve().await;
    assert_eq!(seen(&kernel, &runtime).await, before);
    runtime.beat(&kernel).await.must(200);
}

#[tokio::test]
async fn a_deleted_state_is_rebuilt_from_the_journal() {
    let (mut kernel, runtime) = grown(Start::default()).await;
    let before = seen(&kernel, &runtime).await;
    kernel.kill();
    fs::remove_dir_all(kernel.data().join("state")).unwrap();
    kernel.serve().await;
    assert_eq!(seen(&kernel, &runtime).await, before);
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_logged() {
    let (mut kernel, runtime) = grown(Start::default()).await;
    let before = seen(&kernel, &runtime).await;
    kernel.stop().await;
    let last = kernel.segments().pop().unwrap();
    let whole = fs::metadata(&last).unwrap().len();
    let mut file = fs::OpenOptions::new().append(true).open(&last).unwrap();
    file.write_all(&[0x50, 0x56, 0x53, 0x54, 0, 0, 0]).unwrap();
    drop(file);

    kernel.serve().await;

    let log = kernel.log();
    let cut = log.lines().find(|line| line.contains("torn end"));
    let cut: Value = serde_json::from_str(cut.expect("the cut is logged")).unwrap();
    assert_eq!(
        (&cut["level"], &cut["journal.offset"], &cut["journal.bytes"]),
        (&json!("WARN"), &json!(whole), &json!(7))
    );
    assert_eq!(
        seen(&kernel, &runtime).await,
        before,
        "nothing acknowledged was in it"
    );
}

#[tokio::test]
async fn a_damaged_middle_keeps_the_kernel_from_starting_and_is_named() {
    let (mut kernel, runtime) = grown(Start::default()).await;
    for n in 0..5 {
        runtime
            .audit(&kernel, &runtime.event(json!({"n": n})))
            .await
            .must(202);
    }
    kernel.stop().await;
    let last = kernel.segments().pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&last).unwrap();
    let middle = bytes.len() / 2;
    file.write_all_at(&[!bytes[middle]], u64::try_from(middle).unwrap())
        .unwrap();

    let (status, log) = kernel.refuses_to_start().await;

    assert!(!status.success(), "{status}");
    let name = last.file_name().unwrap().to_str().unwrap();
    assert!(log.contains(name) && log.contains("byte"), "{log}");
    assert_eq!(
        fs::read(&last).unwrap().len(),
        bytes.len(),
        "nothing on the disk is touched"
    );
    file.write_all_at(&[bytes[middle]], u64::try_from(middle).unwrap())
        .unwrap();
    kernel.serve().await;
    runtime.beat(&kernel).await.must(200);
}

#[tokio::test]
async fn a_kernel_that_cannot_write_says_so_and_goes_on_reading() {
    let limit = format!("--fsize={FILE_BYTES_MAX}");
    let limited = Start {
        under: vec!["prlimit".to_owned(), limit],
        ..Start::default()
    };
    let (mut kernel, runtime) = grown(limited).await;
    let mut recorded = Vec::new();
    let refused = loop {
        let event = runtime.event(json!({"x": "x".repeat(40_000)}));
        let answer = runtime.audit(&kernel, &event).await;
        if answer.status != 202 {
            break answer;
        }
        recorded.push(event);
        assert!(recorded.len() < 200, "the limit is never met");
    };

    refused.must_refuse(503, "storage_unavailable");
    let event = runtime.event(json!({"x": "x".repeat(40_000)}));
    runtime
        .audit(&kernel, &event)
        .await
        .must_refuse(503, "storage_unavailable");
    assert_eq!(
        runtime.check(&kernel, "exports").await.must(200).json["allowed"],
        true
    );
    runtime.beat(&kernel).await.must(200);
    assert!(!kernel.events(&runtime.tenant).await.is_empty());

    kernel.kill();
    kernel.start_next(Start::default());
    kernel.serve().await;
    runtime.audit(&kernel, &event).await.must(202);
    let events = kernel.events(&runtime.tenant).await;
    for event in recorded {
        let there = events
            .iter()
            .filter(|one| one["data"]["event_id"] == event["event_id"]);
        assert_eq!(there.count(), 1, "{}", event["event_id"]);
    }
}

/// Room for the state's first files, and for some dozens of large events in the journal.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;
