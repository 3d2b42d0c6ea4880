//! The messages of `provost/1` (contract.md, section 3): what a connector and the kernel say.
//!
//! Each is one frame in the one codec. Enums are append-only: a variant's number never changes,
//! and golden bytes prove it. Any-JSON travels as its exact UTF-8 bytes.
//!
//! A connection begins with [`ClientMessage::Hello`] and [`ServerMessage::Welcome`]. Then requests
//! carry an id of the connector's choosing and answers may come out of order. Every message that
//! acts for a tenant names it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    CorrelationId, IdentityId, RequestId, RuntimeId, TenantId, Timestamp,
    code::Problem,
    entity::{
        DeploymentMode, Feature, Health, Limit, Mode, ProviderKind, RuntimeStatus, RuntimeType,
        TenantStatus, TimeWindow,
    },
    metrics::Metrics,
    v01::PoliciesApplied,
    verdict::Verdict,
};

/// What a connector sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ClientMessage {
    /// The first message.
    Hello(Hello),
    /// Asks for something.
    Request(Request),
    /// The connector has acted on a revision of the desired state.
    Confirm(Confirm),
    /// The connector is about to close.
    Goodbye(Goodbye),
    /// The connector trusts these roots from its next handshake on.
    Trusts(Trusts),
}

/// What the kernel sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ServerMessage {
    /// The answer to Hello.
    Welcome(Welcome),
    /// The answer to one request.
    Answer(Answer),
    /// Early delivery of a desired state.
    Directive(DesiredState),
    /// The kernel is about to close.
    Goodbye(Goodbye),
    /// The connection is refused or ended, and why.
    Refused(Problem),
}

/// Who the connector is; who it may be stands in its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Contract versions spoken, as in `X-Contract-Version`.
    pub versions: Vec<String>,
    /// What it is.
    pub runtime_type: RuntimeType,
    /// How it is deployed.
    pub deployment_mode: DeploymentMode,
    /// The version of its software.
    pub version: String,
    /// What it says it can do.
    pub capabilities: Vec<String>,
    /// Fresh random bytes.
    pub nonce: [u8; 16],
    /// The generation of its last session, 0 at first.
    pub last_generation: u64,
    /// Highest desired-state revision held, for each tenant acted for.
    pub held: Vec<HeldRevision>,
    /// Size of the last checkpoint held of its own tenant's log, 0 for none.
    pub have_size: u64,
    /// The connector's clock.
    pub clock: Timestamp,
}

/// The highest revision held of one tenant's desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRevision {
    /// The tenant acted for.
    pub tenant: TenantId,
    /// The revision, 0 for none.
    pub revision: u64,
}

/// The kernel's first word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version spoken from here on.
    pub version: String,
    /// Rises with each session of this runtime.
    pub generation: u64,
    /// The runtime's status.
    pub status: RuntimeStatus,
    /// What applies to the runtime.
    pub policies: WirePolicies,
    /// The desired state of each tenant named in Hello and of the runtime's own.
    pub desired: Vec<DesiredState>,
    /// The kernel's time as a signed note.
    pub signed_time: String,
    /// The largest frame accepted from here on, in bytes.
    pub frame_bytes_max: u32,
    /// Requests that may be open at once.
    pub in_flight_max: u32,
}

/// What applies to a runtime; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePolicies {
    /// How strictly the tenant is handled.
    pub security_level: crate::entity::SecurityLevel,
    /// The only region that may serve the tenant, if it matters.
    pub data_residency: Option<String>,
    /// How often to beat.
    pub heartbeat_interval_ms: u64,
    /// Without a beat for so long the runtime counts as lost.
    pub grace_ms: u64,
    /// How long a license serves.
    pub license_ttl_ms: u64,
    /// How long a runtime may go on without the kernel.
    pub offline_max_ms: u64,
}

impl From<WirePolicies> for PoliciesApplied {
    fn from(policies: WirePolicies) -> Self {
        Self {
            security_level: policies.security_level,
            data_residency: policies.data_residency,
            heartbeat_interval_ms: policies.heartbeat_interval_ms,
            grace_ms: policies.grace_ms,
            license_ttl_ms: policies.license_ttl_ms,
            offline_max_ms: policies.offline_max_ms,
        }
    }
}

/// What the kernel wants a runtime to be, for one tenant. Level-triggered: the highest revision
/// is all that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredState {
    /// For which tenant.
    pub tenant: TenantId,
    /// Rises with every change; per tenant.
    pub revision: u64,
    /// The tenant's status.
    pub tenant_status: TenantStatus,
    /// The runtime's status.
    pub runtime_status: RuntimeStatus,
    /// Epoch of the newest license issued to this runtime for this tenant.
    pub license_epoch: u64,
    /// Sequence of that license, 0 for none.
    pub license_seq: u64,
    /// Generation of the revocation list, 0 for none.
    pub revocation_generation: u64,
    /// Names the trust bundle in force.
    pub trust_bundle: String,
    /// How often to beat.
    pub heartbeat_interval_ms: u64,
    /// Limits that narrow what the license says.
    pub limits: Vec<DesiredLimit>,
    /// Every check is denied until the kernel resumes.
    pub killed: bool,
}

impl DesiredState {
    /// The runtime's status as it is shown.
    #[must_use]
    pub const fn shown_status(&self) -> RuntimeStatus {
        self.runtime_status.within(self.tenant_status)
    }
}

/// A limit that narrows an entitlement for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredLimit {
    /// What.
    pub feature: Feature,
    /// To how much.
    pub limit: Limit,
    /// Until when.
    pub until: Timestamp,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the connector; names the answer.
    pub id: u64,
    /// Ties together what one action caused.
    pub correlation_id: CorrelationId,
    /// For which tenant.
    pub tenant: TenantId,
    /// What is asked.
    pub operation: Operation,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// The runtime is alive.
    Heartbeat(Heartbeat),
    /// Who is behind this token?
    Resolve(Resolve),
    /// May the runtime execute?
    Check(Check),
    /// What happened; each event as its exact JSON bytes.
    Audit(Vec<Vec<u8>>),
    /// A fresh license for the tenant.
    PullLicense,
    /// Where does the tenant's log end, and does it continue what is held?
    Checkpoint {
        /// The highest checkpoint held of it.
        held: Option<HeldCheckpoint>,
    },
    /// Another certificate for the runtime, for a new TLS key.
    Renew {
        /// A PKCS#10 request, DER.
        csr: Vec<u8>,
    },
    /// The roots to trust.
    TrustBundle,
}

/// A checkpoint as the kernel once signed it: it counts by its signature, not by who shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCheckpoint {
    /// The epoch of the log it speaks of.
    pub epoch: u64,
    /// The signed note, with size and root.
    pub note: String,
}

/// The runtime is alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// What it says of itself.
    pub health: Health,
    /// Its figures.
    pub metrics: Metrics,
}

/// Who is behind this token?
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolve {
    /// The provider's token. Never logged, never stored.
    pub external_token: String,
}

impl std::fmt::Debug for Resolve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolve")
            .field("external_token", &"…")
            .finish()
    }
}

/// May the runtime execute?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What for, with its resource if it has one.
    pub feature: Feature,
    /// Takes so many units from the quota.
    pub consume: Option<u64>,
    /// Makes a repeated consumption one consumption, for 24 hours.
    pub idempotency: Option<RequestId>,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's id.
    pub id: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was refused.
    Refused(Problem),
    /// Answer to a heartbeat.
    Beat(Beat),
    /// Answer to a resolve.
    Resolved(Box<Resolved>),
    /// Answer to a check.
    Checked(Verdict),
    /// Answer to audit events: the seq of each, in order, all durable.
    Recorded(Vec<Recorded>),
    /// Answer to a pull: the license file's text.
    License(String),
    /// Answer to who asks where the log ends.
    Checkpoint(CheckpointAnswer),
    /// Answer to a renewal.
    Renewed(Renewed),
    /// Answer to who asks which roots to trust.
    TrustBundle(TrustBundle),
}

/// The roots to trust: several while one is rotated out for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustBundle {
    /// Names the set: lower hex SHA-256 over the SHA-256 of each root's DER, sorted and put one
    /// behind the other.
    pub id: String,
    /// Each root, in PEM.
    pub roots: Vec<String>,
}

/// The runtime's new certificate; the one it connected with stays good until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The certificate in PEM.
    pub certificate: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Where the tenant's log ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointAnswer {
    /// The checkpoint, signed (see [`crate::tlog::Checkpoint`]).
    pub note: String,
    /// The log's epoch.
    pub epoch: u64,
    /// The proof that the log continues what is held (RFC 6962, section 2.1.2). Empty where that
    /// is the whole log, where nothing is held, and where a restore lost some of it.
    pub consistency: Vec<crate::tlog::Hash>,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The runtime's status.
    pub status: RuntimeStatus,
    /// When to beat next, from now.
    pub heartbeat_interval_ms: u64,
    /// The kernel's time as a signed note.
    pub signed_time: String,
    /// The desired state of the tenant the heartbeat named.
    pub desired: DesiredState,
}

/// Who is behind a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The identity.
    pub identity: IdentityId,
    /// Whose it is; may be an individual's own tenant.
    pub tenant: TenantId,
    /// The provider's `sub`.
    pub external_id: String,
    /// Which kind of provider vouched.
    pub provider: ProviderKind,
    /// The roles the token named.
    pub roles: Vec<String>,
    /// Normalised claims.
    pub attributes: BTreeMap<String, String>,
    /// What that tenant may do on the asking runtime.
    pub entitlements: Vec<ResolvedEntitlement>,
    /// When the token ends.
    pub token_expires: Timestamp,
}

/// What a tenant may do on the asking runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedEntitlement {
    /// The asking runtime.
    pub runtime: RuntimeId,
    /// What.
    pub feature: Feature,
    /// How much.
    pub limit: Limit,
    /// Over which time.
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no.
    pub mode: Mode,
    /// Until when.
    pub valid_until: Timestamp,
}

/// One audit event is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The event.
    pub event_id: crate::EventId,
    /// Its place in the tenant's log.
    pub seq: u64,
}

/// A revision of the desired state was acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// For which tenant.
    pub tenant: TenantId,
    /// The revision.
    pub revision: u64,
}

/// The connector trusts a set of roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusts {
    /// The name of the set.
    pub bundle: String,
}

/// One side is about to close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why.
    pub reason: String,
    /// When to come back, in milliseconds; 0 for as it suits.
    pub retry_after_ms: u64,
}

/// ALPN name of the frames (RFC 7301).
pub const ALPN: &[u8] = b"provost/1";

/// Requests a connector may have open at once: enough to fill a group commit, few enough that one
/// connection cannot fill its tenant's mailbox.
pub const IN_FLIGHT_MAX: u32 = 64;
