//! What can be asked of a tenant's log. Ids, hashes and random bytes arrive inside the command.

mod alarm;
mod certificate;
mod data;
mod trust;

use provost_protocol::{
    ProviderId, RuntimeId, TenantId, Timestamp, TokenId,
    entity::{Feature, Health, KeyPurpose, Mode, Role},
    event::{Confirmation, ProviderSettings, Sighting, Subject},
    ids::AdminKeyId,
    verdict::Reason,
};

pub use self::alarm::Alarm;
pub use self::certificate::{AllowRecovery, Recover, Renew, ReportCopy};
pub use self::data::{
    Attach, AuditEntry, AuditPrior, Consume, CreateIndividual, CreateTenant, CreateToken, Enroll,
    Grant, IssueLicense, LimitRuntime, Prior, Register, ReportHeld, Resolve,
};
pub use self::trust::{ConfirmTrust, RotateCa};
use crate::{
    EntityKey,
    grants::Caller,
    renewal::{renewal_needs, revocations},
};

/// A wish, to be granted by [`crate::decide`] or refused.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "each variant is documented at its data type or by its name"
)]
pub enum Command {
    CreateTenant(CreateTenant),
    SuspendTenant {
        reason: String,
    },
    ResumeTenant {
        reason: String,
    },
    AddProvider {
        provider: ProviderId,
        settings: ProviderSettings,
    },
    RemoveProvider {
        provider: ProviderId,
    },
    CreateToken(CreateToken),
    RevokeToken {
        token: TokenId,
    },
    Enroll(Box<Enroll>),
    ReportMisuse {
        token: TokenId,
        cnf: String,
        address: String,
    },
    Register(Register),
    /// A heartbeat came: the first one activates the runtime.
    Activate {
        runtime: RuntimeId,
    },
    /// A heartbeat said so; `last` is when the shell last sent one of these for the runtime.
    ReportHealth {
        runtime: RuntimeId,
        health: Health,
        last: Option<Timestamp>,
    },
    SuspendRuntime {
        runtime: RuntimeId,
        reason: String,
    },
    ResumeRuntime {
        runtime: RuntimeId,
        reason: String,
    },
    RevokeRuntime {
        runtime: RuntimeId,
        reason: String,
    },
    KillRuntime {
        runtime: RuntimeId,
        reason: String,
    },
    LimitRuntime(LimitRuntime),
    UnlimitRuntime {
        runtime: RuntimeId,
        feature: Feature,
        reason: String,
    },
    /// Two copies of one runtime were seen alive.
    ReportClone {
        runtime: RuntimeId,
        sightings: Vec<Sighting>,
    },
    ResolveClone {
        runtime: RuntimeId,
        reason: String,
    },
    Attach(Attach),
    Detach {
        runtime: RuntimeId,
    },
    AdmitIndividual {
        tenant: TenantId,
        subject: Subject,
        provider: ProviderId,
    },
    CreateIndividual(CreateIndividual),
    Resolve(Box<Resolve>),
    Grant(Grant),
    RemoveEntitlement {
        feature: Feature,
        runtime: Option<RuntimeId>,
    },
    /// A deadline passed ([`crate::State::deadline`]): entitlements that ended are recorded so.
    Expire,
    Consume(Consume),
    RecordOverride {
        runtime: RuntimeId,
        feature: Feature,
        mode: Mode,
        reason: Reason,
    },
    IssueLicense(IssueLicense),
    RecordAudit {
        caller: Caller,
        events: Vec<AuditEntry>,
    },
    MarkLost {
        runtimes: Vec<RuntimeId>,
    },
    MarkReturned {
        runtimes: Vec<RuntimeId>,
    },
    Confirm {
        confirmed: Vec<Confirmation>,
    },
    ReportHeld(ReportHeld),
    /// The installation itself is in trouble, or out of it again.
    RaiseAlarm(Alarm),
    CreateKey {
        kid: String,
        purpose: KeyPurpose,
        public_key: String,
    },
    CreateAdminKey {
        key: AdminKeyId,
        name: String,
        role: Role,
        secret_sha256: String,
    },
    Renew(Box<Renew>),
    Recover(Box<Recover>),
    ReportCopy(ReportCopy),
    AllowRecovery(AllowRecovery),
    RotateCa(RotateCa),
    ConfirmTrust(ConfirmTrust),
    RevokeCertificate {
        runtime: RuntimeId,
        serial: String,
        reason: String,
    },
    RevokeRuntimes {
        runtimes: Vec<RuntimeId>,
        reason: String,
    },
}

impl Command {
    /// Which cold entities must be loaded, where they exist, before this is decided.
    #[must_use]
    pub fn needs(&self) -> Vec<EntityKey> {
        let runtimes = |ids: &[RuntimeId]| ids.iter().copied().map(EntityKey::Runtime).collect();
        match self {
            Self::CreateTenant(_)
            | Self::SuspendTenant { .. }
            | Self::ResumeTenant { .. }
            | Self::AddProvider { .. }
            | Self::RemoveProvider { .. }
            | Self::CreateIndividual(_)
            | Self::Expire
            | Self::RaiseAlarm(_)
            | Self::RecordOverride { .. }
            | Self::RemoveEntitlement { .. } => Vec::new(),
            Self::CreateToken(create) => vec![EntityKey::Token(create.token)],
            Self::RevokeToken { token } => vec![EntityKey::Token(*token)],
            Self::ReportMisuse { token, cnf, .. } => {
                vec![
                    EntityKey::Token(*token),
                    EntityKey::Enrolment(*token, cnf.clone()),
                ]
            }
            Self::Enroll(enroll) => vec![
                EntityKey::Token(enroll.token),
                EntityKey::Enrolment(enroll.token, enroll.cnf.clone()),
                EntityKey::Runtime(enroll.runtime),
            ],
            Self::Register(register) => runtimes(&[register.runtime]),
            Self::Activate { runtime }
            | Self::ReportHealth { runtime, .. }
            | Self::SuspendRuntime { runtime, .. }
            | Self::ResumeRuntime { runtime, .. }
            | Self::RevokeRuntime { runtime, .. }
            | Self::KillRuntime { runtime, .. }
            | Self::UnlimitRuntime { runtime, .. }
            | Self::Detach { runtime } => runtimes(&[*runtime]),
            Self::LimitRuntime(limit) => runtimes(&[limit.runtime]),
            Self::ReportClone { runtime, .. } | Self::ResolveClone { runtime, .. } => {
                vec![EntityKey::Runtime(*runtime), EntityKey::Copies(*runtime)]
            }
            Self::Attach(attach) => runtimes(&[attach.runtime]),
            Self::AdmitIndividual { subject, .. } => vec![EntityKey::individual(subject)],
            Self::Resolve(resolve) => vec![
                EntityKey::subject(&resolve.subject),
                EntityKey::Identity(resolve.identity),
            ],
            Self::Grant(grant) => grant.runtime.map(EntityKey::Runtime).into_iter().collect(),
            Self::Consume(consume) => runtimes(&[consume.caller.runtime]),
            Self::IssueLicense(issue) => {
                vec![
                    EntityKey::Runtime(issue.runtime),
                    EntityKey::License(issue.runtime),
                ]
            }
            Self::RecordAudit { caller, .. } => runtimes(&[caller.runtime]),
            Self::MarkLost { runtimes: ids } | Self::MarkReturned { runtimes: ids } => {
                runtimes(ids)
            }
            Self::Confirm { confirmed } => confirmed
                .iter()
                .map(|one| EntityKey::Runtime(one.runtime))
                .collect(),
            Self::ReportHeld(report) => {
                vec![EntityKey::History, EntityKey::Witness(report.runtime)]
            }
            Self::CreateKey { kid, .. } => vec![EntityKey::Key(kid.clone())],
            Self::CreateAdminKey { key, .. } => vec![EntityKey::AdminKey(*key)],
            Self::Renew(renew) => renewal_needs(renew.runtime)
                .into_iter()
                .chain(revocations(&renew.perhaps_revoked))
                .collect(),
            Self::Recover(recover) => renewal_needs(recover.runtime)
                .into_iter()
                .chain(revocations(&recover.perhaps_revoked))
                .collect(),
            Self::ReportCopy(report) => renewal_needs(report.runtime),
            Self::AllowRecovery(allow) => renewal_needs(allow.runtime),
            Self::RotateCa(_) => vec![EntityKey::Rotation],
            Self::ConfirmTrust(confirm) => confirm
                .runtimes
                .iter()
                .flat_map(|id| [EntityKey::Runtime(*id), EntityKey::Trust(*id)])
                .collect(),
            Self::RevokeCertificate {
                runtime, serial, ..
            } => vec![
                EntityKey::Runtime(*runtime),
                EntityKey::Certificates(*runtime),
                EntityKey::RevokedCertificate(serial.to_ascii_lowercase()),
            ],
            Self::RevokeRuntimes { runtimes: ids, .. } => runtimes(ids),
        }
    }
}
