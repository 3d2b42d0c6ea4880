//! What is kept of each entity. Values of the store: fit for bincode, below 64 KiB each.

use std::collections::BTreeMap;

use provost_protocol::{
    ContractVersion, IdentityId, ProviderId, RuntimeId, TenantId, Timestamp, TokenId,
    entity::{
        DeploymentMode, Feature, Health, KeyPurpose, Limit, Mode, Policies, ProviderKind, Role,
        RuntimeStatus, RuntimeType, TenantStatus, TenantType, TimeWindow,
    },
    event::{ProviderSettings, Subject},
    ids::AdminKeyId,
};
use serde::{Deserialize, Serialize};

use super::{
    CertificatesRecord, CopiesRecord, DirectivesRecord, HistoryRecord, RevokedCertificate,
    RotationRecord, TrustRecord, WitnessRecord,
};
use crate::{license::Sequence, limits::REVISIONS_PER_EPOCH};

/// Any entity. Append-only: the variant's number stands in every stored value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is documented at its record")]
pub enum Entity {
    Tenant(TenantRecord),
    Entitlement(Entitlement),
    Counter(Counter),
    Provider(Provider),
    Attachment(Attachment),
    Runtime(Box<RuntimeRecord>),
    Identity(IdentityRecord),
    /// The identity that a subject stands for.
    Subject(IdentityId),
    Token(TokenRecord),
    Enrolment(EnrolmentRecord),
    AdminKey(AdminKeyRecord),
    License(LicenseHead),
    Individual(IndividualRecord),
    Key(KeyRecord),
    History(HistoryRecord),
    Witness(WitnessRecord),
    Certificates(Box<CertificatesRecord>),
    Rotation(Box<RotationRecord>),
    Trust(TrustRecord),
    RevokedCertificate(RevokedCertificate),
    Directives(DirectivesRecord),
    Copies(CopiesRecord),
}

/// The tenant itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Its id.
    pub id: TenantId,
    /// What it is.
    pub tenant_type: TenantType,
    /// A name for people.
    pub name: String,
    /// Whether it may act.
    pub status: TenantStatus,
    /// How it is handled.
    pub policies: Policies,
    /// The tenant whose shared runtimes may act for it.
    pub operator: Option<TenantId>,
    /// IANA name; calendar windows are counted in it.
    pub time_zone: String,
    /// The person it was made for.
    pub subject: Option<Subject>,
    /// When it was created.
    pub created: Timestamp,
    /// The epoch of its newest event.
    pub epoch: u64,
    /// The seq of its newest event.
    pub seq: u64,
    /// Desired-state revision: rises with all that its runtimes should know.
    pub revision: u64,
    /// Rises with each change of an entitlement.
    pub entitlement_revision: u64,
    /// Entitlements there are, ended ones included.
    pub entitlements: u64,
    /// Providers there are.
    pub providers: u64,
    /// Shared runtimes attached.
    pub attachments: u64,
    /// Runtimes ever enrolled.
    pub runtimes: u64,
    /// Individuals admitted by this tenant as operator.
    pub individuals: u64,
}

impl TenantRecord {
    /// The desired-state revision as an epoch shows it: higher in each than all of the last.
    #[must_use]
    pub const fn revision_in(&self, epoch: u64) -> u64 {
        let risen = epoch.saturating_sub(self.epoch);
        self.revision
            .saturating_add(risen.saturating_mul(REVISIONS_PER_EPOCH))
    }
}

/// What the tenant may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// What.
    pub feature: Feature,
    /// For this runtime only; for all where absent.
    pub runtime: Option<RuntimeId>,
    /// How much.
    pub limit: Limit,
    /// Over which time a quota is counted; for ever where absent.
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no.
    pub mode: Mode,
    /// Until when, exclusive.
    pub valid_until: Timestamp,
    /// Whether its end is in the log already.
    pub end_recorded: bool,
    /// When it was first granted.
    pub created: Timestamp,
    /// When it was last granted.
    pub updated: Timestamp,
}

/// What was taken of an entitlement in one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The window it was counted over.
    pub time_window: Option<TimeWindow>,
    /// Start of the window, inclusive.
    pub window_start: Timestamp,
    /// End of the window, exclusive.
    pub window_end: Timestamp,
    /// Units taken.
    pub used: u64,
}

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// How its tokens are judged.
    pub settings: ProviderSettings,
    /// When it was added.
    pub created: Timestamp,
}

/// A shared runtime of the operator that may act for the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Its own tenant.
    pub operator: TenantId,
    /// SHA-256 of its binding key's SPKI, hex.
    pub cnf: String,
    /// 12 h after the last resolve through it; binds for an individual's tenant only.
    pub resolved_until: Option<Timestamp>,
    /// Highest desired-state revision it confirmed.
    pub confirmed_revision: u64,
    /// When it was attached.
    pub created: Timestamp,
}

/// A runtime of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecord {
    /// Its id.
    pub id: RuntimeId,
    /// Where it stands in its life.
    pub status: RuntimeStatus,
    /// What it is.
    pub runtime_type: RuntimeType,
    /// How it is deployed.
    pub deployment_mode: DeploymentMode,
    /// The version of its software, once it registered.
    pub version: Option<String>,
    /// What it says it can do.
    pub capabilities: Vec<String>,
    /// The contract version it speaks, once it registered.
    pub contract_version: Option<ContractVersion>,
    /// SHA-256 of its binding key's SPKI, hex.
    pub cnf: String,
    /// SPKI of its binding key, DER, base64.
    pub binding_key: String,
    /// Serial numbers of its certificates, hex.
    pub serials: Vec<String>,
    /// When its newest certificate ends.
    pub certificate_not_after: Timestamp,
    /// SHA-256 of its runtime token, hex.
    pub token_sha256: Option<String>,
    /// What it says of itself.
    pub health: Health,
    /// When that last changed in the log.
    pub health_changed: Option<Timestamp>,
    /// Whether the log says that it is lost.
    pub lost: bool,
    /// When it enrolled.
    pub enrolled: Timestamp,
    /// When it first beat.
    pub activated: Option<Timestamp>,
    /// Highest desired-state revision of its own tenant it confirmed.
    pub confirmed_revision: u64,
}

/// A person or service as this tenant knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// Its id.
    pub id: IdentityId,
    /// Who it is at the provider.
    pub subject: Subject,
    /// Which kind of provider vouches.
    pub provider: ProviderKind,
    /// The roles its last token named.
    pub roles: Vec<String>,
    /// Claims of its last token.
    pub attributes: BTreeMap<String, String>,
    /// When it was first seen.
    pub created: Timestamp,
    /// When it was last resolved.
    pub last_resolved: Option<Timestamp>,
    /// When its last token ends.
    pub token_expires: Option<Timestamp>,
}

/// An enrolment token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// SHA-256 of its secret, hex.
    pub secret_sha256: String,
    /// Which type of runtime may use it.
    pub runtime_type: RuntimeType,
    /// How that runtime is deployed.
    pub deployment_mode: DeploymentMode,
    /// How many distinct keys may enroll with it.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// When it ends.
    pub expires: Timestamp,
    /// Whether it was revoked.
    pub revoked: bool,
    /// How often it was presented by a key it is not bound to, used up.
    pub misused: u64,
    /// When it was created.
    pub created: Timestamp,
}

/// What one binding key got from one token: the answer that is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRecord {
    /// The runtime minted then.
    pub runtime: RuntimeId,
    /// Its certificate, PEM.
    pub certificate: String,
    /// When the key first came.
    pub first_use: Timestamp,
}

/// An admin key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminKeyRecord {
    /// Its id.
    pub id: AdminKeyId,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of its text, hex.
    pub secret_sha256: String,
    /// When it was created.
    pub created: Timestamp,
}

/// The newest license of (runtime, this tenant).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseHead {
    /// Its place among all licenses of the pair.
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

/// In an operator's log: the tenant that an individual was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndividualRecord {
    /// The tenant.
    pub tenant: TenantId,
    /// For whom.
    pub subject: Subject,
    /// Which provider vouched first.
    pub provider: ProviderId,
    /// When it was admitted.
    pub admitted: Timestamp,
}

/// A signing key of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its name.
    pub kid: String,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its public half: SPKI, DER, base64.
    pub public_key: String,
    /// When it was created.
    pub created: Timestamp,
}
