//! Rotations of the certificate authority, trust in its roots, and what is revoked.

use std::collections::BTreeSet;

use provost_protocol::{
    RuntimeId,
    entity::{RuntimeStatus, TenantType},
    event::{
        CaRotationAborted, CaRotationActivated, CaRotationPrepared, CaRotationRetired,
        CertificateRevoked, Event, RuntimeRevoked, TrustConfirmed,
    },
};

use super::{runtime_of, tenant_of, valid};
use crate::{
    EntityKey, Rejection, State,
    command::{ConfirmTrust, RotateCa},
    limits::{REASON_BYTES_MAX, REVOKED_AT_ONCE_MAX, RUNTIMES_PER_EVENT_MAX},
    state::{Entity, RotationPhase, RotationRecord},
};

pub(super) fn rotate(state: &State, step: &RotateCa) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if !state.is_type(TenantType::Internal) {
        return Err(Rejection::invalid(
            "tenant",
            "the certificate authority is the installation's",
        ));
    }
    let record = state.rotation();
    let phase = record.map_or(&RotationPhase::Settled, |record| &record.phase);
    let active = record.map_or("", |record| record.active.as_str());
    let event = match (step, phase) {
        (RotateCa::Prepare(prepare), RotationPhase::Settled) => {
            checked(prepare, record)?;
            prepare.clone().into()
        }
        (RotateCa::Activate { missing, force }, RotationPhase::Prepared { next, .. }) => {
            activated((active, next), *missing, *force)?
        }
        (RotateCa::Retire { cut_off, force }, RotationPhase::Activated { old }) => {
            retired((active, old), *cut_off, *force)?
        }
        (RotateCa::Abort, RotationPhase::Prepared { next, .. }) => CaRotationAborted {
            active: active.to_owned(),
            aborted: next.clone(),
        }
        .into(),
        (RotateCa::Prepare(_), RotationPhase::Prepared { .. }) => {
            return Err(Rejection::RotationPhase("a root is prepared already"));
        }
        (RotateCa::Prepare(_), RotationPhase::Activated { .. }) => {
            return Err(Rejection::RotationPhase("the old root is not retired yet"));
        }
        (
            RotateCa::Activate { .. } | RotateCa::Abort,
            RotationPhase::Settled | RotationPhase::Activated { .. },
        ) => return Err(Rejection::RotationPhase("no root is prepared")),
        (RotateCa::Retire { .. }, RotationPhase::Settled | RotationPhase::Prepared { .. }) => {
            return Err(Rejection::RotationPhase("there is no old root"));
        }
    };
    Ok(vec![event])
}

fn checked(prepare: &CaRotationPrepared, record: Option<&RotationRecord>) -> Result<(), Rejection> {
    for (field, hash) in [("active", &prepare.active), ("next", &prepare.next)] {
        valid::sha256_hex(field, hash)?;
    }
    for (field, pem) in [("next_root", &prepare.next_root), ("cross", &prepare.cross)] {
        if !pem.starts_with("-----BEGIN CERTIFICATE-----") || pem.len() > ROOT_PEM_BYTES_MAX {
            return Err(Rejection::invalid(field, "is no certificate in PEM"));
        }
    }
    let other = record.is_some_and(|record| record.active != prepare.active);
    if other || prepare.active == prepare.next {
        return Err(Rejection::RotationPhase("another root is active"));
    }
    Ok(())
}

fn activated((old, next): (&str, &str), missing: u64, forced: bool) -> Result<Event, Rejection> {
    if missing > 0 && !forced {
        return Err(Rejection::RotationNotAdopted { missing });
    }
    Ok(CaRotationActivated {
        active: next.to_owned(),
        old: old.to_owned(),
        missing,
        forced,
    }
    .into())
}

fn retired((active, old): (&str, &str), cut_off: u64, forced: bool) -> Result<Event, Rejection> {
    if cut_off > 0 && !forced {
        return Err(Rejection::RotationInUse { cut_off });
    }
    Ok(CaRotationRetired {
        active: active.to_owned(),
        retired: old.to_owned(),
        cut_off,
        forced,
    }
    .into())
}

/// Records each runtime of this tenant that had not confirmed this bundle before.
pub(super) fn confirm(state: &State, confirm: &ConfirmTrust) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    valid::sha256_hex("bundle", &confirm.bundle)?;
    let distinct: BTreeSet<_> = confirm.runtimes.iter().copied().collect();
    let is_news = |id: &RuntimeId| {
        state
            .runtime(*id)
            .is_some_and(|runtime| runtime.status != RuntimeStatus::Revoked)
            && state
                .trust(*id)
                .is_none_or(|held| held.bundle != confirm.bundle)
    };
    let news: Vec<_> = distinct.into_iter().filter(is_news).collect();
    Ok(news
        .chunks(RUNTIMES_PER_EVENT_MAX)
        .map(|part| {
            TrustConfirmed {
                bundle: confirm.bundle.clone(),
                runtimes: part.to_vec(),
            }
            .into()
        })
        .collect())
}

/// Revokes one certificate of a runtime. Of a revoked runtime none is good anyway.
pub(super) fn revoke_certificate(
    state: &State,
    runtime: RuntimeId,
    serial: &str,
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    valid::optional_text("reason", reason, REASON_BYTES_MAX)?;
    let record = runtime_of(state, runtime)?;
    let serial = serial.to_ascii_lowercase();
    let known = record.serials.contains(&serial);
    let key = EntityKey::RevokedCertificate(serial.clone());
    if let Some(Entity::RevokedCertificate(held)) = state.get(&key) {
        return if held.runtime == runtime {
            Ok(Vec::new())
        } else {
            Err(Rejection::NotFound)
        };
    }
    if !known {
        return Err(Rejection::NotFound);
    }
    let held = state
        .certificates(runtime)
        .and_then(|all| all.held.iter().find(|held| held.serial == serial));
    let not_after = held.map_or(record.certificate_not_after, |held| held.not_after);
    Ok(vec![
        CertificateRevoked {
            runtime,
            serial,
            not_after,
            reason: reason.to_owned(),
        }
        .into(),
    ])
}

/// Revokes many runtimes of the tenant at once; those that are revoked already are passed over.
pub(super) fn revoke_runtimes(
    state: &State,
    runtimes: &[RuntimeId],
    reason: &str,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    valid::optional_text("reason", reason, REASON_BYTES_MAX)?;
    let asked = u64::try_from(runtimes.len()).unwrap_or(u64::MAX);
    if asked > REVOKED_AT_ONCE_MAX {
        return Err(Rejection::TooMany {
            what: "runtimes at once",
            max: REVOKED_AT_ONCE_MAX,
        });
    }
    let distinct: BTreeSet<_> = runtimes.iter().copied().collect();
    let standing = distinct.into_iter().filter_map(|id| state.runtime(id));
    Ok(standing
        .filter(|runtime| runtime.status != RuntimeStatus::Revoked)
        .map(|runtime| {
            RuntimeRevoked {
                runtime: runtime.id,
                reason: reason.to_owned(),
                serials: runtime.serials.clone(),
            }
            .into()
        })
        .collect())
}

/// A P-256 root with its names is under 1 KiB of PEM.
const ROOT_PEM_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
