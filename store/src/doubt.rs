//! What happens when the state fails while it is in use: it is marked, so that the next start
//! rebuilds it, and the process is ended.
//!
//! If the process dies before the marker stands, the next start trusts the state again and finds
//! the same damage where it is touched.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    marker::{Marker, Phase},
    writer::FatalHook,
};

/// Whether the state may still be believed. Clones share it.
#[derive(Clone)]
pub(crate) struct Doubt {
    dir: PathBuf,
    raised: Arc<AtomicBool>,
    fatal: FatalHook,
}

impl Doubt {
    pub(crate) fn new(dir: PathBuf, fatal: FatalHook) -> Self {
        Self {
            dir,
            raised: Arc::default(),
            fatal,
        }
    }

    /// Marks the state as damaged and ends the process. Only the first call does anything.
    pub(crate) fn raise(&self, why: &str) {
        if self.raised.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!(error = %why, "the state failed: the next start rebuilds it");
        if let Err(error) = Marker::of(Phase::Damaged).write(&self.dir) {
            tracing::error!(%error, "the state could not be marked as damaged");
        }
        (self.fatal)(why);
    }

    /// Whether [`raise`](Self::raise) was called.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Does something that sled may panic in; a panic raises the doubt.
    pub(crate) fn guard<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => Some(done),
            Err(panic) => {
                self.raise(&format!(
                    "a thread of the store panicked: {}",
                    text(&*panic)
                ));
                None
            }
        }
    }
}

impl std::fmt::Debug for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doubt")
            .field("raised", &self.raised)
            .finish_non_exhaustive()
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let fixed = panic.downcast_ref::<&str>().copied();
    fixed
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("?")
}
