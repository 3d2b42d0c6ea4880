//! What people ask of a log: every filter, alone and together, page by page.

use provost_protocol::{
    CorrelationId, EventId, RuntimeId, TenantId, Timestamp,
    entity::ActorType,
    envelope::{ActorRef, Envelope, Source},
    event::{AuditRecorded, Event, RuntimeActivated, RuntimesLost},
    json::RawJson,
};
use provost_store::{Append, Backend, Query, Stamped};

use crate::{
    answers::wait,
    conformance::{on_each, put},
    log::{runtime, tenant},
};

/// One event of a tenant, of what three small numbers choose.
pub(crate) fn event(tenant: TenantId, seq: u64, (kind, who, story): (u8, u8, u8)) -> Envelope {
    let time = Timestamp::from_millis(1_000_000 + i64::try_from(seq).unwrap() * 10);
    let event: Event = match kind % 4 {
        0 => RuntimeActivated {
            runtime: runtime(who),
        }
        .into(),
        1 => RuntimesLost {
            runtimes: vec![runtime(who), runtime(who + 1)],
        }
        .into(),
        _ => {
            let named = format!("{{\"runtime_id\":\"{}\",\"n\":{seq}}}", runtime(who));
            AuditRecorded {
                event_id: EventId::from_parts(time, [story; 10]),
                kind: ["page.opened", "page.closed"][usize::from(kind % 2)].to_owned(),
                received_at: time,
                event: RawJson::parse(&named).unwrap(),
            }
            .into()
        }
    };
    Envelope {
        tenant,
        epoch: 1,
        seq,
        time,
        actor: ActorRef {
            kind: ActorType::User,
            id: format!("user-{}", who % 3),
        },
        source: Source::Kernel,
        correlation_id: CorrelationId::from_parts(Timestamp::EPOCH, [story; 10]),
        idempotency: None,
        event,
    }
}

/// A tenant's log of so many events, mixed, over several appends.
fn fill(store: &dyn Backend, number: u8, events: u64) -> Vec<Envelope> {
    let mut log = Vec::new();
    for seq in 1..=events {
        let n = u8::try_from(seq * 7 % 251).unwrap();
        let envelope = event(tenant(number), seq, (n, n % 5, n / 13));
        log.push(envelope.clone());
        put(
            store,
            Append {
                tenant: tenant(number),
                expected: seq - 1,
                events: vec![Stamped::new(envelope).unwrap()],
            },
        );
    }
    log
}

/// Asks page by page.
fn pages(store: &dyn Backend, number: u8, query: &Query) -> Vec<u64> {
    let mut query = query.clone();
    let mut seqs = Vec::new();
    loop {
        let page = wait(store.query(tenant(number), query.clone())).unwrap();
        assert!(page.events.len() <= query.limit);
        seqs.extend(page.events.iter().map(|event| event.envelope.seq));
        let Some(next) = page.next else { return seqs };
        query.before = Some(next);
    }
}

/// What an event is asked for by, said once more.
fn names(envelope: &Envelope, asked: RuntimeId) -> bool {
    match &envelope.event {
        Event::RuntimeActivated(data) => data.runtime == asked,
        Event::RuntimesLost(data) => data.runtimes.contains(&asked),
        Event::AuditRecorded(data) => data.event.as_str().contains(&asked.to_string()),
        other => panic!("{other:?} is not in these logs"),
    }
}

fn wanted(log: &[Envelope], is_wanted: impl Fn(&Envelope) -> bool) -> Vec<u64> {
    let wanted = log.iter().rev().filter(|envelope| is_wanted(envelope));
    wanted.map(|envelope| envelope.seq).collect()
}

fn with_limit(limit: usize) -> Query {
    Query {
        limit,
        ..Query::default()
    }
}

#[test]
fn each_filter_alone_finds_exactly_the_events_that_carry_it() {
    on_each(|store| {
        let log = fill(store, 1, 60);
        fill(store, 2, 9);
        let check = |query: &Query, is_wanted: &dyn Fn(&Envelope) -> bool| {
            let expected = wanted(&log, is_wanted);
            assert!(!expected.is_empty() && expected.len() < 60, "{query:?}");
            for limit in [1, 3, 60, 1_000] {
                let query = Query {
                    limit,
                    ..query.clone()
                };
                assert_eq!(pages(store, 1, &query), expected, "{query:?}");
            }
        };
        let mut query = with_limit(1);
        query.kind = Some("runtime.lost".to_owned());
        check(&query, &|envelope| envelope.event.kind() == "runtime.lost");
        query.kind = Some("page.opened".to_owned());
        check(
            &query,
            &|envelope| matches!(&envelope.event, Event::AuditRecorded(data) if data.kind == "page.opened"),
        );
        query = with_limit(1);
        query.actor = Some("user-2".to_owned());
        check(&query, &|envelope| envelope.actor.id == "user-2");
        query = with_limit(1);
        query.runtime = Some(runtime(4));
        check(&query, &|envelope| names(envelope, runtime(4)));
        query = with_limit(1);
        let story = CorrelationId::from_parts(Timestamp::EPOCH, [3; 10]);
        query.correlation = Some(story);
        check(&query, &|envelope| envelope.correlation_id == story);
        query = with_limit(1);
        query.since = Some(log[19].time);
        query.until = Some(log[39].time);
        check(&query, &|envelope| (20..40).contains(&envelope.seq));
    });
}

#[test]
fn filters_hold_together_and_the_cursor_cuts() {
    on_each(|store| {
        let log = fill(store, 1, 80);
        for (n, before) in [(0_u8, None), (1, Some(70)), (2, Some(33)), (3, Some(2))] {
            let query = Query {
                since: Some(log[usize::from(n) * 7].time),
                until: Some(log[75].time),
                kind: (n % 2 == 0).then(|| "audit.recorded".to_owned()),
                actor: Some(format!("user-{}", n % 3)),
                runtime: (n < 2).then(|| runtime(n % 5)),
                before,
                limit: 2,
                ..Query::default()
            };
            let expected = wanted(&log, |envelope| {
                let kind = query.kind.as_deref();
                envelope.seq < before.unwrap_or(u64::MAX)
                    && query.since.unwrap() <= envelope.time
                    && envelope.time < query.until.unwrap()
                    && kind.is_none_or(|kind| envelope.event.kind() == kind)
                    && query.actor.as_deref() == Some(envelope.actor.id.as_str())
                    && query.runtime.is_none_or(|asked| names(envelope, asked))
            });
            assert_eq!(pages(store, 1, &query), expected, "{query:?}");
        }
    });
}

#[test]
fn without_a_filter_the_newest_come_first_and_nothing_is_asked_beyond_the_first() {
    on_each(|store| {
        let log = fill(store, 1, 10);
        assert_eq!(pages(store, 1, &with_limit(4)), wanted(&log, |_| true));
        let whole = wait(store.query(tenant(1), with_limit(10))).unwrap();
        assert_eq!((whole.events.len(), whole.next), (10, None));
        let part = wait(store.query(tenant(1), with_limit(3))).unwrap();
        assert_eq!((part.events.len(), part.next), (3, Some(8)));
        for (event, envelope) in part.events.iter().zip(log.iter().rev()) {
            assert_eq!(event.envelope, *envelope);
            assert_eq!(event.bytes[..], envelope.to_bytes().unwrap()[..]);
        }
    });
}

#[test]
fn what_nobody_carries_is_found_by_nobody() {
    on_each(|store| {
        fill(store, 1, 30);
        let mut nothing = with_limit(5);
        nothing.kind = Some("page".to_owned());
        assert_eq!(pages(store, 1, &nothing), [0_u64; 0]);
        nothing = with_limit(5);
        nothing.runtime = Some(runtime(77));
        assert_eq!(pages(store, 1, &nothing), [0_u64; 0]);
        nothing = with_limit(5);
        nothing.until = Some(Timestamp::EPOCH);
        assert_eq!(pages(store, 1, &nothing), [0_u64; 0]);
        assert_eq!(pages(store, 2, &with_limit(5)), [0_u64; 0]);
        assert_eq!(pages(store, 1, &with_limit(0)), [0_u64; 0]);
        nothing = with_limit(5);
        nothing.before = Some(1);
        assert_eq!(pages(store, 1, &nothing), [0_u64; 0]);
    });
}
