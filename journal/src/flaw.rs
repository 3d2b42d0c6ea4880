//! Why bytes on the disk are not what the format says, in one list for every reader of them.

use std::{io, ops::Range};

/// What is wrong at one place of a segment file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The file ends, or is cut, before the thing that starts here does.
    #[error("cut short: {have} of {need} bytes are there")]
    Short {
        /// How many bytes it says it has, or its header needs.
        need: u64,
        /// How many there are up to the end of the file.
        have: u64,
    },
    /// The first bytes are not those of a group or segment.
    #[error("the magic bytes are missing")]
    Magic,
    /// The header does not match its own checksum.
    #[error("the header does not match its checksum")]
    HeaderChecksum,
    /// Whole, but of a format this program does not know.
    #[error("format version {0} is not known to this program")]
    Version(u16),
    /// Whole, but uses a feature this program does not know.
    #[error("flags {0:#06x} are not known to this program")]
    Flags(u16),
    /// The header names more than a group may hold.
    #[error("{records} records in {bytes} bytes are more than a group may hold")]
    TooLarge {
        /// The count it names.
        records: u32,
        /// The length it names.
        bytes: u32,
    },
    /// The records do not match their checksum.
    #[error("the records do not match their checksum")]
    BodyChecksum,
    /// The checksum holds, but the records inside do not add up.
    #[error("the records do not add up to their group")]
    Records,
    /// A number is not the one that is due here.
    #[error("number {found} stands where {expected} is due")]
    Number {
        /// The number due.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// The hash of what went before is not the one written here.
    #[error("the hash of the group before does not match")]
    Chain,
    /// A segment that must be there is not.
    #[error("the segment file is missing")]
    Missing,
    /// The sizes a compressed segment names do not add up to its file, or are out of range.
    #[error("the sizes it names do not add up")]
    Layout,
    /// The table of a compressed segment's blocks does not match its checksum.
    #[error("the table of blocks does not match its checksum")]
    TableChecksum,
    /// A compressed block does not match its checksum.
    #[error("a compressed block does not match its checksum")]
    BlockChecksum,
    /// A compressed block matches its checksum and yet does not decompress to what it should.
    #[error("a compressed block does not decompress")]
    Block,
}

impl Flaw {
    /// Whether a write that was interrupted can look like this. Anything else was whole once.
    pub(crate) const fn may_be_torn(&self) -> bool {
        matches!(
            self,
            Self::Short { .. } | Self::Magic | Self::HeaderChecksum | Self::BodyChecksum
        )
    }

    /// Whether a newer program wrote this: nothing is broken, and nothing may be cut.
    pub(crate) const fn is_unsupported(&self) -> bool {
        matches!(self, Self::Version(_) | Self::Flags(_))
    }
}

/// What is wrong with the stored bytes of a compressed segment, below the offsets that everybody
/// else counts in. It travels inside an [`io::Error`] through [`crate::disk::DiskFile`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct StoredFlaw {
    /// Where in the file.
    pub(crate) offset: u64,
    /// Which bytes of the segment cannot be had.
    pub(crate) lost: Range<u64>,
    pub(crate) why: Flaw,
}

impl From<StoredFlaw> for io::Error {
    fn from(flaw: StoredFlaw) -> Self {
        Self::new(io::ErrorKind::InvalidData, flaw)
    }
}

/// Why reading one thing failed: the disk, or what stands on it.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    /// At the place of the segment that was being read.
    Flaw(Flaw),
    /// At the place of the file that it names.
    Stored(StoredFlaw),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.downcast::<StoredFlaw>() {
            Ok(flaw) => Self::Stored(flaw),
            Err(error) => Self::Io(error),
        }
    }
}

impl From<Flaw> for Fault {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}
