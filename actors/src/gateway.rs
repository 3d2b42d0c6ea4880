//! The five calls, whichever way they came: HTTPS and frames end here, in the same handlers.
//!
//! Who calls stands in the certificate, and is asked anew on every call: valid now, not revoked,
//! runtime and tenant in force. For which tenant it calls is judged by *that* tenant's own state.

mod admissions;
mod audit;
mod resolve;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use provost_kernel::{
    Caller, Command,
    check::{Judgement, Question, evaluate},
    command::{Consume, Register},
    desired::{Surroundings, desired_state},
    license::{LicensePolicy, Licensee},
    liveness::Rhythm,
    state::RuntimeRecord,
};
use provost_protocol::{
    Code, ContractVersion, CorrelationId, Problem, RuntimeId, TenantId, Timestamp,
    entity::{DeploymentMode, Feature, Health, RuntimeStatus, RuntimeType, TenantStatus},
    envelope::{ActorRef, Idempotency, Source},
    event::Confirmation,
    sign::PeerIdentity,
    verdict::{Reason, Verdict},
    wire::{Beat, Check, DesiredState, Operation, Outcome, WirePolicies},
};
use sha2::{Digest, Sha256};

use crate::{Directory, Meta, RuntimeHandle, TenantError, TenantHandle, TokenVerifier};

/// The five calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    directory: Directory,
    verifier: Arc<dyn TokenVerifier>,
    throttle: Arc<Throttle>,
    admissions: Arc<admissions::Admissions>,
}

/// Who calls, and how.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who it is, from its certificate.
    pub identity: PeerIdentity,
    /// From where.
    pub address: SocketAddr,
    /// Through which door.
    pub source: Source,
    /// Under which version of the contract.
    pub version: ContractVersion,
}

/// What a runtime says of itself at registration.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it is.
    pub runtime_type: RuntimeType,
    /// How it is deployed.
    pub deployment_mode: DeploymentMode,
    /// The version of its software.
    pub version: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// SHA-256 of the runtime token it is given, hex; absent on frames.
    pub token_sha256: Option<String>,
}

/// A runtime is registered.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Whether it was registered before.
    pub known: bool,
    /// Where it stands.
    pub status: RuntimeStatus,
    /// What applies to it.
    pub policies: WirePolicies,
}

/// A caller whose certificate was found good, with its own tenant and its actor.
#[derive(Debug, Clone)]
pub struct Known {
    pub(crate) tenant: TenantHandle,
    pub(crate) runtime: RuntimeHandle,
    pub(crate) record: Arc<RuntimeRecord>,
    pub(crate) caller: Caller,
}

/// Overrides already recorded, so that a shadowed check in a loop is not an event each.
#[derive(Debug, Default)]
struct Throttle(Mutex<HashMap<(RuntimeId, Feature, Reason), Timestamp>>);

impl Gateway {
    /// Builds the calls over a directory.
    #[must_use]
    pub fn new(directory: Directory, verifier: Arc<dyn TokenVerifier>) -> Self {
        Self {
            directory,
            verifier,
            throttle: Arc::default(),
            admissions: Arc::default(),
        }
    }

    /// Where tenants are found.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Judges the certificate as of now and finds its runtime.
    ///
    /// # Errors
    /// 401 where the certificate or the runtime is no longer good.
    pub async fn known(&self, peer: &PeerIdentity) -> Result<Known, Problem> {
        let house = self.directory.house();
        house
            .standing
            .check(peer, house.clock.now())
            .map_err(|error| Problem::new(Code::CertificateRefused, error.to_string()))?;
        let gone = |error: TenantError| match error {
            TenantError::NotFound => Problem::new(
                Code::CertificateRefused,
                "the certificate's runtime is not known",
            ),
            other => other.problem(),
        };
        let tenant = self.directory.tenant(peer.tenant).await.map_err(gone)?;
        let runtime = self
            .directory
            .runtime(&tenant, peer.runtime)
            .await
            .map_err(gone)?;
        let record = match tenant.view().runtime(peer.runtime) {
            Some(record) => record.clone(),
            // Its actor is about to hold the record: once, right after it was born.
            None => {
                let key = provost_kernel::EntityKey::Runtime(peer.runtime);
                let state = tenant.look(vec![key]).await.map_err(gone)?;
                state
                    .runtime(peer.runtime)
                    .cloned()
                    .ok_or_else(|| gone(TenantError::NotFound))?
            }
        };
        if record.status == RuntimeStatus::Revoked {
            return Err(Problem::new(Code::RuntimeRevoked, "the runtime is revoked"));
        }
        let tenant_status = tenant
            .view()
            .tenant()
            .map_or(TenantStatus::Suspended, |record| record.status);
        let caller = Caller {
            runtime: peer.runtime,
            tenant: peer.tenant,
            tenant_status,
            status: record.status,
            killed: false,
        };
        Ok(Known {
            tenant,
            runtime,
            record: Arc::new(record),
            caller,
        })
    }

    /// Finds the tenant acted for: the caller's own, or for a shared runtime one it is attached to.
    ///
    /// # Errors
    /// 401 `identity_mismatch` for every other tenant, whether it exists or not.
    pub async fn acted_for(
        &self,
        known: &Known,
        tenant: TenantId,
    ) -> Result<TenantHandle, Problem> {
        if tenant == known.caller.tenant {
            return Ok(known.tenant.clone());
        }
        let mismatch = || {
            Problem::new(
                Code::IdentityMismatch,
                "the runtime may not act for this tenant",
            )
        };
        if known.record.deployment_mode != DeploymentMode::Shared {
            return Err(mismatch());
        }
        let handle = self
            .directory
            .tenant(tenant)
            .await
            .map_err(|error| match error {
                TenantError::NotFound => mismatch(),
                other => other.problem(),
            })?;
        handle
            .view()
            .check_facts(&known.caller)
            .map_err(|_| mismatch())?;
        Ok(handle)
    }

    /// Registers a runtime with what it says of itself.
    ///
    /// # Errors
    /// 403 while suspended; 422 where it says to be what it did not enroll as.
    pub async fn register(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        facts: Facts,
    ) -> Result<Registered, Problem> {
        let known = self.known(&peer.identity).await?;
        let command = Command::Register(Register {
            runtime: peer.identity.runtime,
            runtime_type: facts.runtime_type,
            deployment_mode: facts.deployment_mode,
            version: facts.version,
            capabilities: facts.capabilities,
            contract_version: peer.version,
            token_sha256: facts.token_sha256,
        });
        let meta = peer.meta(correlation_id);
        let was_known = known.record.version.is_some();
        known
            .tenant
            .execute(command, meta)
            .await
            .map_err(|error| error.problem())?;
        Ok(Registered {
            known: was_known,
            status: known.record.status,
            policies: self.policies(&known),
        })
    }

    /// Answers one operation for a tenant.
    ///
    /// # Errors
    /// The refusal, with its stable code.
    pub async fn call(
        &self,
        peer: &Peer,
        tenant: TenantId,
        correlation_id: CorrelationId,
        operation: Operation,
    ) -> Result<Outcome, Problem> {
        let known = self.known(&peer.identity).await?;
        let acted = self.acted_for(&known, tenant).await?;
        match operation {
            Operation::Heartbeat(beat) => {
                self.heartbeat(peer, &known, &acted, beat.health, beat.metrics)
                    .await
            }
            Operation::Check(check) => {
                let verdict = self
                    .check(peer, correlation_id, &known, &acted, check)
                    .await?;
                Ok(Outcome::Checked(verdict))
            }
            Operation::Resolve(resolve) => {
                self.resolve(peer, correlation_id, &known, &acted, resolve.external_token)
                    .await
            }
            Operation::Audit(events) => self
                .record_audit(peer, &known, &acted, events)
                .await
                .map(Outcome::Recorded),
            Operation::PullLicense => {
                let licensee = Licensee {
                    caller: known.caller,
                    runtime_type: known.record.runtime_type,
                    deployment_mode: known.record.deployment_mode,
                    cnf: known.record.cnf.clone(),
                };
                let meta = peer.meta(correlation_id);
                let text = acted.issue_license(licensee, meta).await;
                text.map(Outcome::License).map_err(|error| error.problem())
            }
        }
    }

    /// The desired state of the caller for a tenant it acts for.
    ///
    /// # Errors
    /// As [`acted_for`](Self::acted_for).
    pub fn desired(&self, known: &Known, acted: &TenantHandle) -> Result<DesiredState, Problem> {
        let surroundings = Surroundings {
            trust_bundle: self.directory.house().trust_bundle.clone(),
            heartbeat_interval_ms: self.rhythm().interval_ms,
        };
        desired_state(&acted.view(), &known.caller, &surroundings)
            .map_err(|rejection| TenantError::from(rejection).problem())
    }

    /// Notes that the caller acted on a revision.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn confirm(
        &self,
        peer: &Peer,
        confirmation: provost_protocol::wire::Confirm,
    ) -> Result<(), Problem> {
        let known = self.known(&peer.identity).await?;
        let acted = self.acted_for(&known, confirmation.tenant).await?;
        let revision = confirmation.revision;
        acted.confirm(Confirmation {
            runtime: peer.identity.runtime,
            revision,
        });
        Ok(())
    }

    pub(crate) fn policies(&self, known: &Known) -> WirePolicies {
        let policies = known
            .tenant
            .view()
            .tenant()
            .map(|tenant| tenant.policies.clone());
        let policies = policies.unwrap_or_default();
        let license = LicensePolicy::of(policies.security_level);
        let rhythm = self.rhythm();
        WirePolicies {
            security_level: policies.security_level,
            data_residency: policies.data_residency,
            heartbeat_interval_ms: rhythm.interval_ms,
            grace_ms: rhythm.grace_ms,
            license_ttl_ms: license.ttl_ms,
            offline_max_ms: license.offline_max_ms(),
        }
    }

    /// The rhythm of the fleet; each beat's answer spreads it.
    fn rhythm(&self) -> Rhythm {
        let fleet = u64::try_from(self.directory.fleet_size()).unwrap_or(u64::MAX);
        Rhythm::for_fleet(fleet, 0)
    }

    async fn heartbeat(
        &self,
        peer: &Peer,
        known: &Known,
        acted: &TenantHandle,
        health: Health,
        metrics: BTreeMap<String, f64>,
    ) -> Result<Outcome, Problem> {
        if metrics.len() > METRICS_MAX || metrics.keys().any(|name| name.len() > METRIC_BYTES_MAX) {
            return Err(Problem::new(
                Code::Invalid,
                "metrics: at most 32 names of 64 bytes",
            ));
        }
        let answer = known
            .runtime
            .beat(health, metrics, peer.address)
            .await
            .map_err(|error| error.problem())?;
        let mut desired = self.desired(known, acted)?;
        desired.heartbeat_interval_ms = answer.rhythm.interval_ms;
        desired.runtime_status = answer.status;
        Ok(Outcome::Beat(Beat {
            status: answer.status,
            heartbeat_interval_ms: answer.rhythm.interval_ms,
            signed_time: self.directory.house().signed_time(),
            desired,
        }))
    }

    async fn check(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        known: &Known,
        acted: &TenantHandle,
        check: Check,
    ) -> Result<Verdict, Problem> {
        if let Some(amount) = check.consume {
            return self
                .consume(peer, correlation_id, known, acted, check, amount)
                .await;
        }
        let view = acted.view();
        let facts = view
            .check_facts(&known.caller)
            .map_err(|rejection| TenantError::from(rejection).problem())?;
        let now = self.directory.house().clock.now();
        let question = Question {
            feature: check.feature,
            consume: None,
        };
        let judgement = evaluate(&facts, &*view, &question, now);
        self.record_override(
            peer,
            correlation_id,
            acted,
            &question.feature,
            &judgement,
            now,
        )
        .await;
        Ok(judgement.verdict)
    }

    async fn consume(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        known: &Known,
        acted: &TenantHandle,
        check: Check,
        amount: u64,
    ) -> Result<Verdict, Problem> {
        let mut meta = peer.meta(correlation_id);
        meta.idempotency = check.idempotency.map(|key| Idempotency {
            scope: format!("runtime/{}", peer.identity.runtime),
            key: key.to_string(),
            request_sha256: sha256_hex(format!("consume\n{}\n{amount}", check.feature).as_bytes()),
        });
        let command = Command::Consume(Consume {
            caller: known.caller,
            feature: check.feature,
            amount,
            prior: None,
        });
        let executed = acted
            .execute(command, meta)
            .await
            .map_err(|error| error.problem())?;
        let mut verdicts = executed
            .events
            .iter()
            .filter_map(|event| provost_kernel::answer(&event.event));
        verdicts
            .next()
            .ok_or_else(|| Problem::new(Code::Internal, "no verdict"))
    }

    /// What a mode let through is recorded, once a minute for each runtime, feature and reason.
    async fn record_override(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        acted: &TenantHandle,
        feature: &Feature,
        judgement: &Judgement,
        now: Timestamp,
    ) {
        let (Some(reason), Some((grant, _))) = (judgement.overridden, &judgement.matched) else {
            return;
        };
        let runtime = peer.identity.runtime;
        if !self
            .throttle
            .admits((runtime, feature.clone(), reason), now)
        {
            return;
        }
        let command = Command::RecordOverride {
            runtime,
            feature: feature.clone(),
            mode: grant.mode,
            reason,
        };
        if let Err(error) = acted.execute(command, peer.meta(correlation_id)).await {
            tracing::warn!(%error, "an overridden denial was not recorded");
        }
    }
}

impl Throttle {
    fn admits(&self, key: (RuntimeId, Feature, Reason), now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= OVERRIDES_MAX {
            seen.retain(|_, at| now.millis_since(*at) < OVERRIDE_EVERY_MS);
        }
        let known = seen
            .get(&key)
            .is_some_and(|at| now.millis_since(*at) < OVERRIDE_EVERY_MS);
        if known || seen.len() >= OVERRIDES_MAX {
            return false;
        }
        seen.insert(key, now);
        true
    }
}

impl Peer {
    /// Who asks, for the log.
    #[must_use]
    pub fn meta(&self, correlation_id: CorrelationId) -> Meta {
        Meta {
            actor: ActorRef::runtime(self.identity.runtime),
            source: self.source.clone(),
            correlation_id,
            idempotency: None,
        }
    }
}

impl Known {
    /// The runtime, as its tenant's log knows it.
    #[must_use]
    pub fn record(&self) -> &RuntimeRecord {
        &self.record
    }

    /// The runtime's actor.
    #[must_use]
    pub const fn runtime(&self) -> &RuntimeHandle {
        &self.runtime
    }

    /// The runtime's own tenant.
    #[must_use]
    pub const fn tenant(&self) -> &TenantHandle {
        &self.tenant
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    crate::hex::encode(&Sha256::digest(bytes))
}

/// Names in a heartbeat's metrics (contract.md, section 2).
const METRICS_MAX: usize = 32;

/// A metric's name, as long as a Prometheus label stays readable.
const METRIC_BYTES_MAX: usize = 64;

/// One event a minute for each shadowed question shows what it would have denied.
const OVERRIDE_EVERY_MS: u64 = 60_000;

/// Questions remembered: beyond it a flood of distinct ones is not recorded.
const OVERRIDES_MAX: usize = 4_096;
