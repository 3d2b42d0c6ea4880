//! Puts a connector together, runs it, and takes it down in order.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use provost_certs::{Enrolled, KeystoreError};
use provost_protocol::{
    Timestamp,
    license::{VerifyingKey, binding_of},
    sign::Signer,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tracing::{error, info, warn};

use crate::{
    clock::Clock,
    config::{Config, ConfigError},
    core::{Core, Me, OPERATOR_TOKEN_FILE, Parts, obey},
    durable::{self, DurableError, Kept},
    enroll::{kernel_addr, keystore},
    evidence::{Evidence, Log},
    floor::Floor,
    identity::Identity,
    link::{self, Dial, Link, LinkState},
    local::Doors,
    node::{Courier, Node, Pulls, new_token, obey_kills, sha256_hex, upkeep, witness},
    renew::keep_renewed,
    resolves::Resolves,
    route::{ProxyError, Route},
    spool::{Spool, SpoolError, deliver},
    status::Status,
    tenants::Tenants,
    trust::{Trust, keep_trust},
};

/// Why a connector does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The runtime is not enrolled: `provost connector enroll` comes first.
    #[error("not enrolled: run `provost connector enroll TOKEN --data {}` first", dir.display())]
    NotEnrolled {
        /// The data folder.
        dir: std::path::PathBuf,
    },
    /// Keys or certificate cannot be read.
    #[error("the runtime's keys are unusable")]
    Keys(#[from] KeystoreError),
    /// A file cannot be read or written.
    #[error("the data folder is unusable")]
    Disk(#[from] DurableError),
    /// The enrolment names a key for checkpoints that is none: enroll anew.
    #[error("the enrolment's checkpoint key is no key")]
    CheckpointKey,
    /// The spool cannot be opened.
    #[error("the spool is unusable")]
    Spool(#[from] SpoolError),
    /// The proxy of the environment is none that can be used.
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    /// The local API cannot listen.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The spool's journal failed for good: what is not durable must not be acknowledged.
    #[error("the spool's journal failed: see the log")]
    SpoolFailed,
}

/// A running connector. Dropping it stops it without its farewells; see
/// [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Connector {
    node: Arc<Node>,
    addr: SocketAddr,
    stop_local: watch::Sender<bool>,
    stop_link: watch::Sender<bool>,
    link: JoinHandle<()>,
    local: JoinHandle<()>,
    background: JoinSet<()>,
}

impl Connector {
    /// Starts a connector on the machine's clock.
    ///
    /// # Errors
    /// [`RunError`] says what must be put right.
    pub async fn start(config: Config) -> Result<Self, RunError> {
        Self::start_at(config, Clock::system()).await
    }

    /// As [`start`](Self::start), on any clock.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_at(config: Config, clock: Clock) -> Result<Self, RunError> {
        config.check()?;
        let store = keystore(&config.data_dir)?;
        let Some(enrolled) = store.enrolled()? else {
            return Err(RunError::NotEnrolled {
                dir: config.data_dir,
            });
        };
        let kernel = match &config.kernel {
            Some(kernel) => kernel.clone(),
            None => kernel_addr(&config.data_dir)?.ok_or_else(|| RunError::NotEnrolled {
                dir: config.data_dir.clone(),
            })?,
        };
        let route = Route::to(&kernel, config.proxy.as_ref())?;
        let doors = Doors::open(config.listen, config.socket.as_deref()).await;
        let listen = |source| RunError::Listen {
            addr: config.listen,
            source,
        };
        let doors = doors.map_err(listen)?;
        let addr = doors.addr().map_err(listen)?;
        let (state, states) = watch::channel(LinkState::Starting);
        let (core, heard) = Core::new(open(&config, &enrolled, clock, state)?);
        let (link, orders) = Link::new(states.clone());
        let node = Arc::new(Node {
            core: Arc::clone(&core),
            link,
            pulls: Pulls::default(),
        });
        let (stop_local, local_stops) = watch::channel(false);
        let (stop_link, link_stops) = watch::channel(false);
        let mut background = JoinSet::new();
        background.spawn(obey(Arc::clone(&core), heard));
        background.spawn(upkeep(Arc::clone(&node), states.clone()));
        background.spawn(keep_renewed(Arc::clone(&node)));
        background.spawn(keep_trust(Arc::clone(&node), states.clone()));
        background.spawn(witness(Arc::clone(&node), states));
        background.spawn(obey_kills(Arc::clone(&node), config.kill_hook.clone()));
        background.spawn(deliver(
            Arc::clone(&core.spool),
            Courier::new(Arc::clone(&node)),
        ));
        let dial = Dial {
            addr: kernel.clone(),
            route,
            keystore: store,
            orders,
            stop: link_stops,
        };
        let link = tokio::spawn(link::run(Arc::clone(&core), dial));
        let local = tokio::spawn(doors.serve(Arc::clone(&node), local_stops));
        info!(runtime.id = %core.me.runtime, kernel, local.addr = %addr, "the connector runs");
        Ok(Self {
            node,
            addr,
            stop_local,
            stop_link,
            link,
            local,
            background,
        })
    }

    /// Where the local API listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the connector stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.node)
    }

    /// Ends only when the connector can no longer keep what it accepts.
    pub async fn failed(&self) {
        let mut failed = self.node.core.spool.failed();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // The writer ended in order: that is a shutdown, not a failure.
            std::future::pending::<()>().await;
        }
    }

    /// Finishes what is under way, says goodbye, and keeps what must last.
    pub async fn shutdown(mut self) {
        // The door first: what was asked is still answered, with the kernel's help.
        self.stop_local.send_replace(true);
        finish("local API", &mut self.local).await;
        self.stop_link.send_replace(true);
        finish("link", &mut self.link).await;
        self.background.shutdown().await;
        let core = Arc::clone(&self.node.core);
        let saved = tokio::task::spawn_blocking(move || core.floor.save()).await;
        if let Ok(Err(failure)) = saved {
            error!(
                error = &failure as &dyn std::error::Error,
                "the signed time was not kept"
            );
        }
        self.node.core.spool.close().await;
        info!("the connector has stopped");
    }
}

/// Runs a connector until `shutdown` is ready.
///
/// # Errors
/// [`RunError`] when it does not start or cannot go on.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let connector = Connector::start(config).await?;
    let failed = tokio::select! {
        () = shutdown => false,
        () = connector.failed() => true,
    };
    connector.shutdown().await;
    if failed {
        Err(RunError::SpoolFailed)
    } else {
        Ok(())
    }
}

async fn finish(what: &str, task: &mut JoinHandle<()>) {
    if timeout(STOP_MAX, &mut *task).await.is_err() {
        warn!(what, "did not stop in time");
        task.abort();
    }
}

fn open(
    config: &Config,
    enrolled: &Enrolled,
    clock: Clock,
    link: watch::Sender<LinkState>,
) -> Result<Parts, RunError> {
    let answer = &enrolled.answer;
    let data = &config.data_dir;
    let license_keys: Vec<_> = enrolled
        .license_keys
        .iter()
        .filter_map(|key| key.bytes())
        .map(VerifyingKey::new)
        .collect();
    let checkpoint_key = answer.checkpoint_key.bytes();
    let checkpoint_key = checkpoint_key.ok_or(RunError::CheckpointKey)?;
    let mut time_keys = license_keys.clone();
    time_keys.push(VerifyingKey::new(checkpoint_key));
    let floor = Floor::open(data, clock, answer.install_id, time_keys)?;
    let cnf = binding_of(&enrolled.binding.public_key());
    let operator_token = new_token();
    durable::write(&data.join(OPERATOR_TOKEN_FILE), operator_token.as_bytes())?;
    Ok(Parts {
        me: Me {
            tenant: answer.tenant_id,
            runtime: answer.runtime_id,
            install: answer.install_id,
            runtime_type: answer.runtime_type,
            deployment_mode: answer.deployment_mode,
        },
        facts: Kept::open(data.join("facts.json"))?,
        tenants: Tenants::open(&data.join("tenants"), license_keys, cnf, &floor)?,
        resolves: Resolves::open(&data.join("resolves"))?,
        evidence: Evidence::open(
            &data.join("checkpoints.json"),
            Log {
                install: answer.install_id,
                tenant: answer.tenant_id,
                key: checkpoint_key,
            },
        )?,
        spool: Arc::new(Spool::open(
            &data.join("spool"),
            config.spool_bytes_max,
            config.disk_free_bytes_min,
        )?),
        trust: Trust::new(keystore(data)?, enrolled.trust.clone()),
        identity: Identity::open(data, keystore(data)?, &enrolled.pair)?,
        floor,
        link,
        operator_token_sha256: sha256_hex(&operator_token),
    })
}

impl Connector {
    /// The moment that counts: the local clock, and never less than the highest signed time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.node.core.floor.now()
    }
}

/// Below the patience of systemd; what takes longer hangs.
const STOP_MAX: Duration = Duration::from_secs(10);
