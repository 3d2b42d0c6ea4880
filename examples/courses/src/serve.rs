//! Serves a router over HTTP/1.1 with every input bounded; the pilot and the issuer share it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Serves until `shutdown` resolves, then lets open requests end within a deadline.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            // Out of file descriptors is the usual reason: let connections end before trying again.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = builder()
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router.clone()),
            )
            .into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_LIFE_MAX, watched).await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(permit);
        });
    }
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::info!("connections still open at the end of the drain");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "connection not accepted");
            None
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
}

/// A few hundred learners at once on one small machine; more wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 512;
/// Long enough for a slow phone, short enough that idle sockets do not hold the 512 places.
const HEADER_DEADLINE: Duration = Duration::from_secs(15);
/// Browsers send about twenty headers.
const HEADERS_MAX: usize = 64;
/// Two cookies and a long `Accept` are under 4 KiB; also hyper's own read buffer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A client that reads its answer a byte a second gives its place back.
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(600);
/// Longer than any one request may take (`web::REQUEST_MAX` is 30 s for the slowest upload, usual
/// pages take milliseconds): a restart should not be felt.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Long enough for a descriptor to come free, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
