//! What wakes a session, the kernel's own stop first.

use std::time::Duration;

use bytes::Bytes;
use provost_protocol::{TenantId, wire::Answer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
};

use super::{Life, interests::Interests, reader::FrameReader};
use crate::{Known, Opened};

/// What wakes a session.
pub(super) enum Event {
    Frame(Result<Option<Bytes>, ()>),
    Answer(Answer),
    Revised(TenantId),
    Replaced,
    Drain,
    Tick,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Life<S> {
    pub(super) async fn next(
        &mut self,
        reader: &mut FrameReader<S>,
        answered: &mut mpsc::Receiver<Answer>,
    ) -> Event {
        let now = self.settings.gateway.directory().house().clock.now();
        let wait = self
            .machine
            .deadline()
            .map_or(u64::MAX, |at| at.millis_since(now).max(1));
        let rest = self.pace.rest();
        let wait = Duration::from_millis(wait).min(rest.unwrap_or(Duration::MAX));
        let generation = self.machine.generation();
        let draining = &mut self.settings.draining;
        tokio::select! {
            biased;
            () = drained(draining), if !self.told_to_drain => Event::Drain,
            () = replaced(&mut self.opened, generation) => Event::Replaced,
            Some(answer) = answered.recv() => Event::Answer(answer),
            tenant = revised(&mut self.interests) => Event::Revised(tenant),
            frame = reader.next(), if rest.is_none() => Event::Frame(frame),
            () = tokio::time::sleep(wait) => Event::Tick,
        }
    }
}

async fn drained(draining: &mut watch::Receiver<bool>) {
    // An error means that nobody can stop the kernel any more: then nobody does.
    if draining.wait_for(|draining| *draining).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn replaced(opened: &mut Option<(Opened, Known)>, generation: u64) {
    match opened {
        Some((opened, _)) => {
            let _ = opened
                .generations
                .wait_for(|newest| *newest > generation)
                .await;
        }
        None => std::future::pending().await,
    }
}

async fn revised(interests: &mut Option<Interests>) -> TenantId {
    match interests {
        Some(interests) => interests.revised().await,
        None => std::future::pending().await,
    }
}
