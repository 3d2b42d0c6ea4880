//! Reading forwards: whole groups, or the records in them.

use crate::{
    damage::locate,
    flaw::{Fault, Flaw},
    group::{self, Header},
    reader::{ReadError, Reader},
    record::{Position, Record},
    segment,
    window::Window,
};

/// One durable group: what was appended together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub number: u64,
    /// Where it starts.
    pub start: Position,
    /// Where it ends: the watermark of whoever has taken it in.
    pub end: Position,
    /// Its records and where each stands; none in a seal.
    pub records: Vec<(Position, Record)>,
}

/// The groups of a journal from a place on; see [`Reader::groups_from`].
#[derive(Debug)]
pub struct Groups {
    reader: Reader,
    from: Position,
    at: Position,
    window: Option<Window>,
    expected: Option<u64>,
    failed: bool,
}

impl Groups {
    pub(crate) fn new(reader: Reader, from: Position) -> Self {
        let first = reader.shared.first_segment();
        // Groups are found from the start of a segment only.
        let at = Position::new(from.segment.max(first), segment::first_offset());
        Self {
            reader,
            from,
            at,
            window: None,
            expected: None,
            failed: false,
        }
    }

    fn step(&mut self) -> Result<Option<Group>, ReadError> {
        loop {
            let end = self.reader.end();
            if self.at >= end {
                return Ok(None);
            }
            let mut window = match self.window.take() {
                Some(window) => window,
                None => self.open_segment()?,
            };
            let at = self.at;
            let found = self.next_in_segment(&mut window, end);
            match found.map_err(|fault| locate(&mut window, at.offset, fault))? {
                Some(group) => {
                    self.window = Some(window);
                    if group.end > self.from {
                        return Ok(Some(group));
                    }
                }
                None => self.at = Position::new(at.segment + 1, segment::first_offset()),
            }
        }
    }

    /// The group at hand; `None` at the end of a sealed segment. One that ends at or before
    /// `from` comes without its records.
    fn next_in_segment(
        &mut self,
        window: &mut Window,
        durable: Position,
    ) -> Result<Option<Group>, Fault> {
        let start = self.at;
        if start.segment < durable.segment {
            window.set_limit(window.file().length()?);
            if start.offset >= window.limit() {
                return Ok(None);
            }
        } else {
            window.set_limit(durable.offset);
        }
        let header = Header::read(window, start.offset)?;
        if let Some(expected) = self.expected.filter(|expected| *expected != header.number) {
            return Err(Flaw::Number {
                expected,
                found: header.number,
            }
            .into());
        }
        let end = Position::new(start.segment, start.offset + header.bytes());
        let mut records = Vec::new();
        if end > self.from {
            for item in group::records(header.group(window, start.offset)?) {
                let (offset, record) = item?;
                records.push((Position::new(start.segment, start.offset + offset), record));
            }
        }
        self.at = end;
        self.expected = Some(header.number + 1);
        Ok(Some(Group {
            number: header.number,
            start,
            end,
            records,
        }))
    }

    fn open_segment(&mut self) -> Result<Window, ReadError> {
        let number = self.at.segment;
        let file = self.reader.file(number)?;
        let mut window = Window::new(file, segment::first_offset());
        let header = segment::Header::read(&mut window, number);
        let header = header.map_err(|fault| locate(&mut window, 0, fault))?;
        self.expected = Some(header.first_group);
        Ok(window)
    }
}

impl Iterator for Groups {
    type Item = Result<Group, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.step().transpose();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}

/// The records of a journal from a place on; see [`Reader::records_from`].
#[derive(Debug)]
pub struct Records {
    groups: Groups,
    from: Position,
    waiting: std::vec::IntoIter<(Position, Record)>,
}

impl Records {
    pub(crate) fn new(groups: Groups, from: Position) -> Self {
        Self {
            groups,
            from,
            waiting: Vec::new().into_iter(),
        }
    }
}

impl Iterator for Records {
    type Item = Result<(Position, Record), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let from = self.from;
            if let Some(item) = self.waiting.find(|(position, _)| *position >= from) {
                return Some(Ok(item));
            }
            match self.groups.next()? {
                Ok(group) => self.waiting = group.records.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
