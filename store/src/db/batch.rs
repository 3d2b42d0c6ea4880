//! What one journal group changes: entities, the indexes over them, heads and the watermark.

use std::collections::BTreeMap;

use provost_journal::Position;
use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::TenantId;
use serde::Serialize;

use super::{
    DbError,
    keys::{
        deadline, due_key, entity_key, head_key, is_online, online_key, revoked, revoked_key,
        token_key,
    },
};
use crate::{backend::Head, value};

/// One journal group's changes, applied at once.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The journal's position after the group.
    pub(super) next: Position,
    /// What each key holds afterwards; nothing where it is removed.
    pub(super) changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Batch {
    /// Begins what brings the state to this position of the journal.
    pub(crate) const fn up_to(next: Position) -> Self {
        Self {
            next,
            changes: BTreeMap::new(),
        }
    }

    pub(crate) fn set_head(&mut self, tenant: TenantId, head: &Head) -> Result<(), DbError> {
        self.set(head_key(tenant).into_bytes(), head)
    }

    /// Writes or removes an entity and keeps the indexes over entities beside it.
    pub(crate) fn set_entity(
        &mut self,
        tenant: TenantId,
        key: &EntityKey,
        before: Option<&Entity>,
        after: Option<&Entity>,
    ) -> Result<(), DbError> {
        let (old, new) = (before.and_then(deadline), after.and_then(deadline));
        if old != new {
            if let Some(old) = old {
                self.remove(due_key(old, tenant, key));
            }
            if let Some(new) = new {
                self.put(due_key(new, tenant, key), Vec::new());
            }
        }
        if let (EntityKey::Runtime(runtime), online) = (key, after.is_some_and(is_online)) {
            let marker = online_key(tenant, *runtime).into_bytes();
            if online {
                self.put(marker, Vec::new());
            } else {
                self.remove(marker);
            }
        }
        if let EntityKey::Token(token) = key {
            let index = token_key(*token).into_bytes();
            if after.is_some() {
                self.set(index, &tenant)?;
            } else {
                self.remove(index);
            }
        }
        // What is revoked stays so: a row goes with its entity alone.
        for row in before.map(revoked).unwrap_or_default() {
            self.remove(revoked_key(&row));
        }
        for row in after.map(revoked).unwrap_or_default() {
            self.put(revoked_key(&row), Vec::new());
        }
        let text = entity_key(tenant, key);
        match after {
            Some(entity) => self.set(text.into_bytes(), entity),
            None => {
                self.remove(text.into_bytes());
                Ok(())
            }
        }
    }

    fn set<T: Serialize>(&mut self, key: Vec<u8>, value: &T) -> Result<(), DbError> {
        let bytes = value::encode(value).map_err(|source| DbError::Value {
            key: String::from_utf8_lossy(&key).into_owned(),
            source,
        })?;
        self.put(key, bytes);
        Ok(())
    }

    fn put(&mut self, key: Vec<u8>, bytes: Vec<u8>) {
        self.changes.insert(key, Some(bytes));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }
}
