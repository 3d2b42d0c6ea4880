//! The bodies of the five v0.1 calls (contract.md, section 2), as HTTP carries them.
//!
//! These are HTTP's structs, not the wire's: absent fields are left out, statuses are shown in
//! v0.1's words, and limits are a JSON object. Requests ignore fields they do not know, as v0.1's
//! clients do with answers. Golden JSON stands in `golden/v0.1/`, written by hand.

mod directives;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ContractVersion, CorrelationId, EventId, IdentityId, RuntimeId, TenantId, Timestamp,
    entity::{
        ActorType, DeploymentMode, Health, Limit, Mode, ProviderKind, RuntimeStatus, RuntimeType,
        SecurityLevel,
    },
    json::RawJson,
    verdict::{Limits, Reason, Verdict},
};

pub use self::directives::directives_of;

/// Body of `POST /kernel/runtimes/register`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterRequest {
    /// The runtime's own tenant.
    pub tenant_id: TenantId,
    /// What it is; must be what it was enrolled as.
    pub runtime_type: RuntimeType,
    /// How it is deployed; must be what it was enrolled as.
    pub deployment_mode: DeploymentMode,
    /// The version of its software; 1 to 64 bytes.
    pub version: String,
    /// What it says it can do; at most 64 words of at most 64 bytes.
    pub capabilities: Vec<String>,
}

/// Answer to register: 201 at first, 200 when known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterAnswer {
    /// The id that stands in the runtime's certificate.
    pub runtime_id: RuntimeId,
    /// `registered`, until the first heartbeat.
    pub status: ShownRuntimeStatus,
    /// What applies to the runtime.
    pub policies_applied: PoliciesApplied,
    /// Goes into `Authorization: Bearer` of every other call; replaces the one before.
    pub runtime_token: String,
    /// The version spoken from here on.
    pub contract_version: ContractVersion,
}

/// What applies to a registered runtime; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoliciesApplied {
    /// How strictly the tenant is handled.
    pub security_level: SecurityLevel,
    /// The only region that may serve the tenant, if it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_residency: Option<String>,
    /// How often to beat.
    pub heartbeat_interval_ms: u64,
    /// Without a beat for so long the runtime counts as lost.
    pub grace_ms: u64,
    /// How long a license serves.
    pub license_ttl_ms: u64,
    /// How long a runtime may go on without the kernel: license and its grace.
    pub offline_max_ms: u64,
}

/// A runtime's status in v0.1's words: `revoked` shows as `suspended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShownRuntimeStatus {
    /// Registered, no heartbeat yet.
    Registered,
    /// Beating.
    Active,
    /// Suspended or revoked.
    Suspended,
}

impl From<RuntimeStatus> for ShownRuntimeStatus {
    fn from(status: RuntimeStatus) -> Self {
        match status {
            RuntimeStatus::Registered => Self::Registered,
            RuntimeStatus::Active => Self::Active,
            RuntimeStatus::Suspended | RuntimeStatus::Revoked => Self::Suspended,
        }
    }
}

/// Body of `POST /kernel/runtimes/{runtime_id}/heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatRequest {
    /// What the runtime says of itself.
    pub status: Health,
    /// Its figures: at most 32 names of at most 64 bytes; only the last ones are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<BTreeMap<String, f64>>,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    /// How the kernel sees the runtime.
    pub status: ShownRuntimeStatus,
    /// When to beat next, from now.
    pub heartbeat_interval_ms: u64,
    /// What an operator directs: `{"type": "kill"}`, or `{"type": "limit"}` with `feature`,
    /// `allowed`, `limits` and `until`. Whatever stands is in every answer.
    pub directives: Vec<RawJson>,
    /// The kernel's time as a C2SP signed note of key `<install>/time`.
    pub signed_time: String,
}

/// Body of `POST /kernel/identity/resolve`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolveRequest {
    /// The tenant whose provider issued the token.
    pub tenant_id: TenantId,
    /// The provider's token: a JWT of at most 16 KiB. Never logged, never stored.
    pub external_token: String,
}

impl std::fmt::Debug for ResolveRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResolveRequest")
            .field("tenant_id", &self.tenant_id)
            .field("external_token", &"…")
            .finish()
    }
}

/// Answer to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolveAnswer {
    /// Who it is; its tenant may be an individual's own.
    pub identity: Identity,
    /// What that tenant may do on the asking runtime.
    pub entitlements: Vec<Entitlement>,
}

/// A person or service as one tenant knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// The identity.
    pub identity_id: IdentityId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The provider's `sub`.
    pub external_id: String,
    /// Which kind of provider vouched.
    pub provider: ProviderKind,
    /// The roles the token named.
    pub roles: Vec<String>,
    /// Normalised claims.
    pub attributes: BTreeMap<String, String>,
}

/// What a tenant may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entitlement {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The asking runtime, also where it holds for all.
    pub runtime_id: RuntimeId,
    /// What.
    pub feature: String,
    /// How much.
    pub limits: EntitlementLimits,
    /// Until when; `9999-12-31T23:59:59.999Z` for no end.
    pub valid_until: Timestamp,
}

/// How much, as v0.1 shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntitlementLimits {
    /// Units in each window; absent where it is unlimited or a plain yes or no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// The window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<String>,
}

impl EntitlementLimits {
    /// Shows a limit and its window in v0.1's words.
    #[must_use]
    pub fn of(limit: Limit, window: Option<crate::entity::TimeWindow>) -> Self {
        let quota = match limit {
            Limit::Quota(quota) => Some(quota),
            Limit::Flag(_) | Limit::Unlimited => None,
        };
        Self {
            quota,
            time_window: window.map(|window| window.to_string()),
        }
    }
}

/// Body of `POST /kernel/entitlements/check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckRequest {
    /// For which tenant.
    pub tenant_id: TenantId,
    /// By which runtime.
    pub runtime_id: RuntimeId,
    /// What for: a dotted key, perhaps with `:resource`.
    pub feature: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<CheckContext>,
}

/// What the kernel reads of a check's context; other members are the runtime's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckContext {
    /// The resource, where the feature does not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Takes so many units from the quota, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume: Option<u64>,
}

/// Answer to a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckAnswer {
    /// Whether the runtime may execute.
    pub allowed: bool,
    /// The limits of the entitlement that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<CheckLimits>,
    /// Why.
    pub reason: Reason,
}

/// The limits in force after a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckLimits {
    /// Units in each window; absent where it is unlimited or a plain yes or no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Units taken in this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Units left in this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// The window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<String>,
    /// When the window ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// What happens where the entitlement says no.
    pub mode: Mode,
}

impl From<Limits> for CheckLimits {
    fn from(limits: Limits) -> Self {
        Self {
            quota: limits.quota,
            used: limits.used,
            remaining: limits.remaining,
            time_window: limits.time_window.map(|window| window.to_string()),
            resets_at: limits.resets_at,
            mode: limits.mode,
        }
    }
}

impl From<Verdict> for CheckAnswer {
    fn from(verdict: Verdict) -> Self {
        Self {
            allowed: verdict.allowed,
            limits: verdict.limits.map(CheckLimits::from),
            reason: verdict.reason,
        }
    }
}

/// Body of `POST /kernel/audit/events`: one event, or (v0.2) up to 1,000.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRequest {
    /// The event, or an array of them; kept byte for byte as sent.
    #[schema(schema_with = crate::openapi::one_or_many_audit_events)]
    pub event: RawJson,
}

/// One audit event as a runtime sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Names the event for ever.
    pub event_id: EventId,
    /// Whose event it is.
    pub tenant_id: TenantId,
    /// The runtime that sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<RuntimeId>,
    /// Who acted: `user` or `runtime` (`agent` from v0.2).
    pub actor_type: ActorType,
    /// Who exactly; 1 to 256 bytes.
    pub actor_id: String,
    /// What happened: a dotted word of 1 to 128 bytes, not under `provost.`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, by the runtime's clock.
    pub timestamp: Timestamp,
    /// Ties together what one action caused.
    pub correlation_id: CorrelationId,
    /// Anything, at most 48 KiB.
    #[schema(value_type = BTreeMap<String, RawJson>)]
    pub payload: RawJson,
}

/// Answer to one audit event: 202, after it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditAccepted {
    /// The event.
    pub event_id: EventId,
    /// Its place in the tenant's log.
    pub seq: u64,
}

/// Answer to an array of audit events: one entry each, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditAcceptedBatch {
    /// One entry for each event sent.
    pub accepted: Vec<AuditAccepted>,
}

/// Largest payload of one audit event, in bytes: leaves room for the envelope in 65,535.
pub const AUDIT_PAYLOAD_BYTES_MAX: usize = 48 * 1024;

/// Most audit events in one call (contract.md, section 2).
pub const AUDIT_EVENTS_MAX: usize = 1_000;

/// Most bytes of audit events in one call (contract.md, section 2).
pub const AUDIT_BYTES_MAX: usize = 1024 * 1024;
