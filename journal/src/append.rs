//! What an append comes to: where its records stand, or why there are none.

use std::io;

use crate::{
    group::{self, GROUP_BYTES_MAX, GROUP_RECORDS_MAX},
    record::{PAYLOAD_BYTES_MAX, Position, Record},
};

/// A group that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The group's number.
    pub group: u64,
    /// Where each record stands, in the order given.
    pub positions: Vec<Position>,
    /// Where the group ends.
    pub end: Position,
    /// The segment that was sealed to make room, if one was: it never changes again.
    pub rolled: Option<u64>,
}

/// Why a group was not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There was no record in it.
    #[error("a group needs at least one record")]
    Empty,
    /// More than a group holds; nothing was written.
    #[error("{records} records of {bytes} bytes are more than a group holds")]
    TooLarge {
        /// How many records there were.
        records: usize,
        /// How long they are on the disk.
        bytes: usize,
    },
    /// A payload of more than [`PAYLOAD_BYTES_MAX`] bytes; nothing was written.
    #[error("a payload of {bytes} bytes is above the limit")]
    PayloadTooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// The disk is nearly full; nothing was written. Reads go on, and so do appends once there
    /// is room again.
    #[error("the disk is nearly full: {free} bytes left, {min} are kept free")]
    NearlyFull {
        /// How much is free.
        free: u64,
        /// How much is kept free.
        min: u64,
    },
    /// The write failed and was undone; the same group can be tried again.
    #[error("the write failed and was undone")]
    Write(#[source] io::Error),
    /// What stands on the disk is not known. The process must end; nothing is retried.
    #[error("the journal cannot go on: {what} failed")]
    Fatal {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There was an [`AppendError::Fatal`] before.
    #[error("the journal refuses everything since it failed")]
    Poisoned,
    /// [`crate::Journal::forget_before`] on a journal that keeps everything.
    #[error("this journal keeps everything")]
    KeepsEverything,
}

/// Whether the records fit into one group.
pub(crate) fn check_limits(records: &[Record]) -> Result<(), AppendError> {
    if records.is_empty() {
        return Err(AppendError::Empty);
    }
    if let Some(record) = records
        .iter()
        .find(|record| record.payload.len() > PAYLOAD_BYTES_MAX)
    {
        return Err(AppendError::PayloadTooLarge {
            bytes: record.payload.len(),
        });
    }
    let bytes = group::body_bytes(records);
    if records.len() > GROUP_RECORDS_MAX || bytes > GROUP_BYTES_MAX {
        return Err(AppendError::TooLarge {
            records: records.len(),
            bytes,
        });
    }
    Ok(())
}
