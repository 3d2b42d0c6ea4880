//! The two keys of a runtime, and the pair of a TLS key with its certificate.

use std::{fmt, path::Path};

use provost_protocol::sign::{KeyId, PeerIdentity, Signer};
use rcgen::{
    CertificateParams, CertificateSigningRequest, DistinguishedName, KeyPair,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{
    authority::{self, CsrError},
    certificate::{self, CertificateFault, Leaf},
    crypto::{self, RandomError},
    secret::Secret,
    signers::{Ed25519Key, KeyError},
};

/// The Ed25519 key that a runtime's licenses are bound to.
#[derive(Debug)]
pub struct BindingKey(Ed25519Key);

impl BindingKey {
    /// Makes a key and writes it to a file that must not be there yet.
    ///
    /// # Errors
    /// [`KeyError::File`] when the file is there or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        Ed25519Key::create(path).map(Self)
    }

    /// Reads the key from a file that only its owner may read.
    ///
    /// # Errors
    /// [`KeyError`] names the file.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        Ed25519Key::open(path).map(Self)
    }

    /// Makes a key that lives in memory only.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn generate() -> Result<Self, RandomError> {
        Ed25519Key::generate().map(Self)
    }

    /// The public key's SubjectPublicKeyInfo (RFC 8410).
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), &self.public_key()].concat()
    }

    /// The SHA-256 of the SPKI in hex, as a license's `cnf` has it.
    #[must_use]
    pub fn cnf(&self) -> String {
        hex::encode(crypto::sha256(&self.spki_der()))
    }
}

impl Signer for BindingKey {
    fn key_id(&self) -> KeyId {
        self.0.key_id()
    }

    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// The ECDSA P-256 key of one TLS certificate.
pub struct TlsKey(KeyPair);

impl TlsKey {
    /// Makes a key.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn generate() -> Result<Self, RandomError> {
        authority::new_key().map(Self).map_err(|_| RandomError)
    }

    /// Reads a key from PKCS#8 PEM; `None` when it is none.
    #[must_use]
    pub fn from_pem(pem: &str) -> Option<Self> {
        KeyPair::from_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256)
            .ok()
            .map(Self)
    }

    /// The key as PKCS#8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> Secret<String> {
        Secret::new(self.0.serialize_pem())
    }

    /// A certificate request for this key, in PEM. It asks for nothing: the kernel takes the key
    /// and no more.
    ///
    /// # Errors
    /// [`CsrError::Key`] when the key cannot sign.
    pub fn request_pem(&self) -> Result<String, CsrError> {
        self.request()?.pem().map_err(|_| CsrError::Key)
    }

    /// The same in DER.
    ///
    /// # Errors
    /// [`CsrError::Key`] when the key cannot sign.
    pub fn request_der(&self) -> Result<Vec<u8>, CsrError> {
        Ok(self.request()?.der().to_vec())
    }

    fn request(&self) -> Result<CertificateSigningRequest, CsrError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serialize_request(&self.0).map_err(|_| CsrError::Key)
    }

    /// The SHA-256 of the public key's SPKI.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        crypto::sha256(&self.0.subject_public_key_info())
    }

    pub(crate) fn private_key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialize_der()))
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsKey")
            .field("spki_sha256", &hex::encode(self.spki_sha256()))
            .field("key", &format_args!("…"))
            .finish()
    }
}

/// Why a certificate and a key are no pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// Not one certificate in PEM.
    #[error("not one certificate in PEM")]
    Pem,
    /// Not a certificate of a runtime.
    #[error("not a runtime's certificate")]
    Certificate(#[source] CertificateFault),
    /// The certificate is for another key.
    #[error("the certificate is for another key")]
    OtherKey,
}

/// A TLS key with the certificate that belongs to it.
#[derive(Debug)]
pub struct TlsPair {
    key: TlsKey,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    identity: PeerIdentity,
}

impl TlsPair {
    /// Puts a key and its certificate together.
    ///
    /// # Errors
    /// [`PairError`] when they do not belong together. Nothing is said about trust.
    pub fn new(key: TlsKey, certificate_pem: String) -> Result<Self, PairError> {
        let mut chain = certificate::certificates_in(&certificate_pem).ok_or(PairError::Pem)?;
        let certificate = chain.remove(0);
        if !chain.is_empty() {
            return Err(PairError::Pem);
        }
        let leaf = Leaf::parse(&certificate).map_err(PairError::Certificate)?;
        let install = leaf.install();
        let identity = leaf.as_runtime(install).map_err(PairError::Certificate)?;
        if leaf.key_sha256() != key.spki_sha256() {
            return Err(PairError::OtherKey);
        }
        Ok(Self {
            key,
            certificate,
            certificate_pem,
            identity,
        })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &TlsKey {
        &self.key
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Whom the certificate names, its serial and its validity: says when renewal is due.
    #[must_use]
    pub const fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }
}

/// Takes the 32 bytes out of an Ed25519 SubjectPublicKeyInfo; there is exactly one way to write it.
pub(crate) fn ed25519_in(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(SPKI_PREFIX.as_slice())?.try_into().ok()
}

/// SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes } up to those bytes.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests {
    use ed25519_dalek::{VerifyingKey, pkcs8::EncodePublicKey};

    use super::*;

    #[test]
    fn the_binding_keys_spki_is_what_rfc_8410_says() {
        let key = BindingKey::generate().unwrap();
        let dalek = VerifyingKey::from_bytes(&key.public_key()).unwrap();
        assert_eq!(
            key.spki_der(),
            dalek.to_public_key_der().unwrap().as_bytes()
        );
        assert_eq!(ed25519_in(&key.spki_der()), Some(key.public_key()));
        assert_eq!(key.cnf().len(), 64);
    }

    #[test]
    fn a_tls_key_is_read_back_from_its_pem_and_shows_nothing_of_itself() {
        let key = TlsKey::generate().unwrap();
        let pem = key.to_pem();
        assert_eq!(
            TlsKey::from_pem(pem.expose()).unwrap().spki_sha256(),
            key.spki_sha256()
        );
        assert!(TlsKey::from_pem("no key").is_none());
        let shown = format!("{key:?} {pem:?}");
        for line in pem.expose().lines() {
            assert!(!shown.contains(line), "{shown}");
        }
    }
}
