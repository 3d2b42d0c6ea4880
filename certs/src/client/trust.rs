//! The trust bundle: the roots a runtime believes, and no others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, client::verify_server_cert_signed_by_trust_anchor, server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{
    certificate::{self, Leaf},
    crypto::{self, sha256},
};

/// Why a text is no trust bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trust bundle: one to sixteen root certificates in PEM, and nothing else")]
pub struct TrustError;

/// One or more root certificates: several during a rotation of the authority.
#[derive(Debug, Clone)]
pub struct TrustBundle {
    pem: String,
    roots: Vec<CertificateDer<'static>>,
    store: Arc<RootCertStore>,
}

impl TrustBundle {
    /// Reads every root of a PEM text.
    ///
    /// # Errors
    /// [`TrustError`] when anything in it is not a certificate.
    pub fn from_pem(pem: &str) -> Result<Self, TrustError> {
        let roots = certificate::certificates_in(pem).ok_or(TrustError)?;
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|_| TrustError)?;
        }
        Ok(Self {
            pem: pem.to_owned(),
            roots,
            store: Arc::new(store),
        })
    }

    /// Reads roots that came one by one.
    ///
    /// # Errors
    /// [`TrustError`] when one of them is not exactly one certificate.
    pub fn from_roots(roots: &[String]) -> Result<Self, TrustError> {
        let bundle = Self::from_pem(&roots.concat())?;
        (bundle.roots.len() == roots.len())
            .then_some(bundle)
            .ok_or(TrustError)
    }

    /// The roots as they were read.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Each root in a PEM text of its own.
    #[must_use]
    pub fn root_pems(&self) -> Vec<String> {
        self.roots
            .iter()
            .map(|root| certificate::to_pem(root))
            .collect()
    }

    /// Names the set, whatever the order: lower hex SHA-256 over the SHA-256 of each root's DER,
    /// sorted and put one behind the other.
    #[must_use]
    pub fn id(&self) -> String {
        let hashes: BTreeSet<_> = self.roots.iter().map(|root| sha256(root)).collect();
        let joined: Vec<u8> = hashes.into_iter().flatten().collect();
        hex::encode(sha256(&joined))
    }

    /// How many roots there are.
    #[must_use]
    pub fn roots(&self) -> usize {
        self.store.len()
    }

    /// Whether a root of this bundle is in the other one too: nobody's whole trust is exchanged at
    /// once.
    #[must_use]
    pub fn shares_a_root_with(&self, other: &Self) -> bool {
        self.roots.iter().any(|root| other.roots.contains(root))
    }

    /// Whether one of these roots itself has signed the kernel's certificate `leaf` (DER): nobody
    /// stands in between. Says nothing of its validity, which the handshake has judged.
    #[must_use]
    pub fn issued(&self, leaf: &[u8]) -> bool {
        let der = CertificateDer::from(leaf);
        let (Ok(parsed), Ok(read)) = (ParsedCertificate::try_from(&der), Leaf::parse(&der)) else {
            return false;
        };
        let seconds = read.not_before.as_millis().max(0).unsigned_abs() / 1_000;
        let valid = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let algorithms = crypto::provider().signature_verification_algorithms;
        read.as_kernel().is_ok()
            && verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.store,
                &[],
                valid,
                algorithms.all,
            )
            .is_ok()
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.store)
    }
}

#[cfg(test)]
mod tests {
    use provost_protocol::Timestamp;

    use super::*;
    use crate::authority::Authority;

    fn root() -> String {
        let dir = tempfile::tempdir().unwrap();
        let install = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let now = Timestamp::from_millis(1_795_325_728_000);
        Authority::create(dir.path(), install, now)
            .unwrap()
            .root_pem()
    }

    #[test]
    fn a_bundle_has_one_name_whatever_the_order_of_its_roots() {
        let (a, b) = (root(), root());
        let id = |roots: &[&String]| {
            let roots: Vec<String> = roots.iter().map(|root| (*root).clone()).collect();
            TrustBundle::from_roots(&roots).unwrap().id()
        };
        assert_eq!(id(&[&a, &b]), id(&[&b, &a]));
        assert_eq!(id(&[&a]), id(&[&a, &a]), "a set");
        assert_ne!(id(&[&a]), id(&[&a, &b]));
        assert_ne!(id(&[&a]), id(&[&b]));
        assert_eq!(id(&[&a]).len(), 64);
    }

    #[test]
    fn the_name_is_the_hash_of_the_sorted_hashes() {
        let (a, b) = (root(), root());
        let hash = |pem: &str| sha256(&certificate::certificates_in(pem).unwrap()[0]);
        let mut hashes = [hash(&a), hash(&b)];
        hashes.sort_unstable();
        let both = TrustBundle::from_pem(&format!("{a}{b}")).unwrap();
        assert_eq!(both.id(), hex::encode(sha256(&hashes.concat())));
        assert_eq!(both.root_pems(), [a, b]);
    }

    #[test]
    fn bundles_without_a_common_root_are_strangers() {
        let (a, b, c) = (root(), root(), root());
        let bundle = |pem: &str| TrustBundle::from_pem(pem).unwrap();
        let both = bundle(&format!("{a}{b}"));
        assert!(bundle(&a).shares_a_root_with(&both));
        assert!(both.shares_a_root_with(&bundle(&b)));
        assert!(!bundle(&c).shares_a_root_with(&both));
    }

    #[test]
    fn what_is_not_one_certificate_each_is_no_list_of_roots() {
        let two = format!("{}{}", root(), root());
        for roots in [
            vec![],
            vec![String::new()],
            vec![two],
            vec![root(), String::new()],
        ] {
            assert_eq!(TrustBundle::from_roots(&roots).err(), Some(TrustError));
        }
    }
}
