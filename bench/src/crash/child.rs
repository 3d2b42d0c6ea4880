//! The daemon under torment: this executable as a child process, that runs the daemon's library.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    num::NonZeroU64,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use provost::{
    config::Config,
    daemon,
    init::{self, Init},
    telemetry::{self, Metrics},
};
use provost_journal::fail_points::LAST_WORDS;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::plan::Point;

/// Where a started daemon listens, as it tells its parent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) runtime: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A running daemon. It dies with this value, and ends in peace when its standard input closes.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// Held apart, because waiting for a child closes what it holds: that is the sign to stop.
    stdin: Option<ChildStdin>,
    log: PathBuf,
    /// Where this process's own words begin in the log.
    log_from: u64,
}

/// How a daemon with a fail point ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, at its fail point.
    AtPoint,
    /// By SIGKILL: it did not come there in time.
    Killed,
}

impl Daemon {
    /// Starts one with small segments, that ends itself at `point`, if one is given.
    pub(super) fn spawn(folder: &Path, point: Option<&Point>) -> anyhow::Result<Self> {
        let setting = point.map(Point::setting).unwrap_or_default();
        Self::start(folder, |command| {
            command
                .env("FAILPOINTS", setting)
                .arg("--segment-bytes")
                .arg(SEGMENT_BYTES.to_string());
        })
    }

    /// Starts one as it is.
    pub(crate) fn plain(folder: &Path) -> anyhow::Result<Self> {
        Self::start(folder, |_| {})
    }

    fn start(folder: &Path, more: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let log = folder.join("daemon.log");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let log_from = file.metadata()?.len();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("crash-daemon")
            .arg("--config")
            .arg(config_file(folder))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("FAILPOINTS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true);
        more(&mut command);
        let mut child = command.spawn().context("the daemon could not be started")?;
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            log,
            log_from,
        })
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<Addresses> {
        match self.first_line().await? {
            Some(addresses) => Ok(addresses),
            None => anyhow::bail!("the daemon did not start:\n{}", self.last_words()),
        }
    }

    /// As [`ready`](Self::ready); `None` where it ended at its fail point before.
    pub(super) async fn ready_or_ended(
        &mut self,
        point: &Point,
    ) -> anyhow::Result<Option<Addresses>> {
        let addresses = self.first_line().await?;
        if addresses.is_none() {
            let status = timeout(STOP_WITHIN, self.child.wait()).await;
            let status = status.context("it closed its output and goes on")??;
            self.ensure_at(point, status)?;
        }
        Ok(addresses)
    }

    async fn first_line(&mut self) -> anyhow::Result<Option<Addresses>> {
        let output = self.child.stdout.take().context("asked twice")?;
        let mut lines = BufReader::new(output).lines();
        let line = timeout(READY_WITHIN, lines.next_line())
            .await
            .context("it is not ready")??;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }

    /// Waits until it ends at its fail point, or ends it as a power switch would.
    pub(super) async fn ended_at(
        &mut self,
        point: &Point,
        within: Duration,
    ) -> anyhow::Result<Ended> {
        let Ok(status) = timeout(within, self.child.wait()).await else {
            // It may come there at this very moment.
            self.child.start_kill()?;
            let status = self.child.wait().await?;
            if status.signal() == Some(SIGKILL) {
                return Ok(Ended::Killed);
            }
            self.ensure_at(point, status)?;
            return Ok(Ended::AtPoint);
        };
        self.ensure_at(point, status?)?;
        Ok(Ended::AtPoint)
    }

    /// Any other end than the one that was asked for would be a finding.
    fn ensure_at(&self, point: &Point, status: ExitStatus) -> anyhow::Result<()> {
        let mut log = File::open(&self.log)?;
        log.seek(SeekFrom::Start(self.log_from))?;
        let mut words = String::new();
        log.read_to_string(&mut words)?;
        anyhow::ensure!(
            words.contains(&format!("{LAST_WORDS}{}\n", point.name)),
            "the daemon ended by itself, {status}, and not at {}:\n{}",
            point.setting(),
            self.last_words()
        );
        Ok(())
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the daemon is no more")
    }

    /// Ends it as a power switch would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
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
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
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
pub(crate) async fn initialise(folder: &Path) -> anyhow::Result<()> {
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
         [limits]\nadmin_requests_per_second = 1000000\nadmin_burst = 1000000\n\
         enrolments_per_second = 100000\nenrolments_per_address_per_second = 100000\n"
    );
    Ok(std::fs::write(config_file(folder), text)?)
}

/// Runs the daemon in this process until standard input ends.
///
/// # Errors
/// Whatever kept it from starting.
pub(crate) fn serve(config: &Path, segment_bytes: Option<NonZeroU64>) -> anyhow::Result<ExitCode> {
    // As long as the daemon runs: what stands in FAILPOINTS.
    let _points = fail::FailScenario::setup();
    let mut config = Config::load(config)?;
    config.segment_bytes_max = segment_bytes;
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

pub(crate) fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

pub(crate) fn config_file(folder: &Path) -> PathBuf {
    folder.join("provost.toml")
}

/// A debug build that rebuilds its state after a kill at a bad moment.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A round fills a few: segments end, are indexed and compressed all the time.
const SEGMENT_BYTES: u64 = 32 * 1024;

/// What `Child::start_kill` sends.
const SIGKILL: i32 = 9;

/// Longer than the daemon's own drain.
const STOP_WITHIN: Duration = Duration::from_secs(40);

/// Enough for an error and what led to it.
const LAST_LINES: usize = 20;
