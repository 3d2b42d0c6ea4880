//! Enrolment as JSON: the one exchange that happens without a client certificate.
//!
//! The runtime sends its token, a CSR for its TLS key, and its binding key with a proof that it
//! holds it. The proof is an Ed25519 signature over exactly [`binding_message`]:
//! `"provost-enrolment/1\0"` followed by the SHA-256 of the CSR's DER. So the binding key vouches
//! for this TLS key, and the signature means nothing anywhere else.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    InstallId, RuntimeId, TenantId,
    entity::{DeploymentMode, RuntimeType},
    sign::KeyId,
};

/// What a runtime sends to be enrolled. `Debug` shows no token: it holds a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The enrolment token's text.
    pub token: String,
    /// A PKCS#10 request in PEM, for an ECDSA P-256 key. Nothing of it is used but the key.
    pub csr: String,
    /// The binding key's SubjectPublicKeyInfo (Ed25519), standard base64 of the DER.
    pub binding_key: String,
    /// Standard base64 of the signature over [`binding_message`].
    pub binding_signature: String,
}

impl fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolRequest")
            .field("token", &format_args!("…"))
            .field("csr", &self.csr)
            .field("binding_key", &self.binding_key)
            .field("binding_signature", &self.binding_signature)
            .finish()
    }
}

/// What the kernel answers: who the runtime is from now on, and whom it trusts.
///
/// Unknown fields are ignored, so that a newer kernel can say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolAnswer {
    /// The runtime, minted at the token's first use with this binding key.
    pub runtime_id: RuntimeId,
    /// The runtime's own tenant.
    pub tenant_id: TenantId,
    /// The installation; the trust domain of every certificate of this kernel.
    pub install_id: InstallId,
    /// How the runtime is deployed, as the token said.
    pub deployment_mode: DeploymentMode,
    /// The runtime's type, as the token said.
    pub runtime_type: RuntimeType,
    /// The runtime's certificate in PEM.
    pub certificate: String,
    /// The trust bundle: one or more root certificates in PEM.
    pub root: String,
    /// The keys that may sign licenses.
    pub license_keys: Vec<PublicKeyEntry>,
    /// The key that signs checkpoints of tenants' logs.
    pub checkpoint_key: PublicKeyEntry,
    /// The kernel's own name in certificates: `spiffe://<install>/kernel`.
    pub kernel_name: String,
}

/// An Ed25519 public key with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicKeyEntry {
    /// The key's name.
    #[schema(value_type = String)]
    pub kid: KeyId,
    /// The 32 bytes in hex.
    pub public_key: String,
}

impl PublicKeyEntry {
    /// Names a public key.
    #[must_use]
    pub fn of(public_key: &[u8; 32]) -> Self {
        Self {
            kid: KeyId::of(public_key),
            public_key: hex::encode(public_key),
        }
    }

    /// The 32 bytes, when the entry holds together.
    #[must_use]
    pub fn bytes(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.public_key, &mut bytes).ok()?;
        (KeyId::of(&bytes) == self.kid).then_some(bytes)
    }
}

/// The bytes that the binding key signs: the domain, then the SHA-256 of the CSR's DER.
#[must_use]
pub fn binding_message(csr_sha256: &[u8; 32]) -> Vec<u8> {
    [BINDING_DOMAIN, csr_sha256.as_slice()].concat()
}

/// Keeps this signature apart from every other use of the binding key.
const BINDING_DOMAIN: &[u8] = b"provost-enrolment/1\0";

/// A token (1 KiB), a P-256 CSR (under 1 KiB in PEM) and two short fields: 16 KiB is ample.
pub const ENROL_REQUEST_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binding_message_is_the_domain_and_the_hash() {
        let message = binding_message(&[7; 32]);
        assert_eq!(&message[..20], b"provost-enrolment/1\0");
        assert_eq!(&message[20..], [7; 32]);
    }

    #[test]
    fn debug_shows_no_token() {
        let request = EnrolRequest {
            token: "pvt1.secret".to_owned(),
            csr: String::new(),
            binding_key: String::new(),
            binding_signature: String::new(),
        };
        assert!(!format!("{request:?}").contains("pvt1"));
    }

    #[test]
    fn a_key_entry_whose_name_is_not_its_keys_name_gives_no_key() {
        let good = PublicKeyEntry::of(&[1; 32]);
        assert_eq!(good.bytes(), Some([1; 32]));
        let crossed = PublicKeyEntry {
            kid: KeyId::of(&[2; 32]),
            ..good
        };
        assert_eq!(crossed.bytes(), None);
    }
}
