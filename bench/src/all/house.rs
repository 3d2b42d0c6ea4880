//! A real daemon over a made world, in a folder that goes with it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::Run;
use crate::{
    crash::{
        child::{self, Daemon},
        kernel::Kernel,
    },
    fleet,
    floor::{self, Kind, Listening},
    load::{self, Server},
    worker::Worker,
    world::{Plan, World},
};

/// The daemon and its world.
#[derive(Debug)]
pub(crate) struct House {
    folder: TempDir,
    pub(crate) world: World,
    daemon: Option<Daemon>,
    pub(crate) kernel: Kernel,
    pub(crate) addr: SocketAddr,
}

/// What the daemon grants each tenant and connection at its edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budgets {
    /// As it comes.
    Usual,
    /// Wide enough to measure the way of one operation.
    Wide,
}

/// A floor, listening.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) worker: Worker,
    pub(crate) at: Listening,
}

/// The world of everything that is about rates: 100 tenants, and in each a few runtimes; in the
/// first as many as connect to it at once.
pub(crate) const fn of_rates() -> Plan {
    Plan {
        tenants: 100,
        runtimes: 64,
        silent: 0,
    }
}

impl House {
    /// Makes the world and starts the daemon.
    pub(crate) async fn open(run: &Run, plan: Plan, budgets: Budgets) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("provost-bench-")
            .tempdir_in(&run.dir)?;
        let path = folder.path().to_owned();
        let world = tokio::task::spawn_blocking(move || World::make(&path, plan)).await??;
        configure(folder.path(), budgets)?;
        let (daemon, kernel, addr) = start(folder.path()).await?;
        Ok(Self {
            folder,
            world,
            daemon: Some(daemon),
            kernel,
            addr,
        })
    }

    /// Ends the daemon as a power switch would, and starts it again with other budgets.
    pub(crate) async fn restart(&mut self, budgets: Budgets) -> anyhow::Result<()> {
        self.kill().await?;
        configure(self.folder.path(), budgets)?;
        self.start().await
    }

    /// Ends the daemon as a power switch would.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.daemon.take().context("no daemon")?.kill().await
    }

    /// Starts it again.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let (daemon, kernel, addr) = start(self.folder.path()).await?;
        (self.daemon, self.kernel, self.addr) = (Some(daemon), kernel, addr);
        Ok(())
    }

    /// Ends the daemon in peace.
    pub(crate) async fn close(mut self) -> anyhow::Result<()> {
        self.daemon.take().context("no daemon")?.stop().await
    }

    /// A place beside the daemon's data.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the daemon's data lies.
    pub(crate) fn data(&self) -> PathBuf {
        child::data_dir(self.folder.path())
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.daemon.as_ref().context("no daemon")?.pid()
    }

    /// Starts a floor for this world's clients.
    pub(crate) async fn floor(&self, kind: Kind) -> anyhow::Result<Floor> {
        let spec = floor::Spec {
            kind,
            install: self.world.install,
            clients_pem: self.world.root_pem.clone(),
        };
        let mut worker = Worker::start("floor", &spec).await?;
        let at = worker.hear(super::compare::SOON).await?;
        Ok(Floor { worker, at })
    }

    /// What a client of the kernel needs to know.
    pub(crate) fn clients(
        &self,
        server: Server,
        members: Vec<usize>,
        in_flight: usize,
    ) -> load::Spec {
        load::Spec {
            world: self.folder.path().to_owned(),
            addr: self.addr,
            trust_pem: self.world.root_pem.clone(),
            server,
            members,
            in_flight,
            patient: false,
            rest_us: 0,
        }
    }

    /// Where a fleet finds the kernel.
    pub(crate) fn port(&self) -> fleet::Port {
        fleet::Port {
            addr: self.addr,
            trust_pem: self.world.root_pem.clone(),
            kernel: true,
        }
    }

    /// A fleet of these members, in several processes.
    pub(crate) async fn fleets(&self, members: &[usize]) -> anyhow::Result<Vec<Worker>> {
        let mut fleets = Vec::new();
        for number in 0..FLEETS {
            let spec = fleet::Spec {
                world: self.folder.path().to_owned(),
                members: members
                    .iter()
                    .skip(number)
                    .step_by(FLEETS)
                    .copied()
                    .collect(),
            };
            fleets.push(Worker::start("fleet", &spec).await?);
        }
        Ok(fleets)
    }
}

async fn start(folder: &Path) -> anyhow::Result<(Daemon, Kernel, SocketAddr)> {
    let mut daemon = Daemon::plain(folder)?;
    let addresses = daemon.ready().await?;
    let kernel = Kernel::new(addresses, &child::data_dir(folder))?;
    Ok((daemon, kernel, addresses.runtime))
}

/// One configuration for all: whatever is asked of the admin port is asked often.
fn configure(folder: &Path, budgets: Budgets) -> anyhow::Result<()> {
    let data = toml::Value::String(child::data_dir(folder).display().to_string());
    let wide = match budgets {
        Budgets::Usual => "",
        Budgets::Wide => WIDE,
    };
    let text = format!(
        "data_dir = {data}\n\
         [runtime]\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [limits]\nadmin_requests_per_second = 1000000\nadmin_burst = 1000000\n{wide}"
    );
    Ok(std::fs::write(child::config_file(folder), text)?)
}

/// What `limits` says besides, where budgets are wide.
const WIDE: &str = "connection_requests_per_second = 1000000000\nconnection_burst = 1000000000\n\
     tenant_requests_per_second = 1000000000\ntenant_burst = 1000000000\n";

/// Client processes of a fleet: each holds a quarter of the connections.
pub(crate) const FLEETS: usize = 4;
