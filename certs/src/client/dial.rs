//! One connection, by a deadline. A proxy's tunnel is opened by the caller, and passed in.

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{ClientStream, ConnectError, reach};

/// Shakes hands over `tunnel`, which leads to `addr`; without one over a connection of its own.
pub(super) async fn connect(
    config: &Arc<ClientConfig>,
    addr: &str,
    tunnel: Option<TcpStream>,
    deadline: Duration,
) -> Result<ClientStream, ConnectError> {
    match tokio::time::timeout(deadline, handshake(config, addr, tunnel)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Deadline { deadline }),
    }
}

async fn handshake(
    config: &Arc<ClientConfig>,
    addr: &str,
    tunnel: Option<TcpStream>,
) -> Result<ClientStream, ConnectError> {
    let name = server_name(addr)?;
    let tcp = match tunnel {
        Some(tunnel) => tunnel,
        None => reach(addr).await.map_err(ConnectError::Unreachable)?,
    };
    // Frames are small and wait for their answers: Nagle would add 40 ms to them.
    tcp.set_nodelay(true).map_err(ConnectError::Unreachable)?;
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(name, tcp)
        .await
        .map_err(ConnectError::of_handshake)?;
    if stream.get_ref().1.alpn_protocol().is_none() {
        return Err(ConnectError::Alpn);
    }
    Ok(stream)
}

/// The host, as TLS wants it; it is sent so that forwarders can route, and compared with nothing.
fn server_name(addr: &str) -> Result<ServerName<'static>, ConnectError> {
    let refused = || ConnectError::Address {
        addr: addr.to_owned(),
    };
    let (host, _port) = addr.rsplit_once(':').ok_or_else(refused)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for addr in ["127.0.0.1:1", "[::1]:1", "kernel.example:7443"] {
            assert!(server_name(addr).is_ok(), "{addr}");
        }
        for addr in ["kernel.example", "ker nel:1", ":1"] {
            let refused = server_name(addr);
            assert!(
                matches!(refused, Err(ConnectError::Address { .. })),
                "{addr}"
            );
        }
    }
}
