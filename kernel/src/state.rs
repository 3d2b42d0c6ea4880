//! What one tenant is at one moment: entities under typed keys.
//!
//! A [`State`] is a value. Cloning it is cheap (a persistent map shares its nodes), so an actor
//! keeps a committed and a pending one and publishes clones to readers. Nothing here survives a
//! crash by itself: the store keeps each entity under [`EntityKey`]'s text form and gives it back.

mod certificate;
mod directives;
mod feature_key;
mod history;
mod key;
mod record;
mod trust;

use std::sync::Arc;

use imbl::OrdMap;
use provost_protocol::{
    IdentityId, RuntimeId, TenantId, TokenId,
    entity::{Feature, TenantStatus, TenantType},
    event::Subject,
};

use self::feature_key::FeatureKey;
pub use self::{
    certificate::{CertificatesRecord, HeldCertificate, LastAnswer},
    directives::{CopiesRecord, DirectivesRecord, Killed},
    history::{Held, HistoryRecord, Lost, Restore, WitnessRecord},
    key::{EntityKey, KeyError, subject_sha256},
    record::{
        AdminKeyRecord, Attachment, Counter, EnrolmentRecord, Entitlement, Entity, IdentityRecord,
        IndividualRecord, KeyRecord, LicenseHead, Provider, RuntimeRecord, TenantRecord,
        TokenRecord,
    },
    trust::{RevokedCertificate, RotationPhase, RotationRecord, TrustRecord},
};

/// Where entities are read and written: a [`State`], or a store's projection.
pub trait Entities {
    /// Reads one entity.
    fn entity(&self, key: &EntityKey) -> Option<Arc<Entity>>;
    /// Writes one entity, replacing what was there.
    fn put(&mut self, key: EntityKey, entity: Entity);
    /// Forgets one entity.
    fn remove(&mut self, key: &EntityKey);
}

/// One tenant's entities, as far as they are loaded.
///
/// The hot kinds ([`EntityKey::is_hot`]) must all be there; the cold ones are loaded by key before
/// a decision ([`crate::Command::needs`]), where absence means that there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    tenant: TenantId,
    epoch: u64,
    entities: OrdMap<EntityKey, Arc<Entity>>,
}

impl State {
    /// Builds the empty state of a tenant's log in an epoch.
    #[must_use]
    pub fn new(tenant: TenantId, epoch: u64) -> Self {
        Self {
            tenant,
            epoch,
            entities: OrdMap::new(),
        }
    }

    /// Takes in an entity that was read from the store.
    pub fn load(&mut self, key: EntityKey, entity: Arc<Entity>) {
        self.entities.insert(key, entity);
    }

    /// Forgets a cold entity that is no longer needed in memory; hot ones stay.
    pub fn unload(&mut self, key: &EntityKey) {
        if !key.is_hot() {
            self.entities.remove(key);
        }
    }

    /// Whose state it is.
    #[must_use]
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant
    }

    /// The epoch of the log that the next event will stand in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.tenant()
            .map_or(self.epoch, |tenant| tenant.epoch.max(self.epoch))
    }

    /// The tenant itself; absent before its first event.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantRecord> {
        let Entity::Tenant(record) = self.get(&EntityKey::Tenant)? else {
            return None;
        };
        Some(record)
    }

    /// The desired-state revision that runtimes are told, 0 before the tenant's first event.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.tenant()
            .map_or(0, |tenant| tenant.revision_in(self.epoch()))
    }

    /// Whether the tenant is active; an absent tenant is not.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.tenant()
            .is_some_and(|tenant| tenant.status == TenantStatus::Active)
    }

    /// Whether the tenant is of this type.
    #[must_use]
    pub fn is_type(&self, wanted: TenantType) -> bool {
        self.tenant()
            .is_some_and(|tenant| tenant.tenant_type == wanted)
    }

    /// Every entitlement, in the order of (feature, runtime).
    pub fn entitlements(&self) -> impl Iterator<Item = &Entitlement> {
        let from = EntityKey::first_entitlement();
        self.entities.range(from..).map_while(|(_, entity)| {
            let Entity::Entitlement(record) = &**entity else {
                return None;
            };
            Some(record)
        })
    }

    /// Every counter with what it belongs to, in the order of (feature, runtime).
    pub(crate) fn counters(
        &self,
    ) -> impl Iterator<Item = ((&Feature, Option<RuntimeId>), &Counter)> {
        let from = EntityKey::first_counter();
        self.entities.range(from..).map_while(|(key, entity)| {
            let (EntityKey::Counter { feature, runtime }, Entity::Counter(record)) =
                (key, &**entity)
            else {
                return None;
            };
            Some(((feature, *runtime), record))
        })
    }

    /// When [`crate::Command::Expire`] is next worth deciding.
    #[must_use]
    pub fn deadline(&self) -> Option<provost_protocol::Timestamp> {
        self.entitlements()
            .filter(|entitlement| !entitlement.end_recorded)
            .map(|entitlement| entitlement.valid_until)
            .filter(|&end| end < provost_protocol::Timestamp::MAX)
            .min()
    }

    /// One entitlement, by exactly its key.
    #[must_use]
    pub fn entitlement(
        &self,
        feature: &Feature,
        runtime: Option<RuntimeId>,
    ) -> Option<&Entitlement> {
        let key = FeatureKey::Entitlement(feature, runtime);
        let Entity::Entitlement(record) = &**self.entities.get(&key)? else {
            return None;
        };
        Some(record)
    }

    /// The counter of one entitlement; absent before its first use.
    #[must_use]
    pub fn counter(&self, feature: &Feature, runtime: Option<RuntimeId>) -> Option<&Counter> {
        let key = FeatureKey::Counter(feature, runtime);
        let Entity::Counter(record) = &**self.entities.get(&key)? else {
            return None;
        };
        Some(record)
    }

    /// Every identity provider.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.entities.values().filter_map(|entity| {
            let Entity::Provider(record) = &**entity else {
                return None;
            };
            Some(record)
        })
    }

    /// Every attached shared runtime.
    pub fn attachments(&self) -> impl Iterator<Item = &Attachment> {
        self.entities.values().filter_map(|entity| {
            let Entity::Attachment(record) = &**entity else {
                return None;
            };
            Some(record)
        })
    }

    /// One attached shared runtime.
    #[must_use]
    pub fn attachment(&self, runtime: RuntimeId) -> Option<&Attachment> {
        let Entity::Attachment(record) = self.get(&EntityKey::Attachment(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// One runtime of this tenant, if it is loaded.
    #[must_use]
    pub fn runtime(&self, runtime: RuntimeId) -> Option<&RuntimeRecord> {
        let Entity::Runtime(record) = self.get(&EntityKey::Runtime(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// What operators direct a runtime to be: one of this tenant, or one attached to it.
    #[must_use]
    pub fn directives(&self, runtime: RuntimeId) -> Option<&DirectivesRecord> {
        let Entity::Directives(record) = self.get(&EntityKey::Directives(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// Whether an operator killed a runtime of this tenant.
    #[must_use]
    pub fn is_killed(&self, runtime: RuntimeId) -> bool {
        self.directives(runtime)
            .is_some_and(|directives| directives.killed.is_some())
    }

    /// The copies of a runtime that were noticed, if there are any and they are loaded.
    #[must_use]
    pub fn copies(&self, runtime: RuntimeId) -> Option<&CopiesRecord> {
        let Entity::Copies(record) = self.get(&EntityKey::Copies(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// Which identity a person is, if that is loaded.
    #[must_use]
    pub fn identity_of(&self, subject: &Subject) -> Option<IdentityId> {
        let Entity::Subject(identity) = self.get(&EntityKey::subject(subject))? else {
            return None;
        };
        Some(*identity)
    }

    /// One identity, if it is loaded.
    #[must_use]
    pub fn identity(&self, identity: IdentityId) -> Option<&IdentityRecord> {
        let Entity::Identity(record) = self.get(&EntityKey::Identity(identity))? else {
            return None;
        };
        Some(record)
    }

    /// One enrolment token, if it is loaded.
    #[must_use]
    pub fn token(&self, token: TokenId) -> Option<&TokenRecord> {
        let Entity::Token(record) = self.get(&EntityKey::Token(token))? else {
            return None;
        };
        Some(record)
    }

    /// What one key got from one token, if it is loaded.
    #[must_use]
    pub fn enrolment(&self, token: TokenId, cnf: &str) -> Option<&EnrolmentRecord> {
        let Entity::Enrolment(record) = self.get(&EntityKey::Enrolment(token, cnf.to_owned()))?
        else {
            return None;
        };
        Some(record)
    }

    /// The newest license of (runtime, this tenant), if it is loaded.
    #[must_use]
    pub fn license(&self, runtime: RuntimeId) -> Option<&LicenseHead> {
        let Entity::License(record) = self.get(&EntityKey::License(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// The tenant an individual was given, if it is loaded; in an operator's log.
    #[must_use]
    pub fn individual(&self, subject: &Subject) -> Option<&IndividualRecord> {
        let Entity::Individual(record) = self.get(&EntityKey::individual(subject))? else {
            return None;
        };
        Some(record)
    }

    /// What is known of the log as evidence, if there is anything and it is loaded.
    #[must_use]
    pub fn history(&self) -> Option<&HistoryRecord> {
        let Entity::History(record) = self.get(&EntityKey::History)? else {
            return None;
        };
        Some(record)
    }

    /// What one runtime holds against the log, if it is loaded.
    #[must_use]
    pub fn witness(&self, runtime: RuntimeId) -> Option<&WitnessRecord> {
        let Entity::Witness(record) = self.get(&EntityKey::Witness(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// The certificates of one runtime, if any was renewed or recovered and they are loaded.
    #[must_use]
    pub fn certificates(&self, runtime: RuntimeId) -> Option<&CertificatesRecord> {
        let Entity::Certificates(record) = self.get(&EntityKey::Certificates(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// Where a rotation of the certificate authority stands, if there was one and it is loaded.
    #[must_use]
    pub fn rotation(&self) -> Option<&RotationRecord> {
        let Entity::Rotation(record) = self.get(&EntityKey::Rotation)? else {
            return None;
        };
        Some(record)
    }

    /// Which roots one runtime said it trusts, if it did and that is loaded.
    #[must_use]
    pub fn trust(&self, runtime: RuntimeId) -> Option<&TrustRecord> {
        let Entity::Trust(record) = self.get(&EntityKey::Trust(runtime))? else {
            return None;
        };
        Some(record)
    }

    /// Any entity by its key, if it is loaded.
    #[must_use]
    pub fn get(&self, key: &EntityKey) -> Option<&Entity> {
        self.entities.get(key).map(|entity| &**entity)
    }

    /// Everything that is loaded, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&EntityKey, &Arc<Entity>)> {
        self.entities.iter()
    }
}

impl Entities for State {
    fn entity(&self, key: &EntityKey) -> Option<Arc<Entity>> {
        self.entities.get(key).cloned()
    }

    fn put(&mut self, key: EntityKey, entity: Entity) {
        self.entities.insert(key, Arc::new(entity));
    }

    fn remove(&mut self, key: &EntityKey) {
        self.entities.remove(key);
    }
}
