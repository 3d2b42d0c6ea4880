//! This program as another process that is told what to do, one line of JSON at a time.
//!
//! Servers and clients of a measurement are processes of their own, so that neither borrows the
//! other's memory, threads or file descriptors. A worker's argument is its first line; it ends
//! when its standard input does.

use std::{process::Stdio, time::Duration};

use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Such a process. It dies with this value.
#[derive(Debug)]
pub(crate) struct Worker {
    role: &'static str,
    child: Child,
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts one in a hidden role of this program.
    pub(crate) async fn start(role: &'static str, first: &impl Serialize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{role} could not be started"))?;
        let orders = child.stdin.take().context("no standard input")?;
        let words = child.stdout.take().context("no standard output")?;
        let mut worker = Self {
            role,
            child,
            orders,
            words: BufReader::new(words).lines(),
        };
        worker.tell(first).await?;
        Ok(worker)
    }

    /// Gives an order.
    pub(crate) async fn tell(&mut self, order: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders
            .write_all(&line)
            .await
            .with_context(|| format!("{} takes no orders", self.role))
    }

    /// Waits for its next word.
    pub(crate) async fn hear<T: DeserializeOwned>(
        &mut self,
        within: Duration,
    ) -> anyhow::Result<T> {
        let line = timeout(within, self.words.next_line())
            .await
            .with_context(|| format!("{} is silent", self.role))??
            .with_context(|| format!("{} ended early", self.role))?;
        serde_json::from_str(&line).with_context(|| format!("{} said {line}", self.role))
    }

    /// Gives an order and waits for what comes of it.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        order: &impl Serialize,
        within: Duration,
    ) -> anyhow::Result<T> {
        self.tell(order).await?;
        self.hear(within).await
    }

    /// Its number, for [`crate::process`].
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child
            .id()
            .with_context(|| format!("{} is no more", self.role))
    }

    /// Lets it end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.orders);
        let status = timeout(STOP_WITHIN, self.child.wait())
            .await
            .with_context(|| format!("{} does not end", self.role))??;
        anyhow::ensure!(status.success(), "{} ended with {status}", self.role);
        Ok(())
    }
}

/// The worker's side: its orders, read on a thread that may block.
#[derive(Debug)]
pub(crate) struct Orders(std::io::Lines<std::io::StdinLock<'static>>);

impl Orders {
    pub(crate) fn open() -> Self {
        Self(std::io::stdin().lines())
    }

    /// The next order; `None` when it is to end.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<T>> {
        let Some(line) = self.0.next().transpose()? else {
            return Ok(None);
        };
        Ok(Some(serde_json::from_str(&line)?))
    }
}

/// Says a word to whoever gave the order.
pub(crate) fn answer(word: &impl Serialize) -> anyhow::Result<()> {
    crate::say(&serde_json::to_string(word)?);
    Ok(())
}

/// A worker with ten thousand connections closes them one by one.
const STOP_WITHIN: Duration = Duration::from_secs(30);
