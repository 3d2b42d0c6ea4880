//! What a handler answers.

use std::sync::Arc;

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG},
    },
    response::{IntoResponse, Response},
};
use provost_actors::Executed;
use provost_protocol::{Code, envelope::Envelope};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::problem::Refusal;

/// What a handler answers: JSON, and what happened to the log.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    etag: Option<String>,
    seq: Option<u64>,
    repeated: bool,
}

impl Answer {
    /// 200 with a value.
    pub(super) fn ok<T: Serialize>(value: &T) -> Result<Self, Refusal> {
        Self::with(StatusCode::OK, value)
    }

    /// 201 with a value.
    pub(super) fn created<T: Serialize>(value: &T) -> Result<Self, Refusal> {
        Self::with(StatusCode::CREATED, value)
    }

    /// 200 with JSON that is written already.
    pub(super) const fn written(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            etag: None,
            seq: None,
            repeated: false,
        }
    }

    /// The same, with the tag of what is durable about it.
    pub(super) fn tagged(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }

    /// The same, with what happened to the log.
    pub(super) fn of(mut self, executed: &Executed) -> Self {
        self.seq = executed
            .events
            .last()
            .map(|event: &Arc<Envelope>| event.seq);
        self.repeated = executed.repeated;
        self
    }

    fn with<T: Serialize>(status: StatusCode, value: &T) -> Result<Self, Refusal> {
        let mut answer = Self::written(to_json(value)?);
        answer.status = status;
        Ok(answer)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
            headers.insert(ETAG, etag);
        }
        if let Some(seq) = self.seq {
            headers.insert(EVENT_SEQ, HeaderValue::from(seq));
        }
        if self.repeated {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// The tag of a resource: it changes with every durable change of it.
pub(super) fn etag_of<T: Serialize>(durable: &T) -> Result<String, Refusal> {
    let hash = Sha256::digest(to_json(durable)?);
    Ok(format!("\"{}\"", hex::encode(&hash[..ETAG_BYTES])))
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Refusal::new(Code::Internal, "an internal error")
    })
}

/// The sequence of the last event that followed, in the tenant's log.
const EVENT_SEQ: HeaderName = HeaderName::from_static("x-event-seq");

/// Says that the idempotency key was seen before: what is answered is what came of it then.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// 128 bits: no two states of one resource share a tag.
const ETAG_BYTES: usize = 16;
