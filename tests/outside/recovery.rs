//! Runtimes whose certificate ended while they were off, and strangers at the door.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use provost_certs::{
    BindingKey, Keystore, Recovering, RecoveryTls, TlsKey, TrustBundle, make_recovery, make_request,
};
use provost_protocol::certificate::RecoveryRequest;
use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    renewal::of_kind,
    world::{Answer, Connector, HOUR_MS, Kernel, Start, now, until},
};

#[tokio::test]
async fn a_connector_whose_certificate_ended_comes_back_by_its_binding_key() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut connector = ended(&kernel, &tenant).await;
    connector.run();
    connector.link("up").await;
    let events = kernel.events(&tenant).await;
    let recovered = of_kind(&events, "runtime.recovered");
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0]["data"]["counter"], 1);
    let status = connector.try_get("/status").await.unwrap().json;
    assert_eq!(
        status["certificate"]["serial"],
        recovered[0]["data"]["serial"]
    );
    assert_eq!(
        connector.kept("recovery.json"),
        json!({"counter": 1, "open": false})
    );
    assert!(!connector.data().join("keys/recovery.key").exists());

    // And again, after the next long holiday.
    connector.kill();
    connector.certify(&kernel, now().minus_millis(2 * HOUR_MS), HOUR_MS);
    connector.run();
    until("the second recovery", async || {
        let events = kernel.events(&tenant).await;
        (of_kind(&events, "runtime.recovered").len() == 2).then_some(())
    })
    .await;
    connector.link("up").await;
    // What a recovery brought is not renewed at once, though what it replaced was long due.
    let events = kernel.events(&tenant).await;
    assert_eq!(of_kind(&events, "runtime.certificate-renewed").len(), 0);
}

#[tokio::test]
async fn an_enterprise_runtime_comes_back_by_an_operators_word_only() {
    let kernel = Kernel::start().await;
    let company = json!({
        "name": "Acme", "type": "company", "policies": {"security_level": "enterprise"},
    });
    let tenant = kernel.tenant(company).await;
    let mut connector = ended(&kernel, &tenant).await;
    connector.run();
    until("the recovery is refused", async || {
        connector
            .log()
            .contains("recovery_needs_operator")
            .then_some(())
    })
    .await;
    let runtime = connector.kept("keys/enrolment.json")["runtime_id"].clone();
    let path = format!(
        "/v1/tenants/{tenant}/runtimes/{}/recovery",
        runtime.as_str().unwrap()
    );
    kernel
        .post(&path, json!({"reason": "back from repair"}))
        .await;
    connector.link("up").await;
    let kinds: Vec<Value> = kernel
        .events(&tenant)
        .await
        .iter()
        .map(|event| event["kind"].clone())
        .filter(|kind| kind.as_str().unwrap().starts_with("runtime.reco"))
        .collect();
    assert_eq!(kinds, ["runtime.recovery-allowed", "runtime.recovered"]);
}

#[tokio::test]
async fn a_copy_of_a_runtime_that_recovers_with_a_used_number_is_refused_and_alarmed() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut connector = ended(&kernel, &tenant).await;
    let copy = tempfile::tempdir().unwrap();
    copied(&connector.data().join("keys"), copy.path());
    connector.run();
    connector.link("up").await;

    let stranger = Stranger::of(&kernel, copy.path());
    let key = TlsKey::generate().unwrap();
    let answer = stranger.recover(&kernel, 1, &key).await;
    answer.must_refuse(401, "recovery_refused");
    let events = kernel.events(&tenant).await;
    let alarms = of_kind(&events, "runtime.recovery-refused");
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0]["data"]["held"], 1);
    assert_eq!(alarms[0]["data"]["address"], "127.0.0.1");
    // In a loop it is one alarm an hour.
    let answer = stranger.recover(&kernel, 1, &key).await;
    answer.must_refuse(401, "recovery_refused");
    let events = kernel.events(&tenant).await;
    assert_eq!(of_kind(&events, "runtime.recovery-refused").len(), 1);
    // The runtime itself goes on: there are two.
    let cloned = until("both copies are named", async || {
        let events = kernel.events(&tenant).await;
        of_kind(&events, "runtime.cloned").first().copied().cloned()
    })
    .await;
    let serials: Vec<_> = cloned["data"]["sightings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sighting| sighting["serial"].as_str().unwrap())
        .collect();
    let status = connector.try_get("/status").await.unwrap().json;
    assert_eq!(
        serials,
        ["", status["certificate"]["serial"].as_str().unwrap()]
    );
}

#[tokio::test]
async fn nobody_learns_which_runtimes_exist() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let connector = ended(&kernel, &tenant).await;
    let good = Stranger::of(&kernel, &connector.data().join("keys"));
    let with = |change: &dyn Fn(&mut Stranger)| {
        let mut stranger = Stranger::of(&kernel, &connector.data().join("keys"));
        change(&mut stranger);
        stranger
    };
    let fresh = || Uuid::now_v7().to_string().parse().unwrap();
    let mut told = Vec::new();
    for stranger in [
        with(&|stranger| stranger.binding = BindingKey::generate().unwrap()),
        with(&|stranger| stranger.who.runtime = fresh()),
        with(&|stranger| {
            stranger.who.tenant = Uuid::now_v7().to_string().parse().unwrap();
        }),
    ] {
        let answer = stranger
            .recover(&kernel, 1, &TlsKey::generate().unwrap())
            .await;
        answer.must_refuse(401, "recovery_refused");
        told.push(answer.str("detail"));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    let answer = good.recover(&kernel, 1, &TlsKey::generate().unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_recovery_holds_on_its_own_connection_and_with_a_fresh_nonce_only() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let connector = ended(&kernel, &tenant).await;
    let stranger = Stranger::of(&kernel, &connector.data().join("keys"));
    let key = TlsKey::generate().unwrap();

    // Relayed: signed for one connection, sent over another.
    let nonce = stranger.challenge(&kernel).await;
    let relayed = stranger.request(&nonce, [7; 32], 1, &key);
    let mut talk = stranger.connect(&kernel).await;
    talk.post("/kernel/recovery", &relayed)
        .await
        .must_refuse(401, "recovery_refused");
    // Its nonce is spent by that.
    let exporter = talk.exporter;
    let again = stranger.request(&nonce, exporter, 1, &key);
    talk.post("/kernel/recovery", &again)
        .await
        .must_refuse(401, "recovery_refused");
    // One that was never given.
    let made_up = stranger.request(&format!("{}=", "A".repeat(43)), exporter, 1, &key);
    talk.post("/kernel/recovery", &made_up)
        .await
        .must_refuse(401, "recovery_refused");
    // A number that is not the next one.
    let nonce = stranger.challenge(&kernel).await;
    let ahead = stranger.request(&nonce, exporter, 3, &key);
    talk.post("/kernel/recovery", &ahead)
        .await
        .must_refuse(401, "recovery_refused");
    // And as it should be.
    let nonce = stranger.challenge(&kernel).await;
    let good = stranger.request(&nonce, exporter, 1, &key);
    talk.post("/kernel/recovery", &good).await.must(200);
}

#[tokio::test]
async fn a_revoked_runtime_does_not_recover() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let connector = ended(&kernel, &tenant).await;
    let stranger = Stranger::of(&kernel, &connector.data().join("keys"));
    let path = format!(
        "/v1/tenants/{tenant}/runtimes/{}/revoke",
        stranger.who.runtime
    );
    kernel.post(&path, json!({"reason": "stolen"})).await;
    let answer = stranger
        .recover(&kernel, 1, &TlsKey::generate().unwrap())
        .await;
    answer.must_refuse(401, "runtime_revoked");
}

#[tokio::test]
async fn strangers_are_let_in_at_a_rate_and_told_when_to_come_back() {
    let kernel = Kernel::start_as(Start {
        limits: "enrolments_per_address_per_second = 1\n".to_owned(),
        ..Start::default()
    })
    .await;
    let tenant = kernel.company().await;
    let good = kernel.token(&tenant, "on_prem").await.parse().unwrap();
    let client = kernel.stranger();
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(bad_enrolment(&kernel, &client).await);
    }
    let refused = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    // A slow machine gives a place or two back meanwhile.
    assert!(refused(429) >= 1, "{answers:?}");
    assert!(refused(400) >= 10, "{answers:?}");
    let limited = answers.iter().find(|answer| answer.status == 429).unwrap();
    limited.must_refuse(429, "rate_limited");
    assert_eq!(limited.header("retry-after"), Some("1"));
    // A good token waits like all others, and is taken when it comes back.
    let (binding, tls) = (BindingKey::generate().unwrap(), TlsKey::generate().unwrap());
    let request = make_request(&good, &binding, &tls).unwrap();
    until("a place is free", async || {
        let answer = kernel.enroll_with(&request).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let log = kernel.log();
    assert_eq!(
        log.matches("of one address were refused within a minute")
            .count(),
        1
    );
    let metrics = kernel.get("/metrics").await.must(200).text;
    assert!(
        metrics.contains("provost_strangers_refused_total"),
        "{metrics}"
    );
}

async fn bad_enrolment(kernel: &Kernel, client: &Client) -> Answer {
    let url = format!("https://{}/kernel/enroll", kernel.port());
    let sent = client.post(url).body("{}").send().await;
    Answer::read(sent.unwrap()).await
}

/// A connector that was enrolled, and whose certificate ended an hour ago.
async fn ended(kernel: &Kernel, tenant: &str) -> Connector {
    let token = kernel.token(tenant, "on_prem").await;
    let connector = Connector::enrolled(&token, kernel.port());
    connector.certify(kernel, now().minus_millis(2 * HOUR_MS), HOUR_MS);
    connector
}

fn copied(from: &Path, to: &Path) {
    for name in [
        "binding.key",
        "enrolment.json",
        "root.pem",
        "license-keys.json",
    ] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Whoever holds a runtime's folder, and speaks the contract by hand.
struct Stranger {
    binding: BindingKey,
    who: Recovering,
    trust: TrustBundle,
    install: String,
}

/// One connection of a stranger.
struct Talk {
    sender: SendRequest<Full<Bytes>>,
    exporter: [u8; 32],
}

impl Stranger {
    fn of(kernel: &Kernel, keys: &Path) -> Self {
        let enrolment: Value =
            serde_json::from_slice(&std::fs::read(keys.join("enrolment.json")).unwrap()).unwrap();
        let id = |field: &str| enrolment[field].as_str().unwrap().to_owned();
        Self {
            binding: Keystore::open(keys).unwrap().held_binding_key().unwrap(),
            who: Recovering {
                tenant: id("tenant_id").parse().unwrap(),
                runtime: id("runtime_id").parse().unwrap(),
                counter: 1,
            },
            trust: TrustBundle::from_pem(&kernel.root_pem()).unwrap(),
            install: id("install_id"),
        }
    }

    async fn connect(&self, kernel: &Kernel) -> Talk {
        let tls = RecoveryTls::new(&self.trust, self.install.parse().unwrap()).unwrap();
        let within = std::time::Duration::from_secs(20);
        let addr = kernel.port().to_string();
        let (stream, exporter) = tls.connect(&addr, None, within).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Talk { sender, exporter }
    }

    async fn challenge(&self, kernel: &Kernel) -> String {
        let wish = json!({
            "tenant_id": self.who.tenant.to_string(), "runtime_id": self.who.runtime.to_string(),
        });
        let mut talk = self.connect(kernel).await;
        let challenge = talk.post("/kernel/recovery/challenge", &wish).await;
        challenge.must(200).str("nonce")
    }

    fn request(
        &self,
        nonce: &str,
        exporter: [u8; 32],
        counter: u64,
        key: &TlsKey,
    ) -> RecoveryRequest {
        let who = Recovering {
            counter,
            ..self.who
        };
        make_recovery(who, nonce, exporter, (&self.binding, key)).unwrap()
    }

    /// The whole exchange, on one connection.
    async fn recover(&self, kernel: &Kernel, counter: u64, key: &TlsKey) -> Answer {
        let nonce = self.challenge(kernel).await;
        let mut talk = self.connect(kernel).await;
        let request = self.request(&nonce, talk.exporter, counter, key);
        talk.post("/kernel/recovery", &request).await
    }
}

impl Talk {
    async fn post(&mut self, path: &str, body: &impl serde::Serialize) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        let request = http::Request::post(path)
            .header("host", "kernel")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer::of(head.status.as_u16(), head.headers, text)
    }
}
