//! What a start makes of what it finds.

use std::fs;

use provost_journal::{Cut, Flaw, Journal, Keep, OpenError, Position, file_name};

use crate::folder::{Folder, record, records, seqs, usize_of};

/// Three groups in one segment; returns where each ends.
fn three_groups(folder: &Folder) -> [u64; 3] {
    let (mut journal, _) = folder.open();
    [0, 1, 2].map(|at| {
        journal
            .append(&records(at * 2..at * 2 + 2))
            .unwrap()
            .end
            .offset
    })
}

/// Groups of one record over at least four segments; returns the end.
fn many_segments(folder: &Folder) -> Position {
    let (mut journal, _) = folder.open();
    let mut end = journal.end();
    for seq in 0.. {
        end = journal.append(&[record(seq)]).unwrap().end;
        if end.segment == 4 {
            break;
        }
    }
    end
}

#[test]
fn an_empty_folder_becomes_an_empty_journal() {
    let folder = Folder::new();
    let (journal, recovery) = folder.open();
    assert_eq!(
        (recovery.groups, recovery.records, recovery.last_group),
        (0, 0, None)
    );
    assert_eq!((recovery.segments, recovery.cut), (1, None));
    assert_eq!(journal.end(), recovery.end);
    assert_eq!(seqs(&journal), [0_u64; 0]);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_chain_goes_on() {
    let folder = Folder::new();
    let [_, second, third] = three_groups(&folder);
    let whole = folder.read(1);
    for length in second + 1..third {
        folder.write(1, &whole[..usize_of(length)]);
        let (mut journal, recovery) = folder.open();
        let cut = Cut {
            segment: file_name(1),
            offset: second,
            bytes: length - second,
        };
        assert_eq!(recovery.cut, Some(cut));
        assert_eq!(
            (recovery.groups, recovery.records, recovery.last_group),
            (2, 4, Some(2))
        );
        assert_eq!(seqs(&journal), [0, 1, 2, 3]);
        journal.append(&[record(9)]).unwrap();
        drop(journal);
        let (journal, recovery) = folder.open();
        assert_eq!(recovery.cut, None, "cut at {length}");
        assert_eq!(seqs(&journal), [0, 1, 2, 3, 9]);
        assert!(journal.reader().verify_all().all(|item| item.is_ok()));
    }
}

#[test]
fn a_tail_cut_exactly_between_groups_needs_no_cut() {
    let folder = Folder::new();
    let [_, second, _] = three_groups(&folder);
    let whole = folder.read(1);
    folder.write(1, &whole[..usize_of(second)]);
    assert_eq!(folder.open().1.cut, None);
}

#[test]
fn a_length_that_was_written_without_its_bytes_is_a_torn_tail() {
    let folder = Folder::new();
    let [_, _, third] = three_groups(&folder);
    let mut bytes = folder.read(1);
    bytes.resize(bytes.len() + 10_000, 0);
    folder.write(1, &bytes);
    let (_, recovery) = folder.open();
    assert_eq!(recovery.cut.unwrap().bytes, 10_000);
    assert_eq!(recovery.end.offset, third);
}

#[test]
fn any_byte_flipped_in_a_middle_group_is_damage_named_with_its_offset() {
    let folder = Folder::new();
    let [first, second, _] = three_groups(&folder);
    let whole = folder.read(1);
    for at in first..second {
        let mut bytes = whole.clone();
        bytes[usize_of(at)] ^= 0x40;
        folder.write(1, &bytes);
        assert_eq!(folder.damage(), (file_name(1), first), "byte {at}");
        assert_eq!(folder.read(1), bytes, "a refused journal is left as it is");
    }
}

#[test]
fn any_byte_flipped_in_the_last_group_is_cut() {
    let folder = Folder::new();
    let [_, second, third] = three_groups(&folder);
    let whole = folder.read(1);
    for at in second..third {
        let mut bytes = whole.clone();
        bytes[usize_of(at)] ^= 0x40;
        folder.write(1, &bytes);
        assert_eq!(folder.open().1.cut.unwrap().offset, second, "byte {at}");
    }
}

#[test]
fn a_seal_turns_a_flipped_last_group_into_damage() {
    let folder = Folder::new();
    let [_, second, third] = three_groups(&folder);
    folder.open().0.seal().unwrap();
    let mut bytes = folder.read(1);
    bytes[usize_of(third - 1)] ^= 1;
    folder.write(1, &bytes);
    assert_eq!(folder.damage(), (file_name(1), second));
}

#[test]
fn damage_before_a_group_that_is_itself_torn_is_still_damage() {
    let folder = Folder::new();
    let [first, _, third] = three_groups(&folder);
    let mut bytes = folder.read(1);
    bytes[usize_of(first + 70)] ^= 1;
    bytes.truncate(usize_of(third - 1));
    folder.write(1, &bytes);
    assert_eq!(folder.damage(), (file_name(1), first));
}

#[test]
fn a_whole_group_of_another_journal_is_damage_and_never_cut() {
    let (folder, other) = (Folder::new(), Folder::new());
    let [_, second, _] = three_groups(&folder);
    let mut journal = other.open().0;
    for seq in 10..13 {
        journal.append(&records(seq * 2..seq * 2 + 2)).unwrap();
    }
    let foreign = other.read(1);
    let mut bytes = folder.read(1)[..usize_of(second)].to_vec();
    let start = foreign
        .windows(4)
        .rposition(|four| four == [0xff, b'P', b'G', 0xfe])
        .unwrap();
    bytes.extend_from_slice(&foreign[start..]);
    folder.write(1, &bytes);
    match folder.try_open() {
        Err(OpenError::Damaged { damage, .. }) => {
            assert_eq!((damage.offset, damage.why), (second, Flaw::Chain));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn segments_roll_and_everything_is_there_after_a_reopen() {
    let folder = Folder::with_segments_of(1024);
    let end = many_segments(&folder);
    let (mut journal, recovery) = folder.open();
    assert_eq!(
        (recovery.segments, recovery.end, recovery.cut.clone()),
        (4, end, None)
    );
    assert_eq!(seqs(&journal), (0..recovery.records).collect::<Vec<_>>());
    journal.append(&[record(recovery.records)]).unwrap();
    let verified: Vec<_> = journal
        .reader()
        .verify_all()
        .map(|item| item.unwrap())
        .collect();
    assert_eq!(verified.len(), 4);
    let counted: u64 = verified.iter().map(|segment| segment.records).sum();
    assert_eq!(counted, recovery.records + 1);
}

#[test]
fn a_sealed_segment_truncated_anywhere_is_damage() {
    let folder = Folder::with_segments_of(1024);
    many_segments(&folder);
    let whole = folder.read(2);
    for length in 0..whole.len() {
        folder.write(2, &whole[..length]);
        let (segment, _) = folder.damage();
        // Cut between two groups, only the next segment knows that something is missing.
        assert!(
            segment == file_name(2) || segment == file_name(3),
            "{length}: {segment}"
        );
    }
}

#[test]
fn the_first_segment_cut_down_to_its_header_is_damage() {
    let folder = Folder::with_segments_of(1024);
    many_segments(&folder);
    let whole = folder.read(1);
    folder.write(1, &whole[..64]);
    assert_eq!(folder.damage(), (file_name(2), 0));
}

#[test]
fn a_missing_segment_is_damage() {
    for missing in [1, 2, 3] {
        let folder = Folder::with_segments_of(1024);
        many_segments(&folder);
        fs::remove_file(folder.segment(missing)).unwrap();
        assert_eq!(folder.damage(), (file_name(missing), 0));
    }
}

#[test]
fn a_record_flipped_in_a_sealed_segment_is_found_by_the_full_check_and_by_reading() {
    let folder = Folder::with_segments_of(1024);
    many_segments(&folder);
    let mut bytes = folder.read(2);
    // The last payload byte of the first group: its record is 64 + 32 + payload.
    bytes[64 + 64 + 34] ^= 1;
    folder.write(2, &bytes);
    let (journal, _) = folder.open();
    let reader = journal.reader();
    let checked: Vec<_> = reader.verify_all().map(|item| item.is_ok()).collect();
    assert_eq!(checked, [true, false]);
    let position = Position::new(2, 64 + 64);
    assert!(reader.read_at(position).is_err());
    assert!(
        reader
            .records_from(Position::START)
            .any(|item| item.is_err())
    );
}

#[test]
fn a_last_segment_that_was_only_being_made_is_removed() {
    for length in 0..64 {
        let folder = Folder::with_segments_of(1024);
        let end = many_segments(&folder);
        let header = folder.read(4)[..length].to_vec();
        folder.write(end.segment + 1, &header);
        let (mut journal, recovery) = folder.open();
        assert_eq!(recovery.cut.unwrap().segment, file_name(end.segment + 1));
        assert_eq!(recovery.end, end);
        journal.append(&[record(99)]).unwrap();
        drop(journal);
        assert_eq!(folder.seqs().last(), Some(&99));
    }
}

#[test]
fn a_torn_tail_before_an_unfinished_segment_is_damage() {
    let folder = Folder::with_segments_of(1024);
    let end = many_segments(&folder);
    let bytes = folder.read(end.segment);
    folder.write(end.segment, &bytes[..bytes.len() - 1]);
    folder.write(end.segment + 1, b"");
    // The next segment is begun only after this one's last group is durable.
    assert_eq!(folder.damage().0, file_name(end.segment));
}

#[test]
fn a_first_segment_without_its_header_is_made_again() {
    let folder = Folder::new();
    drop(folder.open());
    folder.write(1, b"PVST");
    let (_, recovery) = folder.open();
    assert_eq!(
        recovery.cut,
        Some(Cut {
            segment: file_name(1),
            offset: 0,
            bytes: 4
        })
    );
    assert_eq!(folder.open().1.cut, None);
}

#[test]
fn a_group_of_a_newer_program_is_refused_and_not_cut() {
    let folder = Folder::new();
    let [_, second, _] = three_groups(&folder);
    let mut bytes = folder.read(1);
    let start = usize_of(second);
    bytes[start + 6] = 1;
    let crc = crc32c::crc32c(&bytes[start..start + 60]);
    bytes[start + 60..start + 64].copy_from_slice(&crc.to_le_bytes());
    folder.write(1, &bytes);
    match folder.try_open() {
        Err(OpenError::Unsupported(damage)) => {
            assert_eq!((damage.offset, damage.why), (second, Flaw::Flags(1)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(folder.read(1), bytes);
}

#[test]
fn a_second_journal_on_the_same_folder_is_refused() {
    let folder = Folder::new();
    let first = folder.open();
    assert!(matches!(folder.try_open(), Err(OpenError::Locked { .. })));
    drop(first);
    folder.open();
}

#[test]
fn a_spool_forgets_its_oldest_segments_and_opens_again() {
    let mut folder = Folder::with_segments_of(1024);
    folder.options.keep = Keep::Recent;
    many_segments(&folder);
    let (mut journal, _) = folder.open();
    let all = seqs(&journal);
    assert_eq!(journal.forget_before(3).unwrap(), 2);
    let left = seqs(&journal);
    assert!(!left.is_empty() && all.ends_with(&left) && left.len() < all.len());
    assert!(journal.reader().read_at(Position::new(1, 64 + 64)).is_err());
    drop(journal);
    assert_eq!(folder.seqs(), left);
    let (mut journal, _) = folder.open();
    assert!(journal.reader().verify_all().all(|item| item.is_ok()));
    assert_eq!(
        journal.forget_before(u64::MAX).unwrap(),
        1,
        "the last one stays"
    );
    folder.options.keep = Keep::Everything;
    drop(journal);
    assert_eq!(folder.damage(), (file_name(1), 0));
}

#[test]
fn a_journal_that_keeps_everything_forgets_nothing() {
    let folder = Folder::with_segments_of(1024);
    many_segments(&folder);
    assert!(folder.open().0.forget_before(3).is_err());
    assert_eq!(folder.open().1.segments, 4);
}

#[test]
fn options_out_of_range_are_refused() {
    for bytes in [0, 1023, 1 << 40] {
        let options = crate::folder::options(bytes);
        let opened = Journal::open(Folder::new().path(), options);
        assert!(matches!(
            opened,
            Err(OpenError::Options("segment_bytes_max"))
        ));
    }
}
