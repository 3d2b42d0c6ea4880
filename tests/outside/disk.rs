//! A disk that is nearly full is an alarm long before it is a refusal.

use serde_json::{Value, json};

use crate::world::{Kernel, Start, until};

#[tokio::test]
async fn a_disk_nearly_full_is_an_alarm_and_writes_go_on() {
    let start = |limits: &str| Start {
        limits: limits.to_owned(),
        ..Start::default()
    };
    // No disk has so much free.
    let mut kernel = Kernel::start_as(start("disk_low_bytes = 9000000000000000000\n")).await;
    let disk = alarm(&kernel, true).await;
    assert_eq!(disk["low_bytes"], 9_000_000_000_000_000_000_u64);
    kernel.company().await;
    assert_eq!(alarms(&kernel).await, ["install.disk-low"]);
    let metrics = kernel.get("/metrics").await.must(200).text;
    assert!(metrics.contains("provost_disk_low 1"), "{metrics}");
    assert!(metrics.contains("provost_disk_free_bytes "), "{metrics}");
    assert!(kernel.stop().await.contains("the disk is nearly full"));

    // The same disk after a restart is no second alarm.
    kernel.serve().await;
    alarm(&kernel, true).await;
    assert_eq!(alarms(&kernel).await, ["install.disk-low"]);
    kernel.stop().await;

    // And a disk that is well again ends it, once.
    kernel.start_next(start("disk_free_bytes_min = 0\ndisk_low_bytes = 1\n"));
    kernel.serve().await;
    alarm(&kernel, false).await;
    let both = ["install.disk-low", "install.disk-recovered"];
    assert_eq!(alarms(&kernel).await, both);
}

/// Waits until the status says so.
async fn alarm(kernel: &Kernel, low: bool) -> Value {
    until("the disk was looked at", async || {
        let status = kernel.get("/v1/status").await.must(200).json;
        (status["disk"]["low"] == json!(low)).then(|| status["disk"].clone())
    })
    .await
}

/// The alarms in the internal tenant's log.
async fn alarms(kernel: &Kernel) -> Vec<String> {
    let install = std::fs::read(kernel.data().join("install.json")).unwrap();
    let install: Value = serde_json::from_slice(&install).unwrap();
    let internal = install["internal_tenant"].as_str().unwrap();
    let events = kernel.events(internal).await;
    let kinds = events.iter().filter_map(|event| event["kind"].as_str());
    kinds
        .filter(|kind| kind.starts_with("install."))
        .map(str::to_owned)
        .collect()
}
