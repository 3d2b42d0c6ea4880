//! A store in memory, with the same meaning: for tests of actors under paused time, where no
//! other thread may answer. It proves itself in the same conformance suite as the one on disk.

mod evidence;

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use provost_kernel::{At, Entities, Entity, EntityKey, State, apply};
use provost_protocol::{RuntimeId, TenantId, Timestamp, TokenId, event::Event, tlog::Hash};

use crate::{
    backend::{
        Append, AppendError, Backend, Found, Head, Ids, Included, Keyed, Loaded, LookupKey,
        Pending, Range, ReadError, Stamped, StoredEvent,
    },
    db::{deadline, is_online, revoked},
    index::lookup_keys,
    query::{Query, QueryPage},
};

/// A store in memory. Clones share what they hold, so that one may outlive an actor.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    tenants: BTreeMap<TenantId, Tenant>,
    refuse_writes: bool,
    lose_answers: bool,
}

#[derive(Debug, Default)]
struct Tenant {
    head: Head,
    log: Vec<Stamped>,
    entities: BTreeMap<EntityKey, Arc<Entity>>,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on refuses every append, as a full disk does, or accepts them again.
    pub fn refuse_writes(&self, refuse: bool) {
        self.with(|shared| shared.refuse_writes = refuse);
    }

    /// From here on writes every append and answers that nobody knows whether it was, or answers
    /// again as it is.
    pub fn lose_answers(&self, lose: bool) {
        self.with(|shared| shared.lose_answers = lose);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer<T: Send + 'static>(&self, work: impl FnOnce(&mut Shared) -> T) -> Pending<T> {
        let answer = self.with(work);
        Box::pin(std::future::ready(answer))
    }
}

impl Entities for Tenant {
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

impl Shared {
    fn append(&mut self, append: Append) -> Result<(), AppendError> {
        if self.refuse_writes {
            return Err(AppendError::Refused("the disk is full".to_owned()));
        }
        append.check()?;
        let found = self
            .tenants
            .get(&append.tenant)
            .map_or(0, |tenant| tenant.head.seq);
        if found != append.expected {
            return Err(AppendError::Conflict {
                expected: append.expected,
                found,
            });
        }
        let tenant = self.tenants.entry(append.tenant).or_default();
        for stamped in append.events {
            let event = &stamped.envelope;
            tenant.head.epoch = event.epoch;
            tenant.head.seq = event.seq;
            tenant.head.frontier.append(stamped.marks.leaf);
            let at = At {
                tenant: event.tenant,
                epoch: event.epoch,
                seq: event.seq,
                time: event.time,
            };
            apply(tenant, at, &event.event);
            tenant.log.push(stamped.clone());
        }
        if self.lose_answers {
            return Err(AppendError::Unknown);
        }
        Ok(())
    }

    fn find(&self, tenant: TenantId, key: LookupKey, since: Timestamp) -> Option<StoredEvent> {
        let log = &self.tenants.get(&tenant)?.log;
        let carries = |stamped: &&Stamped| {
            stamped.envelope.time >= since && lookup_keys(&stamped.envelope).contains(&key)
        };
        log.iter().rev().find(carries).map(stored)
    }

    fn read(&self, tenant: TenantId, range: &Range) -> Vec<StoredEvent> {
        let Some(tenant) = self.tenants.get(&tenant) else {
            return Vec::new();
        };
        let after = |stamped: &&Stamped| stamped.envelope.seq > range.after;
        match range.newest_before {
            None => tenant
                .log
                .iter()
                .filter(after)
                .take(range.limit)
                .map(stored)
                .collect(),
            Some(before) => {
                let wanted = |stamped: &&Stamped| stamped.envelope.seq < before;
                let newest = tenant.log.iter().rev().filter(wanted).filter(after);
                newest.take(range.limit).map(stored).collect()
            }
        }
    }

    fn entities(&self) -> impl Iterator<Item = (TenantId, &EntityKey, &Entity)> {
        self.tenants.iter().flat_map(|(id, tenant)| {
            tenant
                .entities
                .iter()
                .map(|(key, entity)| (*id, key, &**entity))
        })
    }
}

impl Backend for MemoryStore {
    fn append(&self, append: Append) -> Pending<Result<(), AppendError>> {
        self.answer(|shared| shared.append(append))
    }

    fn load(&self, tenant: TenantId, cold: Vec<EntityKey>) -> Pending<Result<Loaded, ReadError>> {
        self.answer(|shared| {
            let absent = Tenant::default();
            let found = shared.tenants.get(&tenant).unwrap_or(&absent);
            let mut state = State::new(tenant, found.head.epoch);
            let wanted = |key: &EntityKey| key.is_hot() || cold.contains(key);
            for (key, entity) in found.entities.iter().filter(|(key, _)| wanted(key)) {
                state.load(key.clone(), Arc::clone(entity));
            }
            Ok(Loaded {
                head: found.head.clone(),
                state,
            })
        })
    }

    fn entities(
        &self,
        tenant: TenantId,
        keys: Vec<EntityKey>,
    ) -> Pending<Result<Vec<Found>, ReadError>> {
        self.answer(|shared| {
            let entities = shared.tenants.get(&tenant).map(|tenant| &tenant.entities);
            let find = |key: EntityKey| {
                let entity = entities.and_then(|entities| entities.get(&key).cloned());
                (key, entity)
            };
            Ok(keys.into_iter().map(find).collect())
        })
    }

    fn scan(
        &self,
        tenant: TenantId,
        kind: &'static str,
        after: Option<EntityKey>,
        limit: usize,
    ) -> Pending<Result<Vec<Keyed>, ReadError>> {
        self.answer(|shared| {
            let Some(tenant) = shared.tenants.get(&tenant) else {
                return Ok(Vec::new());
            };
            let mut found: Vec<Keyed> = tenant
                .entities
                .iter()
                .filter(|(key, _)| key.to_string().starts_with(kind))
                .map(|(key, entity)| (key.clone(), Arc::clone(entity)))
                .collect();
            // The order of the text, as on disk.
            found.sort_by_key(|(key, _)| key.to_string());
            let after = after.map(|key| key.to_string());
            found.retain(|(key, _)| after.as_ref().is_none_or(|after| key.to_string() > *after));
            found.truncate(limit);
            Ok(found)
        })
    }

    fn find(
        &self,
        tenant: TenantId,
        keys: Vec<LookupKey>,
        since: Timestamp,
    ) -> Pending<Result<Vec<Option<StoredEvent>>, ReadError>> {
        self.answer(|shared| {
            Ok(keys
                .into_iter()
                .map(|key| shared.find(tenant, key, since))
                .collect())
        })
    }

    fn ids(&self, tenant: TenantId) -> Ids {
        self.with(|shared| {
            let mut ids = Ids::default();
            let log = shared.tenants.get(&tenant).map(|tenant| &tenant.log);
            for stamped in log.into_iter().flatten() {
                if let Event::AuditRecorded(recorded) = &stamped.envelope.event {
                    ids.note(recorded.event_id);
                }
            }
            ids
        })
    }

    fn read(&self, tenant: TenantId, range: Range) -> Pending<Result<Vec<StoredEvent>, ReadError>> {
        self.answer(|shared| Ok(shared.read(tenant, &range)))
    }

    fn query(&self, tenant: TenantId, query: Query) -> Pending<Result<QueryPage, ReadError>> {
        self.answer(|shared| Ok(shared.query(tenant, &query)))
    }

    fn head(&self, tenant: TenantId) -> Pending<Result<Option<Head>, ReadError>> {
        self.answer(|shared| Ok(shared.head(tenant)))
    }

    fn root_at(&self, tenant: TenantId, size: u64) -> Pending<Result<Option<Hash>, ReadError>> {
        self.answer(|shared| Ok(shared.root_at(tenant, size)))
    }

    fn inclusion(
        &self,
        tenant: TenantId,
        seq: u64,
        size: u64,
    ) -> Pending<Result<Option<Included>, ReadError>> {
        self.answer(|shared| Ok(shared.inclusion(tenant, seq, size)))
    }

    fn consistency(
        &self,
        tenant: TenantId,
        from: u64,
        to: u64,
    ) -> Pending<Result<Option<Vec<Hash>>, ReadError>> {
        self.answer(|shared| Ok(shared.consistency(tenant, from, to)))
    }

    fn tenants(
        &self,
        after: Option<TenantId>,
        limit: usize,
    ) -> Pending<Result<Vec<TenantId>, ReadError>> {
        self.answer(|shared| {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let existing = shared.tenants.range((start, Bound::Unbounded));
            let existing = existing.filter(|(_, tenant)| tenant.head.seq > 0);
            Ok(existing.map(|(id, _)| *id).take(limit).collect())
        })
    }

    fn online(
        &self,
        after: Option<(TenantId, RuntimeId)>,
        limit: usize,
    ) -> Pending<Result<Vec<(TenantId, RuntimeId)>, ReadError>> {
        self.answer(|shared| {
            let online = shared
                .entities()
                .filter_map(|(tenant, key, entity)| match key {
                    EntityKey::Runtime(runtime) if is_online(entity) => Some((tenant, *runtime)),
                    _ => None,
                });
            let mut found: Vec<_> = online
                .filter(|pair| after.is_none_or(|at| *pair > at))
                .collect();
            found.sort_unstable();
            found.truncate(limit);
            Ok(found)
        })
    }

    fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, TenantId)>, ReadError>> {
        self.answer(|shared| {
            let due = shared.entities().filter_map(|(tenant, _, entity)| {
                deadline(entity)
                    .filter(|at| *at <= now)
                    .map(|at| (at, tenant))
            });
            let mut found: Vec<_> = due.collect();
            found.sort_unstable();
            found.truncate(limit);
            Ok(found)
        })
    }

    fn revoked(
        &self,
        from: Timestamp,
        after: Option<(Timestamp, String)>,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, String)>, ReadError>> {
        self.answer(|shared| {
            let rows = shared.entities().flat_map(|(_, _, entity)| revoked(entity));
            let mut found: Vec<_> = rows
                .filter(|row| row.0 >= from && after.as_ref().is_none_or(|after| row > after))
                .collect();
            found.sort_unstable();
            found.dedup();
            found.truncate(limit);
            Ok(found)
        })
    }

    fn token_tenant(&self, token: TokenId) -> Pending<Result<Option<TenantId>, ReadError>> {
        self.answer(|shared| {
            let key = EntityKey::Token(token);
            let mut tenants = shared.tenants.iter();
            let issuer = tenants.find(|(_, tenant)| tenant.entities.contains_key(&key));
            Ok(issuer.map(|(id, _)| *id))
        })
    }
}

fn stored(stamped: &Stamped) -> StoredEvent {
    StoredEvent {
        envelope: (*stamped.envelope).clone(),
        bytes: Arc::clone(&stamped.bytes),
    }
}
