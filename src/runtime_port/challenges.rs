//! Nonces that recoveries answer: each of use once, for a minute. In memory only: a restart makes
//! them void, and whoever held one asks for another.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use provost_protocol::{RuntimeId, TenantId};

/// The nonces that were given and not yet used.
#[derive(Debug, Default)]
pub(super) struct Challenges(Mutex<HashMap<[u8; 32], Given>>);

#[derive(Debug)]
struct Given {
    whom: (TenantId, RuntimeId),
    at: Instant,
}

impl Given {
    fn is_good(&self, now: Instant) -> bool {
        now.duration_since(self.at) < CHALLENGE_LASTS
    }
}

impl Challenges {
    /// Remembers a fresh nonce, of use for [`CHALLENGE_LASTS`]; says whether there was room for it.
    pub(super) fn give(&self, nonce: [u8; 32], whom: (TenantId, RuntimeId), now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CHALLENGES_MAX {
            all.retain(|_, given| given.is_good(now));
        }
        if all.len() >= CHALLENGES_MAX {
            return false;
        }
        all.insert(nonce, Given { whom, at: now });
        true
    }

    /// Takes a nonce back: whether it was given to this runtime, a moment ago, and never used.
    pub(super) fn take(&self, nonce: &[u8; 32], whom: (TenantId, RuntimeId), now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let given = all.remove(nonce);
        given.is_some_and(|given| given.whom == whom && given.is_good(now))
    }
}

/// Fifty a second for a minute are 3,000: three times what the rates let through, where an operator
/// has not raised them.
const CHALLENGES_MAX: usize = 10_000;

/// An answer over a satellite and a signature take seconds.
pub(super) const CHALLENGE_LASTS: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use provost_protocol::Timestamp;

    use super::*;

    fn whom(n: u8) -> (TenantId, RuntimeId) {
        (
            TenantId::from_parts(Timestamp::EPOCH, [n; 10]),
            RuntimeId::from_parts(Timestamp::EPOCH, [n; 10]),
        )
    }

    #[test]
    fn a_nonce_is_of_use_once_for_whom_it_was_given_and_for_a_minute() {
        let challenges = Challenges::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for nonce in [[1; 32], [2; 32], [3; 32]] {
            assert!(challenges.give(nonce, whom(1), start));
        }
        assert!(challenges.take(&[1; 32], whom(1), at(59_999)));
        assert!(!challenges.take(&[1; 32], whom(1), at(59_999)), "used");
        assert!(!challenges.take(&[2; 32], whom(2), at(1)), "another's");
        assert!(!challenges.take(&[2; 32], whom(1), at(1)), "shown once");
        assert!(!challenges.take(&[3; 32], whom(1), at(60_000)), "too late");
        assert!(!challenges.take(&[4; 32], whom(1), at(1)), "never given");
    }

    #[test]
    fn a_flood_of_challenges_takes_no_more_room_than_there_is() {
        let challenges = Challenges::default();
        let nonce = |n: usize| {
            let mut nonce = [0; 32];
            nonce[..8].copy_from_slice(&n.to_be_bytes());
            nonce
        };
        let start = Instant::now();
        let given = (0..20_000)
            .filter(|n| challenges.give(nonce(*n), whom(1), start))
            .count();
        assert_eq!(given, CHALLENGES_MAX);
        let later = start + CHALLENGE_LASTS;
        assert!(challenges.give([9; 32], whom(1), later));
        assert_eq!(challenges.0.lock().unwrap().len(), 1);
    }
}
