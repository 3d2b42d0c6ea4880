//! Proofs over one tenant's tree, from the leaf hashes in the indexes.

use provost_protocol::TenantId;

use super::{Segments, damaged};
use crate::{
    backend::{Included, Range, ReadError},
    merkle::{self, Hash},
};

impl Segments {
    /// Root of the tenant's tree at an earlier size.
    pub(crate) fn root_at(&self, tenant: TenantId, size: u64) -> Result<Option<Hash>, ReadError> {
        if size > self.length(tenant)? {
            return Ok(None);
        }
        merkle::root(size, &mut |level, index| self.node(tenant, level, index)).map(Some)
    }

    /// Inclusion proof of `seq` in the tree of `size`, with the leaf.
    pub(crate) fn inclusion(
        &self,
        tenant: TenantId,
        seq: u64,
        size: u64,
    ) -> Result<Option<Included>, ReadError> {
        if seq == 0 || seq > size || size > self.length(tenant)? {
            return Ok(None);
        }
        let range = Range {
            after: seq - 1,
            limit: 1,
            newest_before: None,
        };
        let leaf = self.read(tenant, &range)?.pop();
        let leaf = leaf.ok_or_else(|| damaged(format!("event {seq} is in no index")))?;
        let mut node = |level, index| self.node(tenant, level, index);
        let path = merkle::inclusion(seq - 1, size, &mut node)?;
        Ok(Some((leaf, path)))
    }

    /// Consistency proof of two sizes.
    pub(crate) fn consistency(
        &self,
        tenant: TenantId,
        from: u64,
        to: u64,
    ) -> Result<Option<Vec<Hash>>, ReadError> {
        if from > to || to > self.length(tenant)? {
            return Ok(None);
        }
        let mut node = |level, index| self.node(tenant, level, index);
        merkle::consistency(from, to, &mut node).map(Some)
    }

    /// How many events the tenant has.
    fn length(&self, tenant: TenantId) -> Result<u64, ReadError> {
        let newest = self.holding(tenant).into_iter().next();
        let last = |segment| {
            self.with(segment, |index| {
                index
                    .tenant(tenant)
                    .map_or(0, crate::index::TenantTable::last_seq)
            })
        };
        newest.map_or(Ok(0), last)
    }

    fn node(&self, tenant: TenantId, level: u8, index: u64) -> Result<Hash, ReadError> {
        if let Some(below) = level.checked_sub(1) {
            let left = self.node(tenant, below, index * 2)?;
            return Ok(merkle::node_hash(
                &left,
                &self.node(tenant, below, index * 2 + 1)?,
            ));
        }
        for segment in self.holding(tenant) {
            let leaf = self.with(segment, |table| {
                let entry = table.tenant(tenant)?.entry(index + 1)?;
                Some(entry.leaf)
            })?;
            if let Some(leaf) = leaf {
                return Ok(leaf);
            }
        }
        Err(damaged(format!("event {} is in no index", index + 1)))
    }
}
