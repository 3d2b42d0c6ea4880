//! Opening a backup: nothing of it is believed before all of it was read.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_journal::{Position, Reader as JournalReader, Record, Snapshot};
use provost_protocol::{
    InstallId, TenantId,
    envelope::Envelope,
    tlog::{Frontier, leaf_hash},
};
use sha2::{Digest as _, Sha256};

use super::{
    BackupEntry, BackupError, BackupHeader, Doing, LogEnd, Progress, Tell,
    disk::BackupDisk,
    format::{self, CRC_BYTES, END, ENTRY_BYTES, EntryHead, HEAD_BYTES, Head, TAIL_BYTES},
    tape::{self, Reader},
};

/// A backup of which every byte is what was written, and whose journal holds.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    header: BackupHeader,
    entries: Vec<BackupEntry>,
    ends: Vec<LogEnd>,
}

impl Backup {
    /// Reads a backup from its first byte to its last and checks all of it: lengths, checksums and
    /// digests; every group of the journal and the chain through them; every event.
    ///
    /// # Errors
    /// [`BackupError`] names what is wrong, and where.
    pub fn open(path: &Path, tell: Tell<'_>) -> Result<Self, BackupError> {
        let mut reader = Reader::open(path)?;
        let header = read_head(&mut reader, path)?;
        let entries = read_entries(&mut reader, tell)?;
        let file = File::open(path).map_err(BackupError::io("open", path))?;
        let mut backup = Self {
            path: path.to_owned(),
            file: Arc::new(file),
            bytes: reader.length(),
            header,
            entries,
            ends: Vec::new(),
        };
        backup.ends = backup.check_journal(tell)?;
        Ok(backup)
    }

    /// What it says of itself.
    #[must_use]
    pub const fn header(&self) -> &BackupHeader {
        &self.header
    }

    /// Says that it is a backup of this installation.
    ///
    /// # Errors
    /// [`BackupError::OtherInstall`].
    pub fn require_install(&self, expected: InstallId) -> Result<(), BackupError> {
        let found = self.header.install_id;
        if found == expected {
            Ok(())
        } else {
            Err(BackupError::OtherInstall { expected, found })
        }
    }

    /// The files in it.
    #[must_use]
    pub fn entries(&self) -> &[BackupEntry] {
        &self.entries
    }

    /// Where each tenant's log ends, in the order of their ids.
    #[must_use]
    pub fn ends(&self) -> &[LogEnd] {
        &self.ends
    }

    /// How long it is.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The content of a file in it that is small; `None` when there is no such file.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn small_file(&self, name: &str) -> Result<Option<Vec<u8>>, BackupError> {
        let small = |entry: &&BackupEntry| entry.name == name && entry.bytes <= SMALL_BYTES_MAX;
        let Some(entry) = self.entries.iter().find(small) else {
            return Ok(None);
        };
        let mut content = Vec::new();
        self.copy(entry, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Some(content))
    }

    /// Reads an entry's content in pieces, checked against its digest once more.
    pub(super) fn copy(
        &self,
        entry: &BackupEntry,
        mut put: impl FnMut(&[u8]) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let mut buffer = vec![0; tape::PIECE_BYTES];
        let mut digest = Sha256::new();
        let mut at = entry.offset;
        for piece in tape::pieces(entry.bytes) {
            let piece = &mut buffer[..piece];
            let read = self.file.read_exact_at(piece, at);
            read.map_err(BackupError::io("read", &self.path))?;
            at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            digest.update(&*piece);
            put(piece)?;
        }
        let found: [u8; 32] = digest.finalize().into();
        if found == entry.sha256 {
            Ok(())
        } else {
            Err(self.damaged(entry, "it changed while it was read"))
        }
    }

    fn check_journal(&self, tell: Tell<'_>) -> Result<Vec<LogEnd>, BackupError> {
        let disk = Arc::new(BackupDisk::new(Arc::clone(&self.file), &self.entries));
        let snapshot = Snapshot::open_on(disk, JOURNAL_DIR).map_err(|error| self.journal(error))?;
        let reader = snapshot.reader();
        let (mut groups, mut records) = (0, 0);
        for segment in reader.verify_all() {
            let segment = segment.map_err(|error| self.journal(error))?;
            groups += segment.groups;
            records += segment.records;
            tell(Progress {
                doing: Doing::CheckingJournal,
                done: records,
                total: self.header.records,
            });
        }
        let found = (reader.end(), groups, records, snapshot.unfinished_bytes());
        let header = &self.header;
        if found != (header.end(), header.groups, header.records, 0) {
            let why = format!(
                "it ends at {} after {groups} groups and {records} records, not at {} after {} \
                 and {}",
                reader.end(),
                header.end(),
                header.groups,
                header.records
            );
            return Err(self.journal(why));
        }
        self.log_ends(reader)
    }

    /// Reads every event, and follows every tenant's log to its end.
    fn log_ends(&self, reader: &JournalReader) -> Result<Vec<LogEnd>, BackupError> {
        let mut logs: BTreeMap<TenantId, (u64, Frontier)> = BTreeMap::new();
        for item in reader.records_from(Position::START) {
            let (at, record) = item.map_err(|error| self.journal(error))?;
            let (epoch, log) = logs.entry(record.tenant).or_default();
            *epoch = next_epoch(&record, *epoch, log.size())
                .map_err(|why| self.journal(format!("the record at {at} {why}")))?;
            log.append(leaf_hash(&record.payload));
        }
        let ends = logs.into_iter().map(|(tenant, (epoch, log))| LogEnd {
            tenant,
            epoch,
            size: log.size(),
            root: log.root(),
        });
        Ok(ends.collect())
    }

    fn damaged(&self, entry: &BackupEntry, why: &str) -> BackupError {
        BackupError::Damaged {
            path: self.path.clone(),
            offset: entry.offset,
            why: format!("{}: {why}", entry.name),
        }
    }

    fn journal(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackupError {
        BackupError::Journal {
            path: self.path.clone(),
            source: source.into(),
        }
    }
}

/// The epoch of a record that is the next of its tenant's log; otherwise, what is wrong with it.
fn next_epoch(record: &Record, epoch: u64, size: u64) -> Result<u64, String> {
    let envelope = Envelope::from_bytes(&record.payload)
        .map_err(|error| format!("cannot be understood: {error}"))?;
    if envelope.tenant != record.tenant || envelope.seq != record.seq {
        return Err("has a header that disagrees with its envelope".to_owned());
    }
    if envelope.seq != size + 1 || envelope.epoch < epoch {
        return Err(format!(
            "is {} of epoch {} where {} of epoch {epoch} is due",
            envelope.seq,
            envelope.epoch,
            size + 1
        ));
    }
    Ok(envelope.epoch)
}

fn read_head(reader: &mut Reader, path: &Path) -> Result<BackupHeader, BackupError> {
    let mut fixed = [0; HEAD_BYTES];
    reader.fill(&mut fixed)?;
    let length = match format::parse_head(&fixed) {
        Head::Header(length) => length,
        Head::Broken(why) => return Err(reader.damaged(8, why)),
        Head::Newer(version) => {
            let path = path.to_owned();
            return Err(BackupError::Newer { path, version });
        }
        Head::Foreign => {
            let path = path.to_owned();
            return Err(BackupError::NoBackup { path });
        }
    };
    let mut rest = vec![0; length + CRC_BYTES];
    reader.fill(&mut rest)?;
    let head = [&fixed[..], &rest].concat();
    let header: Option<BackupHeader> = format::without_crc(&head)
        .and_then(|head| serde_json::from_slice(&head[HEAD_BYTES..]).ok());
    header
        .filter(|header| header.format == format::VERSION)
        .ok_or_else(|| reader.damaged(0, "the header is not what was written"))
}

fn read_entries(reader: &mut Reader, tell: Tell<'_>) -> Result<Vec<BackupEntry>, BackupError> {
    let mut entries: Vec<BackupEntry> = Vec::new();
    loop {
        let start = reader.at();
        let mut fixed = [0; TAIL_BYTES];
        reader.fill(&mut fixed)?;
        if fixed.starts_with(&format::TAIL) {
            read_tail(reader, &fixed, entries.len())?;
            return Ok(entries);
        }
        let entry = read_entry(reader, fixed, tell)?;
        if entries.iter().any(|other| other.name == entry.name) {
            return Err(reader.damaged(start, format!("{} stands in it twice", entry.name)));
        }
        entries.push(entry);
    }
}

fn read_entry(
    reader: &mut Reader,
    begun: [u8; TAIL_BYTES],
    tell: Tell<'_>,
) -> Result<BackupEntry, BackupError> {
    let start = reader.at() - u64::try_from(TAIL_BYTES).unwrap_or(0);
    let broken = |reader: &Reader| reader.damaged(start, "an entry is not what was written");
    let mut fixed = [0; ENTRY_BYTES];
    fixed[..TAIL_BYTES].copy_from_slice(&begun);
    reader.fill(&mut fixed[TAIL_BYTES..])?;
    let Some(name) = EntryHead::name_bytes(&fixed) else {
        return Err(broken(reader));
    };
    let mut rest = vec![0; name + CRC_BYTES];
    reader.fill(&mut rest)?;
    let Some(head) = EntryHead::parse(&[&fixed[..], &rest].concat()) else {
        return Err(broken(reader));
    };
    reader.expect(head.bytes)?;
    let offset = reader.at();
    let mut digest = Sha256::new();
    let mut buffer = vec![0; tape::PIECE_BYTES];
    for piece in tape::pieces(head.bytes) {
        let piece = &mut buffer[..piece];
        reader.fill(piece)?;
        digest.update(&*piece);
        tell(Progress {
            doing: Doing::Reading,
            done: reader.at(),
            total: reader.length(),
        });
    }
    let sha256: [u8; 32] = digest.finalize().into();
    let mut written = [0; 32];
    reader.fill(&mut written)?;
    if sha256 != written {
        let why = format!("{} does not match its digest", head.name);
        return Err(reader.damaged(offset, why));
    }
    Ok(BackupEntry {
        name: head.name,
        mode: head.mode,
        offset,
        bytes: head.bytes,
        sha256,
    })
}

fn read_tail(
    reader: &mut Reader,
    fixed: &[u8; TAIL_BYTES],
    entries: usize,
) -> Result<(), BackupError> {
    let start = reader.at() - u64::try_from(TAIL_BYTES).unwrap_or(0);
    let entries = u32::try_from(entries).unwrap_or(u32::MAX);
    let digest = reader.digest();
    let mut rest = [0; 32 + END.len()];
    reader.fill(&mut rest)?;
    if *fixed != format::tail(entries, start) || rest[..32] != digest || rest[32..] != END[..] {
        return Err(reader.damaged(start, "the end does not match what stands before it"));
    }
    if reader.at() < reader.length() {
        return Err(reader.damaged(reader.at(), "something stands after the end"));
    }
    Ok(())
}

/// The name by which the journal's readers know the folder; no file system ever sees it.
const JOURNAL_DIR: &str = "journal";

/// As the longest private file that is read anywhere.
pub(super) const SMALL_BYTES_MAX: u64 = 256 * 1024;
