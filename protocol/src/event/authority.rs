//! What happens to the certificate authority, and to the trust in it.
//!
//! A rotation stands in the internal tenant's log; which runtimes believe the new root, and which
//! certificates are revoked, stands in the logs of their tenants.

use serde::{Deserialize, Serialize};

use crate::{RuntimeId, Timestamp};

/// A new root exists; runtimes are told to trust it beside the active one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaRotationPrepared {
    /// SHA-256 of the active root's DER, hex.
    pub active: String,
    /// SHA-256 of the new root's DER, hex.
    pub next: String,
    /// The new root, PEM.
    pub next_root: String,
    /// The new root's key under the active root's signature, PEM.
    pub cross: String,
}

/// The new root signs; runtimes of the old one are let in still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaRotationActivated {
    /// SHA-256 of the root that signs from here on, hex.
    pub active: String,
    /// SHA-256 of the one that signed before, hex.
    pub old: String,
    /// Active runtimes that had not confirmed that they trust the new root.
    pub missing: u64,
    /// Whether the operator insisted.
    pub forced: bool,
}

/// The old root is trusted no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaRotationRetired {
    /// SHA-256 of the root that stays, hex.
    pub active: String,
    /// SHA-256 of the one that is gone, hex.
    pub retired: String,
    /// Runtimes whose certificate was still good and of the old root.
    pub cut_off: u64,
    /// Whether the operator insisted.
    pub forced: bool,
}

/// A root that was prepared is given up before it signed anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaRotationAborted {
    /// SHA-256 of the root that stays, hex.
    pub active: String,
    /// SHA-256 of the one that is given up, hex.
    pub aborted: String,
}

/// Runtimes said that they trust a bundle of roots: at most one event a second per tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustConfirmed {
    /// Names the bundle.
    pub bundle: String,
    /// Which runtimes.
    pub runtimes: Vec<RuntimeId>,
}

/// One certificate of a runtime is refused from here on; its others stay good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRevoked {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The certificate's serial number, hex.
    pub serial: String,
    /// It is certainly over then, revoked or not.
    pub not_after: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}
