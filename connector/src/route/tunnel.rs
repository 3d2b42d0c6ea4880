//! The tunnel itself: one `CONNECT`, one head in answer (RFC 9110, section 9.3.6).

use std::time::Duration;

use provost_certs::reach;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Proxy, ProxyError};

/// Asks `proxy` for a tunnel to `addr`, within a deadline.
pub(super) async fn open(proxy: &Proxy, addr: &str) -> Result<TcpStream, ProxyError> {
    // It becomes part of a request: nothing in it may end a line.
    if !addr.contains(':') || !addr.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ProxyError::Address {
            addr: addr.to_owned(),
        });
    }
    match timeout(TUNNEL_WITHIN, ask(proxy, addr)).await {
        Ok(opened) => opened,
        Err(_) => Err(ProxyError::Deadline {
            proxy: proxy.authority().to_owned(),
            deadline: TUNNEL_WITHIN,
        }),
    }
}

async fn ask(proxy: &Proxy, addr: &str) -> Result<TcpStream, ProxyError> {
    let unreachable = |source| ProxyError::Unreachable {
        proxy: proxy.authority().to_owned(),
        source,
    };
    let mut stream = reach(proxy.authority()).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    stream
        .write_all(request(proxy, addr).as_bytes())
        .await
        .map_err(unreachable)?;
    let mut head = Vec::with_capacity(HEAD_BYTES_READ);
    let end = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if head.len() >= HEAD_BYTES_MAX {
            return Err(answer(proxy, "its head has no end"));
        }
        let room = u64::try_from(HEAD_BYTES_MAX - head.len()).unwrap_or(u64::MAX);
        let mut bounded = (&mut stream).take(room);
        if bounded.read_buf(&mut head).await.map_err(unreachable)? == 0 {
            return Err(answer(proxy, "it hung up within its head"));
        }
    };
    match status(&head) {
        Some(200..=299) if head.len() == end => Ok(stream),
        // In TLS the client speaks first: these bytes are not the kernel's.
        Some(200..=299) => Err(answer(proxy, "it speaks within the tunnel")),
        Some(407) => Err(ProxyError::Credentials {
            proxy: proxy.authority().to_owned(),
            sent: proxy.authorization().is_some(),
        }),
        Some(status) => Err(ProxyError::Refused {
            proxy: proxy.authority().to_owned(),
            status,
        }),
        None => Err(answer(proxy, "its status line is none")),
    }
}

fn request(proxy: &Proxy, addr: &str) -> String {
    let agent = concat!("provost-connector/", env!("CARGO_PKG_VERSION"));
    let authorization = proxy
        .authorization()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .unwrap_or_default();
    format!("CONNECT {addr} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: {agent}\r\n{authorization}\r\n")
}

/// The status of `HTTP/1.x NNN …`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    if !matches!(words.next()?, "HTTP/1.0" | "HTTP/1.1") {
        return None;
    }
    let digits = words.next()?;
    let good = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| good)
}

fn answer(proxy: &Proxy, why: &'static str) -> ProxyError {
    ProxyError::Answer {
        proxy: proxy.authority().to_owned(),
        why,
    }
}

/// A name to look up, two connections to make, one of them across the world.
const TUNNEL_WITHIN: Duration = Duration::from_secs(10);

/// As much as the common servers take in a head; a page that explains a refusal comes behind it.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// A head that grants a tunnel takes 100 bytes.
const HEAD_BYTES_READ: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_and_nothing_else() {
        for (head, said) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407 \r\nX: y\r\n\r\n", Some(407)),
            ("HTTP/1.1 200\r\n\r\n", Some(200)),
            ("HTTP/2 200 OK\r\n\r\n", None),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("HTTP/1.1 +20 OK\r\n\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("\r\n\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), said, "{head:?}");
        }
    }

    #[test]
    fn a_request_names_the_kernel_and_carries_the_credentials() {
        let proxy: Proxy = "http://ada:pw@proxy:1".parse().unwrap();
        let agent = env!("CARGO_PKG_VERSION");
        assert_eq!(
            request(&proxy, "kernel.example:7443"),
            format!(
                "CONNECT kernel.example:7443 HTTP/1.1\r\nHost: kernel.example:7443\r\n\
                 User-Agent: provost-connector/{agent}\r\n\
                 Proxy-Authorization: Basic YWRhOnB3\r\n\r\n"
            )
        );
    }
}
