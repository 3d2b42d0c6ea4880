//! The index in memory: of the active segment while it grows, and until its file is written.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use provost_protocol::{
    TenantId, Timestamp,
    envelope::Envelope,
    event::Event,
    tlog::{Frontier, Hash},
};
use roaring::RoaringBitmap;

use super::{IndexError, Matching, Span, Table, layout::stored_level, lookup::Marks};
use crate::{
    backend::made,
    convert::{to_u32, to_usize},
};

/// The index of one segment, in memory.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    tenants: BTreeMap<TenantId, GrowingTable>,
}

/// One tenant's events in it.
#[derive(Debug)]
pub(crate) struct GrowingTable {
    first_seq: u64,
    earliest: Timestamp,
    latest: Timestamp,
    /// When the newest id of an audit event was made.
    newest_id: Option<Timestamp>,
    pub(super) offsets: Vec<u32>,
    pub(super) times: Vec<i64>,
    pub(super) leaves: Vec<Hash>,
    pub(super) postings: HashMap<u64, Posting>,
    /// Follows the leaves when somebody asks for a node: the thread that writes the journal has
    /// better things to do.
    tree: Mutex<Option<Tree>>,
}

/// The events that carry one term, by their numbers.
#[derive(Debug, Clone)]
pub(super) enum Posting {
    One(u32),
    Many(RoaringBitmap),
}

/// The tenant's tree as far as it was followed.
#[derive(Debug)]
struct Tree {
    frontier: Frontier,
    /// Leaves of the table taken in.
    taken: usize,
    /// The nodes completed by them, of each stored level.
    nodes: BTreeMap<u8, Vec<Hash>>,
}

impl Growing {
    /// Takes in one event of the segment.
    pub(crate) fn insert(&mut self, envelope: &Envelope, offset: u64, marks: &Marks) {
        let table = self
            .tenants
            .entry(envelope.tenant)
            .or_insert_with(|| GrowingTable {
                first_seq: envelope.seq,
                earliest: envelope.time,
                latest: envelope.time,
                newest_id: None,
                offsets: Vec::new(),
                times: Vec::new(),
                leaves: Vec::new(),
                postings: HashMap::new(),
                tree: Mutex::new(None),
            });
        table.insert(envelope, offset, marks);
    }

    /// The tenant's table, if it has events here.
    pub(crate) fn tenant(&self, tenant: TenantId) -> Option<&GrowingTable> {
        self.tenants.get(&tenant)
    }

    /// Every tenant that has events here.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = (TenantId, &GrowingTable)> {
        self.tenants.iter().map(|(tenant, table)| (*tenant, table))
    }
}

impl GrowingTable {
    fn insert(&mut self, envelope: &Envelope, offset: u64, marks: &Marks) {
        let entry = to_u32(self.offsets.len());
        self.earliest = self.earliest.min(envelope.time);
        self.latest = self.latest.max(envelope.time);
        if let Event::AuditRecorded(recorded) = &envelope.event {
            self.newest_id = self.newest_id.max(Some(made(recorded.event_id)));
        }
        // A segment is at most 1 GiB and a group.
        self.offsets.push(to_u32(to_usize(offset)));
        self.times.push(envelope.time.as_millis());
        self.leaves.push(marks.leaf);
        for term in &marks.terms {
            let posting = self.postings.entry(*term);
            posting
                .and_modify(|posting| posting.push(entry))
                .or_insert(Posting::One(entry));
        }
    }

    /// When the newest id of its audit events was made.
    pub(crate) const fn newest_id(&self) -> Option<Timestamp> {
        self.newest_id
    }

    /// Says that the tree before the first event is this; later calls change nothing.
    pub(crate) fn plant(&self, before: Frontier) {
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        tree.get_or_insert(Tree {
            frontier: before,
            taken: 0,
            nodes: BTreeMap::new(),
        });
    }

    /// Follows the leaves by some steps. `None` where the tree was not planted, else whether all
    /// leaves that there are were taken in.
    pub(crate) fn follow(&self) -> Option<bool> {
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = tree.as_mut()?;
        let until = self.leaves.len().min(tree.taken + LEAVES_AT_ONCE);
        for leaf in &self.leaves[tree.taken..until] {
            let nodes = &mut tree.nodes;
            tree.frontier.append_each(*leaf, |level, _, node| {
                if stored_level(level) == level {
                    nodes.entry(level).or_default().push(*node);
                }
            });
        }
        tree.taken = until;
        Some(until == self.leaves.len())
    }

    /// Reads the followed tree; `None` where some leaf is not in it.
    pub(super) fn followed<T>(
        &self,
        read: impl FnOnce(&Frontier, &BTreeMap<u8, Vec<Hash>>) -> T,
    ) -> Option<T> {
        let tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = tree
            .as_ref()
            .filter(|tree| tree.taken == self.leaves.len())?;
        Some(read(&tree.frontier, &tree.nodes))
    }
}

impl Posting {
    fn push(&mut self, entry: u32) {
        match self {
            Self::One(first) => *self = Self::Many([*first, entry].into_iter().collect()),
            Self::Many(bitmap) => {
                bitmap.insert(entry);
            }
        }
    }
}

impl Table for GrowingTable {
    fn span(&self) -> Span {
        Span {
            first_seq: self.first_seq,
            entries: to_u32(self.offsets.len()),
            earliest: self.earliest,
            latest: self.latest,
        }
    }

    fn matching(&self, terms: &[u64]) -> Result<Matching, IndexError> {
        let mut bitmaps = Vec::with_capacity(terms.len());
        for term in terms {
            match self.postings.get(term) {
                None => return Ok(Matching::None),
                // A candidate is enough: the caller looks whether it carries the rest.
                Some(Posting::One(entry)) => return Ok(Matching::One(*entry)),
                Some(Posting::Many(bitmap)) => bitmaps.push(bitmap),
            }
        }
        bitmaps.sort_unstable_by_key(|bitmap| bitmap.len());
        let Some((rarest, others)) = bitmaps.split_first() else {
            return Ok(Matching::None);
        };
        let both = others
            .iter()
            .fold((*rarest).clone(), |both, other| both & *other);
        Ok(Matching::Many(both))
    }

    fn offsets(&self, from: u32, count: u32) -> Result<Vec<u32>, IndexError> {
        stretch(&self.offsets, from.into(), count)
    }

    fn times(&self, from: u32, count: u32) -> Result<Vec<i64>, IndexError> {
        stretch(&self.times, from.into(), count)
    }

    fn nodes(&self, level: u8, index: u64, count: u32) -> Result<Vec<Hash>, IndexError> {
        // Taken from the tree's own count: more leaves may have come since it was followed.
        let from = index.checked_sub(self.span().nodes(level).start);
        let from = from.ok_or(UNKNOWN)?;
        if level == 0 {
            return stretch(&self.leaves, from, count);
        }
        let tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = tree.as_ref().and_then(|tree| tree.nodes.get(&level));
        stretch(nodes.ok_or(UNKNOWN)?, from, count)
    }

    fn frontier(&self) -> Result<Frontier, IndexError> {
        self.followed(|frontier, _| frontier.clone()).ok_or(UNKNOWN)
    }
}

fn stretch<T: Clone>(values: &[T], from: u64, count: u32) -> Result<Vec<T>, IndexError> {
    let from = to_usize(from);
    let until = from.saturating_add(to_usize(count.into()));
    Ok(values.get(from..until).ok_or(UNKNOWN)?.to_vec())
}

/// Whoever asks was told by the span what there is.
const UNKNOWN: IndexError = IndexError::damaged(0, "what is asked for is not in memory");

/// About two milliseconds: whoever follows the active segment holds back its writer so long.
const LEAVES_AT_ONCE: usize = 4_096;
