//! The double: an authority, a listener, and the kernel's half of the contract, word by word.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use provost_certs::{
    Accepted, Acceptor, AcceptorSettings, Alpn, Authority, BindingKey, Certificates, Keystore,
    RUNTIME_TTL_MS, TlsKey, TlsPair, TlsStream, check_request,
};
use provost_connector::{Clock, Config, Connector};
use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    enrolment::{EnrolAnswer, EnrolRequest, PublicKeyEntry},
    entity::*,
    frame::FRAME_BYTES_MAX,
    license::{LicenseDocument, LicenseEntitlement, OfflinePolicies, RevocationTerms, license_id},
    note::SignedTime,
    sign::{CertificateIssuer, KeyId, Signer},
    token::EnrolmentToken,
    wire::*,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::log::KernelLog;
pub(crate) use crate::peer::Peer;

/// Long enough for two busy cores; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) data: tempfile::TempDir,
    _ca: tempfile::TempDir,
    pub(crate) authority: Arc<Authority>,
    pub(crate) key: BindingKey,
    acceptor: Acceptor,
    listener: TcpListener,
    cnf: Mutex<[u8; 32]>,
    pub(crate) log: KernelLog,
    /// What it says when it is asked which roots to trust.
    pub(crate) roots: Mutex<Vec<String>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (data, ca) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let install = "01890a5d-ac96-774b-bcce-b302099a8050".parse().unwrap();
        let authority = Arc::new(Authority::create(ca.path(), install, now()).unwrap());
        let settings = AcceptorSettings {
            authority: Arc::clone(&authority),
            names: vec!["127.0.0.1".to_owned()],
            standing: Arc::new(Certificates::new()),
            handshake_deadline: PATIENCE,
        };
        Self {
            data,
            _ca: ca,
            acceptor: Acceptor::new(settings, now()).unwrap(),
            roots: Mutex::new(vec![authority.root_pem()]),
            authority,
            key: BindingKey::generate().unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            cnf: Mutex::default(),
            log: KernelLog::default(),
        }
    }

    /// A world with an enrolled runtime.
    pub(crate) async fn enrolled() -> Self {
        let world = Self::new().await;
        let token = world.token();
        let enrolling = provost_connector::enroll(&token, world.data.path());
        let (enrolled, _) = tokio::join!(enrolling, world.answer_enrolment(true));
        assert_eq!(enrolled.unwrap().runtime_id, runtime());
        world
    }

    /// The roots to trust, under their name.
    pub(crate) fn bundle(&self) -> TrustBundle {
        let roots = self.roots.lock().unwrap().clone();
        let id = provost_certs::TrustBundle::from_roots(&roots).unwrap().id();
        TrustBundle { id, roots }
    }

    pub(crate) fn token(&self) -> String {
        let id = "01890a5d-ac96-774b-bcce-b302099a805a".parse().unwrap();
        let addr = self.listener.local_addr().unwrap().to_string();
        EnrolmentToken::new(&addr, id, [7; 16], self.authority.root_sha256())
            .unwrap()
            .to_text()
    }

    /// Takes one enrolment request, and answers it or hangs up.
    pub(crate) async fn answer_enrolment(&self, answering: bool) -> EnrolRequest {
        let mut accepted = self.accepted().await;
        assert!(accepted.identity.is_none());
        let request = read_request(&mut accepted.stream).await;
        let checked = check_request(&request).unwrap();
        hex::decode_to_slice(&checked.cnf, &mut *self.cnf.lock().unwrap()).unwrap();
        if answering {
            let subject = (tenant(), runtime());
            let issued = self
                .authority
                .issue_runtime(&checked.csr, subject, now(), RUNTIME_TTL_MS)
                .unwrap();
            let key = PublicKeyEntry::of(&self.key.public_key());
            let answer = EnrolAnswer {
                runtime_id: runtime(),
                tenant_id: tenant(),
                install_id: self.authority.install(),
                deployment_mode: DeploymentMode::Shared,
                runtime_type: RuntimeType::Custom,
                certificate: issued.pem,
                root: self.authority.root_pem(),
                license_keys: vec![key.clone()],
                checkpoint_key: key,
                kernel_name: format!("spiffe://{}/kernel", self.authority.install()),
            };
            let body = serde_json::to_string(&answer).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            accepted
                .stream
                .write_all((head + &body).as_bytes())
                .await
                .unwrap();
            accepted.stream.flush().await.unwrap();
        }
        request
    }

    /// The answer to a renewal.
    pub(crate) fn renewed(&self, csr: &[u8]) -> Outcome {
        let whom = (tenant(), runtime());
        let issued = self.authority.issue(csr, whom, now(), RUNTIME_TTL_MS);
        let issued = issued.unwrap();
        Outcome::Renewed(Renewed {
            certificate: issued.certificate,
            not_after: issued.not_after,
        })
    }

    /// Puts a certificate that began so long ago into the connector's folder.
    pub(crate) fn age(&self, ms: u64) {
        let keystore = Keystore::open(&self.data.path().join("keys")).unwrap();
        let key = TlsKey::generate().unwrap();
        let csr = key.request_der().unwrap();
        let whom = (tenant(), runtime());
        let issued = self
            .authority
            .issue(&csr, whom, now().minus_millis(ms), RUNTIME_TTL_MS);
        let pair = TlsPair::new(key, issued.unwrap().certificate).unwrap();
        keystore.save_pair(&pair).unwrap();
    }

    pub(crate) async fn start(&self) -> Connector {
        self.start_with(|_| {}).await
    }

    /// Starts a connector whose configuration differs.
    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Config)) -> Connector {
        let mut config = Config::new(self.data.path());
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.disk_free_bytes_min = 0;
        change(&mut config);
        Connector::start_at(config, Clock::system()).await.unwrap()
    }

    async fn accepted(&self) -> Accepted {
        let (tcp, _) = within(self.listener.accept()).await.unwrap();
        within(Box::pin(self.acceptor.accept(tcp))).await.unwrap()
    }

    /// The next connection, up to and with its Hello.
    pub(crate) async fn hello(&self) -> (Peer, Hello) {
        let accepted = self.accepted().await;
        assert_eq!(accepted.alpn, Alpn::Provost1);
        let identity = accepted.identity.unwrap();
        assert_eq!(identity.runtime, runtime());
        let mut peer = Peer::over(accepted.stream, identity.serial);
        let ClientMessage::Hello(hello) = peer.hear().await else {
            panic!("no Hello")
        };
        (peer, hello)
    }

    /// The next connection, welcomed.
    pub(crate) async fn welcome(&self, generation: u64) -> (Peer, Hello) {
        let (mut peer, hello) = self.hello().await;
        peer.say(ServerMessage::Welcome(Welcome {
            version: "v0.2".to_owned(),
            generation,
            status: RuntimeStatus::Active,
            policies: WirePolicies {
                security_level: SecurityLevel::Standard,
                data_residency: None,
                heartbeat_interval_ms: 30_000,
                grace_ms: 90_000,
                license_ttl_ms: HOUR_MS,
                offline_max_ms: 2 * HOUR_MS,
            },
            desired: vec![desired(1)],
            signed_time: self.time(),
            frame_bytes_max: FRAME_BYTES_MAX,
            in_flight_max: IN_FLIGHT_MAX,
        }))
        .await;
        (peer, hello)
    }

    pub(crate) fn addr(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// The next connection does not get through its handshake.
    pub(crate) async fn refused(&self) {
        let (tcp, _) = within(self.listener.accept()).await.unwrap();
        assert!(within(Box::pin(self.acceptor.accept(tcp))).await.is_err());
    }

    pub(crate) fn time(&self) -> String {
        SignedTime::sign(self.authority.install(), now(), &self.key)
            .note()
            .to_owned()
    }

    pub(crate) fn license(&self, seq: u64, revision: u64) -> String {
        self.license_of(now(), seq, revision)
    }

    /// A license of an hour that was issued then.
    pub(crate) fn license_of(&self, at: Timestamp, seq: u64, revision: u64) -> String {
        LicenseDocument {
            license: license_id(runtime(), tenant()),
            install: self.authority.install(),
            tenant: tenant(),
            tenant_status: TenantStatus::Active,
            runtime: runtime(),
            deployment_mode: DeploymentMode::Shared,
            kid: KeyId::of(&[0; 32]),
            cnf: *self.cnf.lock().unwrap(),
            epoch: 1,
            seq,
            created: at,
            issued: at,
            nbf: at,
            expiry: at.plus_millis(HOUR_MS),
            grace_ms: HOUR_MS,
            revocations: RevocationTerms {
                min_generation: 0,
                max_age_ms: None,
            },
            revision,
            policies: OfflinePolicies {
                security_level: SecurityLevel::Standard,
                offline_max_ms: 2 * HOUR_MS,
            },
            entitlements: vec![LicenseEntitlement {
                feature: "report_export".parse().unwrap(),
                runtime: None,
                limit: Limit::Unlimited,
                time_window: None,
                mode: Mode::Enforce,
                valid_until: Timestamp::MAX,
                created: at,
                updated: at,
                window: None,
            }],
        }
        .sign(&self.key)
        .unwrap()
    }
}

/// The events of a type in an audit request.
pub(crate) fn events_of(message: &ClientMessage, kind: &str) -> Option<serde_json::Value> {
    let ClientMessage::Request(request) = message else {
        return None;
    };
    let Operation::Audit(events) = &request.operation else {
        return None;
    };
    let parsed = events
        .iter()
        .map(|event| serde_json::from_slice(event).unwrap());
    parsed
        .into_iter()
        .find(|event: &serde_json::Value| event["type"] == kind)
}

/// One exchange with the local API.
pub(crate) async fn local(
    connector: &Connector,
    head: &str,
    body: &str,
) -> (u16, serde_json::Value, String) {
    let mut stream = TcpStream::connect(connector.local_addr()).await.unwrap();
    let host = if head.to_lowercase().contains("\nhost:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let length = body.len();
    let text =
        format!("{head}\r\n{host}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    // A refusal may come before the body was read; then the rest cannot be written.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        serde_json::from_str(body).unwrap_or_default(),
        head.to_lowercase(),
    )
}

/// Registers; gives the head of later calls.
pub(crate) async fn registered(connector: &Connector) -> String {
    let body = format!(
        r#"{{"tenant_id":"{}","runtime_type":"custom","deployment_mode":"shared",
            "version":"{}","capabilities":[]}}"#,
        tenant(),
        env!("CARGO_PKG_VERSION"),
    );
    let head = "POST /kernel/runtimes/register HTTP/1.1\r\nX-Contract-Version: v0.1";
    let (status, answer, _) = local(connector, head, &body).await;
    assert!(status == 200 || status == 201, "{status} {answer}");
    let token = answer["runtime_token"].as_str().unwrap();
    format!(
        "X-Contract-Version: v0.1\r\nX-Tenant-Id: {}\r\nX-Runtime-Id: {}\r\nAuthorization: Bearer {token}",
        tenant(),
        runtime(),
    )
}

pub(crate) async fn check(
    connector: &Connector,
    headers: &str,
    feature: &str,
    context: &str,
) -> (u16, serde_json::Value) {
    let body = format!(
        r#"{{"tenant_id":"{}","runtime_id":"{}","feature":"{feature}","context":{context}}}"#,
        tenant(),
        runtime(),
    );
    let head = format!("POST /kernel/entitlements/check HTTP/1.1\r\n{headers}");
    let (status, answer, _) = local(connector, &head, &body).await;
    (status, answer)
}

/// Waits for a condition, with a deadline.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("within the deadline")
}

pub(crate) fn desired(revision: u64) -> DesiredState {
    DesiredState {
        tenant: tenant(),
        revision,
        tenant_status: TenantStatus::Active,
        runtime_status: RuntimeStatus::Active,
        license_epoch: 1,
        license_seq: 1,
        revocation_generation: 0,
        trust_bundle: "root-1".to_owned(),
        heartbeat_interval_ms: 30_000,
        limits: Vec::new(),
        killed: false,
    }
}

pub(crate) fn tenant() -> TenantId {
    "01890a5d-ac96-774b-bcce-b302099a8051".parse().unwrap()
}

pub(crate) fn runtime() -> RuntimeId {
    "01890a5d-ac96-774b-bcce-b302099a8053".parse().unwrap()
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}

async fn read_request(stream: &mut TlsStream) -> EnrolRequest {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("post /kernel/enroll http/1.1"), "{head}");
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
            if body.len() >= length {
                let start = bytes.len() - body.len();
                return serde_json::from_slice(&bytes[start..]).unwrap();
            }
        }
        assert_ne!(within(stream.read_buf(&mut bytes)).await.unwrap(), 0);
    }
}

const HOUR_MS: u64 = 60 * 60 * 1_000;
