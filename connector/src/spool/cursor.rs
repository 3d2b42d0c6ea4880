//! Up to where the kernel has confirmed.

use std::path::Path;

use provost_journal::Position;
use serde::{Deserialize, Serialize};

use crate::durable::{DurableError, Kept};

/// The place after the last event that the kernel recorded or refused for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The spool's number of that event, 0 before the first.
    pub(crate) number: u64,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

#[derive(Debug)]
pub(crate) struct CursorFile(Kept<Cursor>);

impl Cursor {
    /// The place after an event that stands at a position.
    pub(crate) const fn after(number: u64, position: Position) -> Self {
        Self {
            number,
            segment: position.segment,
            offset: position.offset + 1,
        }
    }

    /// From where to read on.
    pub(crate) const fn position(&self) -> Position {
        Position::new(self.segment, self.offset)
    }
}

impl CursorFile {
    pub(crate) fn open(path: &Path) -> Result<Self, DurableError> {
        Kept::open(path.to_owned()).map(Self)
    }

    pub(crate) fn get(&self) -> Cursor {
        self.0.get()
    }

    /// Moves the place, durably; it never goes back.
    pub(crate) fn advance(&self, to: Cursor) -> Result<(), DurableError> {
        self.0.update(|held| {
            if held.number < to.number {
                *held = to;
            }
        })?;
        Ok(())
    }
}
