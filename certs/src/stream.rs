//! The kernel's end of a TLS connection.
//!
//! Most connections are of frames, and mostly wait: those are [`Thin`], and hold no buffer while
//! they do. Those of HTTP are tokio-rustls', which keeps 4 KiB for each of them, and which knows
//! the exporter that a recovery is bound to.

mod hello;
mod queue;
mod thin;
mod words;

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use provost_protocol::certificate::RECOVERY_EXPORTER;
use rustls::{CommonState, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::{StartHandshake, TlsStream as RichStream};

use crate::{acceptor::Alpn, io::Io};
use hello::Hello;
use thin::Thin;

/// A TLS session over a socket that can change its reactor. Cheap to move.
pub struct TlsStream(Kind);

enum Kind {
    Frames(Box<Thin>),
    Http(Box<RichStream<Io>>),
}

/// Runs the kernel's side of a handshake.
pub(crate) async fn accept(mut io: Io, config: Arc<ServerConfig>) -> io::Result<TlsStream> {
    let Hello { accepted, heard } = Hello::read(&mut io).await?;
    let wants_frames = accepted
        .client_hello()
        .alpn()
        .is_some_and(|mut names| names.any(|name| name == Alpn::Provost1.as_bytes()));
    let kind = if wants_frames {
        drop(accepted);
        Kind::Frames(Thin::accept(io, config, heard).await?)
    } else {
        drop(heard);
        let handshake = StartHandshake::from_parts(accepted, io).into_stream(config);
        Kind::Http(Box::new(handshake.await?))
    };
    Ok(TlsStream(kind))
}

impl TlsStream {
    /// What the handshake has settled.
    #[must_use]
    pub fn session(&self) -> &CommonState {
        match &self.0 {
            Kind::Frames(stream) => stream.session(),
            Kind::Http(stream) => stream.get_ref().1,
        }
    }

    /// What a recovery on this connection is bound to (RFC 8446, section 7.5). Recoveries come over
    /// HTTP: one of frames has none.
    #[must_use]
    pub fn recovery_exporter(&self) -> Option<[u8; 32]> {
        match &self.0 {
            Kind::Frames(_) => None,
            Kind::Http(stream) => {
                let session = stream.get_ref().1;
                session
                    .export_keying_material([0; 32], RECOVERY_EXPORTER, None)
                    .ok()
            }
        }
    }

    pub(crate) fn io_mut(&mut self) -> &mut Io {
        match &mut self.0 {
            Kind::Frames(stream) => stream.io_mut(),
            Kind::Http(stream) => stream.get_mut().0,
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Frames(stream) => Pin::new(stream).poll_read(cx, space),
            Kind::Http(stream) => Pin::new(stream).poll_read(cx, space),
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Frames(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Http(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Frames(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Http(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Frames(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Http(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Frames(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Kind::Http(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(&self.0, Kind::Http(stream) if stream.is_write_vectored())
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Frames(_) => "frames",
            Kind::Http(_) => "http",
        };
        f.debug_tuple("TlsStream").field(&kind).finish()
    }
}
