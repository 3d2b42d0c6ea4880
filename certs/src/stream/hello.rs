//! The first words of a client, read before it is decided with which stream it is served.

use std::{
    future::poll_fn,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
};

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf};

use crate::io::Io;

/// What a client has said first.
pub(super) struct Hello {
    /// Read by rustls.
    pub(super) accepted: Accepted,
    /// Its bytes, for whoever begins anew.
    pub(super) heard: Vec<u8>,
}

/// What is read, kept as well.
struct Tap<'a, 'b> {
    io: &'a mut Io,
    cx: &'a mut Context<'b>,
    heard: &'a mut Vec<u8>,
}

impl Hello {
    pub(super) async fn read(io: &mut Io) -> io::Result<Self> {
        let (mut acceptor, mut heard) = (Acceptor::default(), Vec::new());
        let read = poll_fn(|cx| {
            loop {
                let mut tap = Tap {
                    io,
                    cx,
                    heard: &mut heard,
                };
                match acceptor.read_tls(&mut tap) {
                    Ok(0) => return Poll::Ready(Ok(Err(io::ErrorKind::UnexpectedEof.into()))),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Poll::Pending;
                    }
                    Err(error) => return Poll::Ready(Ok(Err(error))),
                }
                match acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(accepted)) => return Poll::Ready(Ok(Ok(accepted))),
                    Err(refused) => return Poll::Ready(Err(refused)),
                }
            }
        });
        match read.await {
            Ok(accepted) => accepted.map(|accepted| Self { accepted, heard }),
            Err((error, alert)) => {
                // It may be gone already; then nobody needs to hear why.
                let _ = io.write_all(&words(alert)).await;
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}

impl Read for Tap<'_, '_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut read = ReadBuf::new(space);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut read) {
            Poll::Ready(outcome) => {
                outcome?;
                self.heard.extend_from_slice(read.filled());
                Ok(read.filled().len())
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn words(mut alert: AcceptedAlert) -> Vec<u8> {
    let mut words = Vec::new();
    // Writing to memory cannot fail.
    let _ = alert.write_all(&mut words);
    words
}
