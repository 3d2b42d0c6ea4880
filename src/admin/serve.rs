//! The admin listener: plain HTTP/1.1 and HTTP/2 on loopback, bounded, drained at the end.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

/// Serves until `shutdown`, then lets what was begun end within `drain`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX);
    tokio::pin!(shutdown);
    loop {
        let next = async {
            // The permit first: what waits, waits in the operating system's queue.
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            (permit, accepted) = next => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(error) => {
                    tracing::warn!(%error, "an admin connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(error = %error, "an admin connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("admin connections were cut at the end of the drain");
    }
}

/// The command line, a console and a scraper; each connection holds little.
const CONNECTIONS_MAX: usize = 256;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 64;

/// A local client sends its headers in one piece.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);

/// Out of files: the next attempt fails as well, until a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
