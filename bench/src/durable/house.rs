//! The kernel without its ports: the real store and the real tenants on their threads.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
    vec::IntoIter,
};

use anyhow::Context as _;
use provost::{
    init::{self, Init},
    install::Install,
};
use provost_actors::{
    Arbiters, AuditItem, Directory, House, Meta, Random as _, Spawner, SystemClock, SystemRandom,
    TenantHandle, TimeNote,
};
use provost_certs::{Authority, Certificates, Signers};
use provost_kernel::{
    Caller, Command,
    command::{AuditEntry, AuditPrior, CreateTenant, CreateToken, Enroll},
};
use provost_protocol::{
    ContractVersion, CorrelationId, EventId, RuntimeId, TenantId, Timestamp, TokenId,
    entity::{
        ActorType, DeploymentMode, Policies, RuntimeStatus, RuntimeType, TenantStatus, TenantType,
    },
    envelope::{ActorRef, Source},
    event::AuditRecorded,
    json::RawJson,
};
use provost_store::{Backend, Options, Range, Store};
use tokio::sync::{Barrier, oneshot};

use super::slow::SlowDisk;
use crate::now;

/// Store, actors and the tenants that are written to.
#[derive(Debug)]
pub(super) struct Writers {
    store: Arc<Store>,
    arbiters: Arbiters,
    members: Vec<Member>,
}

/// One tenant with one runtime.
#[derive(Debug, Clone)]
struct Member {
    tenant: TenantHandle,
    runtime: RuntimeId,
}

/// How many events a writer wrote, and those it had left.
type Wrote = anyhow::Result<(u64, IntoIter<AuditItem>)>;

impl Writers {
    /// Makes an installation in a folder and `count` tenants with a runtime each. Runs on an
    /// `actix::System`.
    pub(super) async fn open(folder: &Path, disk: SlowDisk, count: usize) -> anyhow::Result<Self> {
        let wish = Init {
            data_dir: folder.to_owned(),
            name: "durable".to_owned(),
            time_zone: "UTC".to_owned(),
        };
        // It waits for the store on a small runtime of its own.
        tokio::task::spawn_blocking(move || init::initialise(&wish)).await??;
        let options = Options {
            disk: Arc::new(disk),
            ..Options::new(Arc::new(|_why| std::process::abort()))
        };
        let (store, _) = Store::open(folder, options)?;
        let store = Arc::new(store);
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let arbiters = Arbiters::start(cores)?;
        let signers = Signers::open(folder)?;
        let house = House {
            backend: Arc::clone(&store) as Arc<dyn Backend>,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            license_signer: Arc::clone(&signers.license) as _,
            checkpoint_signer: Arc::clone(&signers.checkpoint) as _,
            standing: Arc::new(Certificates::new()),
            issuer: Arc::new(Authority::open(folder)?),
            install: Install::load(folder)?.install_id,
            trust_bundle: "".into(),
            region: None,
            time_note: TimeNote::default(),
        };
        let directory = Directory::new(Arc::new(house), arbiters.spawner());
        let mut members = Vec::with_capacity(count);
        for number in 0..count {
            members.push(Member::create(&directory, number).await?);
        }
        Ok(Self {
            store,
            arbiters,
            members,
        })
    }

    /// `count` writers, each on its tenant's own thread as a runtime's connection is, write event
    /// after event for so long, over the first `tenants` tenants; says how many were answered as
    /// durable, and how long it took. The events of a writer are decoded before, as requests are.
    pub(super) async fn run(
        &self,
        count: usize,
        tenants: usize,
        slice: Duration,
    ) -> anyhow::Result<(u64, Duration)> {
        let spawner = self.arbiters.spawner();
        let stop = Arc::new(AtomicBool::new(false));
        let ready = Arc::new(Barrier::new(count + 1));
        let start = now();
        let mut writers = Vec::with_capacity(count);
        for writer in 0..count {
            let member = self.members[writer % tenants].clone();
            let gates = (Arc::clone(&ready), Arc::clone(&stop));
            writers.push(member.write(&spawner, start, gates)?);
        }
        ready.wait().await;
        let begun = Instant::now();
        tokio::time::sleep(slice).await;
        stop.store(true, Ordering::SeqCst);
        let mut written = 0;
        let mut left = Vec::with_capacity(count);
        for writer in writers {
            let (count, items) = writer.await.context("a writer ended early")??;
            written += count;
            left.push(items);
        }
        Ok((written, begun.elapsed()))
    }

    /// The bytes of one tenant's last events: what the floor writes too.
    pub(super) async fn last_events(&self, count: usize) -> anyhow::Result<Vec<Arc<[u8]>>> {
        let range = Range {
            after: 0,
            limit: count,
            newest_before: Some(u64::MAX),
        };
        let events = self.store.read(self.members[0].tenant.id(), range).await?;
        anyhow::ensure!(events.len() == count, "too few events to measure with");
        Ok(events.into_iter().map(|event| event.bytes).collect())
    }

    /// Ends everything in order.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.arbiters.stop(CLOSE_PATIENCE).await?;
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close(CLOSE_PATIENCE)).await??;
        Ok(())
    }
}

impl Member {
    async fn create(directory: &Directory, number: usize) -> anyhow::Result<Self> {
        let now = directory.house().clock.now();
        let id = TenantId::from_parts(now, SystemRandom.id_bytes());
        let create = Command::CreateTenant(CreateTenant {
            tenant_type: TenantType::Company,
            name: format!("tenant {number}"),
            policies: Policies::default(),
            operator: None,
            time_zone: "UTC".to_owned(),
            region: None,
        });
        let (tenant, _) = directory.create(id, create, admin(now)).await?;
        let token = TokenId::from_parts(now, SystemRandom.id_bytes());
        let runtime = RuntimeId::from_parts(now, SystemRandom.id_bytes());
        let secret_sha256 = "5e".repeat(32);
        let issue = Command::CreateToken(CreateToken {
            token,
            secret_sha256: secret_sha256.clone(),
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::Dedicated,
            uses: 1,
            expires: now.plus_millis(TOKEN_MS),
        });
        tenant.execute(issue, admin(now)).await?;
        let enroll = Command::Enroll(Box::new(Enroll {
            runtime,
            token,
            secret_sha256,
            cnf: "cf".repeat(32),
            binding_key: "key".to_owned(),
            certificate: "certificate".to_owned(),
            serial: format!("{number:016x}"),
            not_after: Timestamp::MAX,
        }));
        tenant.execute(enroll, admin(now)).await?;
        Ok(Self { tenant, runtime })
    }

    /// Starts one writer; it says how many of its events were answered as durable, and what it had
    /// ready and did not need.
    fn write(
        self,
        spawner: &Spawner,
        begun: Timestamp,
        (ready, stop): (Arc<Barrier>, Arc<AtomicBool>),
    ) -> anyhow::Result<oneshot::Receiver<Wrote>> {
        let (done, wrote) = oneshot::channel();
        let place = spawner.place(&self.tenant.id());
        spawner.spawn_on(place, move || async move {
            let items = (0..READY).map(|number| self.item(begun, number));
            let items: Result<Vec<_>, _> = items.collect();
            ready.wait().await;
            let outcome = match items {
                Ok(items) => self.record(items.into_iter(), begun, &stop).await,
                Err(error) => Err(error),
            };
            let _ = done.send(outcome);
        })?;
        Ok(wrote)
    }

    async fn record(
        &self,
        mut items: IntoIter<AuditItem>,
        begun: Timestamp,
        stop: &AtomicBool,
    ) -> Wrote {
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            let item = match items.next() {
                Some(item) => item,
                None => self.item(begun, written)?,
            };
            self.record_one(item).await?;
            written += 1;
        }
        Ok((written, items))
    }

    async fn record_one(&self, item: AuditItem) -> anyhow::Result<()> {
        let caller = Caller {
            runtime: self.runtime,
            tenant: self.tenant.id(),
            tenant_status: TenantStatus::Active,
            status: RuntimeStatus::Registered,
            killed: false,
        };
        let recorded = self
            .tenant
            .record_audit(caller, vec![item], Source::Runtime);
        let recorded = recorded.await?;
        anyhow::ensure!(
            recorded.iter().all(|(_, seq)| *seq > 0),
            "an answer without a place in the log"
        );
        Ok(())
    }

    /// The event of that number since `begun`. Its id is as if it were made when it is sent: the ids
    /// of all writers rise together.
    fn item(&self, begun: Timestamp, number: u64) -> anyhow::Result<AuditItem> {
        let now = now();
        let made = begun.plus_millis(number / READY_A_MS);
        let event_id = EventId::from_parts(made, SystemRandom.id_bytes());
        let correlation_id = CorrelationId::from_parts(now, SystemRandom.id_bytes());
        let payload = format!(
            r#"{{"document":"d-{number}","pages":12,"ms":{}}}"#,
            number % 977
        );
        let actor = format!("user-{}", number % 100);
        let text = format!(
            r#"{{"event_id":"{event_id}","tenant_id":"{}","runtime_id":"{}","actor_type":"user","actor_id":"{actor}","type":"document.opened","timestamp":"{now}","correlation_id":"{correlation_id}","payload":{payload}}}"#,
            self.tenant.id(),
            self.runtime,
        );
        let entry = AuditEntry {
            recorded: AuditRecorded {
                event_id,
                kind: "document.opened".to_owned(),
                received_at: now,
                event: RawJson::parse(&text)?,
            },
            actor: ActorType::User,
            timestamp: now,
            payload_bytes: payload.len(),
            version: ContractVersion::V0_2,
            prior: AuditPrior::New,
        };
        let actor = ActorRef {
            kind: ActorType::User,
            id: actor,
        };
        Ok(AuditItem {
            entry,
            actor,
            correlation_id,
        })
    }
}

fn admin(now: Timestamp) -> Meta {
    Meta {
        actor: ActorRef::system(),
        source: Source::Admin,
        correlation_id: CorrelationId::from_parts(now, SystemRandom.id_bytes()),
        idempotency: None,
    }
}

/// Events each writer has ready for a slice: more than any wrote in one so far; who needs more makes
/// it on its way.
const READY: u64 = 1_000;

/// So that what is ready for a slice of half a second carries the times of half a second.
const READY_A_MS: u64 = 2;

/// Longer than making all tenants takes.
const TOKEN_MS: u64 = 60 * 60 * 1_000;

/// Writing out a state of a minute's writes takes well under this.
const CLOSE_PATIENCE: Duration = Duration::from_secs(60);
