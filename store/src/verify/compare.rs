//! An index held against the records of its segment.

use provost_protocol::{TenantId, tlog::Hash};

use crate::index::{Growing, IndexError, Sealed, Table, stored_levels};

/// Compares an index with the records of its segment, tenant by tenant.
pub(super) fn compare(
    index: &Sealed,
    scanned: &Growing,
    is_broken: impl Fn(TenantId) -> bool,
) -> Result<(), IndexError> {
    let mut known = scanned.tenants().map(|(tenant, _)| tenant);
    for item in index.tenants() {
        let (tenant, _) = item?;
        if known.next() != Some(tenant) {
            return Err(IndexError::damaged(0, DIFFERS));
        }
    }
    if known.next().is_some() {
        return Err(IndexError::damaged(0, DIFFERS));
    }
    for (item, (_, memory)) in index.tenants().zip(scanned.tenants()) {
        let (tenant, file) = item?;
        let (span, entries) = (memory.span(), memory.span().entries);
        let same = file.span() == span
            && file.offsets(0, entries)? == memory.offsets(0, entries)?
            && file.times(0, entries)? == memory.times(0, entries)?
            && nodes(&file, 0)? == nodes(&memory, 0)?
            && (is_broken(tenant) || same_tree(&file, &memory)?);
        if !same {
            return Err(file.damaged(DIFFERS));
        }
    }
    Ok(())
}

fn same_tree(file: &impl Table, memory: &impl Table) -> Result<bool, IndexError> {
    for level in stored_levels() {
        if nodes(file, level)? != nodes(memory, level)? {
            return Ok(false);
        }
    }
    Ok(file.frontier()? == memory.frontier()?)
}

/// The nodes of one level that the table's events complete.
fn nodes(table: &impl Table, level: u8) -> Result<Vec<Hash>, IndexError> {
    let here = table.span().nodes(level);
    match u32::try_from(here.end.saturating_sub(here.start)) {
        Ok(0) => Ok(Vec::new()),
        count => table.nodes(level, here.start, count.unwrap_or(u32::MAX)),
    }
}

/// What every checksum of the index agrees with, and the journal does not.
const DIFFERS: &str = "it does not say what its segment holds";
