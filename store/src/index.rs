//! The index of one segment: for each tenant where its events stand, their leaf hashes, and
//! postings by what people ask for.
//!
//! The index of the active segment grows in memory; when the segment is sealed it is written
//! beside it as `.idx`. It is disposable: a missing or damaged one is rebuilt from the segment.
//!
//! # The file
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `PVSTIDX1` |
//! | 8 | segment number, little endian |
//! | 4 | length of the body |
//! | 4 | CRC32C of the body |
//! | n | body: time of the newest event in milliseconds (8), then for each tenant in order of its id: id (16), first sequence (8), entries (4), postings (4), then offsets (8 each), leaf hashes (32 each), postings (hash 8, entry 4 each, sorted) |

mod lookup;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use provost_protocol::{TenantId, Timestamp, envelope::Envelope};

pub(crate) use self::lookup::lookup_posting;
use self::lookup::postings;
pub use self::lookup::{event_lookup, idempotency_lookup, lookup_keys};
use crate::merkle::Hash;

/// The index of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    /// When its newest event was decided.
    last_time: Option<Timestamp>,
    tenants: BTreeMap<TenantId, TenantTable>,
}

/// Where one tenant's events stand in one segment. Consecutive sequences, one entry each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TenantTable {
    /// Sequence of the first entry.
    first_seq: u64,
    /// Offset of each record in the segment.
    offsets: Vec<u64>,
    /// Leaf hash of each record.
    leaves: Vec<Hash>,
    postings: Postings,
}

/// Hash of what is asked for → entries, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Postings {
    /// Of the active segment: looked up on the hot path while it grows.
    Growing(HashMap<u64, Vec<u32>>),
    /// Of a sealed segment: sorted, a third of the memory.
    Sealed(Vec<(u64, u32)>),
}

impl Default for Postings {
    fn default() -> Self {
        Self::Growing(HashMap::new())
    }
}

/// One event, located.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its sequence.
    pub seq: u64,
    /// Offset of its record in the segment.
    pub offset: u64,
    /// Its leaf hash.
    pub leaf: Hash,
}

/// Why a file is not the index of a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the index file is damaged or of another segment")]
pub(crate) struct IndexDamaged;

impl SegmentIndex {
    /// Takes in one event of the segment.
    pub(crate) fn insert(&mut self, envelope: &Envelope, offset: u64, leaf: Hash) {
        self.last_time = self.last_time.max(Some(envelope.time));
        let table = self.tenants.entry(envelope.tenant).or_default();
        if table.offsets.is_empty() {
            table.first_seq = envelope.seq;
        }
        let entry = u32::try_from(table.offsets.len()).unwrap_or(u32::MAX);
        table.offsets.push(offset);
        table.leaves.push(leaf);
        if let Postings::Growing(map) = &mut table.postings {
            for hash in postings(envelope) {
                map.entry(hash).or_default().push(entry);
            }
        }
    }

    /// The tenant's table, if it has events here.
    #[must_use]
    pub(crate) fn tenant(&self, tenant: TenantId) -> Option<&TenantTable> {
        self.tenants.get(&tenant)
    }

    /// When the segment's newest event was decided.
    #[must_use]
    pub(crate) fn last_time(&self) -> Timestamp {
        self.last_time.unwrap_or(Timestamp::MIN)
    }

    /// Every tenant that has events here.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = (TenantId, &TenantTable)> {
        self.tenants.iter().map(|(tenant, table)| (*tenant, table))
    }

    /// Ends the growth: from here on the index is what [`from_file`](Self::from_file) reads back.
    pub(crate) fn seal(&mut self) {
        for table in self.tenants.values_mut() {
            table.postings.seal();
        }
    }

    /// Writes the file of a sealed segment.
    ///
    /// # Errors
    /// [`IndexDamaged`] where the index does not fit in one file.
    pub(crate) fn to_file(&self, segment: u64) -> Result<Vec<u8>, IndexDamaged> {
        let mut body = self.last_time().as_millis().to_le_bytes().to_vec();
        for (tenant, table) in &self.tenants {
            body.extend_from_slice(tenant.as_bytes());
            table.write(&mut body)?;
        }
        let mut file = header(segment, &body)?;
        file.extend_from_slice(&body);
        Ok(file)
    }

    /// Reads a file back.
    ///
    /// # Errors
    /// [`IndexDamaged`] for anything but exactly what [`to_file`](Self::to_file) wrote.
    pub(crate) fn from_file(file: &[u8], segment: u64) -> Result<Self, IndexDamaged> {
        let (head, mut body) = file.split_at_checked(HEADER_BYTES).ok_or(IndexDamaged)?;
        if head != header(segment, body)? {
            return Err(IndexDamaged);
        }
        let last_time = Some(Timestamp::from_millis(i64::from_le_bytes(take(&mut body)?)));
        let mut tenants = BTreeMap::new();
        while !body.is_empty() {
            let id = take(&mut body)?;
            let tenant = TenantId::from_bytes(id).map_err(|_| IndexDamaged)?;
            tenants.insert(tenant, TenantTable::read(&mut body)?);
        }
        Ok(Self { last_time, tenants })
    }
}

impl TenantTable {
    /// Sequence of the first event here.
    #[must_use]
    pub(crate) const fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Sequence of the last event here.
    #[must_use]
    pub(crate) fn last_seq(&self) -> u64 {
        let entries = u64::try_from(self.offsets.len()).unwrap_or(u64::MAX);
        self.first_seq.saturating_add(entries).saturating_sub(1)
    }

    /// The entry of one sequence.
    #[must_use]
    pub(crate) fn entry(&self, seq: u64) -> Option<Entry> {
        let index = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        Some(Entry {
            seq,
            offset: *self.offsets.get(index)?,
            leaf: *self.leaves.get(index)?,
        })
    }

    /// Candidates that carry the posting, newest first. Hashes collide: the caller reads the event
    /// and looks.
    #[must_use]
    pub(crate) fn find(&self, posting: u64) -> Vec<Entry> {
        let entries: Vec<u32> = match &self.postings {
            Postings::Growing(map) => map.get(&posting).cloned().unwrap_or_default(),
            Postings::Sealed(sorted) => {
                let from = sorted.partition_point(|(hash, _)| *hash < posting);
                let same = sorted[from..]
                    .iter()
                    .take_while(|(hash, _)| *hash == posting);
                same.map(|(_, entry)| *entry).collect()
            }
        };
        let seq = |entry: &u32| self.entry(self.first_seq.saturating_add(u64::from(*entry)));
        entries.iter().rev().filter_map(seq).collect()
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), IndexDamaged> {
        let Postings::Sealed(postings) = &self.postings else {
            return Err(IndexDamaged);
        };
        let count = |length: usize| u32::try_from(length).map_err(|_| IndexDamaged);
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&count(self.offsets.len())?.to_le_bytes());
        out.extend_from_slice(&count(postings.len())?.to_le_bytes());
        for offset in &self.offsets {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        for leaf in &self.leaves {
            out.extend_from_slice(leaf);
        }
        for (hash, entry) in postings {
            out.extend_from_slice(&hash.to_le_bytes());
            out.extend_from_slice(&entry.to_le_bytes());
        }
        Ok(())
    }

    fn read(body: &mut &[u8]) -> Result<Self, IndexDamaged> {
        let first_seq = u64::from_le_bytes(take(body)?);
        let entries = u32::from_le_bytes(take(body)?);
        let postings = u32::from_le_bytes(take(body)?);
        if entries == 0 {
            return Err(IndexDamaged);
        }
        let mut table = Self {
            first_seq,
            ..Self::default()
        };
        for _ in 0..entries {
            table.offsets.push(u64::from_le_bytes(take(body)?));
        }
        for _ in 0..entries {
            table.leaves.push(take(body)?);
        }
        let mut sorted = Vec::new();
        for _ in 0..postings {
            sorted.push((
                u64::from_le_bytes(take(body)?),
                u32::from_le_bytes(take(body)?),
            ));
        }
        table.postings = Postings::Sealed(sorted);
        Ok(table)
    }
}

impl Postings {
    fn seal(&mut self) {
        if let Self::Growing(map) = self {
            let mut sorted: Vec<(u64, u32)> = Vec::with_capacity(map.len());
            for (hash, entries) in map.iter() {
                sorted.extend(entries.iter().map(|entry| (*hash, *entry)));
            }
            sorted.sort_unstable();
            *self = Self::Sealed(sorted);
        }
    }
}

fn take<const N: usize>(body: &mut &[u8]) -> Result<[u8; N], IndexDamaged> {
    let (head, rest) = body.split_first_chunk::<N>().ok_or(IndexDamaged)?;
    *body = rest;
    Ok(*head)
}

fn header(segment: u64, body: &[u8]) -> Result<Vec<u8>, IndexDamaged> {
    let length = u32::try_from(body.len()).map_err(|_| IndexDamaged)?;
    let mut header = Vec::with_capacity(HEADER_BYTES + body.len());
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&segment.to_le_bytes());
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    Ok(header)
}

const MAGIC: &[u8; 8] = b"PVSTIDX1";
const HEADER_BYTES: usize = 24;
