//! One TLS connection that carries frames, from the runtime's side.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use provost_certs::{ClientStream, RuntimeTls};
use provost_protocol::{
    ContractVersion, CorrelationId, TenantId, codec,
    entity::{DeploymentMode, Health, RuntimeType},
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    wire::{
        Answer, Beat, ClientMessage, Heartbeat, Hello, Operation, Outcome, Request, ServerMessage,
        Welcome,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::timeout,
};

use crate::{now, world::SOFTWARE};

/// The connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: ClientStream,
    frames: FrameDecoder,
}

impl Wire {
    /// Dials, and shakes hands.
    pub(crate) async fn dial(tls: &RuntimeTls, addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = tls.connect(&addr.to_string(), CONNECT_WITHIN).await?;
        Ok(Self {
            stream,
            frames: FrameDecoder::new(FRAME_BYTES_MAX),
        })
    }

    /// The same from an address of this machine.
    pub(crate) async fn dial_from(
        from: Ipv4Addr,
        tls: &RuntimeTls,
        addr: SocketAddr,
    ) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let line = timeout(CONNECT_WITHIN, socket.connect(addr)).await??;
        let stream = tls
            .connect_through(line, &addr.to_string(), CONNECT_WITHIN)
            .await?;
        Ok(Self {
            stream,
            frames: FrameDecoder::new(FRAME_BYTES_MAX),
        })
    }

    /// Says Hello to a kernel and takes in its Welcome.
    pub(crate) async fn welcome(&mut self, last_generation: u64) -> anyhow::Result<Welcome> {
        let versions = ContractVersion::SPOKEN.iter().map(ToString::to_string);
        let hello = ClientMessage::Hello(Hello {
            versions: versions.collect(),
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::Dedicated,
            version: SOFTWARE.to_owned(),
            capabilities: Vec::new(),
            nonce: rand::random(),
            last_generation,
            held: Vec::new(),
            have_size: 0,
            clock: now(),
        });
        self.write(&codec::encode_frame(&hello)?).await?;
        match self.message().await? {
            ServerMessage::Welcome(welcome) => Ok(welcome),
            other => anyhow::bail!("no welcome: {other:?}"),
        }
    }

    /// Beats once, and waits for the answer.
    pub(crate) async fn beat(&mut self, tenant: TenantId) -> anyhow::Result<Beat> {
        let beat = beat_request(BEAT_ID, tenant);
        self.write(&codec::encode_frame(&beat)?).await?;
        loop {
            match self.message().await? {
                ServerMessage::Answer(Answer {
                    id: BEAT_ID,
                    outcome: Outcome::Beat(beat),
                }) => return Ok(beat),
                ServerMessage::Directive(_) => {}
                other => anyhow::bail!("no beat: {other:?}"),
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(ANSWER_WITHIN, written)
            .await
            .context("the server takes nothing")?
            .context("the connection broke")
    }

    /// A frame that is there already.
    pub(crate) fn held(&mut self) -> anyhow::Result<Option<Bytes>> {
        Ok(self.frames.next_frame()?)
    }

    /// Waits until more bytes are there. May be dropped at every await.
    pub(crate) async fn more(&mut self) -> anyhow::Result<()> {
        let inbox = self.frames.buffer_mut();
        inbox.reserve(READ_BYTES);
        let read = self.stream.read_buf(inbox).await;
        anyhow::ensure!(
            read.context("the connection broke")? > 0,
            "the server closed the connection"
        );
        Ok(())
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> anyhow::Result<Bytes> {
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            if let Some(frame) = self.held()? {
                return Ok(frame);
            }
            timeout(until - Instant::now(), self.more())
                .await
                .context("no answer")??;
        }
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> anyhow::Result<ServerMessage> {
        Ok(codec::decode(&self.frame().await?)?)
    }

    /// Reads one byte that is in no frame.
    pub(crate) async fn byte(&mut self) -> anyhow::Result<u8> {
        timeout(ANSWER_WITHIN, self.stream.read_u8())
            .await
            .context("no byte")?
            .context("the connection broke")
    }
}

/// A heartbeat as a connector sends it.
pub(crate) fn beat_request(id: u64, tenant: TenantId) -> ClientMessage {
    let metrics = [("load".to_owned(), 0.5), ("sessions".to_owned(), 12.0)];
    ClientMessage::Request(Request {
        id,
        correlation_id: CorrelationId::from_parts(now(), rand::random()),
        tenant,
        operation: Operation::Heartbeat(Heartbeat {
            health: Health::Healthy,
            metrics: BTreeMap::from(metrics).into(),
        }),
    })
}

/// Below every number of a question.
const BEAT_ID: u64 = 7;

/// As the kernel reads.
const READ_BYTES: usize = 4 * 1024;

/// A handshake behind ten thousand others on two cores.
const CONNECT_WITHIN: Duration = Duration::from_secs(60);

/// As a connector waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
