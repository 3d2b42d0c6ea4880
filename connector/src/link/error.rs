//! Why a session ended or never began.

use std::time::Duration;

use provost_certs::{ConnectError, KeystoreError};
use provost_protocol::{Problem, codec::CodecError, frame::FrameError};

use crate::route::ProxyError;

/// Why there is no session with the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The proxy on the way opened no tunnel.
    #[error("{0}")]
    Proxy(#[source] ProxyError),
    /// No TLS session came about.
    #[error("{0}")]
    Connect(#[source] ConnectError),
    /// The runtime's own keys cannot be read.
    #[error("the runtime's keys cannot be read")]
    Keys(#[source] KeystoreError),
    /// The kernel refused the runtime's certificate: it must be renewed or recovered.
    #[error("the kernel refuses this runtime's certificate")]
    Certificate,
    /// The kernel refused the session.
    #[error("the kernel refuses the session: {}: {}", .0.code, .0.detail)]
    Refused(Problem),
    /// The stream broke.
    #[error("the stream to the kernel broke")]
    Stream(#[source] std::io::Error),
    /// The kernel closed the stream.
    #[error("the kernel closed the stream")]
    Closed,
    /// What came is no frame.
    #[error("the kernel sent no frame: {0}")]
    Frame(#[source] FrameError),
    /// What came is no message.
    #[error("the kernel sent no message: {0}")]
    Message(#[source] CodecError),
    /// The kernel spoke out of turn.
    #[error("the kernel sent {what} out of turn")]
    OutOfTurn {
        /// What it sent.
        what: &'static str,
    },
    /// The kernel was silent, or took nothing, for too long.
    #[error("no {what} within {ms} ms")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        ms: u128,
    },
    /// The connector cannot keep up with its own disk.
    #[error("what the kernel sent cannot be taken in")]
    Overrun,
}

impl LinkError {
    /// When the kernel wants to see the connector again, where it said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let Self::Refused(problem) = self else {
            return None;
        };
        problem.retry_after_ms.map(Duration::from_millis)
    }
}
