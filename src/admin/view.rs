//! What the admin API answers. The command line reads these same types. No secret stands in any
//! but the two that answer what was just created, once.

mod directives;
mod evidence;
mod install;
mod trust;

use std::{collections::BTreeMap, net::SocketAddr};

use provost_actors::LiveRuntime;
use provost_kernel::{
    license::Sequence,
    state::{self, LicenseHead, RuntimeRecord, TenantRecord, TokenRecord},
};
use provost_protocol::{
    ContractVersion, ProviderId, RuntimeId, TenantId, Timestamp, TokenId,
    entity::{
        DeploymentMode, Health, Liveness, Mode, Policies, ProviderKind, RuntimeStatus, RuntimeType,
        TenantStatus, TenantType,
    },
    event::ProviderKeys,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    directives::{Copies, DirectedLimit, Directives, Killed, SeenCopy},
    evidence::{Checkpoint, InclusionProof},
    install::{AdminKey, AdminKeyCreated, Disk, FleetCount, Keys, PublicKey, Status},
    trust::{Adoption, Ca, CaRuntime, NotReached, Revocation, Rotated, RuntimeRevoked},
};
use super::body::LimitValue;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// To be sent as `page[cursor]` for the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(
    missing_docs,
    reason = "as in the kernel's TenantRecord, and in contract.md"
)]
pub struct Tenant {
    pub tenant_id: TenantId,
    #[serde(rename = "type")]
    pub tenant_type: TenantType,
    pub name: String,
    pub status: TenantStatus,
    pub policies: Policies,
    pub operator: Option<TenantId>,
    pub time_zone: String,
    pub created: Timestamp,
    pub epoch: u64,
    pub seq: u64,
    pub revision: u64,
    pub entitlements: u64,
    pub providers: u64,
    pub attachments: u64,
    pub runtimes: u64,
    pub individuals: u64,
}

impl From<&TenantRecord> for Tenant {
    fn from(record: &TenantRecord) -> Self {
        Self {
            tenant_id: record.id,
            tenant_type: record.tenant_type,
            name: record.name.clone(),
            status: record.status,
            policies: record.policies.clone(),
            operator: record.operator,
            time_zone: record.time_zone.clone(),
            created: record.created,
            epoch: record.epoch,
            seq: record.seq,
            revision: record.revision,
            entitlements: record.entitlements,
            providers: record.providers,
            attachments: record.attachments,
            runtimes: record.runtimes,
            individuals: record.individuals,
        }
    }
}

/// A runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(
    missing_docs,
    reason = "as in the kernel's RuntimeRecord, and in contract.md"
)]
pub struct Runtime {
    pub runtime_id: RuntimeId,
    pub tenant_id: TenantId,
    #[serde(rename = "type")]
    pub runtime_type: RuntimeType,
    pub deployment_mode: DeploymentMode,
    pub status: RuntimeStatus,
    pub version: Option<String>,
    pub capabilities: Vec<String>,
    pub contract_version: Option<ContractVersion>,
    pub cnf: String,
    pub serials: Vec<String>,
    pub certificate_not_after: Timestamp,
    pub health: Health,
    pub lost: bool,
    pub enrolled: Timestamp,
    pub activated: Option<Timestamp>,
    pub confirmed_revision: u64,
    /// Whether every check is denied by an operator's word; absent while it is not.
    pub killed: Option<Killed>,
    /// What an operator narrowed it to, for its own tenant.
    pub limits: Vec<DirectedLimit>,
    /// An alarm: copies of it that were seen alive; absent where none were, or it was resolved.
    pub copies: Option<Copies>,
    /// What is known of it in memory; absent while nothing was heard of it since the start, and
    /// soon after it was lost.
    pub live: Option<Live>,
}

/// What is volatile about a runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in LiveRuntime")]
pub struct Live {
    pub liveness: Liveness,
    pub health: Health,
    pub last_beat: Option<Timestamp>,
    pub connected: bool,
    pub generation: u64,
    #[schema(value_type = Option<String>)]
    pub address: Option<SocketAddr>,
    pub metrics: BTreeMap<String, f64>,
}

impl Runtime {
    /// Shows a runtime of a tenant, with what is known of it in memory.
    #[must_use]
    pub fn new(tenant: TenantId, record: &RuntimeRecord, live: Option<LiveRuntime>) -> Self {
        Self {
            runtime_id: record.id,
            tenant_id: tenant,
            runtime_type: record.runtime_type,
            deployment_mode: record.deployment_mode,
            status: record.status,
            version: record.version.clone(),
            capabilities: record.capabilities.clone(),
            contract_version: record.contract_version,
            cnf: record.cnf.clone(),
            serials: record.serials.clone(),
            certificate_not_after: record.certificate_not_after,
            health: record.health,
            lost: record.lost,
            enrolled: record.enrolled,
            activated: record.activated,
            confirmed_revision: record.confirmed_revision,
            killed: None,
            limits: Vec::new(),
            copies: None,
            live: live.map(|live| Live {
                liveness: live.liveness,
                health: live.health,
                last_beat: live.last_beat,
                connected: live.connected,
                generation: live.generation,
                address: live.address,
                metrics: live.metrics.into(),
            }),
        }
    }
}

impl Runtime {
    /// The same, with what operators direct it to be and the copies of it that were noticed.
    #[must_use]
    pub fn with(mut self, directives: Directives, copies: Option<Copies>) -> Self {
        self.killed = directives.killed;
        self.limits = directives.limits;
        self.copies = copies;
        self
    }
}

/// An enrolment token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in the kernel's TokenRecord")]
pub struct Token {
    pub token_id: TokenId,
    pub runtime_type: RuntimeType,
    pub deployment_mode: DeploymentMode,
    pub uses: u32,
    pub used: u32,
    pub expires: Timestamp,
    pub revoked: bool,
    pub misused: u64,
    pub created: Timestamp,
}

impl From<&TokenRecord> for Token {
    fn from(record: &TokenRecord) -> Self {
        Self {
            token_id: record.id,
            runtime_type: record.runtime_type,
            deployment_mode: record.deployment_mode,
            uses: record.uses,
            used: record.used,
            expires: record.expires,
            revoked: record.revoked,
            misused: record.misused,
            created: record.created,
        }
    }
}

/// An enrolment token that was just created.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// `pvt1.…`, to be handed to the runtime. It is shown here and never again.
    pub token: String,
    /// What is kept of it.
    pub record: Token,
}

/// An entitlement, with what was taken of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in the kernel's Entitlement and Counter")]
pub struct Entitlement {
    pub feature: String,
    pub runtime_id: Option<RuntimeId>,
    pub limit: LimitValue,
    pub time_window: Option<String>,
    pub mode: Mode,
    pub valid_until: Timestamp,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// What was taken in the last window in which something was.
    pub counted: Option<Counted>,
}

/// What was taken of an entitlement in one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in the kernel's Counter")]
pub struct Counted {
    pub used: u64,
    pub window_start: Timestamp,
    pub window_end: Timestamp,
}

impl Entitlement {
    /// Shows an entitlement with its counter.
    #[must_use]
    pub fn new(record: &state::Entitlement, counter: Option<&state::Counter>) -> Self {
        Self {
            feature: record.feature.to_string(),
            runtime_id: record.runtime,
            limit: LimitValue(record.limit),
            time_window: record.time_window.map(|window| window.to_string()),
            mode: record.mode,
            valid_until: record.valid_until,
            created: record.created,
            updated: record.updated,
            counted: counter.map(|counter| Counted {
                used: counter.used,
                window_start: counter.window_start,
                window_end: counter.window_end,
            }),
        }
    }
}

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in ProviderSettings")]
pub struct Provider {
    pub provider_id: ProviderId,
    pub kind: ProviderKind,
    pub issuer: String,
    pub audience: String,
    pub algorithms: Vec<String>,
    pub jwks_url: Option<String>,
    /// Whether its keys were given inline.
    pub jwks_inline: bool,
    pub required_claims: BTreeMap<String, String>,
    pub roles_claim: Option<String>,
    pub individuals: bool,
    pub created: Timestamp,
}

impl From<&state::Provider> for Provider {
    fn from(record: &state::Provider) -> Self {
        let settings = &record.settings;
        let (jwks_url, jwks_inline) = match &settings.keys {
            ProviderKeys::JwksUrl(url) => (Some(url.clone()), false),
            ProviderKeys::JwksInline(_) => (None, true),
        };
        Self {
            provider_id: record.id,
            kind: settings.kind,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            algorithms: settings.algorithms.clone(),
            jwks_url,
            jwks_inline,
            required_claims: settings.required_claims.clone(),
            roles_claim: settings.roles_claim.clone(),
            individuals: settings.individuals,
            created: record.created,
        }
    }
}

/// A shared runtime that may act for the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in the kernel's Attachment")]
pub struct Attachment {
    pub runtime_id: RuntimeId,
    pub operator: TenantId,
    pub cnf: String,
    pub resolved_until: Option<Timestamp>,
    pub confirmed_revision: u64,
    pub created: Timestamp,
}

impl From<&state::Attachment> for Attachment {
    fn from(record: &state::Attachment) -> Self {
        Self {
            runtime_id: record.runtime,
            operator: record.operator,
            cnf: record.cnf.clone(),
            resolved_until: record.resolved_until,
            confirmed_revision: record.confirmed_revision,
            created: record.created,
        }
    }
}

/// The newest license of a runtime for the tenant. The text itself is only with the runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in the kernel's LicenseHead")]
pub struct License {
    pub runtime_id: RuntimeId,
    pub epoch: u64,
    pub seq: u64,
    pub kid: String,
    pub cnf: String,
    pub issued: Timestamp,
    pub expiry: Timestamp,
    pub grace_ms: u64,
    pub revision: u64,
    pub license_sha256: String,
}

impl License {
    /// Shows the newest license of a runtime.
    #[must_use]
    pub fn new(runtime: RuntimeId, head: &LicenseHead) -> Self {
        let Sequence { epoch, seq } = head.sequence;
        Self {
            runtime_id: runtime,
            epoch,
            seq,
            kid: head.kid.clone(),
            cnf: head.cnf.clone(),
            issued: head.issued,
            expiry: head.expiry,
            grace_ms: head.grace_ms,
            revision: head.revision,
            license_sha256: head.license_sha256.clone(),
        }
    }
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
