//! One tenant's events in the growing index: one of them, in as little room as it needs, or more.

use std::{collections::HashMap, sync::Mutex};

use provost_protocol::{Timestamp, envelope::Envelope, event::Event, tlog::Hash};
use roaring::RoaringBitmap;

use super::Tree;
use crate::{
    backend::made,
    convert::{to_u32, to_usize},
    index::{Marks, Matching},
};

/// The only event.
#[derive(Debug)]
pub(crate) struct One {
    pub(super) seq: u64,
    pub(super) newest_id: Option<Timestamp>,
    pub(super) offset: u32,
    pub(super) time: i64,
    pub(super) leaf: Hash,
    pub(super) terms: Box<[u64]>,
    pub(super) tree: Mutex<Option<Box<Tree>>>,
}

/// More than one, of consecutive sequences.
#[derive(Debug)]
pub(crate) struct More {
    pub(super) first_seq: u64,
    pub(super) earliest: i64,
    pub(super) latest: i64,
    /// When the newest id of an audit event was made.
    pub(super) newest_id: Option<Timestamp>,
    pub(super) offsets: Vec<u32>,
    pub(super) times: Vec<i64>,
    pub(super) leaves: Vec<Hash>,
    pub(super) postings: HashMap<u64, Posting>,
    /// Follows the leaves when somebody asks for a node: the thread that writes the journal has
    /// better things to do.
    pub(super) tree: Mutex<Option<Box<Tree>>>,
}

/// The events that carry one term, by their numbers.
#[derive(Debug)]
pub(in crate::index) enum Posting {
    One(u32),
    Many(RoaringBitmap),
}

impl One {
    pub(super) fn of(envelope: &Envelope, offset: u64, marks: &Marks) -> Self {
        Self {
            seq: envelope.seq,
            newest_id: id_made(envelope),
            offset: offset_of(offset),
            time: envelope.time.as_millis(),
            leaf: marks.leaf,
            terms: marks.terms.clone(),
            tree: Mutex::new(None),
        }
    }

    pub(super) fn matching(&self, terms: &[u64]) -> Matching {
        // As below, a candidate is enough.
        match terms.first() {
            Some(term) if self.terms.contains(term) => Matching::One(0),
            _ => Matching::None,
        }
    }
}

impl More {
    /// Begins with the one that there was; what it leaves behind is empty.
    pub(super) fn after(one: &mut One) -> Self {
        let terms = one.terms.iter();
        Self {
            first_seq: one.seq,
            earliest: one.time,
            latest: one.time,
            newest_id: one.newest_id,
            offsets: vec![one.offset],
            times: vec![one.time],
            leaves: vec![one.leaf],
            postings: terms.map(|term| (*term, Posting::One(0))).collect(),
            tree: std::mem::take(&mut one.tree),
        }
    }

    pub(super) fn insert(&mut self, envelope: &Envelope, offset: u64, marks: &Marks) {
        let entry = to_u32(self.offsets.len());
        let time = envelope.time.as_millis();
        self.earliest = self.earliest.min(time);
        self.latest = self.latest.max(time);
        self.newest_id = self.newest_id.max(id_made(envelope));
        self.offsets.push(offset_of(offset));
        self.times.push(time);
        self.leaves.push(marks.leaf);
        for term in &marks.terms {
            let posting = self.postings.entry(*term);
            posting
                .and_modify(|posting| posting.push(entry))
                .or_insert(Posting::One(entry));
        }
    }

    pub(super) fn matching(&self, terms: &[u64]) -> Matching {
        let mut bitmaps = Vec::with_capacity(terms.len());
        for term in terms {
            match self.postings.get(term) {
                None => return Matching::None,
                // A candidate is enough: the caller looks whether it carries the rest.
                Some(Posting::One(entry)) => return Matching::One(*entry),
                Some(Posting::Many(bitmap)) => bitmaps.push(bitmap),
            }
        }
        bitmaps.sort_unstable_by_key(|bitmap| bitmap.len());
        let Some((rarest, others)) = bitmaps.split_first() else {
            return Matching::None;
        };
        let both = others
            .iter()
            .fold((*rarest).clone(), |both, other| both & *other);
        Matching::Many(both)
    }
}

impl Posting {
    /// That of a table's only event.
    pub(super) const ONLY: &'static Self = &ONLY;

    fn push(&mut self, entry: u32) {
        match self {
            Self::One(first) => *self = Self::Many([*first, entry].into_iter().collect()),
            Self::Many(bitmap) => {
                bitmap.insert(entry);
            }
        }
    }
}

static ONLY: Posting = Posting::One(0);

/// When the id of an audit event was made.
fn id_made(envelope: &Envelope) -> Option<Timestamp> {
    match &envelope.event {
        Event::AuditRecorded(recorded) => Some(made(recorded.event_id)),
        _ => None,
    }
}

/// A segment is at most 1 GiB and a group.
fn offset_of(offset: u64) -> u32 {
    to_u32(to_usize(offset))
}
