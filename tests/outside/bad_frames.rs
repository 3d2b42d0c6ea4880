//! Bytes that are no frames, and frames that are no messages.

use std::time::Duration;

use provost_certs::Alpn;
use provost_protocol::{
    RuntimeId, TenantId, Timestamp, codec,
    entity::{DeploymentMode, RuntimeType},
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    wire::{ClientMessage, Hello, ServerMessage},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::world::{Kernel, Runtime};

pub(crate) fn hello() -> ClientMessage {
    ClientMessage::Hello(Hello {
        versions: vec!["v0.2".to_owned()],
        runtime_type: RuntimeType::App,
        deployment_mode: DeploymentMode::OnPrem,
        version: "1.0.0".to_owned(),
        capabilities: Vec::new(),
        nonce: [7; 16],
        last_generation: 0,
        held: Vec::new(),
        have_size: 0,
        clock: Timestamp::EPOCH,
    })
}

/// Sends bytes over frames; gives what was answered until the kernel closed.
async fn say(kernel: &Kernel, runtime: &Runtime, bytes: &[u8]) -> Vec<ServerMessage> {
    let tls = runtime.tls(kernel, Alpn::Provost1);
    let mut stream = tls
        .connect(&kernel.port().to_string(), WITHIN)
        .await
        .unwrap();
    // The kernel may close before all of it is written.
    drop(stream.write_all(bytes).await);
    drop(stream.flush().await);
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    let (mut said, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let read = timeout(WITHIN, stream.read(&mut buffer))
            .await
            .expect("the kernel closes");
        match read {
            Ok(0) | Err(_) => return said,
            Ok(count) => decoder.push(&buffer[..count]),
        }
        while let Some(body) = decoder.next_frame().unwrap() {
            said.push(codec::decode(&body).unwrap());
        }
    }
}

#[tokio::test]
async fn frames_that_are_none_are_refused_and_the_connection_closed() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let good = codec::encode_frame(&hello()).unwrap();
    let mut trailing = good.clone();
    trailing.push(0);
    let length = u32::try_from(trailing.len() - 4).unwrap();
    trailing[..4].copy_from_slice(&length.to_le_bytes());
    let mut version = good.clone();
    version[4] = 0xee;
    let large = [
        &(64 * 1024 + 2_u32).to_le_bytes()[..],
        &vec![0; 64 * 1024 + 2],
    ]
    .concat();
    let goodbye = ClientMessage::Goodbye(provost_protocol::wire::Goodbye {
        reason: "none".to_owned(),
        retry_after_ms: 0,
    });

    for (what, bytes) in [
        ("too large", large),
        ("the largest there is", vec![0xff; 64]),
        ("trailing bytes", trailing),
        ("a format to come", version),
        ("an empty frame", vec![0; 4]),
        ("no message", vec![3, 0, 0, 0, 1, 0xff, 0xff]),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("no Hello first", codec::encode_frame(&goodbye).unwrap()),
    ] {
        let said = say(&kernel, &runtime, &bytes).await;
        let welcomed = said
            .iter()
            .any(|message| matches!(message, ServerMessage::Welcome(_)));
        assert!(!welcomed, "{what}: {said:?}");
        if what != "no Hello first" {
            assert!(
                matches!(said[..], [ServerMessage::Refused(_)]),
                "{what}: {said:?}"
            );
        }
    }
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    runtime.check(&kernel, "reports").await.must(200);
    let known: (TenantId, RuntimeId) = (tenant.parse().unwrap(), runtime.id.parse().unwrap());
    assert!(!kernel.log().contains("panicked"), "{known:?}");
}

#[tokio::test]
async fn garbage_on_the_port_hurts_nobody() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0; 4096],
        &[0x16, 3, 1, 0xff, 0xff],
        &[0xff; 70_000],
    ] {
        let mut stream = TcpStream::connect(kernel.port()).await.unwrap();
        drop(stream.write_all(garbage).await);
        drop(stream.shutdown().await);
        let mut rest = Vec::new();
        let closed = timeout(WITHIN, stream.read_to_end(&mut rest)).await;
        closed.expect("the kernel closes").ok();
        assert!(rest.len() < 64, "{rest:?}");
    }
    runtime.beat(&kernel).await.must(200);
}

/// Longer than the kernel waits for a first word.
const WITHIN: Duration = Duration::from_secs(30);
