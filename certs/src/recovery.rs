//! Both halves of a recovery, without a network: what a runtime sends, and what the kernel checks.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_protocol::{
    RuntimeId, TenantId,
    certificate::{RecoveryProof, RecoveryRequest},
    sign::{Signer, verify_signature},
};

use crate::{
    authority::{CheckedCsr, CsrError},
    crypto,
    enrolment::{BindingKey, TlsKey, ed25519_in},
};

/// Why a recovery request is refused. Its sender must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The certificate request is refused.
    #[error("the certificate request is refused: {0}")]
    Csr(#[from] CsrError),
    /// Nonce or signature is not what it must be in base64.
    #[error("{0} is not what it must be in base64")]
    Malformed(&'static str),
}

/// A request that is whole. Who signed it is [`proves`](Self::proves)'s to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRecovery {
    /// The nonce it answers.
    pub nonce: [u8; 32],
    /// The TLS key to certify.
    pub csr: CheckedCsr,
    /// The certificate request's DER.
    pub csr_der: Vec<u8>,
    proof: RecoveryProof,
    signature: [u8; 64],
}

/// Who asks to recover, and for which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovering {
    /// The runtime's own tenant.
    pub tenant: TenantId,
    /// The runtime.
    pub runtime: RuntimeId,
    /// The recovery's number.
    pub counter: u64,
}

/// Builds what a runtime sends to recover on the connection whose exporter that is.
///
/// # Errors
/// [`RecoveryError::Csr`] when `tls` cannot sign a request; [`RecoveryError::Malformed`] when the
/// kernel's nonce is none.
pub fn make_recovery(
    who: Recovering,
    nonce: &str,
    exporter: [u8; 32],
    (binding, tls): (&BindingKey, &TlsKey),
) -> Result<RecoveryRequest, RecoveryError> {
    let csr = tls.request_der()?;
    let proof = RecoveryProof {
        nonce: bytes("the nonce", nonce)?,
        exporter,
        tenant: who.tenant,
        runtime: who.runtime,
        counter: who.counter,
        csr_sha256: crypto::sha256(&csr),
    };
    Ok(RecoveryRequest {
        tenant_id: who.tenant,
        runtime_id: who.runtime,
        counter: who.counter,
        nonce: nonce.to_owned(),
        csr: STANDARD.encode(csr),
        signature: STANDARD.encode(binding.sign(&proof.message())),
    })
}

/// Checks all of a request that needs no state: formats, sizes, and that the TLS key is held.
///
/// # Errors
/// [`RecoveryError`] says what is wrong with it.
pub fn check_recovery(
    request: &RecoveryRequest,
    exporter: [u8; 32],
) -> Result<CheckedRecovery, RecoveryError> {
    let csr_der = STANDARD
        .decode(&request.csr)
        .map_err(|_| RecoveryError::Malformed("the certificate request"))?;
    let csr = CheckedCsr::from_der(&csr_der)?;
    let nonce = bytes("the nonce", &request.nonce)?;
    let proof = RecoveryProof {
        nonce,
        exporter,
        tenant: request.tenant_id,
        runtime: request.runtime_id,
        counter: request.counter,
        csr_sha256: *csr.der_sha256(),
    };
    Ok(CheckedRecovery {
        nonce,
        csr,
        csr_der,
        proof,
        signature: bytes("the signature", &request.signature)?,
    })
}

impl CheckedRecovery {
    /// Whether the holder of this binding key (its SPKI in base64) signed the request.
    ///
    /// Without a key the same work is done and the answer is no, so that the time it takes does
    /// not tell whether a runtime exists.
    #[must_use]
    pub fn proves(&self, binding_spki: Option<&str>) -> bool {
        let held = binding_spki
            .and_then(|spki| STANDARD.decode(spki).ok())
            .and_then(|spki| ed25519_in(&spki));
        let key = held.unwrap_or(NOBODY);
        let signed = verify_signature(&key, &self.proof.message(), &self.signature).is_ok();
        signed && held.is_some()
    }
}

fn bytes<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], RecoveryError> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(RecoveryError::Malformed(what))
}

/// The base point of Ed25519 (RFC 8032, section 5.1): a key like any other, and nobody's.
const NOBODY: [u8; 32] = [
    0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
];

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const B: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
    const EXPORTER: [u8; 32] = [7; 32];

    fn request() -> (BindingKey, RecoveryRequest) {
        let (binding, tls) = (BindingKey::generate().unwrap(), TlsKey::generate().unwrap());
        let who = Recovering {
            tenant: A.parse().unwrap(),
            runtime: A.parse().unwrap(),
            counter: 3,
        };
        let nonce = STANDARD.encode([9; 32]);
        let request = make_recovery(who, &nonce, EXPORTER, (&binding, &tls)).unwrap();
        (binding, request)
    }

    fn spki(key: &BindingKey) -> String {
        STANDARD.encode(key.spki_der())
    }

    #[test]
    fn a_recovery_proves_its_binding_key_and_no_other() {
        let (binding, request) = request();
        let checked = check_recovery(&request, EXPORTER).unwrap();
        assert_eq!(checked.nonce, [9; 32]);
        assert!(checked.proves(Some(&spki(&binding))));
        let other = BindingKey::generate().unwrap();
        assert!(!checked.proves(Some(&spki(&other))));
        assert!(!checked.proves(Some("AAAA")));
        assert!(!checked.proves(None));
    }

    #[test]
    fn a_recovery_with_any_part_of_another_proves_nothing() {
        let (binding, good) = request();
        let (_, other) = request();
        type Change<'a> = Box<dyn Fn(&mut RecoveryRequest) + 'a>;
        let table: [Change<'_>; 6] = [
            Box::new(|r| r.tenant_id = B.parse().unwrap()),
            Box::new(|r| r.runtime_id = B.parse().unwrap()),
            Box::new(|r| r.counter = 4),
            Box::new(|r| r.nonce = STANDARD.encode([8; 32])),
            Box::new(|r| r.csr = other.csr.clone()),
            Box::new(|r| r.signature = other.signature.clone()),
        ];
        for (number, change) in table.iter().enumerate() {
            let mut request = good.clone();
            change(&mut request);
            let checked = check_recovery(&request, EXPORTER).unwrap();
            assert!(!checked.proves(Some(&spki(&binding))), "{number}");
        }
        // Relayed to another connection, it proves nothing either.
        let relayed = check_recovery(&good, [6; 32]).unwrap();
        assert!(!relayed.proves(Some(&spki(&binding))));
    }

    #[test]
    fn what_is_no_request_is_refused_before_anything_is_looked_up() {
        let (_, good) = request();
        for (csr, nonce, signature) in [
            ("%", &*good.nonce, &*good.signature),
            ("AAAA", &good.nonce, &good.signature),
            (&good.csr, "AAAA", &good.signature),
            (&good.csr, &good.nonce, "AAAA"),
        ] {
            let request = RecoveryRequest {
                csr: csr.to_owned(),
                nonce: nonce.to_owned(),
                signature: signature.to_owned(),
                ..good.clone()
            };
            assert!(check_recovery(&request, EXPORTER).is_err(), "{request:?}");
        }
    }
}
