//! The end: in order, each step with a deadline, none of them losing what was acknowledged.

use std::{sync::Arc, time::Duration};

use provost_actors::Arbiters;
use provost_store::Store;
use tokio::{task::JoinHandle, time::timeout};

/// What is still running.
pub(super) struct Stopping {
    pub(super) runtime_task: JoinHandle<()>,
    pub(super) admin_task: JoinHandle<()>,
    pub(super) arbiters: Arbiters,
    pub(super) store: Arc<Store>,
    pub(super) patience: Duration,
}

/// Stops everything. What does not end in time is left behind: the store copes with a kill.
pub(super) async fn finish(stopping: Stopping) {
    let Stopping {
        runtime_task,
        admin_task,
        arbiters,
        store,
        patience,
    } = stopping;
    // The listeners have their own deadline within; this one is for a task that hangs.
    let listeners = async { tokio::join!(runtime_task, admin_task) };
    if timeout(patience + MARGIN, listeners).await.is_err() {
        tracing::warn!("a listener did not end in time");
    }
    if let Err(error) = arbiters.stop(MARGIN).await {
        tracing::warn!(%error, "the arbiters did not end cleanly");
    }
    let closed = tokio::task::spawn_blocking(move || store.close(STORE_PATIENCE)).await;
    match closed {
        Ok(Ok(())) => tracing::info!("stopped"),
        Ok(Err(error)) => tracing::warn!(%error, "the store did not close cleanly"),
        Err(error) => tracing::warn!(%error, "the store did not close"),
    }
}

/// Beyond the drain: for threads to end.
const MARGIN: Duration = Duration::from_secs(5);

/// The journal writes out and seals what it holds; a slow disk takes a second.
const STORE_PATIENCE: Duration = Duration::from_secs(15);
