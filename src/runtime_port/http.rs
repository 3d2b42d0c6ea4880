//! HTTP over one accepted stream, with a bound on everything a peer can do to it.

use std::time::Duration;

use axum::{Router, extract::Request};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use provost_certs::{Alpn, TlsStream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tower::util::MapRequest;

use super::{drained, patient::Patient};

/// Serves `routes` until the peer, its silence, or the kernel's stop ends it; or `refused` does,
/// which is looked after once the peer has asked for something.
pub(super) async fn serve(
    stream: TlsStream,
    alpn: Alpn,
    routes: Router,
    mut draining: watch::Receiver<bool>,
    refused: impl Future<Output = ()>,
) {
    let (heard, last) = watch::channel(None);
    let note = move |request: Request<Incoming>| {
        heard.send_replace(Some(Instant::now()));
        request
    };
    let service = TowerToHyperService::new(MapRequest::new(routes, note));
    let io = TokioIo::new(Patient::new(stream, WRITE_WITHIN));
    let connection = builder(alpn).serve_connection(io, service).into_owned();
    let mut connection = std::pin::pin!(connection);
    // Looked at when one of them is over, and not whenever the connection does something: the
    // kernel's stop is one thing that all connections of all threads look at.
    let mut ends = FuturesUnordered::new();
    ends.push(async {
        tokio::select! {
            () = silence(last.clone()) => End::Silence,
            () = once_heard(last, refused) => End::Refused,
            () = drained(&mut draining) => End::Drain,
        }
    });
    let end = tokio::select! {
        served = connection.as_mut() => return told(served),
        end = ends.next() => end,
    };
    match end {
        Some(End::Drain) => {
            // What was asked is answered; then the connection closes.
            connection.as_mut().graceful_shutdown();
            told(connection.await);
        }
        Some(End::Refused) => {
            // What is under way hears its own refusal; whoever does not go then is cut off.
            connection.as_mut().graceful_shutdown();
            match timeout(LAST_ANSWERS_WITHIN, connection).await {
                Ok(served) => told(served),
                Err(_) => tracing::debug!("a peer that is refused did not go"),
            }
        }
        Some(End::Silence) | None => {
            tracing::debug!("an HTTP connection was silent for too long");
        }
    }
}

/// Why the kernel ends a connection.
enum End {
    Silence,
    Drain,
    /// Whoever it is would be refused whatever it asked.
    Refused,
}

fn told<E: std::fmt::Display>(served: Result<(), E>) {
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

fn builder(alpn: Alpn) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_OF_OURS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_WITHIN)
        .max_header_list_size(HEADER_LIST_MAX);
    // ALPN has said which: nothing waits without a deadline for a first byte to tell them apart.
    match alpn {
        Alpn::H2 => builder.http2_only(),
        Alpn::Http11 | Alpn::Provost1 => builder.http1_only(),
    }
}

/// Ends when no request began for too long; the first must begin soon.
async fn silence(last: watch::Receiver<Option<Instant>>) {
    let opened = Instant::now();
    let until = || {
        let heard = *last.borrow();
        heard.map_or(opened + FIRST_REQUEST_WITHIN, |heard| heard + IDLE_MAX)
    };
    loop {
        let deadline = until();
        sleep_until(deadline).await;
        if until() <= deadline {
            return;
        }
    }
}

/// Waits for `then` from the first request on.
async fn once_heard(mut last: watch::Receiver<Option<Instant>>, then: impl Future<Output = ()>) {
    if last.wait_for(Option::is_some).await.is_ok() {
        then.await;
    } else {
        // The connection itself is over.
        std::future::pending().await
    }
}

/// A request's head comes in one packet or two; slow ones are attacks.
const HEADERS_WITHIN: Duration = Duration::from_secs(15);

/// The same for the first request: HTTP/2 has no such deadline of its own.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// Twice the longest interval between two beats. It also ends streams that a peer keeps open by
/// leaving no room for their answers.
const IDLE_MAX: Duration = Duration::from_secs(11 * 60);

/// A peer that takes nothing for ten seconds is gone, or means harm; as on frames.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// A call is answered within five seconds, and its answer taken within as many; the rest of a
/// connection that is refused is of no use to anybody.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// The contract's headers take under 1 KiB.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// The same for HTTP/2.
const HEADER_LIST_MAX: u32 = 32 * 1024;

/// As many as frames may have in flight.
const STREAMS_MAX: u32 = 64;

/// Streams that were opened and reset before we looked at them (CVE-2023-44487, "rapid reset"): a
/// client that gives up a third of what it may have open has lost its mind, and the connection.
const RESETS_PENDING_MAX: usize = 20;

/// Streams that we reset for a peer's errors (CVE-2025-8671, "made you reset"): honest ones make
/// none.
const RESETS_OF_OURS_MAX: usize = 64;

/// What one request may have under way to us: a call of 1 MiB comes in a few round trips.
const STREAM_WINDOW: u32 = 256 * 1024;

/// And all requests of a connection: what a peer can make us hold.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What we hold for a peer that reads slowly, of each stream; most answers take 1 KiB.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// A dead peer is noticed within a grace.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A ping is answered without anybody's help; this is for the line.
const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_first_request_must_come_soon_and_later_ones_within_two_intervals() {
        let (heard, last) = watch::channel(None);
        let began = Instant::now();
        silence(last.clone()).await;
        assert_eq!(began.elapsed(), FIRST_REQUEST_WITHIN);

        let began = Instant::now();
        let asking = async {
            for _ in 0..3 {
                heard.send_replace(Some(Instant::now()));
                tokio::time::sleep(IDLE_MAX - Duration::from_secs(1)).await;
            }
        };
        tokio::join!(asking, silence(last));
        assert_eq!(
            began.elapsed(),
            (IDLE_MAX - Duration::from_secs(1)) * 2 + IDLE_MAX
        );
    }
}
