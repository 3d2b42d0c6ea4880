//! Accepting: a place first, then the connection, then TLS with a deadline, then its tenant's
//! arbiter.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use provost_actors::{
    Gateway, Spawner,
    session::{SessionSettings, serve as serve_session},
};
use provost_certs::{Accepted, Acceptor, Alpn, TlsStream, detach};
use provost_protocol::{Code, Problem, codec, sign::PeerIdentity, wire::ServerMessage};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{Remote, RuntimePort};
use crate::telemetry::names::{CONNECTIONS, HANDSHAKES_FAILED};

/// What the listener is made of.
#[derive(Debug)]
pub struct ListenerSettings {
    /// The socket.
    pub socket: TcpListener,
    /// Does the handshakes.
    pub acceptor: Acceptor,
    /// The calls.
    pub port: RuntimePort,
    /// Connections open at once.
    pub connections_max: usize,
    /// Becomes true when the kernel stops.
    pub draining: watch::Receiver<bool>,
}

/// The listener of the runtime port.
#[derive(Debug)]
pub struct Listener {
    settings: ListenerSettings,
    places: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

impl Listener {
    /// Prepares to accept.
    #[must_use]
    pub fn new(settings: ListenerSettings) -> Self {
        let places = Arc::new(Semaphore::new(settings.connections_max));
        Self {
            settings,
            places,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.settings.socket.local_addr()
    }

    /// Accepts until the kernel stops, then waits for what is open, at most `patience`.
    pub async fn run(self, patience: Duration) {
        let mut draining = self.settings.draining.clone();
        loop {
            let place = Arc::clone(&self.places).acquire_owned();
            let next = async {
                let place = place.await.ok()?;
                Some((place, self.settings.socket.accept().await))
            };
            let accepted = tokio::select! {
                biased;
                () = drained(&mut draining) => break,
                accepted = next => accepted,
            };
            match accepted {
                None => break,
                Some((place, Ok((stream, peer)))) => self.begin(Place::take(place), stream, peer),
                Some((_, Err(error))) => {
                    // Out of file descriptors, most likely: a pause, or this loop eats a core.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let all = u32::try_from(self.settings.connections_max).unwrap_or(u32::MAX);
        if timeout(patience, self.places.acquire_many(all))
            .await
            .is_err()
        {
            tracing::warn!("connections were still open when the drain ended");
        }
    }

    fn begin(&self, place: Place, stream: TcpStream, peer: SocketAddr) {
        let (acceptor, port) = (self.settings.acceptor.clone(), self.settings.port.clone());
        let draining = self.settings.draining.clone();
        let handshakes = Arc::clone(&self.handshakes);
        tokio::spawn(async move {
            let Ok(busy) = handshakes.try_acquire_owned() else {
                metrics::counter!(HANDSHAKES_FAILED, "why" => "crowded").increment(1);
                return;
            };
            let _ = stream.set_nodelay(true);
            let handshake = acceptor.accept(stream).await;
            drop(busy);
            match handshake {
                Ok(accepted) => hand_over(accepted, port, draining, place).await,
                Err(error) => {
                    metrics::counter!(HANDSHAKES_FAILED, "why" => error.kind()).increment(1);
                    tracing::debug!(peer.addr = %peer, %error, "a handshake failed");
                }
            }
        });
    }
}

/// A place among the open connections, counted while it is held.
struct Place(
    #[expect(dead_code, reason = "dropping it gives the place back")] OwnedSemaphorePermit,
);

impl Place {
    fn take(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Self(permit)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1.0);
    }
}

/// Moves an accepted stream to where it is served.
async fn hand_over(
    accepted: Accepted,
    port: RuntimePort,
    draining: watch::Receiver<bool>,
    place: Place,
) {
    let Accepted {
        stream,
        identity,
        alpn,
        peer_addr,
    } = accepted;
    let Some(identity) = identity else {
        return serve_stranger(stream, alpn, port, peer_addr, draining, place).await;
    };
    let spawner: Spawner = port.gateway.directory().spawner().clone();
    let arbiter = spawner.place(&identity.tenant);
    let detached = match detach(stream) {
        Ok(detached) => detached,
        Err(error) => return tracing::debug!(%error, "a stream could not be moved"),
    };
    let served = spawner.spawn_on(arbiter, move || async move {
        let _place = place;
        match detached.attach() {
            Err(error) => tracing::debug!(%error, "a stream could not be moved"),
            Ok(stream) => match alpn {
                Alpn::Provost1 => frames(stream, port.gateway, identity, peer_addr, draining).await,
                Alpn::H2 | Alpn::Http11 => {
                    let remote = Remote {
                        identity: Some(identity),
                        address: peer_addr,
                    };
                    http(stream, alpn, &port, remote, draining).await;
                }
            },
        }
    });
    if let Err(error) = served {
        tracing::warn!(%error, "a connection found no arbiter");
    }
}

async fn frames(
    stream: TlsStream,
    gateway: Gateway,
    identity: PeerIdentity,
    address: SocketAddr,
    draining: watch::Receiver<bool>,
) {
    use tracing::Instrument;
    let span = tracing::info_span!(
        "session", tenant.id = %identity.tenant, runtime.id = %identity.runtime, peer.addr = %address
    );
    let settings = SessionSettings {
        gateway,
        identity,
        address,
        draining,
    };
    let ending = serve_session(stream, settings).instrument(span).await;
    metrics::counter!(SESSIONS_ENDED, "why" => format!("{ending:?}")).increment(1);
}

/// Who shows no certificate reaches enrolment over HTTP, and nothing else.
async fn serve_stranger(
    mut stream: TlsStream,
    alpn: Alpn,
    port: RuntimePort,
    address: SocketAddr,
    draining: watch::Receiver<bool>,
    _place: Place,
) {
    if alpn == Alpn::Provost1 {
        let detail = "connect with the runtime's certificate; enroll first";
        let refused = ServerMessage::Refused(Problem::new(Code::CertificateRequired, detail));
        if let Ok(frame) = codec::encode_frame(&refused) {
            let _ = timeout(STRANGER_WITHIN, stream.write_all(&frame)).await;
        }
        let _ = timeout(STRANGER_WITHIN, stream.shutdown()).await;
        return;
    }
    let remote = Remote {
        identity: None,
        address,
    };
    let _ = timeout(STRANGER_WITHIN, http(stream, alpn, &port, remote, draining)).await;
}

async fn http(
    stream: TlsStream,
    alpn: Alpn,
    port: &RuntimePort,
    remote: Remote,
    mut draining: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(port.routes(remote));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .max_header_list_size(HEADER_LIST_MAX);
    // ALPN has said which: nothing waits without a deadline for a first byte to tell them apart.
    let builder = match alpn {
        Alpn::H2 => builder.http2_only(),
        Alpn::Http11 | Alpn::Provost1 => builder.http1_only(),
    };
    let graceful = GracefulShutdown::new();
    let connection = graceful.watch(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned(),
    );
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = &mut connection => {
            if let Err(error) = served {
                tracing::debug!(error = %error, "an HTTP connection broke");
            }
        }
        () = drained(&mut draining) => {
            // What was asked is answered; then the connection closes.
            tokio::select! {
                () = graceful.shutdown() => {}
                _ = &mut connection => {}
            }
        }
    }
}

/// Ends when the kernel stops.
async fn drained(draining: &mut watch::Receiver<bool>) {
    // An error means that nobody can stop the kernel any more: then nobody does.
    if draining.wait_for(|draining| *draining).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Handshakes under way at once: each costs about a millisecond of a core, so this is an eighth of
/// a second of work, and whoever comes beyond it tries again.
const HANDSHAKES_MAX: usize = 256;

/// Time for a few descriptors to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An enrolment takes one request; who shows no certificate has no business staying.
const STRANGER_WITHIN: Duration = Duration::from_secs(30);

/// A request's head comes in one packet or two; slow ones are attacks.
const HEADERS_WITHIN: Duration = Duration::from_secs(15);

/// The contract's headers take under 1 KiB.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// The same for HTTP/2.
const HEADER_LIST_MAX: u32 = 32 * 1024;

/// As many as frames may have in flight.
const STREAMS_MAX: u32 = 64;

/// A dead peer is noticed within a grace.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

const SESSIONS_ENDED: &str = "provost_sessions_ended_total";
