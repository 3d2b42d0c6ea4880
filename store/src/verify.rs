//! The offline check of everything that a store keeps for ever: every byte of journal and indexes,
//! and that they say the same.
//!
//! It changes nothing and takes no lock, so it runs beside a kernel that writes: what it looks at
//! is the journal as it was when the check began. Of each segment it checks
//!
//! - all bytes against their checksums, and the hash chain through all groups;
//! - each record: that it is an envelope, of the tenant and sequence that its header says, the
//!   tenant's next one, of an epoch not before the last one's;
//! - the index: all bytes against their checksums; offsets, times, leaf hashes, stored nodes of the
//!   tree and the tree's edge against those that the records have.
//!
//! A segment whose index is missing or of an earlier format is no finding: the next start builds it.

mod compare;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_journal::{
    Damage as JournalDamage, OpenError as JournalOpenError, Position, ReadError as JournalError,
    Reader, Snapshot, Verification,
    disk::{Disk, RealDisk},
};
use provost_protocol::{
    TenantId,
    envelope::Envelope,
    tlog::{Frontier, Hash},
};

use self::compare::compare;
use crate::{
    convert::to_u64,
    damage::Damage,
    index::{Growing, IndexError, Marks, Sealed},
    open::JOURNAL,
    segments::{index_path, name_closed, name_index},
};

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Segments checked so far.
    pub done: u64,
    /// Segments there are.
    pub segments: u64,
    /// Events seen so far.
    pub events: u64,
}

/// What a check came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments there are.
    pub segments: u64,
    /// Bytes of segments checked, as they are without compression.
    pub bytes: u64,
    /// Events seen.
    pub events: u64,
    /// Indexes checked.
    pub indexes: u64,
    /// Sealed segments without an index of today's format; the next start builds it.
    pub indexes_missing: u64,
    /// Where each tenant's log ends, and the root there, by what the journal says.
    pub tenants: BTreeMap<TenantId, (u64, Hash)>,
    /// Everything that is not as it was written, in the order of the segments.
    pub findings: Vec<Damage>,
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no journal, it is of a newer format, or the disk failed.
    #[error("the journal does not open")]
    Open(#[source] JournalOpenError),
    /// The disk failed.
    #[error("the journal cannot be read")]
    Read(#[source] JournalError),
}

/// Checks the journal and the indexes of the store in `dir`, and says how far it is after each
/// segment.
///
/// # Errors
/// [`VerifyError`]; damage is no error but a finding.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<VerifyReport, VerifyError> {
    let journal = dir.join(JOURNAL);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut report = VerifyReport::default();
    let snapshot = match Snapshot::open_on(Arc::clone(&disk), &journal) {
        Ok(snapshot) => snapshot,
        Err(JournalOpenError::Damaged { damage, .. }) => {
            report.findings.push(name_closed(&disk, &journal, &damage));
            return Ok(report);
        }
        Err(error) => return Err(VerifyError::Open(error)),
    };
    let reader = snapshot.reader().clone();
    let segments = reader.segments();
    report.segments = to_u64(segments.len());
    let mut check = Check {
        chain: Some(reader.verify_all()),
        reader,
        disk,
        journal,
        tenants: BTreeMap::new(),
        report,
    };
    for (done, segment) in (1..).zip(&segments) {
        check.bytes(segment.number)?;
        let scanned = check.records(segment.number)?;
        if segment.sealed {
            check.index(segment.number, scanned.as_ref());
        }
        progress(Progress {
            done,
            segments: check.report.segments,
            events: check.report.events,
        });
    }
    let ends = check.tenants.into_iter();
    check.report.tenants = ends
        .map(|(tenant, end)| (tenant, (end.tree.size(), end.tree.root())))
        .collect();
    Ok(check.report)
}

struct Check {
    reader: Reader,
    /// The check of every byte and of the chain, up to the first damage.
    chain: Option<Verification>,
    disk: Arc<dyn Disk>,
    journal: PathBuf,
    tenants: BTreeMap<TenantId, End>,
    report: VerifyReport,
}

/// Where a tenant's log ends so far.
#[derive(Debug, Clone, Default)]
struct End {
    epoch: u64,
    tree: Frontier,
    /// Whether a sequence was missing: what follows is another log's tree.
    broken: bool,
}

impl Check {
    fn bytes(&mut self, segment: u64) -> Result<(), VerifyError> {
        let checked = match &mut self.chain {
            Some(chain) => chain.next().map(|step| step.map(|step| step.bytes)),
            // The chain is broken; the bytes can still be looked at.
            None => Some(self.reader.check_stored(segment)),
        };
        match checked {
            None => Ok(()),
            Some(Ok(bytes)) => {
                self.report.bytes += bytes;
                Ok(())
            }
            Some(Err(JournalError::Damaged(damage))) => {
                self.chain = None;
                self.find(&damage);
                Ok(())
            }
            Some(Err(error)) => Err(VerifyError::Read(error)),
        }
    }

    /// Reads all records of a segment; what they make as an index, unless some cannot be read.
    fn records(&mut self, segment: u64) -> Result<Option<Growing>, VerifyError> {
        let mut index = Growing::default();
        let mut before: BTreeMap<TenantId, Frontier> = BTreeMap::new();
        for item in self.reader.records_from(Position::new(segment, 0)) {
            let (at, record) = match item {
                Ok(item) => item,
                // It was found by its bytes already.
                Err(JournalError::Damaged(damage)) => {
                    self.doubt(&damage);
                    return Ok(None);
                }
                Err(error) => return Err(VerifyError::Read(error)),
            };
            if at.segment != segment {
                break;
            }
            self.report.events += 1;
            let stands = (record.tenant, record.seq);
            match Envelope::from_bytes(&record.payload) {
                Ok(envelope) if (envelope.tenant, envelope.seq) == stands => {
                    self.take(&envelope, at);
                    let marks = Marks::of(&envelope, &record.payload);
                    index.insert(&envelope, at.offset, &marks);
                    let end = self.tenants.entry(envelope.tenant).or_default();
                    before
                        .entry(envelope.tenant)
                        .or_insert_with(|| end.tree.clone());
                    end.tree.append(marks.leaf);
                }
                Ok(_) => self.say(at, record.tenant, "the record's header names another event"),
                Err(error) => self.say(at, record.tenant, &format!("no envelope: {error}")),
            }
        }
        for (tenant, table) in index.tenants() {
            table.plant(before.remove(&tenant).unwrap_or_default());
            while table.follow() == Some(false) {}
        }
        Ok(Some(index))
    }

    /// Whether an event is its tenant's next one.
    fn take(&mut self, envelope: &Envelope, at: Position) {
        let end = self.tenants.entry(envelope.tenant).or_default();
        let due = end.tree.size() + 1;
        let fell = envelope.epoch < end.epoch;
        end.epoch = end.epoch.max(envelope.epoch);
        let gap = envelope.seq != due && !end.broken;
        end.broken |= gap;
        if gap {
            let why = format!("event {} stands where {due} is due", envelope.seq);
            self.say(at, envelope.tenant, &why);
        }
        if fell {
            self.say(at, envelope.tenant, "an epoch before the last event's");
        }
    }

    fn index(&mut self, segment: u64, scanned: Option<&Growing>) {
        let path = index_path(self.journal.join(provost_journal::file_name(segment)));
        let opened = Sealed::open(Arc::clone(&self.disk), &path, segment);
        let (index, why) = match opened {
            Ok(index) => match self.held_against(&index, scanned) {
                Ok(()) => return,
                Err(why) => (Some(index), why),
            },
            Err(why) => (None, why),
        };
        match name_index(segment, index.as_ref(), &why) {
            Some(found) => self.report.findings.push(found),
            None => self.report.indexes_missing += 1,
        }
    }

    /// Checks every byte of an index, and that it says what the records say.
    fn held_against(
        &mut self,
        index: &Sealed,
        scanned: Option<&Growing>,
    ) -> Result<(), IndexError> {
        index.check()?;
        self.report.indexes += 1;
        scanned.map_or(Ok(()), |scanned| {
            compare(index, scanned, |tenant| self.is_broken(tenant))
        })
    }

    /// Whether a gap in the tenant's log was named: its trees differ because of it.
    fn is_broken(&self, tenant: TenantId) -> bool {
        self.tenants.get(&tenant).is_none_or(|end| end.broken)
    }

    fn doubt(&mut self, damage: &JournalDamage) {
        let known = self
            .report
            .findings
            .iter()
            .any(|found| found.file == damage.file);
        if !known {
            self.find(damage);
        }
        // What could not be read is missing from every tree that it was in.
        let hit = self.report.findings.iter().flat_map(|found| &found.tenants);
        for tenant in hit {
            self.tenants.entry(*tenant).or_default().broken = true;
        }
    }

    fn find(&mut self, damage: &JournalDamage) {
        let named = name_closed(&self.disk, &self.journal, damage);
        self.report.findings.push(named);
    }

    fn say(&mut self, at: Position, tenant: TenantId, why: &str) {
        self.report.findings.push(Damage {
            file: provost_journal::file_name(at.segment),
            offset: at.offset,
            tenants: vec![tenant],
            why: why.to_owned(),
        });
    }
}
