//! Candidates of one table, newest first, without a list of them all.

use std::ops::Range;

use provost_protocol::Timestamp;

use super::{IndexError, Matching, Table};

/// What is looked for in every table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Terms that the events carry, all of them.
    pub(crate) terms: Vec<u64>,
    /// Decided at this time or later.
    pub(crate) since: Option<Timestamp>,
    /// Decided before this time.
    pub(crate) until: Option<Timestamp>,
}

/// One event, located.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its sequence.
    pub(crate) seq: u64,
    /// Offset of its record in the segment.
    pub(crate) offset: u64,
}

impl Filter {
    /// Whether some event of these times may be wanted.
    pub(crate) fn reaches(&self, earliest: Timestamp, latest: Timestamp) -> bool {
        self.since.is_none_or(|since| latest >= since)
            && self.until.is_none_or(|until| earliest < until)
    }

    fn covers(&self, earliest: Timestamp, latest: Timestamp) -> bool {
        self.admits(earliest) && self.admits(latest)
    }

    fn admits(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

/// At most `room` candidates with sequences below `before`, newest first.
pub(crate) fn newest(
    table: &dyn Table,
    filter: &Filter,
    before: u64,
    room: usize,
) -> Result<Vec<Entry>, IndexError> {
    let span = table.span();
    let below = before
        .saturating_sub(span.first_seq)
        .min(span.entries.into());
    let below = u32::try_from(below).unwrap_or(span.entries);
    if below == 0 || room == 0 || !filter.reaches(span.earliest, span.latest) {
        return Ok(Vec::new());
    }
    let found = if filter.terms.is_empty() {
        None
    } else {
        Some(table.matching(&filter.terms)?)
    };
    let mut candidates: Box<dyn Iterator<Item = u32>> = match &found {
        None => Box::new((0..below).rev()),
        Some(Matching::None) => Box::new(std::iter::empty()),
        Some(Matching::One(entry)) => Box::new((*entry < below).then_some(*entry).into_iter()),
        Some(Matching::Many(bitmap)) => Box::new(bitmap.range(..below).rev()),
    };
    let check_times = !filter.covers(span.earliest, span.latest);
    let mut times =
        Column::new(|stretch: Range<u32>| table.times(stretch.start, stretch.end - stretch.start));
    let mut offsets = Column::new(|stretch: Range<u32>| {
        table.offsets(stretch.start, stretch.end - stretch.start)
    });
    let mut entries = Vec::new();
    while entries.len() < room {
        let Some(candidate) = candidates.next() else {
            break;
        };
        if check_times && !filter.admits(Timestamp::from_millis(times.at(candidate)?)) {
            continue;
        }
        entries.push(Entry {
            seq: span.first_seq + u64::from(candidate),
            offset: u64::from(offsets.at(candidate)?),
        });
    }
    Ok(entries)
}

/// A column read backwards, a stretch at a time.
struct Column<T, F> {
    load: F,
    from: u32,
    values: Vec<T>,
}

impl<T: Copy, F: Fn(Range<u32>) -> Result<Vec<T>, IndexError>> Column<T, F> {
    const fn new(load: F) -> Self {
        Self {
            load,
            from: 0,
            values: Vec::new(),
        }
    }

    fn at(&mut self, entry: u32) -> Result<T, IndexError> {
        if let Some(value) = self.held(entry) {
            return Ok(value);
        }
        let until = entry.saturating_add(1);
        self.from = until.saturating_sub(STRETCH);
        self.values = (self.load)(self.from..until)?;
        let missing = IndexError::damaged(0, "a column is shorter than its events");
        self.held(entry).ok_or(missing)
    }

    fn held(&self, entry: u32) -> Option<T> {
        let place = usize::try_from(entry.checked_sub(self.from)?).ok()?;
        self.values.get(place).copied()
    }
}

/// One or two blocks of a file: what lies near a rare candidate is not read.
const STRETCH: u32 = 512;
