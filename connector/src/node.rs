//! The connector's answers: what is decided here, what is asked of the kernel, what is reported.

mod audit;
mod calls;
mod courier;
mod kill;
mod licenses;
mod upkeep;
mod verdict;
mod witness;

use std::sync::Arc;

use provost_protocol::{CorrelationId, Problem, TenantId};
use tracing::error;

pub(crate) use calls::{new_token, sha256_hex};
pub(crate) use courier::Courier;
pub(crate) use kill::obey_kills;
pub(crate) use licenses::Pulls;
pub(crate) use upkeep::upkeep;
pub(crate) use verdict::Asked;
pub(crate) use witness::witness;

use crate::{
    clock::chance, core::Core, durable::DurableError, event::Own, link::Link, mode::Standing,
};

/// A connector at work.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) core: Arc<Core>,
    pub(crate) link: Link,
    pub(crate) pulls: Pulls,
}

impl Node {
    /// A new correlation id, for what nobody asked for.
    pub(crate) fn correlation(&self) -> CorrelationId {
        CorrelationId::from_parts(self.core.floor.local(), chance())
    }

    /// Where a tenant stands.
    pub(crate) fn standing(&self, tenant: TenantId) -> Standing {
        let held = self.core.tenants.find(tenant);
        let license = held.as_ref().and_then(|held| held.license.as_ref());
        Standing::of(
            self.link.is_up(),
            license.map(|license| &*license.document),
            self.core.floor.now(),
        )
    }

    /// Spools an event of the connector's own.
    pub(crate) async fn report<T: serde::Serialize + Sync>(
        &self,
        kind: &str,
        tenant: TenantId,
        correlation: CorrelationId,
        payload: &T,
    ) -> Result<(), Problem> {
        let own = Own {
            tenant,
            runtime: self.core.me.runtime,
            kind,
            at: self.core.floor.local(),
            correlation,
            payload,
        };
        let event = own.write().map_err(|failure| {
            error!(
                error = &failure as &dyn std::error::Error,
                "an event cannot be written"
            );
            internal()
        })?;
        self.core
            .spool
            .append(vec![event])
            .await
            .map_err(|refusal| refusal.problem())?;
        Ok(())
    }
}

/// Runs what blocks on the disk on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| internal())
}

/// A fault of the connector: nothing about the inside is told.
pub(crate) fn internal() -> Problem {
    Problem::new(
        provost_protocol::Code::Internal,
        "the connector failed; see its log",
    )
}

/// The connector's own disk failed.
pub(crate) fn disk(failure: &DurableError) -> Problem {
    error!(
        error = failure as &dyn std::error::Error,
        "the connector's disk failed"
    );
    Problem::new(
        provost_protocol::Code::StorageUnavailable,
        "the connector's disk is full or failing",
    )
}
