//! The only place where events change state: live, in the store's projection, and in a rebuild.

use provost_protocol::{RuntimeId, TenantId, Timestamp, event::Event};

use crate::state::{Entities, Entity, EntityKey, RuntimeRecord, TenantRecord};

mod access;
mod certificate;
mod directive;
mod enroll;
mod history;
mod tenant;
mod trust;

/// Where an event stands: its tenant's log, and the place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Whose log.
    pub tenant: TenantId,
    /// The log's epoch.
    pub epoch: u64,
    /// The event's position.
    pub seq: u64,
    /// When it was decided.
    pub time: Timestamp,
}

/// Takes in what has happened. Total: an event that was stored cannot be refused.
///
/// An entity that an event speaks of and that is not there is left absent; the event still counts.
pub fn apply(entities: &mut impl Entities, at: At, event: &Event) {
    match event {
        Event::TenantCreated(data) => tenant::created(entities, at, data),
        Event::TenantSuspended(_) => tenant::suspended(entities),
        Event::TenantResumed(_) => tenant::resumed(entities),
        Event::IndividualAdmitted(data) => tenant::individual_admitted(entities, at, data),
        Event::ProviderAdded(data) => tenant::provider_added(entities, at, data),
        Event::ProviderRemoved(data) => tenant::provider_removed(entities, data),
        Event::IdentityCreated(data) => tenant::identity_created(entities, at, data),
        Event::IdentityResolved(data) => tenant::identity_resolved(entities, at, data),
        Event::EnrolmentTokenCreated(data) => enroll::token_created(entities, at, data),
        Event::EnrolmentTokenRevoked(data) => {
            enroll::with_token(entities, data.token, |token| token.revoked = true);
        }
        Event::EnrolmentTokenMisused(data) => {
            enroll::with_token(entities, data.token, |token| {
                token.misused = token.misused.saturating_add(1);
            });
        }
        Event::RuntimeEnrolled(data) => enroll::enrolled(entities, at, data),
        Event::RuntimeRegistered(data) => enroll::registered(entities, data),
        Event::RuntimeCertificateRenewed(data) => certificate::renewed(entities, at, data),
        Event::RuntimeRecovered(data) => certificate::recovered(entities, at, data),
        Event::RuntimeRecoveryRefused(data) => {
            certificate::recovery_refused(entities, at, data);
        }
        Event::RuntimeRecoveryAllowed(data) => certificate::recovery_allowed(entities, data),
        Event::RuntimeActivated(data) => enroll::activated(entities, at, data),
        Event::RuntimeSuspended(data) => enroll::suspended(entities, data.runtime),
        Event::RuntimeResumed(data) => enroll::resumed(entities, data.runtime),
        Event::RuntimeRevoked(data) => {
            enroll::revoked(entities, data.runtime);
            directive::forgotten(entities, data.runtime);
        }
        Event::RuntimeAttached(data) => enroll::attached(entities, at, data),
        Event::RuntimeDetached(data) => {
            enroll::detached(entities, data);
            directive::forgotten(entities, data.runtime);
        }
        Event::RuntimeKilled(data) => directive::killed(entities, at, data),
        Event::RuntimeUnkilled(data) => directive::unkilled(entities, data.runtime),
        Event::RuntimeLimited(data) => directive::limited(entities, at, data),
        Event::RuntimeUnlimited(data) => directive::unlimited(entities, at, data),
        Event::RuntimeCloned(data) => directive::cloned(entities, at, data),
        Event::RuntimeCloneResolved(data) => directive::clone_resolved(entities, data.runtime),
        Event::RuntimesLost(data) => set_lost(entities, &data.runtimes, true),
        Event::RuntimesReturned(data) => set_lost(entities, &data.runtimes, false),
        Event::RuntimeHealthChanged(data) => with_runtime(entities, data.runtime, |runtime| {
            runtime.health = data.health;
            runtime.health_changed = Some(at.time);
        }),
        Event::DesiredStateConfirmed(data) => enroll::confirmed(entities, data),
        Event::EntitlementGranted(data) => access::granted(entities, at, data),
        Event::EntitlementRemoved(data) => access::removed(entities, data),
        Event::EntitlementExpired(data) => access::expired(entities, data),
        Event::QuotaConsumed(data) => access::consumed(entities, data),
        Event::LicenseIssued(data) => access::license_issued(entities, at, data),
        Event::KeyCreated(data) => tenant::key_created(entities, at, data),
        Event::AdminKeyCreated(data) => tenant::admin_key_created(entities, at, data),
        Event::LogRestored(data) => history::restored(entities, at, data),
        Event::LogRangeLost(data) => history::range_lost(entities, data),
        Event::LogForked(data) => history::forked(entities, data),
        Event::CaRotationPrepared(data) => trust::prepared(entities, at, data),
        Event::CaRotationActivated(data) => trust::activated(entities, at, data),
        Event::CaRotationRetired(data) => trust::retired(entities, at, data),
        Event::CaRotationAborted(data) => trust::aborted(entities, at, data),
        Event::TrustConfirmed(data) => trust::confirmed(entities, at, data),
        Event::CertificateRevoked(data) => trust::certificate_revoked(entities, at, data),
        // These only say what happened.
        Event::EntitlementOverridden(_)
        | Event::QuotaDenied(_)
        | Event::AuditRecorded(_)
        | Event::DiskLow(_)
        | Event::DiskRecovered(_)
        | Event::JournalDamaged(_) => {}
    }
    with_tenant(entities, |tenant| {
        tenant.revision = tenant.revision_in(at.epoch);
        tenant.epoch = at.epoch.max(tenant.epoch);
        tenant.seq = at.seq;
    });
}

fn with_tenant(entities: &mut impl Entities, change: impl FnOnce(&mut TenantRecord)) {
    if let Some(Entity::Tenant(record)) = entities.entity(&EntityKey::Tenant).as_deref() {
        let mut record = record.clone();
        change(&mut record);
        entities.put(EntityKey::Tenant, Entity::Tenant(record));
    }
}

/// Something changed that runtimes of the tenant should know.
fn revise(entities: &mut impl Entities) {
    with_tenant(entities, |tenant| {
        tenant.revision = tenant.revision.saturating_add(1)
    });
}

fn with_runtime(
    entities: &mut impl Entities,
    id: RuntimeId,
    change: impl FnOnce(&mut RuntimeRecord),
) {
    let key = EntityKey::Runtime(id);
    if let Some(Entity::Runtime(record)) = entities.entity(&key).as_deref() {
        let mut record = record.clone();
        change(&mut record);
        entities.put(key, Entity::Runtime(record));
    }
}

fn set_lost(entities: &mut impl Entities, runtimes: &[RuntimeId], lost: bool) {
    for &id in runtimes {
        with_runtime(entities, id, |runtime| runtime.lost = lost);
    }
}
