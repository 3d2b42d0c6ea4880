//! What follows from what is said on a connection.
//!
//! Two things at most, in order, and no allocation: a list of them is made for every request.

use provost_protocol::{Code, ContractVersion};

/// What the shell must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Send Welcome.
    Welcome {
        /// The version spoken from here on.
        version: ContractVersion,
        /// The session's generation.
        generation: u64,
    },
    /// Serve the request.
    Serve {
        /// The connector's number of it.
        id: u64,
    },
    /// Answer the request with a refusal.
    Refuse {
        /// The connector's number of it.
        id: u64,
        /// Why.
        code: Code,
    },
    /// Take in the confirmation.
    Confirm,
    /// Say that the kernel is about to close, and when to come back.
    SayGoodbye,
    /// Send the refusal of the whole connection.
    Reject(Code),
    /// Close the connection; nothing follows.
    Close(Ending),
}

/// What the shell must do about one input, in order: two things at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effects([Option<Effect>; 2]);

impl Effects {
    /// Nothing.
    pub const NONE: Self = Self([None, None]);

    /// One thing.
    #[must_use]
    pub const fn one(effect: Effect) -> Self {
        Self([Some(effect), None])
    }

    /// Two things, one after the other.
    #[must_use]
    pub const fn two(first: Effect, then: Effect) -> Self {
        Self([Some(first), Some(then)])
    }
}

impl IntoIterator for Effects {
    type Item = Effect;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Effect>, 2>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The connector said goodbye.
    Goodbye,
    /// Hello did not come in time.
    HelloLate,
    /// No version is spoken by both.
    VersionUnknown,
    /// Something came that may not come in this state.
    Violation,
    /// Nothing came for too long.
    Idle,
    /// A younger session of the same runtime took over.
    Replaced,
    /// The runtime was revoked.
    Revoked,
    /// The kernel stopped, and everything was answered.
    Drained,
    /// The kernel stopped, and answers were still missing.
    DrainLate,
}
