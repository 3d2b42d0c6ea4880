//! The chain of groups: what is due next, and how one more is taken in, from a header alone or
//! with everything checked.

use crate::{
    convert::{to_u64, to_usize},
    flaw::{Fault, Flaw},
    group::{self, Digest, Header},
    packed::Summary,
    segment,
    window::Window,
};

/// How far a chain of groups has been followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Where in its segment the next group is due.
    pub(crate) offset: u64,
    /// The number of the next group.
    pub(crate) next_group: u64,
    /// The hash of the last one.
    pub(crate) hash: Digest,
    /// Groups taken in, over all segments.
    pub(crate) groups: u64,
    /// Records in them.
    pub(crate) records: u64,
    /// Whether the last group is a seal, or there is none: nothing waits to be attested.
    pub(crate) sealed: bool,
    /// Whether a segment was entered.
    started: bool,
}

impl Chain {
    /// The chain before the first group of a journal.
    pub(crate) fn new() -> Self {
        Self {
            offset: segment::first_offset(),
            next_group: 1,
            hash: [0; 32],
            groups: 0,
            records: 0,
            sealed: true,
            started: false,
        }
    }

    /// Goes on in the segment with this header, which must follow from what was taken in.
    pub(crate) fn enter(&mut self, header: &segment::Header) -> Result<(), Flaw> {
        if !self.started && header.number > 1 {
            // The oldest that was kept: what went before is gone on purpose.
            self.next_group = header.first_group;
            self.hash = header.previous;
        }
        self.started = true;
        check_number(self.next_group, header.first_group)?;
        if header.previous != self.hash {
            return Err(Flaw::Chain);
        }
        self.offset = segment::first_offset();
        Ok(())
    }

    /// Takes in the next group, everything checked.
    pub(crate) fn take(&mut self, window: &mut Window) -> Result<(), Fault> {
        let header = Header::read(window, self.offset)?;
        check_number(self.next_group, header.number)?;
        if header.previous != self.hash {
            return Err(Flaw::Chain.into());
        }
        let hash = group::hash(header.group(window, self.offset)?);
        self.advance(&header);
        self.hash = hash;
        Ok(())
    }

    /// Follows a sealed segment to its end by headers; only its last group is read whole.
    pub(crate) fn follow_headers(&mut self, window: &mut Window) -> Result<(), Fault> {
        let mut last = None;
        while self.offset < window.limit() {
            let header = Header::read(window, self.offset)?;
            check_number(self.next_group, header.number)?;
            let have = window.limit() - self.offset;
            if header.bytes() > have {
                return Err(Flaw::Short {
                    need: header.bytes(),
                    have,
                }
                .into());
            }
            last = Some((self.offset, header));
            self.advance(&header);
        }
        if let Some((offset, header)) = last {
            let end = std::mem::replace(&mut self.offset, offset);
            self.hash = group::hash(header.group(window, offset)?);
            self.offset = end;
        }
        Ok(())
    }

    /// Passes a segment of this length by what was true of all its groups when it was compressed.
    pub(crate) const fn pass(&mut self, length: u64, summary: &Summary) {
        self.offset = length;
        self.next_group = self.next_group.saturating_add(summary.groups);
        self.groups = self.groups.saturating_add(summary.groups);
        self.records = self.records.saturating_add(summary.records);
        self.hash = summary.hash;
        self.sealed = summary.sealed;
    }

    pub(crate) fn advance(&mut self, header: &Header) {
        self.offset += header.bytes();
        self.next_group += 1;
        self.groups += 1;
        self.records += u64::from(header.records);
        self.sealed = header.records == 0;
    }
}

/// Whether anywhere from `from` on stands the header of a group later than `number`.
///
/// Such a header was begun only after group `number` was durable, so it proves that what stands in
/// that group's place is damage and no torn write, whether or not the later group is itself whole.
pub(crate) fn later_header(window: &mut Window, from: u64, number: u64) -> Result<bool, Fault> {
    let later = |header: &Result<Header, Flaw>| match header {
        Ok(header) => header.number > number,
        Err(flaw) => flaw.is_unsupported(),
    };
    Ok(next_header(window, from, later)?.is_some())
}

/// The first place from `from` on where a group header starts that is whole and `wanted`.
pub(crate) fn next_header(
    window: &mut Window,
    from: u64,
    wanted: impl Fn(&Result<Header, Flaw>) -> bool,
) -> Result<Option<u64>, Fault> {
    let mut at = from;
    while window.limit().saturating_sub(at) >= HEADER {
        let length = (window.limit() - at).min(SEARCH_BYTES);
        let bytes = window.slice(at, to_usize(length))?;
        for (index, candidate) in bytes.windows(group::HEADER_BYTES).enumerate() {
            if candidate[..4] != group::MAGIC {
                continue;
            }
            let header = candidate
                .first_chunk()
                .expect("windows of exactly this length");
            let header = Header::parse(header);
            let whole = !matches!(header, Err(Flaw::HeaderChecksum));
            if whole && wanted(&header) {
                return Ok(Some(at + to_u64(index)));
            }
        }
        at += length - HEADER + 1;
    }
    Ok(None)
}

const fn check_number(expected: u64, found: u64) -> Result<(), Flaw> {
    if expected == found {
        Ok(())
    } else {
        Err(Flaw::Number { expected, found })
    }
}

/// [`group::HEADER_BYTES`] as a length in a file.
const HEADER: u64 = 64;
/// One window at a time; steps overlap by a header.
const SEARCH_BYTES: u64 = 256 * 1024;
