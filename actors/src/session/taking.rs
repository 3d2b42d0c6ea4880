//! Taking in what has come: frame by frame, for as long as the turn lasts.
//!
//! What came together is looked at together: one look at the clocks serves all of it, and it is a
//! few microseconds old at the last. After every wait they are looked at anew.

use provost_kernel::session::{Ending, Input};
use provost_protocol::{Timestamp, codec, wire::ClientMessage};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Life, stream::Came};

/// One look at the clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    pub(super) instant: Instant,
}

/// How much of what has come was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it.
    All,
    /// There may be more, for another turn.
    Some,
    /// Up to what ended the session.
    Last(Ending),
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Life<S> {
    /// Takes in the frames that are there, and those that have come meanwhile, for as long as its
    /// turn lasts; what is answered at once waits to be written together.
    pub(super) async fn take_in(&mut self) -> Taken {
        self.pace.turn().await;
        let mut came = self.moment();
        while self.pace.rest().is_none() {
            self.stream.set_limit(self.machine.frame_bytes_max());
            let ending = match self.stream.next_frame() {
                Err(()) => self.act(&Input::Garbage),
                Ok(Some(frame)) => match codec::decode(&frame) {
                    Ok(ClientMessage::Request(request)) => self.on_request(request, came),
                    Ok(other) => {
                        let ending = self.on_message(other).await;
                        came = self.moment();
                        ending
                    }
                    Err(_) => self.act(&Input::Garbage),
                },
                Ok(None) => match self.read_more().await {
                    Some(Came::Bytes) => {
                        came = self.moment();
                        continue;
                    }
                    Some(Came::End) => Some(Ending::Goodbye),
                    None => return Taken::All,
                },
            };
            if let Some(ending) = ending {
                return Taken::Last(ending);
            }
            if self.pace.is_turn_over() {
                break;
            }
            if self.stream.is_full() {
                self.stream.flush().await;
                came = self.moment();
            }
        }
        Taken::Some
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            time: self.gateway.directory().house().clock.now(),
            instant: Instant::now(),
        }
    }
}
