//! That an answer is given only for what is durable, seen by strace.

use std::fs;

use serde_json::json;

use crate::{
    strace::Strace,
    tool::{arg, curl},
    trace::durable_before_answer,
    world::Kernel,
};

#[tokio::test]
async fn strace_sees_an_event_made_durable_before_its_answer_is_sent() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let file = kernel.folder().join("strace.txt");

    let how = ["-yy", "-s", STRING_BYTES_MAX, "-e", CALLS, "-o", arg(&file)];
    let mut strace = Strace::attach(&kernel, &how).await;
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

/// Stands in the event and nowhere else.
const MARKER: &str = "an event that strace shall see";

/// A group of one small event is far shorter.
const STRING_BYTES_MAX: &str = "65536";

/// All by which the kernel can write to a file or a socket, and what makes a file durable.
const CALLS: &str = "trace=write,pwrite64,writev,sendto,sendmsg,fdatasync";
