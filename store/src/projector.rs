//! Turns durable events into state: one journal group, one batch.
//!
//! The same `provost_kernel::apply` runs here, in the tenant's actor and in a rebuild, so the
//! state after a rebuild is the state before it, by construction.

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use provost_journal::Position;
use provost_kernel::{At, Entities, Entity, EntityKey, apply};
use provost_protocol::{TenantId, envelope::Envelope, tlog::Hash};

use crate::{
    backend::Head,
    db::{Batch, Db, DbError},
};

/// Collects one group's effects before they are written.
#[derive(Debug)]
pub(crate) struct Projector<'a> {
    db: &'a Db,
    heads: HashMap<TenantId, Head>,
    changed: BTreeMap<(TenantId, EntityKey), Change>,
    /// The first read that failed; [`Entities`] itself cannot fail.
    failure: RefCell<Option<DbError>>,
}

#[derive(Debug)]
struct Change {
    before: Option<Arc<Entity>>,
    after: Option<Arc<Entity>>,
}

/// One tenant's entities as the events of the group see them.
struct View<'p, 'a> {
    projector: &'p mut Projector<'a>,
    tenant: TenantId,
}

impl<'a> Projector<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self {
            db,
            heads: HashMap::new(),
            changed: BTreeMap::new(),
            failure: RefCell::new(None),
        }
    }

    /// Takes in one durable event, whose bytes are this leaf.
    pub(crate) fn project(&mut self, envelope: &Envelope, leaf: Hash) -> Result<(), DbError> {
        let tenant = envelope.tenant;
        let mut head = match self.heads.remove(&tenant) {
            Some(head) => head,
            None => self.db.head(tenant)?.unwrap_or_default(),
        };
        head.epoch = envelope.epoch;
        head.seq = envelope.seq;
        head.frontier.append(leaf);
        self.heads.insert(tenant, head);
        let at = At {
            tenant,
            epoch: envelope.epoch,
            seq: envelope.seq,
            time: envelope.time,
        };
        apply(
            &mut View {
                projector: self,
                tenant,
            },
            at,
            &envelope.event,
        );
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// Writes everything at once, with the journal's position after the group.
    pub(crate) fn commit(self, next: Position) -> Result<(), DbError> {
        let mut batch = Batch::up_to(next);
        for ((tenant, key), change) in &self.changed {
            batch.set_entity(
                *tenant,
                key,
                change.before.as_deref(),
                change.after.as_deref(),
            )?;
        }
        for (tenant, head) in &self.heads {
            batch.set_head(*tenant, head)?;
        }
        self.db.apply(batch)
    }
}

impl View<'_, '_> {
    fn change(&mut self, key: EntityKey, after: Option<Arc<Entity>>) {
        let slot = (self.tenant, key);
        if let Some(change) = self.projector.changed.get_mut(&slot) {
            change.after = after;
        } else {
            let before = self.stored(&slot.1);
            self.projector
                .changed
                .insert(slot, Change { before, after });
        }
    }

    fn stored(&self, key: &EntityKey) -> Option<Arc<Entity>> {
        self.projector
            .db
            .entity(self.tenant, key)
            .unwrap_or_else(|error| {
                *self.projector.failure.borrow_mut() = Some(error);
                None
            })
    }
}

impl Entities for View<'_, '_> {
    fn entity(&self, key: &EntityKey) -> Option<Arc<Entity>> {
        match self.projector.changed.get(&(self.tenant, key.clone())) {
            Some(change) => change.after.clone(),
            None => self.stored(key),
        }
    }

    fn put(&mut self, key: EntityKey, entity: Entity) {
        self.change(key, Some(Arc::new(entity)));
    }

    fn remove(&mut self, key: &EntityKey) {
        self.change(key.clone(), None);
    }
}
