//! Dials, holds a session, and dials again.

use std::{sync::Arc, time::Duration};

use provost_certs::{Alpn, ClientStream, Keystore, RuntimeTls};
use provost_protocol::{Code, entity::RuntimeStatus};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    CallError, LinkError, LinkState, Order,
    backoff::Backoff,
    session::{Ended, Session},
};
use crate::{
    clock::up_to,
    core::{Core, News},
};

/// What dialling takes.
#[derive(Debug)]
pub(crate) struct Dial {
    /// `host:port` of the kernel.
    pub(crate) addr: String,
    /// Where key and certificate lie: read at every attempt, for they may be replaced.
    pub(crate) keystore: Keystore,
    /// What callers ask.
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Set when the connector stops.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Keeps a session up until the connector stops.
pub(crate) async fn run(core: Arc<Core>, mut dial: Dial) {
    let mut backoff = Backoff::default();
    loop {
        let begun = Instant::now();
        let ended = tokio::select! {
            biased;
            () = stopped(&mut dial.stop) => break,
            connected = connect(&core, &dial.addr, &dial.keystore) => match connected {
                Ok(stream) => session(&core, stream, &mut dial).await,
                Err(error) => Err(error),
            },
        };
        core.tenants.disconnected();
        if begun.elapsed() > LASTED {
            backoff.reset();
        }
        let wait = match ended {
            Ok(Ended::Stopped) => break,
            Ok(Ended::Again) => {
                core.link.send_replace(LinkState::Starting);
                continue;
            }
            Ok(Ended::Goodbye { retry_after }) => {
                info!(
                    retry.ms = retry_after.as_millis(),
                    "the kernel said goodbye"
                );
                down(&core, "the kernel said goodbye");
                // Spread, for everybody was told the same moment.
                retry_after + up_to(retry_after / 4) + backoff.next()
            }
            Err(failure) => {
                if matches!(&failure, LinkError::Refused(problem)
                    if problem.code == Code::RuntimeRevoked)
                {
                    // Not away but refused for ever: no license outlives this word.
                    drop(core.news.send(News::Status(RuntimeStatus::Revoked)).await);
                    core.taken_in().await;
                }
                report(&failure);
                down(&core, &failure.to_string());
                backoff.next()
            }
        };
        if !idle(&mut dial, wait).await {
            break;
        }
    }
}

async fn session(
    core: &Arc<Core>,
    stream: ClientStream,
    dial: &mut Dial,
) -> Result<Ended, LinkError> {
    let mut session = Session::open(core, stream).await?;
    session.serve(&mut dial.orders, &mut dial.stop).await
}

async fn connect(core: &Core, addr: &str, keystore: &Keystore) -> Result<ClientStream, LinkError> {
    let store = keystore.clone();
    let keys = tokio::task::spawn_blocking(move || Ok((store.pair()?, store.trust()?)));
    let (pair, trust) = keys
        .await
        .map_err(|_| LinkError::Overrun)?
        .map_err(LinkError::Keys)?;
    let tls = RuntimeTls::new(&trust, core.me.install, &pair, Alpn::Provost1)
        .map_err(LinkError::Connect)?;
    tls.connect(addr, CONNECT_MAX)
        .await
        .map_err(LinkError::Connect)
}

/// Waits, and tells everybody who asks meanwhile that the link is down. False when it is to stop.
async fn idle(dial: &mut Dial, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut dial.stop) => return false,
            order = dial.orders.recv() => match order {
                Some(order) => drop(order.reply.send(Err(CallError::Down))),
                // Nobody can ask any more; the link is kept for heartbeats all the same.
                None => sleep_until(until).await,
            },
            () = sleep_until(until) => return true,
        }
    }
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A connector that was dropped is one that stops.
    drop(stop.wait_for(|stop| *stop).await);
}

fn down(core: &Core, reason: &str) {
    core.link.send_replace(LinkState::Down {
        reason: reason.to_owned(),
    });
}

fn report(failure: &LinkError) {
    let source = failure as &dyn std::error::Error;
    match failure {
        // Somebody must act: waiting heals none of these.
        LinkError::Certificate
        | LinkError::Keys(_)
        | LinkError::Refused(_)
        | LinkError::Connect(provost_certs::ConnectError::Kernel(_)) => {
            error!(error = source, "no session with the kernel");
        }
        LinkError::Connect(_)
        | LinkError::Stream(_)
        | LinkError::Closed
        | LinkError::Frame(_)
        | LinkError::Message(_)
        | LinkError::OutOfTurn { .. }
        | LinkError::Deadline { .. }
        | LinkError::Overrun => warn!(error = source, "no session with the kernel"),
    }
}

/// A handshake over a slow line with one lost packet.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A session that lasted for so long was a good one: its end is the first failure of a new row.
const LASTED: Duration = Duration::from_secs(10);
