//! Kills, limits, copies that were noticed.

use provost_protocol::{
    RuntimeId,
    event::{RuntimeCloned, RuntimeKilled, RuntimeLimited, RuntimeUnlimited},
    wire::DesiredLimit,
};

use super::{At, revise};
use crate::{
    planted::planted,
    state::{CopiesRecord, DirectivesRecord, Entities, Entity, EntityKey, Killed},
};

pub(super) fn killed(entities: &mut impl Entities, at: At, data: &RuntimeKilled) {
    with_directives(entities, data.runtime, |directives| {
        directives.killed = Some(Killed {
            since: at.time,
            reason: data.reason.clone(),
        });
    });
    if !planted("kill_not_told") {
        revise(entities);
    }
}

pub(super) fn unkilled(entities: &mut impl Entities, runtime: RuntimeId) {
    with_directives(entities, runtime, |directives| directives.killed = None);
    revise(entities);
}

/// The limits that ended go with the first change after their end.
pub(super) fn limited(entities: &mut impl Entities, at: At, data: &RuntimeLimited) {
    with_directives(entities, data.runtime, |directives| {
        let limits = &mut directives.limits;
        limits.retain(|limit| at.time < limit.until && limit.feature != data.feature);
        limits.push(DesiredLimit {
            feature: data.feature.clone(),
            limit: data.limit,
            until: data.until,
        });
        limits.sort_by(|one, other| one.feature.cmp(&other.feature));
    });
    revise(entities);
}

pub(super) fn unlimited(entities: &mut impl Entities, at: At, data: &RuntimeUnlimited) {
    with_directives(entities, data.runtime, |directives| {
        directives
            .limits
            .retain(|limit| at.time < limit.until && limit.feature != data.feature);
    });
    revise(entities);
}

/// The runtime may act no more: nothing is left to direct.
pub(super) fn forgotten(entities: &mut impl Entities, runtime: RuntimeId) {
    entities.remove(&EntityKey::Directives(runtime));
}

pub(super) fn cloned(entities: &mut impl Entities, at: At, data: &RuntimeCloned) {
    let key = EntityKey::Copies(data.runtime);
    let present = entities.entity(&key);
    let before = present.as_deref().and_then(|entity| {
        let Entity::Copies(record) = entity else {
            return None;
        };
        Some((record.first, record.alarms))
    });
    let (first, alarms) = before.unwrap_or((at.time, 0));
    let record = CopiesRecord {
        first,
        last: at.time,
        alarms: alarms.saturating_add(1),
        sightings: data.sightings.clone(),
    };
    entities.put(key, Entity::Copies(record));
}

pub(super) fn clone_resolved(entities: &mut impl Entities, runtime: RuntimeId) {
    entities.remove(&EntityKey::Copies(runtime));
}

/// A record that says nothing is no record: all who are directed stand in memory.
fn with_directives(
    entities: &mut impl Entities,
    runtime: RuntimeId,
    change: impl FnOnce(&mut DirectivesRecord),
) {
    let key = EntityKey::Directives(runtime);
    let mut record = match entities.entity(&key).as_deref() {
        Some(Entity::Directives(record)) => record.clone(),
        _ => DirectivesRecord::default(),
    };
    change(&mut record);
    if record.is_empty() {
        entities.remove(&key);
    } else {
        entities.put(key, Entity::Directives(record));
    }
}
