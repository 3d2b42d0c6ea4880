//! What an accepted socket is told before anything is read from it.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// Makes the system find a peer that vanished, with whatever protocol was spoken.
///
/// A runtime that lost its power says nothing, and TCP alone would keep the connection for ever.
/// Heartbeats find it too, where there are any.
pub(super) fn watch(socket: &TcpStream) -> io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, PROBES_MAX)?;
    sockopt::set_tcp_user_timeout(socket, UNHEARD_MS_MAX)?;
    Ok(())
}

/// Ends a connection at once: the peer sees a reset, and nothing of it stays in this machine.
pub(super) fn reset(socket: TcpStream) {
    // Where it fails, the connection ends in the ordinary way.
    let _ = socket.set_zero_linger();
}

/// Longer than the longest silence between beats at the base rhythm; a NAT forgets after a few
/// minutes.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// Three probes, ten seconds apart: a train in a tunnel is back by then.
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES_MAX: u32 = 3;

/// What was sent and not acknowledged for so long is lost, and so is the peer; as long as probing.
const UNHEARD_MS_MAX: u32 = 30_000;

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    async fn accepted() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn a_vanished_peer_is_found_by_the_system_within_a_minute_and_a_half() {
        let (_near, far) = accepted().await;
        watch(&far).unwrap();
        let socket = far.as_fd();
        assert!(sockopt::socket_keepalive(socket).unwrap());
        let idle = sockopt::tcp_keepidle(socket).unwrap();
        let every = sockopt::tcp_keepintvl(socket).unwrap();
        let probes = sockopt::tcp_keepcnt(socket).unwrap();
        assert_eq!(idle + every * probes, Duration::from_secs(90));
        assert_eq!(sockopt::tcp_user_timeout(socket).unwrap(), 30_000);
    }

    #[tokio::test]
    async fn who_is_reset_hears_it_at_once() {
        let (mut near, far) = accepted().await;
        reset(far);
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
