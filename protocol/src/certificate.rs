//! Certificates after enrolment, as JSON: renewal, and recovery once the certificate has ended.
//!
//! Recovery goes without a client certificate. The runtime asks for a nonce, then signs
//! [`RecoveryProof::message`] with its binding key. The message names the nonce (the kernel's, of
//! use once), the TLS exporter of the connection that carries it (RFC 8446, section 7.5: what is
//! overheard or relayed proves nothing on another connection), who asks, a counter that rises with
//! each recovery (a copy of the runtime shows by using one twice), and the key to be certified.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{RuntimeId, TenantId, Timestamp};

/// What a runtime sends to be given another certificate (v0.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// A PKCS#10 request for a new ECDSA P-256 key: standard base64 of the DER.
    pub csr: String,
}

/// A runtime's new certificate. Unknown fields are ignored, so that a newer kernel can say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewCertificate {
    /// The certificate in PEM.
    pub certificate: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Asks for a nonce to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// The runtime's own tenant.
    pub tenant_id: TenantId,
    /// The runtime.
    pub runtime_id: RuntimeId,
}

/// The nonce. It is given for every pair of ids, so that nobody learns which exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// 32 bytes in standard base64, of use once.
    pub nonce: String,
    /// Until when.
    pub expires: Timestamp,
}

/// Proves the binding key and asks for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryRequest {
    /// The runtime's own tenant.
    pub tenant_id: TenantId,
    /// The runtime.
    pub runtime_id: RuntimeId,
    /// One more than at the last recovery; 1 at first.
    pub counter: u64,
    /// The challenge's nonce.
    pub nonce: String,
    /// A PKCS#10 request for a new ECDSA P-256 key: standard base64 of the DER.
    pub csr: String,
    /// The binding key's signature over [`RecoveryProof::message`], standard base64.
    pub signature: String,
}

/// What the binding key signs at a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryProof {
    /// The kernel's nonce.
    pub nonce: [u8; 32],
    /// The TLS exporter of the connection under [`RECOVERY_EXPORTER`], without context.
    pub exporter: [u8; 32],
    /// The runtime's own tenant.
    pub tenant: TenantId,
    /// The runtime.
    pub runtime: RuntimeId,
    /// The recovery's number.
    pub counter: u64,
    /// SHA-256 of the certificate request's DER.
    pub csr_sha256: [u8; 32],
}

impl RecoveryProof {
    /// The exact bytes: the domain, nonce, exporter, tenant, runtime (16 bytes each), counter
    /// (little endian), SHA-256 of the request.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(RECOVERY_DOMAIN.len() + 3 * 32 + 2 * 16 + 8);
        message.extend_from_slice(RECOVERY_DOMAIN);
        message.extend_from_slice(&self.nonce);
        message.extend_from_slice(&self.exporter);
        message.extend_from_slice(self.tenant.as_bytes());
        message.extend_from_slice(self.runtime.as_bytes());
        message.extend_from_slice(&self.counter.to_le_bytes());
        message.extend_from_slice(&self.csr_sha256);
        message
    }
}

/// The label of the TLS exporter that a recovery is bound to.
pub const RECOVERY_EXPORTER: &[u8] = b"EXPORTER-provost-recovery";

/// A P-256 request with a subject and a few extensions is under 1 KiB of DER; four leave room for
/// what other tools put in.
pub const CSR_DER_MAX: usize = 4 * 1024;

/// A request of [`CSR_DER_MAX`] in base64, a signature, two ids and a nonce.
pub const RECOVERY_REQUEST_MAX: usize = 8 * 1024;

/// Keeps this signature apart from every other use of the binding key.
const RECOVERY_DOMAIN: &[u8] = b"provost-recovery-v1\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_the_signed_message_do_not_change() {
        let proof = RecoveryProof {
            nonce: [1; 32],
            exporter: [2; 32],
            tenant: TenantId::from_parts(Timestamp::EPOCH, [3; 10]),
            runtime: RuntimeId::from_parts(Timestamp::EPOCH, [4; 10]),
            counter: 0x0102,
            csr_sha256: [5; 32],
        };
        let expected = [
            hex::encode(b"provost-recovery-v1\n"),
            "01".repeat(32),
            "02".repeat(32),
            "00000000000073038303030303030303".to_owned(),
            "00000000000074048404040404040404".to_owned(),
            "0201000000000000".to_owned(),
            "05".repeat(32),
        ];
        assert_eq!(hex::encode(proof.message()), expected.concat());
    }
}
