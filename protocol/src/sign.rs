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

/// A signature that is not this key's over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureError;

/// Checks an Ed25519 signature strictly: no key of small order, one encoding of each signature.
///
/// # Errors
/// [`SignatureError`] for everything else, without saying why.
pub fn verify_signature(
    public_key: &[u8; 32],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(public_key).map_err(|_| SignatureError)?;
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| SignatureError)?;
    key.verify_strict(message, &signature)
        .map_err(|_| SignatureError)
}

/// A certificate of a runtime, as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate in PEM.
    pub certificate: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Why no certificate is issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The request is none that is taken. Its sender must act.
    #[error("{0}")]
    Request(String),
    /// The authority could not sign. The operator of the kernel must act.
    #[error("the certificate could not be signed: {0}")]
    Authority(String),
}

/// Issues certificates to runtimes with the authority's key, which never leaves `certs`.
pub trait CertificateIssuer: Send + Sync + fmt::Debug {
    /// Reads a PKCS#10 request (DER) and says for which key it is: SHA-256 of the key's SPKI.
    ///
    /// # Errors
    /// [`IssueError::Request`] for all but a request for an ECDSA P-256 key, signed by it.
    fn requested_key(&self, csr: &[u8]) -> Result<[u8; 32], IssueError>;

    /// Issues a certificate for the key in the request; nothing else of the request is used.
    ///
    /// # Errors
    /// [`IssueError`].
    fn issue(
        &self,
        csr: &[u8],
        whom: (TenantId, RuntimeId),
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Issued, IssueError>;
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
    /// SHA-256 of the SPKI of the certificate's key.
    pub key_sha256: [u8; 32],
    /// The certificate is not valid before.
    pub not_before: Timestamp,
    /// The certificate is not valid after.
    pub not_after: Timestamp,
    /// SHA-256 of the DER of the root that signed it, where that was looked for: after a handshake.
    pub root_sha256: Option<[u8; 32]>,
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
    /// The root that signed it is retired.
    #[error("the certificate is of a root that is retired")]
    Retired,
}

/// Says whether a certificate is still good; asked again on every request.
pub trait Standing: Send + Sync + fmt::Debug {
    /// Says whether the peer's certificate may still be used at `now`.
    ///
    /// # Errors
    /// [`StandingError`] when it may not.
    fn check(&self, peer: &PeerIdentity, now: Timestamp) -> Result<(), StandingError>;
}

/// A signer from a fixed seed, for the tests of this crate.
#[cfg(test)]
pub(crate) mod testing {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::{KeyId, Signer};

    #[derive(Debug)]
    pub(crate) struct TestSigner(SigningKey);

    impl TestSigner {
        pub(crate) fn new(seed: u8) -> Self {
            Self(SigningKey::from_bytes(&[seed; 32]))
        }
    }

    impl Signer for TestSigner {
        fn key_id(&self) -> KeyId {
            KeyId::of(&self.public_key())
        }

        fn public_key(&self) -> [u8; 32] {
            self.0.verifying_key().to_bytes()
        }

        fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message).to_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::TestSigner, *};

    #[test]
    fn a_signature_holds_for_its_key_and_message_only() {
        let (signer, other) = (TestSigner::new(1), TestSigner::new(2));
        let (key, signature) = (signer.public_key(), signer.sign(b"message"));
        assert_eq!(verify_signature(&key, b"message", &signature), Ok(()));
        assert!(verify_signature(&key, b"massage", &signature).is_err());
        assert!(verify_signature(&other.public_key(), b"message", &signature).is_err());
        assert!(verify_signature(&key, b"message", &signature[..63]).is_err());
    }

    #[test]
    fn a_key_of_small_order_verifies_nothing() {
        // The identity point: without strictness R = identity, s = 0 verifies any message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(
            verify_signature(&identity, b"any", &signature),
            Err(SignatureError)
        );
    }
}
