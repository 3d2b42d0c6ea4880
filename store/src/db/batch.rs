//! What one journal group changes: entities, the indexes over them, heads and the watermark.

use provost_journal::Position;
use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::TenantId;
use serde::Serialize;

use super::{
    DbError,
    keys::{WATERMARK, deadline, due_key, entity_key, head_key, is_online, online_key, token_key},
};
use crate::{backend::Head, value};

/// One journal group's changes, applied at once.
#[derive(Debug, Default)]
pub(crate) struct Batch(sled::Batch);

impl Batch {
    pub(super) fn into_sled(self) -> sled::Batch {
        self.0
    }

    pub(crate) fn set_watermark(&mut self, next: Position) -> Result<(), DbError> {
        self.set(WATERMARK.to_vec(), &(next.segment, next.offset))
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
                self.0.remove(due_key(old, tenant, key));
            }
            if let Some(new) = new {
                self.0.insert(due_key(new, tenant, key), &[]);
            }
        }
        if let (EntityKey::Runtime(runtime), online) = (key, after.is_some_and(is_online)) {
            let marker = online_key(tenant, *runtime).into_bytes();
            if online {
                self.0.insert(marker, &[]);
            } else {
                self.0.remove(marker);
            }
        }
        if let EntityKey::Token(token) = key {
            let index = token_key(*token).into_bytes();
            if after.is_some() {
                self.set(index, &tenant)?;
            } else {
                self.0.remove(index);
            }
        }
        let text = entity_key(tenant, key);
        match after {
            Some(entity) => self.set(text.into_bytes(), entity),
            None => {
                self.0.remove(text.into_bytes());
                Ok(())
            }
        }
    }

    fn set<T: Serialize>(&mut self, key: Vec<u8>, value: &T) -> Result<(), DbError> {
        let bytes = value::encode(value).map_err(|source| DbError::Value {
            key: String::from_utf8_lossy(&key).into_owned(),
            source,
        })?;
        self.0.insert(key, bytes);
        Ok(())
    }
}
