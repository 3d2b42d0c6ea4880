//! The JSON:API document inside a license, to and from plain values.
//!
//! Entitlements, most of its bytes, are written by `included`; all else through serde.
//!
//! Names Keygen has are Keygen's (`key`, `status`, `expiry`, `code`); unknown fields are passed
//! over, so that a later kernel may say more, unless `meta.crit` names one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    LicenseDocument, LicenseEntitlement, OfflinePolicies, Refused, RevocationTerms,
    envelope::LIMITS, included,
};
use crate::{
    InstallId, RuntimeId, TenantId, Timestamp,
    entity::{
        DeploymentMode, Feature, Limit, Mode, QUOTA_MAX, SecurityLevel, TenantStatus, TimeWindow,
    },
    ids::LicenseId,
    json::{self, JsonError, RawJson},
    sign::KeyId,
};

#[derive(Serialize)]
struct Head {
    meta: Meta,
    data: Data,
}

#[derive(Deserialize)]
struct Payload {
    meta: Meta,
    data: Data,
    included: Vec<Included>,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    issued: Timestamp,
    expiry: Timestamp,
    ttl: u64,
    kid: KeyId,
    iss: InstallId,
    epoch: u64,
    seq: u64,
    nbf: Timestamp,
    cnf: String,
    grace: u64,
    revocations: Revocations,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    crit: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Revocations {
    min_generation: u64,
    max_age: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Data {
    #[serde(rename = "type")]
    kind: String,
    id: LicenseId,
    attributes: Attributes,
    #[serde(skip_deserializing)]
    relationships: Relationships,
}

#[derive(Serialize, Deserialize)]
struct Attributes {
    key: String,
    status: Status,
    expiry: Timestamp,
    created: Timestamp,
    updated: Timestamp,
    tenant: TenantId,
    runtime: RuntimeId,
    deployment_mode: DeploymentMode,
    revision: u64,
    policies: Policies,
}

/// Keygen's words for a license's status, as far as they apply here.
#[derive(Serialize, Deserialize)]
enum Status {
    #[serde(rename = "ACTIVE")]
    Active,
    #[serde(rename = "SUSPENDED")]
    Suspended,
}

#[derive(Serialize, Deserialize)]
struct Policies {
    security_level: SecurityLevel,
    offline_max_ms: u64,
}

/// For JSON:API readers; what counts stands in the attributes.
#[derive(Default, Serialize)]
struct Relationships {
    account: Linkage,
    runtime: Linkage,
}

#[derive(Default, Serialize)]
struct Linkage {
    data: Option<Identifier>,
}

#[derive(Serialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
}

/// A resource as it is read: of a type that may be unknown.
#[derive(Deserialize)]
struct Included {
    #[serde(rename = "type")]
    kind: String,
    attributes: RawJson,
}

#[derive(Deserialize)]
struct Entitlement {
    #[serde(rename = "name")]
    _name: String,
    code: Feature,
    created: Timestamp,
    updated: Timestamp,
    limit: Limit,
    time_window: Option<TimeWindow>,
    mode: Mode,
    valid_until: Timestamp,
    runtime: Option<RuntimeId>,
    window: Option<Bounds>,
}

#[derive(Deserialize)]
struct Bounds {
    start: Timestamp,
    end: Timestamp,
}

/// Only what is needed to say which key a payload that nobody vouches for names.
#[derive(Deserialize)]
struct Peek {
    meta: PeekMeta,
}

#[derive(Deserialize)]
struct PeekMeta {
    kid: KeyId,
}

/// Writes a document's payload in the name of a key; field order is the order above.
pub(super) fn write(document: &LicenseDocument, kid: KeyId, out: &mut Vec<u8>) {
    let head = Head {
        meta: meta(document, kid),
        data: data(document),
    };
    out.reserve(HEAD_BYTES + included::expected(&document.entitlements));
    serde_json::to_writer(&mut *out, &head).expect("no map and no number that JSON could not hold");
    // The object is opened again for its last member.
    out.pop();
    out.extend_from_slice(br#","included":"#);
    included::write(&document.entitlements, out);
    out.push(b'}');
}

/// Names the key that unverified bytes claim; for the wording of a refusal and nothing else.
pub(super) fn claimed_key(bytes: &[u8]) -> Result<KeyId, Refused> {
    Ok(json::parse::<Peek>(bytes, &LIMITS)
        .map_err(malformed)?
        .meta
        .kid)
}

/// Reads a payload whose signature holds.
pub(super) fn read(bytes: &[u8]) -> Result<LicenseDocument, Refused> {
    // Critical fields first: they may be why the rest is of another shape.
    #[derive(Deserialize)]
    struct Critical {
        meta: Names,
    }
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        crit: Vec<String>,
    }
    let critical: Critical = json::parse(bytes, &LIMITS).map_err(malformed)?;
    if let Some(name) = critical
        .meta
        .crit
        .iter()
        .find(|name| !KNOWN.contains(&name.as_str()))
    {
        let name: String = name.chars().take(40).collect();
        return Err(Refused::malformed(format!(
            "critical field {name:?} is not known here"
        )));
    }
    let payload: Payload = json::parse(bytes, &LIMITS).map_err(malformed)?;
    let mut entitlements = Vec::new();
    let mut seen = BTreeSet::new();
    for included in &payload.included {
        // Other types of resource belong to later kernels.
        if included.kind == ENTITLEMENTS {
            let entitlement = entitlement(included.attributes.decode().map_err(malformed)?)?;
            if !seen.insert((entitlement.feature.clone(), entitlement.runtime)) {
                let feature = &entitlement.feature;
                return Err(Refused::malformed(format!("{feature} is entitled twice")));
            }
            entitlements.push(entitlement);
        }
    }
    document(payload.meta, payload.data, entitlements)
}

fn malformed(error: JsonError) -> Refused {
    Refused::malformed(format!("the payload: {error}"))
}

fn meta(document: &LicenseDocument, kid: KeyId) -> Meta {
    // Keygen reads `ttl` as a signed 32-bit number and zero as "no end".
    let seconds = document.expiry.millis_since(document.issued) / SECOND_MS;
    Meta {
        issued: document.issued,
        expiry: document.expiry,
        ttl: seconds.clamp(1, KEYGEN_TTL_MAX),
        kid,
        iss: document.install,
        epoch: document.epoch,
        seq: document.seq,
        nbf: document.nbf,
        cnf: hex::encode(document.cnf),
        grace: document.grace_ms / SECOND_MS,
        revocations: Revocations {
            min_generation: document.revocations.min_generation,
            max_age: document.revocations.max_age_ms.map(|age| age / SECOND_MS),
        },
        crit: Vec::new(),
    }
}

fn data(document: &LicenseDocument) -> Data {
    let linkage = |kind, id| Linkage {
        data: Some(Identifier { kind, id }),
    };
    Data {
        kind: LICENSES.to_owned(),
        id: document.license,
        attributes: Attributes {
            key: document.license.to_string(),
            status: match document.tenant_status {
                TenantStatus::Active => Status::Active,
                TenantStatus::Suspended => Status::Suspended,
            },
            expiry: document.expiry,
            created: document.created,
            updated: document.issued,
            tenant: document.tenant,
            runtime: document.runtime,
            deployment_mode: document.deployment_mode,
            revision: document.revision,
            policies: Policies {
                security_level: document.policies.security_level,
                offline_max_ms: document.policies.offline_max_ms,
            },
        },
        relationships: Relationships {
            account: linkage("accounts", document.tenant.to_string()),
            runtime: linkage("runtimes", document.runtime.to_string()),
        },
    }
}

fn entitlement(read: Entitlement) -> Result<LicenseEntitlement, Refused> {
    if matches!(read.limit, Limit::Quota(quota) if quota > QUOTA_MAX) {
        return Err(Refused::malformed(format!(
            "the quota of {} is over 2^53-1",
            read.code
        )));
    }
    Ok(LicenseEntitlement {
        feature: read.code,
        runtime: read.runtime,
        limit: read.limit,
        time_window: read.time_window,
        mode: read.mode,
        valid_until: read.valid_until,
        created: read.created,
        updated: read.updated,
        window: read.window.map(|bounds| (bounds.start, bounds.end)),
    })
}

fn document(
    meta: Meta,
    data: Data,
    entitlements: Vec<LicenseEntitlement>,
) -> Result<LicenseDocument, Refused> {
    if data.kind != LICENSES {
        return Err(Refused::malformed("\"data\" is not a license"));
    }
    if meta.expiry <= meta.nbf {
        return Err(Refused::malformed("it ends before it begins"));
    }
    let cnf = hex::decode(&meta.cnf)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    let Some(cnf) = cnf else {
        return Err(Refused::malformed("\"cnf\" is not 64 hex digits"));
    };
    let attributes = data.attributes;
    Ok(LicenseDocument {
        license: data.id,
        install: meta.iss,
        tenant: attributes.tenant,
        tenant_status: match attributes.status {
            Status::Active => TenantStatus::Active,
            Status::Suspended => TenantStatus::Suspended,
        },
        runtime: attributes.runtime,
        deployment_mode: attributes.deployment_mode,
        kid: meta.kid,
        cnf,
        epoch: meta.epoch,
        seq: meta.seq,
        created: attributes.created,
        issued: meta.issued,
        nbf: meta.nbf,
        expiry: meta.expiry,
        grace_ms: meta.grace.saturating_mul(SECOND_MS),
        revocations: RevocationTerms {
            min_generation: meta.revocations.min_generation,
            max_age_ms: meta
                .revocations
                .max_age
                .map(|age| age.saturating_mul(SECOND_MS)),
        },
        revision: attributes.revision,
        policies: OfflinePolicies {
            security_level: attributes.policies.security_level,
            offline_max_ms: attributes.policies.offline_max_ms,
        },
        entitlements,
    })
}

/// Every field of `meta` this build understands: what `crit` may name.
const KNOWN: &[&str] = &[
    "issued",
    "expiry",
    "ttl",
    "kid",
    "iss",
    "epoch",
    "seq",
    "nbf",
    "cnf",
    "grace",
    "revocations",
];

const LICENSES: &str = "licenses";
pub(super) const ENTITLEMENTS: &str = "entitlements";
const SECOND_MS: u64 = 1000;

/// All of a payload but its entitlements: only numbers in it differ in length.
const HEAD_BYTES: usize = 1_280;

/// The largest `ttl` Keygen's SDKs can hold: 68 years.
const KEYGEN_TTL_MAX: u64 = 2_147_483_647;
