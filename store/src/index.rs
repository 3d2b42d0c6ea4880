//! The index of one segment: for each tenant where its events stand and when they were decided,
//! the nodes of its Merkle tree, and postings by what people ask for.
//!
//! The index of the active segment grows in memory ([`Growing`]); when the segment is sealed it is
//! written beside it as `.idx`, of which only the checksums and marks of the directory stay in
//! memory ([`Sealed`]), so that a tenant that sleeps costs next to none. Both answer the same
//! questions ([`Table`]). An index is disposable: a missing, damaged or older one is built again
//! from its segment.
//!
//! # The file
//!
//! Version 2, all numbers little-endian. Header, directory, checksums, body:
//!
//! | at | bytes | header field                                          |
//! |---:|------:|-------------------------------------------------------|
//! |  0 |     8 | magic `PVSTIDX2` (`PVSTIDX1` is known, and built again) |
//! |  8 |     8 | segment number                                        |
//! | 16 |     4 | number of tenants                                     |
//! | 20 |     4 | length of a block of the body, 4,096                  |
//! | 24 |     8 | length of the body                                    |
//! | 32 |     4 | CRC32C of the directory                               |
//! | 36 |     4 | CRC32C of the checksums                               |
//! | 40 |    20 | zeros; reserved                                       |
//! | 60 |     4 | CRC32C of the 60 bytes before                         |
//!
//! The directory has 64 bytes for each tenant, in order of its id:
//!
//! | at | bytes | field                                                 |
//! |---:|------:|-------------------------------------------------------|
//! |  0 |    16 | tenant                                                |
//! | 16 |     8 | sequence of its first event here                      |
//! | 24 |     8 | earliest time of its events here, in milliseconds     |
//! | 32 |     8 | latest time                                           |
//! | 40 |     4 | events (consecutive sequences)                        |
//! | 44 |     4 | terms                                                 |
//! | 48 |     4 | length of its bitmaps                                 |
//! | 52 |     4 | length of its section                                 |
//! | 56 |     8 | where in the body its section begins                  |
//!
//! The checksums are the CRC32C of each block of the body, 4 bytes each; the last block is shorter.
//! So every read checks what it reads and no more. A section, its columns one after the other:
//!
//! | column | content |
//! |---|---|
//! | frontier | the complete subtrees after the last event, largest first, 32 each |
//! | offsets | of each record in the segment (as it was before any compression), 4 each |
//! | times | when each was decided, milliseconds, 8 each |
//! | leaves | leaf hashes, 32 each |
//! | nodes | inner nodes that these leaves complete, 32 each: levels 4, 8, 12, then 16 and every level above |
//! | buckets | 2^b + 1 numbers of 4: where in the terms those begin whose upper b bits are this; b is the least with at most 64 terms a bucket on average |
//! | terms | hash 8, value 4, sorted: the only event's number here, or with the highest bit where its bitmap begins |
//! | bitmaps | each its length 4 and a roaring bitmap (portable format) of the events' numbers |

mod blocks;
mod directory;
mod growing;
mod layout;
mod lookup;
mod recent;
mod sealed;
mod search;
mod section;
#[cfg(test)]
mod tests;
mod write;

use provost_protocol::tlog::{Frontier, Hash};
use roaring::RoaringBitmap;

pub use self::lookup::{event_lookup, idempotency_lookup, lookup_keys};
pub(crate) use self::{
    growing::{Growing, GrowingTable},
    layout::{Span, stored_level, stored_levels},
    lookup::{Marks, lookup_term, query_terms},
    recent::Recent,
    sealed::Sealed,
    search::{Entry, Filter, newest},
    section::SealedTable,
    write::write,
};

/// One tenant's events in one segment, in memory or in a file.
pub(crate) trait Table {
    /// Which events, of what times.
    fn span(&self) -> Span;

    /// The events that carry all these terms, which are at least one. Hashes collide: the caller
    /// reads each event and looks.
    fn matching(&self, terms: &[u64]) -> Result<Matching, IndexError>;

    /// Offsets of `count` records from number `from` on.
    fn offsets(&self, from: u32, count: u32) -> Result<Vec<u32>, IndexError>;

    /// When `count` events from number `from` on were decided.
    fn times(&self, from: u32, count: u32) -> Result<Vec<i64>, IndexError>;

    /// `count` nodes of the tenant's whole tree from `index` on, at a [`stored_level`]; all are
    /// completed by events that stand here.
    fn nodes(&self, level: u8, index: u64, count: u32) -> Result<Vec<Hash>, IndexError>;

    /// The tree after the last event here.
    fn frontier(&self) -> Result<Frontier, IndexError>;
}

impl<T: Table + ?Sized> Table for &T {
    fn span(&self) -> Span {
        (**self).span()
    }

    fn matching(&self, terms: &[u64]) -> Result<Matching, IndexError> {
        (**self).matching(terms)
    }

    fn offsets(&self, from: u32, count: u32) -> Result<Vec<u32>, IndexError> {
        (**self).offsets(from, count)
    }

    fn times(&self, from: u32, count: u32) -> Result<Vec<i64>, IndexError> {
        (**self).times(from, count)
    }

    fn nodes(&self, level: u8, index: u64, count: u32) -> Result<Vec<Hash>, IndexError> {
        (**self).nodes(level, index, count)
    }

    fn frontier(&self) -> Result<Frontier, IndexError> {
        (**self).frontier()
    }
}

/// Events of one table, by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Matching {
    None,
    One(u32),
    Many(RoaringBitmap),
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The disk failed, or the file is gone.
    #[error("the index cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// What stands there is not what was written.
    #[error("the index is damaged at byte {offset}: {why}")]
    Damaged {
        /// Where in the file.
        offset: u64,
        /// How many bytes of sections from there on cannot be trusted; none where it is the tables
        /// before them.
        bytes: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// Whole, but of a version that is not written any more.
    #[error("the index is of an earlier format")]
    Earlier,
    /// More than one file can say.
    #[error("the index does not fit in one file")]
    TooLarge,
}

impl IndexError {
    pub(crate) const fn damaged(offset: u64, why: &'static str) -> Self {
        Self::damaged_part((offset, 0), why)
    }

    /// Bytes of sections: where, and how many.
    const fn damaged_part((offset, bytes): (u64, u64), why: &'static str) -> Self {
        Self::Damaged { offset, bytes, why }
    }
}
