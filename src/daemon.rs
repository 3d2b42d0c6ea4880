//! The daemon: everything put together, started in order, stopped in order.
//!
//! Start: identity and keys, store (recovery, replay), arbiters, directory, listeners; then it is
//! ready. Stop: no more connections, what was begun is finished, arbiters, store. A store that
//! fails ends the process at once; systemd starts it again from a known state.

mod background;
mod damage;
pub mod disk;
mod entrance;
mod stop;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use provost_actors::{
    Arbiters, Clock as _, Directory, Gateway, House, SystemClock, SystemRandom, TimeNote,
    TrustBoard,
};
use provost_certs::{
    Acceptor, AcceptorSettings, AuthorityError, Certificates, Ed25519Key, HANDSHAKE_DEADLINE,
    KeyError, Roots, Signers,
};
use provost_protocol::{Timestamp, entity::KeyPurpose, sign::Signer};
use provost_store::{Backend, DamageHook, FatalHook, OpenError, Opened, Options, ReadError, Store};
use tokio::{net::TcpListener, sync::watch};

use self::entrance::Entrance;
use crate::{
    admin::{self, AdminContext, Enrolment, OnRevoked, Readiness, view::PublicKey},
    ca::{self, Ca, CaError, CaParts},
    config::Config,
    idp::Verifier,
    install::{Install, InstallError},
    limits,
    notify::Notify,
    runtime_port::{Listener, ListenerSettings, RuntimePort, StrangerRates},
    telemetry::Metrics,
};

/// Why the daemon did not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The data folder is no installation.
    #[error("the installation cannot be read")]
    Install(#[from] InstallError),
    /// The CA cannot be read.
    #[error("the certificate authority cannot be opened")]
    Authority(#[from] AuthorityError),
    /// The roots are not what the log speaks of.
    #[error("the certificate authority's roots cannot be taken into use")]
    Roots(#[from] CaError),
    /// Which certificates are revoked cannot be read.
    #[error("the revoked certificates cannot be read")]
    Revoked(#[from] ReadError),
    /// A signing key cannot be read.
    #[error("the signing keys cannot be opened")]
    Keys(#[from] KeyError),
    /// The store is in use, damaged, or of a newer format.
    #[error("the store cannot be opened")]
    Store(#[source] Box<OpenError>),
    /// A port cannot be listened on.
    #[error("{what} cannot be listened on at {address}")]
    Listen {
        /// Which port.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A thread, signal or socket could not be set up.
    #[error("the process cannot be set up")]
    Io(#[from] std::io::Error),
}

/// Where a started daemon listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The port for runtimes.
    pub runtime: SocketAddr,
    /// The port for administration.
    pub admin: SocketAddr,
}

/// Runs a daemon on this thread until `stop` ends; `started` hears where it listens.
///
/// # Errors
/// [`DaemonError`].
pub fn run(
    config: Config,
    metrics: Metrics,
    started: impl FnOnce(Addresses) + 'static,
    stop: impl Future<Output = ()> + 'static,
) -> Result<(), DaemonError> {
    actix::System::new().block_on(Box::pin(serve(config, metrics, started, stop)))
}

async fn serve(
    config: Config,
    metrics: Metrics,
    started: impl FnOnce(Addresses),
    stop: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    limits::survive_large_files()?;
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let notify = Notify::from_env();
    let install = Install::load(&config.data_dir)?;
    let signers = Arc::new(Signers::open(&config.data_dir)?);
    notify.status("opening the store");
    let (damaged, damages) = damage::hook();
    let (store, _opened) = open_store(&config, damaged)?;
    let store = Arc::new(store);
    let (data_dir, internal) = (&config.data_dir, install.internal_tenant);
    let roots = ca::roots_in_force(data_dir, &*store, internal).await?;
    let authority = Arc::new(Roots::new(roots));
    let certificates = Arc::new(Certificates::new());
    let refused = revoked(&*store, SystemClock.now()).await?;
    tracing::info!(
        certificates = refused.len(),
        "revoked certificates are refused"
    );
    certificates.replace(refused);

    let arbiters = Arbiters::start(arbiter_count(&config))?;
    let house = Arc::new(House {
        backend: Arc::clone(&store) as Arc<dyn Backend>,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        license_signer: Arc::clone(&signers.license) as _,
        checkpoint_signer: Arc::clone(&signers.checkpoint) as _,
        standing: Arc::clone(&certificates) as _,
        issuer: Arc::clone(&authority) as _,
        install: install.install_id,
        trust_bundle: TrustBoard::new(ca::told(&authority.now())),
        region: config.region.clone(),
        time_note: TimeNote::default(),
    });
    let directory = Directory::new(Arc::clone(&house), arbiters.spawner());
    let verifier = Arc::new(Verifier::new(config.idp.allow_private));
    let gateway = Gateway::new(directory.clone(), verifier).with_rates(config.limits.rates());

    let runtime_socket = bind("the runtime port", config.runtime.listen).await?;
    let admin_socket = bind("the admin port", config.admin.listen).await?;
    let addresses = Addresses {
        runtime: runtime_socket.local_addr()?,
        admin: admin_socket.local_addr()?,
    };
    let (drain, draining) = watch::channel(false);

    let acceptor = Acceptor::new(
        AcceptorSettings {
            authority: Arc::clone(authority.now().active()),
            names: config.runtime.names.clone(),
            standing: Arc::clone(&certificates) as _,
            handshake_deadline: HANDSHAKE_DEADLINE,
        },
        house.clock.now(),
    )?;
    let ca = Arc::new(Ca::new(CaParts {
        data_dir: config.data_dir.clone(),
        internal: install.internal_tenant,
        roots: Arc::clone(&authority),
        acceptor: acceptor.clone(),
        certificates: Arc::clone(&certificates),
        house: Arc::clone(&house),
    }));
    // The chain of this phase; and what a step that was cut short left is swept.
    ca.catch_up().await?;
    let port = RuntimePort::new(gateway, Arc::clone(&authority), Arc::clone(&signers)).with_rates(
        StrangerRates {
            per_address: config.limits.enrolments_per_address_per_second,
            in_all: config.limits.enrolments_per_second,
        },
    );
    let entrance = Entrance::start(cores())?;
    let listener = Listener::new(ListenerSettings {
        socket: entrance.adopt(runtime_socket)?,
        acceptor: acceptor.clone(),
        port,
        connections_max: config.limits.connections_max.get(),
        draining: draining.clone(),
    });
    let stopping = Arc::new(AtomicBool::new(false));
    let disk = disk::DiskStatus::default();
    let context = AdminContext {
        directory: directory.clone(),
        internal_tenant: install.internal_tenant,
        allowed_hosts: config.admin.allowed_hosts.clone(),
        limits: config.limits.clone(),
        metrics: metrics.clone(),
        enrolment: Enrolment {
            addr: config.advertised(addresses.runtime.port()),
        },
        keys: public_keys(&signers),
        ca: Arc::clone(&ca),
        readiness: Readiness::of_store(Arc::clone(&house.backend), install.internal_tenant),
        disk: disk.clone(),
        draining: Arc::clone(&stopping),
        on_revoked: OnRevoked::new(move |_, runtimes| {
            let serials: Vec<String> = runtimes.iter().flat_map(|(_, all)| all.clone()).collect();
            certificates.revoke_all(&serials);
        }),
        started: house.clock.now(),
    };
    let patience = Duration::from_millis(config.drain_ms.get());
    let runtime_task = entrance.spawn(listener.run(patience));
    let admin_task = tokio::spawn(admin::serve(
        admin_socket,
        admin::router(context),
        until(draining),
        patience,
    ));
    let mut background = background::start(&directory, (acceptor, ca), metrics, notify.clone());
    let watch = disk::DiskWatch {
        directory: directory.clone(),
        internal: install.internal_tenant,
        gauge: disk::Gauge::of(config.data_dir.clone()),
        limits: config.limits.clone(),
        status: disk,
    };
    background.spawn(watch.run());
    let alarms = damage::record(directory.clone(), install.internal_tenant, damages);
    background.spawn(alarms);

    tracing::info!(
        runtime.addr = %addresses.runtime, admin.addr = %addresses.admin,
        install.id = %install.install_id, "ready"
    );
    notify.ready("governing");
    started(addresses);
    stop.await;

    notify.stopping();
    tracing::info!("stopping");
    stopping.store(true, Ordering::SeqCst);
    drain.send_replace(true);
    background.abort_all();
    stop::finish(stop::Stopping {
        runtime_task,
        admin_task,
        arbiters,
        store,
        patience,
    })
    .await;
    Ok(())
}

/// Ends when the kernel stops.
async fn until(mut draining: watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await.map(drop);
}

/// Every serial number that is revoked and has not ended, read without waking a tenant.
async fn revoked(backend: &dyn Backend, now: Timestamp) -> Result<Vec<String>, ReadError> {
    let (mut serials, mut after) = (Vec::new(), None);
    loop {
        let page = backend.revoked(now, after, REVOKED_PAGE).await?;
        let Some(last) = page.last().cloned() else {
            return Ok(serials);
        };
        serials.extend(page.into_iter().map(|(_, serial)| serial));
        after = Some(last);
    }
}

/// The public halves of the signing keys, for whoever verifies.
fn public_keys(signers: &Signers) -> Vec<PublicKey> {
    let named = |purpose, key: &Ed25519Key| PublicKey {
        purpose,
        kid: key.key_id().to_string(),
        public_key_pem: key.public_key_pem(),
    };
    vec![
        named(KeyPurpose::License, &signers.license),
        named(KeyPurpose::Checkpoint, &signers.checkpoint),
    ]
}

fn open_store(config: &Config, damaged: DamageHook) -> Result<(Store, Opened), DaemonError> {
    let fatal: FatalHook = Arc::new(|why| {
        // Nothing unknown is acknowledged: the process ends here and now, and systemd restarts it.
        tracing::error!(reason = why, "the store failed: the process ends");
        std::process::abort();
    });
    let mut journal = provost_journal::Options {
        free_bytes_min: config.limits.disk_free_bytes_min,
        ..provost_journal::Options::default()
    };
    if let Some(bytes) = config.segment_bytes_max {
        journal.segment_bytes_max = bytes.get();
    }
    let options = Options {
        journal,
        damaged,
        ..Options::new(fatal)
    };
    Store::open(&config.data_dir, options).map_err(|error| DaemonError::Store(Box::new(error)))
}

fn arbiter_count(config: &Config) -> NonZeroUsize {
    config.arbiters.unwrap_or_else(cores)
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, DaemonError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| DaemonError::Listen {
            what,
            address,
            source,
        })
}

/// One look into the store: some milliseconds of one reader.
const REVOKED_PAGE: usize = 10_000;
