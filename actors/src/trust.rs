//! Which roots runtimes are told to trust: one value for the whole kernel, exchanged whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use provost_protocol::wire::TrustBundle;

/// The roots that runtimes are told to trust. Reading takes no lock.
#[derive(Debug)]
pub struct TrustBoard(ArcSwap<TrustBundle>);

impl TrustBoard {
    /// Begins with a bundle.
    #[must_use]
    pub fn new(bundle: TrustBundle) -> Self {
        Self(ArcSwap::from_pointee(bundle))
    }

    /// The present bundle.
    #[must_use]
    pub fn now(&self) -> Arc<TrustBundle> {
        self.0.load_full()
    }

    /// Puts another bundle in its place: every answer from here on names it.
    pub fn replace(&self, bundle: TrustBundle) {
        self.0.store(Arc::new(bundle));
    }

    /// The name of the present bundle.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.load().id.clone()
    }

    /// Whether the present bundle has this name.
    #[must_use]
    pub fn is(&self, bundle: &str) -> bool {
        self.0.load().id == bundle
    }

    /// Whether it matters who trusts this bundle: only while there is more than one root.
    #[must_use]
    pub fn asks_for(&self, bundle: &str) -> bool {
        let now = self.0.load();
        now.roots.len() > 1 && now.id == bundle
    }
}

impl From<&str> for TrustBoard {
    /// A bundle of this name with nothing in it, for tests.
    fn from(id: &str) -> Self {
        Self::new(TrustBundle {
            id: id.to_owned(),
            roots: Vec::new(),
        })
    }
}
