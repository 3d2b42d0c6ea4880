//! Any history of appends, seals, reopenings, torn ends and compressions, against a list of numbers.

use proptest::prelude::*;

use crate::folder::{Folder, records, seqs, usize_of};

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Seal,
    Reopen,
    /// A crash in the middle of an append: so much of the group reaches the file, in thousandths.
    Tear(u64),
    /// A crash before the header of a new segment is whole.
    TearNewSegment(usize),
    /// The newest sealed segment but so many is compressed.
    Compress(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_u64..6).prop_map(Step::Append),
        1 => Just(Step::Seal),
        2 => Just(Step::Reopen),
        2 => (0_u64..=1000).prop_map(Step::Tear),
        1 => (0_usize..64).prop_map(Step::TearNewSegment),
        2 => (1_u64..5).prop_map(Step::Compress),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Runs a history; fails unless every acknowledged record is there, in order, at every step.
fn check(segment_bytes: u64, history: &[Step]) -> Result<(), TestCaseError> {
    let folder = Folder::with_segments_of(segment_bytes);
    let (mut journal, _) = folder.open();
    let mut acknowledged = 0;
    for step in history {
        match step {
            Step::Append(count) => {
                journal
                    .append(&records(acknowledged..acknowledged + count))
                    .unwrap();
                acknowledged += count;
            }
            Step::Seal => drop(journal.seal().unwrap()),
            Step::Reopen => {
                drop(journal);
                journal = folder.open().0;
            }
            Step::Tear(thousandths) => {
                let before = journal.end();
                let end = journal
                    .append(&records(acknowledged..acknowledged + 2))
                    .unwrap()
                    .end;
                let start = if end.segment == before.segment {
                    before.offset
                } else {
                    64
                };
                drop(journal);
                let kept = start + (end.offset - start) * thousandths / 1000;
                let bytes = folder.read(end.segment);
                folder.write(end.segment, &bytes[..usize_of(kept)]);
                let (opened, recovery) = folder.open();
                prop_assert_eq!(recovery.cut.is_some(), kept > start && kept < end.offset);
                // A group that reached the disk whole may stay, though nobody was told.
                acknowledged += if kept == end.offset { 2 } else { 0 };
                journal = opened;
            }
            Step::TearNewSegment(bytes) => {
                let next = journal.end().segment + 1;
                drop(journal);
                folder.write(next, &vec![0; *bytes]);
                journal = folder.open().0;
            }
            Step::Compress(before) => {
                let segment = journal.end().segment.saturating_sub(*before);
                let compressed = journal.reader().compress(segment);
                prop_assert_eq!(compressed.is_ok(), segment > 0);
            }
        }
        prop_assert_eq!(seqs(&journal), (0..acknowledged).collect::<Vec<_>>());
    }
    prop_assert!(journal.reader().verify_all().all(|item| item.is_ok()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_acknowledged_record_is_there_in_order(
        segment_bytes in 1024_u64..4096,
        history in steps(),
    ) {
        check(segment_bytes, &history)?;
    }
}
