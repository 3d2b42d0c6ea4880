//! The floors: servers made of the same crates, TLS provider and threads as the daemon's port for
//! runtimes, that send the same bytes both ways and decide nothing.
//!
//! Each is a process of its own. One thread accepts; as many as there are cores serve, each with
//! its own reactor, as the daemon's arbiters do.

mod accept;
mod codec;
mod echo;
mod handler;
mod threads;
mod tls;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use provost_protocol::InstallId;
use serde::{Deserialize, Serialize};

pub(crate) use self::echo::{echoed, greeting as echo_greeting};
use crate::worker::{Orders, answer};

/// What a floor is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// Whose kernel it poses as, so that clients take it for one.
    pub(crate) install: InstallId,
    /// Who vouches for its clients.
    pub(crate) clients_pem: String,
}

/// Which floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Sends back what it gets.
    Echo,
    /// Decodes requests and encodes a ready verdict.
    Codec,
    /// Answers HTTP with this ready body.
    Handler { body: String },
    /// Accepts, says one byte, and holds 2 KiB for each connection.
    Accept,
}

/// Where a floor listens, and who vouches for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub(crate) addr: SocketAddr,
    pub(crate) root_pem: String,
}

/// Runs a floor until it is told to end.
///
/// # Errors
/// Whatever kept it from listening.
pub(crate) fn serve() -> anyhow::Result<ExitCode> {
    provost::limits::raise_open_files()?;
    let mut orders = Orders::open();
    let spec: Spec = orders.next()?.context("no spec")?;
    let alpn: &[u8] = match spec.kind {
        Kind::Handler { .. } => b"http/1.1",
        Kind::Echo | Kind::Codec | Kind::Accept => provost_protocol::wire::ALPN,
    };
    let identity = tls::Identity::new(spec.install, &spec.clients_pem, alpn)?;
    let addr = match spec.kind {
        Kind::Echo => threads::serve(&identity, echo::serve),
        Kind::Codec => threads::serve(&identity, codec::serve),
        Kind::Handler { body } => {
            let routes = handler::routes(body);
            threads::serve(&identity, move |stream| {
                handler::serve(stream, routes.clone())
            })
        }
        Kind::Accept => threads::serve(&identity, accept::serve),
    }?;
    answer(&Listening {
        addr,
        root_pem: identity.root_pem().to_owned(),
    })?;
    while orders.next::<serde::de::IgnoredAny>()?.is_some() {}
    Ok(ExitCode::SUCCESS)
}
