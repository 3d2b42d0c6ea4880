//! Audit events of runtimes: each id once, whatever is repeated.

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
        let ids = items
            .iter()
            .map(|item| found_by(item.entry.recorded.event_id));
        let unsure = ids.filter(|id| self.recent.find_id(*id, since).is_none());
        let needs = Needs {
            lookups: unsure.map(|(_, key)| key).collect(),
            entities: command.needs(),
            since,
        };
        self.with_facts(
            needs,
            move |actor, facts, ctx| match facts.and_then(|()| actor.judged(items, since)) {
                Ok(items) => actor.record_audit(caller, items, source, reply, ctx),
                Err(error) => reply.send(Err(error)),
            },
            ctx,
        );
    }
}

/// An event with what stands in the log under its id: the sequence, if any.
struct Judged {
    item: AuditItem,
    known: Option<u64>,
}

impl TenantActor {
    /// Says of each event whether it is new.
    fn judged(
        &mut self,
        items: Vec<AuditItem>,
        since: Timestamp,
    ) -> Result<Vec<Judged>, TenantError> {
        let judge = |mut item: AuditItem| {
            let recorded = &item.entry.recorded;
            let prior = self.recent.find_id(found_by(recorded.event_id), since);
            // What was known may have been pushed out while others were read for: asking again is
            // safe.
            let prior = prior.ok_or(TenantError::Overloaded)?;
            item.entry.prior = judge(prior.as_deref(), recorded);
            Ok(Judged {
                item,
                known: prior.map(|envelope| envelope.seq),
            })
        };
        items.into_iter().map(judge).collect()
    }

    fn record_audit(
        &mut self,
        caller: Caller,
        items: Vec<Judged>,
        source: Source,
        reply: Reply<Recorded>,
        ctx: &mut Context<Self>,
    ) {
        let mut known = Vec::with_capacity(items.len());
        let mut events = Vec::with_capacity(items.len());
        let mut metas = ById::with_capacity(items.len());
        for judged in items {
            let id = judged.item.entry.recorded.event_id;
            known.push((id, judged.known));
            let meta = Meta {
                actor: judged.item.actor,
                source: source.clone(),
                correlation_id: judged.item.correlation_id,
                idempotency: None,
            };
            metas.push((id, meta));
            events.push(judged.item.entry);
        }
        // Stable: of an id that comes twice the first one counts, as it does for the rule.
        metas.sort_by_key(|(id, _)| *id);
        let Some((_, fallback)) = metas.first() else {
            return reply.send(Ok(Vec::new()));
        };
        let meta_of = |event: &Event| match event {
            Event::AuditRecorded(recorded) => by_id(&metas, recorded.event_id).unwrap_or(fallback),
            _ => fallback,
        };
        let done: Done = Box::new(move |outcome| {
            reply.send(outcome.map(|executed| sequences(known, &executed)));
        });
        let command = Command::RecordAudit { caller, events };
        self.decide_now(&command, |event| meta_of(event).clone(), done, ctx);
    }
}

/// Something for each of a few ids, in their order.
type ById<T> = Vec<(EventId, T)>;

fn by_id<T>(sorted: &ById<T>, id: EventId) -> Option<&T> {
    let at = sorted.partition_point(|(held, _)| *held < id);
    let (held, value) = sorted.get(at)?;
    (*held == id).then_some(value)
}

fn found_by(id: EventId) -> (EventId, LookupKey) {
    (id, event_lookup(id))
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
fn sequences(known: Vec<(EventId, Option<u64>)>, executed: &Executed) -> Vec<(EventId, u64)> {
    let recorded = executed
        .events
        .iter()
        .filter_map(|envelope| match &envelope.event {
            Event::AuditRecorded(recorded) => Some((recorded.event_id, envelope.seq)),
            _ => None,
        });
    let mut fresh: ById<u64> = recorded.collect();
    fresh.sort_unstable();
    let sequence = |(id, known): (EventId, Option<u64>)| {
        let seq = known.or_else(|| by_id(&fresh, id).copied());
        (id, seq.unwrap_or(0))
    };
    known.into_iter().map(sequence).collect()
}
