//! The durable spool: what was accepted is delivered to the kernel, in order, once.
//!
//! An event is acknowledged when it is in the spool's journal. A deliverer reads from the place up
//! to which the kernel has confirmed, sends batches, and moves that place only after the answer.
//! When an answer is lost the same bytes go out again, and the kernel, which knows event ids,
//! records them once. What survives a crash: every acknowledged event, and the place.
//!
//! Nothing is dropped to make room: a full spool refuses, and the caller hears 503.

mod cursor;
mod dead;
mod deliver;
mod portion;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use provost_journal::{Journal, OpenError, Options, ReadError, Reader};
use provost_protocol::{Code, Problem};
use tokio::sync::{Notify, watch};
use tracing::info;

use crate::{
    durable::{self, DurableError},
    event::SpoolEvent,
};

use cursor::{Cursor, CursorFile};
use dead::DeadLetters;
pub(crate) use deliver::{Courier, Delivered, deliver};
use writer::Writer;

/// Why the spool cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The journal refuses: in use, damaged, or the disk failed.
    #[error("the spool's journal cannot be opened")]
    Open(#[source] OpenError),
    /// The journal cannot be read.
    #[error("the spool's journal cannot be read")]
    Read(#[source] ReadError),
    /// A file beside the journal cannot be read or written.
    #[error("the spool's own files are out of reach")]
    File(#[from] DurableError),
    /// The writer's thread cannot be started.
    #[error("the spool's writer cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Why events were not accepted. Nothing of them is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SpoolRefusal {
    /// As many bytes wait for the kernel as may.
    #[error("the spool is full")]
    Full,
    /// The writer has too much to do.
    #[error("the spool is busy")]
    Busy,
    /// The disk is full or failing.
    #[error("the spool cannot write")]
    Disk,
    /// One event is too large for the journal.
    #[error("the event is too large for the spool")]
    TooLarge,
}

impl SpoolRefusal {
    /// The refusal as callers of the local API see it.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Full => Problem::new(
                Code::Overloaded,
                "the spool is full: the kernel has not been reached for too long",
            )
            .retry_after_ms(FULL_RETRY_MS),
            Self::Busy => Problem::new(Code::Overloaded, "too many events at once")
                .retry_after_ms(BUSY_RETRY_MS),
            Self::Disk => Problem::new(
                Code::StorageUnavailable,
                "the connector's disk is full or failing",
            )
            .retry_after_ms(FULL_RETRY_MS),
            Self::TooLarge => Problem::new(Code::PayloadTooLarge, "the event is too large"),
        }
    }
}

/// What waits for the kernel.
#[derive(Debug)]
pub(crate) struct Spool {
    writer: Writer,
    reader: Reader,
    cursor: CursorFile,
    dead: DeadLetters,
    depth: Arc<Depth>,
    bytes_max: u64,
    /// Told when something came in.
    arrived: Notify,
}

/// How much waits.
#[derive(Debug, Default)]
pub(crate) struct Depth {
    pub(crate) events: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// One submission at a time looks at the bound and takes its part of it.
    taking: Mutex<()>,
}

impl Spool {
    /// Opens the spool in a folder.
    pub(crate) fn open(folder: &Path, bytes_max: u64, free_min: u64) -> Result<Self, SpoolError> {
        durable::create_folder(folder)?;
        let options = Options {
            segment_bytes_max: SEGMENT_BYTES,
            free_bytes_min: free_min,
            keep: provost_journal::Keep::Recent,
        };
        let (journal, recovery) =
            Journal::open(folder.join("journal"), options).map_err(SpoolError::Open)?;
        if let Some(cut) = &recovery.cut {
            info!(segment = %cut.segment, offset = cut.offset, bytes = cut.bytes,
                "a torn end of the spool was cut: it was never acknowledged");
        }
        let cursor = CursorFile::open(&folder.join("delivered.json"))?;
        let reader = journal.reader();
        let depth = Depth::default();
        let mut last = cursor.get().number;
        for record in reader.records_from(cursor.get().position()) {
            let (_, record) = record.map_err(SpoolError::Read)?;
            depth.add(1, cost(record.payload.len()));
            last = last.max(record.seq);
        }
        let writer = Writer::start(journal, last + 1).map_err(SpoolError::Thread)?;
        let dead = DeadLetters::open(&folder.join("dead-letters.jsonl"))?;
        Ok(Self {
            writer,
            reader,
            cursor,
            dead,
            depth: Arc::new(depth),
            bytes_max,
            arrived: Notify::new(),
        })
    }

    /// Accepts events, all or none; durable when this returns. Gives the number of each.
    pub(crate) async fn append(&self, events: Vec<SpoolEvent>) -> Result<Vec<u64>, SpoolRefusal> {
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let bytes = events.iter().map(|event| cost(event.json.len())).sum();
        self.depth.take(count, bytes, self.bytes_max)?;
        let numbers = self.writer.append(events).await;
        match &numbers {
            Ok(_) => self.arrived.notify_one(),
            Err(_) => self.depth.sub(count, bytes),
        }
        numbers
    }

    /// Events that wait for the kernel.
    pub(crate) fn waiting(&self) -> u64 {
        self.depth.events.load(Ordering::Relaxed)
    }

    /// Bytes that wait for the kernel.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.depth.bytes.load(Ordering::Relaxed)
    }

    /// Events that the kernel refused for good.
    pub(crate) fn dead_letters(&self) -> u64 {
        self.dead.count()
    }

    /// Set once the journal failed for good: the process must end.
    pub(crate) fn failed(&self) -> watch::Receiver<bool> {
        self.writer.failed()
    }

    /// Writes what was accepted, seals, and releases the folder.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
    }
}

impl Depth {
    fn take(&self, events: u64, bytes: u64, bytes_max: u64) -> Result<(), SpoolRefusal> {
        let _one_at_a_time = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > bytes_max {
            return Err(SpoolRefusal::Full);
        }
        self.add(events, bytes);
        Ok(())
    }

    fn add(&self, events: u64, bytes: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, events: u64, bytes: u64) {
        self.events.fetch_sub(events, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What an event takes of the bound: its bytes and the record's header.
fn cost(payload: usize) -> u64 {
    u64::try_from(payload)
        .unwrap_or(u64::MAX)
        .saturating_add(RECORD_BYTES)
}

/// The journal's header of one record.
const RECORD_BYTES: u64 = 32;

/// Delivered segments are removed whole: small ones give the disk back soon.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// A link that was down for weeks does not come back within seconds.
const FULL_RETRY_MS: u64 = 30_000;

/// A few groups of the journal.
const BUSY_RETRY_MS: u64 = 200;

#[cfg(test)]
mod tests;
