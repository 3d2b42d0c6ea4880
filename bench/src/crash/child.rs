//! The daemon under torment: this executable as a child process, that runs the daemon's library.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use provost::{
    config::Config,
    daemon,
    init::{self, Init},
    telemetry::{self, Metrics},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Where a started daemon listens, as it tells its parent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Addresses {
    pub(super) runtime: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// A running daemon. It dies with this value, and ends in peace when its standard input closes.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(super) fn spawn(folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join("daemon.log");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("crash-daemon")
            .arg("--config")
            .arg(config_file(folder))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .context("the daemon could not be started")?;
        Ok(Self { child, log })
    }

    /// Waits until it is ready.
    pub(super) async fn ready(&mut self) -> anyhow::Result<Addresses> {
        let output = self.child.stdout.take().context("asked twice")?;
        let mut lines = BufReader::new(output).lines();
        let line = timeout(READY_WITHIN, lines.next_line())
            .await
            .context("it is not ready")??;
        match line {
            Some(line) => Ok(serde_json::from_str(&line)?),
            None => anyhow::bail!("the daemon did not start:\n{}", self.last_words()),
        }
    }

    /// Ends it as a power switch would.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        // A daemon that had ended by itself would be another finding.
        if let Some(status) = self.child.try_wait()? {
            anyhow::bail!(
                "the daemon ended by itself, {status}:\n{}",
                self.last_words()
            );
        }
        self.child
            .kill()
            .await
            .context("the daemon could not be killed")
    }

    /// Ends it in peace.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = timeout(STOP_WITHIN, self.child.wait())
            .await
            .context("it does not stop")??;
        anyhow::ensure!(
            status.success(),
            "the daemon ended with {status}:\n{}",
            self.last_words()
        );
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

/// Makes an installation and writes its configuration.
pub(super) async fn initialise(folder: &Path) -> anyhow::Result<()> {
    let wish = Init {
        data_dir: data_dir(folder),
        name: "crash".to_owned(),
        time_zone: "UTC".to_owned(),
    };
    tokio::task::spawn_blocking(move || init::initialise(&wish)).await??;
    let data = toml::Value::String(data_dir(folder).display().to_string());
    // Port 0: any that is free; the child says which. Whoever reads whole logs asks often.
    let text = format!(
        "data_dir = {data}\n\
         [runtime]\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [limits]\nadmin_requests_per_second = 1000000\nadmin_burst = 1000000\n"
    );
    Ok(std::fs::write(config_file(folder), text)?)
}

/// Runs the daemon in this process until standard input ends.
///
/// # Errors
/// Whatever kept it from starting.
pub(crate) fn serve(config: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    telemetry::log(&config.log)?;
    let started = |addresses: daemon::Addresses| {
        let addresses = Addresses {
            runtime: addresses.runtime,
            admin: addresses.admin,
        };
        if let Ok(line) = serde_json::to_string(&addresses) {
            super::say(&line);
        }
    };
    daemon::run(config, Metrics::install()?, started, parent_gone())?;
    Ok(ExitCode::SUCCESS)
}

/// Ends when the parent closes our standard input, or is no more.
async fn parent_gone() {
    let to_its_end = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    // An error says the same as the end.
    drop(tokio::task::spawn_blocking(to_its_end).await);
}

pub(super) fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("provost.toml")
}

/// A debug build that rebuilds its state after a kill at a bad moment.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Longer than the daemon's own drain.
const STOP_WITHIN: Duration = Duration::from_secs(40);

/// Enough for an error and what led to it.
const LAST_LINES: usize = 20;
