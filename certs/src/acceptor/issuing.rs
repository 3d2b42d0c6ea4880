//! Which of the roots that are let in signed a certificate: what a retired one signed is refused
//! also on connections that stand.

use std::fmt;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::crypto;

/// The roots of one moment. More than one there are only while the authority is rotated.
pub(super) struct Issuing(Vec<([u8; 32], TrustAnchor<'static>)>);

impl Issuing {
    pub(super) fn new(roots: &[CertificateDer<'static>]) -> Result<Self, rustls::Error> {
        let anchored = roots.iter().map(|der| {
            let anchor = anchor_from_trusted_cert(der)
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            Ok((crypto::sha256(der), anchor.to_owned()))
        });
        anchored.collect::<Result<_, _>>().map(Self)
    }

    /// The SHA-256 of the root that signed the leaf, whose chain was verified by these roots. By the
    /// signature: what a leaf says of its issuer, a thief of a root's key writes as he likes.
    pub(super) fn root_of(&self, leaf: &CertificateDer<'_>) -> Option<[u8; 32]> {
        let (first, others) = self.0.split_first()?;
        if others.is_empty() {
            return Some(first.0);
        }
        let algorithms = crypto::provider().signature_verification_algorithms;
        let leaf = EndEntityCert::try_from(leaf).ok()?;
        let signed = |anchor: &TrustAnchor<'static>| {
            leaf.verify_for_usage(
                algorithms.all,
                std::slice::from_ref(anchor),
                &[],
                UnixTime::now(),
                KeyUsage::client_auth(),
                None,
                None,
            )
            .is_ok()
        };
        let found = self.0.iter().find(|(_, anchor)| signed(anchor));
        found.map(|(sha256, _)| *sha256)
    }
}

impl fmt::Debug for Issuing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuing({} roots)", self.0.len())
    }
}
