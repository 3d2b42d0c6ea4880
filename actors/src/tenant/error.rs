//! Why a tenant did not do what was asked.

use provost_kernel::Rejection;
use provost_protocol::{Code, Problem};
use provost_store::{AppendError, ReadError};

use crate::{AskError, SpawnError};

/// Why a tenant did not do what was asked. Nothing has changed, except where the variant says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// There is no such tenant.
    #[error("no such tenant")]
    NotFound,
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// The event is larger than an envelope may be.
    #[error("the event is too large")]
    TooLarge,
    /// What the caller has seen is no longer so.
    #[error("it has changed since it was read")]
    PreconditionFailed,
    /// Too much to do: ask again later.
    #[error("the tenant has too much to do")]
    Overloaded,
    /// The tenant crashed too often and is kept down until the kernel restarts.
    #[error("the tenant is quarantined")]
    Quarantined,
    /// Nothing can be written; reads go on.
    #[error("storage is unavailable")]
    StorageUnavailable,
    /// It may have happened or not; the same idempotency key says.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// The tenant fell asleep or is being rebuilt: find it again.
    #[error("the tenant's actor has gone")]
    Gone,
}

impl TenantError {
    /// The refusal that a caller sees.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let text = self.to_string();
        match self {
            Self::NotFound => Problem::new(Code::NotFound, "not found"),
            Self::Rejected(rejection) => Problem {
                retry_after_ms: rejection.retry_after_ms(),
                ..Problem::new(rejection.code(), text)
            },
            Self::IdempotencyConflict => Problem::new(Code::IdempotencyConflict, text),
            Self::TooLarge => Problem::new(Code::BodyTooLarge, text),
            Self::PreconditionFailed => Problem::new(Code::PreconditionFailed, text),
            Self::Overloaded | Self::Gone => {
                Problem::new(Code::Overloaded, text).retry_after_ms(RETRY_SOON_MS)
            }
            Self::Quarantined => {
                Problem::new(Code::TenantQuarantined, text).retry_after_ms(RETRY_LATER_MS)
            }
            Self::StorageUnavailable => {
                Problem::new(Code::StorageUnavailable, text).retry_after_ms(RETRY_LATER_MS)
            }
            Self::OutcomeUnknown => {
                Problem::new(Code::OutcomeUnknown, text).retry_after_ms(RETRY_SOON_MS)
            }
        }
    }
}

impl From<AskError> for TenantError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Overloaded => Self::Overloaded,
            AskError::Gone | AskError::Restarting => Self::Gone,
            AskError::Quarantined => Self::Quarantined,
            AskError::Late | AskError::Lost => Self::OutcomeUnknown,
        }
    }
}

impl From<AppendError> for TenantError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Overloaded => Self::Overloaded,
            AppendError::Refused(_) => Self::StorageUnavailable,
            // Two writers of one log cannot be: the actor is rebuilt, nothing was written.
            AppendError::Conflict { .. } => Self::Gone,
            _ => Self::OutcomeUnknown,
        }
    }
}

impl From<ReadError> for TenantError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => Self::Overloaded,
            _ => Self::StorageUnavailable,
        }
    }
}

impl From<SpawnError> for TenantError {
    fn from(_: SpawnError) -> Self {
        Self::Overloaded
    }
}

/// A full mailbox drains within a few group commits.
const RETRY_SOON_MS: u64 = 1_000;

/// A person must act first.
const RETRY_LATER_MS: u64 = 30_000;
