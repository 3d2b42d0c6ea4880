//! Slows down guessing: so many wrong passwords for one user name, then a wait.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures by user name, in a table of fixed size: names that do not exist are counted the same
/// way, so the table tells nobody which do. Two names may share a place; both then wait.
#[derive(Debug)]
pub(super) struct Throttle {
    hasher: RandomState,
    places: Mutex<Vec<Place>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    failures: u32,
    since: Option<Instant>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            places: Mutex::new(vec![Place::default(); PLACES]),
        }
    }
}

impl Throttle {
    /// Counts an attempt before it is made; answers how long to wait instead, if too many failed.
    pub(super) fn admit(&self, username: &str, now: Instant) -> Result<(), Duration> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut places[self.place(username)];
        let age = place.since.map(|since| now.duration_since(since));
        if age.is_none_or(|age| age >= WINDOW) {
            *place = Place {
                failures: 0,
                since: Some(now),
            };
        }
        if place.failures >= FAILURES_MAX {
            return Err(WINDOW.saturating_sub(age.unwrap_or_default()));
        }
        // Counted now and taken back on success: many guesses at once do not slip through together.
        place.failures += 1;
        Ok(())
    }

    /// Forgets the failures of a name whose password was right.
    pub(super) fn forgive(&self, username: &str) {
        let place = self.place(username);
        self.places.lock().unwrap_or_else(PoisonError::into_inner)[place] = Place::default();
    }

    fn place(&self, username: &str) -> usize {
        let places = u64::try_from(PLACES).expect("4096 fits");
        usize::try_from(self.hasher.hash_one(username) % places).expect("below 4096")
    }
}

/// Few enough to be nothing (100 KB), many enough that users of a pilot rarely share one.
const PLACES: usize = 4096;
/// A person mistypes two or three times; the sixth try within the window waits.
const FAILURES_MAX: u32 = 5;
/// Five guesses a minute is 7,200 a day: hopeless against any password not among the first few thousand.
const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_try_waits_until_the_window_is_over_and_success_forgives() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.admit("ada", now), Ok(()));
        }
        assert_eq!(
            throttle.admit("ada", now + Duration::from_secs(20)),
            Err(Duration::from_secs(40))
        );
        assert_eq!(throttle.admit("ada", now + WINDOW), Ok(()));
        for _ in 1..FAILURES_MAX {
            assert_eq!(throttle.admit("ada", now + WINDOW), Ok(()));
        }
        throttle.forgive("ada");
        assert_eq!(throttle.admit("ada", now + WINDOW), Ok(()));
    }
}
