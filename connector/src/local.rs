//! The local API: the five v0.1 calls, and what a person or the product asks the connector itself.
//!
//! It speaks plain HTTP, so it listens on loopback or a unix socket only. A browser is kept out: a
//! foreign `Host` (DNS rebinding) or a foreign `Origin` is refused before anything is read. Who may
//! call is decided by the runtime token that register answers; `/status`, `/license` and `/healthz`
//! say nothing that whoever can reach loopback on this machine may not know.

mod calls;
mod guard;
mod header;
mod refusal;
mod views;

use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Semaphore, watch},
};

use crate::node::Node;

/// What handlers share.
#[derive(Debug, Clone)]
struct Local {
    node: Arc<Node>,
    room: Arc<Semaphore>,
}

/// Where the local API listens.
#[derive(Debug)]
pub(crate) struct Doors {
    tcp: TcpListener,
    unix: Option<UnixListener>,
}

impl Doors {
    /// Opens the doors. A socket file that nobody listens on any more is replaced.
    pub(crate) async fn open(
        listen: SocketAddr,
        socket: Option<&Path>,
    ) -> Result<Self, std::io::Error> {
        let tcp = TcpListener::bind(listen).await?;
        let unix = match socket {
            None => None,
            Some(path) => Some(open_socket(path).await?),
        };
        Ok(Self { tcp, unix })
    }

    /// The TCP door's address.
    pub(crate) fn addr(&self) -> Result<SocketAddr, std::io::Error> {
        self.tcp.local_addr()
    }

    /// Serves until told to stop; what is under way is finished.
    pub(crate) async fn serve(self, node: Arc<Node>, stop: watch::Receiver<bool>) {
        let router = router(node);
        let tcp =
            axum::serve(self.tcp, router.clone()).with_graceful_shutdown(stopped(stop.clone()));
        let unix = async move {
            let Some(listener) = self.unix else {
                return Ok(());
            };
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped(stop))
                .await
        };
        let (one, other) = tokio::join!(async { tcp.await }, unix);
        for served in [one, other] {
            if let Err(error) = served {
                tracing::error!(%error, "the local API stopped");
            }
        }
    }
}

fn router(node: Arc<Node>) -> Router {
    let local = Local {
        node,
        room: Arc::new(Semaphore::new(CALLS_AT_ONCE_MAX)),
    };
    Router::new()
        .route("/kernel/runtimes/register", post(calls::register))
        .route(
            "/kernel/runtimes/{runtime_id}/heartbeat",
            post(calls::heartbeat),
        )
        .route("/kernel/identity/resolve", post(calls::resolve))
        .route("/kernel/entitlements/check", post(calls::check))
        .route("/kernel/audit/events", post(calls::audit))
        .route("/license", get(views::license))
        .route("/status", get(views::status))
        .route("/healthz", get(views::healthz))
        .method_not_allowed_fallback(guard::method_not_allowed)
        .fallback(guard::not_found)
        .layer(from_fn_with_state(local.clone(), guard::guard))
        .with_state(local)
}

async fn open_socket(path: &Path) -> Result<UnixListener, std::io::Error> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if tokio::net::UnixStream::connect(path).await.is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    drop(stop.wait_for(|stop| *stop).await);
}

/// As many as the spool's writer takes at once, and more than one product has threads.
const CALLS_AT_ONCE_MAX: usize = 512;
