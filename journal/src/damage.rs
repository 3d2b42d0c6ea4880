//! Naming damage: in which file, where, and what of the journal is lost with it.

use std::{fmt, ops::Range};

use crate::{
    chain::next_header,
    convert::{to_u64, to_usize},
    flaw::{Fault, Flaw},
    group::{self, HEADER_BYTES, Header},
    reader::ReadError,
    segment,
    window::Window,
};

/// Stored bytes that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment's number.
    pub segment: u64,
    /// The name of the file that is really there: the segment's, or of its compressed form.
    pub file: String,
    /// Where in that file the damaged thing starts: a group, a header, a table, a block.
    pub offset: u64,
    /// Which bytes of the segment cannot be had or trusted, counted as positions are. A record is
    /// hit if any byte of it lies in here: it may start before. Ends at [`u64::MAX`] where nobody
    /// can tell how long the segment was.
    pub lost: Range<u64>,
    /// What is wrong.
    pub why: Flaw,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file, self.offset, self.why)
    }
}

/// What a fault is called outside that was found at `offset` of the window's segment.
pub(crate) fn locate(window: &mut Window, offset: u64, fault: Fault) -> ReadError {
    let file = window.file().clone();
    file.failure(offset, fault, || extent(window, offset))
}

/// What is lost with a group or a segment's header: of a group whose length is known only the
/// records whose own checksums fail, if there are such.
fn extent(window: &mut Window, offset: u64) -> Range<u64> {
    if offset < segment::first_offset() {
        // Groups are found from the header on only.
        return 0..window.file().length().unwrap_or(u64::MAX);
    }
    let header = Header::read(window, offset).ok();
    let left = window.limit().saturating_sub(offset);
    let Some(header) = header.filter(|header| header.bytes() <= left) else {
        let next = next_header(window, offset + 1, |_| true);
        return offset..next.ok().flatten().unwrap_or(window.limit());
    };
    match window.slice(offset, to_usize(header.bytes())) {
        Ok(bytes) => {
            let lost = broken_records(bytes);
            offset + lost.start..offset + lost.end
        }
        Err(_) => offset..offset + header.bytes(),
    }
}

/// From the first to the last record of a group that does not match its own checksum; all of it if
/// none is found.
fn broken_records(group: &[u8]) -> Range<u64> {
    let mut broken: Option<Range<usize>> = None;
    let mut end = HEADER_BYTES;
    for raw in group::raw_records(&group[HEADER_BYTES..]) {
        let start = end;
        // Where lengths are broken, nobody knows where the next record starts.
        end = match &raw {
            Ok((_, header, payload)) => start + header.len() + payload.len(),
            Err(_) => group.len(),
        };
        if raw.is_err() || group::record(&group[start..end]).is_err() {
            let first = broken.map_or(start, |known| known.start);
            broken = Some(first..end);
        }
    }
    let lost = broken.unwrap_or(0..group.len());
    to_u64(lost.start)..to_u64(lost.end)
}
