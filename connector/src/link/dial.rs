//! Dials, holds a session, and dials again.

use std::{sync::Arc, time::Duration};

use provost_certs::{Alpn, ClientStream, Keystore, RuntimeTls, kernel_certificate};
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
    core::{Core, News},
    recover::{RecoverError, recover},
    route::Route,
};

/// What dialling takes.
#[derive(Debug)]
pub(crate) struct Dial {
    /// `host:port` of the kernel.
    pub(crate) addr: String,
    /// The way there.
    pub(crate) route: Route,
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
    let mut recovery = None;
    loop {
        let ended = tokio::select! {
            biased;
            () = stopped(&mut dial.stop) => break,
            connected = connect(&core, &dial.addr, &dial.route, &dial.keystore) => match connected {
                Ok(stream) => session(&core, stream, &mut dial, &mut backoff).await,
                Err(error) => Err(error),
            },
        };
        core.tenants.disconnected();
        let ended = match ended {
            Err(LinkError::Certificate) => {
                // Who asks meanwhile waits a little, and not for a session that has ended.
                core.link.send_if_modified(|state| {
                    let was_up = state.is_up();
                    if was_up {
                        *state = LinkState::Starting;
                    }
                    was_up
                });
                recovered(&core, &dial, &mut recovery).await
            }
            other => other,
        };
        core.trust.disconnected();
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
                backoff.next(Some(retry_after))
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
                backoff.next(failure.retry_after())
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
    backoff: &mut Backoff,
) -> Result<Ended, LinkError> {
    core.trust.connected(kernel_certificate(&stream));
    let mut session = Session::open(core, stream).await?;
    let opened = Instant::now();
    let ended = session.serve(&mut dial.orders, &mut dial.stop).await;
    backoff.ended(opened.elapsed());
    ended
}

/// What the binding key brings, where the certificate in use is refused.
async fn recovered(
    core: &Arc<Core>,
    dial: &Dial,
    last: &mut Option<Instant>,
) -> Result<Ended, LinkError> {
    // A kernel that gives certificates and refuses them is asked for no more of them.
    if last.is_some_and(|last| last.elapsed() < RECOVERED_LEAST) {
        return Err(LinkError::Certificate);
    }
    match recover(core, &dial.addr, &dial.route).await {
        Ok(()) => {
            *last = Some(Instant::now());
            Ok(Ended::Again)
        }
        Err(failure) => {
            if matches!(&failure, RecoverError::Refused(problem)
                if problem.code == Code::RuntimeRevoked)
            {
                drop(core.news.send(News::Status(RuntimeStatus::Revoked)).await);
                core.taken_in().await;
            }
            let source = &failure as &dyn std::error::Error;
            error!(
                error = source,
                "the certificate is refused, and the runtime does not recover"
            );
            match failure {
                // So many recover that this one is to come later.
                RecoverError::Refused(problem) if problem.retry_after_ms.is_some() => {
                    Err(LinkError::Refused(problem))
                }
                _ => Err(LinkError::Certificate),
            }
        }
    }
}

async fn connect(
    core: &Arc<Core>,
    addr: &str,
    route: &Route,
    keystore: &Keystore,
) -> Result<ClientStream, LinkError> {
    let (reading, store) = (Arc::clone(core), keystore.clone());
    let keys = tokio::task::spawn_blocking(move || Ok((reading.identity.pair()?, store.trust()?)));
    let (pair, trust) = keys
        .await
        .map_err(|_| LinkError::Overrun)?
        .map_err(LinkError::Keys)?;
    let tls = RuntimeTls::new(&trust, core.me.install, &pair, Alpn::Provost1)
        .map_err(LinkError::Connect)?
        .not_earlier_than(core.floor.passed());
    let tunnel = route.tunnel(addr).await.map_err(LinkError::Proxy)?;
    let connected = match tunnel {
        Some(tunnel) => tls.connect_through(tunnel, addr, CONNECT_MAX).await,
        None => tls.connect(addr, CONNECT_MAX).await,
    };
    connected.map_err(LinkError::Connect)
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
        LinkError::Proxy(proxy) if proxy.needs_somebody() => {
            error!(error = source, "no session with the kernel");
        }
        LinkError::Proxy(_)
        | LinkError::Connect(_)
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

/// A certificate lasts for a day at least: one that is refused at once is not to be had again soon.
const RECOVERED_LEAST: Duration = Duration::from_secs(60);
