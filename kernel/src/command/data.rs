//! The commands that carry more than a few words.

use std::collections::BTreeMap;

use provost_protocol::{
    ContractVersion, IdentityId, RuntimeId, TenantId, Timestamp, TokenId,
    entity::{
        ActorType, DeploymentMode, Feature, Limit, Mode, Policies, ProviderKind, RuntimeStatus,
        RuntimeType, TenantType, TimeWindow,
    },
    event::{AuditRecorded, Event, Subject},
    tlog::Hash,
};

use crate::{grants::Caller, license::Sequence, state::Held};

/// Begins a tenant's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTenant {
    /// What it is; an individual's tenant comes from [`CreateIndividual`] only.
    pub tenant_type: TenantType,
    /// A name for people.
    pub name: String,
    /// How it is to be handled.
    pub policies: Policies,
    /// The tenant whose shared runtimes may act for it; that it exists was seen by the shell.
    pub operator: Option<TenantId>,
    /// IANA name.
    pub time_zone: String,
    /// The region this kernel serves, if its configuration names one.
    pub region: Option<String>,
}

/// Begins an individual's log, from what stands in the operator's. Asked again, nothing follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIndividual {
    /// The tenant that admitted the person.
    pub operator: TenantId,
    /// The person.
    pub subject: Subject,
    /// A name for people.
    pub name: String,
    /// The operator's policies, inherited.
    pub policies: Policies,
    /// The operator's time zone, inherited.
    pub time_zone: String,
}

/// Allows runtimes to enroll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateToken {
    /// The token.
    pub token: TokenId,
    /// SHA-256 of its secret, hex.
    pub secret_sha256: String,
    /// Which type of runtime may use it.
    pub runtime_type: RuntimeType,
    /// How that runtime is deployed.
    pub deployment_mode: DeploymentMode,
    /// How many distinct keys may enroll with it.
    pub uses: u32,
    /// When it ends.
    pub expires: Timestamp,
}

/// Records a certificate that was signed after [`crate::enrolment::admit`] said *new*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enroll {
    /// The runtime, minted for this.
    pub runtime: RuntimeId,
    /// The token it came with.
    pub token: TokenId,
    /// SHA-256 of the secret it showed, hex.
    pub secret_sha256: String,
    /// SHA-256 of the binding key's SPKI, hex.
    pub cnf: String,
    /// SPKI of the binding key, DER, base64.
    pub binding_key: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// Its serial number, hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A runtime says what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The runtime.
    pub runtime: RuntimeId,
    /// What it says it is: must be what it enrolled as.
    pub runtime_type: RuntimeType,
    /// How it says it is deployed: must be how it enrolled.
    pub deployment_mode: DeploymentMode,
    /// The version of its software.
    pub version: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// The contract version it speaks.
    pub contract_version: ContractVersion,
    /// SHA-256 of the runtime token it is given, hex; absent on frames.
    pub token_sha256: Option<String>,
}

/// Lets a shared runtime of the operator act for this tenant. The facts are the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Its own tenant.
    pub operator: TenantId,
    /// How it is deployed.
    pub deployment_mode: DeploymentMode,
    /// Its status.
    pub status: RuntimeStatus,
    /// SHA-256 of its binding key's SPKI, hex.
    pub cnf: String,
}

/// Narrows what a runtime may do for this tenant, for a while. Limiting again replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRuntime {
    /// The runtime: the tenant's own, or one attached to it.
    pub runtime: RuntimeId,
    /// What: with a resource for that one only.
    pub feature: Feature,
    /// To how much at most.
    pub limit: Limit,
    /// Until when.
    pub until: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A provider of the tenant vouched for a person, through a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// The runtime that presented the token.
    pub caller: Caller,
    /// The person.
    pub subject: Subject,
    /// Which kind of provider vouches.
    pub provider: ProviderKind,
    /// The roles the token names.
    pub roles: Vec<String>,
    /// Normalised claims.
    pub attributes: BTreeMap<String, String>,
    /// When the token ends.
    pub token_expires: Timestamp,
    /// The identity's id, should the person be new.
    pub identity: IdentityId,
}

/// Allows something, within limits. Granting again replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub feature: Feature,
    /// For this runtime only; for all where absent.
    pub runtime: Option<RuntimeId>,
    /// How much.
    pub limit: Limit,
    /// Over which time it is counted; for ever where absent.
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no.
    pub mode: Mode,
    /// Until when; [`Timestamp::MAX`] for no end.
    pub valid_until: Timestamp,
}

/// Takes units from a quota: all of them, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Consume {
    /// The runtime that asks.
    pub caller: Caller,
    /// What for.
    pub feature: Feature,
    /// How many.
    pub amount: u64,
    /// What the idempotency key did before, if it was seen within 24 hours.
    pub prior: Option<Prior>,
}

/// What an idempotency key did before.
#[derive(Debug, Clone, PartialEq)]
pub enum Prior {
    /// The same request: this came of it.
    Same(Box<Event>),
    /// Another request.
    Other,
}

/// Records a license that was signed from a [`crate::license::LicensePlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueLicense {
    /// For which runtime.
    pub runtime: RuntimeId,
    /// The place that stands in it.
    pub sequence: Sequence,
    /// The signing key.
    pub kid: String,
    /// The binding key it is bound to.
    pub cnf: String,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it ends.
    pub expiry: Timestamp,
    /// How long after its end it still serves, in milliseconds.
    pub grace_ms: u64,
    /// The desired-state revision it shows.
    pub revision: u64,
    /// SHA-256 of its text, hex.
    pub license_sha256: String,
}

/// One audit event of a runtime, with what a rule needs of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// The event as it is to be recorded.
    pub recorded: AuditRecorded,
    /// Who acted, as the event says.
    pub actor: ActorType,
    /// When it happened, as the event says.
    pub timestamp: Timestamp,
    /// Size of its payload.
    pub payload_bytes: usize,
    /// The version it came under.
    pub version: ContractVersion,
    /// What is in the log under its id.
    pub prior: AuditPrior,
}

/// What is in the log under an audit event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditPrior {
    /// Nothing.
    New,
    /// The same bytes: nothing follows, and the answer is the same.
    Same,
    /// Other bytes.
    Other,
}

/// A runtime holds a checkpoint of this log, and what the log itself says at that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportHeld {
    /// Who holds it.
    pub runtime: RuntimeId,
    /// What it holds; that the kernel signed it was seen by the shell.
    pub held: Held,
    /// The root of this log at that size; absent where the log is shorter.
    pub own_root: Option<Hash>,
}
