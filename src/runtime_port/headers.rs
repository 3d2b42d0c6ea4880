//! The headers of every call (KC-004), read in a fixed order: correlation, version, ids, token.

use axum::http::{HeaderMap, HeaderName};
use provost_protocol::{
    Code, ContractVersion, CorrelationId, Problem, RequestId, RuntimeId, TenantId, Timestamp,
    sign::PeerIdentity,
};
use sha2::{Digest, Sha256};

/// What stands in the headers of a call.
#[derive(Debug, Clone)]
pub(super) struct Headers {
    pub(super) version: ContractVersion,
    pub(super) tenant: TenantId,
    pub(super) idempotency: Option<RequestId>,
    /// SHA-256 of the bearer token; absent where none was sent.
    pub(super) token_sha256: Option<[u8; 32]>,
}

/// Whether a call needs the runtime's id and token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Register: the id is optional, the token not there yet.
    Certificate,
    /// Every other call.
    Token,
}

/// The correlation id of a call; one of ours where it brought none.
pub(super) fn correlation(
    headers: &HeaderMap,
    fresh: impl FnOnce() -> CorrelationId,
) -> Result<CorrelationId, Problem> {
    match text(headers, "x-correlation-id")? {
        None => Ok(fresh()),
        Some(id) => id
            .parse()
            .map_err(|error| malformed_id("X-Correlation-Id", error)),
    }
}

impl Headers {
    /// Reads the headers and holds them against the certificate, before anything is looked up.
    pub(super) fn read(
        headers: &HeaderMap,
        peer: &PeerIdentity,
        needs: Needs,
    ) -> Result<Self, Problem> {
        let version = text(headers, "x-contract-version")?
            .ok_or_else(|| missing("X-Contract-Version"))?
            .parse::<ContractVersion>()
            .map_err(|error| Problem::new(Code::VersionUnknown, error.to_string()))?;
        let tenant = text(headers, "x-tenant-id")?.ok_or_else(|| missing("X-Tenant-Id"))?;
        let tenant = tenant
            .parse()
            .map_err(|error| malformed_id("X-Tenant-Id", error))?;
        let runtime = text(headers, "x-runtime-id")?
            .map(|id| id.parse::<RuntimeId>())
            .transpose()
            .map_err(|error| malformed_id("X-Runtime-Id", error))?;
        match (runtime, needs) {
            (Some(runtime), _) if runtime != peer.runtime => {
                return Err(Problem::new(
                    Code::IdentityMismatch,
                    "X-Runtime-Id is not the certificate's runtime",
                ));
            }
            (None, Needs::Token) => return Err(missing("X-Runtime-Id")),
            (Some(_), _) | (None, Needs::Certificate) => {}
        }
        // Who registers may still send the token that this very call replaces.
        let token_sha256 = match needs {
            Needs::Token => text(headers, "authorization")?.map(bearer).transpose()?,
            Needs::Certificate => None,
        };
        if needs == Needs::Token && token_sha256.is_none() {
            let detail = "send Authorization: Bearer with the runtime token";
            return Err(Problem::new(Code::TokenRefused, detail));
        }
        let idempotency = text(headers, "idempotency-key")?
            .map(idempotency)
            .transpose()?;
        Ok(Self {
            version,
            tenant,
            idempotency,
            token_sha256,
        })
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::new(
            Code::HeaderMissing,
            format!("{name} is there twice"),
        ));
    }
    let unreadable = |_| Problem::new(Code::HeaderMissing, format!("{name} is not readable text"));
    value.to_str().map(Some).map_err(unreadable)
}

fn bearer(value: &str) -> Result<[u8; 32], Problem> {
    let token = value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Problem::new(Code::TokenRefused, "Authorization is not Bearer"))?;
    Ok(Sha256::digest(token.as_bytes()).into())
}

/// A key is a UUID on frames; over HTTP any text serves, and is made one by its hash.
fn idempotency(key: &str) -> Result<RequestId, Problem> {
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Problem::new(
            Code::Invalid,
            "Idempotency-Key: 1 to 255 bytes",
        ));
    }
    Ok(key.parse().unwrap_or_else(|_| {
        let digest = Sha256::digest(key.as_bytes());
        let mut random = [0; 10];
        random.copy_from_slice(&digest[..10]);
        RequestId::from_parts(Timestamp::EPOCH, random)
    }))
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::HeaderMissing, format!("{name} is missing"))
}

fn malformed_id(name: &str, error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::IdMalformed, format!("{name}: {error}"))
}

/// As the admin API's, and as others in the field allow.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const B: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn peer() -> PeerIdentity {
        PeerIdentity {
            tenant: A.parse().unwrap(),
            runtime: A.parse().unwrap(),
            serial: "01".to_owned(),
            key_sha256: [1; 32],
            not_before: Timestamp::EPOCH,
            not_after: Timestamp::MAX,
            root_sha256: None,
        }
    }

    fn whole() -> Vec<(&'static str, &'static str)> {
        vec![
            ("x-contract-version", "v0.1"),
            ("x-tenant-id", A),
            ("x-runtime-id", A),
            ("authorization", "Bearer abc"),
        ]
    }

    fn read(pairs: &[(&'static str, &str)]) -> Result<Headers, Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Headers::read(&headers, &peer(), Needs::Token).map_err(|problem| problem.code)
    }

    #[test]
    fn bad_headers_get_their_own_code() {
        let with = |name: &'static str, value: &'static str| {
            let mut pairs = whole();
            pairs.retain(|(known, _)| *known != name);
            pairs.push((name, value));
            pairs
        };
        let without = |name: &str| {
            let mut pairs = whole();
            pairs.retain(|(known, _)| *known != name);
            pairs
        };
        let twice = [whole(), vec![("x-tenant-id", A)]].concat();
        for (pairs, code) in [
            (without("x-contract-version"), Code::HeaderMissing),
            (with("x-contract-version", "v9"), Code::VersionUnknown),
            (without("x-tenant-id"), Code::HeaderMissing),
            (with("x-tenant-id", "nobody"), Code::IdMalformed),
            (without("x-runtime-id"), Code::HeaderMissing),
            (with("x-runtime-id", B), Code::IdentityMismatch),
            (without("authorization"), Code::TokenRefused),
            (with("authorization", "Basic abc"), Code::TokenRefused),
            (with("authorization", "Bearer "), Code::TokenRefused),
            (twice, Code::HeaderMissing),
        ] {
            assert_eq!(read(&pairs).unwrap_err(), code, "{pairs:?}");
        }
        assert!(read(&whole()).is_ok());
    }

    #[test]
    fn any_idempotency_key_becomes_one_id_and_a_uuid_stays_what_it_is() {
        assert_eq!(
            idempotency("order-7").unwrap(),
            idempotency("order-7").unwrap()
        );
        assert_ne!(
            idempotency("order-7").unwrap(),
            idempotency("order-8").unwrap()
        );
        assert_eq!(idempotency(A).unwrap().to_string(), A);
    }
}
