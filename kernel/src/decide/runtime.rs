//! Runtimes: what they are, whether they may act, and for whom.

use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{DeploymentMode, Health, RuntimeStatus},
    event::{
        Event, RuntimeActivated, RuntimeAttached, RuntimeDetached, RuntimeHealthChanged,
        RuntimeRegistered, RuntimeResumed, RuntimeRevoked, RuntimeSuspended, RuntimeUnkilled,
    },
};

use super::{require_in_force, runtime_of, tenant_of, valid};
use crate::{
    Rejection, State,
    command::{Attach, Register},
    limits::{
        ATTACHMENTS_MAX, CAPABILITIES_MAX, CAPABILITY_BYTES_MAX, HEALTH_EVERY_MS, REASON_BYTES_MAX,
        VERSION_BYTES_MAX,
    },
    planted::planted,
};

pub(super) fn register(state: &State, register: &Register) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    let runtime = runtime_of(state, register.runtime)?;
    require_in_force(&[tenant.status], runtime.status)?;
    if register.runtime_type != runtime.runtime_type {
        return Err(Rejection::invalid(
            "runtime_type",
            "is not what it enrolled as",
        ));
    }
    if register.deployment_mode != runtime.deployment_mode {
        return Err(Rejection::invalid(
            "deployment_mode",
            "is not how it enrolled",
        ));
    }
    valid::text("version", &register.version, VERSION_BYTES_MAX)?;
    if register.capabilities.len() > CAPABILITIES_MAX {
        return Err(Rejection::invalid("capabilities", "are too many"));
    }
    for capability in &register.capabilities {
        valid::text("capabilities", capability, CAPABILITY_BYTES_MAX)?;
    }
    if let Some(token_sha256) = &register.token_sha256 {
        valid::sha256_hex("token_sha256", token_sha256)?;
    }
    let unchanged = runtime.version.as_ref() == Some(&register.version)
        && runtime.capabilities == register.capabilities
        && runtime.contract_version == Some(register.contract_version)
        && (register.token_sha256.is_none() || runtime.token_sha256 == register.token_sha256);
    if unchanged {
        return Ok(Vec::new());
    }
    Ok(vec![
        RuntimeRegistered {
            runtime: register.runtime,
            version: register.version.clone(),
            capabilities: register.capabilities.clone(),
            contract_version: register.contract_version,
            token_sha256: register.token_sha256.clone(),
        }
        .into(),
    ])
}

pub(super) fn activate(state: &State, runtime: RuntimeId) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    match runtime_of(state, runtime)?.status {
        RuntimeStatus::Registered => Ok(vec![RuntimeActivated { runtime }.into()]),
        RuntimeStatus::Active | RuntimeStatus::Suspended => Ok(Vec::new()),
        RuntimeStatus::Revoked => Err(Rejection::RuntimeRevoked),
    }
}

pub(super) fn report_health(
    state: &State,
    runtime: RuntimeId,
    health: Health,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let record = runtime_of(state, runtime)?;
    if record.status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    let last = record.health_changed.max(last);
    let early = last.is_some_and(|last| now.is_within(HEALTH_EVERY_MS, last));
    if record.health == health || early {
        return Ok(Vec::new());
    }
    Ok(vec![RuntimeHealthChanged { runtime, health }.into()])
}

pub(super) fn suspend(
    state: &State,
    runtime: RuntimeId,
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    let status = ruled(state, runtime, reason)?;
    match status {
        RuntimeStatus::Registered | RuntimeStatus::Active => Ok(vec![
            RuntimeSuspended {
                runtime,
                reason: reason.to_owned(),
            }
            .into(),
        ]),
        RuntimeStatus::Suspended => Ok(Vec::new()),
        RuntimeStatus::Revoked => Err(Rejection::RuntimeRevoked),
    }
}

/// Ends whatever keeps the runtime from acting: suspension and kill alike.
pub(super) fn resume(
    state: &State,
    runtime: RuntimeId,
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    let resumed = || RuntimeResumed {
        runtime,
        reason: reason.to_owned(),
    };
    let mut events: Vec<Event> = match ruled(state, runtime, reason)? {
        RuntimeStatus::Suspended => vec![resumed().into()],
        RuntimeStatus::Registered | RuntimeStatus::Active => Vec::new(),
        RuntimeStatus::Revoked if planted("revoked_resumes") => vec![resumed().into()],
        RuntimeStatus::Revoked => return Err(Rejection::RuntimeRevoked),
    };
    if state.is_killed(runtime) {
        let reason = reason.to_owned();
        events.push(RuntimeUnkilled { runtime, reason }.into());
    }
    Ok(events)
}

pub(super) fn revoke(
    state: &State,
    runtime: RuntimeId,
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    if ruled(state, runtime, reason)? == RuntimeStatus::Revoked {
        return Ok(Vec::new());
    }
    let serials = runtime_of(state, runtime)?.serials.clone();
    Ok(vec![
        RuntimeRevoked {
            runtime,
            reason: reason.to_owned(),
            serials,
        }
        .into(),
    ])
}

pub(super) fn attach(state: &State, attach: &Attach) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    if attach.deployment_mode != DeploymentMode::Shared {
        return Err(Rejection::invalid(
            "runtime",
            "only a shared runtime can be attached",
        ));
    }
    if tenant.operator != Some(attach.operator) || attach.operator == tenant.id {
        return Err(Rejection::invalid(
            "runtime",
            "is not of the tenant's operator",
        ));
    }
    if attach.status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    valid::sha256_hex("cnf", &attach.cnf)?;
    match state.attachment(attach.runtime) {
        Some(present) if present.cnf == attach.cnf => return Ok(Vec::new()),
        // Another binding key after a recovery: attached again under the same count.
        Some(_) => {}
        None => valid::room_for_one("attachments", tenant.attachments, ATTACHMENTS_MAX)?,
    }
    Ok(vec![
        RuntimeAttached {
            runtime: attach.runtime,
            operator: attach.operator,
            cnf: attach.cnf.clone(),
        }
        .into(),
    ])
}

pub(super) fn detach(state: &State, runtime: RuntimeId) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if state.attachment(runtime).is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![RuntimeDetached { runtime }.into()])
}

/// The status of a runtime that an operator decides about, with a reason fit for the log.
pub(super) fn ruled(
    state: &State,
    runtime: RuntimeId,
    reason: &str,
) -> Result<RuntimeStatus, Rejection> {
    tenant_of(state)?;
    valid::optional_text("reason", reason, REASON_BYTES_MAX)?;
    Ok(runtime_of(state, runtime)?.status)
}
