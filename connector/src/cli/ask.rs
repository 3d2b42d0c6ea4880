//! Asks a running connector over its local API. Loopback never goes through a proxy.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use provost_protocol::{
    Problem, TenantId,
    v01::{CheckAnswer, CheckContext, CheckRequest},
};
use serde::de::DeserializeOwned;
use tokio::{net::TcpStream, time::timeout};

use super::{Exit, Output, say};
use crate::{
    core::OPERATOR_TOKEN_FILE,
    durable,
    http::{ExchangeError, exchange},
    status::Status,
};

/// Why a running connector gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("no connector answers on {addr}; is it running?")]
    NotRunning {
        addr: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("{0}")]
    Exchange(#[source] ExchangeError),
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Problem),
    #[error("{0} answers something else than a connector")]
    Answer(SocketAddr),
}

/// What `check` asks.
#[derive(Debug)]
pub(super) struct Checking {
    pub(super) feature: String,
    pub(super) resource: Option<String>,
    pub(super) tenant: Option<TenantId>,
    pub(super) data: PathBuf,
}

pub(super) async fn status(local: SocketAddr, output: Output) -> anyhow::Result<Exit> {
    let status: Status = read(local, &get(local, "/status").await?)?;
    match output {
        Output::Text => say(status.to_text().trim_end())?,
        Output::Json => say(&serde_json::to_string_pretty(&status)?)?,
    }
    Ok(Exit::Done)
}

pub(super) async fn license(local: SocketAddr, tenant: Option<TenantId>) -> anyhow::Result<Exit> {
    let path = tenant.map_or("/license".to_owned(), |id| format!("/license?tenant={id}"));
    let text = get(local, &path).await?;
    say(String::from_utf8_lossy(&text).trim_end())?;
    Ok(Exit::Done)
}

pub(super) async fn check(
    local: SocketAddr,
    checking: Checking,
    output: Output,
) -> anyhow::Result<Exit> {
    let status: Status = read(local, &get(local, "/status").await?)?;
    let token = operator_token(&checking.data)?;
    let tenant_id = checking.tenant.unwrap_or(status.tenant_id);
    let body = CheckRequest {
        tenant_id,
        runtime_id: status.runtime_id,
        feature: checking.feature,
        context: checking.resource.map(|resource| CheckContext {
            resource: Some(resource),
            consume: None,
        }),
    };
    let request = Request::builder()
        .method(Method::POST)
        .uri("/kernel/entitlements/check")
        .header(header::HOST, local.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-contract-version", "v0.1")
        .header("x-tenant-id", tenant_id.to_string())
        .header("x-runtime-id", status.runtime_id.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Full::new(Bytes::from(serde_json::to_vec(&body)?)))?;
    let answer: CheckAnswer = read(local, &talk(local, request).await?)?;
    match output {
        Output::Text => {
            let word = if answer.allowed { "allowed" } else { "denied" };
            say(&format!("{word}: {}", answer.reason))?;
        }
        Output::Json => say(&serde_json::to_string_pretty(&answer)?)?,
    }
    Ok(if answer.allowed {
        Exit::Done
    } else {
        Exit::Denied
    })
}

/// Whoever may read the data folder may ask as the runtime, without taking the product's token.
fn operator_token(data: &Path) -> anyhow::Result<String> {
    let path = data.join(OPERATOR_TOKEN_FILE);
    let bytes = durable::read(&path)?.with_context(|| {
        format!(
            "{} is not there: is this the data folder of a running connector?",
            path.display()
        )
    })?;
    Ok(String::from_utf8(bytes)?)
}

async fn get(local: SocketAddr, path: &str) -> anyhow::Result<Bytes> {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, local.to_string())
        .body(Full::new(Bytes::new()))?;
    Ok(talk(local, request).await?)
}

async fn talk(local: SocketAddr, request: Request<Full<Bytes>>) -> Result<Bytes, AskError> {
    let stream = timeout(CONNECT_MAX, TcpStream::connect(local))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(|source| AskError::NotRunning {
            addr: local,
            source,
        })?;
    let (status, body) = exchange(stream, request, ANSWER_MAX)
        .await
        .map_err(AskError::Exchange)?;
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice(&body) {
        Ok(problem) => Err(AskError::Refused(problem)),
        Err(_) => Err(AskError::Answer(local)),
    }
}

fn read<T: DeserializeOwned>(local: SocketAddr, bytes: &[u8]) -> Result<T, AskError> {
    serde_json::from_slice(bytes).map_err(|_| AskError::Answer(local))
}

/// The same machine.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// As long as the connector waits for its kernel.
const ANSWER_MAX: Duration = Duration::from_secs(30);
