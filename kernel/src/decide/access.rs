//! Entitlements, quotas and licenses.

use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{Feature, Limit, Mode, QUOTA_MAX, RuntimeStatus},
    event::{
        EntitlementExpired, EntitlementGranted, EntitlementOverridden, EntitlementRemoved, Event,
        LicenseIssued, QuotaConsumed, QuotaDenied,
    },
    verdict::{Limits, Reason, Verdict},
};

use super::{refreshed, tenant_of, valid};
use crate::{
    Rejection, State,
    check::{self, Judgement, Question, evaluate},
    command::{Consume, Grant, IssueLicense, Prior},
    license::next_sequence,
    limits::ENTITLEMENTS_MAX,
};

pub(super) fn grant(state: &State, grant: &Grant, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    if let Limit::Quota(quota) = grant.limit
        && quota > QUOTA_MAX
    {
        return Err(Rejection::invalid(
            "limits.quota",
            format!("is over {QUOTA_MAX}"),
        ));
    }
    if grant.time_window.is_some() && !check::is_counted(grant.limit) {
        return Err(Rejection::invalid(
            "limits.time_window",
            "needs a quota to count",
        ));
    }
    if grant.valid_until <= now {
        return Err(Rejection::invalid("valid_until", "lies in the past"));
    }
    if let Some(runtime) = grant.runtime
        && state.runtime(runtime).is_none()
        && state.attachment(runtime).is_none()
    {
        return Err(Rejection::invalid(
            "runtime_id",
            "is no runtime of this tenant",
        ));
    }
    match state.entitlement(&grant.feature, grant.runtime) {
        Some(present) if check::Grant::from(present) == check::Grant::from(grant) => {
            return Ok(Vec::new());
        }
        Some(_) => {}
        None => valid::room_for_one("entitlements", tenant.entitlements, ENTITLEMENTS_MAX)?,
    }
    Ok(vec![
        EntitlementGranted {
            feature: grant.feature.clone(),
            runtime: grant.runtime,
            limit: grant.limit,
            time_window: grant.time_window,
            mode: grant.mode,
            valid_until: grant.valid_until,
        }
        .into(),
    ])
}

pub(super) fn remove(
    state: &State,
    feature: &Feature,
    runtime: Option<RuntimeId>,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    state
        .entitlement(feature, runtime)
        .ok_or(Rejection::NotFound)?;
    Ok(vec![
        EntitlementRemoved {
            feature: feature.clone(),
            runtime,
        }
        .into(),
    ])
}

pub(super) fn expire(state: &State, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let ended = state
        .entitlements()
        .filter(|entitlement| !entitlement.end_recorded && entitlement.valid_until <= now);
    Ok(ended
        .map(|entitlement| {
            EntitlementExpired {
                feature: entitlement.feature.clone(),
                runtime: entitlement.runtime,
                valid_until: entitlement.valid_until,
            }
            .into()
        })
        .collect())
}

/// Takes units, or records that they were refused. The first event is the answer ([`answer`]).
pub(super) fn consume(
    state: &State,
    consume: &Consume,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    match &consume.prior {
        Some(Prior::Same(_)) => return Ok(Vec::new()),
        Some(Prior::Other) => return Err(Rejection::IdempotencyConflict),
        None => {}
    }
    if consume.amount == 0 || consume.amount > QUOTA_MAX {
        return Err(Rejection::invalid(
            "consume",
            format!("between 1 and {QUOTA_MAX}"),
        ));
    }
    let facts = state.check_facts(&refreshed(state, &consume.caller))?;
    if facts.runtime_status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    let question = Question {
        feature: consume.feature.clone(),
        consume: Some(consume.amount),
    };
    let judgement = evaluate(&facts, state, &question, now);
    let mut events = vec![outcome(consume, &judgement)];
    if let Some(reason) = judgement.overridden {
        let mode = judgement
            .matched
            .map_or(Mode::Enforce, |(grant, _)| grant.mode);
        let feature = consume.feature.clone();
        let runtime = consume.caller.runtime;
        let reason = reason.to_string();
        events.push(
            EntitlementOverridden {
                runtime,
                feature,
                mode,
                reason,
            }
            .into(),
        );
    }
    Ok(events)
}

/// The verdict that a consumption's event stands for: the same at first and when repeated.
///
/// Where a mode let through what `enforce` would have denied, the reason is read back from the
/// figures: over its quota, else ended. `None` for an event of another kind.
#[must_use]
pub fn answer(event: &Event) -> Option<Verdict> {
    match event {
        Event::QuotaConsumed(taken) => {
            let over = taken.quota.is_some_and(|quota| taken.used > quota);
            let reason = match (taken.over_quota && taken.mode == Mode::Warn, over) {
                (false, _) => Reason::Entitled,
                (true, true) => Reason::QuotaExhausted,
                (true, false) => Reason::EntitlementExpired,
            };
            let resets_at = Some(taken.window_end).filter(|&end| end < Timestamp::MAX);
            let limits = Limits {
                quota: taken.quota,
                used: Some(taken.used),
                remaining: taken.quota.map(|quota| quota.saturating_sub(taken.used)),
                time_window: taken.time_window,
                resets_at,
                mode: taken.mode,
            };
            Some(Verdict {
                allowed: true,
                reason,
                limits: Some(limits),
            })
        }
        Event::QuotaDenied(denied) => {
            let reason = REASONS
                .into_iter()
                .find(|reason| reason.as_str() == denied.reason)?;
            // Denied is only what is enforced; where nothing matched there is no figure at all.
            let limits = is_entitlements(reason).then_some(Limits {
                quota: denied.quota,
                used: denied.used,
                remaining: denied
                    .quota
                    .zip(denied.used)
                    .map(|(quota, used)| quota.saturating_sub(used)),
                time_window: denied.time_window,
                resets_at: denied.resets_at,
                mode: Mode::Enforce,
            });
            Some(Verdict {
                allowed: false,
                reason,
                limits,
            })
        }
        _other => None,
    }
}

pub(super) fn record_override(
    state: &State,
    runtime: RuntimeId,
    feature: &Feature,
    mode: Mode,
    reason: Reason,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let (feature, reason) = (feature.clone(), reason.to_string());
    Ok(vec![
        EntitlementOverridden {
            runtime,
            feature,
            mode,
            reason,
        }
        .into(),
    ])
}

pub(super) fn issue_license(state: &State, issue: &IssueLicense) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if issue.sequence != next_sequence(state, issue.runtime) {
        return Err(Rejection::Stale("the license sequence"));
    }
    valid::sha256_hex("license_sha256", &issue.license_sha256)?;
    Ok(vec![
        LicenseIssued {
            runtime: issue.runtime,
            license_seq: issue.sequence.seq,
            kid: issue.kid.clone(),
            cnf: issue.cnf.clone(),
            issued: issue.issued,
            expiry: issue.expiry,
            grace_ms: issue.grace_ms,
            revision: issue.revision,
            license_sha256: issue.license_sha256.clone(),
        }
        .into(),
    ])
}

fn outcome(consume: &Consume, judgement: &Judgement) -> Event {
    let Verdict {
        allowed,
        reason,
        limits,
    } = &judgement.verdict;
    let counted = judgement
        .matched
        .as_ref()
        .filter(|(grant, _)| *allowed && check::is_counted(grant.limit));
    if let Some((grant, usage)) = counted {
        return QuotaConsumed {
            runtime: consume.caller.runtime,
            feature: consume.feature.clone(),
            granted: grant.feature.clone(),
            granted_runtime: grant.runtime,
            amount: consume.amount,
            used: usage.used.saturating_add(consume.amount),
            quota: limits.as_ref().and_then(|limits| limits.quota),
            window_start: usage.window.start,
            window_end: usage.window.end,
            time_window: grant.time_window,
            mode: grant.mode,
            over_quota: judgement.overridden.is_some(),
        }
        .into();
    }
    let limits = limits.as_ref();
    QuotaDenied {
        runtime: consume.caller.runtime,
        feature: consume.feature.clone(),
        amount: consume.amount,
        reason: reason.to_string(),
        used: limits.and_then(|limits| limits.used),
        quota: limits.and_then(|limits| limits.quota),
        time_window: limits.and_then(|limits| limits.time_window),
        resets_at: limits.and_then(|limits| limits.resets_at),
    }
    .into()
}

/// Whether an entitlement gave the reason, so that its limits are part of the answer.
const fn is_entitlements(reason: Reason) -> bool {
    match reason {
        Reason::Entitled
        | Reason::EntitlementExpired
        | Reason::FeatureOff
        | Reason::QuotaExhausted
        | Reason::NoLease
        | Reason::NotMetered => true,
        Reason::NoEntitlement
        | Reason::TenantSuspended
        | Reason::RuntimeSuspended
        | Reason::RuntimeRevoked
        | Reason::ResolveNeeded
        | Reason::Killed
        | Reason::LicenseExpired
        | Reason::NoLicense => false,
    }
}

impl From<&Grant> for check::Grant {
    fn from(grant: &Grant) -> Self {
        Self {
            feature: grant.feature.clone(),
            runtime: grant.runtime,
            limit: grant.limit,
            time_window: grant.time_window,
            mode: grant.mode,
            valid_until: grant.valid_until,
        }
    }
}

/// Reasons a consumption may be denied for by the kernel.
const REASONS: [Reason; 10] = [
    Reason::NoEntitlement,
    Reason::EntitlementExpired,
    Reason::FeatureOff,
    Reason::QuotaExhausted,
    Reason::TenantSuspended,
    Reason::RuntimeSuspended,
    Reason::RuntimeRevoked,
    Reason::ResolveNeeded,
    Reason::Killed,
    Reason::NotMetered,
];
