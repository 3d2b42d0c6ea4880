//! The runtime's certificate: which is in use, when another is due, and what is known of
//! recoveries.
//!
//! What survives a crash: keys and certificate in the key folder, each pair whole; the moment that
//! was drawn for the renewal (`renewal.json`); the number of the last recovery (`recovery.json`),
//! on disk before it is sent, so that no number ever goes with two keys.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use provost_certs::{Keystore, KeystoreError, TlsKey, TlsPair};
use provost_protocol::{Timestamp, sign::PeerIdentity};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{error, warn};

use crate::{
    core::Me,
    durable::{DurableError, Kept},
};

/// The runtime's certificate.
#[derive(Debug)]
pub(crate) struct Identity {
    keystore: Keystore,
    plan: Kept<Plan>,
    recoveries: Kept<Recoveries>,
    held: Mutex<Held>,
    /// Another certificate is in use from the next handshake on.
    pub(crate) renewed: Notify,
}

/// The certificate in use, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// When a certificate is to be renewed: drawn once for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    serial: String,
    due: Option<Timestamp>,
}

/// The last recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Recoveries {
    /// Its number, 0 for none.
    counter: u64,
    /// Whether it is not yet answered: then `recovery.key` goes with the number.
    open: bool,
}

/// Why a certificate is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum IdentityError {
    /// Keys or certificate cannot be read or kept.
    #[error("{0}")]
    Keys(#[from] KeystoreError),
    /// The data folder cannot be written.
    #[error("{0}")]
    Disk(#[from] DurableError),
    /// The certificate names another runtime.
    #[error("the kernel's certificate is for another runtime")]
    OtherRuntime,
}

impl Identity {
    /// Begins with the pair that is in use.
    pub(crate) fn open(
        data: &Path,
        keystore: Keystore,
        pair: &TlsPair,
    ) -> Result<Self, DurableError> {
        let identity = Self {
            keystore,
            plan: Kept::open(data.join(PLAN_FILE))?,
            recoveries: Kept::open(data.join(RECOVERY_FILE))?,
            held: Mutex::new(Held::of(pair.identity())),
            renewed: Notify::new(),
        };
        identity.draw(&identity.held())?;
        if let Err(failure) = identity.finish(pair) {
            warn!(%failure, "a key that has its certificate is not forgotten yet");
        }
        Ok(identity)
    }

    /// What a death, or a full disk, between the taking of a certificate and the forgetting of its
    /// key left undone.
    fn finish(&self, pair: &TlsPair) -> Result<(), IdentityError> {
        self.keystore.forget_answered(pair)?;
        if self.keystore.has_recovered(pair) {
            self.end_recovery()?;
        }
        Ok(())
    }

    /// The certificate in use.
    pub(crate) fn held(&self) -> Held {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// When it is to be renewed.
    pub(crate) fn due(&self) -> Timestamp {
        let held = self.held();
        let plan = self.plan.get();
        let drawn = plan.due.filter(|_| plan.serial == held.serial);
        // Not drawn where the disk failed: the middle is as good.
        drawn.unwrap_or_else(|| held.due(0.5))
    }

    /// What a person should know of it, once renewal has failed for long.
    pub(crate) fn warning(&self, now: Timestamp) -> Option<String> {
        let held = self.held();
        if now > held.not_after {
            let end = held.not_after;
            return Some(format!(
                "the certificate ended at {end}: recovery is needed"
            ));
        }
        (now >= held.worrying()).then(|| {
            let end = held.not_after;
            format!("the certificate ends at {end} and could not be renewed yet")
        })
    }

    /// The key folder.
    pub(crate) const fn keystore(&self) -> &Keystore {
        &self.keystore
    }

    /// Key and certificate for the next handshake; a damaged pair gives way to the one before it.
    /// Blocks on the disk.
    pub(crate) fn pair(&self) -> Result<TlsPair, KeystoreError> {
        let (pair, fault) = self.keystore.sound_pair()?;
        if let Some(fault) = fault {
            error!(
                error = &fault as &dyn std::error::Error,
                "the runtime's key and certificate are damaged: the pair before them is used"
            );
        }
        Ok(pair)
    }

    /// Takes a new certificate into use: on disk first, then for the next handshake. Blocks.
    pub(crate) fn take(&self, me: Me, key: TlsKey, pem: String) -> Result<Held, IdentityError> {
        let pair = TlsPair::new(key, pem).map_err(KeystoreError::from)?;
        let named = pair.identity();
        if (named.tenant, named.runtime) != (me.tenant, me.runtime) {
            return Err(IdentityError::OtherRuntime);
        }
        // What a full disk left undone of a recovery: once its pair is replaced nobody can tell any
        // more that its number was answered, and with a number that was the kernel alarms.
        if let Ok((present, _)) = self.keystore.sound_pair() {
            self.finish(&present)?;
        }
        self.keystore.save_pair(&pair)?;
        let held = Held::of(named);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held.clone();
        self.draw(&held)?;
        Ok(held)
    }

    /// The number and key of the next recovery, or of the one that has no answer yet. Blocks.
    pub(crate) fn begin_recovery(&self) -> Result<(u64, TlsKey), IdentityError> {
        if !self.recoveries.get().open {
            // A key that an earlier recovery left goes with its number, not with the next.
            self.keystore.forget_recovery()?;
            self.recoveries.update(|last| {
                last.counter = last.counter.saturating_add(1);
                last.open = true;
            })?;
        }
        let key = self.keystore.recovery_key()?;
        Ok((self.recoveries.get().counter, key))
    }

    /// The recovery is over: answered, or its number is spent. Blocks.
    pub(crate) fn end_recovery(&self) -> Result<(), IdentityError> {
        self.recoveries.update(|last| last.open = false)?;
        Ok(self.keystore.forget_recovery()?)
    }

    fn draw(&self, held: &Held) -> Result<(), DurableError> {
        let chance = rand::random::<f64>();
        self.plan.update(|plan| {
            if plan.serial != held.serial || plan.due.is_none() {
                plan.serial.clone_from(&held.serial);
                plan.due = Some(held.due(chance));
            }
        })?;
        Ok(())
    }
}

impl Held {
    fn of(identity: &PeerIdentity) -> Self {
        Self {
            serial: identity.serial.clone(),
            not_before: identity.not_before,
            not_after: identity.not_after,
        }
    }

    /// Half of the life, a tenth of that earlier (`chance` 0) or later (1).
    fn due(&self, chance: f64) -> Timestamp {
        let half = self.life_ms() / 2;
        let tenth = half / 10;
        let drawn = std::time::Duration::from_millis(2 * tenth).mul_f64(chance.clamp(0.0, 1.0));
        let drawn = u64::try_from(drawn.as_millis()).unwrap_or(tenth);
        self.not_before.plus_millis(half - tenth + drawn)
    }

    /// Four fifths of the life.
    fn worrying(&self) -> Timestamp {
        self.not_before.plus_millis(self.life_ms() / 5 * 4)
    }

    fn life_ms(&self) -> u64 {
        self.not_after.millis_since(self.not_before)
    }
}

const PLAN_FILE: &str = "renewal.json";
const RECOVERY_FILE: &str = "recovery.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{certified, me};

    fn held() -> Held {
        Held {
            serial: "1".to_owned(),
            not_before: Timestamp::EPOCH,
            not_after: Timestamp::EPOCH.plus_millis(100_000),
        }
    }

    #[test]
    fn renewal_is_due_at_half_of_the_life_a_tenth_earlier_or_later() {
        for (chance, at) in [(0.0, 45_000), (0.5, 50_000), (1.0, 55_000), (7.0, 55_000)] {
            let due = held().due(chance);
            assert_eq!(due, Timestamp::EPOCH.plus_millis(at), "{chance}");
        }
        assert_eq!(held().worrying(), Timestamp::EPOCH.plus_millis(80_000));
    }

    #[test]
    fn a_recoverys_number_goes_with_one_key_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let open = || crate::testing::identity(folder.path());
        let (first, key) = open().begin_recovery().unwrap();
        let (again, same) = open().begin_recovery().unwrap();
        assert_eq!((first, again), (1, 1));
        assert_eq!(key.spki_sha256(), same.spki_sha256());
        open().end_recovery().unwrap();
        let (next, other) = open().begin_recovery().unwrap();
        assert_eq!(next, 2);
        assert_ne!(key.spki_sha256(), other.spki_sha256());
    }

    #[test]
    fn a_recovery_whose_end_did_not_fit_on_the_disk_is_ended_before_its_pair_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let identity = crate::testing::identity(folder.path());
        let (number, key) = identity.begin_recovery().unwrap();
        let answered = certified(&key);
        // Answered and in use, and its end was not written.
        identity.take(me(), key, answered).unwrap();
        assert_eq!(identity.begin_recovery().unwrap().0, number, "still open");
        let renewed = TlsKey::generate().unwrap();
        let pem = certified(&renewed);
        identity.take(me(), renewed, pem).unwrap();
        assert_eq!(identity.begin_recovery().unwrap().0, number + 1);
    }

    #[test]
    fn the_moment_of_a_renewal_is_drawn_once_for_each_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let due = crate::testing::identity(folder.path()).due();
        for _ in 0..5 {
            assert_eq!(crate::testing::identity(folder.path()).due(), due);
        }
    }
}
