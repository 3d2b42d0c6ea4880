//! Reading, alone and beside the writer.

use std::thread;

use provost_journal::{Position, ReadError};

use crate::folder::{Folder, record, records, seqs};

#[test]
fn a_reader_that_meets_a_damaged_segment_header_names_byte_0() {
    let folder = Folder::with_segments_of(1024);
    let (mut journal, _) = folder.open();
    while journal.end().segment < 3 {
        journal.append(&records(0..3)).unwrap();
    }
    let mut bytes = folder.read(2);
    bytes[39] ^= 4;
    folder.write(2, &bytes);
    let mut groups = journal.reader().groups_from(Position::START);
    match groups.find_map(Result::err) {
        Some(ReadError::Damaged(damage)) => {
            assert_eq!((damage.segment, damage.offset), (2, 0));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_record_is_read_at_the_position_its_append_returned() {
    let folder = Folder::with_segments_of(1024);
    let (mut journal, _) = folder.open();
    let mut places = Vec::new();
    for start in (0..60).step_by(3) {
        let appended = journal.append(&records(start..start + 3)).unwrap();
        places.extend(appended.positions.into_iter().zip(start..));
    }
    let reader = journal.reader();
    for (position, seq) in &places {
        assert_eq!(reader.read_at(*position).unwrap(), record(*seq));
    }
    assert!(places.is_sorted());
    let read = reader
        .records_from(Position::START)
        .map(|item| item.unwrap());
    let read: Vec<_> = read
        .map(|(position, record)| (position, record.seq))
        .collect();
    assert_eq!(read, places);
}

#[test]
fn reading_can_start_at_any_position() {
    let folder = Folder::with_segments_of(1024);
    let (mut journal, _) = folder.open();
    for start in (0..30).step_by(3) {
        journal.append(&records(start..start + 3)).unwrap();
    }
    let reader = journal.reader();
    let all: Vec<_> = reader
        .records_from(Position::START)
        .map(|item| item.unwrap())
        .collect();
    for segment in 0..=journal.end().segment + 1 {
        for offset in 0..1024 {
            let from = Position::new(segment, offset);
            let expected = all.iter().filter(|(position, _)| *position >= from);
            let read = reader.records_from(from).map(|item| item.unwrap());
            assert!(read.eq(expected.cloned()), "{from}");
        }
    }
}

#[test]
fn a_watermark_at_the_end_of_a_group_continues_with_the_next() {
    let folder = Folder::new();
    let (mut journal, _) = folder.open();
    let first = journal.append(&records(0..2)).unwrap();
    journal.seal().unwrap();
    let third = journal.append(&records(2..4)).unwrap();
    let groups = journal.reader().groups_from(first.end);
    let groups: Vec<_> = groups.map(|item| item.unwrap()).collect();
    assert_eq!(
        groups.iter().map(|group| group.number).collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(groups[0].records.is_empty());
    assert_eq!((groups[1].records.len(), groups[1].end), (2, third.end));
    assert_eq!(journal.reader().groups_from(third.end).count(), 0);
}

#[test]
fn an_iterator_at_the_durable_end_goes_on_when_more_is_durable() {
    let folder = Folder::with_segments_of(1024);
    let (mut journal, _) = folder.open();
    let mut tail = journal.reader().records_from(Position::START);
    for seq in 0..50 {
        assert!(tail.next().is_none());
        journal.append(&[record(seq)]).unwrap();
        assert_eq!(tail.next().unwrap().unwrap().1, record(seq));
    }
    assert!(journal.end().segment > 3);
}

#[test]
fn a_position_where_no_record_starts_is_an_error_and_never_a_record() {
    let folder = Folder::new();
    let (mut journal, _) = folder.open();
    let appended = journal.append(&records(0..3)).unwrap();
    let reader = journal.reader();
    for offset in 0..journal.end().offset + 100 {
        let position = Position::new(1, offset);
        let read = reader.read_at(position);
        assert_eq!(
            read.is_ok(),
            appended.positions.contains(&position),
            "{offset}"
        );
    }
    for position in [Position::START, Position::new(2, 64), journal.end()] {
        assert!(matches!(
            reader.read_at(position),
            Err(ReadError::NotFound(_))
        ));
    }
}

#[test]
fn readers_beside_the_writer_see_a_growing_prefix_and_nothing_else() {
    let folder = Folder::with_segments_of(4096);
    let (mut journal, _) = folder.open();
    thread::scope(|scope| {
        for _ in 0..3 {
            let reader = journal.reader();
            scope.spawn(move || {
                let mut tail = reader.records_from(Position::START);
                let mut next = 0;
                while next < 600 {
                    let Some(item) = tail.next() else {
                        thread::yield_now();
                        continue;
                    };
                    let (position, found) = item.unwrap();
                    assert_eq!(found, record(next));
                    assert!(position < reader.end());
                    next += 1;
                }
            });
        }
        for start in (0..600).step_by(3) {
            journal.append(&records(start..start + 3)).unwrap();
        }
    });
    assert_eq!(seqs(&journal).len(), 600);
}

#[test]
fn all_segments_but_the_last_are_sealed() {
    let folder = Folder::with_segments_of(1024);
    let (mut journal, _) = folder.open();
    let mut rolled = Vec::new();
    for seq in 0..30 {
        rolled.extend(journal.append(&[record(seq)]).unwrap().rolled);
    }
    let segments = journal.reader().segments();
    let (last, sealed) = segments.split_last().unwrap();
    assert!(
        !last.sealed
            && sealed
                .iter()
                .all(|segment| segment.sealed && segment.path.exists())
    );
    assert_eq!(
        sealed
            .iter()
            .map(|segment| segment.number)
            .collect::<Vec<_>>(),
        rolled
    );
}
