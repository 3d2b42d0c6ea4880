//! What opening a journal comes to: what was found and cut, or why it was refused.

use std::{io, path::PathBuf};

use crate::{damage::Damage, record::Position};

/// Why a journal could not be opened. Nothing on the disk was changed, [`OpenError::Io`] apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another journal of this one, has the folder.
    #[error("the journal in {} is in use by another process", dir.display())]
    Locked {
        /// The journal's folder.
        dir: PathBuf,
    },
    /// Something that was durable is not what was written.
    #[error("the journal is damaged: {damage}; {hint}")]
    Damaged {
        /// What, where, and what is lost with it.
        damage: Damage,
        /// What an operator does about it.
        hint: &'static str,
    },
    /// A newer program wrote this: nothing is broken.
    #[error("{} at byte {} was written by a newer program: {}", .0.file, .0.offset, .0.why)]
    Unsupported(Damage),
    /// A value in [`crate::Options`] is out of its range.
    #[error("{0} is out of range")]
    Options(&'static str),
    /// The disk failed.
    #[error("the disk failed: {what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The torn end that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The name of the segment's file.
    pub segment: String,
    /// Where the file ends since.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// What was found when a journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The torn end, if there was one.
    pub cut: Option<Cut>,
    /// How many segments there are.
    pub segments: u64,
    /// How many groups stand in them, seals too.
    pub groups: u64,
    /// How many records stand in those.
    pub records: u64,
    /// The number of the last group; `None` in an empty journal.
    pub last_group: Option<u64>,
    /// Where the last group ends and the next one will start.
    pub end: Position,
}
