mod directory;
mod disk;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use proptest::prelude::*;
use provost_protocol::{
    CorrelationId, EventId, RuntimeId, TenantId, Timestamp,
    envelope::{ActorRef, Envelope, Idempotency, Source},
    event::{AuditRecorded, Event},
    json::RawJson,
    tlog::leaf_hash,
};

use self::disk::Bytes;
use super::*;
use crate::{
    convert::{array, to_u64},
    segments::name_index,
};

fn tenant(n: u8) -> TenantId {
    TenantId::from_parts(Timestamp::from_millis(1), [n; 10])
}

fn event_id(n: u8) -> EventId {
    EventId::from_parts(Timestamp::from_millis(1), [n; 10])
}

fn envelope(of: u8, seq: u64, id: u8) -> Envelope {
    let runtime = RuntimeId::from_parts(Timestamp::from_millis(1), [id % 3; 10]);
    let event: Event = AuditRecorded {
        event_id: event_id(id),
        kind: "page.opened".to_owned(),
        received_at: Timestamp::from_millis(5),
        event: RawJson::parse(&format!("{{\"runtime_id\":\"{runtime}\"}}")).unwrap(),
    }
    .into();
    Envelope {
        tenant: tenant(of),
        epoch: 1,
        seq,
        time: Timestamp::from_millis(1_000 + i64::from(id)),
        actor: ActorRef::system(),
        source: Source::Kernel,
        correlation_id: CorrelationId::from_parts(Timestamp::EPOCH, [id / 2; 10]),
        idempotency: Some(Idempotency {
            scope: "admin/test".to_owned(),
            key: format!("key-{id}"),
            request_sha256: "00".repeat(32),
        }),
        event,
    }
}

/// The index of events given as (tenant, id), in their order; each tenant begins at `first`.
fn index_from(first: u64, events: &[(u8, u8)]) -> Growing {
    let mut index = Growing::default();
    let mut seqs: BTreeMap<u8, u64> = BTreeMap::new();
    for (offset, (of, id)) in (100_u64..).zip(events) {
        let seq = seqs.entry(*of).or_insert(first);
        let event = envelope(*of, *seq, *id);
        index.insert(&event, offset, &Marks::of(&event, &[*id]));
        *seq += 1;
    }
    let mut before = Frontier::default();
    for n in 1..first {
        before.append(leaf_hash(&n.to_be_bytes()));
    }
    for (_, table) in index.tenants() {
        table.plant(before.clone());
        while table.follow() == Some(false) {}
    }
    index
}

fn index(events: &[(u8, u8)]) -> Growing {
    index_from(10, events)
}

/// Reads a file back, every byte of it.
fn open(bytes: &[u8], segment: u64) -> Result<Sealed, IndexError> {
    let disk = Arc::new(Bytes::from(bytes));
    let sealed = Sealed::open(disk, Path::new("7.idx"), segment)?;
    sealed.check()?;
    Ok(sealed)
}

fn seqs(table: Option<&dyn Table>, filter: &Filter, before: u64, room: usize) -> Vec<u64> {
    let entries = table.map(|table| newest(table, filter, before, room).unwrap());
    entries
        .into_iter()
        .flatten()
        .map(|entry| entry.seq)
        .collect()
}

proptest! {
    #[test]
    fn a_file_gives_the_answers_of_the_memory_it_was_written_from(
        first in 1_u64..70,
        events in prop::collection::vec((0_u8..4, 0_u8..9), 1..90),
        before in 0_u64..170,
        room in 0_usize..9,
        since in prop::option::of(1_000_i64..1_009),
    ) {
        let growing = index_from(first, &events);
        let sealed = open(&write::encode(7, &growing).unwrap(), 7).unwrap();
        for of in 0..5 {
            let memory = growing.tenant(tenant(of));
            let file = sealed.tenant(tenant(of)).unwrap();
            prop_assert_eq!(memory.is_some(), file.is_some());
            let (Some(memory), Some(file)) = (memory, file) else { continue };
            prop_assert_eq!(memory.span(), file.span());
            let entries = memory.span().entries;
            prop_assert_eq!(memory.offsets(0, entries).unwrap(), file.offsets(0, entries).unwrap());
            prop_assert_eq!(memory.times(0, entries).unwrap(), file.times(0, entries).unwrap());
            prop_assert_eq!(memory.frontier().unwrap(), file.frontier().unwrap());
            for level in [0, 4, 8, 16] {
                let nodes = memory.span().nodes(level);
                for index in nodes {
                    let here = memory.nodes(level, index, 1).unwrap();
                    prop_assert_eq!(here, file.nodes(level, index, 1).unwrap());
                }
            }
            for id in 0..10 {
                let event = envelope(of, 1, id);
                for terms in [lookup::terms(&event), vec![lookup_term(event_lookup(event_id(id)))], Vec::new()] {
                    let filter = Filter { terms, since: since.map(Timestamp::from_millis), until: None };
                    prop_assert_eq!(
                        seqs(Some(memory), &filter, before, room),
                        seqs(Some(&file), &filter, before, room)
                    );
                }
            }
        }
    }

    #[test]
    fn an_event_is_a_candidate_for_each_of_its_terms(
        events in prop::collection::vec((0_u8..3, 0_u8..9), 1..60),
    ) {
        let growing = index(&events);
        let sealed = open(&write::encode(7, &growing).unwrap(), 7).unwrap();
        let mut seqs_of: BTreeMap<u8, u64> = BTreeMap::new();
        for (of, id) in events {
            let seq = seqs_of.entry(of).or_insert(10);
            let file = sealed.tenant(tenant(of)).unwrap().unwrap();
            for term in lookup::terms(&envelope(of, *seq, id)) {
                let filter = Filter { terms: vec![term], ..Filter::default() };
                let found = seqs(Some(&file), &filter, u64::MAX, usize::MAX);
                prop_assert!(found.contains(seq) && found.is_sorted_by(|newer, older| newer > older));
            }
            *seq += 1;
        }
    }
}

#[test]
fn every_flipped_bit_every_cut_and_every_added_byte_is_noticed() {
    let bytes = write::encode(7, &index(&[(1, 1), (2, 2), (1, 3)])).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&damaged, 7).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(open(&bytes[..length], 7).is_err(), "{length} bytes");
    }
    assert!(open(&[&bytes[..], &[0]].concat(), 7).is_err());
    assert!(open(&bytes, 7).is_ok());
}

#[test]
fn a_damaged_block_names_the_tenants_whose_sections_it_touches_and_a_damaged_table_nobody() {
    let ids = |of: u8, count: u8| (0..count).map(move |id| (of, id));
    let events: Vec<(u8, u8)> = ids(1, 90).chain(ids(2, 5)).chain(ids(3, 120)).collect();
    let bytes = write::encode(7, &index(&events)).unwrap();
    let sections: Vec<layout::Section> = (1..4)
        .map(|number| layout::Section::read(&array(&bytes, number * 64)).unwrap())
        .collect();
    let blocks = usize::try_from(sections[2].at + u64::from(sections[2].length))
        .unwrap()
        .div_ceil(4_096);
    let body_at = 4 * 64 + blocks * 4;
    let mut seen = BTreeSet::new();
    for place in (0..bytes.len()).step_by(61) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        let opened = Sealed::open(Arc::new(Bytes::from(&damaged[..])), Path::new("7.idx"), 7);
        let (index, why) = match opened {
            Ok(index) => {
                let why = index.check().unwrap_err();
                (Some(index), why)
            }
            Err(why) => (None, why),
        };
        let named = name_index(7, index.as_ref(), &why).unwrap();
        assert_eq!(named.file, "0000000000000007.idx");
        let Some(in_body) = place.checked_sub(body_at) else {
            assert_eq!(named.tenants, [], "byte {place}");
            assert!(
                named.to_string().contains("no tenant can be named"),
                "{named}"
            );
            assert!(named.offset <= to_u64(place), "byte {place}: {named}");
            continue;
        };
        let block = to_u64(in_body / 4_096 * 4_096);
        assert_eq!(named.offset, to_u64(body_at) + block, "byte {place}");
        let touched = sections.iter().filter(|section| {
            section.at < block + 4_096 && section.at + u64::from(section.length) > block
        });
        let touched: Vec<TenantId> = touched.map(|section| section.tenant).collect();
        assert_eq!(named.tenants, touched, "byte {place}");
        seen.insert(touched);
    }
    let [one, two, three] = [1, 2, 3].map(tenant);
    let kinds = [vec![one], vec![one, two, three], vec![three]];
    assert_eq!(seen, BTreeSet::from(kinds), "the sections lie otherwise");
}

#[test]
fn the_file_of_another_segment_is_refused_and_one_of_the_earlier_format_is_known() {
    let bytes = write::encode(7, &index(&[(1, 1)])).unwrap();
    assert!(matches!(
        open(&bytes, 8),
        Err(IndexError::Damaged { offset: 8, .. })
    ));
    let mut earlier = bytes;
    earlier[..8].copy_from_slice(b"PVSTIDX1");
    assert!(matches!(open(&earlier, 7), Err(IndexError::Earlier)));
}

#[test]
fn an_index_whose_tree_was_not_followed_has_no_file() {
    let mut index = Growing::default();
    let event = envelope(1, 1, 1);
    index.insert(&event, 100, &Marks::of(&event, b"1"));
    assert!(write::encode(7, &index).is_err());
}

#[test]
fn golden_bytes_of_a_file_do_not_change() {
    // Twenty events of one tenant from its tenth on complete nodes of a stored level.
    let events: Vec<(u8, u8)> = (0..20).map(|id| (1, id)).chain([(2, 2)]).collect();
    let bytes = write::encode(7, &index(&events)).unwrap();
    assert_eq!(bytes, GOLDEN);
}

#[test]
fn a_collision_of_a_rare_term_never_hides_another_event() {
    // Of two terms one is of a single event: that one alone is the candidate, whoever asks looks.
    let growing = index(&[(1, 1), (1, 2), (1, 3)]);
    let sealed = open(&write::encode(7, &growing).unwrap(), 7).unwrap();
    let table = sealed.tenant(tenant(1)).unwrap().unwrap();
    let kind = lookup::terms(&envelope(1, 1, 1));
    let single = lookup_term(event_lookup(event_id(2)));
    for term in kind {
        let filter = Filter {
            terms: vec![term, single],
            ..Filter::default()
        };
        let found = seqs(Some(&table), &filter, u64::MAX, 9);
        assert!(found.contains(&11) || found == [10], "{found:?}");
    }
}

/// Read once by another program, after the tables in the module's doc.
const GOLDEN: &[u8] = include_bytes!("../../golden/index-v2.idx");
