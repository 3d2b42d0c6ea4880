//! The threads on which runtimes are let in: as many as there are cores.
//!
//! A handshake is half a millisecond of arithmetic. A fleet that comes back at once is ten thousand
//! of them: one thread alone would be the limit, and on the arbiters they would stand between a
//! tenant and its answers. So they have threads of their own, and the system shares out the cores.

use std::{io, num::NonZeroUsize};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

/// The threads. What still runs on them ends with this.
#[derive(Debug)]
pub(super) struct Entrance {
    here: Handle,
    threads: Option<Runtime>,
}

impl Entrance {
    /// Starts so many threads.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(super) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let threads = Builder::new_multi_thread()
            .worker_threads(count.get())
            .thread_name("entrance")
            .enable_all()
            .build()?;
        Ok(Self {
            here: threads.handle().clone(),
            threads: Some(threads),
        })
    }

    /// Moves a listener here.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn adopt(&self, listener: TcpListener) -> io::Result<TcpListener> {
        let listener = listener.into_std()?;
        let _here = self.here.enter();
        TcpListener::from_std(listener)
    }

    /// Begins a task here.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.here.spawn(task)
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        // Dropped as it is, a runtime would wait for its threads, and no task may do that.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}
