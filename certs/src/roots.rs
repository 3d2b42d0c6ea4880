//! Which roots hold while one authority is rotated out for another.
//!
//! | phase | signs | runtimes are told to trust | runtimes of … are let in | the kernel sends |
//! |---|---|---|---|---|
//! | one root | A | A | A | leaf, A |
//! | B prepared | A | A, B | A | leaf, A |
//! | B activated | B | A, B | A, B | leaf, B by A, B, A |
//! | A retired | B | B | B | leaf, B by A, B |
//!
//! *B by A* is B's key under A's signature: whoever was away throughout and believes A alone finds
//! its way to A over it, for as long as that certificate lasts. A itself stays in the chain until
//! it is retired, for the enrolment tokens that name it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use provost_protocol::{InstallId, RuntimeId, TenantId, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::{
    authority::{Authority, AuthorityError, CheckedCsr, IssuedCertificate},
    certificate,
    client::TrustBundle,
    crypto,
};

/// What a set of roots is made of; certificates in PEM.
#[derive(Debug, Clone)]
pub struct RootParts {
    /// Signs whatever is signed.
    pub active: Arc<Authority>,
    /// To be trusted by runtimes, though nothing is signed with it yet.
    pub prepared: Option<String>,
    /// Signs nothing any more; its runtimes are let in until it is retired.
    pub old: Option<String>,
    /// The active root's key, signed by the root before it.
    pub cross: Option<String>,
}

/// The roots of one moment. A value; [`Roots`] holds the present one.
#[derive(Debug, Clone)]
pub struct RootSet {
    active: Arc<Authority>,
    old: Option<CertificateDer<'static>>,
    cross: Option<CertificateDer<'static>>,
    bundle: TrustBundle,
}

impl RootSet {
    /// One root alone.
    ///
    /// # Errors
    /// [`AuthorityError::Root`] when it is none that TLS takes.
    pub fn single(active: Arc<Authority>) -> Result<Self, AuthorityError> {
        Self::new(RootParts {
            active,
            prepared: None,
            old: None,
            cross: None,
        })
    }

    /// The roots of any phase.
    ///
    /// # Errors
    /// [`AuthorityError::Root`] when a part is no certificate.
    pub fn new(parts: RootParts) -> Result<Self, AuthorityError> {
        let RootParts {
            active,
            prepared,
            old,
            cross,
        } = parts;
        let mut roots = vec![active.root_pem()];
        roots.extend(prepared);
        roots.extend(old.clone());
        let bundle = TrustBundle::from_roots(&roots).map_err(|_| AuthorityError::Root)?;
        Ok(Self {
            active,
            old: one(old)?,
            cross: one(cross)?,
            bundle,
        })
    }

    /// The authority that signs.
    #[must_use]
    pub const fn active(&self) -> &Arc<Authority> {
        &self.active
    }

    /// What runtimes are told to trust.
    #[must_use]
    pub const fn bundle(&self) -> &TrustBundle {
        &self.bundle
    }

    /// The roots whose runtimes are let in.
    pub(crate) fn accepted(&self) -> Vec<CertificateDer<'static>> {
        let active = self.active.root_der().clone();
        std::iter::once(active).chain(self.old.clone()).collect()
    }

    /// The SHA-256 of the DER of each of those.
    #[must_use]
    pub fn accepted_sha256(&self) -> Vec<[u8; 32]> {
        let roots = self.accepted();
        roots.iter().map(|der| crypto::sha256(der)).collect()
    }

    /// What the kernel sends after its leaf.
    pub(crate) fn chain_tail(&self) -> Vec<CertificateDer<'static>> {
        let active = Some(self.active.root_der().clone());
        [self.cross.clone(), active, self.old.clone()]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// The roots in force. Reading takes no lock.
#[derive(Debug)]
pub struct Roots(ArcSwap<RootSet>);

impl Roots {
    /// Begins with a set.
    #[must_use]
    pub fn new(set: RootSet) -> Self {
        Self(ArcSwap::from_pointee(set))
    }

    /// The present set.
    #[must_use]
    pub fn now(&self) -> Arc<RootSet> {
        self.0.load_full()
    }

    /// Puts another set in its place.
    pub fn replace(&self, set: RootSet) {
        self.0.store(Arc::new(set));
    }

    /// The installation.
    #[must_use]
    pub fn install(&self) -> InstallId {
        self.0.load().active.install()
    }

    /// What runtimes are told to trust, in PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.0.load().bundle.pem().to_owned()
    }

    /// The SHA-256 of the active root's DER, as it stands in enrolment tokens.
    #[must_use]
    pub fn root_sha256(&self) -> [u8; 32] {
        self.0.load().active.root_sha256()
    }

    /// Issues a certificate to a runtime by the active root: see [`Authority::issue_runtime`].
    ///
    /// # Errors
    /// As there.
    pub fn issue_runtime(
        &self,
        csr: &CheckedCsr,
        runtime: (TenantId, RuntimeId),
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<IssuedCertificate, AuthorityError> {
        self.0
            .load()
            .active
            .issue_runtime(csr, runtime, now, ttl_ms)
    }
}

fn one(pem: Option<String>) -> Result<Option<CertificateDer<'static>>, AuthorityError> {
    let Some(pem) = pem else { return Ok(None) };
    let mut found = certificate::certificates_in(&pem).ok_or(AuthorityError::Root)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(Some(only)),
        _ => Err(AuthorityError::Root),
    }
}
