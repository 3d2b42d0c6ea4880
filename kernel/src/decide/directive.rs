//! What operators direct a runtime to be: killed, limited; and copies of one.

use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{Feature, Limit, QUOTA_MAX, RuntimeStatus},
    event::{
        Event, RuntimeCloneResolved, RuntimeCloned, RuntimeKilled, RuntimeLimited,
        RuntimeUnlimited, Sighting,
    },
};

use super::{runtime::ruled, runtime_of, tenant_of, valid};
use crate::{
    Rejection, State,
    command::LimitRuntime,
    limits::{CLONED_EVERY_MS, DIRECTED_LIMITS_MAX, REASON_BYTES_MAX, SIGHTINGS_MAX},
};

pub(super) fn kill(
    state: &State,
    runtime: RuntimeId,
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    if ruled(state, runtime, reason)? == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    if state.is_killed(runtime) {
        return Ok(Vec::new());
    }
    let reason = reason.to_owned();
    Ok(vec![RuntimeKilled { runtime, reason }.into()])
}

/// Narrows what a runtime may do for this tenant: its own, or one that is attached to it.
pub(super) fn limit(
    state: &State,
    limit: &LimitRuntime,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    require_acting(state, limit.runtime)?;
    valid::optional_text("reason", &limit.reason, REASON_BYTES_MAX)?;
    match limit.limit {
        Limit::Quota(quota) if quota > QUOTA_MAX => {
            return Err(Rejection::invalid("limit", format!("is over {QUOTA_MAX}")));
        }
        Limit::Quota(_) | Limit::Flag(false) => {}
        Limit::Flag(true) | Limit::Unlimited => {
            return Err(Rejection::invalid("limit", "narrows nothing"));
        }
    }
    if limit.until <= now {
        return Err(Rejection::invalid("until", "lies in the past"));
    }
    if let Some(directives) = state.directives(limit.runtime) {
        let same = |held: &provost_protocol::wire::DesiredLimit| {
            (held.limit, held.until) == (limit.limit, limit.until)
        };
        if directives.limit(&limit.feature, now).is_some_and(same) {
            return Ok(Vec::new());
        }
        let others = directives
            .limits
            .iter()
            .filter(|held| now < held.until && held.feature != limit.feature);
        let others = u64::try_from(others.count()).unwrap_or(u64::MAX);
        valid::room_for_one("limits of one runtime", others, DIRECTED_LIMITS_MAX)?;
    }
    Ok(vec![
        RuntimeLimited {
            runtime: limit.runtime,
            feature: limit.feature.clone(),
            limit: limit.limit,
            until: limit.until,
            reason: limit.reason.clone(),
        }
        .into(),
    ])
}

pub(super) fn unlimit(
    state: &State,
    runtime: RuntimeId,
    feature: &Feature,
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    valid::optional_text("reason", reason, REASON_BYTES_MAX)?;
    let held = state
        .directives(runtime)
        .is_some_and(|directives| directives.limits.iter().any(|one| one.feature == *feature));
    if !held {
        return Err(Rejection::NotFound);
    }
    Ok(vec![
        RuntimeUnlimited {
            runtime,
            feature: feature.clone(),
            reason: reason.to_owned(),
        }
        .into(),
    ])
}

/// Records that copies were seen, at most once in [`CLONED_EVERY_MS`].
pub(super) fn report_clone(
    state: &State,
    runtime: RuntimeId,
    sightings: &[Sighting],
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if runtime_of(state, runtime)?.status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    if sightings.len() < 2 || sightings.len() > SIGHTINGS_MAX {
        return Err(Rejection::invalid(
            "sightings",
            format!("between 2 and {SIGHTINGS_MAX}"),
        ));
    }
    let recent = |last: Timestamp| now.is_within(CLONED_EVERY_MS, last);
    if state.copies(runtime).is_some_and(|held| recent(held.last)) {
        return Ok(Vec::new());
    }
    let sightings = sightings.to_vec();
    Ok(vec![RuntimeCloned { runtime, sightings }.into()])
}

pub(super) fn resolve_clone(
    state: &State,
    runtime: RuntimeId,
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    ruled(state, runtime, reason)?;
    if state.copies(runtime).is_none() {
        return Ok(Vec::new());
    }
    let reason = reason.to_owned();
    Ok(vec![RuntimeCloneResolved { runtime, reason }.into()])
}

fn require_acting(state: &State, runtime: RuntimeId) -> Result<(), Rejection> {
    tenant_of(state)?;
    match state.runtime(runtime) {
        Some(record) if record.status == RuntimeStatus::Revoked => Err(Rejection::RuntimeRevoked),
        Some(_) => Ok(()),
        None if state.attachment(runtime).is_some() => Ok(()),
        None => Err(Rejection::NotFound),
    }
}
