//! Who calls, under which version, for which tenant: from the headers, checked.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, header},
};
use provost_protocol::{
    Code, ContractVersion, Problem, RuntimeId, TenantId,
    json::{self, JsonError, Limits},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::node::Node;

/// A caller whose headers hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) tenant: TenantId,
    pub(super) version: ContractVersion,
}

impl Caller {
    /// A product that registers: it has no token yet.
    pub(super) fn registering(node: &Node, headers: &HeaderMap) -> Result<Self, Problem> {
        let version = version(headers)?;
        let tenant = match optional(headers, "x-tenant-id")? {
            Some(text) => id(text, "X-Tenant-Id")?,
            None => node.core.me.tenant,
        };
        if tenant != node.core.me.tenant {
            return Err(mismatch("X-Tenant-Id is not the runtime's own tenant"));
        }
        Ok(Self { tenant, version })
    }

    /// A registered product.
    pub(super) fn registered(node: &Node, headers: &HeaderMap) -> Result<Self, Problem> {
        let version = version(headers)?;
        let runtime: RuntimeId = id(required(headers, "x-runtime-id")?, "X-Runtime-Id")?;
        let tenant: TenantId = id(required(headers, "x-tenant-id")?, "X-Tenant-Id")?;
        let bearer = required(headers, header::AUTHORIZATION.as_str())?;
        if runtime != node.core.me.runtime {
            return Err(mismatch("X-Runtime-Id is not this connector's runtime"));
        }
        if !node.core.may_act_for(tenant) {
            return Err(mismatch("X-Tenant-Id is not a tenant of this runtime"));
        }
        let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
        if !node.token_is_good(token) {
            let detail = "the runtime token is wrong, or replaced by a later registration";
            return Err(Problem::new(Code::TokenRefused, detail));
        }
        Ok(Self { tenant, version })
    }
}

/// Reads a body of at most `bytes_max` as strict JSON.
pub(super) async fn read<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, Problem> {
    let read = timeout(BODY_MAX, to_bytes(body, bytes_max))
        .await
        .map_err(|_| Problem::new(Code::Malformed, "the body did not come in time"))?;
    let bytes = read.map_err(|_| {
        let detail = format!("a body of this call has at most {bytes_max} bytes");
        Problem::new(Code::BodyTooLarge, detail)
    })?;
    json::parse(&bytes, &Limits { bytes_max }).map_err(|error| match error {
        JsonError::TooLarge { .. } => Problem::new(Code::BodyTooLarge, error.to_string()),
        other => Problem::new(Code::Malformed, other.to_string()),
    })
}

/// Reads an id, or names the place where none stands.
pub(super) fn id<T: std::str::FromStr>(text: &str, place: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        Problem::new(
            Code::IdMalformed,
            format!("{place} is not a UUID of version 7"),
        )
    })
}

/// A caller who names somebody else.
pub(super) fn mismatch(detail: &str) -> Problem {
    Problem::new(Code::IdentityMismatch, detail)
}

fn version(headers: &HeaderMap) -> Result<ContractVersion, Problem> {
    required(headers, "x-contract-version")?.parse().map_err(
        |error: provost_protocol::version::UnknownVersion| {
            Problem::new(Code::VersionUnknown, error.to_string())
        },
    )
}

fn required<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    optional(headers, name)?
        .ok_or_else(|| Problem::new(Code::HeaderMissing, format!("{name} is missing")))
}

/// One value; two of them would be read differently by different readers.
pub(super) fn optional<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let unreadable = || Problem::new(Code::HeaderMissing, format!("{name} is unreadable"));
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(unreadable());
    }
    value.to_str().map(Some).map_err(|_| unreadable())
}

/// On loopback a body comes at once; one that does not holds a place of those who work.
const BODY_MAX: Duration = Duration::from_secs(10);
