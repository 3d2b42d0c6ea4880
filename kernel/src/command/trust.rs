//! What can be asked of roots, and of trust in them.

use provost_protocol::{RuntimeId, event::CaRotationPrepared};

/// A step of a rotation of the certificate authority. What was counted was counted by the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotateCa {
    /// Tell runtimes to trust another root beside the active one: what the event will say. The
    /// files of the next root are durable.
    Prepare(CaRotationPrepared),
    /// Sign with the next root.
    Activate {
        /// Active runtimes that have not confirmed it.
        missing: u64,
        /// Whether that is to be put up with.
        force: bool,
    },
    /// Trust the old root no more.
    Retire {
        /// Runtimes whose certificate is still good and of the old root.
        cut_off: u64,
        /// Whether that is to be put up with.
        force: bool,
    },
    /// Give up a root that has signed nothing yet.
    Abort,
}

/// Runtimes said that they trust a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmTrust {
    /// Names the bundle; that it is the one in force was seen by the shell.
    pub bundle: String,
    /// Which runtimes.
    pub runtimes: Vec<RuntimeId>,
}
