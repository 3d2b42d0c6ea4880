//! A fleet on paper: tenants with entitlements and runtimes with certificates, made fast through
//! the kernel's own rules and the real store.
//!
//! All runtimes share one TLS key: a kernel sees their certificates only, and a client process
//! that holds ten thousand of them stays small.

mod scribe;

use std::{collections::VecDeque, path::Path, sync::Arc};

use anyhow::Context as _;
use provost_actors::{Random as _, SystemRandom};
use provost_certs::{
    Alpn, Authority, CheckedCsr, Ed25519Key, RuntimeTls, Signers, TlsKey, TlsPair, TrustBundle,
};
use provost_kernel::{Caller, State, license::Licensee};
use provost_protocol::{
    InstallId, RuntimeId, TenantId, Timestamp,
    entity::{Feature, TenantStatus},
};
use provost_store::{Append, AppendError, Backend as _, Pending, Store};
use serde::{Deserialize, Serialize};

pub(crate) use self::scribe::SOFTWARE;
use self::scribe::Scribe;
use crate::{crash::child, fill};

/// Who there is. Kept beside the data, for the clients' processes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) install: InstallId,
    pub(crate) root_pem: String,
    key_pem: String,
    /// Tenant by tenant; [`World::members_of`] finds them.
    pub(crate) members: Vec<Member>,
    runtimes: usize,
    tenants: usize,
}

/// One runtime with all it needs to call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) tenant: TenantId,
    pub(crate) runtime: RuntimeId,
    pub(crate) token: String,
    certificate: String,
}

/// How large it is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Tenants with as many entitlements as [`ENTITLEMENTS`].
    pub(crate) tenants: usize,
    /// Runtimes of each of them.
    pub(crate) runtimes: usize,
    /// Tenants of which nothing is ever heard.
    pub(crate) silent: usize,
}

impl World {
    /// Makes an installation and fills it. Blocks, on a thread that drives no runtime.
    ///
    /// # Errors
    /// Whatever rules, store or authority say.
    pub(crate) fn make(folder: &Path, plan: Plan) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(child::initialise(folder))?;
        let data = child::data_dir(folder);
        let authority = Authority::open(&data)?;
        let key = TlsKey::generate()?;
        let mut world = Self {
            install: authority.install(),
            root_pem: authority.root_pem(),
            key_pem: key.to_pem().expose().clone(),
            members: Vec::with_capacity(plan.tenants * plan.runtimes),
            runtimes: plan.runtimes,
            tenants: plan.tenants,
        };
        let csr = CheckedCsr::from_pem(&key.request_pem()?)?;
        let (store, _) = Store::open(&data, fill::options(false))?;
        let mut filler = Filler {
            store: &store,
            under_way: VecDeque::new(),
            events: 0,
        };
        let filled = runtime.block_on(async {
            for number in 0..plan.tenants {
                let mut scribe = Scribe::begin(number)?;
                scribe.grant()?;
                world
                    .members
                    .extend(scribe.enroll(&authority, &csr, plan.runtimes)?);
                filler.take(scribe).await?;
            }
            for number in 0..plan.silent {
                filler.take(Scribe::begin(plan.tenants + number)?).await?;
            }
            filler.finish().await
        });
        filled?;
        store.close(fill::CLOSE_PATIENCE)?;
        std::fs::write(folder.join(MANIFEST), serde_json::to_vec(&world)?)?;
        Ok(world)
    }

    /// Reads who there is.
    ///
    /// # Errors
    /// The folder was not made by this program.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let text =
            std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The numbers of the first members of a tenant.
    pub(crate) fn members_of(&self, tenant: usize, count: usize) -> Vec<usize> {
        let first = tenant * self.runtimes;
        (first..first + count.min(self.runtimes)).collect()
    }

    /// The numbers of one member of each of the first tenants.
    pub(crate) fn one_of_each(&self, tenants: usize) -> Vec<usize> {
        (0..tenants.min(self.tenants))
            .map(|tenant| tenant * self.runtimes)
            .collect()
    }

    /// One member's way to connect, to whoever `trust_pem` vouches for.
    pub(crate) fn tls(
        &self,
        member: &Member,
        trust_pem: &str,
        alpn: Alpn,
    ) -> anyhow::Result<RuntimeTls> {
        let key = TlsKey::from_pem(&self.key_pem).context("the world's key is damaged")?;
        let pair = TlsPair::new(key, member.certificate.clone())?;
        let trust = TrustBundle::from_pem(trust_pem)?;
        Ok(RuntimeTls::new(&trust, self.install, &pair, alpn)?)
    }
}

/// One tenant with one runtime, in memory: what a license is planned from.
pub(crate) struct Sample {
    pub(crate) state: State,
    pub(crate) licensee: Licensee,
    pub(crate) install: InstallId,
    pub(crate) signer: Arc<Ed25519Key>,
}

impl World {
    /// A tenant like all others of the world, and the installation's license key.
    pub(crate) fn sample(&self, data: &Path) -> anyhow::Result<Sample> {
        let key = TlsKey::from_pem(&self.key_pem).context("the world's key is damaged")?;
        let csr = CheckedCsr::from_pem(&key.request_pem()?)?;
        let mut scribe = Scribe::begin(0)?;
        scribe.grant()?;
        let members = scribe.enroll(&Authority::open(data)?, &csr, 1)?;
        let runtime = members.first().context("nobody was enrolled")?.runtime;
        let state = scribe.state();
        let record = state.runtime(runtime).context("nobody was enrolled")?;
        let licensee = Licensee {
            caller: Caller {
                runtime,
                tenant: state.tenant_id(),
                tenant_status: TenantStatus::Active,
                status: record.status,
                killed: false,
            },
            runtime_type: record.runtime_type,
            deployment_mode: record.deployment_mode,
            cnf: record.cnf.clone(),
        };
        Ok(Sample {
            licensee,
            state,
            install: self.install,
            signer: Signers::open(data)?.license,
        })
    }
}

/// What may be asked in every tenant, and whether it is allowed.
pub(crate) fn questions() -> impl Iterator<Item = (Feature, bool)> {
    (0..QUESTIONS).filter_map(|number| {
        let feature = Feature::parse(&feature_text(number)).ok()?;
        Some((feature, scribe::is_allowed(number)))
    })
}

fn feature_text(number: usize) -> String {
    format!("product.feature-{number:03}")
}

/// Whoever hands logs to the store.
struct Filler<'a> {
    store: &'a Store,
    under_way: VecDeque<(usize, Pending<Result<(), AppendError>>)>,
    /// In all that is under way.
    events: usize,
}

impl Filler<'_> {
    async fn take(&mut self, scribe: Scribe) -> anyhow::Result<()> {
        let (tenant, mut events) = scribe.finish();
        let mut expected = 0;
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(APPEND_EVENTS));
            let count = events.len();
            while self.events + count > UNDER_WAY_MAX
                && let Some((done, oldest)) = self.under_way.pop_front()
            {
                oldest.await?;
                self.events -= done;
            }
            let append = self.store.append(Append {
                tenant,
                expected,
                events,
            });
            self.under_way.push_back((count, append));
            self.events += count;
            expected += u64::try_from(count)?;
            events = rest;
        }
        Ok(())
    }

    async fn finish(&mut self) -> anyhow::Result<()> {
        while let Some((_, append)) = self.under_way.pop_front() {
            append.await?;
        }
        Ok(())
    }
}

fn fresh_tenant(now: Timestamp) -> TenantId {
    TenantId::from_parts(now, SystemRandom.id_bytes())
}

/// What stands in a folder, beside the data.
const MANIFEST: &str = "world.json";

/// As the issue says.
pub(crate) const ENTITLEMENTS: usize = 100;

/// A fifth of what is asked is not granted at all.
const QUESTIONS: usize = 120;

/// Events of one append: half a MiB at most.
const APPEND_EVENTS: usize = 256;

/// Events: whole groups for the journal, and half of what its queue takes.
const UNDER_WAY_MAX: usize = 4_096;
