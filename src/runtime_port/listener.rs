//! Accepting: a place in the queue first, then TLS in turns and with a deadline, then a place among
//! the connections, then its tenant's arbiter.
//!
//! Nothing here waits for a peer: whoever finds no place is sent away at once, and who is beyond
//! the number of connections is told so after TLS, with a time.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use provost_certs::{Accepted, Acceptor};
use provost_protocol::{RuntimeId, TenantId};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    RuntimePort,
    door::{Crowd, Door, Queued, Turn},
    drained,
    serve::{Held, Place, hand_over, turn_away},
    shares::{Shares, network},
    socket,
};
use crate::telemetry::names::{CONNECTIONS_REFUSED, HANDSHAKES_FAILED};

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
    socket: TcpListener,
    entrance: Entrance,
    connections_max: usize,
}

/// What every accepted connection passes. Cheap to clone.
#[derive(Debug, Clone)]
struct Entrance {
    acceptor: Acceptor,
    port: RuntimePort,
    draining: watch::Receiver<bool>,
    door: Door,
    places: Arc<Semaphore>,
    /// Apart from the runtimes' places: whoever has no certificate takes none of them.
    strangers: Arc<Semaphore>,
    /// How many places there are.
    all: usize,
    of_tenants: Shares<TenantId>,
    of_runtimes: Shares<RuntimeId>,
    of_networks: Shares<IpAddr>,
}

impl Listener {
    /// Prepares to accept.
    #[must_use]
    pub fn new(settings: ListenerSettings) -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let entrance = Entrance {
            acceptor: settings.acceptor,
            port: settings.port,
            draining: settings.draining,
            door: Door::new(cores),
            places: Arc::new(Semaphore::new(settings.connections_max)),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            all: settings.connections_max,
            of_tenants: Shares::of(usize::MAX),
            of_runtimes: Shares::of(CONNECTIONS_OF_A_RUNTIME_MAX),
            of_networks: Shares::of(STRANGERS_OF_A_NETWORK_MAX),
        };
        Self {
            socket: settings.socket,
            entrance,
            connections_max: settings.connections_max,
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the kernel stops, then waits for what is open, at most `patience`.
    pub async fn run(self, patience: Duration) {
        let Self {
            socket,
            entrance,
            connections_max,
        } = self;
        let mut draining = entrance.draining.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drained(&mut draining) => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => entrance.begin(stream, peer),
                Err(error) => {
                    // Out of file descriptors, most likely: a pause, or this loop eats a core.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Whoever comes now hears at once that nobody listens, and comes again.
        drop(socket);
        let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
        let gone = async {
            let _runtimes = entrance.places.acquire_many(all).await;
            let most = u32::try_from(STRANGERS_MAX).unwrap_or(u32::MAX);
            let _strangers = entrance.strangers.acquire_many(most).await;
        };
        if timeout(patience, gone).await.is_err() {
            tracing::warn!("connections were still open when the drain ended");
        }
    }
}

impl Entrance {
    fn begin(&self, stream: TcpStream, peer: SocketAddr) {
        match self.door.enter(peer.ip()) {
            Ok(queued) => drop(tokio::spawn(self.clone().wait(stream, peer, queued))),
            Err(crowd) => send_away(stream, crowd),
        }
    }

    async fn wait(self, stream: TcpStream, peer: SocketAddr, queued: Queued) {
        match self.door.turn().await {
            // Thousands may wait: the room for a handshake is taken by those who are at it.
            Ok(turn) => Box::pin(self.shake(stream, peer, (queued, turn))).await,
            Err(crowd) => count(crowd),
        }
    }

    async fn shake(self, stream: TcpStream, peer: SocketAddr, (queued, turn): (Queued, Turn)) {
        if let Err(error) = socket::watch(&stream) {
            return tracing::debug!(peer.addr = %peer, %error, "a connection was gone at once");
        }
        let handshake = self.door.work(turn, self.acceptor.accept(stream)).await;
        let accepted = match handshake {
            Ok(accepted) => accepted,
            Err(error) => {
                metrics::counter!(HANDSHAKES_FAILED, "why" => error.kind()).increment(1);
                return tracing::debug!(peer.addr = %peer, %error, "a handshake failed");
            }
        };
        match self.place(&accepted) {
            Some(place) => {
                drop(queued);
                hand_over(accepted, self.port, self.draining, place).await;
            }
            None => turn_away(accepted, self.port, queued).await,
        }
    }

    /// A place of its kind, where there is one and its share is not used up.
    fn place(&self, accepted: &Accepted) -> Option<Place> {
        let (places, share) = match &accepted.identity {
            Some(identity) => {
                let _of_tenant = self
                    .of_tenants
                    .take_within(identity.tenant, self.of_a_tenant())?;
                let _share = self.of_runtimes.take(identity.runtime)?;
                let held = Held::Runtime { _share, _of_tenant };
                (&self.places, held)
            }
            None => {
                let _share = self.of_networks.take(network(accepted.peer_addr.ip()))?;
                (&self.strangers, Held::Stranger { _share })
            }
        };
        let place = Arc::clone(places).try_acquire_owned().ok()?;
        Some(Place::take(place, share))
    }

    /// How many places a tenant may have now: any number, but of the last ones only who holds fewer
    /// than half of all.
    fn of_a_tenant(&self) -> usize {
        let kept = self.all / KEPT_PART;
        if self.places.available_permits() > kept {
            usize::MAX
        } else {
            self.all / 2
        }
    }
}

/// Before TLS nothing can be said but a reset.
fn send_away(stream: TcpStream, crowd: Crowd) {
    count(crowd);
    socket::reset(stream);
}

fn count(crowd: Crowd) {
    metrics::counter!(CONNECTIONS_REFUSED, "why" => crowd.as_str()).increment(1);
}

/// A fleet that enrolls at once: each is here for one request, half a minute at most.
const STRANGERS_MAX: usize = 512;

/// It takes eight networks to keep everybody else from enrolling; a fleet behind one address is
/// through in a few turns, at tens of milliseconds each.
const STRANGERS_OF_A_NETWORK_MAX: usize = 64;

/// A tenth of the places is kept for tenants that hold fewer than half: one that takes all it gets
/// keeps nobody else out.
const KEPT_PART: usize = 10;

/// A connector holds one, and a server of many threads that calls over HTTP/1.1 one for each. With
/// the usual 20,000 places it takes 79 runtimes to fill them.
const CONNECTIONS_OF_A_RUNTIME_MAX: usize = 256;

/// Time for a few descriptors to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
