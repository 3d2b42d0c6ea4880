//! Desired state: what the kernel wants a runtime to be, for one tenant; level-triggered.
//!
//! A license that is issued does not raise the revision: it answers a pull, and a pull that caused
//! the next one would never end. What a license shows is its own `revision`.

use std::collections::BTreeMap;

use provost_protocol::{RuntimeId, Timestamp, event::Confirmation, wire::DesiredState};

use crate::{Rejection, State, grants::Caller, planted::planted};

/// What the desired state holds that is not in the tenant's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Names the trust bundle in force.
    pub trust_bundle: String,
    /// How often the runtime is to beat.
    pub heartbeat_interval_ms: u64,
}

/// Builds the desired state of a runtime for the tenant of this state.
///
/// # Errors
/// As [`State::check_facts`]: the runtime must be the tenant's own or attached to it.
pub fn desired_state(
    state: &State,
    caller: &Caller,
    surroundings: &Surroundings,
) -> Result<DesiredState, Rejection> {
    let tenant = state.tenant().ok_or(Rejection::NotFound)?;
    let facts = state.check_facts(caller)?;
    let limits = state
        .directives(caller.runtime)
        .map(|directives| directives.limits.clone());
    let license = state.license(caller.runtime).map(|head| head.sequence);
    Ok(DesiredState {
        tenant: tenant.id,
        revision: state.revision(),
        tenant_status: facts.tenant_status,
        runtime_status: facts.runtime_status,
        license_epoch: license.map_or(0, |sequence| sequence.epoch),
        license_seq: license.map_or(0, |sequence| sequence.seq),
        revocation_generation: NO_REVOCATION_LIST,
        trust_bundle: surroundings.trust_bundle.clone(),
        heartbeat_interval_ms: surroundings.heartbeat_interval_ms,
        limits: limits.unwrap_or_default(),
        killed: facts.killed,
    })
}

/// The connector's side: holds the highest revision, never goes back.
///
/// The order is offer, keep (on disk), act, confirm. What is held survives a crash only where the
/// shell kept it; until then nothing was acted on and nothing confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    held: Option<DesiredState>,
    offered: Option<DesiredState>,
    confirmed: u64,
}

/// What to do with an offered state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Keep it on disk, then call [`Held::kept`].
    Keep,
    /// Nothing: it is known, older, or of another tenant.
    Ignore,
}

impl Held {
    /// Begins with what was on disk.
    #[must_use]
    pub const fn restored(held: Option<DesiredState>) -> Self {
        Self {
            held,
            offered: None,
            confirmed: 0,
        }
    }

    /// Takes in what the kernel sent.
    pub fn offer(&mut self, state: DesiredState) -> Offer {
        let other_tenant = self
            .held
            .as_ref()
            .is_some_and(|held| held.tenant != state.tenant);
        let highest = self.highest_seen();
        let news = if planted("desired_accepts_older") {
            state.revision != highest
        } else {
            state.revision > highest
        };
        if other_tenant || !news {
            return Offer::Ignore;
        }
        self.offered = Some(state);
        Offer::Keep
    }

    /// A revision is safe on disk: it is in force from here on. Gives it to be acted on, unless a
    /// later one took its place meanwhile.
    pub fn kept(&mut self, revision: u64) -> Option<&DesiredState> {
        let offered = self
            .offered
            .take_if(|offered| offered.revision == revision)?;
        self.held = Some(offered);
        self.held.as_ref()
    }

    /// The revision that was acted on but is not yet confirmed, if there is one: send it.
    #[must_use]
    pub fn to_confirm(&self) -> Option<u64> {
        self.held
            .as_ref()
            .map(|held| held.revision)
            .filter(|&revision| revision > self.confirmed)
    }

    /// A confirmation was handed to the stream.
    pub fn confirmed(&mut self, revision: u64) {
        self.confirmed = self.confirmed.max(revision);
    }

    /// The stream was lost: what was handed to it may not have come, so it is confirmed again.
    pub const fn disconnected(&mut self) {
        self.confirmed = 0;
    }

    /// What is in force.
    #[must_use]
    pub const fn state(&self) -> Option<&DesiredState> {
        self.held.as_ref()
    }

    /// The highest revision in force, 0 for none: what Hello says.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.revision)
    }

    fn highest_seen(&self) -> u64 {
        self.offered
            .as_ref()
            .map_or(0, |offered| offered.revision)
            .max(self.revision())
    }
}

/// The kernel's side: gathers confirmations of one tenant into at most one event a second.
/// Volatile: after a crash, connectors confirm again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confirmations {
    waiting: BTreeMap<RuntimeId, u64>,
    due: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Confirmations {
    /// Takes in a runtime's word. Past [`CONFIRMATIONS_MAX`] waiting runtimes it is dropped: the
    /// runtime confirms again with its next session.
    pub fn add(&mut self, confirmation: Confirmation, now: Timestamp) {
        let room = self.waiting.len() < CONFIRMATIONS_MAX;
        if !room && !self.waiting.contains_key(&confirmation.runtime) {
            return;
        }
        let revision = self.waiting.entry(confirmation.runtime).or_insert(0);
        *revision = confirmation.revision.max(*revision);
        self.due = Some(due_at(self.due, self.last, now));
    }

    /// When [`take`](Self::take) is next worth calling.
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    /// Gives what has gathered, once it is due: for [`crate::Command::Confirm`].
    pub fn take(&mut self, now: Timestamp) -> Vec<Confirmation> {
        if !is_due(self.due, now) {
            return Vec::new();
        }
        (self.due, self.last) = (None, Some(now));
        std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(runtime, revision)| Confirmation { runtime, revision })
            .collect()
    }
}

/// When a batch is due to which something came now: a second after the last one, and no later; a
/// clock that was set back does not hold it up.
pub(crate) fn due_at(due: Option<Timestamp>, last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let earliest = last.map_or(now, |last| last.plus_millis(CONFIRM_EVERY_MS));
    let due = due.unwrap_or(earliest.max(now));
    due.min(now.plus_millis(CONFIRM_EVERY_MS))
}

/// Whether a batch may go: also where it is further away than any can be, for then the clock was set
/// back since.
pub(crate) fn is_due(due: Option<Timestamp>, now: Timestamp) -> bool {
    due.is_some_and(|due| due <= now || due > now.plus_millis(CONFIRM_EVERY_MS))
}

/// One event a second per tenant (architecture.md): a fleet that confirms costs no more.
pub const CONFIRM_EVERY_MS: u64 = 1_000;

/// A whole fleet of one tenant may confirm within one second.
pub const CONFIRMATIONS_MAX: usize = 100_000;

/// Lists are a later part of the contract; generation 0 asks for none.
const NO_REVOCATION_LIST: u64 = 0;
