//! What came of a revocation: who was told, and by when everybody else is certainly out.

use provost_actors::LiveRuntime;
use provost_kernel::{
    license::LicensePolicy,
    state::{Entity, RuntimeRecord},
};
use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{DeploymentMode, Liveness, SecurityLevel},
};

use crate::admin::view::{NotReached, Revocation};

/// A runtime that was not told, or of which nobody knows whether it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missed {
    runtime: RuntimeId,
    last_seen: Option<Timestamp>,
    certain_by: Timestamp,
}

/// What the tenant's log says of a runtime besides its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held<'a> {
    /// Its newest license.
    pub(super) license: Option<&'a Entity>,
    /// The copies of it that were noticed.
    pub(super) copies: Option<&'a Entity>,
}

/// What came of it so far.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    runtimes: u64,
    already: u64,
    missed: Vec<NotReached>,
    certain_by: Option<Timestamp>,
}

impl Missed {
    /// Says by when a runtime that was not connected is certainly out; nothing where it was. Of one
    /// that is late nobody knows whether its connection is one still, and of copies one was told.
    pub(super) fn judge(
        record: &RuntimeRecord,
        held: &Held<'_>,
        live: Option<LiveRuntime>,
        now: Timestamp,
    ) -> Option<Self> {
        let is_there = |live: &LiveRuntime| live.connected && live.liveness == Liveness::Online;
        if live.as_ref().is_some_and(is_there) && held.copies.is_none() {
            return None;
        }
        let mut certain_by = match held.license {
            Some(Entity::License(head)) => head.expiry.plus_millis(head.grace_ms),
            _ => now,
        };
        if record.deployment_mode == DeploymentMode::Shared {
            // Its licenses for others stand in their logs; none was issued after this moment. Of one
            // that was revoked before, its record does not say when: this is the latest it can be.
            let longest = LicensePolicy::of(SecurityLevel::Standard).offline_max_ms();
            certain_by = certain_by.max(now.plus_millis(longest));
        }
        Some(Self {
            runtime: record.id,
            last_seen: live.and_then(|live| live.last_beat),
            certain_by: certain_by.max(now),
        })
    }
}

impl Outcome {
    /// Counts one that was revoked now.
    pub(super) fn revoked(&mut self, missed: Option<Missed>) {
        self.runtimes += 1;
        self.perhaps_revoked(missed);
    }

    /// Names one of which only the next look says whether it is revoked: by then nobody knows any
    /// more that it was not told.
    pub(super) fn perhaps_revoked(&mut self, missed: Option<Missed>) {
        let Some(missed) = missed else { return };
        self.certain_by = self.certain_by.max(Some(missed.certain_by));
        self.missed.push(NotReached {
            runtime_id: missed.runtime,
            last_seen: missed.last_seen,
            certain_by: missed.certain_by,
        });
    }

    /// Counts one that was revoked before. Whether it was told then, nobody knows any more: what it
    /// may go on with counts as if it was not.
    pub(super) fn revoked_before(&mut self, missed: Option<Missed>, now: Timestamp) {
        self.already += 1;
        let until = missed.map(|missed| missed.certain_by);
        self.certain_by = self.certain_by.max(until.filter(|until| *until > now));
    }

    /// How many were looked at.
    pub(super) const fn count(&self) -> u64 {
        self.runtimes + self.already
    }

    /// Whether there is nothing to tell.
    pub(super) const fn is_empty(&self) -> bool {
        self.count() == 0 && self.missed.is_empty()
    }

    pub(super) fn shown(self) -> Revocation {
        Revocation {
            runtimes: self.runtimes,
            already_revoked: self.already,
            not_reached_count: u64::try_from(self.missed.len()).unwrap_or(u64::MAX),
            not_reached: self.missed,
            certain_by: self.certain_by,
            open_tokens: None,
            next_cursor: None,
        }
    }
}
