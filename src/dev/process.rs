//! Child processes of this executable: their logs go to files, and they die with the parent.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// A running child.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: &'static str,
    child: Child,
    log: PathBuf,
}

/// Asks the system to kill this process when the parent ends, and ends at once if it has.
///
/// # Errors
/// What the system says; `parent` is not a process id.
pub fn die_with_parent(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the line above.
    let parent = Pid::from_raw(parent).context("not a process id")?;
    if getppid() != Some(parent) {
        anyhow::bail!("the parent has ended");
    }
    Ok(())
}

impl Process {
    /// Starts a child that runs until it is stopped.
    pub(super) fn start(
        name: &'static str,
        home: &Path,
        args: impl IntoIterator<Item = OsString>,
    ) -> anyhow::Result<Self> {
        let log = home.join("logs").join(format!("{name}.log"));
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let child = command(args)?
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Self { name, child, log })
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(super) async fn wait(&mut self) -> ExitStatus {
        // One that cannot be waited for is as good as ended.
        self.child.wait().await.unwrap_or_default()
    }

    /// Ends it without a word, as a power switch would.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("{} could not be killed", self.name))
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let id = id.with_context(|| format!("{} has ended", self.name))?;
        Ok(rustix::process::kill_process(id, signal)?)
    }

    /// Asks it to end, and makes it end if it does not.
    pub(super) async fn stop(&mut self) {
        if self.signal(Signal::INT).is_ok() && timeout(STOP_WITHIN, self.child.wait()).await.is_ok()
        {
            return;
        }
        let _ = self.child.kill().await;
    }

    /// The last lines of its log, for whoever must find out why.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// Runs a child to its end; gives what it wrote to standard output.
pub(super) async fn run(
    what: &str,
    args: impl IntoIterator<Item = OsString>,
) -> anyhow::Result<(bool, String)> {
    let run = command(args)?
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .output();
    let output = timeout(RUN_WITHIN, run)
        .await
        .with_context(|| format!("{what} hangs"))??;
    let mut text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        text.push_str(String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok((output.status.success(), text))
}

fn command(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Command> {
    let executable = std::env::current_exe().context("this executable cannot be found")?;
    let mut command = Command::new(executable);
    command
        .arg("--parent")
        .arg(std::process::id().to_string())
        .args(args)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null());
    Ok(command)
}

/// Longer than any child's own drain.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// `init` makes three keys; the others read a file.
const RUN_WITHIN: Duration = Duration::from_secs(30);

/// Enough for an error and what led to it.
const LAST_LINES: usize = 12;
