//! More peers than there is room for: those beyond hear so at once, and cheaply.

use std::{io::ErrorKind, time::Duration};

use provost_certs::{Alpn, ClientStream};
use provost_protocol::{
    Code, codec,
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    wire::ServerMessage,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{WITHIN, figure, open};
use crate::{
    bad_frames::hello,
    world::{Kernel, Start, until},
};

/// Whether a connection was reset: `None` while it stands.
async fn reset(stream: &mut TcpStream) -> Option<bool> {
    let read = timeout(Duration::from_millis(1), stream.read_u8())
        .await
        .ok()?;
    Some(read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset))
}

#[tokio::test]
async fn a_flood_from_one_address_is_reset_and_leaves_room_for_all_others() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.enroll(&tenant, "on_prem").await;
    let (mut flood, mut resets) = (Vec::new(), 0);
    for _ in 0..FLOOD {
        match TcpStream::connect(kernel.port()).await {
            Ok(stream) => flood.push(stream),
            // Reset before it had looked.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                resets += 1;
            }
        }
    }
    // Nobody has waited for his turn, or for anything: each is let in or reset at once.
    let refused = until("those beyond are reset", async || {
        let refused = figure(&kernel, REFUSED, "share").await;
        (refused >= (FLOOD - SHARE) as f64).then_some(refused)
    });
    assert_eq!(refused.await, (FLOOD - SHARE) as f64);
    for stream in &mut flood {
        resets += usize::from(reset(stream).await == Some(true));
    }
    assert_eq!(resets, FLOOD - SHARE);

    // Another address, the same moment.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let tcp = socket.connect(kernel.port()).await.unwrap();
    let tls = runtime.tls(&kernel, Alpn::Provost1);
    tls.connect_through(tcp, &kernel.port().to_string(), WITHIN)
        .await
        .unwrap();

    // The flood is over within a handshake's deadline, whatever it does.
    until("its own address is let in again", async || {
        let tls = runtime.tls(&kernel, Alpn::Provost1);
        tls.connect(&kernel.port().to_string(), WITHIN).await.ok()
    })
    .await;
    drop(flood);
}

#[tokio::test]
async fn beyond_the_number_of_connections_everybody_is_told_when_to_come_again() {
    let kernel = Kernel::start_as(Start {
        limits: "connections_max = 2\n".to_owned(),
        ..Start::default()
    })
    .await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    // Its client keeps a connection: that is one.
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let second = until("a second one", async || {
        let mut stream = open(&kernel, &runtime, Alpn::Provost1).await;
        let welcomed = matches!(said(&mut stream).await, ServerMessage::Welcome(_));
        welcomed.then_some(stream)
    });
    let second = second.await;

    let mut third = open(&kernel, &runtime, Alpn::Provost1).await;
    let ServerMessage::Refused(problem) = said(&mut third).await else {
        panic!("a third one was let in");
    };
    assert_eq!(problem.code, Code::Overloaded);
    assert!((1_000..=61_000).contains(&problem.retry_after_ms.unwrap()));
    let again = runtime.with_certificate(&kernel, &runtime.key_pem, &runtime.certificate_pem);
    let told = again.check(&kernel, "reports").await;
    told.must_refuse(503, "overloaded");
    assert!(figure(&kernel, REFUSED, "full").await >= 2.0);
    // Who is connected is served as before.
    runtime.check(&kernel, "reports").await.must(200);
    drop(second);
    let ask = again.checking("reports", json!({}));
    until("there is room again", async || {
        // The connection of the refusal may be closing at this very moment.
        let answer = again.try_send(&kernel, &ask).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// Says Hello and gives the kernel's first word.
async fn said(stream: &mut ClientStream) -> ServerMessage {
    let frame = codec::encode_frame(&hello()).unwrap();
    drop(stream.write_all(&frame).await);
    drop(stream.flush().await);
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    loop {
        if let Some(body) = decoder.next_frame().unwrap() {
            return codec::decode(&body).unwrap();
        }
        let read = timeout(WITHIN, stream.read_buf(decoder.buffer_mut())).await;
        assert!(read.unwrap().unwrap() > 0, "the kernel said nothing");
    }
}

/// Connections that say nothing.
const FLOOD: usize = 400;

/// The kernel's own number: what one address may hold of the queue.
const SHARE: usize = 256;

const REFUSED: &str = "provost_connections_refused_total";
