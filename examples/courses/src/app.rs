//! The pilot as a whole: what it holds, how a change is recorded and told, how it starts and stops.

mod record;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

pub(crate) use record::ActionError;

use crate::Config;
use crate::accounts::{Accounts, Left};
use crate::connector::{Connector, beat};
use crate::content::{Catalog, ContentError};
use crate::login::IdentityProvider;
use crate::sessions::{PendingLogins, Sessions};

/// Why the pilot did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address is taken or not of this machine.
    #[error("address {address} not bound")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The courses are not readable.
    #[error("content not loaded")]
    Content(#[source] ContentError),
    /// A setting or a folder is not usable.
    #[error("{what} not usable")]
    Setup {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Everything the pages work with.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) catalog: Catalog,
    pub(crate) connector: Connector,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) logins: PendingLogins,
    pub(crate) provider: IdentityProvider,
    pub(crate) public_url: String,
    /// Places for logins that are waiting for the issuer and the kernel.
    pub(crate) callbacks: Semaphore,
    /// Told at every heartbeat answered: whoever has something to deliver may try.
    pub(crate) heard: Notify,
    store_failing: AtomicBool,
    left: Mutex<Vec<Left>>,
}

/// Runs the pilot until `shutdown` resolves; tells `on_bound` the address it listens on.
///
/// It serves before it is registered (pages then say that governance is unavailable), goes on
/// registering and beating, and at the end drains requests and ends every session by an event.
///
/// # Errors
/// When it cannot start. Once started it ends only by `shutdown`.
pub async fn run(
    config: Config,
    on_bound: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let address = config.listen;
    let bind = |source| RunError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let bound = listener.local_addr().map_err(bind)?;
    let app = Arc::new(App::new(config, bound).await?);
    let mut tasks = JoinSet::new();
    tasks.spawn(beat(Arc::clone(&app)));
    tasks.spawn(deliver(Arc::clone(&app)));
    tasks.spawn(sweep(Arc::clone(&app)));
    on_bound(bound);
    crate::serve::serve(listener, crate::web::router(Arc::clone(&app)), shutdown).await;
    tasks.shutdown().await;
    let farewell = app.end_all("shutdown");
    if tokio::time::timeout(FAREWELL_MAX, farewell).await.is_err() {
        tracing::warn!("sessions left open; the next start ends them");
    }
    Ok(())
}

impl App {
    async fn new(config: Config, bound: SocketAddr) -> Result<Self, RunError> {
        let catalog = Catalog::load(config.content.as_deref()).map_err(RunError::Content)?;
        let (accounts, left) = Accounts::open(config.data.clone())
            .await
            .map_err(|error| setup("the data folder", error))?;
        let connector = Connector::new(&config.connector_url, config.operator_tenant)
            .map_err(|error| setup("the connector's address", error))?;
        let provider = IdentityProvider::new(&config.issuer_url, &config.client_id)
            .map_err(|error| setup("the issuer's address", error))?;
        let public_url = config
            .public_url
            .unwrap_or_else(|| format!("http://{bound}"));
        let minutes = config
            .session_ttl_minutes
            .min(crate::config::SESSION_TTL_MINUTES_MAX);
        Ok(Self {
            catalog,
            connector,
            accounts,
            sessions: Sessions::new(Duration::from_secs(minutes * 60)),
            logins: PendingLogins::default(),
            provider,
            public_url: public_url.trim_end_matches('/').to_owned(),
            callbacks: Semaphore::new(CALLBACKS_MAX),
            heard: Notify::new(),
            store_failing: AtomicBool::new(false),
            left: Mutex::new(left),
        })
    }

    /// Whether the pilot reports itself degraded: it could not keep what it was told to keep.
    pub(crate) fn degraded(&self) -> bool {
        self.store_failing.load(Ordering::Relaxed)
    }

    /// Where the issuer sends the browser back to.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}/callback", self.public_url)
    }
}

async fn deliver(app: Arc<App>) {
    loop {
        app.heard.notified().await;
        app.deliver_all().await;
    }
}

async fn sweep(app: Arc<App>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        for session in app.sessions.take_expired() {
            app.end_session(&session, "expired", uuid::Uuid::now_v7())
                .await;
        }
    }
}

fn setup(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> RunError {
    RunError::Setup {
        what,
        source: Box::new(source),
    }
}

/// Logins that may wait for two other processes at once; the 33rd is told to try again.
const CALLBACKS_MAX: usize = 32;
/// An expired session is refused at once wherever it is used; its event may be half a minute late.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Ending a thousand sessions takes about two seconds of syncing; a stop must not take much longer.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
