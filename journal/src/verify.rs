//! The full check: every byte of every segment up to the durable end, and the hash chain through
//! all groups. It runs beside the writer and changes nothing.

use crate::{
    chain::Chain,
    flaw::Fault,
    reader::{ReadError, Reader},
    record::Position,
    segment::{self, file_name},
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
    /// How many bytes were checked.
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
        let at = |offset: u64, fault: Fault| ReadError::at(Position::new(number, offset), fault);
        let (groups, records) = (self.chain.groups, self.chain.records);
        let mut window = self.enter(number).map_err(|fault| at(0, fault))?;
        while self.chain.offset < window.limit() {
            self.chain
                .take(&mut window)
                .map_err(|fault| at(self.chain.offset, fault))?;
        }
        Ok(VerifiedSegment {
            number,
            segment: file_name(number),
            groups: self.chain.groups - groups,
            records: self.chain.records - records,
            bytes: window.limit(),
        })
    }

    fn enter(&mut self, number: u64) -> Result<Window, Fault> {
        let file = self.reader.file(number)?;
        let limit = if number == self.end.segment {
            self.end.offset
        } else {
            file.length()?
        };
        let mut window = Window::new(file, limit);
        let header = segment::Header::read(&mut window, number)?;
        self.chain.enter(&header)?;
        Ok(window)
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
