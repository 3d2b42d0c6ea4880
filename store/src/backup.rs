//! Backups: one file that holds an installation as it was at one moment, made beside the running
//! kernel, and the way back.
//!
//! A backup holds the journal up to a whole group, and every file that lies in the data folder
//! itself: identity, certificates and **private keys**. Indexes and state are not in it; they are
//! built again. All numbers are little-endian.
//!
//! | at | bytes | head                                                                            |
//! |---:|------:|---------------------------------------------------------------------------------|
//! |  0 |     8 | magic `PVSTBKP` and `FF`                                                        |
//! |  8 |     2 | format version, 1                                                               |
//! | 10 |     2 | flags, 0; reserved for encryption, unknown ones are refused                     |
//! | 12 |     4 | length `n` of the header, at most 65,536                                        |
//! | 16 |   `n` | the header: a [`BackupHeader`] as one JSON object                               |
//! |    |     4 | CRC32C over all before                                                          |
//!
//! | at | bytes | each entry                                                                      |
//! |---:|------:|---------------------------------------------------------------------------------|
//! |  0 |     4 | magic `FF 42 45 FE`                                                             |
//! |  4 |     4 | permission bits of the file                                                     |
//! |  8 |     8 | length `m` of its content                                                       |
//! | 16 |     2 | length `n` of its name, at most 255                                             |
//! | 18 |   `n` | its name, relative to the data folder: `ca.key`, `journal/0000000000000001.seg` |
//! |    |     4 | CRC32C over the entry up to here                                                |
//! |    |   `m` | its content; a segment stands as it was stored, compressed or not               |
//! |    |    32 | SHA-256 of the content                                                          |
//!
//! | at | bytes | end                                                                             |
//! |---:|------:|---------------------------------------------------------------------------------|
//! |  0 |     4 | magic `FF 42 54 FE`                                                             |
//! |  4 |     4 | number of entries                                                               |
//! |  8 |     8 | length of the file before the end                                               |
//! | 16 |    32 | SHA-256 of the file up to here                                                  |
//! | 48 |     8 | end mark `PVSTEND` and `FF`, the last bytes of the file                         |
//!
//! Any later version keeps the place of magic and version, so that an old program can tell "newer
//! than I am" from "broken".
//!
//! **Making.** [`create`] checks every byte of the journal, writes `FILE.new`, syncs it, reads all
//! of it back as [`Backup::open`] does, and only then gives it its name. A crash leaves `FILE.new`,
//! which the next attempt replaces. The last segment is synced before it is read: a backup never
//! holds what a power cut could still take back from the kernel.
//!
//! **Going back.** [`restore`] fills an empty folder. The folder is refused by the kernel (by the
//! name of [`INCOMPLETE`], and because `install.json` comes last) until every tenant's log has got
//! its first event of a new epoch: `log.restored`. A crash anywhere leaves such a folder; it is
//! removed and the restore begun again.

mod create;
mod disk;
mod error;
mod format;
mod open;
mod restore;
mod tape;

use provost_journal::Position;
use provost_protocol::{InstallId, TenantId, Timestamp, tlog::Hash};
use serde::{Deserialize, Serialize};

pub use self::{
    create::{Making, create},
    error::BackupError,
    open::Backup,
    restore::{INCOMPLETE, Restored, Restoring, is_incomplete, restore},
};

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// The version of its format.
    pub format: u16,
    /// Whose it is.
    pub install_id: InstallId,
    /// When it was begun.
    pub created: Timestamp,
    /// The version of the program that made it.
    pub program: String,
    /// The journal's last segment.
    pub end_segment: u64,
    /// Where in that segment the journal ends.
    pub end_offset: u64,
    /// Groups in the journal.
    pub groups: u64,
    /// Records in the journal: one for each event.
    pub records: u64,
}

impl BackupHeader {
    /// Where the journal in it ends.
    #[must_use]
    pub const fn end(&self) -> Position {
        Position::new(self.end_segment, self.end_offset)
    }
}

/// One file in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupEntry {
    /// Its name, relative to the data folder.
    pub name: String,
    /// Its permission bits.
    pub mode: u32,
    /// Where its content stands in the backup.
    pub offset: u64,
    /// How long its content is.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// Where one tenant's log ends in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// Whose log.
    pub tenant: TenantId,
    /// The epoch of its last event.
    pub epoch: u64,
    /// How many events there are; the last one's sequence.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

/// What a long work is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Checking the kernel's own journal.
    Checking,
    /// Writing the backup.
    Writing,
    /// Reading a backup, all of it checked.
    Reading,
    /// Checking the journal in a backup.
    CheckingJournal,
    /// Writing the files of the new folder.
    Restoring,
    /// Building the state again from the journal.
    Replaying,
}

/// How far a long work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub doing: Doing,
    /// How much of it is done: bytes, and events where the state is built or checked.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// Hears how far a long work is.
pub type Tell<'a> = &'a mut dyn FnMut(Progress);

/// The folder of the journal, as entries name it.
const JOURNAL_PREFIX: &str = "journal/";
