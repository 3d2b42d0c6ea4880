//! Sections that were looked for lately, so that who asks again and again reads no directory again.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use lru::LruCache;
use provost_protocol::TenantId;

use super::{IndexError, Sealed, SealedTable, layout::Section};

/// What was found of late in all indexes, or found missing.
#[derive(Debug)]
pub(crate) struct Recent(Mutex<LruCache<(u64, TenantId), Found>>);

/// What was found of one tenant in the index of one segment.
#[derive(Debug)]
struct Found {
    /// An index that was built again is another one, and what was found in it before is not.
    index: Weak<Sealed>,
    section: Option<Section>,
}

impl Default for Recent {
    fn default() -> Self {
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl Recent {
    /// The tenant's table in an index, if it has events there; calls `reading` before it reads.
    pub(crate) fn tenant<'a>(
        &self,
        index: &'a Arc<Sealed>,
        tenant: TenantId,
        reading: impl FnOnce(),
    ) -> Result<Option<SealedTable<'a>>, IndexError> {
        if !index.may_hold(tenant) {
            return Ok(None);
        }
        if let Some(known) = self.known(index, tenant) {
            return Ok(known.map(|section| index.table(section)));
        }
        reading();
        let found = index.tenant(tenant)?;
        self.keep(index, tenant, found.map(|table| table.section));
        Ok(found)
    }

    /// Reads the directory of an index that was just opened, if it is so small that one read gives
    /// all of it: where there are few tenants none of them pays for the many.
    pub(crate) fn opened(&self, index: &Arc<Sealed>) {
        if !index.is_small() {
            return;
        }
        // One that fails is found when somebody looks.
        for (tenant, table) in index.tenants().map_while(Result::ok) {
            self.keep(index, tenant, Some(table.section));
        }
    }

    fn known(&self, index: &Arc<Sealed>, tenant: TenantId) -> Option<Option<Section>> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.get(&(index.segment(), tenant))?;
        let is_of_it = std::ptr::eq(found.index.as_ptr(), Arc::as_ptr(index));
        is_of_it.then_some(found.section)
    }

    fn keep(&self, index: &Arc<Sealed>, tenant: TenantId, section: Option<Section>) {
        let index_of = Arc::downgrade(index);
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.put(
            (index.segment(), tenant),
            Found {
                index: index_of,
                section,
            },
        );
        if found.len() > RECENT_MAX {
            found.pop_lru();
        }
    }
}

/// Forty tenants with events in a hundred segments each; some 700 KB.
const RECENT_MAX: usize = 4_096;
