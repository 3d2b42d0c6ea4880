//! What the daemon does without being asked.

use std::time::Duration;

use provost_actors::Directory;
use provost_certs::Acceptor;
use tokio::{task::JoinSet, time::interval};

use crate::{notify::Notify, telemetry::Metrics};

/// Starts everything; it ends when the set is dropped.
pub(super) fn start(
    directory: &Directory,
    acceptor: Acceptor,
    metrics: Metrics,
    notify: Notify,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(wake_due(directory.clone()));
    tasks.spawn(sweep(directory.clone()));
    tasks.spawn(renew(directory.clone(), acceptor));
    tasks.spawn(async move {
        let mut ticks = interval(FOLD_EVERY);
        loop {
            ticks.tick().await;
            metrics.fold();
        }
    });
    let alive = directory.clone();
    tasks.spawn(async move {
        let answers = || {
            let directory = alive.clone();
            async move { directory.house().backend.tenants(None, 1).await.is_ok() }
        };
        notify.watch(answers).await;
    });
    tasks
}

async fn wake_due(directory: Directory) {
    let mut ticks = interval(DUE_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = directory.wake_due().await {
            tracing::warn!(%error, "the due index could not be read");
        }
    }
}

/// Nobody is lost before a full grace has passed since the start.
async fn sweep(directory: Directory) {
    match directory.sweep_after_grace().await {
        Ok(0) => {}
        Ok(lost) => tracing::info!(lost, "runtimes did not come back after the start"),
        Err(error) => tracing::warn!(%error, "silent runtimes could not be looked for"),
    }
}

async fn renew(directory: Directory, acceptor: Acceptor) {
    let mut ticks = interval(RENEW_EVERY);
    loop {
        ticks.tick().await;
        match acceptor.renew_if_due(directory.house().clock.now()) {
            Ok(true) => tracing::info!("the kernel's certificate was renewed"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the kernel's certificate was not renewed"),
        }
    }
}

/// A deadline is kept to the second.
const DUE_EVERY: Duration = Duration::from_secs(1);

/// The leaf has half a day left when it is due: a quarter of an hour is nothing.
const RENEW_EVERY: Duration = Duration::from_secs(15 * 60);

/// As the exporter's own documentation advises.
const FOLD_EVERY: Duration = Duration::from_secs(5);
