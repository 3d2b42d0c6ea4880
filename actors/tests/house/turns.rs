//! How a session takes in what comes fast, and what it costs the stream.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use provost_actors::session::{SessionSettings, serve};
use provost_protocol::{
    codec,
    entity::{DeploymentMode, Limit},
    frame::FrameDecoder,
    wire::{ClientMessage, ServerMessage},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::watch,
    task::spawn_local,
};

use super::{
    session::{Client, beat, hello, request},
    world::*,
};

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_are_answered_in_one_write() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let (mut near, far) = tokio::io::duplex(256 * 1024);
        let writes = Rc::new(Cell::new(0));
        let counted = Counted {
            stream: far,
            writes: Rc::clone(&writes),
        };
        let (_draining, drained) = watch::channel(false);
        let settings = SessionSettings {
            gateway: world.gateway.clone(),
            identity: peer.identity.clone(),
            address: peer.address,
            draining: drained,
        };
        let served = spawn_local(serve(counted, settings));
        let mut decoder = FrameDecoder::new(1024 * 1024);
        let hello = ClientMessage::Hello(hello(&["v0.2"]));
        near.write_all(&codec::encode_frame(&hello).unwrap())
            .await
            .unwrap();
        receive(&mut near, &mut decoder).await;
        let welcomed = writes.get();
        let mut together = Vec::new();
        for id in 1..=32 {
            let asked = request(id, tenant, check("seats", None, None));
            codec::encode_frame_into(&mut together, &ClientMessage::Request(asked)).unwrap();
        }
        near.write_all(&together).await.unwrap();
        for id in 1..=32 {
            match receive(&mut near, &mut decoder).await {
                ServerMessage::Answer(answer) => assert_eq!(answer.id, id),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(writes.get() - welcomed, 1);
        served.abort();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_never_without_a_request_still_hears_that_the_kernel_stops() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut client = Client::connect(&world, &peer, 4 * 1024 * 1024);
        client.welcome().await;
        let mut flood = Vec::new();
        for id in 1..=2_000 {
            let asked = ClientMessage::Request(request(id, tenant, check("seats", None, None)));
            codec::encode_frame_into(&mut flood, &asked).unwrap();
        }
        client.stream.write_all(&flood).await.unwrap();
        client.draining.send_replace(true);
        let mut answered = 0;
        loop {
            match client.receive().await {
                Some(ServerMessage::Answer(_)) => answered += 1,
                Some(ServerMessage::Goodbye(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(answered <= 128, "{answered} came before the goodbye");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_beats_over_its_session_is_lost_a_grace_after_its_last_beat() {
    local(async {
        let (world, tenant, peer) = one_runtime().await;
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client.welcome().await;
        for id in 1..=30 {
            client.ask(id, tenant, beat()).await;
            client.answer().await;
            seconds(9).await;
        }
        let lost = "runtime.lost";
        assert_eq!(world.count(tenant, lost).await, 0);
        // Nine seconds are over; two of the longest intervals and ten seconds are borne.
        seconds(20).await;
        assert_eq!(world.count(tenant, lost).await, 0, "within its grace");
        seconds(6).await;
        assert_eq!(world.count(tenant, lost).await, 1);
        client.ask(31, tenant, beat()).await;
        client.answer().await;
        seconds(2).await;
        assert_eq!(world.count(tenant, "runtime.returned").await, 1);
    })
    .await;
}

async fn one_runtime() -> (World, provost_protocol::TenantId, provost_actors::Peer) {
    let world = World::new();
    let tenant = world.tenant(1, None).await;
    world
        .execute(tenant, grant("seats", Limit::Quota(10)))
        .await
        .unwrap();
    let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
    world.beat(&peer).await.unwrap();
    (world, tenant, peer)
}

async fn receive(stream: &mut DuplexStream, decoder: &mut FrameDecoder) -> ServerMessage {
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return codec::decode(&frame).unwrap();
        }
        let count = stream.read_buf(decoder.buffer_mut()).await.unwrap();
        assert_ne!(count, 0, "the session ended");
    }
}

/// Counts the writes to a stream.
struct Counted {
    stream: DuplexStream,
    writes: Rc<Cell<u32>>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.set(self.writes.get() + 1);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
