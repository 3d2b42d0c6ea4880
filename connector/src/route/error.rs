//! Why there is no way through a proxy.

use std::{io, time::Duration};

/// Why a proxy opened no tunnel. No text here ever holds its password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy's address is none. Whoever configured it must act.
    #[error("the proxy must be http://[user:password@]host:port: {why}")]
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The proxy is of a kind that is not spoken. Whoever configured it must act.
    #[error("proxies of {scheme:?} are not spoken, only http://host:port")]
    Scheme {
        /// What the address begins with.
        scheme: String,
    },
    /// The address behind the proxy is none. Whoever configured it must act.
    #[error("{addr:?} is no address for a proxy")]
    Address {
        /// The address as it was given.
        addr: String,
    },
    /// Nobody answers where the proxy should be. Trying again later may help.
    #[error("the proxy {proxy} cannot be reached")]
    Unreachable {
        /// Its host and port.
        proxy: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The proxy took too long. Trying again later may help.
    #[error("the proxy {proxy} opened no tunnel within {} ms", deadline.as_millis())]
    Deadline {
        /// Its host and port.
        proxy: String,
        /// How long it had.
        deadline: Duration,
    },
    /// The proxy wants to know who asks (407). Whoever configured it must act.
    #[error("the proxy {proxy} wants other credentials than {} (407)", if *sent { "those it got" } else { "none" })]
    Credentials {
        /// Its host and port.
        proxy: String,
        /// Whether it was given any.
        sent: bool,
    },
    /// The proxy refuses. Whoever runs it must act, or its way to the kernel is broken.
    #[error("the proxy {proxy} refuses the tunnel with status {status}")]
    Refused {
        /// Its host and port.
        proxy: String,
        /// What it answered.
        status: u16,
    },
    /// What came is no answer of a proxy.
    #[error("the proxy {proxy} does not speak HTTP: {why}")]
    Answer {
        /// Its host and port.
        proxy: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl ProxyError {
    /// Whether somebody must act: waiting does not heal it.
    #[must_use]
    pub const fn needs_somebody(&self) -> bool {
        match self {
            Self::Malformed { .. }
            | Self::Scheme { .. }
            | Self::Address { .. }
            | Self::Credentials { .. }
            | Self::Refused { .. }
            | Self::Answer { .. } => true,
            Self::Unreachable { .. } | Self::Deadline { .. } => false,
        }
    }
}

/// By what they say: the operating system's own error cannot be compared.
#[cfg(test)]
impl PartialEq for ProxyError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
