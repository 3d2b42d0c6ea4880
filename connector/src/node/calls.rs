//! Register, heartbeat and resolve.

use std::{collections::BTreeMap, sync::Arc};

use provost_protocol::{
    Code, ContractVersion, CorrelationId, Problem, TenantId,
    entity::{Health, RuntimeStatus, TenantStatus},
    v01::{
        Entitlement, EntitlementLimits, HeartbeatAnswer, HeartbeatRequest, Identity,
        RegisterAnswer, RegisterRequest, ResolveAnswer, directives_of,
    },
    wire::{Heartbeat, Operation, Outcome, Resolve, Resolved},
};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{Node, blocking, disk, internal};
use crate::{core::Registration, link::CallError, resolves::KeptResolve};

impl Node {
    /// Registers the product beside this connector; says whether it was known.
    pub(crate) async fn register(
        &self,
        request: RegisterRequest,
        version: ContractVersion,
    ) -> Result<(RegisterAnswer, bool), Problem> {
        let me = self.core.me;
        let invalid = |detail: &str| Err(Problem::new(Code::Invalid, detail));
        if request.runtime_type != me.runtime_type {
            return invalid("runtime_type: the runtime was enrolled as another");
        }
        if request.deployment_mode != me.deployment_mode {
            return invalid("deployment_mode: the runtime was enrolled as another");
        }
        if !(1..=WORD_BYTES_MAX).contains(&request.version.len()) {
            return invalid("version: 1 to 64 bytes");
        }
        let words = &request.capabilities;
        if words.len() > CAPABILITIES_MAX || words.iter().any(|word| word.len() > WORD_BYTES_MAX) {
            return invalid("capabilities: at most 64 words of at most 64 bytes");
        }
        self.refuse_suspended()?;
        self.link.settled().await;
        let facts = self.core.facts.get();
        let Some(policies) = facts.policies.clone() else {
            return Err(CallError::Down.problem());
        };
        let token = new_token();
        let registration = Registration {
            version: request.version,
            capabilities: request.capabilities,
            token_sha256: sha256_hex(&token),
        };
        let before = facts.registration.clone().unwrap_or_default();
        let changed = before.version != registration.version
            || before.capabilities != registration.capabilities;
        let core = Arc::clone(&self.core);
        blocking(move || {
            core.facts
                .update(|facts| facts.registration = Some(registration))
        })
        .await?
        .map_err(|failure| disk(&failure))?;
        if changed {
            self.core.facts_changed.notify_one();
        }
        let known = facts.registration.is_some();
        info!(known, changed, "the runtime registered");
        let answer = RegisterAnswer {
            runtime_id: me.runtime,
            status: facts.status().into(),
            policies_applied: policies,
            runtime_token: token,
            contract_version: version,
        };
        Ok((answer, known))
    }

    /// Whether this is the runtime token in force.
    pub(crate) fn token_is_good(&self, token: &str) -> bool {
        // Digests are compared: how long that takes tells nothing about the token.
        let digest = sha256_hex(token);
        let registration = self.core.facts.get().registration;
        digest == self.core.operator_token_sha256
            || registration.is_some_and(|held| held.token_sha256 == digest)
    }

    /// Takes the product's heartbeat; the connector's own carries it to the kernel.
    pub(crate) async fn heartbeat(
        &self,
        request: HeartbeatRequest,
        correlation: CorrelationId,
    ) -> Result<HeartbeatAnswer, Problem> {
        let metrics = request.metrics.unwrap_or_default();
        if metrics.len() > METRICS_MAX || metrics.keys().any(|name| name.len() > WORD_BYTES_MAX) {
            let detail = "metrics: at most 32 names of at most 64 bytes";
            return Err(Problem::new(Code::Invalid, detail));
        }
        let news = self.core.feel(request.status, metrics.clone());
        let waits = self.core.facts.get().status() == RuntimeStatus::Registered;
        if (news || waits) && self.link.is_up() {
            self.beat_at_once(request.status, metrics, correlation)
                .await;
        }
        let facts = self.core.facts.get();
        let signed_time = self.core.floor.note();
        let (Some(policies), false) = (&facts.policies, signed_time.is_empty()) else {
            return Err(CallError::Down.problem());
        };
        let own = self.core.tenants.find(self.core.me.tenant);
        let desired = own.as_ref().and_then(|own| own.desired.state());
        let now = self.core.floor.now();
        Ok(HeartbeatAnswer {
            status: facts.status().into(),
            heartbeat_interval_ms: policies.heartbeat_interval_ms,
            directives: desired.map_or_else(Vec::new, |state| directives_of(state, now)),
            signed_time,
        })
    }

    async fn beat_at_once(
        &self,
        health: Health,
        metrics: BTreeMap<String, f64>,
        correlation: CorrelationId,
    ) {
        let beat = Operation::Heartbeat(Heartbeat {
            health,
            metrics: metrics.into(),
        });
        match self.link.call(self.core.me.tenant, correlation, beat).await {
            Ok(Outcome::Beat(_)) => {}
            // The connector's own beat says it at its time.
            Ok(Outcome::Refused(problem)) => warn!(code = %problem.code, "a beat was refused"),
            Ok(_) | Err(_) => {}
        }
    }

    /// Says who is behind a token: asks the kernel, or, with the kernel away, repeats its answer.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        tenant: TenantId,
        token: String,
        correlation: CorrelationId,
    ) -> Result<ResolveAnswer, Problem> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(Problem::new(
                Code::Invalid,
                "external_token: 1 byte to 16 KiB",
            ));
        }
        let asked = Operation::Resolve(Resolve {
            external_token: token.clone(),
        });
        let resolved = match self.link.call(tenant, correlation, asked).await {
            Ok(Outcome::Resolved(resolved)) => *resolved,
            Ok(Outcome::Refused(problem)) => return Err(problem),
            Ok(_) => return Err(internal()),
            // Resolving the same token twice is harmless: a lost answer is as none.
            Err(CallError::Down | CallError::Lost) => return self.repeat(tenant, token).await,
            Err(error) => return Err(error.problem()),
        };
        let until = resolved.token_expires;
        let answer = shown(resolved);
        let kept = KeptResolve {
            asked_in: tenant,
            until,
            answer: answer.clone(),
        };
        let core = Arc::clone(&self.core);
        blocking(move || core.resolves.keep(&token, &kept, core.floor.now()))
            .await?
            .map_err(|failure| disk(&failure))?;
        // So that this person can go on when the kernel is away.
        let (node, of) = (Arc::clone(self), answer.identity.tenant_id);
        let renewed = of != self.core.me.tenant;
        if renewed
            || self
                .core
                .tenants
                .find(of)
                .is_none_or(|held| held.license.is_none())
        {
            tokio::spawn(async move {
                // Also where this pull does not come through: the next one is not held up.
                node.pulls.wake(of).await;
                drop(node.pull(of, correlation).await);
            });
        }
        Ok(answer)
    }

    async fn repeat(&self, tenant: TenantId, token: String) -> Result<ResolveAnswer, Problem> {
        let core = Arc::clone(&self.core);
        let now = core.floor.now();
        let kept = blocking(move || core.resolves.find(tenant, &token, now))
            .await?
            .map_err(|failure| disk(&failure))?;
        let unreachable = || {
            let detail =
                "the link to the kernel is down, and it has not answered this token before";
            Problem::new(Code::KernelUnreachable, detail).retry_after_ms(RESOLVE_RETRY_MS)
        };
        let kept = kept.ok_or_else(unreachable)?;
        let held = self.core.tenants.find(kept.answer.identity.tenant_id);
        let license = held
            .and_then(|held| held.license.clone())
            .ok_or_else(unreachable)?;
        if now >= license.document.locked_from() {
            return Err(unreachable());
        }
        self.refuse_suspended()?;
        for acted_for in [tenant, kept.answer.identity.tenant_id] {
            let held = self.core.tenants.find(acted_for);
            let desired = held.as_ref().and_then(|held| held.desired.state());
            if desired.is_some_and(|state| state.tenant_status == TenantStatus::Suspended) {
                return Err(Problem::new(
                    Code::TenantSuspended,
                    "the tenant is suspended",
                ));
            }
        }
        Ok(kept.answer)
    }

    /// What a suspended runtime may not do, as far as is known here.
    fn refuse_suspended(&self) -> Result<(), Problem> {
        if self.core.facts.get().status() == RuntimeStatus::Revoked {
            return Err(Problem::new(Code::RuntimeRevoked, "the runtime is revoked"));
        }
        let own = self.core.tenants.find(self.core.me.tenant);
        let Some(state) = own.as_ref().and_then(|own| own.desired.state()) else {
            return Ok(());
        };
        match state.runtime_status {
            RuntimeStatus::Revoked => {
                return Err(Problem::new(Code::RuntimeRevoked, "the runtime is revoked"));
            }
            RuntimeStatus::Suspended => {
                return Err(Problem::new(
                    Code::RuntimeSuspended,
                    "the runtime is suspended",
                ));
            }
            RuntimeStatus::Registered | RuntimeStatus::Active => {}
        }
        match state.tenant_status {
            TenantStatus::Suspended => Err(Problem::new(
                Code::TenantSuspended,
                "the tenant is suspended",
            )),
            TenantStatus::Active => Ok(()),
        }
    }
}

fn shown(resolved: Resolved) -> ResolveAnswer {
    let tenant = resolved.tenant;
    let entitlements = resolved
        .entitlements
        .into_iter()
        .map(|entitled| Entitlement {
            tenant_id: tenant,
            runtime_id: entitled.runtime,
            feature: entitled.feature.to_string(),
            limits: EntitlementLimits::of(entitled.limit, entitled.time_window),
            valid_until: entitled.valid_until,
        })
        .collect();
    let identity = Identity {
        identity_id: resolved.identity,
        tenant_id: tenant,
        external_id: resolved.external_id,
        provider: resolved.provider,
        roles: resolved.roles,
        attributes: resolved.attributes,
    };
    ResolveAnswer {
        identity,
        entitlements,
    }
}

/// A runtime token: 256 bits, in hex.
pub(crate) fn new_token() -> String {
    let secret: [u8; 32] = rand::random();
    format!("rt_{}", hex::encode(secret))
}

/// What is kept of a token.
pub(crate) fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The contract's bound of a word: a version, a capability, the name of a figure.
const WORD_BYTES_MAX: usize = 64;

/// The contract's bound.
const CAPABILITIES_MAX: usize = 64;

/// The contract's bound.
const METRICS_MAX: usize = 32;

/// The contract's bound of an external token.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A person who logs in again in a few seconds finds the link up, or not for long.
const RESOLVE_RETRY_MS: u64 = 5_000;
