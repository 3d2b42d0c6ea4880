//! What is known from memory of audit event ids: on the way of every event a runtime sends, two
//! hops to a reading thread cost more than the event itself.
//!
//! Of what was written since the start the newest id of each tenant is known. Of segments that were
//! there at the start only the time of their last event is.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use provost_protocol::{TenantId, Timestamp};

use super::Segments;
use crate::{backend::Ids, index::Growing};

/// What is known of the ids in sealed segments. One number for each tenant that sent events since
/// the start.
#[derive(Debug, Default)]
pub(super) struct SealedIds(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When the newest id of each tenant was made.
    newest: HashMap<TenantId, Timestamp>,
    /// When the last event was decided that a segment found at the start holds.
    found: Option<Timestamp>,
}

impl SealedIds {
    /// A segment that was there at the start holds events up to this time.
    pub(super) fn found(&self, latest: Timestamp) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.found = known.found.max(Some(latest));
    }

    /// The active segment is sealed.
    pub(super) fn sealed(&self, index: &Growing) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (tenant, table) in index.tenants() {
            if let Some(newest) = table.newest_id() {
                let held = known.newest.entry(tenant).or_insert(newest);
                *held = newest.max(*held);
            }
        }
    }

    fn of(&self, tenant: TenantId) -> Ids {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ids {
            newest: known.newest.get(&tenant).copied(),
            found: known.found,
        }
    }
}

impl Segments {
    /// What is known of the ids of the tenant's audit events.
    pub(crate) fn ids(&self, tenant: TenantId) -> Ids {
        // Held to the end: what is sealed meanwhile would be looked for on neither side.
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let here = active.1.tenant(tenant).and_then(|table| table.newest_id());
        let sealed = self.ids.of(tenant);
        Ids {
            newest: sealed.newest.max(here),
            ..sealed
        }
    }
}
