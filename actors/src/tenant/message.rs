//! What a tenant's actor can be asked. Named as commands; values of `kernel` and `protocol` only.

use std::{fmt, sync::Arc};

use actix::Message;
use provost_kernel::{Caller, Command, EntityKey, State, command::AuditEntry, license::Licensee};
use provost_protocol::{
    CorrelationId, EventId, RuntimeId,
    envelope::{ActorRef, Envelope, Idempotency, Source},
    event::Confirmation,
};

use super::TenantError;

/// Who asks, through which door, tied to what.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Who caused it.
    pub actor: ActorRef,
    /// Through which door it came.
    pub source: Source,
    /// Ties together what one action caused.
    pub correlation_id: CorrelationId,
    /// Makes a repeated request one request.
    pub idempotency: Option<Idempotency>,
}

/// What came of a command. It is durable.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The events, with their place in the log. None where all was as asked for already.
    pub events: Vec<Arc<Envelope>>,
    /// The committed state, these events included.
    pub state: State,
    /// Whether the idempotency key was seen before: the events are those of the first time.
    pub repeated: bool,
}

/// One audit event on its way into the log.
#[derive(Debug, Clone)]
pub struct AuditItem {
    /// The event, with what a rule needs of it; what is in the log under its id is found out here.
    pub entry: AuditEntry,
    /// Who acted, as the event says.
    pub actor: ActorRef,
    /// What the event is tied to.
    pub correlation_id: CorrelationId,
}

/// Decide, make durable, apply, answer.
#[derive(Debug, Message)]
#[rtype(result = "Result<Executed, TenantError>")]
pub(crate) struct Execute {
    pub(crate) command: Command,
    pub(crate) meta: Meta,
    pub(crate) guard: Option<Guard>,
}

/// What must hold of the state that a command is decided on: looked at in the same turn, after
/// everything that was decided before.
pub struct Guard(Box<dyn FnOnce(&State) -> bool + Send>);

impl Guard {
    /// A command goes through only where this says so of the state, with all loaded that the
    /// command itself needs.
    #[must_use]
    pub fn new(holds: impl FnOnce(&State) -> bool + Send + 'static) -> Self {
        Self(Box::new(holds))
    }

    pub(super) fn holds(self, state: &State) -> bool {
        (self.0)(state)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard(…)")
    }
}

/// Record audit events once each; answers with each one's sequence, in order.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<(EventId, u64)>, TenantError>")]
pub(crate) struct RecordAudit {
    pub(crate) caller: Caller,
    pub(crate) items: Vec<AuditItem>,
    pub(crate) source: Source,
}

/// Plan, sign and record a license; answers with its text.
#[derive(Debug, Message)]
#[rtype(result = "Result<String, TenantError>")]
pub(crate) struct IssueLicense {
    pub(crate) licensee: Licensee,
    pub(crate) meta: Meta,
}

/// Load cold entities for one look at them.
#[derive(Debug, Message)]
#[rtype(result = "Result<State, TenantError>")]
pub(crate) struct Look(pub(crate) Vec<EntityKey>);

/// Load cold entities and keep them loaded until [`Release`]: a live runtime's own.
#[derive(Debug, Message)]
#[rtype(result = "Result<State, TenantError>")]
pub(crate) struct Hold(pub(crate) Vec<EntityKey>);

/// What was held may go.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Release(pub(crate) Vec<EntityKey>);

/// A runtime was lost or came back: gathered into one event a tick.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Presence {
    pub(crate) runtime: RuntimeId,
    pub(crate) change: PresenceChange,
}

/// What happened to a runtime's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PresenceChange {
    Lost,
    Returned,
}

/// A runtime confirmed a revision: gathered into one event a second.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NoteConfirmation(pub(crate) Confirmation);

/// A runtime trusts a bundle of roots: gathered into one event a second.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NoteTrust {
    pub(crate) runtime: RuntimeId,
    pub(crate) bundle: String,
}

/// Answered once the actor is loaded.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ready;

/// A deadline of the tenant's own may have passed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Due;
