//! Why a command is refused.

use provost_protocol::Code;

/// Why a command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// There is no such thing in this tenant, or no such tenant.
    #[error("not found")]
    NotFound,
    /// It is there already, otherwise.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// A value is not allowed.
    #[error("{field}: {why}")]
    Invalid {
        /// The field of the command.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There are as many as there may be.
    #[error("at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: u64,
    },
    /// The tenant must be served from another region.
    #[error("the tenant must be served from region {0:?}")]
    Residency(String),
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The runtime is suspended.
    #[error("the runtime is suspended")]
    RuntimeSuspended,
    /// The runtime is revoked.
    #[error("the runtime is revoked")]
    RuntimeRevoked,
    /// An operator killed the runtime.
    #[error("the runtime is killed")]
    RuntimeKilled,
    /// The runtime is neither the tenant's own nor attached to it.
    #[error("the runtime may not act for this tenant")]
    NotAttached,
    /// The individual's tenant serves one person only.
    #[error("the token is of another person than the tenant's")]
    OtherPerson,
    /// No person of the individual's tenant was resolved through the runtime of late.
    #[error("no person of this tenant was resolved through the runtime within 12 hours")]
    ResolveNeeded,
    /// No such token, or its secret is another.
    #[error("unknown enrolment token")]
    TokenUnknown,
    /// As many keys as the token allows have enrolled, and this is none of them.
    #[error("the enrolment token is used up")]
    TokenUsed,
    /// The token has ended or was revoked, or the answer to this key is repeated no more.
    #[error("the enrolment token has expired")]
    TokenExpired,
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// An audit event with this id and other bytes is there.
    #[error("event {0} is there already with other bytes")]
    EventConflict(provost_protocol::EventId),
    /// The actor type may not be sent, or not under this contract version.
    #[error("actor type {0} may not be sent")]
    ActorTypeRefused(provost_protocol::entity::ActorType),
    /// The event type is the kernel's own.
    #[error("event types under provost. are the kernel's")]
    EventTypeReserved,
    /// The event's time is further in the future than clocks differ.
    #[error("the event's time lies in the future")]
    EventTimeRefused,
    /// The event's payload is too large.
    #[error("the payload has {bytes} bytes")]
    PayloadTooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// What was read has changed since.
    #[error("{0} has changed since it was read")]
    Stale(&'static str),
    /// The step is not the next one of the rotation.
    #[error("the rotation is not there: {0}")]
    RotationPhase(&'static str),
    /// Runtimes would not believe the new root.
    #[error("{missing} active runtimes have not confirmed that they trust the new root")]
    RotationNotAdopted {
        /// How many.
        missing: u64,
    },
    /// Runtimes would be shut out.
    #[error("{cut_off} runtimes have a certificate of the old root that is still good")]
    RotationInUse {
        /// How many.
        cut_off: u64,
    },
    /// The key that is to be certified is in use.
    #[error("the request's key has a certificate in force: make a new key")]
    KeyInUse,
    /// As many certificates of the runtime are in force as may be.
    #[error("too many certificates of the runtime are in force: one ends at {until}")]
    CertificatesFull {
        /// When the first of them ends.
        until: provost_protocol::Timestamp,
        /// In how many milliseconds that is.
        retry_ms: u64,
    },
    /// A recovery's counter was used with another key, or a higher one was: a copy exists.
    #[error("the recovery counter was used already")]
    CounterUsed {
        /// The counter that was shown.
        counter: u64,
        /// The highest that was used.
        held: u64,
    },
    /// A recovery's counter leaves some out.
    #[error("the recovery counter is not the next one")]
    CounterAhead,
    /// An operator's word is needed to recover.
    #[error("the tenant's policy lets a runtime recover by an operator's word only")]
    RecoveryNeedsOperator,
}

impl Rejection {
    /// The stable code of the answer.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Exists(_) | Self::Stale(_) | Self::RotationPhase(_) => Code::Conflict,
            Self::RotationNotAdopted { .. } => Code::RotationNotAdopted,
            Self::RotationInUse { .. } => Code::RotationInUse,
            Self::Invalid { .. } | Self::TooMany { .. } => Code::Invalid,
            Self::Residency(_) => Code::Residency,
            Self::TenantSuspended => Code::TenantSuspended,
            Self::RuntimeSuspended => Code::RuntimeSuspended,
            Self::RuntimeRevoked => Code::RuntimeRevoked,
            Self::RuntimeKilled => Code::RuntimeKilled,
            Self::NotAttached => Code::IdentityMismatch,
            Self::OtherPerson => Code::ExternalTokenRefused,
            // The license of an individual's tenant waits for the person, as a session does.
            Self::ResolveNeeded => Code::ExternalTokenRefused,
            Self::TokenUnknown => Code::EnrolTokenUnknown,
            Self::TokenUsed => Code::EnrolTokenUsed,
            Self::TokenExpired => Code::EnrolTokenExpired,
            Self::IdempotencyConflict => Code::IdempotencyConflict,
            Self::EventConflict(_) => Code::EventConflict,
            Self::ActorTypeRefused(_) => Code::ActorTypeRefused,
            Self::EventTypeReserved => Code::EventTypeReserved,
            Self::EventTimeRefused => Code::EventTimeRefused,
            Self::PayloadTooLarge { .. } => Code::PayloadTooLarge,
            Self::KeyInUse => Code::CsrRefused,
            Self::CertificatesFull { .. } => Code::RateLimited,
            Self::CounterUsed { .. } | Self::CounterAhead => Code::RecoveryRefused,
            Self::RecoveryNeedsOperator => Code::RecoveryNeedsOperator,
        }
    }

    /// When to try again, in milliseconds, where time alone helps.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::CertificatesFull { retry_ms, .. } => Some(*retry_ms),
            _ => None,
        }
    }

    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            why: why.into(),
        }
    }
}
