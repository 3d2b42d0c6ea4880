//! Moving an accepted connection to the reactor that will serve it.
//!
//! The handshake runs where the socket was accepted; only then is the tenant known, and with it
//! the arbiter. A stream left on a foreign reactor loses 10 to 25 per cent (measured), so the
//! socket is taken out of the first reactor and registered with the second, under the TLS session,
//! which does not notice.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::stream::TlsStream;

/// The socket under a TLS session.
#[derive(Debug)]
pub enum Io {
    /// Registered with a reactor: reads and writes go through.
    Live(TcpStream),
    /// Between two reactors: reads and writes are errors.
    Moving(std::net::TcpStream),
    /// Lost while moving, because a reactor refused it: reads and writes are errors.
    Empty,
}

/// A connection between two reactors; it may cross threads.
#[derive(Debug)]
pub struct Detached(TlsStream);

/// Takes a connection out of its reactor. What TLS has buffered stays in the session.
///
/// # Errors
/// What the operating system said; the connection is closed then.
pub fn detach(mut stream: TlsStream) -> io::Result<Detached> {
    let io = stream.io_mut();
    *io = match mem::replace(io, Io::Empty) {
        Io::Live(socket) => Io::Moving(socket.into_std()?),
        already => already,
    };
    Ok(Detached(stream))
}

impl Detached {
    /// Registers the connection with the reactor of the calling task.
    ///
    /// # Errors
    /// What the operating system said, or that no reactor runs here; the connection is closed then.
    pub fn attach(mut self) -> io::Result<TlsStream> {
        // tokio's own registration panics without a reactor.
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let io = self.0.io_mut();
        *io = match mem::replace(io, Io::Empty) {
            Io::Moving(socket) => Io::Live(TcpStream::from_std(socket)?),
            already => already,
        };
        Ok(self.0)
    }
}

impl Io {
    fn live(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        match self.get_mut() {
            Self::Live(socket) => Ok(Pin::new(socket)),
            Self::Moving(_) | Self::Empty => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the socket has no reactor",
            )),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.live()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.live()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.live()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.live()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.live()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Live(socket) if socket.is_write_vectored())
    }
}
