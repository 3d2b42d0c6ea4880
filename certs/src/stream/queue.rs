//! Bytes that wait.

/// Bytes that wait for whoever takes them. Empty, it holds no memory.
#[derive(Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    taken: usize,
}

impl Queue {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What waits.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Says that so many of them were taken.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds what `fill` writes into so much room; it says how much it wrote, or how much it needs.
    pub(super) fn fill<E>(
        &mut self,
        mut room: usize,
        mut fill: impl FnMut(&mut [u8]) -> Result<usize, Lack<E>>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        loop {
            self.bytes.resize(before + room, 0);
            let filled = fill(&mut self.bytes[before..]);
            self.bytes.truncate(before + *filled.as_ref().unwrap_or(&0));
            match filled {
                Ok(_) => return Ok(()),
                // Whoever asks for no more than it has would ask for ever.
                Err(Lack::Room(needed)) => room = needed.max(room + 1),
                Err(Lack::Other(error)) => return Err(error),
            }
        }
    }
}

/// Why nothing was written.
pub(super) enum Lack<E> {
    /// So much room is needed.
    Room(usize),
    /// It failed.
    Other(E),
}
