//! Entitlements, counters, licenses.

use provost_protocol::event::{
    EntitlementExpired, EntitlementGranted, EntitlementRemoved, LicenseIssued, QuotaConsumed,
};

use super::{At, revise, with_tenant};
use crate::{
    license::Sequence,
    state::{Counter, Entities, Entitlement, Entity, EntityKey, LicenseHead},
};

pub(super) fn granted(entities: &mut impl Entities, at: At, data: &EntitlementGranted) {
    let key = EntityKey::entitlement(&data.feature, data.runtime);
    let present = entities.entity(&key);
    let before = present.as_deref().and_then(|entity| {
        let Entity::Entitlement(record) = entity else {
            return None;
        };
        Some(record.created)
    });
    let record = Entitlement {
        feature: data.feature.clone(),
        runtime: data.runtime,
        limit: data.limit,
        time_window: data.time_window,
        mode: data.mode,
        valid_until: data.valid_until,
        end_recorded: false,
        created: before.unwrap_or(at.time),
        updated: at.time,
    };
    entities.put(key, Entity::Entitlement(record));
    with_tenant(entities, |tenant| {
        tenant.entitlements = tenant
            .entitlements
            .saturating_add(u64::from(before.is_none()));
        tenant.entitlement_revision = tenant.entitlement_revision.saturating_add(1);
    });
    revise(entities);
}

/// The counter stays: removing and granting again within one window gives nothing twice.
pub(super) fn removed(entities: &mut impl Entities, data: &EntitlementRemoved) {
    let key = EntityKey::entitlement(&data.feature, data.runtime);
    let present = entities.entity(&key).is_some();
    entities.remove(&key);
    with_tenant(entities, |tenant| {
        tenant.entitlements = tenant.entitlements.saturating_sub(u64::from(present));
        tenant.entitlement_revision = tenant.entitlement_revision.saturating_add(1);
    });
    revise(entities);
}

pub(super) fn expired(entities: &mut impl Entities, data: &EntitlementExpired) {
    let key = EntityKey::entitlement(&data.feature, data.runtime);
    if let Some(Entity::Entitlement(record)) = entities.entity(&key).as_deref() {
        let mut record = record.clone();
        record.end_recorded = true;
        entities.put(key, Entity::Entitlement(record));
    }
    with_tenant(entities, |tenant| {
        tenant.entitlement_revision = tenant.entitlement_revision.saturating_add(1);
    });
    revise(entities);
}

pub(super) fn consumed(entities: &mut impl Entities, data: &QuotaConsumed) {
    let record = Counter {
        time_window: data.time_window,
        window_start: data.window_start,
        window_end: data.window_end,
        used: data.used,
    };
    let key = EntityKey::counter(&data.granted, data.granted_runtime);
    entities.put(key, Entity::Counter(record));
}

pub(super) fn license_issued(entities: &mut impl Entities, at: At, data: &LicenseIssued) {
    let record = LicenseHead {
        sequence: Sequence {
            epoch: at.epoch,
            seq: data.license_seq,
        },
        kid: data.kid.clone(),
        cnf: data.cnf.clone(),
        issued: data.issued,
        expiry: data.expiry,
        grace_ms: data.grace_ms,
        revision: data.revision,
        license_sha256: data.license_sha256.clone(),
    };
    entities.put(EntityKey::License(data.runtime), Entity::License(record));
}
