//! A connector that may go out through a proxy only: named by the environment, as everywhere.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::world::{Kernel, Start, until};

/// A proxy of our own; it leads every tunnel to the kernel, and keeps what was asked of it.
async fn proxy(kernel: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keeping = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(lead(client, kernel, Arc::clone(&keeping)));
        }
    });
    (address, asked)
}

async fn lead(mut client: TcpStream, kernel: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    asked.lock().unwrap().push(head);
    let mut kernel = TcpStream::connect(kernel).await.unwrap();
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await
        .unwrap();
    // However it ends, it has ended.
    drop(tokio::io::copy_bidirectional(&mut client, &mut kernel).await);
}

/// A process that is killed with its value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever has ended already cannot be killed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_connector_behind_a_proxy_enrolls_and_connects_to_a_name_only_the_proxy_knows() {
    let kernel = Kernel::start_as(Start {
        advertise: Some("kernel.invalid:7443".to_owned()),
        ..Start::default()
    })
    .await;
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let (proxy, asked) = proxy(kernel.port()).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("connector");
    let through = |command: &mut Command| {
        for name in ["https_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command.env("HTTPS_PROXY", format!("http://ada:s3cret@{proxy}"));
    };
    let mut enroll = tokio::process::Command::new(env!("CARGO_BIN_EXE_provost"));
    enroll
        .args(["connector", "enroll", &token, "--data"])
        .arg(&data);
    through(enroll.as_std_mut());
    let enrolled = enroll.stdin(Stdio::null()).output().await.unwrap();
    assert!(enrolled.status.success(), "{enrolled:?}");

    // Free when it was looked for; the connector's first choice would collide between tests.
    let local = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let log = folder.path().join("log");
    let mut run = Command::new(env!("CARGO_BIN_EXE_provost"));
    run.args(["connector", "run", "--listen", &local.to_string(), "--data"])
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap());
    through(&mut run);
    let running = Process(run.spawn().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    until("the link is up", async || {
        let asked = client.get(format!("http://{local}/status")).send().await;
        let status: Value = asked.ok()?.json().await.ok()?;
        (status["link"]["state"] == json!("up")).then_some(())
    })
    .await;
    drop(running);

    let asked = asked.lock().unwrap();
    assert!(asked.len() >= 2, "{asked:?}");
    for head in &*asked {
        assert!(
            head.starts_with("CONNECT kernel.invalid:7443 HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(
            head.contains("Proxy-Authorization: Basic YWRhOnMzY3JldA=="),
            "{head}"
        );
    }
    let log = std::fs::read_to_string(&log).unwrap();
    let shown = [&enrolled.stdout[..], &enrolled.stderr[..]].concat();
    let shown = String::from_utf8_lossy(&shown) + &*log;
    assert!(
        !shown.contains("s3cret") && !shown.contains("YWRhOnMzY3JldA"),
        "{shown}"
    );
}
