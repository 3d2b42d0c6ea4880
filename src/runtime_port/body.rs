//! Bodies: bounded before they are read, strict before they are believed.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use provost_protocol::{
    Code, Problem,
    json::{self, Limits},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Reads a whole body of at most `bytes_max` bytes.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body has more than {bytes_max} bytes");
        Problem::new(Code::BodyTooLarge, detail)
    };
    let collected = timeout(BODY_WITHIN, Limited::new(body, bytes_max).collect())
        .await
        .map_err(|_| Problem::new(Code::Malformed, "the body did not come in time"))?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::new(Code::Malformed, "the body broke off")),
    }
}

/// Reads JSON strictly: no duplicate keys, no depth without end, the shape asked for.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, Problem> {
    json::parse(bytes, &Limits { bytes_max })
        .map_err(|error| Problem::new(Code::Malformed, error.to_string()))
}

/// A MiB over a line of 300 kbit/s.
const BODY_WITHIN: Duration = Duration::from_secs(30);
