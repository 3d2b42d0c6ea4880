//! Commands about a runtime's certificates after its enrolment.

use provost_protocol::{RuntimeId, sign::Issued};

/// Records a certificate that was signed after [`crate::renewal::renew`] said *new*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// The runtime.
    pub runtime: RuntimeId,
    /// SHA-256 of the SPKI of the key that was certified, hex.
    pub key_sha256: String,
    /// SHA-256 of the SPKI of the certificate it was asked for with, hex.
    pub asked_with: String,
    /// What was signed.
    pub issued: Issued,
    /// What [`crate::renewal::perhaps_revoked`] said.
    pub perhaps_revoked: Vec<String>,
}

/// Records a certificate that was signed after [`crate::renewal::recover`] said *new*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recover {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The recovery's number.
    pub counter: u64,
    /// SHA-256 of the SPKI of the key that was certified, hex.
    pub key_sha256: String,
    /// What was signed.
    pub issued: Issued,
    /// What [`crate::renewal::perhaps_revoked`] said.
    pub perhaps_revoked: Vec<String>,
}

/// Records that the binding key came with a counter that was used already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportCopy {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The counter that was shown.
    pub counter: u64,
    /// SHA-256 of the SPKI of the key that was to be certified, hex.
    pub key_sha256: String,
    /// From where.
    pub address: String,
}

/// Lets a runtime recover once, within [`crate::limits::RECOVERY_ALLOWED_MS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowRecovery {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Why, in the operator's words.
    pub reason: String,
}
