//! What is answered from what is in memory, without asking anybody: checks that take nothing, and
//! heartbeats that change nothing.
//!
//! Judged as every other call is, anew and from the committed state. Whatever has to be loaded,
//! decided, recorded or refused is left to [`Gateway::call`].

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock, Weak},
};

use provost_kernel::{
    Caller, State,
    check::{CheckFacts, Question, evaluate},
    desired::{Surroundings, desired_state},
};
use provost_protocol::{
    TenantId, Timestamp,
    entity::{DeploymentMode, RuntimeStatus, SecurityLevel},
    sign::PeerIdentity,
    wire::{Check, DesiredState, Heartbeat, Operation, Outcome, Request},
};

use super::{Gateway, Kept, Peer, heartbeat::check_metrics, level_of, peer::caller};
use crate::{
    RuntimeHandle,
    runtime::{Beat, Recorded},
};

/// A caller as a state of its own tenant shows it. Whatever changes is another state: this one is
/// recognised, and what was read from it is read once.
#[derive(Debug, Clone)]
pub(super) struct Glance {
    /// Held so weakly that the state itself goes when another takes its place.
    state: Weak<State>,
    caller: Caller,
    /// What a check for its own tenant depends on.
    facts: CheckFacts,
    recorded: Recorded,
    deployment_mode: DeploymentMode,
    /// Of its own tenant.
    level: SecurityLevel,
    /// What its own tenant asks of it, once it was asked for; the interval is not of this.
    desired: OnceLock<DesiredState>,
}

/// Who calls, and from which states it is answered.
struct Seen<'a> {
    peer: &'a Peer,
    runtime: &'a RuntimeHandle,
    own: &'a State,
    glance: &'a Glance,
    /// The tenant acted for, where it is not the caller's own.
    other: Option<Arc<State>>,
}

impl Glance {
    /// What `state` shows now, read anew only where it is another one than last time.
    fn renewed<'a>(
        held: &'a mut Option<Self>,
        state: &Arc<State>,
        peer: &PeerIdentity,
    ) -> Option<&'a Self> {
        let same = |glance: &Self| glance.state.as_ptr() == Arc::as_ptr(state);
        if !held.as_ref().is_some_and(same) {
            *held = Self::of(state, peer);
        }
        held.as_ref()
    }

    fn of(state: &Arc<State>, peer: &PeerIdentity) -> Option<Self> {
        let (caller, record) = caller(state, (peer.tenant, peer.runtime))?;
        Some(Self {
            state: Arc::downgrade(state),
            caller,
            facts: state.check_facts(&caller).ok()?,
            recorded: Recorded {
                status: record.status,
                health: record.health,
                lost: record.lost,
            },
            deployment_mode: record.deployment_mode,
            level: level_of(state),
            desired: OnceLock::new(),
        })
    }
}

impl Gateway {
    /// Answers at once what can be; `None` where [`call`](Self::call) is to be asked, with nothing
    /// changed. `now` is when the request came.
    #[must_use]
    pub fn at_once(
        &self,
        peer: &Peer,
        kept: &mut Kept,
        request: &mut Request,
        now: Timestamp,
    ) -> Option<Outcome> {
        if !is_light(&request.operation) {
            return None;
        }
        let standing = self.directory.house().standing.check(&peer.identity, now);
        if standing.is_err() || !kept.tenant.is_served() {
            return None;
        }
        let own = kept.tenant.glance();
        let glance = Glance::renewed(&mut kept.glance, &own, &peer.identity)?;
        if glance.recorded.status == RuntimeStatus::Revoked {
            return None;
        }
        let seen = Seen {
            peer,
            runtime: &kept.runtime,
            own: &own,
            glance,
            other: self.other(glance, request.tenant)?,
        };
        match &mut request.operation {
            Operation::Check(check) => self.check_at_once(&seen, check, now),
            Operation::Heartbeat(beat) => self.beat_at_once(&seen, beat, now),
            _ => None,
        }
    }

    /// The state of a tenant that is not the caller's own: `None` where it is not in memory, or the
    /// caller may not act for it; `Some(None)` for its own.
    fn other(&self, glance: &Glance, tenant: TenantId) -> Option<Option<Arc<State>>> {
        if tenant == glance.caller.tenant {
            return Some(None);
        }
        if glance.deployment_mode != DeploymentMode::Shared {
            return None;
        }
        self.directory.view_of(tenant).map(Some)
    }

    fn check_at_once(&self, seen: &Seen<'_>, check: &Check, now: Timestamp) -> Option<Outcome> {
        let acted = seen.acted();
        let facts = match &seen.other {
            None => seen.glance.facts,
            Some(other) => other.check_facts(&seen.glance.caller).ok()?,
        };
        let question = Question {
            feature: Cow::Borrowed(&check.feature),
            consume: None,
        };
        let judgement = evaluate(&facts, acted, &question, now);
        if let Some(reason) = judgement.overridden {
            let (tenant, runtime) = (acted.tenant_id(), facts.runtime);
            let shadowed = (tenant, runtime, check.feature.clone(), reason);
            if self.throttle.is_due(&shadowed, now) {
                return None;
            }
        }
        Some(Outcome::Checked(judgement.verdict))
    }

    fn beat_at_once(
        &self,
        seen: &Seen<'_>,
        beat: &mut Heartbeat,
        now: Timestamp,
    ) -> Option<Outcome> {
        check_metrics(&beat.metrics).ok()?;
        let house = self.directory.house();
        let caller = &seen.glance.caller;
        let rhythm = self.rhythm(seen.glance.level).spread(house.random.seed());
        let desired = self.desired_at_once(seen, rhythm.interval_ms)?;
        let mut taken = Beat {
            health: beat.health,
            metrics: std::mem::take(&mut beat.metrics),
            address: seen.peer.address,
        };
        let answer = seen
            .runtime
            .beat_at_once(&mut taken, seen.glance.recorded, rhythm, now);
        let Some(answer) = answer else {
            beat.metrics = taken.metrics;
            return None;
        };
        Some(self.beat_taken(caller, answer, desired))
    }

    /// Built once for as long as state and bundle are the same.
    fn desired_at_once(&self, seen: &Seen<'_>, heartbeat_interval_ms: u64) -> Option<DesiredState> {
        let board = &self.directory.house().trust_bundle;
        let held = &seen.glance.desired;
        let is_own = seen.other.is_none();
        if let Some(desired) = held.get()
            && is_own
            && board.is(&desired.trust_bundle)
        {
            return Some(desired.clone());
        }
        let surroundings = Surroundings {
            trust_bundle: board.id(),
            heartbeat_interval_ms,
        };
        let desired = desired_state(seen.acted(), &seen.glance.caller, &surroundings).ok()?;
        if is_own {
            // One of an earlier bundle stays where it is: the bundle changes once in years.
            let _ = held.set(desired.clone());
        }
        Some(desired)
    }
}

impl Seen<'_> {
    /// The tenant acted for.
    fn acted(&self) -> &State {
        self.other.as_deref().unwrap_or(self.own)
    }
}

/// What takes nothing and is only looked up.
const fn is_light(operation: &Operation) -> bool {
    match operation {
        Operation::Check(check) => check.consume.is_none(),
        Operation::Heartbeat(_) => true,
        _ => false,
    }
}
