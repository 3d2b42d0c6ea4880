//! That an answer is given only for what is durable, seen by strace.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::{
    tool::{arg, curl},
    trace::durable_before_answer,
    world::{Kernel, until},
};

#[tokio::test]
async fn strace_sees_an_event_made_durable_before_its_answer_is_sent() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let file = kernel.folder().join("strace.txt");

    let mut strace = Strace::attach(&kernel, arg(&file)).await;
    let body = json!({"event": runtime.event(json!({"said": MARKER}))});
    let accepted = curl(&kernel, &runtime, "/kernel/audit/events", &body).must(202);
    strace.detach().await;

    let trace = fs::read_to_string(&file).unwrap();
    let port = accepted.local_port;
    assert_eq!(
        durable_before_answer(&trace, MARKER, port),
        Ok(()),
        "{trace}"
    );
    // The same trace without what the test is about must not pass.
    let without: String = trace
        .lines()
        .filter(|line| !line.contains("fdatasync"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let refused = durable_before_answer(&without, MARKER, port).unwrap_err();
    assert!(refused.starts_with("no fdatasync"), "{refused}");
}

/// A strace that looks at a kernel. It is killed when this value goes.
struct Strace(Child);

impl Strace {
    /// Begins to look; returns when every thread of the kernel is looked at.
    async fn attach(kernel: &Kernel, file: &str) -> Self {
        let id = kernel.pid().as_raw_nonzero().to_string();
        let child = Command::new("strace")
            .args([
                "-f",
                "-yy",
                "-s",
                STRING_BYTES_MAX,
                "-e",
                CALLS,
                "-o",
                file,
                "-p",
                &id,
            ])
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
    async fn detach(&mut self) {
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

/// Stands in the event and nowhere else.
const MARKER: &str = "an event that strace shall see";

/// A group of one small event is far shorter.
const STRING_BYTES_MAX: &str = "65536";

/// All by which the kernel can write to a file or a socket, and what makes a file durable.
const CALLS: &str = "trace=write,pwrite64,writev,sendto,sendmsg,fdatasync";
