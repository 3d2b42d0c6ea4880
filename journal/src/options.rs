//! What can be chosen about a journal.

/// Whether older segments may ever go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Never: the journal is the truth, and one that does not begin with segment 1 is damaged.
    Everything,
    /// [`crate::Journal::forget_before`] may remove the oldest: a spool whose entries were delivered.
    Recent,
}

/// What can be chosen about a journal; the default is the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A segment that would grow beyond this is followed by a new one (1 KiB to 1 GiB).
    pub segment_bytes_max: u64,
    /// With less free space than this, appends are refused.
    pub free_bytes_min: u64,
    /// Whether older segments may ever go.
    pub keep: Keep,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes_max: SEGMENT_BYTES_MAX,
            free_bytes_min: FREE_BYTES_MIN,
            keep: Keep::Everything,
        }
    }
}

/// Large enough that a year of a busy kernel is some thousand files, small enough that the last
/// one is scanned in well under a second at open.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Below, headers outweigh content; above, offsets would not fit the shared end.
pub(crate) const SEGMENT_BYTES_RANGE: std::ops::RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;
/// Room for a state database to be rebuilt in part, for logs, and for an operator to log in and
/// act: a disk that is really full takes all of these away.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;
