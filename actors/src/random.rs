//! Where chance comes from: the system, or a seed a failing test can print.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

/// Draws random bytes; the only source of ids and secrets in the shells.
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// The random part of a fresh id (`EventId::from_parts` and its like).
    fn id_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        bytes
    }

    /// A number to spread things by.
    fn seed(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A secret of 256 bits.
    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}

/// The operating system's generator, through a generator per thread that it seeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

/// The same bytes for the same seed; for tests only, never for a secret.
pub struct SeededRandom(Mutex<StdRng>);

impl SeededRandom {
    /// Makes a source from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // A generator is whole at every moment, whoever panicked while holding it.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(bytes);
    }
}

impl fmt::Debug for SeededRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededRandom(…)")
    }
}

#[cfg(test)]
mod tests {
    use provost_protocol::{EventId, Timestamp};

    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        let draw = |seed| SeededRandom::new(seed).secret();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn system_ids_of_one_millisecond_differ() {
        let fresh = || EventId::from_parts(Timestamp::EPOCH, SystemRandom.id_bytes());
        let ids: std::collections::BTreeSet<_> = (0..1_000).map(|_| fresh()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
