use proptest::prelude::*;
use provost_protocol::{
    CorrelationId, EventId,
    envelope::{ActorRef, Idempotency, Source},
    event::{AuditRecorded, Event},
    json::RawJson,
};

use sha2::{Digest as _, Sha256};

use super::*;

fn tenant(n: u8) -> TenantId {
    TenantId::from_parts(Timestamp::from_millis(1), [n; 10])
}

fn event_id(n: u8) -> EventId {
    EventId::from_parts(Timestamp::from_millis(1), [n; 10])
}

fn envelope(of: u8, seq: u64, id: u8) -> Envelope {
    let event: Event = AuditRecorded {
        event_id: event_id(id),
        kind: "page.opened".to_owned(),
        received_at: Timestamp::from_millis(5),
        event: RawJson::parse("{}").unwrap(),
    }
    .into();
    Envelope {
        tenant: tenant(of),
        epoch: 1,
        seq,
        time: Timestamp::from_millis(1_000 + i64::from(id)),
        actor: ActorRef::system(),
        source: Source::Kernel,
        correlation_id: CorrelationId::from_parts(Timestamp::EPOCH, [1; 10]),
        idempotency: Some(Idempotency {
            scope: "admin/test".to_owned(),
            key: format!("key-{id}"),
            request_sha256: "00".repeat(32),
        }),
        event,
    }
}

/// The index of events given as (tenant, id), in their order.
fn index(events: &[(u8, u8)]) -> SegmentIndex {
    let mut index = SegmentIndex::default();
    let mut seqs: BTreeMap<u8, u64> = BTreeMap::new();
    for (offset, (of, id)) in (100_u64..).zip(events) {
        let seq = seqs.entry(*of).or_insert(10);
        index.insert(&envelope(*of, *seq, *id), offset, [*id; 32]);
        *seq += 1;
    }
    index
}

fn found(index: &SegmentIndex, of: u8, id: u8) -> Vec<u64> {
    let posting = lookup_posting(event_lookup(event_id(id)));
    let entries = index.tenant(tenant(of)).map(|table| table.find(posting));
    let seqs = |entries: Vec<Entry>| entries.iter().map(|entry| entry.seq).collect();
    entries.map_or_else(Vec::new, seqs)
}

proptest! {
    #[test]
    fn a_file_reads_back_as_the_sealed_index_and_finds_what_the_growing_one_found(
        events in prop::collection::vec((0_u8..4, 0_u8..6), 1..60)
    ) {
        let growing = index(&events);
        let mut sealed = growing.clone();
        sealed.seal();
        let read = SegmentIndex::from_file(&sealed.to_file(7).unwrap(), 7).unwrap();
        prop_assert_eq!(&read, &sealed);
        for (of, id) in events {
            let seqs = found(&growing, of, id);
            prop_assert!(!seqs.is_empty() && seqs.is_sorted_by(|newer, older| newer > older));
            prop_assert_eq!(found(&read, of, id), seqs);
        }
        prop_assert_eq!(found(&read, 9, 1), Vec::<u64>::new());
        prop_assert_eq!(found(&read, 1, 99), Vec::<u64>::new());
    }
}

#[test]
fn every_flipped_bit_every_cut_and_every_added_byte_is_noticed() {
    let mut sealed = index(&[(1, 1), (2, 2), (1, 3)]);
    sealed.seal();
    let file = sealed.to_file(7).unwrap();
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            SegmentIndex::from_file(&damaged, 7),
            Err(IndexDamaged),
            "bit {bit}"
        );
    }
    for length in 0..file.len() {
        let cut = SegmentIndex::from_file(&file[..length], 7);
        assert_eq!(cut, Err(IndexDamaged), "{length} bytes");
    }
    let longer = [&file[..], &[0]].concat();
    assert_eq!(SegmentIndex::from_file(&longer, 7), Err(IndexDamaged));
}

#[test]
fn the_file_of_another_segment_is_refused() {
    let mut sealed = index(&[(1, 1)]);
    sealed.seal();
    let file = sealed.to_file(7).unwrap();
    assert_eq!(SegmentIndex::from_file(&file, 8), Err(IndexDamaged));
}

#[test]
fn an_index_that_still_grows_has_no_file() {
    assert_eq!(index(&[(1, 1)]).to_file(7), Err(IndexDamaged));
}

#[test]
fn golden_bytes_of_a_file_do_not_change() {
    let mut sealed = index(&[(1, 1), (2, 2), (1, 3)]);
    sealed.seal();
    let file = sealed.to_file(7).unwrap();
    // Computed from the table in the module's doc by another program.
    assert_eq!(&file[..16], b"PVSTIDX1\x07\0\0\0\0\0\0\0");
    assert_eq!(
        hex::encode(Sha256::digest(&file)),
        "6fd7fac6186294ed1b161ceca2f41f51b3e0a6323d302fa19b107ccf4e648677"
    );
}

#[test]
fn an_entry_is_found_by_its_sequence_and_by_no_other() {
    let index = index(&[(1, 1), (2, 2), (1, 3)]);
    let table = index.tenant(tenant(1)).unwrap();
    assert_eq!((table.first_seq(), table.last_seq()), (10, 11));
    assert_eq!(table.entry(11).unwrap().offset, 102);
    assert_eq!(table.entry(9), None);
    assert_eq!(table.entry(12), None);
    assert_eq!(index.last_time(), Timestamp::from_millis(1_003));
}
