//! Names of entities within one tenant, and their text form `<kind>/<id>`.

use std::{fmt, str::FromStr};

use provost_protocol::{
    IdentityId, ProviderId, RuntimeId, TokenId, entity::Feature, event::Subject, ids::AdminKeyId,
};
use sha2::{Digest, Sha256};

/// Names one entity within its tenant. The order of variants is the order in memory only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKey {
    /// The tenant itself.
    Tenant,
    /// What the tenant may do: for one runtime, or for all.
    Entitlement {
        /// What.
        feature: Feature,
        /// For which runtime only.
        runtime: Option<RuntimeId>,
    },
    /// What was taken of one entitlement in its present window.
    Counter {
        /// The entitlement's feature.
        feature: Feature,
        /// The entitlement's runtime.
        runtime: Option<RuntimeId>,
    },
    /// One identity provider.
    Provider(ProviderId),
    /// One shared runtime of the operator that may act for the tenant.
    Attachment(RuntimeId),
    /// One runtime of the tenant.
    Runtime(RuntimeId),
    /// One identity.
    Identity(IdentityId),
    /// Which identity (issuer, sub) stands for.
    Subject([u8; 32]),
    /// One enrolment token.
    Token(TokenId),
    /// What one binding key got from one enrolment token.
    Enrolment(TokenId, String),
    /// One admin key.
    AdminKey(AdminKeyId),
    /// The newest license of (runtime, this tenant).
    License(RuntimeId),
    /// In an operator's log: the tenant that an individual was given.
    Individual([u8; 32]),
    /// In the internal tenant's log: one signing key.
    Key(String),
    /// What is known of the log itself as evidence.
    History,
    /// What one runtime holds against the log.
    Witness(RuntimeId),
    /// The certificates of one runtime, from its first renewal or recovery on.
    Certificates(RuntimeId),
    /// In the internal tenant's log: where a rotation of the certificate authority stands.
    Rotation,
    /// Which roots one runtime said it trusts.
    Trust(RuntimeId),
    /// One certificate that is refused though its runtime is not, by its serial number.
    RevokedCertificate(String),
    /// What operators direct one runtime to be.
    Directives(RuntimeId),
    /// The copies of one runtime that were noticed.
    Copies(RuntimeId),
}

/// Why a text is not the name of an entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no entity")]
pub struct KeyError(String);

/// Hashes a person as an identity provider names them: SHA-256 of issuer, a zero byte, subject.
#[must_use]
pub fn subject_sha256(subject: &Subject) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(subject.issuer.as_bytes());
    hasher.update([0]);
    hasher.update(subject.subject.as_bytes());
    hasher.finalize().into()
}

impl EntityKey {
    /// Names an entitlement.
    #[must_use]
    pub fn entitlement(feature: &Feature, runtime: Option<RuntimeId>) -> Self {
        Self::Entitlement {
            feature: feature.clone(),
            runtime,
        }
    }

    /// Names an entitlement's counter.
    #[must_use]
    pub fn counter(feature: &Feature, runtime: Option<RuntimeId>) -> Self {
        Self::Counter {
            feature: feature.clone(),
            runtime,
        }
    }

    /// Names an identity by its subject.
    #[must_use]
    pub fn subject(subject: &Subject) -> Self {
        Self::Subject(subject_sha256(subject))
    }

    /// Names an individual by its subject.
    #[must_use]
    pub fn individual(subject: &Subject) -> Self {
        Self::Individual(subject_sha256(subject))
    }

    /// Whether the kind is loaded whole when a tenant wakes; others are read by key.
    #[must_use]
    pub const fn is_hot(&self) -> bool {
        match self {
            Self::Tenant
            | Self::Entitlement { .. }
            | Self::Counter { .. }
            | Self::Provider(_)
            | Self::Attachment(_)
            | Self::Directives(_) => true,
            Self::Runtime(_)
            | Self::Identity(_)
            | Self::Subject(_)
            | Self::Token(_)
            | Self::Enrolment(..)
            | Self::AdminKey(_)
            | Self::License(_)
            | Self::Individual(_)
            | Self::Key(_)
            | Self::History
            | Self::Witness(_)
            | Self::Copies(_)
            | Self::Certificates(_)
            | Self::Rotation
            | Self::Trust(_)
            | Self::RevokedCertificate(_) => false,
        }
    }

    /// The kind as it stands before the slash.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant => TENANT,
            Self::Entitlement { .. } => "entitlement",
            Self::Counter { .. } => "counter",
            Self::Provider(_) => "provider",
            Self::Attachment(_) => "attachment",
            Self::Runtime(_) => "runtime",
            Self::Identity(_) => "identity",
            Self::Subject(_) => "subject",
            Self::Token(_) => "token",
            Self::Enrolment(..) => "enrolment",
            Self::AdminKey(_) => "admin-key",
            Self::License(_) => "license",
            Self::Individual(_) => "individual",
            Self::Key(_) => "key",
            Self::History => HISTORY,
            Self::Witness(_) => "witness",
            Self::Directives(_) => "directives",
            Self::Copies(_) => "copies",
            Self::Certificates(_) => "certificates",
            Self::Rotation => ROTATION,
            Self::Trust(_) => "trust",
            Self::RevokedCertificate(_) => "revoked-certificate",
        }
    }

    /// Sorts before every entitlement and after the tenant.
    pub(super) fn first_entitlement() -> Self {
        Self::Entitlement {
            feature: first_feature(),
            runtime: None,
        }
    }

    /// Sorts before every counter and after every entitlement.
    pub(super) fn first_counter() -> Self {
        Self::Counter {
            feature: first_feature(),
            runtime: None,
        }
    }
}

/// The smallest feature: no key sorts before a single dash.
fn first_feature() -> Feature {
    Feature::new("-", None).expect("a dash is a key")
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind())?;
        match self {
            Self::Tenant | Self::History | Self::Rotation => f.write_str("self"),
            Self::Entitlement { feature, runtime } | Self::Counter { feature, runtime } => {
                // No feature holds a `@`, so the runtime after it is never taken for a resource.
                match runtime {
                    None => write!(f, "{feature}"),
                    Some(runtime) => write!(f, "{feature}@{runtime}"),
                }
            }
            Self::Provider(id) => write!(f, "{id}"),
            Self::Attachment(id)
            | Self::Runtime(id)
            | Self::License(id)
            | Self::Witness(id)
            | Self::Directives(id)
            | Self::Copies(id)
            | Self::Certificates(id)
            | Self::Trust(id) => write!(f, "{id}"),
            Self::Identity(id) => write!(f, "{id}"),
            Self::Subject(hash) | Self::Individual(hash) => write_hex(f, hash),
            Self::Token(id) => write!(f, "{id}"),
            Self::Enrolment(id, cnf) => write!(f, "{id}/{cnf}"),
            Self::AdminKey(id) => write!(f, "{id}"),
            Self::Key(kid) => f.write_str(kid),
            Self::RevokedCertificate(serial) => f.write_str(serial),
        }
    }
}

impl FromStr for EntityKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        parse(text).ok_or_else(|| KeyError(text.chars().take(200).collect()))
    }
}

fn parse(text: &str) -> Option<EntityKey> {
    let (kind, id) = text.split_once('/')?;
    let key = match kind {
        TENANT => (id == "self").then_some(EntityKey::Tenant)?,
        "entitlement" => {
            let (feature, runtime) = parse_scope(id)?;
            EntityKey::Entitlement { feature, runtime }
        }
        "counter" => {
            let (feature, runtime) = parse_scope(id)?;
            EntityKey::Counter { feature, runtime }
        }
        "provider" => EntityKey::Provider(id.parse().ok()?),
        "attachment" => EntityKey::Attachment(id.parse().ok()?),
        "runtime" => EntityKey::Runtime(id.parse().ok()?),
        "identity" => EntityKey::Identity(id.parse().ok()?),
        "subject" => EntityKey::Subject(parse_hex(id)?),
        "token" => EntityKey::Token(id.parse().ok()?),
        "enrolment" => {
            let (token, cnf) = id.split_once('/')?;
            EntityKey::Enrolment(token.parse().ok()?, cnf.to_owned())
        }
        "admin-key" => EntityKey::AdminKey(id.parse().ok()?),
        "license" => EntityKey::License(id.parse().ok()?),
        "individual" => EntityKey::Individual(parse_hex(id)?),
        "key" => EntityKey::Key(id.to_owned()),
        HISTORY => (id == "self").then_some(EntityKey::History)?,
        "witness" => EntityKey::Witness(id.parse().ok()?),
        "directives" => EntityKey::Directives(id.parse().ok()?),
        "copies" => EntityKey::Copies(id.parse().ok()?),
        "certificates" => EntityKey::Certificates(id.parse().ok()?),
        ROTATION => (id == "self").then_some(EntityKey::Rotation)?,
        "trust" => EntityKey::Trust(id.parse().ok()?),
        "revoked-certificate" => EntityKey::RevokedCertificate(id.to_owned()),
        _ => return None,
    };
    Some(key)
}

fn parse_scope(id: &str) -> Option<(Feature, Option<RuntimeId>)> {
    match id.split_once('@') {
        None => Some((Feature::parse(id).ok()?, None)),
        Some((feature, runtime)) => {
            Some((Feature::parse(feature).ok()?, Some(runtime.parse().ok()?)))
        }
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, hash: &[u8; 32]) -> fmt::Result {
    hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64
        || !text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return None;
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// The kind of the one entity that every tenant has.
const TENANT: &str = "tenant";

/// The kind of the one entity that a log with a history of its own has.
const HISTORY: &str = "history";

/// The kind of the one entity that says which root is active.
const ROTATION: &str = "rotation";

#[cfg(test)]
mod tests {
    use provost_protocol::Timestamp;

    use super::*;

    #[test]
    fn every_key_is_read_back_from_its_text() {
        let runtime = RuntimeId::from_parts(Timestamp::from_millis(1), [7; 10]);
        let token = TokenId::from_parts(Timestamp::from_millis(1), [8; 10]);
        let feature = Feature::parse("a.b:c/d").unwrap();
        let keys = [
            EntityKey::Tenant,
            EntityKey::entitlement(&feature, None),
            EntityKey::entitlement(&feature, Some(runtime)),
            EntityKey::counter(&feature, Some(runtime)),
            EntityKey::Provider(ProviderId::from_parts(Timestamp::EPOCH, [1; 10])),
            EntityKey::Attachment(runtime),
            EntityKey::Runtime(runtime),
            EntityKey::Identity(IdentityId::from_parts(Timestamp::EPOCH, [2; 10])),
            EntityKey::Subject([0xab; 32]),
            EntityKey::Token(token),
            EntityKey::Enrolment(token, "ff".repeat(32)),
            EntityKey::AdminKey(AdminKeyId::from_parts(Timestamp::EPOCH, [3; 10])),
            EntityKey::License(runtime),
            EntityKey::Individual([1; 32]),
            EntityKey::Key("0123456789abcdef".to_owned()),
            EntityKey::History,
            EntityKey::Witness(runtime),
            EntityKey::Directives(runtime),
            EntityKey::Copies(runtime),
            EntityKey::Certificates(runtime),
            EntityKey::Rotation,
            EntityKey::Trust(runtime),
            EntityKey::RevokedCertificate("0f".repeat(16)),
        ];
        for key in keys {
            assert_eq!(key.to_string().parse(), Ok(key.clone()), "{key}");
        }
    }

    #[test]
    fn a_text_that_names_no_entity_is_refused() {
        for text in [
            "",
            "tenant",
            "tenant/other",
            "history/other",
            "runtime/x",
            "subject/AB",
            "unknown/1",
        ] {
            assert!(text.parse::<EntityKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_entitlement_sorts_before_the_first() {
        for text in ["-", "-:a", "0", "A.b", "_", "a"] {
            let key = EntityKey::entitlement(&Feature::parse(text).unwrap(), None);
            assert!(EntityKey::first_entitlement() <= key, "{text}");
            assert!(EntityKey::Tenant < key);
            assert!(key < EntityKey::first_counter());
            let counter = EntityKey::counter(&Feature::parse(text).unwrap(), None);
            assert!(EntityKey::first_counter() <= counter, "{text}");
        }
    }
}
