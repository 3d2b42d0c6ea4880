//! Whole installations of earlier builds, served by today's daemon.

use std::fs;

use serde_json::{Value, json};

use crate::{
    fixture::Fixture,
    world::{Kernel, Start},
};

#[tokio::test]
async fn an_installation_of_any_version_is_served() {
    for fixture in Fixture::all("kernel") {
        let mut kernel = Kernel::init(Start::default());
        fs::remove_dir_all(kernel.data()).unwrap();
        fixture.unpack(&kernel.data());
        kernel.serve().await;
        for tenant in fixture.expected["tenants"].as_array().unwrap() {
            let id = tenant["tenant"].as_str().unwrap();
            let expected = tenant["events"].as_array().unwrap();
            let events = kernel.events(id).await;
            // A start may add to a log, never change what stands in it.
            let found: Vec<Value> = events.iter().take(expected.len()).map(short).collect();
            let expected: Vec<Value> = expected
                .iter()
                .map(|event| json!([event["seq"], event["kind"], event["event_id"]]))
                .collect();
            assert_eq!(found, expected, "{}", fixture.version);
        }
        // Its keys still sign and its authority still enrolls.
        let tenant = kernel.company().await;
        kernel.runtime(&tenant, "on_prem").await;
        let log = kernel.stop().await;
        assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    }
}

fn short(event: &Value) -> Value {
    json!([event["seq"], event["kind"], event["data"]["event_id"]])
}
