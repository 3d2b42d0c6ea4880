//! Indexes made: of sealed segments from memory, of any segment from its records.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use provost_journal::Position;
use provost_protocol::{TenantId, envelope::Envelope, tlog::Frontier};

use super::{Held, Segments, damaged, index_path, name_index};
use crate::{
    backend::ReadError,
    index::{Growing, GrowingTable, IndexError, Marks, Sealed, Table as _, write},
};

impl Segments {
    /// Writes the index of a sealed segment that is still in memory. A failure is only logged: the
    /// index stays in memory, and the next start builds it again.
    pub(crate) fn write(&self, segment: u64) {
        let held = self.held(segment);
        let Ok(Held::Memory(index)) = held else {
            return;
        };
        if let Err(error) = self.put(segment, &index) {
            tracing::warn!(segment, %error, "a segment's index could not be written");
        }
    }

    /// Sealed segments whose index is still in memory, oldest first.
    pub(crate) fn unwritten(&self) -> Vec<u64> {
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let memory = sealed
            .iter()
            .filter(|(_, held)| matches!(held, Held::Memory(_)));
        memory.map(|(segment, _)| *segment).collect()
    }

    /// Builds the index of a segment from its durable records.
    pub(super) fn scan(&self, segment: u64) -> Result<Growing, ReadError> {
        let mut index = Growing::default();
        for item in self.reader.records_from(Position::new(segment, 0)) {
            let (at, record) = item.map_err(|error| match self.name(&error) {
                Some(damage) => damaged(damage),
                None => damaged(error),
            })?;
            if at.segment != segment {
                break;
            }
            let envelope = Envelope::from_bytes(&record.payload).map_err(damaged)?;
            index.insert(&envelope, at.offset, &Marks::of(&envelope, &record.payload));
        }
        Ok(index)
    }

    /// Builds the index of a sealed segment again, loudly, unless it is another than `seen`
    /// meanwhile.
    pub(super) fn rebuild(
        &self,
        segment: u64,
        seen: Option<&Held>,
        why: &IndexError,
    ) -> Result<(), ReadError> {
        if let (Some(seen), Ok(held)) = (seen, self.held(segment))
            && !held.is(seen)
        {
            return Ok(());
        }
        if let IndexError::Damaged { .. } = why {
            let file = match seen {
                Some(Held::File(index)) => Some(index.as_ref()),
                _ => None,
            };
            if let Some(damage) = name_index(segment, file, why) {
                self.tell(&damage);
            }
        }
        tracing::warn!(segment, %why, "a segment's index is built again");
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
        let index = Arc::new(self.scan(segment)?);
        self.hold(segment, Held::Memory(Arc::clone(&index)));
        if let Err(error) = self.put(segment, &index) {
            tracing::warn!(segment, %error, "a segment's index could not be written");
        }
        Ok(())
    }

    fn put(&self, segment: u64, index: &Growing) -> Result<(), PutError> {
        for (tenant, table) in index.tenants() {
            self.follow((segment, tenant), |look| Some(look(table)))?;
        }
        let segments = self.reader.segments().into_iter();
        let Some(known) = segments.into_iter().find(|known| known.number == segment) else {
            return Ok(());
        };
        let path = index_path(known.path);
        let written = {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            write(self.disk.as_ref(), &path, segment, index)?;
            Sealed::open(Arc::clone(&self.disk), &path, segment)?
        };
        self.hold_file(segment, written);
        Ok(())
    }

    /// Follows the tenant's tree in a segment whose index is in memory.
    pub(super) fn followed(&self, segment: u64, tenant: TenantId) -> Result<(), ReadError> {
        self.follow((segment, tenant), |look| {
            {
                let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
                if active.0 == segment {
                    return active.1.tenant(tenant).map(look);
                }
            }
            match self.held(segment) {
                Ok(Held::Memory(index)) => index.tenant(tenant).map(look),
                _ => None,
            }
        })
    }

    /// Follows a tree step by step, so that `with` may hold a lock for each step only.
    fn follow(
        &self,
        (segment, tenant): (u64, TenantId),
        with: impl Fn(&dyn Fn(&GrowingTable) -> Step) -> Option<Step>,
    ) -> Result<(), ReadError> {
        let step = |table: &GrowingTable| match table.follow() {
            None => Step::Plant(table.span().first_seq),
            Some(false) => Step::Again,
            Some(true) => Step::Done,
        };
        loop {
            match with(&step) {
                None | Some(Step::Done) => return Ok(()),
                Some(Step::Again) => {}
                Some(Step::Plant(first_seq)) => {
                    let before = self.tree_before(segment, tenant, first_seq)?;
                    with(&|table| {
                        table.plant(before.clone());
                        Step::Again
                    });
                }
            }
        }
    }

    /// The tenant's tree before its first event in a segment.
    fn tree_before(
        &self,
        segment: u64,
        tenant: TenantId,
        first_seq: u64,
    ) -> Result<Frontier, ReadError> {
        if first_seq <= 1 {
            return Ok(Frontier::default());
        }
        let before = self.last_before(tenant, segment)?;
        let (before, _) = before.ok_or_else(|| {
            damaged(format!(
                "no segment holds event {} of tenant {tenant}",
                first_seq - 1
            ))
        })?;
        self.followed(before, tenant)?;
        let tree = self.look((before, tenant), |table| table.frontier())?;
        if tree.size() + 1 != first_seq {
            return Err(damaged(format!(
                "tenant {tenant} has {} events before event {first_seq}",
                tree.size()
            )));
        }
        Ok(tree)
    }
}

/// What following a tree came to.
enum Step {
    Plant(u64),
    Again,
    Done,
}

/// Why an index could not be put beside its segment.
#[derive(Debug, thiserror::Error)]
enum PutError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Read(#[from] ReadError),
}
