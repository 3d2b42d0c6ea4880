//! What a log costs on the disk, beside the JSON of its events.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use provost_protocol::{
    CorrelationId, EventId, RuntimeId, Timestamp,
    entity::ActorType,
    envelope::{ActorRef, Envelope, Source},
    event::AuditRecorded,
    json::RawJson,
};
use provost_store::{Append, Backend, Options, Stamped, Store};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    answers::{options, wait},
    log::tenant,
    rebuild::close,
};

/// An event as a learning platform's runtime sends it: what is random in it is random here.
fn event(seq: u64, random: &mut StdRng) -> Envelope {
    let time = Timestamp::from_millis(1_795_325_728_000 + i64::try_from(seq).unwrap() * 40);
    let id = EventId::from_parts(time, random.random());
    let story = CorrelationId::from_parts(time, random.random());
    let user = format!("auth0|{:024x}", random.random_range(0..5_000_u64) * 7_919);
    let runtime = RuntimeId::from_parts(Timestamp::EPOCH, [random.random_range(0..20); 10]);
    let kind = ["page.opened", "page.closed", "file.downloaded"][random.random_range(0..3)];
    let text = format!(
        "{{\"event_id\":\"{id}\",\"tenant_id\":\"{}\",\"runtime_id\":\"{runtime}\",\
         \"actor_type\":\"user\",\"actor_id\":\"{user}\",\"type\":\"{kind}\",\
         \"timestamp\":\"{time}\",\"correlation_id\":\"{story}\",\"payload\":{{\"path\":\"/c/{}\",\
         \"ms\":{},\"agent\":\"Mozilla/5.0 (X11; Linux x86_64)\"}}}}",
        tenant(1),
        random.random_range(0..5_000),
        random.random_range(0..90_000),
    );
    Envelope {
        tenant: tenant(1),
        epoch: 1,
        seq,
        time,
        actor: ActorRef {
            kind: ActorType::User,
            id: user,
        },
        source: Source::Connector,
        correlation_id: story,
        idempotency: None,
        event: AuditRecorded {
            event_id: id,
            kind: kind.to_owned(),
            received_at: time,
            event: RawJson::parse(&text).unwrap(),
        }
        .into(),
    }
}

/// How many bytes of a device all files of a folder take.
fn taken(dir: &Path) -> u64 {
    let sizes = fs::read_dir(dir).unwrap().map(|entry| {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            taken(&entry.path())
        } else {
            entry.metadata().unwrap().len()
        }
    });
    sizes.sum()
}

#[test]
fn journal_index_and_state_are_at_most_sixteen_tenths_of_the_json() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options {
        journal: provost_journal::Options {
            // All but the last one of some twelve are sealed, as of many days.
            segment_bytes_max: 1024 * 1024,
            ..options(2 * 1024).journal
        },
        ..options(2 * 1024)
    };
    let (store, _) = Store::open(dir.path(), small).unwrap();
    let mut random = StdRng::seed_from_u64(3);
    let mut json = 0;
    for batch in 0..40_u64 {
        let seqs = batch * 500 + 1..=batch * 500 + 500;
        let events: Vec<Stamped> = seqs
            .map(|seq| Stamped::new(event(seq, &mut random)).unwrap())
            .collect();
        json += events.iter().map(|event| event.bytes.len()).sum::<usize>();
        let append = Append {
            tenant: tenant(1),
            expected: batch * 500,
            events,
        };
        wait(store.append(append)).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(120);
    let raw = || {
        let files = fs::read_dir(dir.path().join("journal")).unwrap();
        let names = files.map(|entry| entry.unwrap().path());
        names
            .filter(|name| name.extension().is_some_and(|kind| kind == "seg"))
            .count()
    };
    while raw() > 1 {
        assert!(Instant::now() < deadline, "nobody compresses");
        thread::yield_now();
    }
    close(store);
    let (taken, json) = (taken(dir.path()), u64::try_from(json).unwrap());
    println!("{taken} bytes for {json} of JSON");
    assert!(taken * 10 <= json * 16, "{taken} bytes for {json} of JSON");
}
