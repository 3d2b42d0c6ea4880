//! The trust bundle: the roots a runtime believes, and no others.

use std::sync::Arc;

use rustls::RootCertStore;

use crate::certificate;

/// Why a text is no trust bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trust bundle: one to sixteen root certificates in PEM, and nothing else")]
pub struct TrustError;

/// One or more root certificates: several during a rotation of the authority.
#[derive(Debug, Clone)]
pub struct TrustBundle {
    pem: String,
    store: Arc<RootCertStore>,
}

impl TrustBundle {
    /// Reads every root of a PEM text.
    ///
    /// # Errors
    /// [`TrustError`] when anything in it is not a certificate.
    pub fn from_pem(pem: &str) -> Result<Self, TrustError> {
        let mut store = RootCertStore::empty();
        for root in certificate::certificates_in(pem).ok_or(TrustError)? {
            store.add(root).map_err(|_| TrustError)?;
        }
        Ok(Self {
            pem: pem.to_owned(),
            store: Arc::new(store),
        })
    }

    /// The roots as they were read.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// How many roots there are.
    #[must_use]
    pub fn roots(&self) -> usize {
        self.store.len()
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.store)
    }
}
