//! Writes a small store that meets every format: several sealed segments, their indexes, a state,
//! a marker. Shared by the program that makes fixtures and by the test that compares them with what
//! is written today.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use provost_journal::{Journal, Keep, Options, Position, Record};
use provost_protocol::{Timestamp, event::Event};
use provost_store::{Backend, Range, Store, event_lookup, merkle};
use serde_json::{Value, json};

use crate::{
    answers::{options, wait},
    commands::command,
    log::{Log, create, tenant},
};

/// Writes the store: the same events every time, in three tenants, in segments of 6 KiB.
pub(crate) fn store(dir: &Path) {
    let (store, _) = Store::open(dir, options(SEGMENT_BYTES)).unwrap();
    let mut logs: Vec<Log> = (0..3).map(|n| Log::new(tenant(n))).collect();
    for log in &mut logs {
        wait(store.append(log.run(&create()).unwrap())).unwrap();
    }
    let mut chance = 12_345_u64;
    let mut appended = 0;
    while appended < APPENDS {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let digit = |shift: u32, of: u64| (chance >> shift) % of;
        let who = usize::try_from(digit(52, 3)).unwrap();
        let (kind, a) = (digit(33, 22), digit(40, 8));
        let log = &mut logs[who];
        log.now = log.now.plus_millis(1_000);
        let command = command(
            log,
            (
                kind.try_into().unwrap(),
                a.try_into().unwrap(),
                digit(45, 50),
            ),
        );
        if let Ok(append) = log.run(&command)
            && !append.events.is_empty()
        {
            wait(store.append(append)).unwrap();
            appended += 1;
        }
    }
    settle(&dir.join("journal"));
    store.close(PATIENCE).unwrap();
}

/// Waits until everything that is sealed has the form in which it stays.
fn settle(journal: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !is_settled(journal) {
        assert!(Instant::now() < deadline, "the segments are not compressed");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn is_settled(journal: &Path) -> bool {
    let entries = fs::read_dir(journal).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let ending = |end: &str| -> Vec<&str> {
        let stems = names.iter().filter_map(|name| name.strip_suffix(end));
        stems.collect()
    };
    let sealed = ending(".segz");
    // One segment is still written, and only that one is as it was written.
    ending(".seg").len() == 1 && ending(".idx") == sealed && !sealed.is_empty()
}

/// Writes what a connector's spool keeps its events in: a journal whose oldest segments are gone.
pub(crate) fn spool(dir: &Path) {
    let (mut journal, _) = Journal::open(dir, spool_options()).unwrap();
    for group in 0..12_u64 {
        let records: Vec<Record> = (1..=3_u64)
            .map(|n| {
                let seq = group * 3 + n;
                let text = format!("{{\"n\":{seq},\"text\":\"{}\"}}", "ab".repeat(20));
                Record::new(
                    tenant((seq % 2).try_into().unwrap()),
                    seq,
                    text.into_bytes(),
                )
            })
            .collect();
        journal.append(&records).unwrap();
    }
    let last = journal.reader().end().segment;
    journal.forget_before(last - 2).unwrap();
    if journal.needs_seal() {
        journal.seal().unwrap();
    }
}

/// Says what is in a store, as it stands in a fixture's JSON.
pub(crate) fn of_store(store: &dyn Backend) -> Value {
    let tenants = wait(store.tenants(None, 1_000)).unwrap();
    let tenants: Vec<Value> = tenants
        .into_iter()
        .map(|tenant| {
            let head = wait(store.load(tenant, Vec::new())).unwrap().head;
            let range = Range {
                limit: 100_000,
                ..Range::default()
            };
            let events = wait(store.read(tenant, range)).unwrap();
            let lines = events.iter().map(|event| {
                let mut line = json!({
                    "seq": event.envelope.seq,
                    "kind": event.envelope.event.kind(),
                    "leaf": hex::encode(merkle::leaf_hash(&event.bytes)),
                });
                if let Event::AuditRecorded(recorded) = &event.envelope.event {
                    let keys = vec![event_lookup(recorded.event_id)];
                    let found = wait(store.find(tenant, keys, Timestamp::MIN)).unwrap();
                    let found = found[0].as_ref().expect("an event is found by its id");
                    assert_eq!(found.envelope.seq, event.envelope.seq);
                    line["event_id"] = json!(recorded.event_id);
                }
                line
            });
            json!({
                "tenant": tenant,
                "epoch": head.epoch,
                "size": head.seq,
                "root": hex::encode(head.frontier.root()),
                "events": lines.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "tenants": tenants })
}

/// Says what is in a spool's journal, as it stands in a fixture's JSON.
pub(crate) fn of_spool(dir: &Path) -> Value {
    let (journal, recovery) = Journal::open(dir, spool_options()).unwrap();
    assert_eq!(recovery.cut, None);
    let reader = journal.reader();
    let records = reader.records_from(Position::START).map(|record| {
        let (position, record) = record.unwrap();
        assert_eq!(reader.read_at(position).unwrap(), record);
        json!({
            "segment": position.segment,
            "offset": position.offset,
            "tenant": record.tenant,
            "seq": record.seq,
            "payload": std::str::from_utf8(&record.payload).unwrap(),
        })
    });
    json!({ "records": records.collect::<Vec<_>>() })
}

pub(crate) fn spool_options() -> Options {
    Options {
        segment_bytes_max: 1_024,
        free_bytes_min: 0,
        keep: Keep::Recent,
    }
}

/// A dozen sealed segments of the events below.
pub(crate) const SEGMENT_BYTES: u64 = 6 * 1_024;

/// Enough for every kind of command that the tests know.
const APPENDS: usize = 90;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
