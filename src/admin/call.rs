//! One authenticated request, with all that a handler may ask of it.

use std::{str::FromStr, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::RawPathParams,
    http::{HeaderMap, HeaderName, Request, header::IF_MATCH},
};
use provost_actors::{Guard, Meta};
use provost_kernel::State;
use provost_protocol::{
    Code, CorrelationId,
    envelope::{ActorRef, Idempotency, Source},
    json::{self, Limits},
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::auth::Caller;
use crate::problem::Refusal;

/// One authenticated request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) caller: Arc<Caller>,
    correlation: CorrelationId,
    params: Vec<(String, String)>,
    query: String,
    idempotency: Option<Idempotency>,
    if_match: Option<String>,
    body: Bytes,
}

impl Call {
    /// Reads the rest of a request.
    pub(super) async fn read(
        caller: Arc<Caller>,
        params: &RawPathParams,
        request: Request<Body>,
    ) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let correlation = parts
            .extensions
            .get::<CorrelationId>()
            .copied()
            .ok_or_else(|| Refusal::new(Code::Internal, "an internal error"))?;
        let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
            let text = format!("the body could not be read or has over {BODY_BYTES_MAX} bytes");
            Refusal::new(Code::BodyTooLarge, text)
        })?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let mut hasher = Sha256::new();
        for part in [parts.method.as_str(), parts.uri.path(), &query] {
            hasher.update(part);
            hasher.update([0]);
        }
        hasher.update(&body);
        let key = header(&parts.headers, &IDEMPOTENCY_KEY, IDEMPOTENCY_BYTES_MAX)?;
        let idempotency = key.map(|key| Idempotency {
            scope: format!("admin/{}", caller.key.id()),
            key,
            request_sha256: hex::encode(hasher.finalize()),
        });
        Ok(Self {
            correlation,
            params: params
                .iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            query,
            idempotency,
            if_match: header(&parts.headers, &IF_MATCH, IDEMPOTENCY_BYTES_MAX)?,
            body,
            caller,
        })
    }

    /// An id in the path.
    pub(super) fn id<T: FromStr>(&self, name: &str) -> Result<T, Refusal> {
        let text = self
            .params
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value);
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Refusal::new(Code::IdMalformed, format!("{name} is no id")))
    }

    /// A number in the path.
    pub(super) fn number(&self, name: &str) -> Result<u64, Refusal> {
        let text = self.params.iter().find(|(key, _)| key == name);
        text.and_then(|(_, value)| value.parse().ok())
            .ok_or_else(|| Refusal::new(Code::Malformed, format!("{name} is no number")))
    }

    /// The body, which must be exactly what is asked for.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let limits = Limits {
            bytes_max: BODY_BYTES_MAX,
        };
        Ok(json::parse(&self.body, &limits)?)
    }

    /// The same, where no body at all stands for an empty object.
    pub(super) fn body_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Refusal> {
        if self.body.is_empty() {
            return Ok(T::default());
        }
        self.body()
    }

    /// The query, which must hold nothing that is not asked for.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        // What reads it below would replace such bytes, and answer another question.
        if !is_utf8_escaped(&self.query) {
            return Err(malformed_query());
        }
        let uri = format!("/?{}", self.query)
            .parse()
            .map_err(|_| malformed_query())?;
        match axum::extract::Query::try_from_uri(&uri) {
            Ok(axum::extract::Query(query)) => Ok(query),
            Err(_) => Err(malformed_query()),
        }
    }

    /// Who asks, for the log.
    pub(super) fn meta(&self) -> Meta {
        Meta {
            actor: ActorRef::admin(self.caller.key.id()),
            source: Source::Admin,
            correlation_id: self.correlation,
            idempotency: self.idempotency.clone(),
        }
    }

    /// What makes a repeated request one request, if the caller wants that.
    pub(super) const fn idempotency(&self) -> Option<&Idempotency> {
        self.idempotency.as_ref()
    }

    /// What must hold where the caller names what it has read (If-Match); `tag` gives the tag of
    /// what there is, if there is anything.
    pub(super) fn guard(
        &self,
        tag: impl FnOnce(&State) -> Option<String> + Send + 'static,
    ) -> Option<Guard> {
        let wanted = self.if_match.clone()?;
        let holds = move |state: &State| {
            let current = tag(state);
            let named = |tags: &str| {
                tags.split(',')
                    .any(|tag| Some(tag.trim()) == current.as_deref())
            };
            current.is_some() && (wanted.trim() == "*" || named(&wanted))
        };
        Some(Guard::new(holds))
    }
}

fn header(
    headers: &HeaderMap,
    name: &HeaderName,
    bytes_max: usize,
) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if !text.trim().is_empty() && text.len() <= bytes_max => Ok(Some(text.to_owned())),
        _ => {
            let text = format!("{name} must be 1 to {bytes_max} visible characters");
            Err(Refusal::new(Code::Malformed, text))
        }
    }
}

/// Whether the bytes behind the escapes of a query are UTF-8.
fn is_utf8_escaped(query: &str) -> bool {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        match escaped.and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

fn malformed_query() -> Refusal {
    Refusal::new(
        Code::Malformed,
        "the query holds an unknown or malformed parameter",
    )
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// As long as the envelope's `idempotency.key` may be.
const IDEMPOTENCY_BYTES_MAX: usize = 255;

/// An inline JWKS document of 32 KiB, escaped or not, and the rest of its provider.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_utf8_behind_its_escapes_too() {
        for (query, good) in [
            ("", true),
            ("type=a.b&limit=5", true),
            ("type=%C3%BC", true),
            ("type=100%", true),
            ("type=%zz", true),
            ("type=%ff", false),
            ("type=%C3(", false),
            ("type=%ed%a0%80", false),
        ] {
            assert_eq!(is_utf8_escaped(query), good, "{query}");
        }
    }
}
