//! After the handshake: each connection goes to where it is served, or is told why it is not.

use std::{
    future::pending,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, response::IntoResponse};
use provost_actors::{
    Budget, Spawner,
    session::{SessionSettings, serve as serve_session},
};
use provost_certs::{Accepted, Alpn, TlsStream, detach};
use provost_kernel::session::Ending;
use provost_protocol::{
    Code, CorrelationId, Problem, RuntimeId, TenantId, codec, wire::ServerMessage,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};

use super::{Remote, RuntimePort, door::Queued, http, shares::Share};
use crate::{
    problem::Refusal,
    telemetry::names::{CONNECTIONS, CONNECTIONS_REFUSED},
};

/// A place among the open connections, counted while it is held.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Held,
}

/// Whose share the place is of.
pub(super) enum Held {
    /// One runtime's, and its tenant's.
    Runtime {
        _share: Share<RuntimeId>,
        _of_tenant: Share<TenantId>,
    },
    /// Of whoever comes without a certificate from one network.
    Stranger { _share: Share<IpAddr> },
}

impl Place {
    pub(super) fn take(permit: OwnedSemaphorePermit, share: Held) -> Self {
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Self {
            _permit: permit,
            _share: share,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1.0);
    }
}

/// Moves an accepted stream to where it is served.
pub(super) async fn hand_over(
    accepted: Accepted,
    port: RuntimePort,
    draining: watch::Receiver<bool>,
    place: Place,
) {
    let Accepted {
        stream,
        identity,
        alpn,
        peer_addr,
    } = accepted;
    let Some(identity) = identity else {
        return serve_stranger(stream, alpn, port, peer_addr, draining, place).await;
    };
    let spawner: Spawner = port.gateway.directory().spawner().clone();
    let arbiter = spawner.place(&identity.tenant);
    let detached = match detach(stream) {
        Ok(detached) => detached,
        Err(error) => return tracing::debug!(%error, "a stream could not be moved"),
    };
    // Each in a room of its own size: most connections are of frames, and wait.
    let served = spawner.spawn_on(arbiter, move || -> Pin<Box<dyn Future<Output = ()>>> {
        let stream = match detached.attach() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a stream could not be moved");
                return Box::pin(std::future::ready(()));
            }
        };
        match alpn {
            Alpn::Provost1 => {
                let settings = SessionSettings {
                    gateway: port.gateway,
                    identity,
                    address: peer_addr,
                    draining,
                };
                Box::pin(frames(Box::pin(serve_session(stream, settings)), place))
            }
            Alpn::H2 | Alpn::Http11 => {
                let budget: Budget = port.gateway.budgets().connection(identity.tenant);
                let remote = Remote {
                    identity: Some(identity.clone()),
                    address: peer_addr,
                    exporter: None,
                    budget: Some(Arc::new(budget)),
                };
                let gateway = port.gateway.clone();
                let refused = async move {
                    let problem = gateway.until_refused(&identity).await;
                    tracing::debug!(code = %problem.code, "an HTTP connection is refused");
                };
                let calls = http::serve(stream, alpn, port.routes(remote), draining, refused);
                Box::pin(async move {
                    let _place = place;
                    calls.await;
                })
            }
        }
    });
    if let Err(error) = served {
        tracing::warn!(%error, "a connection found no arbiter");
    }
}

/// Tells a connection for which there is no place when to come again; it keeps its place in the
/// queue meanwhile, so that these are bounded too.
pub(super) async fn turn_away(accepted: Accepted, port: RuntimePort, _queued: Queued) {
    metrics::counter!(CONNECTIONS_REFUSED, "why" => "full").increment(1);
    let house = port.gateway.directory().house();
    let correlation = CorrelationId::from_parts(house.clock.now(), house.random.id_bytes());
    let detail = "the kernel has as many connections open as it may";
    let problem = Problem::new(Code::Overloaded, detail)
        .retry_after_ms(port.gateway.budgets().come_back_ms())
        .correlated(correlation);
    let told = tell(accepted.stream, accepted.alpn, problem);
    let _ = timeout(TOLD_WITHIN, told).await;
}

async fn tell(stream: TlsStream, alpn: Alpn, problem: Problem) {
    if alpn == Alpn::Provost1 {
        return refuse_frames(stream, problem).await;
    }
    // One answer, and then an orderly end: the next try is another connection's.
    let (told, draining) = watch::channel(false);
    let refusing = move || {
        let problem = problem.clone();
        told.send_replace(true);
        async move { Refusal::from(problem).into_response() }
    };
    let routes = Router::new().fallback(refusing);
    http::serve(stream, alpn, routes, draining, pending()).await;
}

async fn frames(session: Pin<Box<impl Future<Output = Ending>>>, _place: Place) {
    let ending = session.await;
    metrics::counter!(SESSIONS_ENDED, "why" => format!("{ending:?}")).increment(1);
}

/// Who shows no certificate reaches enrolment and recovery over HTTP, and nothing else.
async fn serve_stranger(
    stream: TlsStream,
    alpn: Alpn,
    port: RuntimePort,
    address: SocketAddr,
    draining: watch::Receiver<bool>,
    _place: Place,
) {
    if alpn == Alpn::Provost1 {
        let detail = "connect with the runtime's certificate; enroll first";
        let problem = Problem::new(Code::CertificateRequired, detail);
        let _ = timeout(TOLD_WITHIN, refuse_frames(stream, problem)).await;
        return;
    }
    let remote = Remote {
        identity: None,
        address,
        exporter: stream.recovery_exporter(),
        budget: None,
    };
    let served = http::serve(stream, alpn, port.routes(remote), draining, pending());
    let _ = timeout(STRANGER_WITHIN, served).await;
}

/// Says one word of refusal, and waits until the peer has hung up: closing on what it still sends
/// would reset the connection, and the word with it.
async fn refuse_frames(mut stream: TlsStream, problem: Problem) {
    let Ok(frame) = codec::encode_frame(&ServerMessage::Refused(problem)) else {
        return;
    };
    if stream.write_all(&frame).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut unread = [0; 4 * 1024];
    while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {}
}

/// One word, and the time to take it.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// An enrolment takes one request; who shows no certificate has no business staying.
const STRANGER_WITHIN: Duration = Duration::from_secs(30);

const SESSIONS_ENDED: &str = "provost_sessions_ended_total";
