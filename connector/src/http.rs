//! HTTP/1.1 over a stream that is open already: enrolment, recovery, and the command line.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
    time::timeout,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The peer does not speak HTTP, or the stream broke.
    #[error("no HTTP answer")]
    Http(#[source] hyper::Error),
    /// The answer is too large or broke off.
    #[error("no whole HTTP answer")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer took too long.
    #[error("no HTTP answer within {} ms", .0.as_millis())]
    Deadline(Duration),
}

/// Sends one request; gives status and body.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    deadline: Duration,
) -> Result<(StatusCode, Bytes), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let talk = async {
        Talk::begin(stream, deadline)
            .await?
            .ask(request, deadline)
            .await
    };
    timeout(deadline, talk)
        .await
        .map_err(|_| ExchangeError::Deadline(deadline))?
}

/// A connection on which one request follows another.
#[derive(Debug)]
pub(crate) struct Talk {
    sender: SendRequest<Full<Bytes>>,
    driving: AbortHandle,
}

impl Talk {
    /// Begins to speak HTTP/1.1 over a stream that is open.
    pub(crate) async fn begin<S>(stream: S, deadline: Duration) -> Result<Self, ExchangeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let begun = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (sender, connection) = timeout(deadline, begun)
            .await
            .map_err(|_| ExchangeError::Deadline(deadline))?
            .map_err(ExchangeError::Http)?;
        let driving = tokio::spawn(connection).abort_handle();
        Ok(Self { sender, driving })
    }

    /// Sends a request; gives status and body.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
        deadline: Duration,
    ) -> Result<(StatusCode, Bytes), ExchangeError> {
        let asked = async {
            self.sender.ready().await.map_err(ExchangeError::Http)?;
            let answer = self
                .sender
                .send_request(request)
                .await
                .map_err(ExchangeError::Http)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(ExchangeError::Body)?
                .to_bytes();
            Ok((status, body))
        };
        timeout(deadline, asked)
            .await
            .map_err(|_| ExchangeError::Deadline(deadline))?
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// A status with ten thousand tenants of about 300 bytes; everything else is far smaller.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
