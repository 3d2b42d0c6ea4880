//! What every backend promises, asked of each of them.

use provost_kernel::EntityKey;
use provost_protocol::{EventId, Timestamp};
use provost_store::{
    Append, AppendError, Backend, MemoryStore, Range, Store, event_lookup, idempotency_lookup,
};

use crate::{
    answers::{options, wait},
    commands::{audit, create_token, event_id, grant, token},
    log::{Log, create, idempotency, runtime, tenant},
};

/// Asks the same of the store in memory and of the one on disk, over many small segments.
pub(crate) fn on_each(test: impl Fn(&dyn Backend)) {
    test(&MemoryStore::new());
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options(2 * 1024)).unwrap();
    test(&store);
}

pub(crate) fn put(store: &dyn Backend, append: Append) {
    wait(store.append(append)).unwrap();
}

/// A tenant with so many events.
pub(crate) fn filled(store: &dyn Backend, number: u8, events: u64) -> Log {
    let mut log = Log::new(tenant(number));
    put(store, log.run(&create()).unwrap());
    while log.seq < events {
        log.now = log.now.plus_millis(1_000);
        let command = audit(&log, log.seq, 1);
        put(store, log.run(&command).unwrap());
    }
    log
}

pub(crate) fn seqs(store: &dyn Backend, number: u8, range: Range) -> Vec<u64> {
    let events = wait(store.read(tenant(number), range)).unwrap();
    events.iter().map(|event| event.envelope.seq).collect()
}

pub(crate) fn all() -> Range {
    Range {
        limit: usize::MAX,
        ..Range::default()
    }
}

#[test]
fn an_append_is_read_back_byte_for_byte() {
    on_each(|store| {
        let mut log = Log::new(tenant(1));
        let append = log.run(&create()).unwrap();
        put(store, append.clone());
        let events = wait(store.read(tenant(1), all())).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].bytes, append.events[0].bytes);
        assert_eq!(events[0].envelope, *append.events[0].envelope);
    });
}

#[test]
fn an_append_that_expects_another_end_is_refused_and_says_where_the_end_is() {
    on_each(|store| {
        let mut log = filled(store, 1, 3);
        let late = log.clone().run(&audit(&log, 1, 1)).unwrap();
        let command = audit(&log, 2, 1);
        put(store, log.run(&command).unwrap());
        let conflict = AppendError::Conflict {
            expected: 3,
            found: 4,
        };
        assert_eq!(wait(store.append(late)), Err(conflict));
        assert_eq!(seqs(store, 1, all()), [1, 2, 3, 4]);
        let nothing = Append {
            tenant: tenant(2),
            expected: 1,
            events: Vec::new(),
        };
        let conflict = AppendError::Conflict {
            expected: 1,
            found: 0,
        };
        assert_eq!(wait(store.append(nothing)), Err(conflict));
    });
}

#[test]
fn events_that_are_not_the_tenants_next_are_refused_whole() {
    on_each(|store| {
        let mut log = filled(store, 1, 2);
        let good = log.run(&audit(&log.clone(), 1, 3)).unwrap();
        let mut gap = good.clone();
        gap.events.remove(1);
        let mut foreign = good.clone();
        foreign.tenant = tenant(2);
        foreign.expected = 2;
        let mut early = good.clone();
        early.expected = 1;
        for bad in [gap, foreign, early] {
            let answer = wait(store.append(bad));
            assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
        }
        assert_eq!(seqs(store, 1, all()), [1, 2]);
        put(store, good);
        assert_eq!(seqs(store, 1, all()), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn waking_a_tenant_gives_its_end_and_its_hot_entities_only() {
    on_each(|store| {
        let mut log = filled(store, 1, 4);
        for command in [grant(&log, 0, 5), create_token(&log, 1)] {
            put(store, log.run(&command).unwrap());
        }
        let loaded = wait(store.load(tenant(1), Vec::new())).unwrap();
        assert_eq!((loaded.head.epoch, loaded.head.seq), (1, log.seq));
        assert_eq!(loaded.head.frontier.size(), log.seq);
        let hot: Vec<_> = log.state.iter().filter(|(key, _)| key.is_hot()).collect();
        assert_eq!(loaded.state.iter().collect::<Vec<_>>(), hot);
        assert!(hot.len() >= 2);
        let (there, not_there) = (token(&log, 1), token(&log, 2));
        let cold = [there, not_there].map(EntityKey::Token);
        let with_cold = wait(store.load(tenant(1), cold.to_vec())).unwrap();
        assert_eq!(with_cold.head, loaded.head);
        assert_eq!(with_cold.state.iter().count(), hot.len() + 1);
        assert!(with_cold.state.token(there).is_some());
        let absent = wait(store.load(tenant(9), Vec::new())).unwrap();
        assert_eq!(absent.head.seq, 0);
        assert_eq!(absent.state.iter().count(), 0);
    });
}

#[test]
fn entities_are_read_by_key_and_absent_ones_are_none() {
    on_each(|store| {
        let mut log = filled(store, 1, 1);
        put(store, log.run(&create_token(&log.clone(), 1)).unwrap());
        let keys = vec![
            EntityKey::Runtime(runtime(1)),
            EntityKey::Token(token(&log, 1)),
            EntityKey::Tenant,
        ];
        let found = wait(store.entities(tenant(1), keys.clone())).unwrap();
        for ((key, entity), asked) in found.iter().zip(&keys) {
            assert_eq!(key, asked);
            assert_eq!(entity.as_deref(), log.state.get(asked));
        }
        assert!(found[0].1.is_none() && found[1].1.is_some());
        let other = wait(store.entities(tenant(2), keys)).unwrap();
        assert!(other.iter().all(|(_, entity)| entity.is_none()));
    });
}

#[test]
fn a_scan_gives_pages_in_the_order_of_keys_and_nothing_of_other_kinds() {
    on_each(|store| {
        let mut log = filled(store, 1, 1);
        for n in 0..4 {
            let command = create_token(&log, n);
            put(store, log.run(&command).unwrap());
        }
        let page = |after| wait(store.scan(tenant(1), "token/", after, 3)).unwrap();
        let first = page(None);
        let second = page(Some(first[2].0.clone()));
        let keys: Vec<String> = first
            .iter()
            .chain(&second)
            .map(|(key, _)| key.to_string())
            .collect();
        assert_eq!(keys.len(), 4);
        assert!(keys.is_sorted());
        assert_eq!(page(Some(second[0].0.clone())).len(), 0);
        // A key of an earlier kind: everything follows.
        assert_eq!(page(Some(EntityKey::Runtime(runtime(1)))).len(), 3);
        assert_eq!(page(Some(EntityKey::Tenant)).len(), 3);
    });
}

#[test]
fn a_log_over_many_segments_is_read_forwards_and_backwards_in_stretches() {
    on_each(|store| {
        filled(store, 1, 40);
        filled(store, 2, 5);
        let forwards = Range {
            after: 7,
            limit: 20,
            newest_before: None,
        };
        assert_eq!(seqs(store, 1, forwards), (8..28).collect::<Vec<_>>());
        let backwards = Range {
            after: 3,
            limit: 10,
            newest_before: Some(30),
        };
        assert_eq!(
            seqs(store, 1, backwards),
            (20..30).rev().collect::<Vec<_>>()
        );
        let newest = Range {
            after: 38,
            limit: 10,
            newest_before: Some(u64::MAX),
        };
        assert_eq!(seqs(store, 1, newest), [40, 39]);
        let beyond = Range {
            after: u64::MAX,
            limit: 1,
            newest_before: None,
        };
        assert_eq!(seqs(store, 1, beyond), [0_u64; 0]);
        assert_eq!(seqs(store, 1, Range::default()), [0_u64; 0]);
        assert_eq!(seqs(store, 2, all()), (1..=5).collect::<Vec<_>>());
        assert_eq!(seqs(store, 3, all()), [0_u64; 0]);
    });
}

#[test]
fn whoever_was_told_of_an_event_finds_it_in_the_log_at_once() {
    on_each(|store| {
        let mut log = filled(store, 1, 1);
        for seq in 2..200 {
            let command = audit(&log, seq, 1);
            put(store, log.run(&command).unwrap());
            let newest = Range {
                limit: 1,
                newest_before: Some(u64::MAX),
                ..Range::default()
            };
            assert_eq!(seqs(store, 1, newest), [seq]);
            let keys = vec![event_lookup(event_id(seq))];
            let found = wait(store.find(tenant(1), keys, Timestamp::MIN)).unwrap();
            assert_eq!(found[0].as_ref().map(|event| event.envelope.seq), Some(seq));
        }
    });
}

#[test]
fn events_are_found_by_what_they_carry_but_not_from_before_since() {
    on_each(|store| {
        let log = filled(store, 1, 30);
        let keys = vec![
            event_lookup(event_id(5)),
            idempotency_lookup(&idempotency(29)),
            event_lookup(event_id(77)),
        ];
        let find = |number, since| {
            let found = wait(store.find(tenant(number), keys.clone(), since)).unwrap();
            let seq = |event: provost_store::StoredEvent| event.envelope.seq;
            found
                .into_iter()
                .map(|event| event.map(seq))
                .collect::<Vec<_>>()
        };
        assert_eq!(find(1, Timestamp::MIN), [Some(5), Some(29), None]);
        // Event n was decided n - 1 seconds after the first; the last is the 30th.
        let fifth = log.now.minus_millis(25_000);
        assert_eq!(find(1, fifth), [Some(5), Some(29), None]);
        assert_eq!(find(1, fifth.plus_millis(1)), [None, Some(29), None]);
        assert_eq!(find(1, log.now), [None, None, None]);
        assert_eq!(find(2, Timestamp::MIN), [None, None, None]);
    });
}

#[test]
fn an_id_that_was_recorded_is_never_called_new_and_a_later_one_is() {
    on_each(|store| {
        let log = filled(store, 1, 60);
        let new = |seq| store.ids(tenant(1)).lack(event_id(seq), Timestamp::MIN);
        let called_new: Vec<u64> = (2..=60).filter(|seq| new(*seq)).collect();
        assert_eq!(called_new, [0; 0]);
        let later = EventId::from_parts(log.now.plus_millis(DAY_MS), [9; 10]);
        assert!(store.ids(tenant(1)).lack(later, log.now));
        assert!(store.ids(tenant(2)).lack(event_id(5), log.now));
    });
}

#[test]
fn after_a_start_an_id_is_called_new_only_when_no_segment_is_young_enough_to_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options(2 * 1024)).unwrap();
    let log = filled(&store, 1, 60);
    store.close(std::time::Duration::from_secs(60)).unwrap();
    let (store, _) = Store::open(dir.path(), options(2 * 1024)).unwrap();
    let ids = store.ids(tenant(1));
    assert!(!(2..=60).any(|seq| ids.lack(event_id(seq), Timestamp::MIN)));
    let later = EventId::from_parts(log.now.plus_millis(DAY_MS), [9; 10]);
    assert!(!ids.lack(later, Timestamp::MIN));
    assert!(ids.lack(later, log.now.plus_millis(1)));
}

/// Later than any id that a test made.
const DAY_MS: u64 = 86_400_000;
