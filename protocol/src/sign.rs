//! The two doors through which the rest of the house uses keys and trust.
//!
//! Both are implemented in `certs`, the only holder of private keys, and passed in by the daemon.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{RuntimeId, TenantId, Timestamp};

/// Names a signing key: the first 16 hex digits of the SHA-256 of its 32-byte public key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(String);

impl KeyId {
    /// Names an Ed25519 public key.
    #[must_use]
    pub fn of(public_key: &[u8; 32]) -> Self {
        use sha2::{Digest, Sha256};
        Self(hex::encode(&Sha256::digest(public_key)[..8]))
    }

    /// The 16 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Signs bytes with one Ed25519 key (RFC 8032) that never leaves `certs`.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The key's name.
    fn key_id(&self) -> KeyId;
    /// The public half.
    fn public_key(&self) -> [u8; 32];
    /// Signs exactly these bytes.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// Who a connection is, from its certificate and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The runtime's own tenant.
    pub tenant: TenantId,
    /// The runtime.
    pub runtime: RuntimeId,
    /// The certificate's serial number, in hex.
    pub serial: String,
    /// The certificate is not valid before.
    pub not_before: Timestamp,
    /// The certificate is not valid after.
    pub not_after: Timestamp,
}

/// Why a certificate that once was good is good no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StandingError {
    /// Outside its validity now.
    #[error("the certificate is outside its validity")]
    Expired,
    /// Its serial number is revoked.
    #[error("the certificate is revoked")]
    Revoked,
}

/// Says whether a certificate is still good; asked again on every request.
pub trait Standing: Send + Sync + fmt::Debug {
    /// Says whether the peer's certificate may still be used at `now`.
    ///
    /// # Errors
    /// [`StandingError`] when it may not.
    fn check(&self, peer: &PeerIdentity, now: Timestamp) -> Result<(), StandingError>;
}
