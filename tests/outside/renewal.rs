//! Certificates that are renewed: over HTTPS by a runtime's maker, over frames by the connector.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_certs::{Keystore, TlsKey};
use provost_protocol::Timestamp;
use serde_json::{Value, json};

use crate::world::{Answer, Connector, HOUR_MS, Kernel, Runtime, now, until};

#[tokio::test]
async fn a_runtime_renews_over_https_and_a_revocation_ends_both_certificates() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut runtime = kernel.runtime(&tenant, "on_prem").await;
    let key = TlsKey::generate().unwrap();
    renew(&kernel, &runtime, &key)
        .await
        .must_refuse(422, "invalid");
    runtime.version = "v0.2";
    let answer = renew(&kernel, &runtime, &key).await.must(200);
    assert_eq!(
        renew(&kernel, &runtime, &key).await.must(200).json,
        answer.json,
        "a lost answer is repeated"
    );
    let of_pair = renew(
        &kernel,
        &runtime,
        &TlsKey::from_pem(&runtime.key_pem).unwrap(),
    )
    .await;
    of_pair.must_refuse(422, "csr_refused");

    let renewed =
        runtime.with_certificate(&kernel, key.to_pem().expose(), &answer.str("certificate"));
    renewed.beat(&kernel).await.must(200);
    // The overlap: the certificate before is as good.
    runtime.beat(&kernel).await.must(200);
    let week = 7 * 24 * 60 * 60 * 1_000;
    let life = answer.str("not_after").parse::<Timestamp>().unwrap();
    assert!(life.millis_since(now()) <= week, "{answer:?}");

    let path = format!("/v1/tenants/{tenant}/runtimes/{}/revoke", runtime.id);
    kernel.post(&path, json!({"reason": "stolen"})).await;
    let events = kernel.events(&tenant).await;
    let revoked = of_kind(&events, "runtime.revoked");
    assert_eq!(revoked[0]["data"]["serials"].as_array().unwrap().len(), 2);
    for one in [&runtime, &renewed] {
        let path = format!("/kernel/runtimes/{}/heartbeat", one.id);
        let beat = one.asking(&path, &json!({"status": "healthy"}));
        // Refused at the handshake, or on the connection that stood.
        if let Ok(answer) = one.try_send(&kernel, &beat).await {
            answer.must_refuse(401, "runtime_revoked");
        }
    }
}

#[tokio::test]
async fn a_suspended_runtime_renews_and_what_is_no_request_is_refused() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut runtime = kernel.runtime(&tenant, "on_prem").await;
    runtime.version = "v0.2";
    let path = format!("/kernel/runtimes/{}/certificate", runtime.id);
    for csr in ["%", "", "AAAA"] {
        let answer = runtime.call(&kernel, &path, json!({"csr": csr})).await;
        answer.must_refuse(422, "csr_refused");
    }
    let bare = runtime.call(&kernel, &path, json!({})).await;
    bare.must_refuse(400, "malformed");
    let suspend = format!("/v1/tenants/{tenant}/suspend");
    kernel.post(&suspend, json!({"reason": "unpaid"})).await;
    let key = TlsKey::generate().unwrap();
    renew(&kernel, &runtime, &key).await.must(200);
}

#[tokio::test]
async fn a_connector_renews_when_it_is_due_and_misses_no_beat() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let mut connector = Connector::enrolled(&token, kernel.port());
    // In the second half of its life.
    let first = connector.certify(&kernel, now().minus_millis(15 * HOUR_MS), 24 * HOUR_MS);
    connector.run();
    connector.link("up").await;

    let renewed = until("the certificate is renewed", async || {
        let status = connector.try_get("/status").await?.json;
        let serial = status["certificate"]["serial"].as_str()?;
        (serial != first).then(|| status.clone())
    });
    let renewed = renewed.await;
    assert_eq!(renewed["certificate"]["warning"], Value::Null, "{renewed}");
    // It shows the new one right after an answered beat: the next generation of its session.
    let again = until("the session begins anew", async || {
        let status = connector.try_get("/status").await?.json;
        (status["generation"].as_u64()? > 1 && status["link"]["state"] == "up").then_some(status)
    });
    again.await;
    let events = kernel.events(&tenant).await;
    assert_eq!(of_kind(&events, "runtime.certificate-renewed").len(), 1);
    assert!(of_kind(&events, "runtime.lost").is_empty());
    // On disk: the new pair in use, the one before it kept.
    let keystore = Keystore::open(&connector.data().join("keys")).unwrap();
    let serial = renewed["certificate"]["serial"].as_str().unwrap();
    assert_eq!(keystore.pair().unwrap().identity().serial, serial);
    assert!(!connector.data().join("keys/pending.key").exists());
}

#[tokio::test]
async fn a_connector_with_a_damaged_pair_goes_on_with_the_one_before_and_says_so() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let mut connector = Connector::enrolled(&token, kernel.port());
    let keys = connector.data().join("keys");
    let first = Keystore::open(&keys).unwrap().pair().unwrap();
    connector.certify(&kernel, now(), 24 * HOUR_MS);
    std::fs::write(keys.join("current/runtime.pem"), "half").unwrap();
    connector.run();
    connector.link("up").await;
    let status = connector.try_get("/status").await.unwrap();
    let serial = &status.json["certificate"]["serial"];
    assert_eq!(*serial, first.identity().serial.as_str());
    assert!(
        connector.log().contains("the pair before them is used"),
        "{}",
        connector.log()
    );
    assert!(!connector.has_ended());
}

#[tokio::test]
async fn a_certificate_that_could_not_be_renewed_for_long_is_a_warning() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let mut connector = Connector::enrolled(&token, "127.0.0.1:9".parse().unwrap());
    connector.certify(&kernel, now().minus_millis(21 * HOUR_MS), 24 * HOUR_MS);
    connector.run();
    connector.link("down").await;
    let health = connector.try_get("/healthz").await.unwrap().must(200);
    assert!(
        health
            .text
            .starts_with("ok\nwarning: the certificate ends at"),
        "{health:?}"
    );
    let status = connector.try_get("/status").await.unwrap();
    let warning = status.json["certificate"]["warning"].as_str().unwrap();
    assert!(warning.contains("could not be renewed"), "{warning}");
}

pub(crate) fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["kind"] == kind)
        .collect()
}

async fn renew(kernel: &Kernel, runtime: &Runtime, key: &TlsKey) -> Answer {
    let path = format!("/kernel/runtimes/{}/certificate", runtime.id);
    let csr = STANDARD.encode(key.request_der().unwrap());
    runtime.call(kernel, &path, json!({ "csr": csr })).await
}
