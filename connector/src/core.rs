//! What every part of the connector shares: who it is, what it holds, and where it stands.
//!
//! What survives a crash: facts, tenants, resolves, spool and the time floor, each in its own
//! file. The pulse and the link's state are volatile.

mod facts;
mod news;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use provost_protocol::{
    ContractVersion, InstallId, RuntimeId, TenantId, Timestamp,
    entity::{DeploymentMode, Health, RuntimeType},
    wire::Hello,
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, timeout},
};

pub(crate) use facts::{Facts, Registration};
pub(crate) use news::{News, obey};

use crate::{
    durable::Kept, evidence::Evidence, floor::Floor, identity::Identity, link::LinkState,
    resolves::Resolves, spool::Spool, tenants::Tenants, trust::Trust,
};

/// Who this runtime is, as enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Me {
    pub(crate) tenant: TenantId,
    pub(crate) runtime: RuntimeId,
    pub(crate) install: InstallId,
    pub(crate) runtime_type: RuntimeType,
    pub(crate) deployment_mode: DeploymentMode,
}

/// The shared part.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) me: Me,
    pub(crate) floor: Floor,
    pub(crate) facts: Kept<Facts>,
    pub(crate) tenants: Tenants,
    pub(crate) resolves: Resolves,
    pub(crate) spool: Arc<Spool>,
    pub(crate) evidence: Evidence,
    pub(crate) trust: Trust,
    pub(crate) identity: Identity,
    pub(crate) link: watch::Sender<LinkState>,
    /// SHA-256 of the token that the command line uses, hex; new at every start.
    pub(crate) operator_token_sha256: String,
    pub(crate) news: mpsc::Sender<News>,
    /// A revision may be confirmed, or said which roots are trusted.
    pub(crate) confirm: Notify,
    /// The runtime may have been killed.
    pub(crate) kill: Notify,
    /// Drawn at the start: tells this process from every other that uses the same identity.
    pub(crate) nonce: [u8; 16],
    /// A license may be due, a mode may have changed.
    pub(crate) upkeep: Notify,
    /// The runtime registered with other facts than Hello said.
    pub(crate) facts_changed: Notify,
    pulse: Mutex<Pulse>,
}

/// What the product last said of itself, and when the kernel last heard a beat.
#[derive(Debug, Default)]
struct Pulse {
    said: Option<Said>,
    beaten: Option<Timestamp>,
}

#[derive(Debug)]
struct Said {
    health: Health,
    metrics: BTreeMap<String, f64>,
    at: Instant,
}

/// The parts a core is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) me: Me,
    pub(crate) floor: Floor,
    pub(crate) facts: Kept<Facts>,
    pub(crate) tenants: Tenants,
    pub(crate) resolves: Resolves,
    pub(crate) spool: Arc<Spool>,
    pub(crate) evidence: Evidence,
    pub(crate) trust: Trust,
    pub(crate) identity: Identity,
    pub(crate) link: watch::Sender<LinkState>,
    pub(crate) operator_token_sha256: String,
}

impl Core {
    /// Puts the parts together; news of the session come out of the receiver, for [`obey`].
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, mpsc::Receiver<News>) {
        let (news, heard) = mpsc::channel(NEWS_QUEUE_MAX);
        let core = Self {
            me: parts.me,
            floor: parts.floor,
            facts: parts.facts,
            tenants: parts.tenants,
            resolves: parts.resolves,
            spool: parts.spool,
            evidence: parts.evidence,
            trust: parts.trust,
            identity: parts.identity,
            link: parts.link,
            operator_token_sha256: parts.operator_token_sha256,
            news,
            confirm: Notify::new(),
            kill: Notify::new(),
            nonce: rand::random(),
            upkeep: Notify::new(),
            facts_changed: Notify::new(),
            pulse: Mutex::default(),
        };
        (Arc::new(core), heard)
    }

    /// Whether the runtime may act for a tenant, as far as can be known here: a shared one for
    /// any, which the kernel then judges; every other for its own alone.
    pub(crate) fn may_act_for(&self, tenant: TenantId) -> bool {
        tenant == self.me.tenant || self.me.deployment_mode == DeploymentMode::Shared
    }

    /// What the runtime says first.
    pub(crate) fn hello(&self) -> Hello {
        let facts = self.facts.get();
        let registration = facts.registration.unwrap_or_default();
        Hello {
            versions: ContractVersion::SPOKEN
                .iter()
                .map(ToString::to_string)
                .collect(),
            runtime_type: self.me.runtime_type,
            deployment_mode: self.me.deployment_mode,
            version: registration.version,
            capabilities: registration.capabilities,
            nonce: self.nonce,
            last_generation: facts.generation,
            held: self.tenants.revisions(self.me.tenant),
            have_size: self.evidence.highest().map_or(0, |held| held.size),
            clock: self.floor.local(),
        }
    }

    /// Takes in what the product says of itself; says whether its health is another.
    pub(crate) fn feel(&self, health: Health, metrics: BTreeMap<String, f64>) -> bool {
        let mut pulse = self.lock();
        let before = pulse
            .said
            .as_ref()
            .map_or(Health::Healthy, |said| said.health);
        pulse.said = Some(Said {
            health,
            metrics,
            at: Instant::now(),
        });
        before != health
    }

    /// What the next beat says. A product that has beaten and stopped is not well.
    pub(crate) fn pulse(&self) -> (Health, BTreeMap<String, f64>) {
        let grace = self
            .facts
            .get()
            .policies
            .map_or(GRACE_MS, |policies| policies.grace_ms);
        let pulse = self.lock();
        let Some(said) = &pulse.said else {
            return (Health::Healthy, BTreeMap::new());
        };
        let silent = said.at.elapsed() > Duration::from_millis(grace);
        let health = if silent {
            Health::Degraded
        } else {
            said.health
        };
        (health, said.metrics.clone())
    }

    /// The kernel answered a beat.
    pub(crate) fn beaten(&self) {
        self.lock().beaten = Some(self.floor.local());
    }

    /// When the kernel last answered a beat of this process.
    pub(crate) fn last_beat(&self) -> Option<Timestamp> {
        self.lock().beaten
    }

    /// Waits until all news told so far are in force.
    pub(crate) async fn taken_in(&self) {
        let (done, reached) = oneshot::channel();
        if self.news.send(News::Mark(done)).await.is_ok() {
            drop(timeout(TAKEN_IN_MAX, reached).await);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds the command line's token while the connector runs.
pub(crate) const OPERATOR_TOKEN_FILE: &str = "operator.token";

/// One Welcome brings at most a state for each tenant that Hello named.
const NEWS_QUEUE_MAX: usize = 1_024;

/// A thousand small files on a slow disk.
const TAKEN_IN_MAX: Duration = Duration::from_secs(30);

/// Before the kernel has said how long silence is borne: three beats of its base rhythm.
const GRACE_MS: u64 = 90_000;
