//! What one runtime, or one address, may take of the places there are for all.

use futures_util::future::join_all;
use provost_certs::{Alpn, ClientStream, RecoveryTls, TrustBundle};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{WITHIN, check_head, figure, open};
use crate::world::{Kernel, Runtime, Start, until};

/// A connection over which something was asked: it may stay.
async fn asked(kernel: &Kernel, runtime: &Runtime) -> ClientStream {
    let mut stream = open(kernel, runtime, Alpn::Http11).await;
    let ask = check_head(runtime, kernel.port(), 2) + "{}";
    stream.write_all(ask.as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    stream
}

#[tokio::test]
async fn one_runtime_takes_its_share_of_the_connections_and_no_more() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let greedy = kernel.runtime(&tenant, "on_prem").await;
    let other = kernel.runtime(&tenant, "on_prem").await;
    let mut held = Vec::new();
    // Its client holds one already.
    while held.len() < OF_A_RUNTIME - 1 {
        let more = (OF_A_RUNTIME - 1 - held.len()).min(AT_ONCE);
        held.extend(join_all((0..more).map(|_| asked(&kernel, &greedy))).await);
    }
    assert!(figure(&kernel, "provost_connections_open", "").await >= OF_A_RUNTIME as f64);
    let again = greedy.with_certificate(&kernel, &greedy.key_pem, &greedy.certificate_pem);
    let told = again.check(&kernel, "reports").await;
    told.must_refuse(503, "overloaded");
    greedy.check(&kernel, "reports").await.must(200);
    other.check(&kernel, "reports").await.must(200);
    held.truncate(OF_A_RUNTIME / 2);
    let ask = again.checking("reports", json!({}));
    until("there is room again", async || {
        let answer = again.try_send(&kernel, &ask).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_tenant_leaves_the_last_places_to_the_others() {
    let kernel = Kernel::start_as(Start {
        limits: "connections_max = 20\n".to_owned(),
        ..Start::default()
    })
    .await;
    let (greedy, other) = (kernel.company().await, kernel.company().await);
    for tenant in [&greedy, &other] {
        let grant = json!({"feature": "reports", "limit": true});
        kernel.grant(tenant, grant).await;
    }
    let runtimes = [
        kernel.runtime(&greedy, "on_prem").await,
        kernel.runtime(&greedy, "on_prem").await,
    ];
    let modest = kernel.runtime(&other, "on_prem").await;
    // The three clients hold one each.
    let mut held = Vec::new();
    for number in 0..15 {
        held.push(asked(&kernel, &runtimes[number % 2]).await);
    }
    let [one, _] = &runtimes;
    let again = one.with_certificate(&kernel, &one.key_pem, &one.certificate_pem);
    let told = again.check(&kernel, "reports").await;
    told.must_refuse(503, "overloaded");
    let more = modest.with_certificate(&kernel, &modest.key_pem, &modest.certificate_pem);
    more.check(&kernel, "reports").await.must(200);
}

#[tokio::test]
async fn whoever_comes_without_a_certificate_leaves_room_for_other_addresses() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.enroll(&tenant, "on_prem").await;
    let trust = TrustBundle::from_pem(&kernel.root_pem()).unwrap();
    let tls = RecoveryTls::new(&trust, runtime.install.parse().unwrap()).unwrap();
    let addr = kernel.port().to_string();
    let url = format!("https://{addr}/kernel/enroll");
    // They say nothing, and are cut for it after a while: others take their places.
    let mut idle = Vec::new();
    until("its share is used up", async || {
        let more = (0..AT_ONCE).map(|_| tls.connect(&addr, None, WITHIN));
        idle.extend(join_all(more).await.into_iter().filter_map(Result::ok));
        // A client of its own each time: one that was let in keeps its connection.
        let here = kernel.stranger_from("127.0.0.1");
        let told = here.post(&url).body("{}").send().await.ok()?;
        (told.status() == 503).then_some(())
    })
    .await;
    let elsewhere = kernel.stranger_from("127.0.0.2");
    let told = elsewhere.post(&url).body("{}").send().await.unwrap();
    assert_eq!(told.status(), 400, "it is listened to");
}

/// The kernel's own number.
const OF_A_RUNTIME: usize = 256;

const AT_ONCE: usize = 32;
