//! A runtime of the fleet under which the authority is exchanged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use provost_certs::{Alpn, ClientStream, RuntimeTls, TlsKey, TlsPair, TrustBundle};
use provost_protocol::{
    CorrelationId, TenantId, Timestamp, codec,
    entity::Health,
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    metrics::Metrics,
    wire::{
        Answer, ClientMessage, DesiredState, Goodbye, Heartbeat, Operation, Outcome, Request,
        ServerMessage, Trusts,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
    time::timeout,
};

use super::WITHIN;
use crate::{bad_frames::hello, world::Runtime};

/// What a whole fleet has done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) handshakes: AtomicU64,
    pub(super) beats: AtomicU64,
    pub(super) slowest_handshake_ms: AtomicU64,
    /// From one answered beat of a member to its next, over all sessions.
    pub(super) longest_gap_ms: AtomicU64,
}

/// How a member lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    pub(super) beat: Duration,
    pub(super) beats_a_session: u32,
}

/// One runtime of the fleet: connects, beats, hears which roots to trust, connects again.
pub(super) struct Member {
    pub(super) runtime: Runtime,
    pub(super) addr: String,
    pub(super) trust: TrustBundle,
    pub(super) done: Arc<Done>,
    pub(super) rhythm: Rhythm,
    /// Becomes true when half of the certificates' life is over.
    pub(super) due: watch::Receiver<bool>,
}

/// One connection of a member.
struct Line {
    stream: ClientStream,
    decoder: FrameDecoder,
    tenant: TenantId,
    asked: u64,
}

impl Member {
    /// Lives until it is told to stop; whatever goes wrong ends the test.
    pub(super) async fn live(mut self, stop: watch::Receiver<bool>) {
        let mut beaten: Option<Instant> = None;
        while !*stop.borrow() {
            let began = Instant::now();
            let mut line = self.connect().await;
            raise(&self.done.slowest_handshake_ms, began);
            let mut pace = tokio::time::interval(self.rhythm.beat);
            for _ in 0..self.rhythm.beats_a_session {
                pace.tick().await;
                let desired = line.beat().await;
                self.done.beats.fetch_add(1, Ordering::Relaxed);
                if let Some(before) = beaten.replace(Instant::now()) {
                    raise(&self.done.longest_gap_ms, before);
                }
                self.believe(&mut line, &desired.trust_bundle).await;
            }
            if self.due.has_changed().unwrap() {
                self.renew(&mut line).await;
            }
            let goodbye = Goodbye {
                reason: "again".to_owned(),
                retry_after_ms: 0,
            };
            line.say(&ClientMessage::Goodbye(goodbye)).await;
        }
    }

    async fn connect(&self) -> Line {
        let key = TlsKey::from_pem(&self.runtime.key_pem).unwrap();
        let pair = TlsPair::new(key, self.runtime.certificate_pem.clone()).unwrap();
        let install = self.runtime.install.parse().unwrap();
        let tls = RuntimeTls::new(&self.trust, install, &pair, Alpn::Provost1).unwrap();
        let stream = tls.connect(&self.addr, WITHIN).await;
        let mut line = Line {
            stream: stream.unwrap_or_else(|error| panic!("a handshake failed: {error:?}")),
            decoder: FrameDecoder::new(FRAME_BYTES_MAX),
            tenant: self.runtime.tenant.parse().unwrap(),
            asked: 0,
        };
        line.say(&hello()).await;
        let first = line.hear().await;
        assert!(matches!(first, ServerMessage::Welcome(_)), "{first:?}");
        self.done.handshakes.fetch_add(1, Ordering::Relaxed);
        line
    }

    /// With another key; the next session shows it.
    async fn renew(&mut self, line: &mut Line) {
        self.due.mark_unchanged();
        let key = TlsKey::generate().unwrap();
        let csr = key.request_der().unwrap();
        match line.ask(Operation::Renew { csr }).await {
            Outcome::Renewed(renewed) => {
                self.runtime.key_pem = key.to_pem().expose().to_owned();
                self.runtime.certificate_pem = renewed.certificate;
            }
            other => panic!("no certificate: {other:?}"),
        }
    }

    /// As the contract says: another name is asked about, kept, and confirmed.
    async fn believe(&mut self, line: &mut Line, named: &str) {
        if self.trust.id() == named {
            return;
        }
        let Outcome::TrustBundle(bundle) = line.ask(Operation::TrustBundle).await else {
            panic!("no bundle");
        };
        let next = TrustBundle::from_roots(&bundle.roots).unwrap();
        assert_eq!(next.id(), bundle.id);
        assert!(next.shares_a_root_with(&self.trust));
        self.trust = next;
        let bundle = bundle.id;
        line.say(&ClientMessage::Trusts(Trusts { bundle })).await;
    }
}

impl Line {
    async fn say(&mut self, message: &ClientMessage) {
        let frame = codec::encode_frame(message).unwrap();
        self.stream.write_all(&frame).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn hear(&mut self) -> ServerMessage {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            if let Some(body) = self.decoder.next_frame().unwrap() {
                return codec::decode(&body).unwrap();
            }
            let read = timeout(WITHIN, self.stream.read(&mut buffer)).await;
            let count = read.expect("the kernel answers in time").unwrap();
            assert!(count > 0, "the kernel closed the connection");
            self.decoder.push(&buffer[..count]);
        }
    }

    async fn ask(&mut self, operation: Operation) -> Outcome {
        self.asked += 1;
        let request = Request {
            id: self.asked,
            correlation_id: CorrelationId::from_parts(Timestamp::EPOCH, [1; 10]),
            tenant: self.tenant,
            operation,
        };
        self.say(&ClientMessage::Request(request)).await;
        loop {
            match self.hear().await {
                ServerMessage::Answer(Answer { id, outcome }) => {
                    assert_eq!(id, self.asked);
                    return outcome;
                }
                ServerMessage::Directive(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn beat(&mut self) -> DesiredState {
        let beat = Heartbeat {
            health: Health::Healthy,
            metrics: Metrics::default(),
        };
        match self.ask(Operation::Heartbeat(beat)).await {
            Outcome::Beat(beat) => beat.desired,
            other => panic!("a heartbeat was missed: {other:?}"),
        }
    }
}

fn raise(highest: &AtomicU64, since: Instant) {
    let took = u64::try_from(since.elapsed().as_millis()).unwrap();
    highest.fetch_max(took, Ordering::Relaxed);
}
