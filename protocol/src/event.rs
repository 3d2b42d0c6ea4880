//! The registry of event kinds: everything that can ever stand in a tenant's log.
//!
//! An event is past tense and total: what was stored is never refused again. Its kind and version
//! name it on disk (see [`crate::envelope`]); its fields are JSON. The registry is append-only: a
//! kind is never renamed, a field never changes its meaning, and a new shape is a new version
//! beside the old one. `docs/events.md` lists every kind; a test compares the two.

mod access;
mod authority;
mod certificate;
mod directive;
mod install;
mod log;
mod runtime;
mod tenant;

use crate::json::RawJson;

pub use self::{
    access::*, authority::*, certificate::*, directive::*, install::*, log::*, runtime::*,
    tenant::*,
};

/// Why stored data is not an event of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// No kind of this name and version is registered: written by a newer build.
    #[error("unknown event kind {kind} version {version}")]
    UnknownKind {
        /// The kind found.
        kind: String,
        /// The version found.
        version: u16,
    },
    /// The data is not what the kind holds.
    #[error("malformed data of {kind}: {why}")]
    Malformed {
        /// The kind found.
        kind: String,
        /// What the JSON reader says.
        why: String,
    },
}

/// The data of an event, as it stands in the envelope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventData<'a>(&'a Event);

impl Event {
    pub(crate) const fn data(&self) -> EventData<'_> {
        EventData(self)
    }
}

macro_rules! registry {
    ($($(#[$doc:meta])* $name:ident = $kind:literal, $version:literal;)*) => {
        /// One event.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each variant is documented at its data type")]
        pub enum Event { $($name($name),)* }

        impl Event {
            /// Every kind with its version, in the order of the registry.
            pub const KINDS: &[(&'static str, u16)] = &[$(($kind, $version),)*];

            /// The kind as it stands in the envelope.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$name(_) => $kind,)* }
            }

            /// The version of the kind's data.
            #[must_use]
            pub const fn version(&self) -> u16 {
                match self { $(Self::$name(_) => $version,)* }
            }

            /// Writes the data as JSON.
            ///
            /// # Errors
            /// Only what the JSON writer refuses: a map with keys that are no strings, which no
            /// kind has.
            pub fn to_data(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$name(data) => serde_json::to_string(data),)* }
            }

            /// Reads the data of a kind back.
            ///
            /// # Errors
            /// [`EventError`] for a kind of a newer build, or damaged data.
            pub fn from_data(kind: &str, version: u16, data: &str) -> Result<Self, EventError> {
                match (kind, version) {
                    $(($kind, $version) => serde_json::from_str(data).map(Self::$name).map_err(
                        |error| EventError::Malformed {
                            kind: kind.to_owned(),
                            why: error.to_string(),
                        },
                    ),)*
                    _ => Err(EventError::UnknownKind { kind: kind.to_owned(), version }),
                }
            }
        }

        impl serde::Serialize for EventData<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.0 { $(Event::$name(data) => data.serialize(serializer),)* }
            }
        }

        $(impl From<$name> for Event {
            fn from(data: $name) -> Self {
                Self::$name(data)
            }
        })*
    };
}

registry! {
    TenantCreated = "tenant.created", 1;
    TenantSuspended = "tenant.suspended", 1;
    TenantResumed = "tenant.resumed", 1;
    IndividualAdmitted = "tenant.individual-admitted", 1;
    ProviderAdded = "provider.added", 1;
    ProviderRemoved = "provider.removed", 1;
    IdentityCreated = "identity.created", 1;
    IdentityResolved = "identity.resolved", 1;
    EnrolmentTokenCreated = "token.created", 1;
    EnrolmentTokenRevoked = "token.revoked", 1;
    EnrolmentTokenMisused = "token.misused", 1;
    RuntimeEnrolled = "runtime.enrolled", 1;
    RuntimeRegistered = "runtime.registered", 1;
    RuntimeActivated = "runtime.activated", 1;
    RuntimeSuspended = "runtime.suspended", 1;
    RuntimeResumed = "runtime.resumed", 1;
    RuntimeRevoked = "runtime.revoked", 1;
    RuntimeAttached = "runtime.attached", 1;
    RuntimeDetached = "runtime.detached", 1;
    RuntimesLost = "runtime.lost", 1;
    RuntimesReturned = "runtime.returned", 1;
    RuntimeHealthChanged = "runtime.health-changed", 1;
    DesiredStateConfirmed = "runtime.desired-state-confirmed", 1;
    EntitlementGranted = "entitlement.granted", 1;
    EntitlementRemoved = "entitlement.removed", 1;
    EntitlementExpired = "entitlement.expired", 1;
    EntitlementOverridden = "entitlement.overridden", 1;
    QuotaConsumed = "quota.consumed", 1;
    QuotaDenied = "quota.denied", 1;
    LicenseIssued = "license.issued", 1;
    AuditRecorded = "audit.recorded", 1;
    KeyCreated = "key.created", 1;
    AdminKeyCreated = "admin-key.created", 1;
    LogRestored = "log.restored", 1;
    LogRangeLost = "log.range-lost", 1;
    LogForked = "log.forked", 1;
    DiskLow = "install.disk-low", 1;
    DiskRecovered = "install.disk-recovered", 1;
    JournalDamaged = "install.journal-damaged", 1;
    RuntimeCertificateRenewed = "runtime.certificate-renewed", 1;
    RuntimeRecovered = "runtime.recovered", 1;
    RuntimeRecoveryRefused = "runtime.recovery-refused", 1;
    RuntimeRecoveryAllowed = "runtime.recovery-allowed", 1;
    RuntimeKilled = "runtime.killed", 1;
    RuntimeUnkilled = "runtime.unkilled", 1;
    RuntimeLimited = "runtime.limited", 1;
    RuntimeUnlimited = "runtime.unlimited", 1;
    RuntimeCloned = "runtime.cloned", 1;
    RuntimeCloneResolved = "runtime.clone-resolved", 1;
    CaRotationPrepared = "ca.rotation-prepared", 1;
    CaRotationActivated = "ca.rotation-activated", 1;
    CaRotationRetired = "ca.rotation-retired", 1;
    CaRotationAborted = "ca.rotation-aborted", 1;
    TrustConfirmed = "runtime.trust-confirmed", 1;
    CertificateRevoked = "runtime.certificate-revoked", 1;
}

/// A runtime's audit event exactly as it was sent, and when it came.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AuditRecorded {
    /// The id the sender gave it.
    pub event_id: crate::EventId,
    /// The sender's word for what happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the kernel received it.
    pub received_at: crate::Timestamp,
    /// The sender's exact bytes (contract.md, section 1, AuditEvent).
    pub event: RawJson,
}
