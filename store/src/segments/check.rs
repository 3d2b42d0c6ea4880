//! Checking what is stored, and naming whose it is.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::Path,
    sync::{Arc, PoisonError},
};

use provost_journal::{
    CompressError, Compressed, Damage as JournalDamage, ReadError as JournalError, disk::Disk,
    file_name,
};
use provost_protocol::TenantId;

use super::{Held, Segments, index_path};
use crate::{
    backend::ReadError,
    damage::Damage,
    index::{IndexError, Sealed, Table},
};

/// What a check of one segment came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Every byte is what was written.
    Whole,
    /// The index was not, and is built again.
    IndexRebuilt,
    /// The segment is not.
    Damaged(Damage),
}

impl Segments {
    /// Sealed segments, newest first.
    pub(crate) fn sealed(&self) -> Vec<u64> {
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        sealed.keys().rev().copied().collect()
    }

    /// Checks every stored byte of a sealed segment and of its index.
    pub(crate) fn check(&self, segment: u64) -> Result<Checked, ReadError> {
        if let Err(error) = self.reader.check_stored(segment) {
            return match self.name(&error) {
                Some(damage) => Ok(Checked::Damaged(damage)),
                None => Err(super::damaged(error)),
            };
        }
        let held = self.held(segment)?;
        let Held::File(index) = &held else {
            return Ok(Checked::Whole);
        };
        let Err(why) = index.check() else {
            return Ok(Checked::Whole);
        };
        self.rebuild(segment, Some(&held), &why)?;
        Ok(Checked::IndexRebuilt)
    }

    /// Names damage that the journal found; `None` where it is no damage.
    pub(crate) fn name(&self, error: &JournalError) -> Option<Damage> {
        let JournalError::Damaged(damage) = error else {
            return None;
        };
        Some(named(damage, self.tenants_in(damage.segment, &damage.lost)))
    }

    /// What it is called that an event could not be read; damage raises the alarm.
    pub(super) fn unread(&self, error: &JournalError) -> ReadError {
        match self.name(error) {
            Some(damage) => {
                self.alarm.tell(&damage);
                super::damaged(damage)
            }
            None => super::damaged(error),
        }
    }

    /// Raises the alarm.
    pub(crate) fn tell(&self, damage: &Damage) {
        self.alarm.tell(damage);
    }

    /// The newest sealed segment that is not compressed and whose index is written, none of
    /// `without`.
    pub(crate) fn uncompressed(&self, without: &[u64]) -> Option<u64> {
        let mut segments = self.reader.segments();
        segments.retain(|segment| {
            segment.sealed && !segment.compressed && !without.contains(&segment.number)
        });
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        let written = |number: &u64| matches!(sealed.get(number), Some(Held::File(_)));
        segments
            .iter()
            .rev()
            .map(|segment| segment.number)
            .find(written)
    }

    /// Compresses one sealed segment.
    pub(crate) fn compress(&self, segment: u64) -> Result<Compressed, CompressError> {
        self.reader.compress(segment)
    }

    /// The tenants whose records have a byte in this part of a segment, as its index says: also
    /// those whose part of it cannot be read, and nobody where its directory cannot.
    pub(crate) fn tenants_in(&self, segment: u64, lost: &Range<u64>) -> Vec<TenantId> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        if active.0 == segment {
            return hit(active.1.tenants().map(Ok), lost).unwrap_or_default();
        }
        drop(active);
        let hit = match self.held(segment) {
            Ok(Held::Memory(index)) => hit(index.tenants().map(Ok), lost),
            Ok(Held::File(index)) => hit(index.tenants(), lost),
            Err(_) => return Vec::new(),
        };
        hit.unwrap_or_default()
    }
}

/// Names damage in a journal that is not open, by the index beside the segment.
pub(crate) fn name_closed(disk: &Arc<dyn Disk>, journal: &Path, damage: &JournalDamage) -> Damage {
    let path = index_path(journal.join(file_name(damage.segment)));
    let index = Sealed::open(Arc::clone(disk), &path, damage.segment);
    let tenants = index.and_then(|index| hit(index.tenants(), &damage.lost));
    named(damage, tenants.unwrap_or_default())
}

/// Names what is wrong with an index file, and the tenants in whose sections it is: of an index
/// whose directory cannot be read nobody's can be told. `None` where there is none of today's
/// format, which is no damage.
pub(crate) fn name_index(segment: u64, index: Option<&Sealed>, why: &IndexError) -> Option<Damage> {
    let (offset, text) = match why {
        IndexError::Earlier => return None,
        IndexError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        IndexError::Damaged { offset, why, .. } => (*offset, (*why).to_owned()),
        IndexError::Io(_) | IndexError::TooLarge => (0, why.to_string()),
    };
    Some(Damage {
        file: index_path(file_name(segment).into())
            .to_string_lossy()
            .into_owned(),
        offset,
        tenants: index
            .and_then(|index| index.hit(why).ok())
            .unwrap_or_default(),
        why: text,
    })
}

fn named(damage: &JournalDamage, tenants: Vec<TenantId>) -> Damage {
    Damage {
        file: damage.file.clone(),
        offset: damage.offset,
        tenants,
        why: damage.why.to_string(),
    }
}

/// The tenants that have a byte in this part of a segment; also those whose table cannot be read.
fn hit<T: Table>(
    tables: impl Iterator<Item = Result<(TenantId, T), IndexError>>,
    lost: &Range<u64>,
) -> Result<Vec<TenantId>, IndexError> {
    let mut hit = BTreeSet::new();
    // The record that begins last before the part may reach into it.
    let mut before: Option<(u32, TenantId)> = None;
    for item in tables {
        let (tenant, table) = item?;
        match within(&table, lost) {
            Ok((last_before, inside)) => {
                if inside {
                    hit.insert(tenant);
                }
                before = before.max(last_before.map(|offset| (offset, tenant)));
            }
            Err(_) => {
                hit.insert(tenant);
            }
        }
    }
    hit.extend(before.map(|(_, tenant)| tenant));
    Ok(hit.into_iter().collect())
}

/// Where the table's last record before the part begins, and whether one begins inside.
fn within(table: &impl Table, part: &Range<u64>) -> Result<(Option<u32>, bool), IndexError> {
    let offsets = table.offsets(0, table.span().entries)?;
    // Records are appended: their offsets rise.
    let first = offsets.partition_point(|offset| u64::from(*offset) < part.start);
    let inside = offsets
        .get(first)
        .is_some_and(|offset| u64::from(*offset) < part.end);
    let before = first
        .checked_sub(1)
        .and_then(|place| offsets.get(place).copied());
    Ok((before, inside))
}
