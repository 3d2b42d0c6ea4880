//! The index in memory: of the active segment while it grows, and until its file is written.

mod events;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    slice,
    sync::{Mutex, PoisonError},
};

use provost_protocol::{
    TenantId, Timestamp,
    envelope::Envelope,
    tlog::{Frontier, Hash},
};

pub(super) use self::events::Posting;
use self::events::{More, One};
use super::{IndexError, Matching, Span, Table, layout::stored_level, lookup::Marks};
use crate::convert::{to_u32, to_usize};

/// The index of one segment, in memory.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    tenants: BTreeMap<TenantId, GrowingTable>,
}

/// One tenant's events in it. Where many tenants have one event each, those are most of the index.
#[derive(Debug)]
pub(crate) enum GrowingTable {
    One(Box<One>),
    More(Box<More>),
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
        match self.tenants.entry(envelope.tenant) {
            Entry::Vacant(place) => {
                place.insert(GrowingTable::One(Box::new(One::of(
                    envelope, offset, marks,
                ))));
            }
            Entry::Occupied(mut place) => place.get_mut().insert(envelope, offset, marks),
        }
    }

    /// How many tenants have events here.
    pub(crate) fn len(&self) -> usize {
        self.tenants.len()
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
        if let Self::One(one) = self {
            *self = Self::More(Box::new(More::after(one)));
        }
        if let Self::More(more) = self {
            more.insert(envelope, offset, marks);
        }
    }

    /// When the newest id of its audit events was made.
    pub(crate) const fn newest_id(&self) -> Option<Timestamp> {
        match self {
            Self::One(one) => one.newest_id,
            Self::More(more) => more.newest_id,
        }
    }

    const fn first_seq(&self) -> u64 {
        match self {
            Self::One(one) => one.seq,
            Self::More(more) => more.first_seq,
        }
    }

    /// Where each record stands in the segment.
    pub(super) fn all_offsets(&self) -> &[u32] {
        match self {
            Self::One(one) => slice::from_ref(&one.offset),
            Self::More(more) => &more.offsets,
        }
    }

    /// When each was decided, in milliseconds.
    pub(super) fn all_times(&self) -> &[i64] {
        match self {
            Self::One(one) => slice::from_ref(&one.time),
            Self::More(more) => &more.times,
        }
    }

    pub(super) fn leaves(&self) -> &[Hash] {
        match self {
            Self::One(one) => slice::from_ref(&one.leaf),
            Self::More(more) => &more.leaves,
        }
    }

    /// Every term with the events that carry it, in no order.
    pub(super) fn postings(&self) -> Vec<(u64, &Posting)> {
        match self {
            Self::One(one) => one
                .terms
                .iter()
                .map(|term| (*term, Posting::ONLY))
                .collect(),
            Self::More(more) => more
                .postings
                .iter()
                .map(|(term, posting)| (*term, posting))
                .collect(),
        }
    }

    const fn tree(&self) -> &Mutex<Option<Box<Tree>>> {
        match self {
            Self::One(one) => &one.tree,
            Self::More(more) => &more.tree,
        }
    }

    /// Says that the tree before the first event is this; later calls change nothing.
    pub(crate) fn plant(&self, before: Frontier) {
        let mut tree = self.tree().lock().unwrap_or_else(PoisonError::into_inner);
        tree.get_or_insert_with(|| {
            Box::new(Tree {
                frontier: before,
                taken: 0,
                nodes: BTreeMap::new(),
            })
        });
    }

    /// Follows the leaves by some steps. `None` where the tree was not planted, else whether all
    /// leaves that there are were taken in.
    pub(crate) fn follow(&self) -> Option<bool> {
        let mut tree = self.tree().lock().unwrap_or_else(PoisonError::into_inner);
        let tree = tree.as_mut()?;
        let leaves = self.leaves();
        let until = leaves.len().min(tree.taken + LEAVES_AT_ONCE);
        for leaf in &leaves[tree.taken..until] {
            let nodes = &mut tree.nodes;
            tree.frontier.append_each(*leaf, |level, _, node| {
                if stored_level(level) == level {
                    nodes.entry(level).or_default().push(*node);
                }
            });
        }
        tree.taken = until;
        Some(until == leaves.len())
    }

    /// Reads the followed tree; `None` where some leaf is not in it.
    pub(super) fn followed<T>(
        &self,
        read: impl FnOnce(&Frontier, &BTreeMap<u8, Vec<Hash>>) -> T,
    ) -> Option<T> {
        let tree = self.tree().lock().unwrap_or_else(PoisonError::into_inner);
        let tree = tree
            .as_ref()
            .filter(|tree| tree.taken == self.leaves().len())?;
        Some(read(&tree.frontier, &tree.nodes))
    }
}

impl Table for GrowingTable {
    fn span(&self) -> Span {
        let (earliest, latest) = match self {
            Self::One(one) => (one.time, one.time),
            Self::More(more) => (more.earliest, more.latest),
        };
        Span {
            first_seq: self.first_seq(),
            entries: to_u32(self.all_offsets().len()),
            earliest: Timestamp::from_millis(earliest),
            latest: Timestamp::from_millis(latest),
        }
    }

    fn matching(&self, terms: &[u64]) -> Result<Matching, IndexError> {
        Ok(match self {
            Self::One(one) => one.matching(terms),
            Self::More(more) => more.matching(terms),
        })
    }

    fn offsets(&self, from: u32, count: u32) -> Result<Vec<u32>, IndexError> {
        stretch(self.all_offsets(), from.into(), count)
    }

    fn times(&self, from: u32, count: u32) -> Result<Vec<i64>, IndexError> {
        stretch(self.all_times(), from.into(), count)
    }

    fn nodes(&self, level: u8, index: u64, count: u32) -> Result<Vec<Hash>, IndexError> {
        // Taken from the tree's own count: more leaves may have come since it was followed.
        let from = index.checked_sub(self.span().nodes(level).start);
        let from = from.ok_or(UNKNOWN)?;
        if level == 0 {
            return stretch(self.leaves(), from, count);
        }
        let tree = self.tree().lock().unwrap_or_else(PoisonError::into_inner);
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
