//! The connector's own audit events: local verdicts, and changes of its state.

use provost_protocol::{
    CorrelationId, EventId, RuntimeId, TenantId, Timestamp,
    entity::ActorType,
    json::{JsonError, RawJson},
    v01::AuditEvent,
};
use serde::Serialize;

use crate::clock::chance;

/// A local verdict; payload as documented in README.
pub(crate) const VERDICT: &str = "entitlement.verdict";

/// A license that was refused; the last good one stays.
pub(crate) const LICENSE_REFUSED: &str = "connector.license-refused";

/// The kernel's log contradicts a checkpoint it signed: an alarm.
pub(crate) const LOG_FORKED: &str = "connector.log-forked";

/// A kill of the runtime was obeyed; the payload says what became of the hook.
pub(crate) const KILLED: &str = "connector.killed";

/// An audit event of the runtime, as bytes fit to be spooled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpoolEvent {
    /// The event's id.
    pub(crate) id: EventId,
    /// Whose it is.
    pub(crate) tenant: TenantId,
    /// Its exact JSON.
    pub(crate) json: String,
}

/// What the connector says about itself or a verdict of its own.
#[derive(Debug)]
pub(crate) struct Own<'a, T: Serialize> {
    pub(crate) tenant: TenantId,
    pub(crate) runtime: RuntimeId,
    pub(crate) kind: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) correlation: CorrelationId,
    pub(crate) payload: &'a T,
}

impl<T: Serialize> Own<'_, T> {
    /// Writes the event under a new id.
    pub(crate) fn write(&self) -> Result<SpoolEvent, JsonError> {
        let event = AuditEvent {
            event_id: EventId::from_parts(self.at, chance()),
            tenant_id: self.tenant,
            runtime_id: Some(self.runtime),
            actor_type: ActorType::Runtime,
            actor_id: self.runtime.to_string(),
            kind: self.kind.to_owned(),
            timestamp: self.at,
            correlation_id: self.correlation,
            payload: RawJson::of(self.payload)?,
        };
        let json = RawJson::of(&event)?.as_str().to_owned();
        Ok(SpoolEvent {
            id: event.event_id,
            tenant: self.tenant,
            json,
        })
    }
}
