//! Audit events as runtimes send them: read strictly, kept byte for byte.

use provost_kernel::command::{AuditEntry, AuditPrior};
use provost_protocol::{
    Code, Problem,
    envelope::ActorRef,
    event::AuditRecorded,
    json::{self, RawJson},
    v01::{AUDIT_BYTES_MAX, AUDIT_EVENTS_MAX, AuditEvent},
    wire::Recorded,
};

use super::{Gateway, Known, Peer};
use crate::{AuditItem, TenantHandle};

impl Gateway {
    /// Records audit events, each once; all or none.
    pub(super) async fn record_audit(
        &self,
        peer: &Peer,
        known: &Known,
        acted: &TenantHandle,
        events: Vec<Vec<u8>>,
    ) -> Result<Vec<Recorded>, Problem> {
        let bytes: usize = events.iter().map(Vec::len).sum();
        if events.len() > AUDIT_EVENTS_MAX || bytes > AUDIT_BYTES_MAX {
            let limits = "at most 1,000 events and 1 MiB in one call";
            return Err(Problem::new(Code::BodyTooLarge, limits));
        }
        if events.is_empty() {
            return Err(Problem::new(Code::Invalid, "event: at least one"));
        }
        let items = events
            .iter()
            .map(|event| self.item(peer, acted, event))
            .collect::<Result<Vec<_>, Problem>>()?;
        let recorded = acted
            .record_audit(known.caller, items, peer.source.clone())
            .await
            .map_err(|error| error.problem())?;
        Ok(recorded
            .into_iter()
            .map(|(event_id, seq)| Recorded { event_id, seq })
            .collect())
    }

    fn item(&self, peer: &Peer, acted: &TenantHandle, bytes: &[u8]) -> Result<AuditItem, Problem> {
        let limits = json::Limits {
            bytes_max: AUDIT_BYTES_MAX,
        };
        let malformed = |error: json::JsonError| Problem::new(Code::Malformed, error.to_string());
        let event: AuditEvent = json::parse(bytes, &limits).map_err(malformed)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Problem::new(Code::Malformed, "an event is not UTF-8"))?;
        if event.tenant_id != acted.id() {
            return Err(Problem::new(
                Code::TenantMismatch,
                "the event names another tenant",
            ));
        }
        if event
            .runtime_id
            .is_some_and(|runtime| runtime != peer.identity.runtime)
        {
            return Err(Problem::new(
                Code::TenantMismatch,
                "the event names another runtime",
            ));
        }
        if !event.payload.is_object() {
            return Err(Problem::new(Code::Malformed, "payload: not an object"));
        }
        let now = self.directory.house().clock.now();
        let entry = AuditEntry {
            actor: event.actor_type,
            timestamp: event.timestamp,
            payload_bytes: event.payload.as_str().len(),
            version: peer.version,
            prior: AuditPrior::New,
            recorded: AuditRecorded {
                event_id: event.event_id,
                kind: event.kind,
                received_at: now,
                event: RawJson::parse(text.trim()).map_err(malformed)?,
            },
        };
        if event.actor_id.is_empty() || event.actor_id.len() > ACTOR_ID_BYTES_MAX {
            return Err(Problem::new(Code::Invalid, "actor_id: 1 to 256 bytes"));
        }
        Ok(AuditItem {
            entry,
            actor: ActorRef {
                kind: event.actor_type,
                id: event.actor_id,
            },
            correlation_id: event.correlation_id,
        })
    }
}

/// Room for any provider's subject with a prefix.
const ACTOR_ID_BYTES_MAX: usize = 256;
