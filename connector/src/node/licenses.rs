//! Pulls licenses: one at a time for each tenant, verified before it is kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use provost_protocol::{
    Code, CorrelationId, Problem, TenantId, Timestamp,
    license::LicenseDocument,
    wire::{Operation, Outcome},
};
use serde_json::json;
use tokio::{sync::Mutex as Turn, time::Instant};
use tracing::{info, warn};

use super::{Node, blocking, disk};
use crate::{
    clock::up_to,
    event::LICENSE_REFUSED,
    link::CallError,
    tenants::{KeepError, TENANTS_MAX, Tenant},
};

/// Why no new license is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// The kernel cannot be asked.
    #[error("{0}")]
    Unreachable(#[source] CallError),
    /// The kernel gives none.
    #[error("the kernel gives no license: {}", .0.code)]
    Refused(Problem),
    /// What came cannot be relied on, or not be kept.
    #[error("what the kernel gave is no license to rely on: {}", .0.detail)]
    Bad(Problem),
}

/// Whose turn it is, and who failed lately.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    turns: Mutex<HashMap<TenantId, Arc<Turn<Attempts>>>>,
}

#[derive(Debug, Default)]
struct Attempts {
    failures: u32,
    not_before: Option<Instant>,
    /// The desired state in force when it failed last, or that was given.
    revision: u64,
    /// What was given lasts at least until then, so that no clock makes it due before.
    lasts_until: Option<Instant>,
}

impl Pulls {
    fn turn(&self, tenant: TenantId) -> Arc<Turn<Attempts>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() > TENANTS_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(tenant).or_default())
    }

    /// Whether a pull that failed lately should rest. What was refused under another revision may
    /// be given under this one.
    pub(super) async fn resting(&self, tenant: TenantId, revision: u64) -> bool {
        let turn = self.turn(tenant);
        let attempts = turn.lock().await;
        attempts.revision == revision && is_ahead(attempts.not_before)
    }

    /// Whether what was pulled under this revision, or refused, need not be pulled again yet; also
    /// where somebody pulls right now.
    pub(super) fn settled(&self, tenant: TenantId, revision: u64) -> bool {
        let turn = self.turn(tenant);
        let attempts = turn.try_lock();
        attempts.map_or(true, |attempts| attempts.settle(revision))
    }

    /// Whatever was refused may be given now.
    pub(super) async fn wake(&self, tenant: TenantId) {
        self.turn(tenant).lock().await.not_before = None;
    }
}

fn is_ahead(at: Option<Instant>) -> bool {
    at.is_some_and(|at| Instant::now() < at)
}

impl Attempts {
    /// A license was given; half of what is left of it is measured by no clock that can be set.
    fn given(license: &LicenseDocument, now: Timestamp) -> Self {
        let left = Duration::from_millis(license.expiry.millis_since(now));
        Self {
            revision: license.revision,
            lasts_until: Some(Instant::now() + (left / 2).clamp(LASTS_LEAST, LASTS_MOST)),
            ..Self::default()
        }
    }

    /// Whether they settle the matter for this revision, for now.
    fn settle(&self, revision: u64) -> bool {
        let rests = is_ahead(self.not_before) || is_ahead(self.lasts_until);
        self.revision >= revision && rests
    }

    fn refused(&mut self, revision: u64, problem: &Problem) {
        self.failed(revision);
        if problem.code == Code::ExternalTokenRefused {
            // Somebody has to prove first who it is for; that pulls by itself.
            self.not_before = Some(Instant::now() + UNPROVEN_REST);
        }
    }

    fn failed(&mut self, revision: u64) {
        self.revision = revision;
        // Whatever is held is not what was asked for.
        self.lasts_until = None;
        let bound = REST_BASE.saturating_mul(2_u32.saturating_pow(self.failures.min(10)));
        self.failures = self.failures.saturating_add(1);
        let bound = bound.min(REST_CAP);
        self.not_before = Some(Instant::now() + bound / 2 + up_to(bound / 2));
    }
}

impl Node {
    /// Pulls a license for a tenant, unless somebody did while this one waited for its turn.
    pub(crate) async fn pull(
        &self,
        tenant: TenantId,
        correlation: CorrelationId,
    ) -> Result<Arc<Tenant>, PullError> {
        let before = self.place(tenant);
        let turn = self.pulls.turn(tenant);
        let mut attempts = turn.lock().await;
        if self.place(tenant) != before
            && let Some(held) = self.core.tenants.find(tenant)
        {
            return Ok(held);
        }
        let pulled = self.pull_now(tenant, correlation).await;
        match &pulled {
            Ok(held) => {
                if let Some(license) = &held.license {
                    *attempts = Attempts::given(&license.document, self.core.floor.now());
                }
            }
            Err(PullError::Unreachable(_)) => {}
            Err(PullError::Refused(problem)) => attempts.refused(self.revision(tenant), problem),
            Err(PullError::Bad(_)) => attempts.failed(self.revision(tenant)),
        }
        pulled
    }

    async fn pull_now(
        &self,
        tenant: TenantId,
        correlation: CorrelationId,
    ) -> Result<Arc<Tenant>, PullError> {
        let outcome = self
            .link
            .call(tenant, correlation, Operation::PullLicense)
            .await
            .map_err(PullError::Unreachable)?;
        let text = match outcome {
            Outcome::License(text) => text,
            Outcome::Refused(problem) => {
                info!(tenant.id = %tenant, code = %problem.code, "no license is given");
                return Err(PullError::Refused(problem));
            }
            _ => return Err(PullError::Bad(super::internal())),
        };
        let core = Arc::clone(&self.core);
        let kept = blocking(move || core.tenants.keep_license(tenant, &text, &core.floor))
            .await
            .map_err(PullError::Bad)?;
        match kept {
            Ok(held) => {
                let place = held.highest.unwrap_or_default();
                info!(tenant.id = %tenant, license.epoch = place.0, license.seq = place.1,
                    "a license is in force");
                self.core.upkeep.notify_one();
                Ok(held)
            }
            Err(failure) => Err(PullError::Bad(
                self.refuse(tenant, correlation, &failure).await,
            )),
        }
    }

    /// A bad license changes nothing: the last good one stays.
    async fn refuse(
        &self,
        tenant: TenantId,
        correlation: CorrelationId,
        failure: &KeepError,
    ) -> Problem {
        let verdict = match failure {
            KeepError::Disk(failure) => return disk(failure),
            KeepError::License(refused) => refused.verdict.as_str(),
            KeepError::OtherTenant => "OTHER_TENANT",
            KeepError::Second { .. } => "SECOND_LICENSE",
            KeepError::TooMany => "TOO_MANY_TENANTS",
        };
        warn!(tenant.id = %tenant, license.verdict = verdict, %failure,
            "a license is refused; the one before stays");
        let payload = json!({ "verdict": verdict, "detail": failure.to_string() });
        if let Err(problem) = self
            .report(LICENSE_REFUSED, tenant, correlation, &payload)
            .await
        {
            warn!(code = %problem.code, "the refusal of a license is not reported");
        }
        Problem::new(
            Code::Internal,
            "the kernel's license is not to be relied on",
        )
    }

    /// The revision of the desired state in force for a tenant.
    pub(super) fn revision(&self, tenant: TenantId) -> u64 {
        let held = self.core.tenants.find(tenant);
        held.map_or(0, |held| held.desired.revision())
    }

    fn place(&self, tenant: TenantId) -> Option<(u64, u64)> {
        let held = self.core.tenants.find(tenant)?;
        held.license
            .as_ref()
            .map(|license| (license.document.epoch, license.document.seq))
    }
}

/// A first refusal is often a race with an operator at work.
const REST_BASE: Duration = Duration::from_secs(5);

/// A license that ends sooner is one of a person who has to sign in again, and every new one would
/// end then too.
const LASTS_LEAST: Duration = Duration::from_secs(60);

/// A clock that is ahead pulls once an hour. No longer: this clock stands still while the machine
/// sleeps, and the license does not.
const LASTS_MOST: Duration = Duration::from_secs(3_600);

/// Whoever comes back signs in, and what is asked for then is given at once.
const UNPROVEN_REST: Duration = Duration::from_secs(24 * 3_600);

/// A tenant that stays refused is asked for six times an hour.
const REST_CAP: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn given(revision: u64) -> Attempts {
        Attempts {
            revision,
            lasts_until: Some(Instant::now() + LASTS_MOST),
            ..Attempts::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_under_a_newer_revision_is_asked_for_again_after_a_rest() {
        let mut attempts = given(5);
        assert!(attempts.settle(5));
        assert!(!attempts.settle(6), "other entitlements");
        attempts.refused(6, &Problem::new(Code::Overloaded, "later"));
        assert!(attempts.settle(6), "it rests");
        advance(REST_BASE).await;
        assert!(!attempts.settle(6), "though the one before lasts for days");
    }

    #[tokio::test(start_paused = true)]
    async fn who_signs_in_after_a_refusal_is_not_kept_waiting_for_a_day() {
        let (pulls, tenant) = (Pulls::default(), crate::testing::tenant());
        let unproven = Problem::new(Code::ExternalTokenRefused, "who is it?");
        pulls.turn(tenant).lock().await.refused(1, &unproven);
        assert!(pulls.resting(tenant, 1).await);
        pulls.wake(tenant).await;
        assert!(!pulls.resting(tenant, 1).await);
        assert!(!pulls.settled(tenant, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_after_licenses_waits_for_nobody_who_pulls_one() {
        let (pulls, tenant) = (Pulls::default(), crate::testing::tenant());
        let turn = pulls.turn(tenant);
        let pulling = turn.lock().await;
        assert!(pulls.settled(tenant, 1));
        drop(pulling);
        assert!(!pulls.settled(tenant, 1));
    }
}
