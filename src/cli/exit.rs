//! How a command ends.

use std::{error::Error, process::ExitCode, time::Duration};

use serde::Deserialize;

/// What a command's exit code says. The numbers are part of the command line's contract; `provost
/// connector …` has its own, in `provost connector --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done as asked.
    Done,
    /// The kernel, or a rule, refused; nothing was changed.
    Refused,
    /// The command line or a file named on it cannot be used.
    Usage,
    /// No kernel answered; whether a change was made is not known.
    Unreachable,
    /// What was to be verified does not hold.
    Unverified,
    /// The machine failed, or there is a defect.
    Internal,
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The kernel said no, and why.
    #[error("{0}")]
    Refused(Refused),
    /// A rule said no before any kernel was asked.
    #[error("{0}")]
    Ruled(String),
    /// The arguments, or a file they name, cannot be used.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers there.
    #[error("the kernel at {address} does not answer ({why}); is `provost serve` running?")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened, in a few words.
        why: &'static str,
    },
    /// What was to be verified does not hold; it was said already, on standard output.
    #[error("not verified: {0}")]
    Unverified(&'static str),
    /// Anything else.
    #[error("{doing} failed")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What the kernel says with a refusal (RFC 9457). Read leniently: a later kernel may know codes
/// that this command line does not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Refused {
    detail: String,
    code: String,
    correlation_id: Option<String>,
    retry_after_ms: Option<u64>,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Unverified => 4,
            // EX_SOFTWARE of sysexits.h.
            Exit::Internal => 70_u8,
        })
    }
}

impl Failure {
    /// Something of this machine failed.
    pub(super) fn failed(
        doing: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            doing,
            source: source.into(),
        }
    }

    /// The exit code that says so.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) | Self::Ruled(_) => Exit::Refused,
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Unverified(_) => Exit::Unverified,
            Self::Failed { .. } => Exit::Internal,
        }
    }
}

impl Refused {
    /// How long to wait before the same may be asked again, where that can help.
    pub(super) fn comes_again_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (code {}", self.detail, self.code)?;
        if let Some(id) = &self.correlation_id {
            write!(f, ", correlation {id}")?;
        }
        if let Some(millis) = self.retry_after_ms {
            write!(f, ", again in {}", super::when::span(millis))?;
        }
        f.write_str(")")
    }
}
