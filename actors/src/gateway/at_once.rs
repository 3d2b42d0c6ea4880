//! What is answered from what is in memory, without asking anybody: checks that take nothing, and
//! heartbeats that change nothing.
//!
//! Judged as every other call is, anew and from the committed state. Whatever has to be loaded,
//! decided, recorded or refused is left to [`Gateway::call`].

use std::sync::Arc;

use provost_kernel::{
    Caller, State,
    check::{Question, evaluate},
    desired::{Surroundings, desired_state},
    state::RuntimeRecord,
};
use provost_protocol::{
    TenantId,
    entity::{DeploymentMode, RuntimeStatus},
    wire::{Check, Heartbeat, Operation, Outcome, Request},
};

use super::{Gateway, Kept, Peer, heartbeat::check_metrics, peer::caller};
use crate::runtime::Beat;

/// Who calls, and from which states it is answered.
struct Seen<'a> {
    peer: &'a Peer,
    kept: &'a Kept,
    own: &'a State,
    record: &'a RuntimeRecord,
    caller: Caller,
    /// The tenant acted for.
    acted: &'a State,
}

impl Gateway {
    /// Answers at once what can be; `None` where [`call`](Self::call) is to be asked, with nothing
    /// changed.
    #[must_use]
    pub fn at_once(&self, peer: &Peer, kept: &Kept, request: &mut Request) -> Option<Outcome> {
        if !is_light(&request.operation) {
            return None;
        }
        let house = self.directory.house();
        let standing = house.standing.check(&peer.identity, house.clock.now());
        if standing.is_err() || !kept.tenant.is_served() {
            return None;
        }
        let own = kept.tenant.view();
        let (caller, record) = caller(&own, &peer.identity)?;
        if record.status == RuntimeStatus::Revoked {
            return None;
        }
        let others = self.other(&caller, record, request.tenant)?;
        let seen = Seen {
            peer,
            kept,
            own: &own,
            record,
            caller,
            acted: others.as_deref().unwrap_or(&own),
        };
        match &mut request.operation {
            Operation::Check(check) => self.check_at_once(&seen, check),
            Operation::Heartbeat(beat) => self.beat_at_once(&seen, beat),
            _ => None,
        }
    }

    /// The state of a tenant that is not the caller's own: `None` where it is not in memory, or the
    /// caller may not act for it; `Some(None)` for its own.
    fn other(
        &self,
        caller: &Caller,
        record: &RuntimeRecord,
        tenant: TenantId,
    ) -> Option<Option<Arc<State>>> {
        if tenant == caller.tenant {
            return Some(None);
        }
        if record.deployment_mode != DeploymentMode::Shared {
            return None;
        }
        self.directory.view_of(tenant).map(Some)
    }

    fn check_at_once(&self, seen: &Seen<'_>, check: &Check) -> Option<Outcome> {
        let facts = seen.acted.check_facts(&seen.caller).ok()?;
        let now = self.directory.house().clock.now();
        let question = Question {
            feature: check.feature.clone(),
            consume: None,
        };
        let judgement = evaluate(&facts, seen.acted, &question, now);
        if let Some(reason) = judgement.overridden {
            let (tenant, runtime) = (seen.acted.tenant_id(), seen.caller.runtime);
            if self
                .throttle
                .is_due(&(tenant, runtime, question.feature, reason), now)
            {
                return None;
            }
        }
        Some(Outcome::Checked(judgement.verdict))
    }

    fn beat_at_once(&self, seen: &Seen<'_>, beat: &mut Heartbeat) -> Option<Outcome> {
        check_metrics(&beat.metrics).ok()?;
        let house = self.directory.house();
        let rhythm = self.rhythm(seen.own).spread(house.random.seed());
        let surroundings = Surroundings {
            trust_bundle: house.trust_bundle.id(),
            heartbeat_interval_ms: rhythm.interval_ms,
        };
        let desired = desired_state(seen.acted, &seen.caller, &surroundings).ok()?;
        let mut taken = Beat {
            health: beat.health,
            metrics: std::mem::take(&mut beat.metrics),
            address: seen.peer.address,
        };
        let now = house.clock.now();
        let answer = seen
            .kept
            .runtime
            .beat_at_once(&mut taken, seen.record, rhythm, now);
        let Some(answer) = answer else {
            beat.metrics = taken.metrics;
            return None;
        };
        Some(self.beat_taken(&seen.caller, answer, desired))
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
