//! A kernel in one thread: real actors, a store in memory, the router of the admin API.

use std::sync::{Arc, Mutex, atomic::AtomicBool};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use http_body_util::BodyExt as _;
use provost_actors::{
    Directory, House, Meta, Random as _, SeededRandom, Spawner, SystemClock, TimeNote,
};
use provost_certs::{
    Acceptor, AcceptorSettings, Authority, Certificates, Ed25519Key, HANDSHAKE_DEADLINE, RootSet,
    Roots,
};
use provost_kernel::{
    Command,
    command::{CreateTenant, Enroll},
};
use provost_protocol::{
    CorrelationId, InstallId, RuntimeId, TenantId, Timestamp,
    entity::{Policies, Role, TenantType},
    envelope::{ActorRef, Source},
    ids::AdminKeyId,
    token::EnrolmentToken,
};
use provost_store::{Backend, MemoryStore};
use serde_json::{Value, json};
use tokio::task::LocalSet;
use tower::ServiceExt as _;

use crate::{
    admin::{AdminContext, Enrolment, OnRevoked, Readiness, key::AdminKey, router},
    ca::{Ca, CaParts},
    config::Limits,
    telemetry::Metrics,
};

/// Tenant, runtime and serials of a revocation, as it was told.
type Revoked = (String, String, Vec<String>);

pub(super) struct World {
    pub(super) router: Router,
    pub(super) root: AdminKey,
    pub(super) store: Arc<MemoryStore>,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) revoked: Arc<Mutex<Vec<Revoked>>>,
    pub(super) ca: Arc<Ca>,
    directory: Directory,
    random: SeededRandom,
    _data: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: Value,
    headers: HeaderMap,
}

impl Said {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem's code; empty where there is no problem.
    pub(super) fn code(&self) -> String {
        self.body["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn text(&self, field: &str) -> String {
        let text = self.body[field].as_str();
        text.unwrap_or_else(|| panic!("no {field} in {self:?}"))
            .to_owned()
    }
}

/// Runs a test in a world of its own.
pub(super) async fn world<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    world_with(Limits::default(), test).await;
}

pub(super) async fn world_with<F: Future<Output = ()>>(
    limits: Limits,
    test: impl FnOnce(World) -> F,
) {
    let run = async { test(World::new(limits).await).await };
    let set = LocalSet::new();
    // Also for tasks that the set does not poll: what changes something is done in one.
    let _here = set.enter();
    set.run_until(run).await;
}

impl World {
    async fn new(limits: Limits) -> Self {
        let store = Arc::new(MemoryStore::new());
        let backend: Arc<dyn Backend> = store.clone();
        let random = SeededRandom::new(7);
        let directory = Directory::new(Arc::new(house(backend.clone())), Spawner::local());
        let internal = TenantId::from_parts(Timestamp::from_millis(1), random.id_bytes());
        let id = AdminKeyId::from_parts(Timestamp::from_millis(1), random.id_bytes());
        let root = AdminKey::new(internal, id, random.secret());
        found(&directory, &root).await;

        let draining = Arc::new(AtomicBool::new(false));
        let revoked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&revoked);
        let hear = move |tenant: TenantId, runtimes: &[(RuntimeId, Vec<String>)]| {
            for (runtime, serials) in runtimes {
                let one: Revoked = (tenant.to_string(), runtime.to_string(), serials.clone());
                told.lock().unwrap().push(one);
            }
        };
        let data = tempfile::tempdir().unwrap();
        let ca = ca(data.path(), internal, &directory);
        let context = AdminContext {
            directory: directory.clone(),
            internal_tenant: internal,
            allowed_hosts: Vec::new(),
            limits,
            metrics: Metrics::detached(),
            enrolment: Enrolment {
                addr: "kernel.example:7443".to_owned(),
            },
            keys: Vec::new(),
            ca: Arc::clone(&ca),
            readiness: Readiness::of_store(backend, internal),
            disk: crate::daemon::disk::DiskStatus::default(),
            draining: Arc::clone(&draining),
            on_revoked: OnRevoked::new(hear),
            started: Timestamp::EPOCH,
        };
        Self {
            router: router(context),
            root,
            store,
            draining,
            revoked,
            ca,
            directory,
            random,
            _data: data,
        }
    }

    /// The first key's text.
    pub(super) fn root(&self) -> String {
        self.root.to_text()
    }

    /// The internal tenant's id.
    pub(super) fn internal(&self) -> String {
        self.root.tenant().to_string()
    }

    pub(super) async fn get(&self, key: &str, path: &str) -> Said {
        self.send("GET", path, Some(key), Value::Null, &[]).await
    }

    pub(super) async fn post(&self, key: &str, path: &str, body: Value) -> Said {
        self.send("POST", path, Some(key), body, &[]).await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Said {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.raw(method, path, key, body, headers).await
    }

    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> Said {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "127.0.0.1:7480");
        }
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Said {
            status: parts.status.as_u16(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            headers: parts.headers,
        }
    }

    /// A company.
    pub(super) async fn tenant(&self, name: &str, operator: Option<&str>) -> String {
        let body = json!({"name": name, "operator": operator});
        self.post(&self.root(), "/v1/tenants", body)
            .await
            .text("tenant_id")
    }

    /// A key of a tenant.
    pub(super) async fn key(&self, tenant: &str, role: &str) -> String {
        let body = json!({"name": role, "role": role, "tenant_id": tenant});
        self.post(&self.root(), "/v1/admin-keys", body)
            .await
            .text("key")
    }

    /// A runtime that enrolled.
    pub(super) async fn runtime(&self, tenant: &str, mode: &str) -> String {
        let path = format!("/v1/tenants/{tenant}/tokens");
        let body = json!({"runtime_type": "app", "deployment_mode": mode});
        let token = self.post(&self.root(), &path, body).await.text("token");
        self.enroll(tenant, &token).await
    }

    /// Has a command decided in a tenant, through no door.
    pub(super) async fn execute(&self, tenant: &str, command: Command) {
        let tenant = tenant.parse().unwrap();
        let handle = self.directory.tenant(tenant).await.unwrap();
        handle.execute(command, meta()).await.unwrap();
    }

    /// Enrolls as the runtime port would, after it has signed.
    pub(super) async fn enroll(&self, tenant: &str, token: &str) -> String {
        let token: EnrolmentToken = token.parse().unwrap();
        let runtime = RuntimeId::from_parts(Timestamp::from_millis(1), self.random.id_bytes());
        let command = Command::Enroll(Box::new(Enroll {
            runtime,
            token: token.id(),
            secret_sha256: hex::encode(token.secret_sha256()),
            cnf: hex::encode(self.random.secret()),
            binding_key: "key".to_owned(),
            certificate: "certificate".to_owned(),
            serial: "0a".to_owned(),
            not_after: Timestamp::MAX,
        }));
        self.execute(tenant, command).await;
        runtime.to_string()
    }
}

/// What `provost init` does: the internal tenant and its first key.
async fn found(directory: &Directory, root: &AdminKey) {
    let internal = Command::CreateTenant(CreateTenant {
        tenant_type: TenantType::Internal,
        name: "operator".to_owned(),
        policies: Policies::default(),
        operator: None,
        time_zone: "UTC".to_owned(),
        region: None,
    });
    let (handle, _) = directory
        .create(root.tenant(), internal, meta())
        .await
        .unwrap();
    let first = Command::CreateAdminKey {
        key: root.id(),
        name: "first".to_owned(),
        role: Role::SuperAdmin,
        secret_sha256: root.sha256_hex(),
    };
    handle.execute(first, meta()).await.unwrap();
}

fn key() -> Ed25519Key {
    let dir = tempfile::tempdir().unwrap();
    Ed25519Key::create(&dir.path().join("k")).unwrap()
}

/// A certificate authority that lets nobody in, for there is no port.
fn ca(data: &std::path::Path, internal: TenantId, directory: &Directory) -> Arc<Ca> {
    let house = Arc::clone(directory.house());
    let now = house.clock.now();
    let install = InstallId::from_parts(Timestamp::EPOCH, [1; 10]);
    let authority = Arc::new(Authority::create(data, install, now).unwrap());
    let settings = AcceptorSettings {
        authority: Arc::clone(&authority),
        names: Vec::new(),
        standing: Arc::clone(&house.standing),
        handshake_deadline: HANDSHAKE_DEADLINE,
    };
    let set = RootSet::single(authority).unwrap();
    Arc::new(Ca::new(CaParts {
        data_dir: data.to_owned(),
        internal,
        roots: Arc::new(Roots::new(set)),
        acceptor: Acceptor::new(settings, now).unwrap(),
        certificates: Arc::new(Certificates::new()),
        house,
    }))
}

/// An authority whose folder is gone.
fn authority() -> Authority {
    let dir = tempfile::tempdir().unwrap();
    let install = InstallId::from_parts(Timestamp::EPOCH, [1; 10]);
    Authority::create(dir.path(), install, Timestamp::EPOCH).unwrap()
}

/// What every actor shares, over a store.
pub(crate) fn house(backend: Arc<dyn Backend>) -> House {
    House {
        backend,
        clock: Arc::new(SystemClock),
        random: Arc::new(SeededRandom::new(1)),
        license_signer: Arc::new(key()),
        checkpoint_signer: Arc::new(key()),
        standing: Arc::new(Certificates::new()),
        issuer: Arc::new(authority()),
        install: InstallId::from_parts(Timestamp::EPOCH, [1; 10]),
        trust_bundle: "bundle".into(),
        region: None,
        time_note: TimeNote::default(),
    }
}

/// The kernel itself, through no door.
pub(crate) fn meta() -> Meta {
    Meta {
        actor: ActorRef::system(),
        source: Source::Kernel,
        correlation_id: CorrelationId::from_parts(Timestamp::EPOCH, [3; 10]),
        idempotency: None,
    }
}
