//! The highest signed time: what the local clock may not go behind.
//!
//! What survives a crash: the highest note of at most a minute ago, and the last one at a stop. The
//! moments at which the kernel signed the licenses held are taken in again with them.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use provost_protocol::{
    InstallId, Timestamp,
    license::VerifyingKey,
    note::{NoteError, SignedTime},
};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    durable::{DurableError, Kept},
};

/// The clock that counts: the local one, and never less than the highest signed time.
#[derive(Debug)]
pub(crate) struct Floor {
    clock: Clock,
    install: InstallId,
    keys: Vec<VerifyingKey>,
    kept: Kept<Highest>,
    held: Mutex<Held>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Highest {
    at: Option<Timestamp>,
    note: String,
}

#[derive(Debug, Default)]
struct Held {
    highest: Highest,
    /// When the newest license was signed: no note that can be shown, and time all the same.
    licensed: Option<Timestamp>,
    written: Option<Timestamp>,
}

impl Floor {
    /// Reads what was kept in the folder. `keys` may sign the time.
    pub(crate) fn open(
        folder: &Path,
        clock: Clock,
        install: InstallId,
        keys: Vec<VerifyingKey>,
    ) -> Result<Self, DurableError> {
        let kept = Kept::<Highest>::open(folder.join(FILE))?;
        let highest = kept.get();
        let held = Held {
            written: highest.at,
            licensed: None,
            highest,
        };
        Ok(Self {
            clock,
            install,
            keys,
            kept,
            held: Mutex::new(held),
        })
    }

    /// The moment that counts: a local clock set back gains nothing.
    pub(crate) fn now(&self) -> Timestamp {
        self.passed().max(self.clock.now())
    }

    /// The local clock, as it stands.
    pub(crate) fn local(&self) -> Timestamp {
        self.clock.now()
    }

    /// The highest signed time heard.
    pub(crate) fn highest(&self) -> Option<Timestamp> {
        self.lock().highest.at
    }

    /// A moment that has passed for certain: the highest that the kernel signed, or the beginning of
    /// all.
    pub(crate) fn passed(&self) -> Timestamp {
        let held = self.lock();
        let signed = held.highest.at.max(held.licensed);
        signed.unwrap_or(Timestamp::EPOCH)
    }

    /// Takes in when a license was signed, which was verified.
    pub(crate) fn licensed(&self, issued: Timestamp) {
        let mut held = self.lock();
        held.licensed = held.licensed.max(Some(issued));
    }

    /// The note that proves it; empty before the first.
    pub(crate) fn note(&self) -> String {
        self.lock().highest.note.clone()
    }

    /// Takes in a note; says whether it is time to [`save`](Self::save).
    pub(crate) fn hear(&self, note: &str) -> Result<bool, NoteError> {
        let mut why = NoteError::KeyUnknown;
        for key in &self.keys {
            match SignedTime::verify(note, self.install, key.public_key()) {
                Ok(signed) => return Ok(self.raise(&signed)),
                Err(NoteError::KeyUnknown) => {}
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Keeps the highest note durably. Blocks on the disk.
    pub(crate) fn save(&self) -> Result<(), DurableError> {
        let highest = self.lock().highest.clone();
        self.kept.update(|kept| *kept = highest.clone())?;
        self.lock().written = highest.at;
        Ok(())
    }

    fn raise(&self, signed: &SignedTime) -> bool {
        let mut held = self.lock();
        if held.highest.at.is_none_or(|highest| highest < signed.at()) {
            held.highest = Highest {
                at: Some(signed.at()),
                note: signed.note().to_owned(),
            };
        }
        let due = held
            .written
            .map(|written| written.plus_millis(SAVE_EVERY_MS));
        due.is_none_or(|due| held.highest.at.is_some_and(|at| at >= due))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FILE: &str = "time.json";

/// A heartbeat never costs a write; a minute is all that a crash can win back on the clock.
const SAVE_EVERY_MS: u64 = 60 * 1_000;

#[cfg(test)]
mod tests {
    use provost_certs::BindingKey;
    use provost_protocol::sign::Signer;

    use super::*;

    const INSTALL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn open(folder: &Path, local: i64, signer: &BindingKey) -> Floor {
        let clock = Clock::of(move || Timestamp::from_millis(local));
        let keys = vec![VerifyingKey::new(signer.public_key())];
        Floor::open(folder, clock, INSTALL.parse().unwrap(), keys).unwrap()
    }

    fn note(at: i64, signer: &BindingKey) -> String {
        let signed = SignedTime::sign(INSTALL.parse().unwrap(), Timestamp::from_millis(at), signer);
        signed.note().to_owned()
    }

    #[test]
    fn a_clock_set_back_gains_nothing_also_after_a_restart() {
        let (folder, signer) = (
            tempfile::tempdir().unwrap(),
            BindingKey::generate().unwrap(),
        );
        let floor = open(folder.path(), 9_000, &signer);
        assert!(floor.hear(&note(10_000, &signer)).unwrap());
        floor.save().unwrap();
        let floor = open(folder.path(), 1_000, &signer);
        assert_eq!(floor.now(), Timestamp::from_millis(10_000));
        let floor = open(folder.path(), 20_000, &signer);
        assert_eq!(floor.now(), Timestamp::from_millis(20_000));
    }

    #[test]
    fn a_license_is_never_of_the_future() {
        let (folder, signer) = (
            tempfile::tempdir().unwrap(),
            BindingKey::generate().unwrap(),
        );
        let floor = open(folder.path(), 1_000, &signer);
        floor.hear(&note(10_000, &signer)).unwrap();
        floor.licensed(Timestamp::from_millis(11_000));
        floor.licensed(Timestamp::from_millis(9_000));
        assert_eq!(floor.now(), Timestamp::from_millis(11_000));
        // Evidence of the time is a note, and a license is none.
        assert_eq!(floor.highest(), Some(Timestamp::from_millis(10_000)));
    }

    #[test]
    fn notes_cost_at_most_one_write_a_minute() {
        let (folder, signer) = (
            tempfile::tempdir().unwrap(),
            BindingKey::generate().unwrap(),
        );
        let floor = open(folder.path(), 0, &signer);
        assert!(floor.hear(&note(1_000, &signer)).unwrap());
        floor.save().unwrap();
        assert!(!floor.hear(&note(2_000, &signer)).unwrap());
        assert!(!floor.hear(&note(60_999, &signer)).unwrap());
        assert!(floor.hear(&note(61_000, &signer)).unwrap());
    }

    #[test]
    fn a_note_of_a_stranger_moves_nothing() {
        let (folder, signer) = (
            tempfile::tempdir().unwrap(),
            BindingKey::generate().unwrap(),
        );
        let floor = open(folder.path(), 0, &signer);
        let stranger = BindingKey::generate().unwrap();
        assert_eq!(
            floor.hear(&note(1_000, &stranger)),
            Err(NoteError::KeyUnknown)
        );
        assert_eq!(floor.highest(), None);
    }
}
