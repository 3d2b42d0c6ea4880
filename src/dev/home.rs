//! The folder in which everything lies, and the ports it uses.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The folder and the ports.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) dir: PathBuf,
    pub(super) ports: Ports,
    /// Removes a folder of our own when it is dropped.
    temporary: Option<tempfile::TempDir>,
}

/// Where each process listens; kept, so that a second start finds the same addresses.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Ports {
    pub(super) runtime: u16,
    pub(super) admin: u16,
    pub(super) connector: u16,
    pub(super) issuer: u16,
    pub(super) courses: u16,
}

impl Home {
    /// Opens a folder of the developer's.
    pub(super) fn open(dir: &Path, fresh: bool) -> anyhow::Result<Self> {
        if fresh && dir.join(PORTS).exists() {
            fs::remove_dir_all(dir).context("the folder could not be emptied")?;
        } else if fresh && dir.exists() && fs::read_dir(dir)?.next().is_some() {
            anyhow::bail!(
                "{} is no folder of provost dev: it is left alone",
                dir.display()
            );
        }
        fs::create_dir_all(dir)?;
        let dir = fs::canonicalize(dir)?;
        let ports = match fs::read(dir.join(PORTS)) {
            Ok(text) => serde_json::from_slice(&text).context("ports.json is damaged")?,
            Err(_) => Ports::choose(true)?,
        };
        fs::write(dir.join(PORTS), serde_json::to_vec_pretty(&ports)?)?;
        fs::create_dir_all(dir.join("logs"))?;
        Ok(Self {
            dir,
            ports,
            temporary: None,
        })
    }

    /// Makes a folder of our own, with free ports.
    pub(super) fn temporary() -> anyhow::Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix("provost-dev-check-")
            .tempdir()?;
        let dir = temporary.path().to_owned();
        fs::create_dir_all(dir.join("logs"))?;
        Ok(Self {
            dir,
            ports: Ports::choose(false)?,
            temporary: Some(temporary),
        })
    }

    /// Keeps a folder of our own after the end; says where it is.
    pub(super) fn keep(&mut self) -> &Path {
        if let Some(temporary) = self.temporary.take() {
            self.dir = temporary.keep();
        }
        &self.dir
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.dir.join("kernel")
    }

    pub(super) fn connector(&self) -> PathBuf {
        self.dir.join("connector")
    }
}

impl Ports {
    /// Takes the usual two where they are free, and any others that are.
    fn choose(usual: bool) -> anyhow::Result<Self> {
        // Held until all are chosen, so that no two are the same.
        let mut held = Vec::new();
        let mut take = |wanted: u16| -> anyhow::Result<u16> {
            let any = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            let socket = match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
                Ok(socket) => socket,
                Err(_) => any().context("no free port")?,
            };
            let port = socket.local_addr()?.port();
            held.push(socket);
            Ok(port)
        };
        let or_any = |port: u16| if usual { port } else { 0 };
        Ok(Self {
            runtime: take(or_any(7443))?,
            admin: take(or_any(7480))?,
            connector: take(0)?,
            issuer: take(0)?,
            courses: take(0)?,
        })
    }
}

/// An address on this machine.
pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

const PORTS: &str = "ports.json";
