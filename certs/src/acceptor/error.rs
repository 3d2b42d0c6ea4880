//! Why a connection did not come about, and whose fault it was.

use std::{io, time::Duration};

use crate::certificate::{self, CertificateFault};

/// Who must act when a handshake fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The other side: its certificate, its protocol, its silence.
    Peer,
    /// The way between.
    Network,
    /// This daemon: someone must look.
    Kernel,
}

/// Why a handshake failed. The connection is closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The peer was too slow, or silent.
    #[error("the peer did not finish its handshake within {} ms", deadline.as_millis())]
    Deadline {
        /// How long it had.
        deadline: Duration,
    },
    /// The connection broke off.
    #[error("the connection broke off during the handshake")]
    Gone(#[source] io::Error),
    /// The peer's certificate is refused.
    #[error("the peer's certificate is refused")]
    Certificate(#[source] CertificateFault),
    /// The peer does not speak TLS 1.3, or nothing we do.
    #[error("the peer does not speak our protocol")]
    Protocol(#[source] rustls::Error),
    /// The peer refused us: most often it trusts another root.
    #[error("the peer refused the handshake")]
    Refused(#[source] rustls::Error),
    /// Something of ours failed.
    #[error("the handshake failed on our side")]
    Internal(#[source] rustls::Error),
}

impl AcceptError {
    /// Who must act.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Deadline { .. } | Self::Certificate(_) | Self::Protocol(_) | Self::Refused(_) => {
                Blame::Peer
            }
            Self::Gone(_) => Blame::Network,
            Self::Internal(_) => Blame::Kernel,
        }
    }

    /// A stable word for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::Gone(_) => "gone",
            Self::Certificate(_) => "certificate",
            Self::Protocol(_) => "protocol",
            Self::Refused(_) => "refused",
            Self::Internal(_) => "internal",
        }
    }

    pub(super) fn of_handshake(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(error) => Self::of_tls(error),
            Err(error) => Self::Gone(error),
        }
    }

    fn of_tls(error: rustls::Error) -> Self {
        if let Some(fault) = certificate::from_rustls(&error) {
            return Self::Certificate(fault);
        }
        match error {
            rustls::Error::AlertReceived(_) => Self::Refused(error),
            rustls::Error::EncryptError
            | rustls::Error::FailedToGetCurrentTime
            | rustls::Error::FailedToGetRandomBytes
            | rustls::Error::General(_) => Self::Internal(error),
            _ => Self::Protocol(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_someone_to_blame() {
        let tls = |error: rustls::Error| AcceptError::of_handshake(io::Error::other(error));
        for (error, blame, kind) in [
            (tls(rustls::Error::DecryptError), Blame::Peer, "protocol"),
            (tls(rustls::Error::EncryptError), Blame::Kernel, "internal"),
            (
                tls(rustls::Error::AlertReceived(
                    rustls::AlertDescription::UnknownCA,
                )),
                Blame::Peer,
                "refused",
            ),
            (
                tls(certificate::to_rustls(CertificateFault::ManyNames)),
                Blame::Peer,
                "certificate",
            ),
            (
                AcceptError::of_handshake(io::ErrorKind::ConnectionReset.into()),
                Blame::Network,
                "gone",
            ),
        ] {
            assert_eq!((error.blame(), error.kind()), (blame, kind), "{error:?}");
        }
    }
}
