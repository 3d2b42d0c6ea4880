//! Entitlements and licenses.

use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{Feature, Limit, Mode, QUOTA_MAX},
    event::{
        EntitlementExpired, EntitlementGranted, EntitlementOverridden, EntitlementRemoved, Event,
        LicenseIssued,
    },
    verdict::Reason,
};

use super::{tenant_of, valid};
use crate::{
    Rejection, State, check,
    command::{Grant, IssueLicense},
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

impl From<&Grant> for check::Grant {
    fn from(grant: &Grant) -> Self {
        Self {
            of_resource: grant.feature.resource().is_some(),
            runtime: grant.runtime,
            limit: grant.limit,
            time_window: grant.time_window,
            mode: grant.mode,
            valid_until: grant.valid_until,
        }
    }
}
