//! A journal in a folder of its own, and what tests do to its files.

use std::{fs, path::PathBuf};

use provost_journal::{Journal, OpenError, Options, Position, Reader, Record, Recovery, file_name};
use provost_protocol::{TenantId, Timestamp};

#[derive(Debug)]
pub(crate) struct Folder {
    dir: tempfile::TempDir,
    pub(crate) options: Options,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            options: options(64 * 1024 * 1024),
        }
    }

    pub(crate) fn with_segments_of(bytes: u64) -> Self {
        Self {
            options: options(bytes),
            ..Self::new()
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    pub(crate) fn try_open(&self) -> Result<(Journal, Recovery), OpenError> {
        Journal::open(self.path(), self.options.clone())
    }

    pub(crate) fn open(&self) -> (Journal, Recovery) {
        self.try_open().unwrap()
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.path().join(file_name(number))
    }

    /// Where a segment's compressed form stands.
    pub(crate) fn packed(&self, number: u64) -> PathBuf {
        self.segment(number).with_extension("segz")
    }

    /// The extensions of all files of a segment, in order.
    pub(crate) fn forms(&self, number: u64) -> Vec<String> {
        let stem = format!("{number:016}.");
        let entries = fs::read_dir(self.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut forms: Vec<String> = names
            .filter_map(|name| name.strip_prefix(&stem).map(str::to_owned))
            .collect();
        forms.sort();
        forms
    }

    pub(crate) fn read(&self, number: u64) -> Vec<u8> {
        fs::read(self.segment(number)).unwrap()
    }

    pub(crate) fn write(&self, number: u64, bytes: &[u8]) {
        fs::write(self.segment(number), bytes).unwrap();
    }

    /// Opens, and says which segment and byte are called damaged.
    pub(crate) fn damage(&self) -> (String, u64) {
        match self.try_open() {
            Err(OpenError::Damaged { damage, .. }) => (damage.file, damage.offset),
            other => panic!("not damaged: {other:?}"),
        }
    }

    /// Opens, and returns the seq of everything in it.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        seqs(&self.open().0)
    }
}

pub(crate) fn options(segment_bytes_max: u64) -> Options {
    // The machine that runs the tests may have little room.
    Options {
        segment_bytes_max,
        free_bytes_min: 0,
        ..Options::default()
    }
}

pub(crate) fn tenant(number: u8) -> TenantId {
    TenantId::from_parts(Timestamp::from_millis(1_700_000_000_000), [number; 10])
}

pub(crate) fn record(seq: u64) -> Record {
    Record::new(tenant(1), seq, format!("{{\"seq\":{seq}}}").into_bytes())
}

pub(crate) fn records(seqs: std::ops::Range<u64>) -> Vec<Record> {
    seqs.map(record).collect()
}

pub(crate) fn seqs(journal: &Journal) -> Vec<u64> {
    let reader = journal.reader();
    reader
        .records_from(Position::START)
        .map(|item| item.unwrap().1.seq)
        .collect()
}

/// Everything in a journal and where it stands, by iteration; each is also read alone.
pub(crate) fn contents(reader: &Reader) -> Vec<(Position, Record)> {
    let all: Vec<_> = reader
        .records_from(Position::START)
        .map(|item| item.unwrap())
        .collect();
    for (position, record) in &all {
        assert_eq!(reader.read_at(*position).unwrap(), *record);
    }
    all
}

/// Appends records of some 500 bytes, three a group, until segment `last` is begun.
pub(crate) fn fill_until(journal: &mut Journal, last: u64) {
    let mut seq = journal.end().offset;
    while journal.end().segment < last {
        let group: Vec<Record> = (seq..seq + 3).map(long_record).collect();
        journal.append(&group).unwrap();
        seq += 3;
    }
}

/// Some 500 bytes that differ from those of every other seq.
fn long_record(seq: u64) -> Record {
    let text = format!(
        "{{\"seq\":{seq},\"of\":\"{}\"}}",
        seq.wrapping_mul(0x9e37_79b9)
    )
    .repeat(15);
    Record::new(
        tenant(u8::try_from(seq % 5).unwrap()),
        seq,
        text.into_bytes(),
    )
}

pub(crate) fn usize_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}
