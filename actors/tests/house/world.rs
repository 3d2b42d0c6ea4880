//! A whole house in one `LocalSet`, and what tests do in it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use provost_actors::{
    Clock, Directory, Executed, Gateway, House, Meta, Peer, RestartPolicy, SeededRandom, Spawner,
    TenantError, TenantHandle, TimeNote,
};
use provost_kernel::{
    Command,
    command::{Attach, CreateTenant, CreateToken, Enroll, Grant},
};
use provost_protocol::{
    Code, ContractVersion, CorrelationId, InstallId, Problem, ProviderId, RequestId, RuntimeId,
    TenantId, Timestamp, TokenId,
    entity::{
        DeploymentMode, Feature, Health, Limit, Mode, Policies, ProviderKind, RuntimeStatus,
        RuntimeType, TenantType,
    },
    envelope::{ActorRef, Idempotency, Source},
    event::{ProviderKeys, ProviderSettings},
    metrics::Metrics,
    sign::PeerIdentity,
    verdict::Verdict,
    wire::{Beat, Check, Heartbeat, Operation, Outcome, Resolve, Resolved},
};
use provost_store::{Backend, Range, StoredEvent};
use tokio::task::{LocalSet, yield_now};

pub(crate) use super::stand_ins::Stamp;
use super::{
    stand_ins::{Certifier, Revoked, Wall, Words},
    store::Gate,
};

/// Everything a test holds.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Gate,
    pub(crate) standing: Arc<Revoked>,
    pub(crate) clock: Wall,
    pub(crate) directory: Directory,
    pub(crate) gateway: Gateway,
}

impl World {
    pub(crate) fn new() -> Self {
        let store = Gate::new();
        Self::over(store, START)
    }

    /// Another house over what lasts, as after a restart of the process.
    pub(crate) fn restarted(&self) -> Self {
        Self::over(self.store.clone(), self.clock.now())
    }

    /// As [`restarted`](Self::restarted), so many days later.
    pub(crate) fn restarted_after(&self, days: u64) -> Self {
        let then = self.clock.now().plus_millis(days * 24 * HOUR_MS);
        Self::over(self.store.clone(), then)
    }

    /// Another house over another store, as after the data was replaced.
    pub(crate) fn over_copy(&self, store: Gate) -> Self {
        Self::over(store, self.clock.now())
    }

    fn over(store: Gate, now: Timestamp) -> Self {
        let standing = Arc::new(Revoked::default());
        let clock = Wall::starting_at(now);
        let seed = u64::try_from(now.as_millis()).unwrap();
        let house = House {
            backend: Arc::new(store.clone()),
            clock: Arc::new(clock.clone()),
            random: Arc::new(SeededRandom::new(seed)),
            license_signer: Arc::new(Stamp::new(7)),
            checkpoint_signer: Arc::new(Stamp::new(CHECKPOINT_KEY)),
            standing: standing.clone(),
            issuer: Arc::new(Certifier),
            install: install(),
            trust_bundle: "bundle-1".into(),
            region: None,
            time_note: TimeNote::default(),
        };
        let policy = RestartPolicy::default();
        let directory = Directory::with_policy(Arc::new(house), Spawner::local(), policy);
        let gateway = Gateway::new(directory.clone(), Arc::new(Words));
        Self {
            store,
            standing,
            clock,
            directory,
            gateway,
        }
    }

    pub(crate) async fn tenant(&self, number: u8, operator: Option<TenantId>) -> TenantId {
        let id = tenant_id(number);
        let create = Command::CreateTenant(CreateTenant {
            tenant_type: TenantType::Internal,
            name: format!("tenant {number}"),
            policies: Policies::default(),
            operator,
            time_zone: "UTC".to_owned(),
            region: None,
        });
        self.directory.create(id, create, admin()).await.unwrap();
        id
    }

    pub(crate) async fn handle(&self, tenant: TenantId) -> TenantHandle {
        self.directory.tenant(tenant).await.unwrap()
    }

    pub(crate) async fn execute(
        &self,
        tenant: TenantId,
        command: Command,
    ) -> Result<Executed, TenantError> {
        self.directory
            .tenant(tenant)
            .await?
            .execute(command, admin())
            .await
    }

    /// Enrolls a runtime and gives what its certificate says.
    pub(crate) async fn runtime(&self, tenant: TenantId, number: u8, mode: DeploymentMode) -> Peer {
        let token = TokenId::from_parts(START, [number; 10]);
        let secret_sha256 = format!("{number:02x}").repeat(32);
        let create = CreateToken {
            token,
            secret_sha256: secret_sha256.clone(),
            runtime_type: RuntimeType::App,
            deployment_mode: mode,
            uses: 1,
            expires: self.clock.now().plus_millis(HOUR_MS),
        };
        self.execute(tenant, Command::CreateToken(create))
            .await
            .unwrap();
        let runtime = runtime_id(number);
        let enroll = Enroll {
            runtime,
            token,
            secret_sha256,
            cnf: format!("{number:02x}").repeat(32),
            binding_key: "key".to_owned(),
            certificate: "certificate".to_owned(),
            serial: format!("serial-{number}"),
            not_after: Timestamp::MAX,
        };
        let enroll = Command::Enroll(Box::new(enroll));
        self.execute(tenant, enroll).await.unwrap();
        peer(tenant, runtime, number)
    }

    /// Enrolls one of many runtimes, and lets it beat.
    pub(crate) async fn many(&self, tenant: TenantId, number: u16) {
        let mut bytes = [0xee; 10];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let token = TokenId::from_parts(START, bytes);
        let runtime = RuntimeId::from_parts(START, bytes);
        let secret_sha256 = format!("{number:04x}").repeat(16);
        let create = CreateToken {
            token,
            secret_sha256: secret_sha256.clone(),
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::OnPrem,
            uses: 1,
            expires: self.clock.now().plus_millis(HOUR_MS),
        };
        self.execute(tenant, Command::CreateToken(create))
            .await
            .unwrap();
        let enroll = Enroll {
            runtime,
            token,
            secret_sha256,
            cnf: format!("{number:04x}").repeat(16),
            binding_key: "key".to_owned(),
            certificate: "certificate".to_owned(),
            serial: format!("many-{number}"),
            not_after: Timestamp::MAX,
        };
        let enroll = Command::Enroll(Box::new(enroll));
        self.execute(tenant, enroll).await.unwrap();
        self.execute(tenant, Command::Activate { runtime })
            .await
            .unwrap();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn attach(&self, tenant: TenantId, peer: &Peer) {
        let attach = Command::Attach(Attach {
            runtime: peer.identity.runtime,
            operator: peer.identity.tenant,
            deployment_mode: DeploymentMode::Shared,
            status: RuntimeStatus::Active,
            cnf: "0a".repeat(32),
        });
        self.execute(tenant, attach).await.unwrap();
    }

    pub(crate) async fn call(
        &self,
        peer: &Peer,
        tenant: TenantId,
        operation: Operation,
    ) -> Result<Outcome, Problem> {
        self.gateway
            .call(peer, tenant, correlation(), operation)
            .await
    }

    pub(crate) async fn check(&self, peer: &Peer, tenant: TenantId) -> Result<Verdict, Problem> {
        let outcome = self.call(peer, tenant, check("seats", None, None)).await?;
        Ok(checked(outcome))
    }

    pub(crate) async fn consume(
        &self,
        peer: &Peer,
        amount: u64,
        key: u8,
    ) -> Result<Verdict, Problem> {
        let operation = check("seats", Some(amount), Some(key));
        let outcome = self.call(peer, peer.identity.tenant, operation).await?;
        Ok(checked(outcome))
    }

    pub(crate) async fn beat(&self, peer: &Peer) -> Result<Beat, Problem> {
        let operation = Operation::Heartbeat(Heartbeat {
            health: Health::Healthy,
            metrics: Metrics::default(),
        });
        match self.call(peer, peer.identity.tenant, operation).await? {
            Outcome::Beat(beat) => Ok(beat),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn resolve(
        &self,
        peer: &Peer,
        tenant: TenantId,
        token: &str,
    ) -> Result<Resolved, Problem> {
        let operation = Operation::Resolve(Resolve {
            external_token: token.to_owned(),
        });
        match self.call(peer, tenant, operation).await? {
            Outcome::Resolved(resolved) => Ok(*resolved),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn log(&self, tenant: TenantId) -> Vec<StoredEvent> {
        let all = Range {
            after: 0,
            limit: usize::MAX,
            newest_before: None,
        };
        self.store.read(tenant, all).await.unwrap()
    }

    /// How many events of a kind the tenant's log holds.
    pub(crate) async fn count(&self, tenant: TenantId, kind: &str) -> usize {
        let log = self.log(tenant).await;
        let of_kind = log
            .iter()
            .filter(|event| event.envelope.event.kind() == kind);
        of_kind.count()
    }

    pub(crate) async fn kinds(&self, tenant: TenantId) -> Vec<&'static str> {
        let log = self.log(tenant).await;
        log.iter()
            .map(|event| event.envelope.event.kind())
            .collect()
    }
}

/// Every test runs in its own `LocalSet`: everything on one thread, in one order.
pub(crate) async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

/// Lets every task that is ready run; paused time does not move meanwhile.
pub(crate) async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

pub(crate) async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

pub(crate) fn install() -> InstallId {
    InstallId::from_parts(START, [1; 10])
}

pub(crate) fn tenant_id(number: u8) -> TenantId {
    TenantId::from_parts(START, [number; 10])
}

pub(crate) fn runtime_id(number: u8) -> RuntimeId {
    RuntimeId::from_parts(START, [number; 10])
}

pub(crate) fn peer(tenant: TenantId, runtime: RuntimeId, number: u8) -> Peer {
    Peer {
        identity: PeerIdentity {
            tenant,
            runtime,
            serial: format!("serial-{number}"),
            key_sha256: [number; 32],
            not_before: Timestamp::EPOCH,
            not_after: Timestamp::MAX,
            root_sha256: None,
        },
        address: SocketAddr::from(([127, 0, 0, 1], 7443)),
        source: Source::Connector,
        version: ContractVersion::V0_2,
    }
}

pub(crate) fn correlation() -> CorrelationId {
    CorrelationId::from_parts(START, [7; 10])
}

pub(crate) fn admin() -> Meta {
    Meta {
        actor: ActorRef::system(),
        source: Source::Admin,
        correlation_id: correlation(),
        idempotency: None,
    }
}

pub(crate) fn keyed(key: &str, request: &str) -> Meta {
    let idempotency = Idempotency {
        scope: "admin/test".to_owned(),
        key: key.to_owned(),
        request_sha256: request.to_owned(),
    };
    Meta {
        idempotency: Some(idempotency),
        ..admin()
    }
}

pub(crate) fn grant(feature: &str, limit: Limit) -> Command {
    Command::Grant(Grant {
        feature: Feature::parse(feature).unwrap(),
        runtime: None,
        limit,
        time_window: None,
        mode: Mode::Enforce,
        valid_until: Timestamp::MAX,
    })
}

pub(crate) fn check(feature: &str, consume: Option<u64>, key: Option<u8>) -> Operation {
    Operation::Check(Check {
        feature: Feature::parse(feature).unwrap(),
        consume,
        idempotency: key.map(|key| RequestId::from_parts(START, [key; 10])),
    })
}

pub(crate) fn checked(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Checked(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Problem>) -> Code {
    result.expect_err("refused").code
}

/// A provider; the token `"<sub>"` is vouched for by the first one there is.
pub(crate) fn provider(number: u8, individuals: bool) -> Command {
    Command::AddProvider {
        provider: ProviderId::from_parts(START, [number; 10]),
        settings: ProviderSettings {
            kind: ProviderKind::Oidc,
            issuer: "https://idp.example".to_owned(),
            audience: format!("audience-{number}"),
            algorithms: vec!["ES256".to_owned()],
            keys: ProviderKeys::JwksInline("{}".to_owned()),
            required_claims: BTreeMap::new(),
            roles_claim: None,
            individuals,
        },
    }
}

/// The seed of the key that signs checkpoints.
pub(crate) const CHECKPOINT_KEY: u8 = 6;

pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) const HOUR_MS: u64 = 3_600_000;
