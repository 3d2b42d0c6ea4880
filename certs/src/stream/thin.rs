//! A TLS stream that holds no buffer while it waits.
//!
//! rustls' own buffered connection keeps 4 KiB to read into for as long as it lives; ten thousand
//! of them wait nearly all the time. Here what comes is read into the thread's stack and decrypted
//! there. Kept is what is half a record, what nobody has asked for yet, and what the socket has not
//! taken; each is freed when it is empty.

use std::{
    future::poll_fn,
    io, mem,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{
    CommonState, Error, ServerConfig,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    queue::Queue,
    words::{RECORD_BYTES, encode, leave, say},
};
use crate::io::Io;

/// The kernel's end of a connection of frames.
pub(super) struct Thin {
    session: UnbufferedServerConnection,
    io: Io,
    /// What came and is not a whole record yet.
    unread: Vec<u8>,
    /// Decrypted, and not asked for yet.
    plain: Queue,
    /// Encrypted, and not taken by the socket yet.
    out: Queue,
    /// The peer has said that nothing more comes.
    ended: bool,
    /// We have said so.
    left: bool,
    /// TLS has failed: nothing goes through any more, and it is not asked again.
    broken: bool,
}

/// What is to be done once TLS has taken in what came.
enum Wish<'a, 'b> {
    /// Nothing more; what was decrypted is wanted here, as far as there is room.
    Hear(Option<&'a mut ReadBuf<'b>>),
    Say(&'a [u8]),
    Leave,
}

impl Thin {
    /// Runs the handshake, of which `heard` has come.
    pub(super) async fn accept(
        io: Io,
        config: Arc<ServerConfig>,
        heard: Vec<u8>,
    ) -> io::Result<Box<Self>> {
        let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = Box::new(Self {
            session,
            io,
            unread: heard,
            plain: Queue::default(),
            out: Queue::default(),
            ended: false,
            left: false,
            broken: false,
        });
        let mut begun = Some(stream.go_on(Wish::Hear(None)));
        poll_fn(|cx| {
            if let Some(begun) = begun.take() {
                stream.tell(cx, begun)?;
            }
            loop {
                ready!(stream.poll_drain(cx))?;
                if !stream.session.is_handshaking() {
                    return Poll::Ready(io::Result::Ok(()));
                }
                ready!(stream.poll_hear(cx, None))?;
            }
        })
        .await?;
        Ok(stream)
    }

    pub(super) fn session(&self) -> &CommonState {
        &self.session
    }

    pub(super) const fn io_mut(&mut self) -> &mut Io {
        &mut self.io
    }

    /// Reads once, and takes in what came.
    fn poll_hear(
        &mut self,
        cx: &mut Context<'_>,
        wanted: Option<&mut ReadBuf<'_>>,
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let outcome = if self.unread.is_empty() {
            let (taken, outcome) = self.advance(read.filled_mut(), Wish::Hear(wanted));
            self.unread = read.filled()[taken..].to_vec();
            outcome
        } else {
            self.unread.extend_from_slice(read.filled());
            self.go_on(Wish::Hear(wanted))
        };
        Poll::Ready(self.tell(cx, outcome))
    }

    /// What came of it, with the peer told what TLS has to say about it, as far as it takes it now.
    fn tell(&mut self, cx: &mut Context<'_>, outcome: Result<(), Error>) -> io::Result<()> {
        if let Err(error) = outcome {
            self.broken = true;
            self.put_last_words();
            let _ = self.poll_drain(cx);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if self.unread.len() > UNREAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match self.poll_drain(cx) {
            Poll::Ready(outcome) => outcome,
            // What waits goes with the next write, or flush.
            Poll::Pending => Ok(()),
        }
    }

    /// Advances on what is there already.
    fn go_on(&mut self, wish: Wish<'_, '_>) -> Result<(), Error> {
        let mut unread = mem::take(&mut self.unread);
        let (taken, outcome) = self.advance(&mut unread, wish);
        unread.drain(..taken);
        if !unread.is_empty() {
            self.unread = unread;
        }
        outcome
    }

    /// The alert that says why TLS has failed. What came is not looked at again.
    fn put_last_words(&mut self) {
        while self.session.wants_write() {
            let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut []);
            let Ok(ConnectionState::EncodeTlsData(data)) = state else {
                return;
            };
            encode(data, &mut self.out);
        }
    }

    /// Lets TLS take in what came, until it wants more, and says how many bytes it has done with.
    fn advance(&mut self, tls: &mut [u8], mut wish: Wish<'_, '_>) -> (usize, Result<(), Error>) {
        let mut taken = 0;
        loop {
            let UnbufferedStatus { discard, state } =
                self.session.process_tls_records(&mut tls[taken..]);
            let more = match state {
                Err(error) => Err(error),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                    match traffic.next_record() {
                        Some(Ok(record)) => hear(record.payload, &mut self.plain, &mut wish),
                        Some(Err(error)) => break Err(error),
                        None => break Ok(true),
                    }
                },
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, &mut self.out);
                    Ok(true)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(true)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    Ok(true)
                }
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    match mem::replace(&mut wish, Wish::Hear(None)) {
                        Wish::Hear(_) => Ok(false),
                        Wish::Say(bytes) => say(traffic, bytes, &mut self.out).map(|()| true),
                        Wish::Leave => leave(traffic, &mut self.out).map(|()| true),
                    }
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Ok(false),
                // Early data is not offered, and no other state is known.
                Ok(_) => Err(Error::General("a state that cannot be".to_owned())),
            };
            taken += discard;
            match more {
                Ok(true) => {}
                Ok(false) => return (taken, Ok(())),
                Err(error) => return (taken, Err(error)),
            }
        }
    }

    /// Writes all that is encrypted.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, self.out.rest()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.out.take(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Thin {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = space.filled().len();
        loop {
            if !this.plain.is_empty() {
                let count = space.remaining().min(this.plain.rest().len());
                space.put_slice(&this.plain.rest()[..count]);
                this.plain.take(count);
            }
            if this.ended || space.remaining() == 0 || space.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            if this.broken {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            ready!(this.poll_hear(cx, Some(space)))?;
        }
    }
}

impl AsyncWrite for Thin {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if this.left || this.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let bytes = &bytes[..bytes.len().min(SAID_AT_ONCE)];
        let said = this.go_on(Wish::Say(bytes));
        this.tell(cx, said)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.left {
            this.left = true;
            if !this.broken {
                let left = this.go_on(Wish::Leave);
                this.tell(cx, left)?;
            }
        }
        ready!(this.poll_drain(cx))?;
        match ready!(Pin::new(&mut this.io).poll_shutdown(cx)) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Gives what was decrypted to whoever asks for it, and keeps the rest in its order.
fn hear(payload: &[u8], plain: &mut Queue, wish: &mut Wish<'_, '_>) {
    let given = match wish {
        Wish::Hear(Some(space)) if plain.is_empty() => {
            let count = payload.len().min(space.remaining());
            space.put_slice(&payload[..count]);
            count
        }
        _ => 0,
    };
    if given < payload.len() {
        plain.push(&payload[given..]);
    }
}

/// One read: a record that is full, with all it may take besides.
const READ_BYTES: usize = RECORD_BYTES + 256 + 5;

/// What is encrypted before the socket takes it: one record, so that whoever waits for a slow peer
/// sees each of them go.
const SAID_AT_ONCE: usize = RECORD_BYTES;

/// A handshake's longest message, in records that are not full, as in rustls' own buffer: whatever
/// is longer is no handshake.
const UNREAD_MAX: usize = 0xffff;
