//! The server's side of port 7443: TLS 1.3, and who the peer is.
//!
//! A client certificate is asked for and may be withheld, because enrolment and recovery happen
//! without one: [`Accepted::identity`] is then `None` and the caller lets nothing else through. A
//! certificate that *is* shown must be good in every respect, or the handshake fails.
//!
//! There is no session resumption: rustls does not run the client verifier again on a resumed
//! session, so an expired or revoked certificate would live on in a ticket.

mod error;
mod issuing;
mod leaf;
mod verifier;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use provost_protocol::{
    Timestamp,
    sign::{PeerIdentity, Standing},
};
use rustls::{ServerConfig, server::NoServerSessionStorage};
use tokio::net::TcpStream;

use crate::{
    authority::{Authority, AuthorityError},
    certificate::Leaf,
    crypto,
    io::Io,
    roots::RootSet,
    stream::{self, TlsStream},
};

pub use error::{AcceptError, Blame};
use issuing::Issuing;
use leaf::KernelLeaf;
use verifier::RuntimeVerifier;

/// What is spoken inside TLS, as ALPN has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// Frames of the connector's stream: `provost/1`.
    Provost1,
    /// The contract as HTTP/2: `h2`.
    H2,
    /// The contract as HTTP/1.1: `http/1.1`, also when the client offers nothing.
    Http11,
}

impl Alpn {
    /// The protocol's name in the handshake.
    #[must_use]
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Provost1 => b"provost/1",
            Self::H2 => b"h2",
            Self::Http11 => b"http/1.1",
        }
    }

    pub(crate) fn negotiated(name: Option<&[u8]>) -> Option<Self> {
        match name {
            Some(name) => [Self::Provost1, Self::H2, Self::Http11]
                .into_iter()
                .find(|alpn| alpn.as_bytes() == name),
            None => Some(Self::Http11),
        }
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Accepted {
    /// The TLS session, live on the reactor that accepted it.
    pub stream: TlsStream,
    /// Who the peer is; `None` when it showed no certificate.
    pub identity: Option<PeerIdentity>,
    /// What it wants to speak.
    pub alpn: Alpn,
    /// Where it comes from.
    pub peer_addr: SocketAddr,
}

/// What an [`Acceptor`] is made of.
#[derive(Debug)]
pub struct AcceptorSettings {
    /// Signs the daemon's own certificate, and is the root that runtimes must chain to.
    pub authority: Arc<Authority>,
    /// The DNS names and IP addresses under which the daemon is reached.
    pub names: Vec<String>,
    /// Says which certificates are revoked.
    pub standing: Arc<dyn Standing>,
    /// How long a peer may take for its handshake, usually [`HANDSHAKE_DEADLINE`].
    pub handshake_deadline: Duration,
}

/// Accepts runtimes. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    shared: Arc<Shared>,
    deadline: Duration,
}

/// What every clone has in common.
struct Shared {
    names: Vec<String>,
    standing: Arc<dyn Standing>,
    serving: ArcSwap<Serving>,
}

/// What one handshake is run with, from its first byte to its last: roots and leaf of one moment.
struct Serving {
    config: Arc<ServerConfig>,
    leaf: Arc<KernelLeaf>,
    issuing: Issuing,
}

impl Acceptor {
    /// Issues the daemon's certificate and prepares to accept.
    ///
    /// # Errors
    /// [`AuthorityError`] when the certificate cannot be issued.
    pub fn new(settings: AcceptorSettings, now: Timestamp) -> Result<Self, AuthorityError> {
        let AcceptorSettings {
            authority,
            names,
            standing,
            handshake_deadline,
        } = settings;
        let roots = RootSet::single(authority)?;
        let serving = Serving::new(&roots, (&names, &standing), now)?;
        let shared = Shared {
            names,
            standing,
            serving: ArcSwap::from_pointee(serving),
        };
        Ok(Self {
            shared: Arc::new(shared),
            deadline: handshake_deadline,
        })
    }

    /// Takes other roots into use: from the next handshake on the daemon's leaf is of their active
    /// one, and runtimes of each accepted one are let in. A handshake under way ends as it began;
    /// connections that are open stay, as long as [`Standing`] takes their certificates.
    ///
    /// # Errors
    /// [`AuthorityError`] when no leaf can be issued; what was in use stays.
    pub fn take_roots(&self, roots: &RootSet, now: Timestamp) -> Result<(), AuthorityError> {
        let Shared {
            names, standing, ..
        } = &*self.shared;
        let serving = Serving::new(roots, (names, standing), now)?;
        self.shared.serving.store(Arc::new(serving));
        Ok(())
    }

    /// Runs the handshake of one connection, within the deadline.
    ///
    /// # Errors
    /// [`AcceptError`] says who is to blame; the connection is closed.
    pub async fn accept(&self, tcp: TcpStream) -> Result<Accepted, AcceptError> {
        let peer_addr = tcp.peer_addr().map_err(AcceptError::Gone)?;
        // Frames are small and answered one by one: Nagle would add 40 ms to them.
        tcp.set_nodelay(true).map_err(AcceptError::Gone)?;
        let serving = self.shared.serving.load_full();
        let handshake = stream::accept(Io::Live(tcp), Arc::clone(&serving.config));
        let stream = match tokio::time::timeout(self.deadline, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(AcceptError::of_handshake(error)),
            Err(_) => {
                return Err(AcceptError::Deadline {
                    deadline: self.deadline,
                });
            }
        };
        let session = stream.session();
        let alpn = Alpn::negotiated(session.alpn_protocol()).ok_or(AcceptError::Protocol(
            rustls::Error::General("an ALPN protocol that was not offered".to_owned()),
        ))?;
        let identity = match session.peer_certificates().and_then(<[_]>::first) {
            Some(der) => {
                let peer =
                    Leaf::parse(der).and_then(|leaf| leaf.as_runtime(serving.leaf.install()));
                let mut peer = peer.map_err(AcceptError::Certificate)?;
                peer.root_sha256 = serving.issuing.root_of(der);
                Some(peer)
            }
            None => None,
        };
        Ok(Accepted {
            stream,
            identity,
            alpn,
            peer_addr,
        })
    }

    /// Issues the daemon's certificate anew once half of its life is over; says whether it did.
    ///
    /// Connections that are open keep the old one; it stays valid for its second half.
    ///
    /// # Errors
    /// [`AuthorityError`]; the old certificate stays in use.
    pub fn renew_if_due(&self, now: Timestamp) -> Result<bool, AuthorityError> {
        self.shared.serving.load().leaf.renew_if_due(now)
    }

    /// When [`renew_if_due`](Self::renew_if_due) is next worth calling.
    #[must_use]
    pub fn renewal_due(&self) -> Timestamp {
        self.shared.serving.load().leaf.renewal_due()
    }
}

impl Serving {
    fn new(
        roots: &RootSet,
        (names, standing): (&[String], &Arc<dyn Standing>),
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let provider = crypto::provider();
        let accepted = roots.accepted();
        let verifier = RuntimeVerifier::new(
            (&accepted, roots.active().install()),
            Arc::clone(standing),
            Arc::clone(&provider),
        )
        .map_err(AuthorityError::Tls)?;
        let leaf = Arc::new(KernelLeaf::new(roots, names.to_vec(), &provider, now)?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(AuthorityError::Tls)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&leaf) as _);
        config.alpn_protocols = [Alpn::Provost1, Alpn::H2, Alpn::Http11]
            .map(|alpn| alpn.as_bytes().to_vec())
            .into();
        // Resumption off, each way it could come about.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_tls13_tickets = 0;
        config.max_early_data_size = 0;
        let issuing = Issuing::new(&accepted).map_err(AuthorityError::Tls)?;
        Ok(Self {
            config: Arc::new(config),
            leaf,
            issuing,
        })
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor")
            .field("leaf", &self.shared.serving.load().leaf)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A handshake takes two round trips and a millisecond of arithmetic; a satellite link needs two
/// seconds. Ten leave room for one lost packet, and bound what a silent peer can hold.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
