//! Whether a certificate that was good at the handshake is good still; asked on every request.
//!
//! The set of revoked serials lives in memory and is filled at the start from the store's index of
//! revoked certificates that have not ended: nothing here survives a crash by itself. That a runtime
//! is revoked stands in its tenant's log too, by which every call of it is refused whatever is known
//! here.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;
use provost_protocol::{
    Timestamp,
    sign::{PeerIdentity, Standing, StandingError},
};

/// The revoked serials, and the validity written in each certificate.
///
/// Reading takes no lock; a revocation is seen by the next request on every thread.
#[derive(Debug, Default)]
pub struct Certificates {
    revoked: ArcSwap<HashSet<Arc<str>>>,
    /// Roots whose certificates stand; all of them while none is named.
    roots: ArcSwap<Vec<[u8; 32]>>,
}

impl Certificates {
    /// Begins with nothing revoked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Revokes one serial number, in hex as [`PeerIdentity::serial`] has it.
    pub fn revoke(&self, serial: &str) {
        self.revoke_all(&[serial.to_owned()]);
    }

    /// Revokes many at once: readers see all of them or none. Copies the set, at some nanoseconds
    /// for each that is in it, unless all of them are in it already.
    pub fn revoke_all(&self, serials: &[String]) {
        let serials: Vec<Arc<str>> = serials.iter().map(|serial| stored(serial)).collect();
        self.revoked.rcu(|held| {
            if serials.iter().all(|serial| held.contains(serial)) {
                return Arc::clone(held);
            }
            let mut next = HashSet::clone(held);
            next.extend(serials.iter().cloned());
            Arc::new(next)
        });
    }

    /// Takes a whole set instead of the one held, as after a start.
    pub fn replace(&self, serials: impl IntoIterator<Item = String>) {
        let set = serials.into_iter().map(|serial| stored(&serial)).collect();
        self.revoked.store(Arc::new(set));
    }

    /// From here on the certificates of these roots stand and of no others, each by the SHA-256 of
    /// its DER.
    pub fn accept_roots(&self, roots: Vec<[u8; 32]>) {
        self.roots.store(Arc::new(roots));
    }

    /// How many serials are revoked.
    #[must_use]
    pub fn revoked_count(&self) -> usize {
        self.revoked.load().len()
    }
}

impl Standing for Certificates {
    fn check(&self, peer: &PeerIdentity, now: Timestamp) -> Result<(), StandingError> {
        if self.revoked.load().contains(peer.serial.as_str()) {
            return Err(StandingError::Revoked);
        }
        if let Some(root) = &peer.root_sha256 {
            let roots = self.roots.load();
            if !roots.is_empty() && !roots.contains(root) {
                return Err(StandingError::Retired);
            }
        }
        if now < peer.not_before || now > peer.not_after {
            return Err(StandingError::Expired);
        }
        Ok(())
    }
}

fn stored(serial: &str) -> Arc<str> {
    serial.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn peer() -> PeerIdentity {
        PeerIdentity {
            tenant: A.parse().unwrap(),
            runtime: A.parse().unwrap(),
            serial: "00ff".to_owned(),
            key_sha256: [1; 32],
            not_before: Timestamp::from_millis(1_000),
            not_after: Timestamp::from_millis(2_000),
            root_sha256: Some([7; 32]),
        }
    }

    #[test]
    fn a_certificate_stands_within_its_validity_only() {
        let certificates = Certificates::new();
        for (now, expected) in [
            (999, Err(StandingError::Expired)),
            (1_000, Ok(())),
            (2_000, Ok(())),
            (2_001, Err(StandingError::Expired)),
        ] {
            let now = Timestamp::from_millis(now);
            assert_eq!(certificates.check(&peer(), now), expected, "{now}");
        }
    }

    #[test]
    fn a_revoked_serial_stands_no_longer_and_a_replaced_set_forgets_it() {
        let certificates = Certificates::new();
        let now = Timestamp::from_millis(1_500);
        certificates.revoke("00FF");
        assert_eq!(
            certificates.check(&peer(), now),
            Err(StandingError::Revoked)
        );
        assert_eq!(certificates.revoked_count(), 1);
        certificates.replace(["aa".to_owned()]);
        assert_eq!(certificates.check(&peer(), now), Ok(()));
    }

    #[test]
    fn a_certificate_of_a_root_that_is_retired_stands_no_longer() {
        let certificates = Certificates::new();
        let now = Timestamp::from_millis(1_500);
        for (roots, expected) in [
            (vec![[7; 32]], Ok(())),
            (vec![[7; 32], [8; 32]], Ok(())),
            (vec![[8; 32]], Err(StandingError::Retired)),
        ] {
            certificates.accept_roots(roots);
            assert_eq!(certificates.check(&peer(), now), expected);
        }
    }
}
