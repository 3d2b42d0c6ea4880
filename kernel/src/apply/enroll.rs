//! Enrolment tokens, runtimes, attachments.

use provost_protocol::{
    RuntimeId, TokenId,
    entity::{Health, RuntimeStatus},
    event::{
        DesiredStateConfirmed, EnrolmentTokenCreated, RuntimeActivated, RuntimeAttached,
        RuntimeDetached, RuntimeEnrolled, RuntimeRegistered,
    },
};

use super::{At, revise, with_runtime, with_tenant};
use crate::state::{
    Attachment, EnrolmentRecord, Entities, Entity, EntityKey, RuntimeRecord, TokenRecord,
};

pub(super) fn token_created(entities: &mut impl Entities, at: At, data: &EnrolmentTokenCreated) {
    let record = TokenRecord {
        id: data.token,
        secret_sha256: data.secret_sha256.clone(),
        runtime_type: data.runtime_type,
        deployment_mode: data.deployment_mode,
        uses: data.uses,
        used: 0,
        expires: data.expires,
        revoked: false,
        misused: 0,
        created: at.time,
    };
    entities.put(EntityKey::Token(data.token), Entity::Token(record));
}

pub(super) fn with_token(
    entities: &mut impl Entities,
    id: TokenId,
    change: impl FnOnce(&mut TokenRecord),
) {
    let key = EntityKey::Token(id);
    if let Some(Entity::Token(record)) = entities.entity(&key).as_deref() {
        let mut record = record.clone();
        change(&mut record);
        entities.put(key, Entity::Token(record));
    }
}

pub(super) fn enrolled(entities: &mut impl Entities, at: At, data: &RuntimeEnrolled) {
    let record = RuntimeRecord {
        id: data.runtime,
        status: RuntimeStatus::Registered,
        runtime_type: data.runtime_type,
        deployment_mode: data.deployment_mode,
        version: None,
        capabilities: Vec::new(),
        contract_version: None,
        cnf: data.cnf.clone(),
        binding_key: data.binding_key.clone(),
        serials: vec![data.serial.clone()],
        certificate_not_after: data.not_after,
        token_sha256: None,
        health: Health::Healthy,
        health_changed: None,
        lost: false,
        enrolled: at.time,
        activated: None,
        confirmed_revision: 0,
    };
    entities.put(
        EntityKey::Runtime(data.runtime),
        Entity::Runtime(Box::new(record)),
    );
    let answer = EnrolmentRecord {
        runtime: data.runtime,
        certificate: data.certificate.clone(),
        first_use: at.time,
    };
    let key = EntityKey::Enrolment(data.token, data.cnf.clone());
    entities.put(key, Entity::Enrolment(answer));
    with_token(entities, data.token, |token| {
        token.used = token.used.saturating_add(1)
    });
    with_tenant(entities, |tenant| {
        tenant.runtimes = tenant.runtimes.saturating_add(1)
    });
}

pub(super) fn registered(entities: &mut impl Entities, data: &RuntimeRegistered) {
    with_runtime(entities, data.runtime, |runtime| {
        runtime.version = Some(data.version.clone());
        runtime.capabilities.clone_from(&data.capabilities);
        runtime.contract_version = Some(data.contract_version);
        if data.token_sha256.is_some() {
            runtime.token_sha256.clone_from(&data.token_sha256);
        }
    });
}

pub(super) fn activated(entities: &mut impl Entities, at: At, data: &RuntimeActivated) {
    with_runtime(entities, data.runtime, |runtime| {
        runtime.status = RuntimeStatus::Active;
        runtime.activated = Some(at.time);
    });
}

pub(super) fn suspended(entities: &mut impl Entities, runtime: RuntimeId) {
    with_runtime(entities, runtime, |runtime| {
        runtime.status = RuntimeStatus::Suspended
    });
    revise(entities);
}

/// Back to where it stood: active only if it ever beat.
pub(super) fn resumed(entities: &mut impl Entities, runtime: RuntimeId) {
    with_runtime(entities, runtime, |runtime| {
        runtime.status = match runtime.activated {
            Some(_) => RuntimeStatus::Active,
            None => RuntimeStatus::Registered,
        };
    });
    revise(entities);
}

pub(super) fn revoked(entities: &mut impl Entities, runtime: RuntimeId) {
    with_runtime(entities, runtime, |runtime| {
        runtime.status = RuntimeStatus::Revoked;
        runtime.token_sha256 = None;
    });
    revise(entities);
}

pub(super) fn attached(entities: &mut impl Entities, at: At, data: &RuntimeAttached) {
    let key = EntityKey::Attachment(data.runtime);
    let fresh = entities.entity(&key).is_none();
    let record = Attachment {
        runtime: data.runtime,
        operator: data.operator,
        cnf: data.cnf.clone(),
        resolved_until: None,
        confirmed_revision: 0,
        created: at.time,
    };
    entities.put(key, Entity::Attachment(record));
    with_tenant(entities, |tenant| {
        tenant.attachments = tenant.attachments.saturating_add(u64::from(fresh));
    });
    revise(entities);
}

pub(super) fn detached(entities: &mut impl Entities, data: &RuntimeDetached) {
    let key = EntityKey::Attachment(data.runtime);
    if entities.entity(&key).is_some() {
        entities.remove(&key);
        with_tenant(entities, |tenant| {
            tenant.attachments = tenant.attachments.saturating_sub(1);
        });
    }
    revise(entities);
}

pub(super) fn confirmed(entities: &mut impl Entities, data: &DesiredStateConfirmed) {
    for one in &data.confirmed {
        with_runtime(entities, one.runtime, |runtime| {
            runtime.confirmed_revision = runtime.confirmed_revision.max(one.revision);
        });
        let key = EntityKey::Attachment(one.runtime);
        if let Some(Entity::Attachment(record)) = entities.entity(&key).as_deref() {
            let mut record = record.clone();
            record.confirmed_revision = record.confirmed_revision.max(one.revision);
            entities.put(key, Entity::Attachment(record));
        }
    }
}
