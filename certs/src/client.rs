//! The connector's side of port 7443: our root only, and nobody but the kernel.
//!
//! What counts is the SPIFFE name: every leaf shares one authority, so a chain alone would let any
//! enrolled runtime pose as the kernel. The DNS name or address that was dialled is *not* compared
//! with the certificate: the kernel may stand behind any name, forwarder or tunnel, and whoever can
//! answer for `spiffe://<install>/kernel` is the kernel. No root of the operating system is
//! trusted, so no public authority can vouch for that name.

mod clock;
mod dial;
mod error;
mod reach;
mod recovery;
mod trust;
mod verifier;

use std::{sync::Arc, time::Duration};

use provost_protocol::{InstallId, Timestamp};
use rustls::{
    ClientConfig, ConfigBuilder,
    client::{Resumption, WantsClientCert},
};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;

use crate::{
    acceptor::Alpn,
    certificate::{self, Leaf},
    crypto,
    enrolment::TlsPair,
};

pub use error::{ConnectError, refused_certificate};
pub use reach::reach;
pub use recovery::RecoveryTls;
pub use trust::{TrustBundle, TrustError};
use verifier::{KernelVerifier, Trust};

/// A TLS session to the kernel.
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

/// The certificate (DER) that the kernel showed, and the handshake believed.
#[must_use]
pub fn kernel_certificate(stream: &ClientStream) -> Option<Vec<u8>> {
    let chain = stream.get_ref().1.peer_certificates()?;
    chain.first().map(|leaf| leaf.to_vec())
}

/// Connects an enrolled runtime to its kernel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RuntimeTls {
    config: Arc<ClientConfig>,
}

impl RuntimeTls {
    /// Trusts `trust` alone, expects the kernel of `install`, shows the certificate in `pair`,
    /// speaks `alpn`.
    ///
    /// # Errors
    /// [`ConnectError::Tls`] when key and certificate are unusable.
    pub fn new(
        trust: &TrustBundle,
        install: InstallId,
        pair: &TlsPair,
        alpn: Alpn,
    ) -> Result<Self, ConnectError> {
        let trust = Trust::Roots {
            roots: trust.store(),
            install,
        };
        let config = builder(trust)?
            .with_client_auth_cert(pair.chain(), pair.key().private_key_der())
            .map_err(ConnectError::Tls)?;
        Ok(Self {
            config: finish(config, alpn),
        })
    }

    /// Takes it for certain that `passed` has passed: the kernel's certificate is judged at the local
    /// clock's time, and never at an earlier one. So a clock that was set back keeps nobody out.
    #[must_use]
    pub fn not_earlier_than(self, passed: Timestamp) -> Self {
        Self {
            config: clock::floored(&self.config, passed),
        }
    }

    /// Dials `addr` (`host:port`) and runs the handshake, both within `deadline`.
    ///
    /// In TLS 1.3 the kernel judges our certificate after the client has finished: a refusal shows
    /// at the first read, where [`refused_certificate`] tells it from a broken line.
    ///
    /// # Errors
    /// [`ConnectError`] says who must act.
    pub async fn connect(
        &self,
        addr: &str,
        deadline: Duration,
    ) -> Result<ClientStream, ConnectError> {
        dial::connect(&self.config, addr, None, deadline).await
    }

    /// As [`connect`](Self::connect), through a `tunnel` that leads to `addr` already.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_through(
        &self,
        tunnel: TcpStream,
        addr: &str,
        deadline: Duration,
    ) -> Result<ClientStream, ConnectError> {
        dial::connect(&self.config, addr, Some(tunnel), deadline).await
    }
}

/// Makes first contact with the one kernel whose root the enrolment token names.
#[derive(Debug, Clone)]
pub struct EnrolTls {
    config: Arc<ClientConfig>,
    root_sha256: [u8; 32],
}

/// What first contact has proven: the root that the token names, and the kernel it vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstContact {
    /// The root certificate.
    pub root_der: CertificateDer<'static>,
    /// The same in PEM.
    pub root_pem: String,
    /// The installation the kernel belongs to.
    pub install: InstallId,
}

impl EnrolTls {
    /// Pins the root certificate by the SHA-256 of its DER; speaks HTTP/1.1.
    ///
    /// # Errors
    /// [`ConnectError::Tls`] when TLS cannot be set up.
    pub fn new(root_sha256: [u8; 32]) -> Result<Self, ConnectError> {
        let config = builder(Trust::Pinned { root_sha256 })?.with_no_client_auth();
        Ok(Self {
            config: finish(config, Alpn::Http11),
            root_sha256,
        })
    }

    /// Dials `addr` (`host:port`) and runs the handshake, both within `deadline`.
    ///
    /// # Errors
    /// [`ConnectError::Kernel`] when whoever answers is not the kernel of the token.
    pub async fn connect(
        &self,
        addr: &str,
        deadline: Duration,
    ) -> Result<(ClientStream, FirstContact), ConnectError> {
        let stream = dial::connect(&self.config, addr, None, deadline).await?;
        self.first_contact(stream)
    }

    /// As [`connect`](Self::connect), through a `tunnel` that leads to `addr` already.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_through(
        &self,
        tunnel: TcpStream,
        addr: &str,
        deadline: Duration,
    ) -> Result<(ClientStream, FirstContact), ConnectError> {
        let stream = dial::connect(&self.config, addr, Some(tunnel), deadline).await?;
        self.first_contact(stream)
    }

    fn first_contact(
        &self,
        stream: ClientStream,
    ) -> Result<(ClientStream, FirstContact), ConnectError> {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let (leaf, rest) = chain.split_first().ok_or(ConnectError::Kernel(
            certificate::CertificateFault::Nameless,
        ))?;
        let root = verifier::pinned(rest, &self.root_sha256).map_err(ConnectError::Kernel)?;
        let install = Leaf::parse(leaf)
            .and_then(|leaf| leaf.as_kernel())
            .map_err(ConnectError::Kernel)?;
        let root_pem = certificate::to_pem(&root);
        Ok((
            stream,
            FirstContact {
                root_der: root,
                root_pem,
                install,
            },
        ))
    }
}

fn builder(trust: Trust) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ConnectError> {
    let provider = crypto::provider();
    let verifier = KernelVerifier::new(trust, &provider);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ConnectError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

fn finish(mut config: ClientConfig, alpn: Alpn) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}
