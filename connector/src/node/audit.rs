//! Takes a runtime's audit events in: checked as the kernel checks them, durable, delivered later.

use provost_protocol::{
    Code, ContractVersion, Problem, TenantId,
    entity::ActorType,
    json::RawJson,
    v01::{
        AUDIT_BYTES_MAX, AUDIT_EVENTS_MAX, AUDIT_PAYLOAD_BYTES_MAX, AuditAccepted,
        AuditAcceptedBatch, AuditEvent,
    },
};
use serde::Serialize;

use super::Node;
use crate::event::SpoolEvent;

/// What is answered: as many as were sent, in the shape they were sent.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Accepted {
    One(AuditAccepted),
    Many(AuditAcceptedBatch),
}

impl Node {
    /// Spools one event or an array of them; durable when this returns. The number answered as
    /// `seq` is the spool's: the place in the tenant's log is given when the kernel records it.
    pub(crate) async fn audit(
        &self,
        tenant: TenantId,
        sent: &RawJson,
        version: ContractVersion,
    ) -> Result<Accepted, Problem> {
        let many = sent.as_str().starts_with('[');
        if many && version == ContractVersion::V0_1 {
            return Err(Problem::new(
                Code::Invalid,
                "event: an array needs contract version v0.2",
            ));
        }
        let raw: Vec<RawJson> = if many {
            sent.decode()
                .map_err(|error| Problem::new(Code::Malformed, error.to_string()))?
        } else {
            vec![sent.clone()]
        };
        if raw.is_empty() {
            return Err(Problem::new(Code::Invalid, "event: at least one"));
        }
        if raw.len() > AUDIT_EVENTS_MAX {
            return Err(Problem::new(Code::BodyTooLarge, "at most 1,000 events"));
        }
        if sent.as_str().len() > AUDIT_BYTES_MAX {
            return Err(Problem::new(Code::BodyTooLarge, "at most 1 MiB of events"));
        }
        let mut events = Vec::with_capacity(raw.len());
        for one in &raw {
            events.push(self.checked(tenant, one, version)?);
        }
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        let numbers = self
            .core
            .spool
            .append(events)
            .await
            .map_err(|refusal| refusal.problem())?;
        let mut accepted: Vec<_> = ids
            .into_iter()
            .zip(numbers)
            .map(|(event_id, seq)| AuditAccepted { event_id, seq })
            .collect();
        Ok(match accepted.pop() {
            Some(one) if !many => Accepted::One(one),
            last => {
                accepted.extend(last);
                Accepted::Many(AuditAcceptedBatch { accepted })
            }
        })
    }

    /// Refuses at once what the kernel would refuse later, when nobody listens any more.
    fn checked(
        &self,
        tenant: TenantId,
        raw: &RawJson,
        version: ContractVersion,
    ) -> Result<SpoolEvent, Problem> {
        let refuse = |code, detail: &str| Err(Problem::new(code, detail));
        let event: AuditEvent = raw
            .decode()
            .map_err(|error| Problem::new(Code::Malformed, error.to_string()))?;
        if event.tenant_id != tenant {
            return refuse(Code::TenantMismatch, "event.tenant_id is not X-Tenant-Id");
        }
        if event
            .runtime_id
            .is_some_and(|runtime| runtime != self.core.me.runtime)
        {
            return refuse(Code::TenantMismatch, "event.runtime_id is not X-Runtime-Id");
        }
        match (event.actor_type, version) {
            (ActorType::User | ActorType::Runtime, _)
            | (ActorType::Agent, ContractVersion::V0_2) => {}
            (ActorType::System, _) | (ActorType::Agent, ContractVersion::V0_1) => {
                return refuse(Code::ActorTypeRefused, "actor_type: user or runtime");
            }
        }
        if !(1..=ACTOR_BYTES_MAX).contains(&event.actor_id.len()) {
            return refuse(Code::Invalid, "actor_id: 1 to 256 bytes");
        }
        if !(1..=TYPE_BYTES_MAX).contains(&event.kind.len()) {
            return refuse(Code::Invalid, "type: 1 to 128 bytes");
        }
        if event.kind.to_ascii_lowercase().starts_with("provost.") {
            return refuse(
                Code::EventTypeReserved,
                "types under provost. are the kernel's",
            );
        }
        if !event.payload.is_object() {
            return refuse(Code::Malformed, "payload: an object");
        }
        if event.payload.as_str().len() > AUDIT_PAYLOAD_BYTES_MAX
            || raw.as_str().len() > EVENT_BYTES_MAX
        {
            return refuse(Code::PayloadTooLarge, "payload: at most 48 KiB");
        }
        if event.timestamp > self.core.floor.now().plus_millis(AHEAD_MS_MAX) {
            return refuse(Code::EventTimeRefused, "timestamp: in the future");
        }
        Ok(SpoolEvent {
            id: event.event_id,
            tenant,
            json: raw.as_str().to_owned(),
        })
    }
}

/// The contract's bound.
const ACTOR_BYTES_MAX: usize = 256;

/// The contract's bound.
const TYPE_BYTES_MAX: usize = 128;

/// A payload of 48 KiB and the other fields fit, and the kernel's envelope fits around it.
const EVENT_BYTES_MAX: usize = 56 * 1024;

/// As the kernel: clocks differ by minutes where nobody keeps them.
const AHEAD_MS_MAX: u64 = 10 * 60 * 1_000;
