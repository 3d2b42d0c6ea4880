//! The way to the kernel for a runtime whose certificate has ended: our roots, no certificate.

use std::{sync::Arc, time::Duration};

use provost_protocol::{InstallId, Timestamp, certificate::RECOVERY_EXPORTER};
use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::{
    ClientStream, ConnectError, TrustBundle, builder, clock, dial, finish, verifier::Trust,
};
use crate::acceptor::Alpn;

/// Connects a runtime without a certificate to its kernel.
#[derive(Debug, Clone)]
pub struct RecoveryTls {
    config: Arc<ClientConfig>,
}

impl RecoveryTls {
    /// Trusts `trust` alone, expects the kernel of `install`, shows nothing, speaks HTTP/1.1.
    ///
    /// # Errors
    /// [`ConnectError::Tls`] when TLS cannot be set up.
    pub fn new(trust: &TrustBundle, install: InstallId) -> Result<Self, ConnectError> {
        let trust = Trust::Roots {
            roots: trust.store(),
            install,
        };
        let config = builder(trust)?.with_no_client_auth();
        Ok(Self {
            config: finish(config, Alpn::Http11),
        })
    }

    /// As [`RuntimeTls::not_earlier_than`](super::RuntimeTls::not_earlier_than).
    #[must_use]
    pub fn not_earlier_than(self, passed: Timestamp) -> Self {
        Self {
            config: clock::floored(&self.config, passed),
        }
    }

    /// Dials `addr` (`host:port`), or takes the `tunnel` that leads there, and runs the handshake
    /// within `deadline`. With the stream comes what a recovery on it is bound to.
    ///
    /// # Errors
    /// [`ConnectError`] says who must act.
    pub async fn connect(
        &self,
        addr: &str,
        tunnel: Option<TcpStream>,
        deadline: Duration,
    ) -> Result<(ClientStream, [u8; 32]), ConnectError> {
        let stream = dial::connect(&self.config, addr, tunnel, deadline).await?;
        let exporter = stream
            .get_ref()
            .1
            .export_keying_material([0; 32], RECOVERY_EXPORTER, None)
            .map_err(ConnectError::Tls)?;
        Ok((stream, exporter))
    }
}
