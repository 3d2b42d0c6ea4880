//! Proofs over one tenant's tree, from the nodes in the indexes.
//!
//! # What a proof costs
//!
//! A node of a stored level is one read. One of another level is made of at most eight neighbours
//! of the stored level below, which one read gives, or two where they stand in two segments. A
//! consistency proof of a tree of ten million leaves (24 levels) asks for at most one node of each
//! level on the way to the older end, and at most one of each level along the newer end: 48 reads.
//! Within 65,536 leaves of either end, where levels are not stored themselves, there is one border
//! of segments as long as these hold as many events: 2 more. The older root is made of nodes that
//! are in the proof too, and the newer one stands in the state. So a checkpoint with its
//! consistency proof takes at most 50 reads; a test counts them at the disk. Where a segment holds
//! events of more than 64 tenants, and was not asked for this one of late, one read more finds what
//! it holds of him.

use std::sync::PoisonError;

use provost_protocol::{
    TenantId,
    tlog::{self, Hash, node_hash},
};

use super::{Segments, damaged};
use crate::{
    backend::{Included, Range, ReadError},
    convert::to_u32,
    index::{Span, stored_level},
};

/// Where a tenant's events stand, newest first.
type Spans = [(u64, Span)];

impl Segments {
    /// Root of the tenant's tree at an earlier size.
    pub(crate) fn root_at(&self, tenant: TenantId, size: u64) -> Result<Option<Hash>, ReadError> {
        let spans = self.holding(tenant).collect::<Result<Vec<_>, _>>()?;
        if size > length(&spans) {
            return Ok(None);
        }
        let mut node = |level, index| self.node((tenant, &spans), level, index);
        tlog::root(size, &mut node).map(Some)
    }

    /// Inclusion proof of `seq` in the tree of `size`, with the leaf.
    pub(crate) fn inclusion(
        &self,
        tenant: TenantId,
        seq: u64,
        size: u64,
    ) -> Result<Option<Included>, ReadError> {
        let spans = self.holding(tenant).collect::<Result<Vec<_>, _>>()?;
        if seq == 0 || seq > size || size > length(&spans) {
            return Ok(None);
        }
        let range = Range {
            after: seq - 1,
            limit: 1,
            newest_before: None,
        };
        let leaf = self.read(tenant, &range)?.pop();
        let leaf = leaf.ok_or_else(|| damaged(format!("event {seq} is in no index")))?;
        let mut node = |level, index| self.node((tenant, &spans), level, index);
        let path = tlog::inclusion(seq - 1, size, &mut node)?;
        Ok(Some((leaf, path)))
    }

    /// Consistency proof of two sizes.
    pub(crate) fn consistency(
        &self,
        tenant: TenantId,
        from: u64,
        to: u64,
    ) -> Result<Option<Vec<Hash>>, ReadError> {
        let spans = self.holding(tenant).collect::<Result<Vec<_>, _>>()?;
        if from > to || to > length(&spans) {
            return Ok(None);
        }
        let mut node = |level, index| self.node((tenant, &spans), level, index);
        tlog::consistency(from, to, &mut node).map(Some)
    }

    /// A complete subtree's root.
    fn node(
        &self,
        (tenant, spans): (TenantId, &Spans),
        level: u8,
        index: u64,
    ) -> Result<Hash, ReadError> {
        let key = (tenant, level, index);
        if let Some(node) = self
            .nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(*node);
        }
        let base = stored_level(level);
        let mut from = index << (level - base);
        let until = (index + 1) << (level - base);
        let mut row: Vec<Hash> = Vec::new();
        while from < until {
            let stretch = self.stretch((tenant, spans), base, from..until)?;
            from += u64::from(to_u32(stretch.len()));
            row.extend(stretch);
        }
        while row.len() > 1 {
            row = row
                .chunks(2)
                .map(|pair| node_hash(&pair[0], &pair[1]))
                .collect();
        }
        let node = row.pop().ok_or_else(|| damaged("a node is in no index"))?;
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.len() >= NODES_MAX {
            nodes.clear();
        }
        nodes.insert(key, node);
        Ok(node)
    }

    /// As many of these nodes of a stored level as the segment of the first one completes.
    fn stretch(
        &self,
        (tenant, spans): (TenantId, &Spans),
        level: u8,
        wanted: std::ops::Range<u64>,
    ) -> Result<Vec<Hash>, ReadError> {
        // The leaf that completes the first one stands there.
        let seq = (wanted.start + 1) << level;
        let holds = |(_, span): &&(u64, Span)| span.first_seq <= seq && seq <= span.last_seq();
        let Some((segment, span)) = spans.iter().find(holds) else {
            return Err(damaged(format!("event {seq} is in no index")));
        };
        let until = wanted.end.min(span.nodes(level).end);
        let count = u32::try_from(until - wanted.start).unwrap_or(u32::MAX);
        if level > 0 {
            self.followed(*segment, tenant)?;
        }
        self.look((*segment, tenant), |table| {
            table.nodes(level, wanted.start, count)
        })
    }
}

/// How many events a tenant has.
fn length(spans: &Spans) -> u64 {
    spans.first().map_or(0, |(_, span)| span.last_seq())
}

/// What some hundred checkpoints ask for; they ask for the same nodes again, which never change.
const NODES_MAX: usize = 4_096;
