//! Queries and proofs, by the definition: every event is looked at, every node is hashed anew.

use std::convert::Infallible;

use provost_protocol::{
    TenantId,
    tlog::{self, Hash, leaf_hash, node_hash},
};

use super::{Shared, Tenant, stored};
use crate::{
    backend::{Head, Included},
    query::{Query, QueryPage},
};

impl Shared {
    pub(super) fn query(&self, tenant: TenantId, query: &Query) -> QueryPage {
        let before = query.before.unwrap_or(u64::MAX);
        let log = self.tenants.get(&tenant).map(|tenant| &tenant.log);
        let newest =
            log.into_iter().flatten().rev().filter(|stamped| {
                stamped.envelope.seq < before && query.matches(&stamped.envelope)
            });
        query.page(newest.take(query.room()).map(stored).collect())
    }

    pub(super) fn head(&self, tenant: TenantId) -> Option<Head> {
        let head = self.tenants.get(&tenant).map(|tenant| tenant.head.clone());
        head.filter(|head| head.seq > 0)
    }

    pub(super) fn root_at(&self, tenant: TenantId, size: u64) -> Option<Hash> {
        let leaves = self.leaves(tenant, size)?;
        tlog::root(size, &mut |level, index| node(&leaves, level, index)).ok()
    }

    pub(super) fn inclusion(&self, tenant: TenantId, seq: u64, size: u64) -> Option<Included> {
        let leaves = self.leaves(tenant, size)?;
        let index = seq.checked_sub(1).filter(|index| *index < size)?;
        let path = tlog::inclusion(index, size, &mut |level, index| node(&leaves, level, index));
        let leaf = self
            .tenants
            .get(&tenant)?
            .log
            .get(usize::try_from(index).ok()?)?;
        Some((stored(leaf), path.ok()?))
    }

    pub(super) fn consistency(&self, tenant: TenantId, from: u64, to: u64) -> Option<Vec<Hash>> {
        let leaves = self.leaves(tenant, to).filter(|_| from <= to)?;
        tlog::consistency(from, to, &mut |level, index| node(&leaves, level, index)).ok()
    }

    /// The first `size` leaves; `None` when there are fewer.
    fn leaves(&self, tenant: TenantId, size: u64) -> Option<Vec<Hash>> {
        let absent = Tenant::default();
        let log = &self.tenants.get(&tenant).unwrap_or(&absent).log;
        let first = log.get(..usize::try_from(size).ok()?)?;
        Some(
            first
                .iter()
                .map(|stamped| leaf_hash(&stamped.bytes))
                .collect(),
        )
    }
}

fn node(leaves: &[Hash], level: u8, index: u64) -> Result<Hash, Infallible> {
    let Some(below) = level.checked_sub(1) else {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        return Ok(leaves[place]);
    };
    let left = node(leaves, below, index * 2)?;
    Ok(node_hash(&left, &node(leaves, below, index * 2 + 1)?))
}
