//! What runtimes report, and what the kernel sees of them.

use std::collections::{BTreeMap, BTreeSet};

use provost_protocol::{
    ContractVersion, RuntimeId, Timestamp,
    entity::{ActorType, RuntimeStatus},
    event::{Confirmation, DesiredStateConfirmed, Event, RuntimesLost, RuntimesReturned},
};

use super::{tenant_of, valid};
use crate::{
    Rejection, State,
    command::{AuditEntry, AuditPrior},
    grants::Caller,
    limits::{
        AUDIT_EVENTS_MAX, AUDIT_PAYLOAD_BYTES_MAX, AUDIT_TYPE_BYTES_MAX, EVENT_AHEAD_MS_MAX,
        RUNTIMES_PER_EVENT_MAX,
    },
    state::RuntimeRecord,
};

/// Open to the suspended, closed to the revoked.
pub(super) fn record_audit(
    state: &State,
    caller: &Caller,
    entries: &[AuditEntry],
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let caller = state.refreshed(caller);
    let facts = state.check_facts(&caller)?;
    if facts.runtime_status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    if entries.is_empty() || entries.len() > AUDIT_EVENTS_MAX {
        return Err(Rejection::invalid(
            "events",
            format!("between 1 and {AUDIT_EVENTS_MAX}"),
        ));
    }
    let mut seen = BTreeMap::new();
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.recorded.event_id;
        match entry.prior {
            AuditPrior::Same => continue,
            AuditPrior::Other => return Err(Rejection::EventConflict(id)),
            AuditPrior::New => {}
        }
        check_entry(entry, now)?;
        match seen.insert(id, &entry.recorded.event) {
            Some(earlier) if *earlier == entry.recorded.event => continue,
            Some(_) => return Err(Rejection::EventConflict(id)),
            None => events.push(entry.recorded.clone().into()),
        }
    }
    Ok(events)
}

pub(super) fn mark_lost(state: &State, runtimes: &[RuntimeId]) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let lost = matching(state, runtimes, |runtime| !runtime.lost);
    Ok(lost
        .chunks(RUNTIMES_PER_EVENT_MAX)
        .map(|part| {
            RuntimesLost {
                runtimes: part.to_vec(),
            }
            .into()
        })
        .collect())
}

pub(super) fn mark_returned(
    state: &State,
    runtimes: &[RuntimeId],
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let returned = matching(state, runtimes, |runtime| runtime.lost);
    Ok(returned
        .chunks(RUNTIMES_PER_EVENT_MAX)
        .map(|part| {
            RuntimesReturned {
                runtimes: part.to_vec(),
            }
            .into()
        })
        .collect())
}

/// Keeps of each runtime the highest revision that exists and is news.
pub(super) fn confirm(state: &State, confirmed: &[Confirmation]) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let mut highest = BTreeMap::new();
    for one in confirmed
        .iter()
        .filter(|one| one.revision <= state.revision())
    {
        let own = state
            .runtime(one.runtime)
            .map(|runtime| runtime.confirmed_revision);
        let attached = || state.attachment(one.runtime).map(|a| a.confirmed_revision);
        let Some(held) = own.or_else(attached) else {
            continue;
        };
        if one.revision > held {
            let entry = highest.entry(one.runtime).or_insert(one.revision);
            *entry = one.revision.max(*entry);
        }
    }
    let news: Vec<_> = highest
        .into_iter()
        .map(|(runtime, revision)| Confirmation { runtime, revision })
        .collect();
    Ok(news
        .chunks(RUNTIMES_PER_EVENT_MAX)
        .map(|part| {
            DesiredStateConfirmed {
                confirmed: part.to_vec(),
            }
            .into()
        })
        .collect())
}

fn matching(
    state: &State,
    runtimes: &[RuntimeId],
    wanted: impl Fn(&RuntimeRecord) -> bool,
) -> Vec<RuntimeId> {
    let distinct: BTreeSet<_> = runtimes.iter().copied().collect();
    distinct
        .into_iter()
        .filter(|&id| {
            state
                .runtime(id)
                .is_some_and(|runtime| runtime.status != RuntimeStatus::Revoked && wanted(runtime))
        })
        .collect()
}

fn check_entry(entry: &AuditEntry, now: Timestamp) -> Result<(), Rejection> {
    match (entry.actor, entry.version) {
        (ActorType::User | ActorType::Runtime, _) | (ActorType::Agent, ContractVersion::V0_2) => {}
        (ActorType::System, _) | (ActorType::Agent, ContractVersion::V0_1) => {
            return Err(Rejection::ActorTypeRefused(entry.actor));
        }
    }
    let kind = &entry.recorded.kind;
    valid::text("type", kind, AUDIT_TYPE_BYTES_MAX)?;
    if kind.to_ascii_lowercase().starts_with("provost.") {
        return Err(Rejection::EventTypeReserved);
    }
    if entry.timestamp > now.plus_millis(EVENT_AHEAD_MS_MAX) {
        return Err(Rejection::EventTimeRefused);
    }
    if entry.payload_bytes > AUDIT_PAYLOAD_BYTES_MAX {
        return Err(Rejection::PayloadTooLarge {
            bytes: entry.payload_bytes,
        });
    }
    Ok(())
}
