//! What happens to a runtime's certificates after its enrolment.

use serde::{Deserialize, Serialize};

use crate::{RuntimeId, Timestamp};

/// A runtime has another certificate; those it had stay good until they end. The event is durable
/// before the certificate leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeCertificateRenewed {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The certificate's serial number, hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256 of its key's SPKI, hex.
    pub key_sha256: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// SHA-256 of the SPKI of the certificate it was asked for with, hex.
    pub asked_with: String,
}

/// A runtime whose certificate had ended proved its binding key and has another certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecovered {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Rises by one with each recovery of the runtime.
    pub counter: u64,
    /// The certificate's serial number, hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256 of its key's SPKI, hex.
    pub key_sha256: String,
    /// The certificate, PEM.
    pub certificate: String,
}

/// An alarm: whoever holds the binding key asked with a counter that was used already, so there
/// are two copies of the runtime, or one was set back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecoveryRefused {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The counter that was shown.
    pub counter: u64,
    /// The highest counter that was used.
    pub held: u64,
    /// SHA-256 of the SPKI of the key that was to be certified, hex.
    pub key_sha256: String,
    /// From where.
    pub address: String,
}

/// An operator lets a runtime recover once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecoveryAllowed {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Until when.
    pub until: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}
