//! Where the process can be made to die, between what is decided and what is answered.
//!
//! Compiled in only with the feature `fail-points`, which `provost-bench` alone asks for; in every
//! other build [`reach`] is nothing. A point that is set (`NAME=return` in `FAILPOINTS`) ends the
//! process at once: nothing is flushed, nothing is dropped, as if it had been killed exactly there.

/// Every point of this crate, in the order of the way.
#[cfg(feature = "fail-points")]
pub const ALL: [&str; 15] = [
    GROUP_FORMED,
    BEFORE_WRITE,
    HALF_WRITTEN,
    BEFORE_SYNC,
    AFTER_SYNC,
    BEFORE_SINK,
    BEFORE_SEAL,
    SEGMENT_CREATED,
    SEGMENT_SYNCED,
    SEGMENT_NAMED,
    COMPRESS_WRITTEN,
    COMPRESS_SYNCED,
    COMPRESS_RENAMED,
    COMPRESS_NAMED,
    COMPRESS_REMOVED,
];

/// What a process that ends at a point says on standard error, followed by the point's name.
#[cfg(feature = "fail-points")]
pub const LAST_WORDS: &str = "the process ends at fail point ";

/// Ends the process here, if this point is set.
#[cfg(feature = "fail-points")]
pub fn reach(point: &str) {
    fail::fail_point!(point, |_| end(point));
}

/// Does nothing: the fail points are not compiled in.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub const fn reach(_point: &str) {}

/// As [`reach`], after something was done by halves.
#[cfg(feature = "fail-points")]
pub(crate) fn reach_after(point: &str, half: impl FnOnce()) {
    fail::fail_point!(point, |_| {
        half();
        end(point)
    });
}

/// As [`reach`].
#[cfg(not(feature = "fail-points"))]
#[inline]
pub(crate) fn reach_after(_point: &str, _half: impl FnOnce()) {}

#[cfg(feature = "fail-points")]
fn end(point: &str) {
    use std::io::Write as _;
    // One write: another thread's line does not come between.
    let words = format!("{LAST_WORDS}{point}\n");
    let _ = std::io::stderr().write_all(words.as_bytes());
    std::process::abort();
}

/// All that waited is one group; nothing of it is written.
pub(crate) const GROUP_FORMED: &str = "journal.group-formed";
/// The group is encoded; nothing of it is in the file.
pub(crate) const BEFORE_WRITE: &str = "journal.before-write";
/// Half of the group is in the file: a torn end.
pub(crate) const HALF_WRITTEN: &str = "journal.half-written";
/// The group is in the file, not yet synced.
pub(crate) const BEFORE_SYNC: &str = "journal.before-sync";
/// The group is durable; nobody knows.
pub(crate) const AFTER_SYNC: &str = "journal.after-sync";
/// Readers see the group; the sink has not heard of it.
pub(crate) const BEFORE_SINK: &str = "journal.before-sink";
/// The last group is about to be attested.
pub(crate) const BEFORE_SEAL: &str = "journal.before-seal";
/// The next segment's file is there, empty.
pub(crate) const SEGMENT_CREATED: &str = "journal.segment-created";
/// The next segment's header is durable, its name is not.
pub(crate) const SEGMENT_SYNCED: &str = "journal.segment-synced";
/// The next segment is durable; no group stands in it.
pub(crate) const SEGMENT_NAMED: &str = "journal.segment-named";
/// A sealed segment's compressed copy is written under another name, not yet synced.
pub(crate) const COMPRESS_WRITTEN: &str = "journal.compress-written";
/// The copy is durable; whether it is the segment was not looked at.
pub(crate) const COMPRESS_SYNCED: &str = "journal.compress-synced";
/// The copy has its name, not yet durably; the original is there too.
pub(crate) const COMPRESS_RENAMED: &str = "journal.compress-renamed";
/// The copy's name is durable; the original is there too.
pub(crate) const COMPRESS_NAMED: &str = "journal.compress-named";
/// The original is gone, not yet durably.
pub(crate) const COMPRESS_REMOVED: &str = "journal.compress-removed";
