//! Why there is no connection to the kernel.

use std::{io, time::Duration};

use rustls::AlertDescription;

use crate::certificate::{self, CertificateFault};

/// Why a connection to the kernel did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not `host:port`. Whoever configured it must act.
    #[error("{addr:?} is not host:port")]
    Address {
        /// The address as it was given.
        addr: String,
    },
    /// Nobody answers there. Trying again later may help.
    #[error("the kernel cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The answer took too long. Trying again later may help.
    #[error("no connection to the kernel within {} ms", deadline.as_millis())]
    Deadline {
        /// How long there was.
        deadline: Duration,
    },
    /// Whoever answers is not our kernel. Trying again does not help.
    #[error("whoever answers is not our kernel")]
    Kernel(#[source] CertificateFault),
    /// The kernel does not speak the protocol asked for.
    #[error("the kernel speaks another protocol")]
    Alpn,
    /// TLS failed otherwise; also when the kernel refused the handshake.
    #[error("no TLS session with the kernel")]
    Tls(#[source] rustls::Error),
}

impl ConnectError {
    pub(super) fn of_handshake(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(error) => match certificate::from_rustls(&error) {
                Some(fault) => Self::Kernel(fault),
                None if is_alpn(&error) => Self::Alpn,
                None => Self::Tls(error),
            },
            Err(error) => Self::Unreachable(error),
        }
    }
}

/// Whether an error while reading means that the kernel refused our certificate, rather than that
/// the line broke. The certificate must then be renewed or recovered; dialling again is useless.
#[must_use]
pub fn refused_certificate(error: &io::Error) -> bool {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        tls,
        Some(rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate
        ))
    )
}

fn is_alpn(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | rustls::Error::NoApplicationProtocol
    )
}
