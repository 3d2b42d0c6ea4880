//! What is kept of roots and of trust in them. Values of the store.

use provost_protocol::{RuntimeId, Timestamp};
use serde::{Deserialize, Serialize};

/// In the internal tenant's log: where a rotation of the certificate authority stands. Absent
/// before the first one: then the root that `provost init` made is the only one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationRecord {
    /// SHA-256 of the root that signs, hex.
    pub active: String,
    /// Where the rotation stands.
    pub phase: RotationPhase,
    /// When that began.
    pub since: Timestamp,
}

/// Where a rotation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotationPhase {
    /// No rotation is under way.
    Settled,
    /// Runtimes are told to trust the next root.
    Prepared {
        /// SHA-256 of the next root, hex.
        next: String,
        /// The next root, PEM.
        next_root: String,
        /// Its key under the active root's signature, PEM.
        cross: String,
    },
    /// The next root has become the active one; runtimes of the old one are let in.
    Activated {
        /// SHA-256 of the old root, hex.
        old: String,
    },
}

/// The newest bundle of roots that a runtime said it trusts, of those it was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRecord {
    /// Names the bundle.
    pub bundle: String,
    /// When it said so.
    pub confirmed: Timestamp,
}

/// One certificate that is refused though its runtime is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedCertificate {
    /// Whose it was.
    pub runtime: RuntimeId,
    /// Its serial number, hex.
    pub serial: String,
    /// When it is over in any case.
    pub not_after: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it was revoked.
    pub revoked: Timestamp,
}
