//! The daemon's own certificate: in memory, renewed at half of its life, swapped without a lock.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use provost_protocol::{InstallId, Timestamp};
use rustls::{
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{
    authority::{Authority, AuthorityError},
    roots::RootSet,
};

/// Hands the certificate in use to each handshake.
pub(super) struct KernelLeaf {
    authority: Arc<Authority>,
    /// What is sent after the leaf, so that whoever trusts any root in force finds a way to it.
    tail: Vec<CertificateDer<'static>>,
    names: Vec<String>,
    provider: CryptoProvider,
    current: ArcSwap<Current>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    renewal_due: Timestamp,
}

impl KernelLeaf {
    pub(super) fn new(
        roots: &RootSet,
        names: Vec<String>,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let (authority, tail) = (Arc::clone(roots.active()), roots.chain_tail());
        let current = issue((&authority, &tail), &names, provider, now)?;
        let current = ArcSwap::from_pointee(current);
        Ok(Self {
            authority,
            tail,
            names,
            provider: provider.clone(),
            current,
        })
    }

    pub(super) fn install(&self) -> InstallId {
        self.authority.install()
    }

    pub(super) fn renewal_due(&self) -> Timestamp {
        self.current.load().renewal_due
    }

    pub(super) fn renew_if_due(&self, now: Timestamp) -> Result<bool, AuthorityError> {
        if now < self.renewal_due() {
            return Ok(false);
        }
        let signer = (&*self.authority, &*self.tail);
        let next = issue(signer, &self.names, &self.provider, now)?;
        self.current.store(Arc::new(next));
        Ok(true)
    }
}

impl ResolvesServerCert for KernelLeaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().certified))
    }
}

impl fmt::Debug for KernelLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelLeaf")
            .field("install", &self.install())
            .field("names", &self.names)
            .field("renewal_due", &self.renewal_due())
            .field("key", &format_args!("…"))
            .finish_non_exhaustive()
    }
}

fn issue(
    (authority, tail): (&Authority, &[CertificateDer<'static>]),
    names: &[String],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Current, AuthorityError> {
    let issued = authority.issue_kernel(names, now)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(issued.key_der.expose().clone()));
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(AuthorityError::Tls)?;
    let life_ms = issued.not_after.millis_since(issued.not_before);
    let mut chain = vec![issued.leaf];
    chain.extend_from_slice(tail);
    Ok(Current {
        certified: Arc::new(CertifiedKey::new(chain, key)),
        renewal_due: issued.not_before.plus_millis(life_ms / 2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto;

    #[test]
    fn the_certificate_is_renewed_at_half_of_its_life_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_795_325_728_000);
        let install = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let authority = Arc::new(Authority::create(dir.path(), install, now).unwrap());
        let names = vec!["localhost".to_owned()];
        let roots = RootSet::single(authority).unwrap();
        let leaf = KernelLeaf::new(&roots, names, &crypto::provider(), now).unwrap();
        let der = || leaf.current.load().certified.cert[0].clone();
        let (first, due) = (der(), leaf.renewal_due());
        assert_eq!(
            due.millis_since(now) / 60_000,
            12 * 60 - 3,
            "half of 24 h and 5 min"
        );

        assert!(!leaf.renew_if_due(due.minus_millis(1)).unwrap());
        assert_eq!(der(), first);
        assert!(leaf.renew_if_due(due).unwrap());
        assert_ne!(der(), first);
        assert!(leaf.renewal_due() > due);
        assert!(!leaf.renew_if_due(due).unwrap());
    }
}
