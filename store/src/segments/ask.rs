//! One segment asked, or all that hold a tenant's events: found by the marks in memory, read where
//! it was not asked for of late, built again where it fails.

use std::sync::PoisonError;

use provost_protocol::{TenantId, Timestamp};

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

/// The segments that hold a tenant's events, newest first.
pub(super) struct Holding<'a> {
    segments: &'a Segments,
    tenant: TenantId,
    since: Option<Timestamp>,
    /// What the active one holds, until it was given.
    here: Option<(u64, Span)>,
    /// All from here on were asked.
    before: u64,
}

impl Iterator for Holding<'_> {
    type Item = Result<(u64, Span), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(here) = self.here.take() {
            return Some(Ok(here));
        }
        loop {
            let (tenant, since) = (self.tenant, self.since);
            let (segment, held) = self.segments.may_hold_before(tenant, since, self.before)?;
            self.before = segment;
            let span = |table: Option<&dyn Table>| Ok(table.map(Table::span));
            match self.segments.ask((segment, tenant), &held, span) {
                Ok(Some(span)) => return Some(Ok((segment, span))),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Segments {
    /// Segments that hold events of the tenant, and which, newest first. Each is asked when it is
    /// its turn: whoever has enough reads no more of them.
    pub(super) fn holding(&self, tenant: TenantId) -> Holding<'_> {
        self.holding_since(tenant, None)
    }

    /// The same, without segments that hold no event of that time or later.
    pub(super) fn holding_since(&self, tenant: TenantId, since: Option<Timestamp>) -> Holding<'_> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        let here = active.1.tenant(tenant).map(Table::span);
        Holding {
            segments: self,
            tenant,
            since,
            here: here.map(|span| (active.0, span)),
            before: active.0,
        }
    }

    /// The newest sealed segment before this one that holds events of the tenant, and which.
    pub(super) fn last_before(
        &self,
        tenant: TenantId,
        before: u64,
    ) -> Result<Option<(u64, Span)>, ReadError> {
        let mut holding = Holding {
            segments: self,
            tenant,
            since: None,
            here: None,
            before,
        };
        holding.next().transpose()
    }

    fn may_hold_before(
        &self,
        tenant: TenantId,
        since: Option<Timestamp>,
        before: u64,
    ) -> Option<(u64, Held)> {
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let mut older = sealed.range(..before).rev();
        let may = |held: &Held| held.may_reach(since) && held.may_hold(tenant);
        let (segment, held) = older.find(|(_, held)| may(held))?;
        Some((*segment, held.clone()))
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
        let found = self.ask((segment, tenant), &held, |table| {
            table.map(&work).transpose()
        })?;
        found.ok_or_else(absent)
    }

    /// Asks a sealed segment for the tenant's table, which is none where it has no events there; an
    /// index that fails is built again, once.
    fn ask<T>(
        &self,
        place: (u64, TenantId),
        held: &Held,
        work: impl Fn(Option<&dyn Table>) -> Result<T, IndexError>,
    ) -> Result<T, ReadError> {
        let ask = |held| {
            let table = self.table(place, held)?;
            work(table.as_ref().map(HeldTable::table))
        };
        let why = match ask(held) {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        self.rebuild(place.0, Some(held), &why)?;
        ask(&self.held(place.0)?).map_err(damaged)
    }

    fn table<'a>(
        &self,
        (segment, tenant): (u64, TenantId),
        held: &'a Held,
    ) -> Result<Option<HeldTable<'a>>, IndexError> {
        Ok(match held {
            Held::Memory(index) => index.tenant(tenant).map(HeldTable::Memory),
            Held::File(index) => {
                let reading = || self.count_open(segment);
                let found = self.recent.tenant(index, tenant, reading)?;
                found.map(HeldTable::File)
            }
        })
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

/// Twice what ten million events of some thousand tenants need, and few of the 1,024 files that a
/// process has at least.
const OPEN_INDEXES_MAX: usize = 160;
