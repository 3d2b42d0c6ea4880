//! Tenants, providers, identities, keys.

use provost_protocol::{
    entity::TenantStatus,
    event::{
        AdminKeyCreated, IdentityCreated, IdentityResolved, IndividualAdmitted, KeyCreated,
        ProviderAdded, ProviderRemoved, TenantCreated,
    },
};

use super::{At, revise, with_tenant};
use crate::{
    limits::RESOLVE_SERVES_MS,
    state::{
        AdminKeyRecord, Entities, Entity, EntityKey, IdentityRecord, IndividualRecord, KeyRecord,
        Provider, TenantRecord,
    },
};

pub(super) fn created(entities: &mut impl Entities, at: At, data: &TenantCreated) {
    let record = TenantRecord {
        id: at.tenant,
        tenant_type: data.tenant_type,
        name: data.name.clone(),
        status: TenantStatus::Active,
        policies: data.policies.clone(),
        operator: data.operator,
        time_zone: data.time_zone.clone(),
        subject: data.subject.clone(),
        created: at.time,
        epoch: at.epoch,
        seq: at.seq,
        revision: 1,
        entitlement_revision: 0,
        entitlements: 0,
        providers: 0,
        attachments: 0,
        runtimes: 0,
        individuals: 0,
    };
    entities.put(EntityKey::Tenant, Entity::Tenant(record));
}

pub(super) fn suspended(entities: &mut impl Entities) {
    with_tenant(entities, |tenant| tenant.status = TenantStatus::Suspended);
    revise(entities);
}

pub(super) fn resumed(entities: &mut impl Entities) {
    with_tenant(entities, |tenant| tenant.status = TenantStatus::Active);
    revise(entities);
}

pub(super) fn individual_admitted(entities: &mut impl Entities, at: At, data: &IndividualAdmitted) {
    let record = IndividualRecord {
        tenant: data.tenant,
        subject: data.subject.clone(),
        provider: data.provider,
        admitted: at.time,
    };
    entities.put(
        EntityKey::individual(&data.subject),
        Entity::Individual(record),
    );
    with_tenant(entities, |tenant| {
        tenant.individuals = tenant.individuals.saturating_add(1)
    });
}

pub(super) fn provider_added(entities: &mut impl Entities, at: At, data: &ProviderAdded) {
    let key = EntityKey::Provider(data.provider);
    let fresh = entities.entity(&key).is_none();
    let record = Provider {
        id: data.provider,
        settings: data.settings.clone(),
        created: at.time,
    };
    entities.put(key, Entity::Provider(record));
    with_tenant(entities, |tenant| {
        tenant.providers = tenant.providers.saturating_add(u64::from(fresh));
    });
}

pub(super) fn provider_removed(entities: &mut impl Entities, data: &ProviderRemoved) {
    let key = EntityKey::Provider(data.provider);
    if entities.entity(&key).is_some() {
        entities.remove(&key);
        with_tenant(entities, |tenant| {
            tenant.providers = tenant.providers.saturating_sub(1)
        });
    }
}

pub(super) fn identity_created(entities: &mut impl Entities, at: At, data: &IdentityCreated) {
    let record = IdentityRecord {
        id: data.identity,
        subject: data.subject.clone(),
        provider: data.provider,
        roles: Vec::new(),
        attributes: std::collections::BTreeMap::new(),
        created: at.time,
        last_resolved: None,
        token_expires: None,
    };
    entities.put(EntityKey::Identity(data.identity), Entity::Identity(record));
    entities.put(
        EntityKey::subject(&data.subject),
        Entity::Subject(data.identity),
    );
}

pub(super) fn identity_resolved(entities: &mut impl Entities, at: At, data: &IdentityResolved) {
    // Not there in an actor's memory, where nothing is decided by it; there in every store.
    let key = EntityKey::Identity(data.identity);
    if let Some(Entity::Identity(record)) = entities.entity(&key).as_deref() {
        let mut record = record.clone();
        record.roles.clone_from(&data.roles);
        record.attributes.clone_from(&data.attributes);
        record.last_resolved = Some(at.time);
        record.token_expires = Some(data.token_expires);
        entities.put(key, Entity::Identity(record));
    }
    let key = EntityKey::Attachment(data.runtime);
    if let Some(Entity::Attachment(record)) = entities.entity(&key).as_deref()
        && record.operator == data.runtime_tenant
    {
        let mut record = record.clone();
        record.resolved_until = Some(at.time.plus_millis(RESOLVE_SERVES_MS));
        entities.put(key, Entity::Attachment(record));
    }
}

pub(super) fn key_created(entities: &mut impl Entities, at: At, data: &KeyCreated) {
    let record = KeyRecord {
        kid: data.kid.clone(),
        purpose: data.purpose,
        public_key: data.public_key.clone(),
        created: at.time,
    };
    entities.put(EntityKey::Key(data.kid.clone()), Entity::Key(record));
}

pub(super) fn admin_key_created(entities: &mut impl Entities, at: At, data: &AdminKeyCreated) {
    let record = AdminKeyRecord {
        id: data.key,
        name: data.name.clone(),
        role: data.role,
        secret_sha256: data.secret_sha256.clone(),
        created: at.time,
    };
    entities.put(EntityKey::AdminKey(data.key), Entity::AdminKey(record));
}
