//! Sealed segments in their compressed form, read as before.

use std::{fs, thread};

use proptest::prelude::*;
use provost_journal::{
    CompressError, Journal, Keep, OpenError, Options, Position, ReadError, Record, file_name,
};

use crate::folder::{Folder, contents, fill_until, options, record, tenant};

/// Four segments of some 80 KiB, three of them sealed.
fn four_segments(keep: Keep) -> (Folder, Journal) {
    let mut folder = Folder::with_segments_of(80 * 1024);
    folder.options.keep = keep;
    let (mut journal, _) = folder.open();
    fill_until(&mut journal, 4);
    (folder, journal)
}

#[test]
fn everything_reads_the_same_from_compressed_segments() {
    let (folder, mut journal) = four_segments(Keep::Everything);
    let (reader, end) = (journal.reader(), journal.end());
    let before = contents(&reader);
    for segment in 1..4 {
        let length = fs::metadata(folder.segment(segment)).unwrap().len();
        let compressed = reader.compress(segment).unwrap();
        assert_eq!(compressed.original_bytes, length);
        assert!(compressed.stored_bytes * 2 < length);
        assert_eq!(folder.forms(segment), ["segz"]);
        assert_eq!(contents(&reader), before);
    }
    journal.append(&[record(1_000_000)]).unwrap();
    let (groups, records) = (journal.last_group(), before.len() + 1);
    drop(journal);
    let (journal, recovery) = folder.open();
    assert_eq!((recovery.segments, recovery.cut), (4, None));
    assert_eq!(recovery.last_group, Some(groups));
    assert_eq!(recovery.groups, groups);
    assert_eq!(recovery.records, u64::try_from(records).unwrap());
    assert!(recovery.end > end);
    let reader = journal.reader();
    assert_eq!(contents(&reader)[..before.len()], before);
    assert_eq!(reader.verify_all().filter(Result::is_ok).count(), 4);
}

#[test]
fn no_name_changes_in_a_folder_once_somebody_else_has_opened_it() {
    let (folder, journal) = four_segments(Keep::Everything);
    let reader = journal.reader();
    let compressing = thread::spawn(move || {
        let ends = (1..4).map(|segment| reader.compress(segment).err());
        let ends: Vec<_> = ends.collect();
        (reader, ends)
    });
    drop(journal);
    // In use for as long as the segment takes that is being compressed.
    let next = loop {
        match folder.try_open() {
            Ok((next, _)) => break next,
            Err(OpenError::Locked { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    let names = || -> Vec<_> { (1..4).map(|segment| folder.forms(segment)).collect() };
    let opened = names();
    let (reader, ends) = compressing.join().unwrap();
    assert_eq!(names(), opened);
    for (end, forms) in ends.iter().zip(&opened) {
        let compressed = forms == &["segz"];
        assert_eq!(end.is_none(), compressed, "{ends:?}");
        assert!(compressed || matches!(end, Some(CompressError::Closed)));
    }
    assert!(matches!(reader.compress(3), Err(CompressError::Closed)));
    next.reader().compress(3).unwrap();
}

#[test]
fn a_segment_is_described_as_it_is_stored() {
    let (folder, journal) = four_segments(Keep::Everything);
    let reader = journal.reader();
    let compressed = reader.compress(2).unwrap();
    let describe = |journal: &Journal| {
        let segments = journal.reader().segments();
        for segment in &segments {
            let stored = fs::metadata(&segment.path).unwrap().len();
            assert_eq!(
                (segment.stored_bytes, segment.sealed),
                (stored, segment.number < 4)
            );
            let (again, file) = reader.open_stored(segment.number).unwrap();
            assert_eq!((&again, file.length().unwrap()), (segment, stored));
        }
        segments
    };
    let segments = describe(&journal);
    assert_eq!(segments[1].path, folder.packed(2));
    assert_eq!(segments[1].stored_bytes, compressed.stored_bytes);
    let forms: Vec<bool> = segments.iter().map(|segment| segment.compressed).collect();
    assert_eq!(forms, [false, true, false, false]);
    drop(journal);
    assert_eq!(describe(&folder.open().0), segments);
    assert!(reader.open_stored(5).is_err() && reader.open_stored(0).is_err());
}

#[test]
fn the_bytes_of_a_segment_are_what_its_file_was() {
    let (folder, journal) = four_segments(Keep::Everything);
    let reader = journal.reader();
    let original = folder.read(2);
    let (length, raw) = reader.open_bytes(2).unwrap();
    reader.compress(2).unwrap();
    let (again, packed) = reader.open_bytes(2).unwrap();
    assert_eq!(
        (length, again),
        (original.len().try_into().unwrap(), length)
    );
    for file in [raw, packed] {
        let (mut bytes, mut filled) = (vec![0; original.len()], 0);
        while filled < bytes.len() {
            let at = u64::try_from(filled).unwrap();
            filled += file.read_at(at, &mut bytes[filled..]).unwrap();
        }
        assert!(bytes == original);
    }
    assert_eq!(reader.open_bytes(4).unwrap().0, journal.end().offset);
    assert!(reader.open_bytes(5).is_err());
}

#[test]
fn only_what_never_changes_again_is_compressed() {
    let (folder, journal) = four_segments(Keep::Everything);
    let reader = journal.reader();
    for segment in [0, 4, 5, u64::MAX] {
        let refused = reader.compress(segment);
        assert!(
            matches!(refused, Err(CompressError::NotSealed(_))),
            "{refused:?}"
        );
    }
    assert_eq!(folder.forms(4), ["seg"]);
}

#[test]
fn compressing_again_changes_nothing() {
    let (folder, journal) = four_segments(Keep::Everything);
    let reader = journal.reader();
    let first = reader.compress(1).unwrap();
    let bytes = fs::read(folder.packed(1)).unwrap();
    assert_eq!(reader.compress(1).unwrap(), first);
    drop((journal, reader));
    let (journal, _) = folder.open();
    assert_eq!(journal.reader().compress(1).unwrap(), first);
    assert_eq!(fs::read(folder.packed(1)).unwrap(), bytes);
}

#[test]
fn readers_go_on_while_their_segments_are_compressed() {
    let (folder, journal) = four_segments(Keep::Everything);
    let reader = journal.reader();
    let before = contents(&reader);
    let mut half_way = reader.records_from(Position::START);
    let middle = half_way.by_ref().take(100).count();
    thread::scope(|scope| {
        for _ in 0..3 {
            let (reader, before) = (reader.clone(), &before);
            scope.spawn(move || {
                for _ in 0..4 {
                    assert_eq!(&contents(&reader), before);
                }
            });
        }
        for segment in 1..4 {
            reader.compress(segment).unwrap();
        }
    });
    let rest: Vec<_> = half_way.map(|item| item.unwrap()).collect();
    assert_eq!(rest, before[middle..]);
    assert_eq!(folder.forms(1), ["segz"]);
}

#[test]
fn a_damaged_segment_is_not_compressed_and_stays() {
    let (folder, journal) = four_segments(Keep::Everything);
    let mut bytes = folder.read(2);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    folder.write(2, &bytes);
    let refused = journal.reader().compress(2);
    assert!(
        matches!(refused, Err(CompressError::Read(_))),
        "{refused:?}"
    );
    assert_eq!(folder.read(2), bytes);
    assert_eq!(folder.forms(2), ["seg"]);
}

#[test]
fn a_spool_forgets_segments_in_either_form() {
    let (folder, mut journal) = four_segments(Keep::Recent);
    let reader = journal.reader();
    let before = contents(&reader);
    let original = folder.read(2);
    reader.compress(1).unwrap();
    reader.compress(2).unwrap();
    // As if removing the original had failed.
    folder.write(2, &original);
    let mut on_the_way = reader.groups_from(Position::START);
    on_the_way.next().unwrap().unwrap();
    let verification = reader.verify_all();
    assert_eq!(journal.forget_before(4).unwrap(), 3);
    // What was forgotten on purpose is not called damaged.
    let gone = on_the_way.find_map(Result::err).unwrap();
    assert!(matches!(gone, ReadError::NotFound(_)), "{gone}");
    let gone = verification.last().unwrap().unwrap_err();
    assert!(matches!(gone, ReadError::NotFound(_)), "{gone}");
    for segment in 1..4 {
        assert_eq!(folder.forms(segment), [""; 0]);
    }
    let left = contents(&reader);
    assert!(before.ends_with(&left));
    drop((journal, reader));
    assert_eq!(contents(&folder.open().0.reader()), left);
}

#[test]
fn where_both_forms_are_there_the_original_counts_and_the_copy_goes() {
    let (folder, journal) = four_segments(Keep::Everything);
    let before = contents(&journal.reader());
    let original = folder.read(2);
    journal.reader().compress(2).unwrap();
    drop(journal);
    folder.write(2, &original);
    fs::write(folder.packed(2), b"not what it was").unwrap();
    fs::write(folder.packed(1).with_extension("segz.new"), b"half a copy").unwrap();
    let (journal, recovery) = folder.open();
    assert_eq!(recovery.cut, None);
    assert_eq!(
        (folder.forms(1), folder.forms(2)),
        (vec!["seg".into()], vec!["seg".into()])
    );
    assert_eq!(contents(&journal.reader()), before);
    journal.reader().compress(2).unwrap();
    assert_eq!(contents(&journal.reader()), before);
}

#[test]
fn a_journal_that_is_refused_keeps_its_unfinished_copies() {
    let (folder, journal) = four_segments(Keep::Everything);
    journal.reader().compress(1).unwrap();
    drop(journal);
    let copy = folder.packed(1).with_extension("segz.new");
    fs::write(&copy, b"half a copy").unwrap();
    fs::remove_file(folder.segment(3)).unwrap();
    assert_eq!(folder.damage(), (file_name(3), 0));
    assert!(copy.exists());
}

#[test]
fn the_segment_after_a_compressed_one_was_durable_and_is_missed() {
    let (folder, journal) = four_segments(Keep::Everything);
    journal.reader().compress(3).unwrap();
    drop(journal);
    let last = folder.read(4);
    fs::remove_file(folder.segment(4)).unwrap();
    assert_eq!(folder.damage(), (file_name(4), 0));
    // Cut down as if it was only being made.
    for length in [0, 10, 63] {
        folder.write(4, &last[..length]);
        assert_eq!(folder.damage(), (file_name(4), 0), "{length}");
        assert_eq!(folder.read(4), &last[..length]);
    }
    folder.write(4, &last);
    folder.open();
}

#[test]
fn a_copy_of_the_last_segment_says_that_there_was_another() {
    let (folder, journal) = four_segments(Keep::Everything);
    let end = journal.end().segment;
    drop(journal);
    fs::write(folder.packed(end).with_extension("segz.new"), b"").unwrap();
    assert_eq!(folder.damage(), (file_name(end + 1), 0));
}

#[test]
fn a_compressed_segment_of_a_newer_program_is_refused_and_left_alone() {
    let (folder, journal) = four_segments(Keep::Everything);
    journal.reader().compress(2).unwrap();
    drop(journal);
    let mut bytes = fs::read(folder.packed(2)).unwrap();
    bytes[10] = 1;
    let crc = crc32c::crc32c(&bytes[..92]);
    bytes[92..96].copy_from_slice(&crc.to_le_bytes());
    fs::write(folder.packed(2), &bytes).unwrap();
    match folder.try_open() {
        Err(OpenError::Unsupported(damage)) => {
            assert_eq!(damage.file, "0000000000000002.segz");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(folder.packed(2)).unwrap(), bytes);
}

/// Payloads from nothing to the longest there may be, of text and of noise.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..700),
        4 => (any::<u8>(), 0_usize..5_000).prop_map(|(byte, length)| vec![byte; length]),
        1 => (any::<u8>(), 60_000_usize..65_536).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_records_in_any_compressed_segments_keep_their_bytes_and_places(
        payloads in proptest::collection::vec(proptest::collection::vec(payload(), 1..4), 1..25),
        segment_bytes in 1_024_u64..200_000,
        chosen in any::<u64>(),
        reopen in any::<bool>(),
    ) {
        let folder = Folder::new();
        let options: Options = options(segment_bytes);
        let open = || Journal::open(folder.path(), options.clone()).unwrap().0;
        let mut journal = open();
        let mut expected = Vec::new();
        for (group, seq) in payloads.into_iter().zip(1_u64..) {
            let group: Vec<Record> = group
                .into_iter()
                .map(|payload| Record::new(tenant(3), seq, payload))
                .collect();
            let appended = journal.append(&group).unwrap();
            expected.extend(appended.positions.into_iter().zip(group));
        }
        let sealed = journal.end().segment;
        for segment in (1..sealed).filter(|segment| chosen >> (segment % 64) & 1 == 1) {
            journal.reader().compress(segment).unwrap();
        }
        if reopen {
            drop(journal);
            journal = open();
        }
        prop_assert_eq!(&contents(&journal.reader()), &expected);
        prop_assert!(journal.reader().verify_all().all(|item| item.is_ok()));
    }

    #[test]
    fn any_bytes_in_place_of_a_compressed_segment_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let folder = Folder::with_segments_of(1024);
        let (mut journal, _) = folder.open();
        fill_until(&mut journal, 3);
        journal.reader().compress(1).unwrap();
        drop(journal);
        fs::write(folder.packed(1), &bytes).unwrap();
        prop_assert_eq!(folder.damage().0, "0000000000000001.segz");
        prop_assert_eq!(fs::read(folder.packed(1)).unwrap(), bytes);
    }
}
