//! A walk over every runtime there is, by the store alone: no tenant is woken for it.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use provost_kernel::{
    EntityKey,
    state::{Entity, RuntimeRecord},
};
use provost_protocol::{ContractVersion, RuntimeId, TenantId, Timestamp, entity::RuntimeStatus};
use provost_store::{Backend, ReadError};

/// What a walk needs.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) backend: Arc<dyn Backend>,
    /// The bundle that is asked about.
    pub(crate) bundle: String,
    pub(crate) now: Timestamp,
}

/// One runtime on the way.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) tenant: TenantId,
    pub(crate) record: RuntimeRecord,
    /// When it confirmed the bundle, if it did.
    pub(crate) confirmed: Option<Timestamp>,
    /// When its newest certificate was issued.
    pub(crate) certified: Timestamp,
}

/// How a fleet stands to a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Active runtimes.
    pub(crate) active: u64,
    /// Of those, the ones that confirmed.
    pub(crate) confirmed: u64,
    /// Of those that did not, the ones that speak a version in which nobody can.
    pub(crate) delivered: u64,
    /// Suspended runtimes that did not confirm.
    pub(crate) suspended: u64,
    /// Runtimes, active or not, whose certificate is good and was issued before a moment.
    pub(crate) certified_before: u64,
}

/// Where a walk stands, as a text for a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) TenantId, pub(crate) RuntimeId);

impl Seen {
    /// Whether it must believe a new root before that signs.
    pub(crate) fn is_active(&self) -> bool {
        self.record.status == RuntimeStatus::Active
    }

    /// Whether it may be connected and is told of roots, though no step waits for it: it is of no use
    /// until an operator says so, and comes back by the certificate that the old root gave the next.
    pub(crate) fn is_suspended(&self) -> bool {
        self.record.status == RuntimeStatus::Suspended
    }

    /// Whether it speaks a version in which nothing can be confirmed.
    pub(crate) fn cannot_confirm(&self) -> bool {
        self.record.contract_version == Some(ContractVersion::V0_1)
    }

    /// Whether it holds a certificate that is good and was issued before this moment.
    pub(crate) fn is_certified_before(&self, moment: Timestamp, now: Timestamp) -> bool {
        self.record.status != RuntimeStatus::Revoked
            && self.record.certificate_not_after >= now
            && self.certified < moment
    }
}

impl Fleet {
    /// Counts everybody; `issued_before` says which certificates count as old ones.
    pub(crate) async fn count(
        &self,
        issued_before: Option<Timestamp>,
    ) -> Result<Counted, ReadError> {
        let mut counted = Counted::default();
        let mut place = None;
        loop {
            let seen = self.page(place, PAGE).await?;
            for one in &seen {
                let old = issued_before.is_some_and(|at| one.is_certified_before(at, self.now));
                counted.certified_before += u64::from(old);
                if one.is_active() {
                    counted.active += 1;
                    counted.confirmed += u64::from(one.confirmed.is_some());
                    let cannot = one.confirmed.is_none() && one.cannot_confirm();
                    counted.delivered += u64::from(cannot);
                }
                let waits = one.is_suspended() && one.confirmed.is_none();
                counted.suspended += u64::from(waits);
            }
            match seen.last() {
                Some(last) => place = Some(Place(last.tenant, last.record.id)),
                None => return Ok(counted),
            }
        }
    }

    /// The next runtimes after a place, in order; none at the end.
    pub(crate) async fn page(
        &self,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Seen>, ReadError> {
        let mut found = Vec::new();
        if let Some(Place(tenant, runtime)) = after {
            self.of_tenant((tenant, Some(runtime)), limit, &mut found)
                .await?;
        }
        let mut tenant = after.map(|place| place.0);
        while found.len() < limit {
            let page = self.backend.tenants(tenant, PAGE).await?;
            let Some(last) = page.last().copied() else {
                break;
            };
            for id in page {
                if found.len() < limit {
                    self.of_tenant((id, None), limit, &mut found).await?;
                }
            }
            tenant = Some(last);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Adds the runtimes of one tenant, up to the limit.
    async fn of_tenant(
        &self,
        (tenant, after): (TenantId, Option<RuntimeId>),
        limit: usize,
        found: &mut Vec<Seen>,
    ) -> Result<(), ReadError> {
        let mut after = after.map(EntityKey::Runtime);
        while found.len() < limit {
            let room = (limit - found.len()).min(PAGE);
            let page = self.backend.scan(tenant, "runtime/", after, room).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let more = page.len() == room;
            let beside = self.beside(tenant, &page).await?;
            for (_, entity) in &page {
                if let Entity::Runtime(record) = &**entity {
                    found.push(self.seen(tenant, record, &beside));
                }
            }
            if !more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What is kept beside the records of these runtimes.
    async fn beside(
        &self,
        tenant: TenantId,
        page: &[(EntityKey, Arc<Entity>)],
    ) -> Result<BTreeMap<EntityKey, Arc<Entity>>, ReadError> {
        let ids = page.iter().filter_map(|(key, _)| match key {
            EntityKey::Runtime(id) => Some(*id),
            _ => None,
        });
        let keys = ids
            .flat_map(|id| [EntityKey::Trust(id), EntityKey::Certificates(id)])
            .collect();
        let found = self.backend.entities(tenant, keys).await?;
        let there = found
            .into_iter()
            .filter_map(|(key, entity)| Some((key, entity?)));
        Ok(there.collect())
    }

    fn seen(
        &self,
        tenant: TenantId,
        record: &RuntimeRecord,
        beside: &BTreeMap<EntityKey, Arc<Entity>>,
    ) -> Seen {
        let of = |key: EntityKey| beside.get(&key).map(|entity| &**entity);
        let confirmed = match of(EntityKey::Trust(record.id)) {
            Some(Entity::Trust(trust)) if trust.bundle == self.bundle => Some(trust.confirmed),
            _ => None,
        };
        let certified = match of(EntityKey::Certificates(record.id)) {
            Some(Entity::Certificates(all)) => all.last.as_ref().map(|last| last.at),
            _ => None,
        };
        Seen {
            tenant,
            record: record.clone(),
            confirmed,
            certified: certified.unwrap_or(record.enrolled),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (tenant, runtime) = text.split_once('/').ok_or(())?;
        let tenant = tenant.parse().map_err(drop)?;
        Ok(Self(tenant, runtime.parse().map_err(drop)?))
    }
}

/// One look into the store: some milliseconds of one reader.
const PAGE: usize = 500;
