//! Takes the spool's batches to the kernel over the link.

use std::sync::Arc;

use provost_protocol::{
    TenantId, Timestamp,
    wire::{Operation, Outcome},
};

use super::{Node, internal};
use crate::spool::{self, Delivered};

/// A node as the spool's courier.
#[derive(Debug, Clone)]
pub(crate) struct Courier(Arc<Node>);

impl Courier {
    pub(crate) const fn new(node: Arc<Node>) -> Self {
        Self(node)
    }
}

impl spool::Courier for Courier {
    async fn send(&self, tenant: TenantId, events: Vec<Vec<u8>>) -> Delivered {
        let sent = events.len();
        let correlation = self.0.correlation();
        match self
            .0
            .link
            .call(tenant, correlation, Operation::Audit(events))
            .await
        {
            Ok(Outcome::Recorded(recorded)) if recorded.len() == sent => Delivered::Recorded,
            Ok(Outcome::Refused(problem)) => Delivered::Refused(problem),
            Ok(_) => Delivered::Refused(internal()),
            Err(_) => Delivered::Unknown,
        }
    }

    async fn ready(&self) {
        self.0.link.up().await;
    }

    fn now(&self) -> Timestamp {
        self.0.core.floor.local()
    }
}
