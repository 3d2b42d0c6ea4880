//! One segment asked, or all that hold a tenant's events.

use std::sync::PoisonError;

use provost_protocol::TenantId;

use super::{Held, Segments, damaged};
use crate::{
    backend::ReadError,
    index::{GrowingTable, IndexError, SealedTable, Span, Table},
};

/// One tenant's events in the index of a sealed segment.
enum HeldTable<'a> {
    Memory(&'a GrowingTable),
    File(SealedTable<'a>),
}

impl HeldTable<'_> {
    fn table(&self) -> &dyn Table {
        match self {
            Self::Memory(table) => *table,
            Self::File(table) => table,
        }
    }
}

impl Held {
    fn tenant(&self, tenant: TenantId) -> Option<HeldTable<'_>> {
        match self {
            Self::Memory(index) => index.tenant(tenant).map(HeldTable::Memory),
            Self::File(index) => index.tenant(tenant).map(HeldTable::File),
        }
    }
}

impl Segments {
    /// Segments that hold events of the tenant, and which, newest first.
    pub(super) fn holding(&self, tenant: TenantId) -> Vec<(u64, Span)> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let here = active
            .1
            .tenant(tenant)
            .map(|table| (active.0, table.span()));
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let spans = sealed.iter().rev().filter_map(|(segment, held)| {
            let here = held.tenant(tenant)?;
            Some((*segment, here.table().span()))
        });
        here.into_iter().chain(spans).collect()
    }

    /// Looks into the tenant's table of one segment; an index that fails is built again, once.
    pub(super) fn look<T>(
        &self,
        (segment, tenant): (u64, TenantId),
        work: impl Fn(&dyn Table) -> Result<T, IndexError>,
    ) -> Result<T, ReadError> {
        let absent = || {
            damaged(format!(
                "segment {segment} holds no event of tenant {tenant}"
            ))
        };
        {
            let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
            if active.0 == segment {
                let table = active.1.tenant(tenant).ok_or_else(absent)?;
                return work(table).map_err(damaged);
            }
        }
        let held = self.held(segment)?;
        let why = match work(held.tenant(tenant).ok_or_else(absent)?.table()) {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        self.rebuild(segment, Some(&held), &why)?;
        let held = self.held(segment)?;
        let here = held.tenant(tenant).ok_or_else(absent)?;
        work(here.table()).map_err(damaged)
    }

    /// The index of a sealed segment.
    pub(super) fn held(&self, segment: u64) -> Result<Held, ReadError> {
        let held = {
            let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
            sealed.get(&segment).cloned()
        };
        let held = held.ok_or_else(|| damaged(format!("segment {segment} has no index")))?;
        if matches!(held, Held::File(_)) {
            self.count_open(segment);
        }
        Ok(held)
    }

    /// Closes the file that was opened first where more would be open than may.
    fn count_open(&self, segment: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains(&segment) {
            return;
        }
        open.push_back(segment);
        if open.len() <= OPEN_INDEXES_MAX {
            return;
        }
        if let Some(first) = open.pop_front() {
            let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(Held::File(index)) = sealed.get(&first) {
                index.close();
            }
        }
    }
}

/// Twice what ten million events need, and few of the 1,024 files that a process has at least.
const OPEN_INDEXES_MAX: usize = 160;
