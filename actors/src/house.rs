//! What every actor of one kernel shares: the store, time, chance, keys, and a few facts.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use provost_protocol::{
    InstallId, Timestamp,
    note::SignedTime,
    sign::{CertificateIssuer, Signer, Standing},
};
use provost_store::Backend;

use crate::{Clock, Random, TrustBoard};

/// What every actor of one kernel shares.
#[derive(Debug)]
pub struct House {
    /// What lasts.
    pub backend: Arc<dyn Backend>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub random: Arc<dyn Random>,
    /// Signs licenses and the time.
    pub license_signer: Arc<dyn Signer>,
    /// Signs checkpoints of tenants' logs, and nothing else.
    pub checkpoint_signer: Arc<dyn Signer>,
    /// Says whether a certificate is still good.
    pub standing: Arc<dyn Standing>,
    /// Issues certificates to runtimes.
    pub issuer: Arc<dyn CertificateIssuer>,
    /// The installation.
    pub install: InstallId,
    /// The roots that runtimes are told to trust.
    pub trust_bundle: TrustBoard,
    /// The region this kernel serves, if its configuration names one.
    pub region: Option<String>,
    /// The last note of the time.
    pub time_note: TimeNote,
}

/// One signed note a second for the whole kernel, the same bytes in every answer.
#[derive(Debug, Default)]
pub struct TimeNote(ArcSwapOption<SignedTime>);

impl House {
    /// The time as a signed note, at most a second old.
    #[must_use]
    pub fn signed_time(&self) -> String {
        let now = self.clock.now();
        let held = self.time_note.0.load();
        if let Some(note) = held
            .as_deref()
            .filter(|note| now.is_within(TIME_NOTE_MS, note.at()))
        {
            return note.note().to_owned();
        }
        // Two threads may sign the same second at once: the same bytes.
        let note = SignedTime::sign(self.install, second_of(now), &*self.license_signer);
        let text = note.note().to_owned();
        self.time_note.0.store(Some(Arc::new(note)));
        text
    }
}

fn second_of(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(1_000))
}

/// A signature costs 20 µs: one a second is nothing, one for each of 10,000 beats a fifth of a
/// core.
const TIME_NOTE_MS: u64 = 1_000;
