//! Taking from quotas, and what is answered.

use std::borrow::Cow;

use provost_protocol::{
    Timestamp,
    entity::{Mode, QUOTA_MAX, RuntimeStatus},
    event::{EntitlementOverridden, Event, QuotaConsumed, QuotaDenied},
    verdict::{Limits, Reason, Verdict},
};

use super::tenant_of;
use crate::{
    Rejection, State,
    check::{self, Judgement, Question, evaluate},
    command::{Consume, Prior},
};

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
    let facts = state.check_facts(&state.refreshed(&consume.caller))?;
    if facts.runtime_status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    let question = Question {
        feature: Cow::Borrowed(&consume.feature),
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
    if let Event::QuotaConsumed(taken) = event {
        return Some(answer_taken(taken));
    }
    let Event::QuotaDenied(denied) = event else {
        return None;
    };
    answer_denied(denied)
}

fn answer_taken(taken: &QuotaConsumed) -> Verdict {
    let over = taken.quota.is_some_and(|quota| taken.used > quota);
    let reason = match (taken.over_quota && taken.mode == Mode::Warn, over) {
        (false, _) => Reason::Entitled,
        (true, true) => Reason::QuotaExhausted,
        (true, false) => Reason::EntitlementExpired,
    };
    let limits = Limits {
        quota: taken.quota,
        used: Some(taken.used),
        remaining: taken.quota.map(|quota| quota.saturating_sub(taken.used)),
        time_window: taken.time_window,
        resets_at: Some(taken.window_end).filter(|&end| end < Timestamp::MAX),
        mode: taken.mode,
    };
    Verdict {
        allowed: true,
        reason,
        limits: Some(limits),
    }
}

/// Denied is only what is enforced; where nothing matched there is no figure at all.
fn answer_denied(denied: &QuotaDenied) -> Option<Verdict> {
    let reason = REASONS
        .into_iter()
        .find(|reason| reason.as_str() == denied.reason)?;
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
            granted: if grant.of_resource {
                consume.feature.clone()
            } else {
                consume.feature.without_resource()
            },
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
