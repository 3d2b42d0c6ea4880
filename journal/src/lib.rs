//! An append-only log on disk: what was acknowledged is there, whole and in order, or the journal
//! says where it is not.
//!
//! The kernel's store keeps its truth in one, the connector its spool. A journal is a folder of
//! *segments*; a segment is a file of *groups*; a group is the records that became durable with one
//! `fdatasync`. The crate knows nothing of what a record says: a payload is bytes.
//!
//! - [`Journal`] writes, one group at a time; [`GroupWriter`] is the thread that makes one group of
//!   everything that waits.
//! - [`Reader`] reads from any thread meanwhile, and sees nothing that is not durable.
//!   [`Reader::compress`] puts a sealed segment into less room; every position stays.
//! - [`Snapshot`] reads a journal that somebody else writes.
//! - [`Journal::open`] recovers: a torn end is cut, damage is refused and named, never guessed
//!   over. What exactly is checked stands in the source of `recover`, the byte layout in `group`
//!   and `segment`.
//!
//! It will never change a byte that was acknowledged, retry an `fsync`, repair by leaving something
//! out, or keep more in memory than one group and one window of a file for each reader, and four
//! blocks of each compressed segment that is open.
//! Everything it does to the disk goes through [`disk::Disk`].
//!
//! ```
//! use provost_journal::{Journal, Options, Position, Record};
//! use provost_protocol::TenantId;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path();
//! # let options = Options { free_bytes_min: 0, ..Options::default() };
//! let tenant: TenantId = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
//! let (mut journal, recovery) = Journal::open(dir, options)?;
//! assert_eq!(recovery.cut, None);
//!
//! let appended = journal.append(&[Record::new(tenant, 1, &b"{\"v\":1}"[..])])?;
//! // Durable from here on: only now may anybody be told.
//!
//! let reader = journal.reader();
//! let record = reader.read_at(appended.positions[0])?;
//! assert_eq!(record.seq, 1);
//! assert_eq!(reader.records_from(Position::START).count(), 1);
//! # Ok(())
//! # }
//! ```

mod append;
mod chain;
mod compress;
mod convert;
mod damage;
pub mod disk;
pub mod fail_points;
mod flaw;
mod folder;
mod group;
mod groups;
mod journal;
mod opening;
mod options;
mod pace;
mod packed;
mod queue;
mod read;
mod reader;
mod record;
mod recover;
mod segment;
mod shared;
mod sink;
mod snapshot;
mod stored;
mod submit;
mod verify;
mod window;
mod writer;

pub use append::{AppendError, Appended};
pub use compress::{CompressError, Compressed};
pub use damage::Damage;
pub use flaw::Flaw;
pub use group::{GROUP_BYTES_MAX, GROUP_RECORDS_MAX};
pub use groups::{Group, Groups, Records};
pub use journal::Journal;
pub use opening::{Cut, OpenError, Recovery};
pub use options::{Keep, Options};
pub use queue::{QUEUE_BYTES_MAX, QUEUE_ITEMS_MAX};
pub use reader::{ReadError, Reader, Segment};
pub use record::{PAYLOAD_BYTES_MAX, Position, Record};
pub use segment::file_name;
pub use sink::{Durable, Fatal, Landed, RefusedWhy, Sink};
pub use snapshot::Snapshot;
pub use submit::{Rejected, SubmitError, Submitter};
pub use verify::{Verification, VerifiedSegment};
pub use writer::{GroupWriter, ShutdownTimedOut};
