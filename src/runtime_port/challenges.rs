//! Nonces that recoveries answer: each of use once, for a minute. In memory only: a restart makes
//! them void, and whoever held one asks for another.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use provost_protocol::{RuntimeId, TenantId, Timestamp};

/// The nonces that were given and not yet used.
#[derive(Debug, Default)]
pub(super) struct Challenges(Mutex<HashMap<[u8; 32], Given>>);

#[derive(Debug)]
struct Given {
    whom: (TenantId, RuntimeId),
    expires: Timestamp,
}

impl Challenges {
    /// Remembers a fresh nonce; says until when it is of use. None where there are too many.
    pub(super) fn give(
        &self,
        nonce: [u8; 32],
        whom: (TenantId, RuntimeId),
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CHALLENGES_MAX {
            all.retain(|_, given| now < given.expires);
        }
        if all.len() >= CHALLENGES_MAX {
            return None;
        }
        let expires = now.plus_millis(CHALLENGE_MS);
        all.insert(nonce, Given { whom, expires });
        Some(expires)
    }

    /// Takes a nonce back: whether it was given to this runtime, a moment ago, and never used.
    pub(super) fn take(
        &self,
        nonce: &[u8; 32],
        whom: (TenantId, RuntimeId),
        now: Timestamp,
    ) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let given = all.remove(nonce);
        given.is_some_and(|given| given.whom == whom && now < given.expires)
    }
}

/// Fifty a second for a minute are 3,000: three times what the rates let through, where an operator
/// has not raised them.
const CHALLENGES_MAX: usize = 10_000;

/// An answer over a satellite and a signature take seconds.
const CHALLENGE_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
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
        let at = |ms| Timestamp::EPOCH.plus_millis(ms);
        for nonce in [[1; 32], [2; 32], [3; 32]] {
            assert_eq!(challenges.give(nonce, whom(1), at(0)), Some(at(60_000)));
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
        let given = (0..20_000)
            .filter(|n| {
                challenges
                    .give(nonce(*n), whom(1), Timestamp::EPOCH)
                    .is_some()
            })
            .count();
        assert_eq!(given, CHALLENGES_MAX);
        let later = Timestamp::EPOCH.plus_millis(CHALLENGE_MS);
        assert!(challenges.give([9; 32], whom(1), later).is_some());
        assert_eq!(challenges.0.lock().unwrap().len(), 1);
    }
}
