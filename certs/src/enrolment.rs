//! Both halves of enrolment, without a network: what a runtime sends, and what the kernel checks.
//!
//! A runtime has two keys. The **binding key** (Ed25519) is made here once, is what licenses are
//! bound to, and is replaced by recovery only. The **TLS key** (ECDSA P-256) is new at every
//! renewal and binds nothing. The binding key signs [`binding_message`] over the CSR's DER: so the
//! kernel knows that both keys are in the same hands.

mod keys;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use provost_protocol::{
    TokenId,
    enrolment::{EnrolRequest, binding_message},
    sign::Signer,
    token::{EnrolmentToken, TokenError},
};

use crate::{
    authority::{CheckedCsr, CsrError},
    crypto,
};

pub(crate) use keys::ed25519_in;
pub use keys::{BindingKey, PairError, TlsKey, TlsPair};

/// Why an enrolment request is refused, or could not be made. Its sender must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The token is no token.
    #[error("the enrolment token is refused")]
    Token(#[from] TokenError),
    /// The certificate request is refused.
    #[error("the certificate request is refused")]
    Csr(#[from] CsrError),
    /// The binding key is not an Ed25519 SubjectPublicKeyInfo in base64.
    #[error("the binding key is not an Ed25519 public key")]
    BindingKey,
    /// The binding key did not sign this certificate request.
    #[error("the binding key has not signed the certificate request")]
    BindingSignature,
}

/// A request whose sender holds both keys. Whether its token is good is the kernel's to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRequest {
    /// The token's id.
    pub token: TokenId,
    /// The SHA-256 of the token's secret; compare it in constant time.
    pub secret_sha256: [u8; 32],
    /// The TLS key to certify.
    pub csr: CheckedCsr,
    /// The binding key's 32 bytes.
    pub binding_key: [u8; 32],
    /// The binding key's SubjectPublicKeyInfo.
    pub binding_spki: Vec<u8>,
    /// The SHA-256 of that, in hex: what licenses are bound to.
    pub cnf: String,
}

/// Builds what a runtime sends to be enrolled with `token`.
///
/// # Errors
/// [`EnrolError::Csr`] when `tls` cannot sign a request.
pub fn make_request(
    token: &EnrolmentToken,
    binding: &BindingKey,
    tls: &TlsKey,
) -> Result<EnrolRequest, EnrolError> {
    let csr = tls.request_pem()?;
    let checked = CheckedCsr::from_pem(&csr)?;
    let signature = binding.sign(&binding_message(checked.der_sha256()));
    Ok(EnrolRequest {
        token: token.to_text(),
        csr,
        binding_key: STANDARD.encode(binding.spki_der()),
        binding_signature: STANDARD.encode(signature),
    })
}

/// Checks all of a request that needs no state: formats, sizes, and that both keys are held.
///
/// # Errors
/// [`EnrolError`] says what is wrong with it.
pub fn check_request(request: &EnrolRequest) -> Result<CheckedRequest, EnrolError> {
    let token: EnrolmentToken = request.token.parse()?;
    let csr = CheckedCsr::from_pem(&request.csr)?;
    let binding_spki = STANDARD
        .decode(&request.binding_key)
        .map_err(|_| EnrolError::BindingKey)?;
    let binding_key = keys::ed25519_in(&binding_spki).ok_or(EnrolError::BindingKey)?;
    let verifying = VerifyingKey::from_bytes(&binding_key).map_err(|_| EnrolError::BindingKey)?;
    STANDARD
        .decode(&request.binding_signature)
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .and_then(|signature| {
            verifying
                .verify_strict(&binding_message(csr.der_sha256()), &signature)
                .ok()
        })
        .ok_or(EnrolError::BindingSignature)?;
    Ok(CheckedRequest {
        token: token.id(),
        secret_sha256: token.secret_sha256(),
        csr,
        binding_key,
        cnf: hex::encode(crypto::sha256(&binding_spki)),
        binding_spki,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> EnrolmentToken {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        EnrolmentToken::new("127.0.0.1:7443", id, [7; 16], [8; 32]).unwrap()
    }

    fn request() -> (BindingKey, TlsKey, EnrolRequest) {
        let (binding, tls) = (BindingKey::generate().unwrap(), TlsKey::generate().unwrap());
        let request = make_request(&token(), &binding, &tls).unwrap();
        (binding, tls, request)
    }

    #[test]
    fn a_request_proves_both_keys_and_names_its_token() {
        let (binding, tls, request) = request();
        let checked = check_request(&request).unwrap();
        assert_eq!(checked.token, token().id());
        assert_eq!(checked.secret_sha256, token().secret_sha256());
        assert_eq!(checked.binding_key, binding.public_key());
        assert_eq!(checked.binding_spki, binding.spki_der());
        assert_eq!(checked.cnf, binding.cnf());
        assert_eq!(checked.csr.key_sha256(), &tls.spki_sha256());
    }

    #[test]
    fn a_request_is_refused_when_any_part_of_it_is_another() {
        let (binding, tls, good) = request();
        let (_, _, other) = request();
        let again = make_request(&token(), &binding, &tls).unwrap();
        assert_ne!(again.csr, good.csr, "ECDSA signatures differ each time");
        type Change<'a> = Box<dyn Fn(&mut EnrolRequest) + 'a>;
        let table: [(&str, Change<'_>, EnrolError); 8] = [
            (
                "csr",
                Box::new(|r| r.csr = other.csr.clone()),
                EnrolError::BindingSignature,
            ),
            (
                "same key",
                Box::new(|r| r.csr = again.csr.clone()),
                EnrolError::BindingSignature,
            ),
            (
                "signature",
                Box::new(|r| r.binding_signature = other.binding_signature.clone()),
                EnrolError::BindingSignature,
            ),
            (
                "binding key",
                Box::new(|r| r.binding_key = other.binding_key.clone()),
                EnrolError::BindingSignature,
            ),
            (
                "no key",
                Box::new(|r| r.binding_key = "AAAA".into()),
                EnrolError::BindingKey,
            ),
            (
                "no signature",
                Box::new(|r| r.binding_signature = "%".into()),
                EnrolError::BindingSignature,
            ),
            (
                "no csr",
                Box::new(|r| r.csr = String::new()),
                EnrolError::Csr(CsrError::Pem),
            ),
            (
                "no token",
                Box::new(|r| r.token = "x".into()),
                EnrolError::Token(TokenError::Prefix),
            ),
        ];
        for (name, change, why) in table {
            let mut request = good.clone();
            change(&mut request);
            assert_eq!(check_request(&request), Err(why), "{name}");
        }
    }

    #[test]
    fn a_signature_over_the_bare_hash_is_no_proof() {
        let (binding, _, mut request) = request();
        let csr = CheckedCsr::from_pem(&request.csr).unwrap();
        request.binding_signature = STANDARD.encode(binding.sign(csr.der_sha256()));
        assert_eq!(check_request(&request), Err(EnrolError::BindingSignature));
    }
}
