//! Damage is named: the file that is really there, the offset in it, and what is lost with it.

use std::{fs, ops::Range};

use provost_journal::{Damage, Flaw, Journal, OpenError, Position, ReadError, Record};

use crate::folder::{Folder, contents, fill_until, usize_of};

/// Two sealed segments of some 80 KiB, closed; the second one compressed if asked for.
fn sealed(compressed: bool) -> (Folder, Vec<(Position, Record)>) {
    let folder = Folder::with_segments_of(80 * 1024);
    let (mut journal, _) = folder.open();
    fill_until(&mut journal, 3);
    let reader = journal.reader();
    if compressed {
        reader.compress(2).unwrap();
    }
    (folder, contents(&reader))
}

fn damage(error: ReadError) -> Damage {
    match error {
        ReadError::Damaged(damage) => damage,
        other => panic!("{other:?}"),
    }
}

fn span((position, record): &(Position, Record)) -> Range<u64> {
    let length = 32 + u64::try_from(record.payload.len()).unwrap();
    position.offset..position.offset + length
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Every record of segment 2 outside `lost` is read as it was, and no record otherwise than it was.
fn check_rest(journal: &Journal, before: &[(Position, Record)], lost: &Range<u64>) {
    let reader = journal.reader();
    for item in before.iter().filter(|(position, _)| position.segment == 2) {
        match reader.read_at(item.0) {
            Ok(record) => assert_eq!(record, item.1),
            Err(error) => {
                assert!(
                    overlap(&span(item), lost),
                    "{error} at {}, lost {lost:?}",
                    item.0
                );
                assert_eq!(damage(error).segment, 2);
            }
        }
    }
}

#[test]
fn a_bit_flipped_anywhere_in_a_compressed_segment_is_named() {
    let (folder, before) = sealed(true);
    let whole = fs::read(folder.packed(2)).unwrap();
    let length = folder
        .open()
        .0
        .reader()
        .verify_all()
        .nth(1)
        .unwrap()
        .unwrap()
        .bytes;
    let near = (0..160).chain(whole.len() - 10..whole.len());
    for at in near.chain((160..whole.len()).step_by(211)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(folder.packed(2), &bytes).unwrap();
        let journal = match folder.try_open() {
            Ok((journal, _)) => journal,
            Err(OpenError::Damaged { damage, .. }) => {
                assert_eq!(damage.file, "0000000000000002.segz");
                assert!(damage.offset <= at.try_into().unwrap());
                assert_eq!(damage.lost.start, 0, "byte {at}: {damage:?}");
                assert!(damage.lost.end >= length.min(32_768));
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        let reader = journal.reader();
        let found = damage(reader.check_stored(2).unwrap_err());
        assert_eq!(
            (found.segment, found.file.as_str()),
            (2, "0000000000000002.segz")
        );
        assert_eq!(found.why, Flaw::BlockChecksum);
        assert!(found.offset <= at.try_into().unwrap() && found.lost.end <= length);
        let full: Vec<_> = reader.verify_all().collect();
        assert_eq!(full.len(), 2, "{full:?}");
        assert_eq!(damage(full.into_iter().nth(1).unwrap().unwrap_err()), found);
        check_rest(&journal, &before, &found.lost);
    }
}

#[test]
fn a_bit_flipped_anywhere_in_a_sealed_segment_is_named_by_the_cheap_check() {
    let (folder, before) = sealed(false);
    let whole = folder.read(2);
    let journal = folder.open().0;
    let reader = journal.reader();
    assert_eq!(
        reader.check_stored(2).unwrap(),
        u64::try_from(whole.len()).unwrap()
    );
    for at in (0..300).chain((300..whole.len()).step_by(599)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        folder.write(2, &bytes);
        let found = damage(reader.check_stored(2).unwrap_err());
        assert_eq!(
            (found.segment, found.file.as_str()),
            (2, "0000000000000002.seg")
        );
        let at = u64::try_from(at).unwrap();
        assert!(
            found.offset <= at && at < found.lost.end,
            "byte {at}: {found:?}"
        );
        check_rest(&journal, &before, &found.lost);
    }
}

#[test]
fn a_flipped_payload_loses_its_record_and_no_other() {
    let (folder, before) = sealed(false);
    let hit = before.iter().find(|(position, _)| position.segment == 2);
    let hit = &before[before.iter().position(|item| Some(item) == hit).unwrap() + 4];
    let mut bytes = folder.read(2);
    bytes[usize_of(hit.0.offset) + 40] ^= 1;
    folder.write(2, &bytes);
    let reader = folder.open().0.reader();
    let found = damage(reader.check_stored(2).unwrap_err());
    assert_eq!(
        (found.lost.clone(), found.why.clone()),
        (span(hit), Flaw::BodyChecksum)
    );
    let alone = damage(reader.read_at(hit.0).unwrap_err());
    assert_eq!((alone.offset, alone.lost), (hit.0.offset, span(hit)));
    let forwards = reader.records_from(Position::new(2, 0));
    assert_eq!(damage(forwards.last().unwrap().unwrap_err()), found);
}

#[test]
fn a_group_whose_header_is_damaged_is_lost_up_to_the_next() {
    let (folder, before) = sealed(false);
    let mut bytes = folder.read(2);
    let groups: Vec<_> = folder
        .open()
        .0
        .reader()
        .groups_from(Position::new(2, 0))
        .map(|item| item.unwrap())
        .collect();
    let hit = groups
        .iter()
        .rfind(|group| group.start.segment == 2)
        .unwrap();
    let before_it = &groups[groups.iter().position(|group| group == hit).unwrap() - 1];
    bytes[usize_of(before_it.start.offset) + 9] ^= 1;
    folder.write(2, &bytes);
    let OpenError::Damaged { damage, .. } = folder.try_open().unwrap_err() else {
        panic!("not damaged");
    };
    assert_eq!(damage.offset, before_it.start.offset);
    assert_eq!(damage.lost, before_it.start.offset..before_it.end.offset);
    assert_eq!(damage.why, Flaw::HeaderChecksum);
    assert!(before.iter().any(|item| overlap(&span(item), &damage.lost)));
}

#[test]
fn what_stands_before_a_damaged_block_is_still_read_forwards() {
    let (folder, before) = sealed(true);
    let mut bytes = fs::read(folder.packed(2)).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    fs::write(folder.packed(2), &bytes).unwrap();
    let reader = folder.open().0.reader();
    let mut read: Vec<_> = reader.records_from(Position::START).collect();
    let lost = damage(read.pop().unwrap().unwrap_err()).lost;
    let read: Vec<_> = read.into_iter().map(|item| item.unwrap()).collect();
    assert!(before.starts_with(&read) && read.len() < before.len());
    let next = &before[read.len()];
    // Its group reaches into the block that is lost.
    assert!(
        next.0.offset + 64 + 3 * 1_000 > lost.start,
        "{next:?}, lost {lost:?}"
    );
}

#[test]
fn a_segment_that_vanished_is_missing_by_name() {
    let (folder, _) = sealed(true);
    let journal = folder.open().0;
    fs::remove_file(folder.packed(2)).unwrap();
    let found = damage(journal.reader().check_stored(2).unwrap_err());
    assert_eq!((found.segment, found.why), (2, Flaw::Missing));
    assert!(matches!(
        journal.reader().check_stored(9),
        Err(ReadError::NotFound(_))
    ));
    drop(journal);
    assert_eq!(folder.damage(), ("0000000000000002.seg".to_owned(), 0));
}

#[test]
fn the_cheap_check_says_how_many_stored_bytes_are_right() {
    let (folder, _) = sealed(true);
    let journal = folder.open().0;
    let reader = journal.reader();
    for segment in reader.segments() {
        let checked = reader.check_stored(segment.number).unwrap();
        assert_eq!(checked, segment.stored_bytes, "{segment:?}");
    }
}
