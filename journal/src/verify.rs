//! The full check: every byte of every segment up to the durable end, and the hash chain through
//! all groups. It runs beside the writer and changes nothing.

use crate::{
    chain::Chain,
    convert::to_u64,
    damage::locate,
    flaw::{Fault, Flaw, StoredFlaw},
    group,
    packed::{Packed, Summary},
    reader::{ReadError, Reader},
    record::Position,
    segment,
    stored::SegmentFile,
    window::Window,
};

/// A segment in which every byte is what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSegment {
    /// Its number.
    pub number: u64,
    /// The name of its file.
    pub segment: String,
    /// How many groups stand in it.
    pub groups: u64,
    /// How many records stand in those.
    pub records: u64,
    /// How long the segment is; more than its file, where that is compressed.
    pub bytes: u64,
}

/// The full check of a journal, one segment a step; ends after the first damage.
#[derive(Debug)]
pub struct Verification {
    reader: Reader,
    // Taken once: groups that become durable meanwhile are for the next check.
    end: Position,
    next: u64,
    chain: Chain,
}

impl Verification {
    pub(crate) fn new(reader: Reader) -> Self {
        let end = reader.end();
        let next = reader.shared.first_segment();
        Self {
            reader,
            end,
            next,
            chain: Chain::new(),
        }
    }

    fn verify(&mut self, number: u64) -> Result<VerifiedSegment, ReadError> {
        let (groups, records) = (self.chain.groups, self.chain.records);
        let (mut window, name) = self.reader.whole(number, self.end)?;
        let entered = segment::Header::read(&mut window, number)
            .and_then(|header| Ok(self.chain.enter(&header)?));
        entered.map_err(|fault| locate(&mut window, 0, fault))?;
        while self.chain.offset < window.limit() {
            self.chain
                .take(&mut window)
                .map_err(|fault| locate(&mut window, self.chain.offset, fault))?;
        }
        let found = Summary {
            groups: self.chain.groups - groups,
            records: self.chain.records - records,
            hash: self.chain.hash,
            sealed: self.chain.sealed,
        };
        // The last one of a snapshot may have gone on and been compressed since.
        let packed = window.file().as_packed();
        let packed = packed.filter(|packed| packed.header().length == window.limit());
        if packed.is_some_and(|packed| *packed.summary() != found) {
            let why = StoredFlaw {
                offset: 0,
                lost: 0..window.limit(),
                why: Flaw::Layout,
            };
            return Err(locate(&mut window, 0, Fault::Stored(why)));
        }
        Ok(VerifiedSegment {
            number,
            segment: name,
            groups: found.groups,
            records: found.records,
            bytes: window.limit(),
        })
    }
}

impl Iterator for Verification {
    type Item = Result<VerifiedSegment, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.end.segment {
            return None;
        }
        let outcome = self.verify(self.next);
        self.next = if outcome.is_ok() {
            self.next + 1
        } else {
            u64::MAX
        };
        Some(outcome)
    }
}

impl Reader {
    /// Checks every stored byte of one segment up to the durable end against its checksums, without
    /// decompressing and without the chain; says how many bytes those were. It costs reading the
    /// file and little more: it is for looking at everything often, [`Reader::verify_all`] for
    /// looking at everything well.
    ///
    /// # Errors
    /// [`ReadError`]: the first damage, or the disk failed.
    pub fn check_stored(&self, segment: u64) -> Result<u64, ReadError> {
        self.refuse_unknown(segment)?;
        let (mut window, _) = self.whole(segment, self.end())?;
        let file = window.file().clone();
        match file.as_packed() {
            Some(packed) => check_packed(&file, packed),
            None => check_raw(&mut window),
        }
    }

    /// A window on all of a segment before `end`, opened afresh: nothing that was checked before is
    /// taken for checked. With the name of its file.
    fn whole(&self, number: u64, end: Position) -> Result<(Window, String), ReadError> {
        let failed = |fault: Fault| self.open_failure(number, fault);
        let file = self.folder.open(number).map_err(failed)?;
        let limit = if number == end.segment {
            end.offset
        } else {
            file.length().map_err(|error| failed(error.into()))?
        };
        let name = file.name();
        Ok((Window::new(file, limit), name))
    }
}

fn check_packed(file: &SegmentFile, packed: &Packed) -> Result<u64, ReadError> {
    for index in 0..packed.header().blocks() {
        let checked = packed.check_block(index).map_err(Fault::from);
        checked.map_err(|fault| file.failure(0, fault, || 0..u64::MAX))?;
    }
    Ok(packed.stored_bytes())
}

fn check_raw(window: &mut Window) -> Result<u64, ReadError> {
    let number = window.file().number;
    let header = segment::Header::read(window, number);
    let header = header.map_err(|fault| locate(window, 0, fault))?;
    let (mut offset, mut due) = (segment::first_offset(), header.first_group);
    while offset < window.limit() {
        let bytes = check_group(window, offset, due);
        offset += bytes.map_err(|fault| locate(window, offset, fault))?;
        due = due.saturating_add(1);
    }
    Ok(window.limit())
}

fn check_group(window: &mut Window, offset: u64, due: u64) -> Result<u64, Fault> {
    let header = group::Header::read(window, offset)?;
    if header.number != due {
        return Err(Flaw::Number {
            expected: due,
            found: header.number,
        }
        .into());
    }
    let bytes = header.group(window, offset)?;
    Ok(to_u64(bytes.len()))
}
