//! strace, attached to a kernel that runs.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal};

use crate::world::{Kernel, until};

/// A strace that looks at a kernel. It is killed when this value goes.
pub(crate) struct Strace(Child);

impl Strace {
    /// Begins to look, in the way that these arguments say; returns when every thread of the kernel
    /// is looked at.
    pub(crate) async fn attach(kernel: &Kernel, how: &[&str]) -> Self {
        let id = kernel.pid().as_raw_nonzero().to_string();
        let child = Command::new("strace")
            .arg("-f")
            .args(how)
            .args(["-p", &id])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut strace = Self(child);
        until("every thread is traced", async || {
            let ended = strace.0.try_wait().unwrap();
            assert!(ended.is_none(), "strace ended: {ended:?}");
            let threads = fs::read_dir(format!("/proc/{id}/task")).unwrap();
            let mut states = threads
                .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok());
            states
                .all(|state| !state.contains("TracerPid:\t0\n"))
                .then_some(())
        })
        .await;
        strace
    }

    /// Asks it to let go, and waits until its file is whole.
    pub(crate) async fn detach(&mut self) {
        let id = i32::try_from(self.0.id()).unwrap();
        rustix::process::kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
        until("strace ends", async || self.0.try_wait().unwrap()).await;
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // Whoever has ended already cannot be killed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
