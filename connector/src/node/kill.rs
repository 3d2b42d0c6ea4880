//! Obeys a kill: every check is denied from the moment the state is kept; here the configured hook
//! runs, and then the kill is confirmed.
//!
//! What survives a crash: that the hook has run stands beside the desired state. Who dies between
//! the two runs it again, not never: a hook must bear that.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::{Node, blocking, disk};
use crate::{core::Me, event::KILLED};

/// What became of the hook, for the tenant's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Report {
    revision: u64,
    /// `none`, `done`, `failed` or `timed_out`.
    hook: &'static str,
    exit_code: Option<i32>,
}

/// Runs until it is stopped.
pub(crate) async fn obey_kills(node: Arc<Node>, hook: Vec<String>) {
    // What ran in this process does not run again because the disk was full.
    let mut ran = None;
    loop {
        let own = node.core.me.tenant;
        let Some(kill) = node.core.tenants.kill_to_obey(own) else {
            node.core.kill.notified().await;
            continue;
        };
        if ran != Some(kill.number) {
            obey(&node, &hook, kill.revision).await;
            ran = Some(kill.number);
        }
        let core = Arc::clone(&node.core);
        match blocking(move || core.tenants.obeyed(own, kill)).await {
            Ok(Ok(())) => node.core.confirm.notify_one(),
            Ok(Err(failure)) => {
                disk(&failure);
                sleep(AGAIN_AFTER).await;
            }
            Err(_) => sleep(AGAIN_AFTER).await,
        }
    }
}

async fn obey(node: &Node, hook: &[String], revision: u64) {
    warn!(
        revision,
        "KILLED: every check is denied until the kernel resumes"
    );
    let (said, exit_code) = match run(hook, &node.core.me, revision).await {
        None => ("none", None),
        Some(Ok(Some(status))) if status.success() => ("done", status.code()),
        Some(Ok(Some(status))) => {
            error!(%status, "the kill hook failed");
            ("failed", status.code())
        }
        Some(Ok(None)) => {
            error!(after = ?HOOK_MAX, "the kill hook was ended: it took too long");
            ("timed_out", None)
        }
        Some(Err(failure)) => {
            error!(%failure, "the kill hook could not be run");
            ("failed", None)
        }
    };
    let report = Report {
        revision,
        hook: said,
        exit_code,
    };
    let (own, correlation) = (node.core.me.tenant, node.correlation());
    if let Err(problem) = node.report(KILLED, own, correlation, &report).await {
        warn!(code = %problem.code, "the kill is obeyed and not reported");
    }
}

/// Runs the hook if there is one; `None` in place of a status where its time was over.
async fn run(hook: &[String], me: &Me, revision: u64) -> Option<io::Result<Option<ExitStatus>>> {
    let (program, arguments) = hook.split_first()?;
    info!(program, "the kill hook runs");
    let child = Command::new(program)
        .args(arguments)
        .env("PROVOST_TENANT_ID", me.tenant.to_string())
        .env("PROVOST_RUNTIME_ID", me.runtime.to_string())
        .env("PROVOST_REVISION", revision.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(failure) => return Some(Err(failure)),
    };
    let output = Arc::new(Mutex::new(Vec::new()));
    let mut readers = listen(&mut child, &output);
    let status = match timeout(HOOK_MAX, child.wait()).await {
        Ok(status) => status.map(Some),
        Err(_) => child.kill().await.map(|()| None),
    };
    // Whoever it left behind may hold its output open for ever.
    let whole = async { while readers.join_next().await.is_some() {} };
    if timeout(OUTPUT_WITHIN, whole).await.is_err() {
        readers.shutdown().await;
    }
    let said = output.lock().unwrap_or_else(PoisonError::into_inner);
    if !said.is_empty() {
        info!(output = %String::from_utf8_lossy(&said), "the kill hook said");
    }
    Some(status)
}

fn listen(child: &mut Child, output: &Arc<Mutex<Vec<u8>>>) -> JoinSet<()> {
    let mut readers = JoinSet::new();
    if let Some(stdout) = child.stdout.take() {
        readers.spawn(drain(stdout, Arc::clone(output)));
    }
    if let Some(stderr) = child.stderr.take() {
        readers.spawn(drain(stderr, Arc::clone(output)));
    }
    readers
}

/// Reads to the end, so that nobody blocks on a full pipe, and keeps the beginning.
async fn drain(mut from: impl AsyncRead + Unpin, output: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1_024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mut kept = output.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
    }
}

/// A service manager stops a product within less; the kernel shows the kill as unconfirmed for as
/// long.
const HOOK_MAX: Duration = Duration::from_secs(30);

/// What was written before the hook ended is in the pipe already.
const OUTPUT_WITHIN: Duration = Duration::from_secs(1);

/// A screenful of what went wrong.
const OUTPUT_BYTES_MAX: usize = 8 * 1_024;

/// A full disk is freed by a person.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{me, tenant};

    async fn ran(words: &[&str]) -> Option<io::Result<Option<ExitStatus>>> {
        let hook: Vec<String> = words.iter().map(ToString::to_string).collect();
        run(&hook, &me(), 7).await
    }

    #[tokio::test]
    async fn a_hook_knows_whom_it_is_for_and_its_end_is_told() {
        assert!(ran(&[]).await.is_none());
        let script = format!(
            "test $PROVOST_TENANT_ID = {} && test $PROVOST_REVISION = 7",
            tenant()
        );
        let done = ran(&["/bin/sh", "-c", &script]).await.unwrap().unwrap();
        assert_eq!(done.unwrap().code(), Some(0));
        let failed = ran(&["/bin/sh", "-c", "exit 3"]).await.unwrap().unwrap();
        assert_eq!(failed.unwrap().code(), Some(3));
        assert!(ran(&["/nowhere/at-all"]).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_hook_that_talks_without_end_is_listened_to_and_not_waited_for() {
        let script = "head -c 1000000 /dev/zero; sleep 100 & exit 0";
        let done = ran(&["/bin/sh", "-c", script]).await.unwrap().unwrap();
        assert_eq!(done.unwrap().code(), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_that_takes_too_long_is_ended() {
        let ended = ran(&["/bin/sleep", "1000"]).await.unwrap().unwrap();
        assert_eq!(ended, None);
    }
}
