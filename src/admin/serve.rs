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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::{Notify, oneshot},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A listener whose one route answers when it is allowed to, and tells when it was asked.
    struct Running {
        address: std::net::SocketAddr,
        asked: Arc<Notify>,
        allowed: Arc<Notify>,
        stop: oneshot::Sender<()>,
        served: tokio::task::JoinHandle<()>,
    }

    async fn running(drain: Duration) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, allowed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (Arc::clone(&asked), Arc::clone(&allowed));
        let slow = get(move || async move {
            tell.notify_one();
            wait.notified().await;
            "done"
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let router = Router::new().route("/slow", slow);
        let served = tokio::spawn(serve(listener, router, shutdown, drain));
        Running {
            address,
            asked,
            allowed,
            stop,
            served,
        }
    }

    async fn ask(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        stream
    }

    #[tokio::test]
    async fn what_was_begun_is_answered_while_nothing_more_is_accepted() {
        let running = running(PATIENCE).await;
        let mut stream = ask(running.address).await;
        running.asked.notified().await;
        running.stop.send(()).unwrap();
        // The listener is closed before anything is waited for.
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        running.allowed.notify_one();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
            "{answer}"
        );
        timeout(PATIENCE, running.served).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_request_that_hangs_does_not_hold_the_end_up() {
        let running = running(Duration::from_millis(1)).await;
        let _stream = ask(running.address).await;
        running.asked.notified().await;
        running.stop.send(()).unwrap();
        timeout(PATIENCE, running.served).await.unwrap().unwrap();
    }
}
