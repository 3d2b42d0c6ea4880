//! A certificate request, of which only the public key is ever used.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SubjectPublicKeyInfo};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use crate::crypto;

/// Why a certificate request is refused. Its sender must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// Longer than a request for a P-256 key can be.
    #[error("a certificate request is at most {CSR_PEM_MAX} bytes")]
    TooLarge,
    /// Not exactly one PEM block `CERTIFICATE REQUEST`.
    #[error("not one certificate request in PEM")]
    Pem,
    /// Not a PKCS#10 request, or bytes follow it.
    #[error("the certificate request is malformed")]
    Malformed,
    /// The key is not ECDSA P-256, uncompressed.
    #[error("the certificate request's key is not ECDSA P-256")]
    Key,
    /// The request is not signed by its own key: the sender has not shown that it holds it.
    #[error("the certificate request is not signed by its own key")]
    Signature,
}

/// A request whose sender holds the P-256 key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCsr {
    key: SubjectPublicKeyInfo,
    key_sha256: [u8; 32],
    der_sha256: [u8; 32],
}

impl CheckedCsr {
    /// Reads a request and verifies its signature with the one algorithm we take.
    ///
    /// # Errors
    /// [`CsrError`] says what is wrong with it.
    pub fn from_pem(pem: &str) -> Result<Self, CsrError> {
        if pem.len() > CSR_PEM_MAX {
            return Err(CsrError::TooLarge);
        }
        let mut blocks = pem::parse_many(pem).map_err(|_| CsrError::Pem)?;
        let block = blocks
            .pop()
            .filter(|block| block.tag() == "CERTIFICATE REQUEST");
        match block {
            Some(block) if blocks.is_empty() => Self::from_der(block.contents()),
            _ => Err(CsrError::Pem),
        }
    }

    /// The SHA-256 of the request's DER, which the binding key signs at enrolment.
    #[must_use]
    pub const fn der_sha256(&self) -> &[u8; 32] {
        &self.der_sha256
    }

    /// The SHA-256 of the key's SPKI: tells two TLS keys apart.
    #[must_use]
    pub const fn key_sha256(&self) -> &[u8; 32] {
        &self.key_sha256
    }

    pub(super) const fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }

    /// Reads a request and verifies its signature with the one algorithm we take.
    ///
    /// # Errors
    /// [`CsrError`] says what is wrong with it.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        let (rest, csr) =
            X509CertificationRequest::from_der(der).map_err(|_| CsrError::Malformed)?;
        // The parser looks at the tag's number only; this is the one tag that nothing signs.
        if !rest.is_empty() || der.first() != Some(&SEQUENCE) {
            return Err(CsrError::Malformed);
        }
        let info = &csr.certification_request_info;
        let key =
            SubjectPublicKeyInfo::from_der(info.subject_pki.raw).map_err(|_| CsrError::Key)?;
        let uncompressed = key.der_bytes().len() == POINT_BYTES && key.der_bytes()[0] == 4;
        if key.algorithm() != &PKCS_ECDSA_P256_SHA256 || !uncompressed {
            return Err(CsrError::Key);
        }
        if !der.ends_with(&unsigned_tail(&csr.signature_value.data)) {
            return Err(CsrError::Signature);
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.der_bytes())
            .verify(info.raw, &csr.signature_value.data)
            .map_err(|_| CsrError::Signature)?;
        Ok(Self {
            key_sha256: crypto::sha256(info.subject_pki.raw),
            der_sha256: crypto::sha256(der),
            key,
        })
    }
}

/// What follows the signed part, in the one way DER writes it. The parser takes others too, and no
/// signature covers these bytes.
fn unsigned_tail(signature: &[u8]) -> Vec<u8> {
    // A P-256 signature is at most 72 bytes, so the length fits one byte; a longer one fails below.
    let length = u8::try_from(signature.len() + 1).unwrap_or(0);
    [&ECDSA_WITH_SHA256[..], &[BIT_STRING, length, 0], signature].concat()
}

/// A P-256 request with a subject and a few extensions is under 1 KiB; 8 KiB leaves room for what
/// other tools put in.
const CSR_PEM_MAX: usize = 8 * 1024;

/// The AlgorithmIdentifier `ecdsa-with-SHA256` (RFC 5758, section 3.2): it has no parameters.
const ECDSA_WITH_SHA256: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];

/// The DER tag of a BIT STRING.
const BIT_STRING: u8 = 0x03;

/// The DER tag of a constructed SEQUENCE.
const SEQUENCE: u8 = 0x30;

/// An uncompressed P-256 point: 0x04 and two coordinates of 32 bytes.
const POINT_BYTES: usize = 65;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    fn csr(key: &KeyPair) -> String {
        CertificateParams::default()
            .serialize_request(key)
            .unwrap()
            .pem()
            .unwrap()
    }

    #[test]
    fn a_request_for_a_p256_key_is_taken() {
        let key = crate::authority::new_key().unwrap();
        let checked = CheckedCsr::from_pem(&csr(&key)).unwrap();
        let spki = key.subject_public_key_info();
        assert_eq!(checked.key_sha256(), &crypto::sha256(&spki));
    }

    #[test]
    fn every_other_key_is_refused() {
        for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            assert_eq!(
                CheckedCsr::from_pem(&csr(&key)),
                Err(CsrError::Key),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn a_request_with_any_bit_flipped_is_refused() {
        let key = crate::authority::new_key().unwrap();
        let request = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        CheckedCsr::from_der(request.der()).unwrap();
        let mut taken = Vec::new();
        for at in 0..request.der().len() {
            for bit in 0..8 {
                let mut der = request.der().to_vec();
                der[at] ^= 1 << bit;
                if CheckedCsr::from_der(&der).is_ok() {
                    taken.push((at, bit));
                }
            }
        }
        assert_eq!(taken, [], "byte and bit");
    }

    #[test]
    fn what_is_no_single_request_is_refused() {
        let one = csr(&crate::authority::new_key().unwrap());
        let mut trailing = pem::parse(&one).unwrap().into_contents();
        trailing.push(0);
        assert_eq!(CheckedCsr::from_der(&trailing), Err(CsrError::Malformed));
        for (text, why) in [
            (String::new(), CsrError::Pem),
            (format!("{one}{one}"), CsrError::Pem),
            (
                one.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
                CsrError::Pem,
            ),
            (" ".repeat(CSR_PEM_MAX + 1), CsrError::TooLarge),
        ] {
            assert_eq!(CheckedCsr::from_pem(&text), Err(why), "{text}");
        }
    }
}
