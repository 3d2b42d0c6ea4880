//! Fills a store with audit events and asks it at random, so that the figures of docs/performance.md
//! can be made again: `cargo run --release -p provost-store --example ask -- FOLDER EVENTS TENANTS`.
//!
//! A folder that holds a store already is asked as it is. Filters are drawn at random, rare ones
//! included; every page is of 100.

#![expect(clippy::unwrap_used, reason = "a failure is to be seen at once")]
#![expect(clippy::print_stdout, reason = "it is a program that prints figures")]

use std::{
    future::Future,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use provost_protocol::{
    CorrelationId, EventId, RuntimeId, TenantId, Timestamp,
    entity::ActorType,
    envelope::{ActorRef, Envelope, Source},
    event::AuditRecorded,
    json::RawJson,
};
use provost_store::{Append, Backend, Options, Query, Stamped, Store, event_lookup};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, events, tenants] = &arguments[..] else {
        println!("ask FOLDER EVENTS TENANTS");
        return ExitCode::from(2);
    };
    let (events, tenants) = (events.parse().unwrap(), tenants.parse().unwrap());
    let begun = Instant::now();
    let (store, opened) = Store::open(
        Path::new(folder),
        Options::new(Arc::new(|why| panic!("{why}"))),
    )
    .unwrap();
    println!("opened in {:?}: {opened:?}", begun.elapsed());
    fill(&store, events, tenants);
    ask(&store, events, tenants);
    let begun = Instant::now();
    store.close(Duration::from_secs(600)).unwrap();
    println!("closed in {:?}", begun.elapsed());
    ExitCode::SUCCESS
}

fn fill(store: &Store, events: u64, tenants: u64) {
    let begun = Instant::now();
    let mut done = 0;
    let mut heads: Vec<u64> = (0..tenants)
        .map(|n| {
            wait(store.head(tenant(n)))
                .unwrap()
                .map_or(0, |head| head.seq)
        })
        .collect();
    let there: u64 = heads.iter().sum();
    while there + done < events {
        // Every tenant in turn: each is scattered over all segments.
        let turns: Vec<_> = (0..tenants)
            .map(|n| {
                let head = &mut heads[usize::try_from(n).unwrap()];
                let expected = *head;
                *head += EVENTS_AT_ONCE;
                let made = (1..=EVENTS_AT_ONCE)
                    .map(|more| Stamped::new(event(n, expected + more)).unwrap());
                store.append(Append {
                    tenant: tenant(n),
                    expected,
                    events: made.collect(),
                })
            })
            .collect();
        for turn in turns {
            wait(turn).unwrap();
            done += EVENTS_AT_ONCE;
        }
    }
    println!("{done} events written in {:?}", begun.elapsed());
}

fn ask(store: &Store, events: u64, tenants: u64) {
    let mut random = StdRng::seed_from_u64(7);
    let each = events / tenants;
    for (name, make) in QUESTIONS {
        let mut took = Vec::new();
        let mut found = 0;
        for _ in 0..ROUNDS {
            let who = random.random_range(0..tenants);
            let pick = random.random_range(1..=each);
            let query = make(who, pick, each);
            let begun = Instant::now();
            let page = wait(store.query(tenant(who), query)).unwrap();
            took.push(begun.elapsed());
            found += page.events.len();
        }
        report(name, took, found);
    }
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let who = random.random_range(0..tenants);
        let id = event(who, random.random_range(1..=each)).event;
        let provost_protocol::event::Event::AuditRecorded(recorded) = id else {
            continue;
        };
        let begun = Instant::now();
        let keys = vec![event_lookup(recorded.event_id)];
        let found = wait(store.find(tenant(who), keys, Timestamp::MIN)).unwrap();
        took.push(begun.elapsed());
        assert!(found[0].is_some());
    }
    report("find an event id", took, ROUNDS);
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let who = random.random_range(0..tenants);
        let begun = Instant::now();
        let from = random.random_range(1..=each);
        let head = wait(store.head(tenant(who))).unwrap().unwrap();
        wait(store.root_at(tenant(who), from)).unwrap().unwrap();
        wait(store.consistency(tenant(who), from, head.seq))
            .unwrap()
            .unwrap();
        took.push(begun.elapsed());
    }
    report("head, older root, consistency", took, ROUNDS);
}

fn report(name: &str, mut took: Vec<Duration>, found: usize) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{name:>32}: p50 {:>10.3?}  p99 {:>10.3?}  max {:>10.3?}  ({found} found)",
        at(50),
        at(99),
        at(100)
    );
}

/// Makes a query for (tenant, some sequence, events of the tenant).
type Question = (&'static str, fn(u64, u64, u64) -> Query);

const QUESTIONS: [Question; 10] = [
    ("newest", |_, _, _| page()),
    ("before a cursor", |_, pick, _| Query {
        before: Some(pick),
        ..page()
    }),
    ("a frequent type", |_, pick, _| Query {
        kind: Some("page.opened".to_owned()),
        before: Some(pick),
        ..page()
    }),
    ("a rare type", |_, _, _| Query {
        kind: Some("grade.contested".to_owned()),
        ..page()
    }),
    ("a type nobody sent", |_, _, _| Query {
        kind: Some("nothing".to_owned()),
        ..page()
    }),
    ("one story", |who, pick, _| Query {
        correlation: Some(event(who, pick).correlation_id),
        ..page()
    }),
    ("an actor", |who, pick, _| Query {
        actor: Some(event(who, pick).actor.id),
        ..page()
    }),
    ("a runtime", |_, pick, _| Query {
        runtime: Some(runtime(pick % RUNTIMES)),
        ..page()
    }),
    ("actor, type and runtime", |who, pick, _| Query {
        actor: Some(event(who, pick).actor.id),
        kind: Some("page.closed".to_owned()),
        runtime: Some(runtime(pick % RUNTIMES)),
        ..page()
    }),
    ("type within a time", |_, pick, each| Query {
        kind: Some("page.closed".to_owned()),
        since: Some(time(pick.saturating_sub(each / 50))),
        until: Some(time(pick)),
        ..page()
    }),
];

fn page() -> Query {
    Query {
        limit: 100,
        ..Query::default()
    }
}

fn event(who: u64, seq: u64) -> Envelope {
    let mut random = StdRng::seed_from_u64(who << 40 | seq);
    let id = EventId::from_parts(time(seq), random.random());
    // Four events make a story; one in 20,000 is of the rare type.
    let story = CorrelationId::from_parts(time(seq / 4 * 4), [7; 10]);
    let actor = format!("auth0|{:024x}", random.random_range(0..USERS));
    let kind = match random.random_range(0..20_000) {
        0 => "grade.contested",
        1..9_000 => "page.opened",
        9_000..18_000 => "page.closed",
        _ => "file.downloaded",
    };
    let runtime = runtime(random.random_range(0..RUNTIMES));
    let text = format!(
        "{{\"event_id\":\"{id}\",\"tenant_id\":\"{}\",\"runtime_id\":\"{runtime}\",\
         \"actor_type\":\"user\",\"actor_id\":\"{actor}\",\"type\":\"{kind}\",\
         \"timestamp\":\"{}\",\"correlation_id\":\"{story}\",\"payload\":{{\"path\":\"/c/{}\",\
         \"ms\":{},\"agent\":\"Mozilla/5.0 (X11; Linux x86_64)\"}}}}",
        tenant(who),
        time(seq),
        random.random_range(0..5_000),
        random.random_range(0..90_000),
    );
    Envelope {
        tenant: tenant(who),
        epoch: 1,
        seq,
        time: time(seq),
        actor: ActorRef {
            kind: ActorType::User,
            id: actor,
        },
        source: Source::Connector,
        correlation_id: story,
        idempotency: None,
        event: AuditRecorded {
            event_id: id,
            kind: kind.to_owned(),
            received_at: time(seq),
            event: RawJson::parse(&text).unwrap(),
        }
        .into(),
    }
}

fn tenant(n: u64) -> TenantId {
    TenantId::from_parts(Timestamp::from_millis(1), id_of(n))
}

fn runtime(n: u64) -> RuntimeId {
    RuntimeId::from_parts(Timestamp::from_millis(2), id_of(n))
}

fn id_of(n: u64) -> [u8; 10] {
    let mut id = [0; 10];
    id[2..].copy_from_slice(&n.to_be_bytes());
    id
}

fn time(seq: u64) -> Timestamp {
    Timestamp::from_millis(1_795_325_728_000 + i64::try_from(seq).unwrap() * 37)
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(answer)
}

const EVENTS_AT_ONCE: u64 = 500;
const ROUNDS: usize = 300;
const USERS: u64 = 20_000;
const RUNTIMES: u64 = 40;
