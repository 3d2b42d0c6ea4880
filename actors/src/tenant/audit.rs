//! Audit events of runtimes: each id once, whatever is repeated.

use std::collections::HashMap;

use actix::{Context, Handler};
use provost_kernel::{Caller, Command, command::AuditPrior};
use provost_protocol::{
    EventId, Timestamp,
    envelope::{Envelope, Source},
    event::{AuditRecorded, Event},
    v01::AUDIT_EVENTS_MAX,
};
use provost_store::{LookupKey, event_lookup};

use super::{
    TenantActor, TenantError,
    facts::{IDEMPOTENCY_MS, Needs},
    message::{AuditItem, Executed, Meta, RecordAudit},
    queue::Done,
};
use crate::{Ask, Reply};

type Recorded = Result<Vec<(EventId, u64)>, TenantError>;

impl Handler<Ask<RecordAudit>> for TenantActor {
    type Result = ();

    fn handle(&mut self, Ask { message, reply }: Ask<RecordAudit>, ctx: &mut Context<Self>) {
        let RecordAudit {
            caller,
            items,
            source,
        } = message;
        if items.len() > AUDIT_EVENTS_MAX {
            return reply.send(Err(TenantError::TooLarge));
        }
        let command = Command::RecordAudit {
            caller,
            events: Vec::new(),
        };
        let since = oldest(&items, self.house.clock.now()).minus_millis(IDEMPOTENCY_MS);
        let ids = items.iter().map(|item| item.entry.recorded.event_id);
        let needs = Needs {
            entities: command.needs(),
            lookups: ids.map(|id| self.lookup(id, since)).collect(),
            since,
        };
        self.with_facts(
            needs,
            move |actor, facts, ctx| match facts {
                Ok(()) => actor.record_audit(caller, items, source, reply, ctx),
                Err(error) => reply.send(Err(error)),
            },
            ctx,
        );
    }
}

impl TenantActor {
    /// What an id is found by. One that is certainly new is known to be, and nobody reads for it.
    fn lookup(&mut self, id: EventId, since: Timestamp) -> LookupKey {
        let key = event_lookup(id);
        if self.recent.find(key).is_none() && self.house.backend.is_surely_new(self.id, id, since) {
            self.recent.learn(key, None);
        }
        key
    }

    fn record_audit(
        &mut self,
        caller: Caller,
        items: Vec<AuditItem>,
        source: Source,
        reply: Reply<Recorded>,
        ctx: &mut Context<Self>,
    ) {
        let ids: Vec<EventId> = items
            .iter()
            .map(|item| item.entry.recorded.event_id)
            .collect();
        let mut known: Vec<Option<u64>> = Vec::with_capacity(items.len());
        let mut entries = Vec::with_capacity(items.len());
        let mut metas = HashMap::new();
        for mut item in items {
            let prior = self
                .recent
                .find(event_lookup(item.entry.recorded.event_id))
                .flatten();
            known.push(prior.as_ref().map(|envelope| envelope.seq));
            item.entry.prior = judge(prior.as_deref(), &item.entry.recorded);
            let meta = Meta {
                actor: item.actor,
                source: source.clone(),
                correlation_id: item.correlation_id,
                idempotency: None,
            };
            metas.insert(item.entry.recorded.event_id, meta);
            entries.push(item.entry);
        }
        let fallback = metas.values().next().cloned();
        let meta_of = move |event: &Event| match event {
            Event::AuditRecorded(recorded) => metas.get(&recorded.event_id).cloned(),
            _ => None,
        };
        let Some(fallback) = fallback else {
            return reply.send(Ok(Vec::new()));
        };
        let done: Done = Box::new(move |outcome| {
            reply.send(outcome.map(|executed| sequences(&ids, &known, &executed)));
        });
        let command = Command::RecordAudit {
            caller,
            events: entries,
        };
        self.decide_now(
            &command,
            |event| meta_of(event).unwrap_or_else(|| fallback.clone()),
            done,
            ctx,
        );
    }
}

/// No event was recorded much before its id was made: an id carries its time, and a spool may be
/// sent again weeks after the link broke.
fn oldest(items: &[AuditItem], now: Timestamp) -> Timestamp {
    let made = |item: &AuditItem| {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&item.entry.recorded.event_id.as_bytes()[..6]);
        Timestamp::from_millis(i64::from_be_bytes(millis))
    };
    items.iter().map(made).fold(now, Timestamp::min)
}

fn judge(prior: Option<&Envelope>, offered: &AuditRecorded) -> AuditPrior {
    match prior.map(|envelope| &envelope.event) {
        None => AuditPrior::New,
        Some(Event::AuditRecorded(held)) if held.event == offered.event => AuditPrior::Same,
        Some(_) => AuditPrior::Other,
    }
}

/// Each id's sequence: of the event that was decided, or of the one that was there.
fn sequences(ids: &[EventId], known: &[Option<u64>], executed: &Executed) -> Vec<(EventId, u64)> {
    let fresh: HashMap<EventId, u64> = executed
        .events
        .iter()
        .filter_map(|envelope| match &envelope.event {
            Event::AuditRecorded(recorded) => Some((recorded.event_id, envelope.seq)),
            _ => None,
        })
        .collect();
    ids.iter()
        .zip(known)
        .map(|(id, known)| (*id, known.or_else(|| fresh.get(id).copied()).unwrap_or(0)))
        .collect()
}
