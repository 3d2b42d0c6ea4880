//! What the daemon does without being asked.

use std::{sync::Arc, time::Duration};

use provost_actors::Directory;
use provost_certs::Acceptor;
use tokio::{task::JoinSet, time::interval};

use crate::{ca::Ca, notify::Notify, telemetry::Metrics};

/// Starts everything; it ends when the set is dropped.
pub(super) fn start(
    directory: &Directory,
    (acceptor, ca): (Acceptor, Arc<Ca>),
    metrics: Metrics,
    notify: Notify,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(wake_due(directory.clone()));
    tasks.spawn(sweep(directory.clone()));
    tasks.spawn(renew(directory.clone(), acceptor));
    tasks.spawn(catch_up(directory.clone(), ca));
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
    let lost = directory.sweep_after_grace().await;
    if lost > 0 {
        tracing::info!(lost, "runtimes did not come back after the start");
    }
}

/// What the log says of the CA's rotation is in use within seconds, whatever became of the call that
/// asked for it.
async fn catch_up(directory: Directory, ca: Arc<Ca>) {
    let mut ticks = interval(CATCH_UP_EVERY);
    loop {
        ticks.tick().await;
        match ca.catch_up().await {
            Ok(true) => {
                directory.look_again();
                tracing::info!("a step of the CA's rotation was taken into use");
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the CA is not what the log says"),
        }
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

/// One read of one entity; a step takes an operator minutes to look at.
const CATCH_UP_EVERY: Duration = Duration::from_secs(10);
