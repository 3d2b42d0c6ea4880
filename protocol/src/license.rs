//! The license (contract.md, section 4): a file that an auditor can read, that a runtime believes
//! with the kernel gone, and that an existing Keygen SDK accepts.
//!
//! ```text
//! -----BEGIN LICENSE FILE-----
//! base64 of {"enc": base64(payload), "sig": base64(Ed25519 over "license/" + enc), "alg": "base64+ed25519"}
//! -----END LICENSE FILE-----
//! ```
//!
//! The payload is a JSON:API document. In its `meta`, times are RFC 3339 and spans (`ttl`, `grace`,
//! `revocations.max_age`) whole seconds, as Keygen's `ttl` is; spans under names that end in `_ms`
//! are milliseconds. The algorithm is fixed here and never chosen by the file; the key id that
//! counts stands inside the signed bytes.

mod document;
mod envelope;
mod included;
mod payload;
#[cfg(test)]
mod tests;
mod verify;

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{RuntimeId, TenantId, Timestamp, ids::LicenseId, sign::KeyId};

pub use document::{
    LicenseDocument, LicenseEntitlement, LicenseTooLarge, OfflinePolicies, RevocationTerms,
};
pub use envelope::LICENSE_BYTES_MAX;
pub use verify::{CLOCK_SKEW_MS, verify};

/// What a license is worth. The words are the contract's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// In force.
    Valid,
    /// Its end and its grace have passed.
    Expired,
    /// Its beginning has not come.
    NotYetValid,
    /// Its end has passed, its grace has not.
    InGrace,
    /// A revocation list names it or its runtime.
    Revoked,
    /// A later license of the same runtime and tenant was seen before.
    SequenceRollback,
    /// The clock shows less than a time that was certain before.
    ClockRollback,
    /// Signed in the name of a key that the verifier does not hold.
    KeyUnknown,
    /// The signature is not that of the key named.
    SignatureInvalid,
    /// Bound to another runtime's binding key.
    NotBoundToThisRuntime,
    /// Not a license, ambiguous, or with critical terms this build does not know.
    Malformed,
}

impl Verdict {
    /// Every verdict, in the order of the contract.
    pub const ALL: &[Self] = &[
        Self::Valid,
        Self::Expired,
        Self::NotYetValid,
        Self::InGrace,
        Self::Revoked,
        Self::SequenceRollback,
        Self::ClockRollback,
        Self::KeyUnknown,
        Self::SignatureInvalid,
        Self::NotBoundToThisRuntime,
        Self::Malformed,
    ];

    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Expired => "EXPIRED",
            Self::NotYetValid => "NOT_YET_VALID",
            Self::InGrace => "IN_GRACE",
            Self::Revoked => "REVOKED",
            Self::SequenceRollback => "SEQUENCE_ROLLBACK",
            Self::ClockRollback => "CLOCK_ROLLBACK",
            Self::KeyUnknown => "KEY_UNKNOWN",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::NotBoundToThisRuntime => "NOT_BOUND_TO_THIS_RUNTIME",
            Self::Malformed => "MALFORMED",
        }
    }

    /// Says whether a runtime may act on the license.
    #[must_use]
    pub const fn permits(self) -> bool {
        matches!(self, Self::Valid | Self::InGrace)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A public key that may sign licenses, under the only name it can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    kid: KeyId,
    public_key: [u8; 32],
}

impl VerifyingKey {
    /// Takes an Ed25519 public key.
    #[must_use]
    pub fn new(public_key: [u8; 32]) -> Self {
        Self {
            kid: KeyId::of(&public_key),
            public_key,
        }
    }

    /// The key's name, made from the key itself.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }
}

/// What the verifier knows beyond the keys. What it does not hold it cannot check, and
/// [`Verified::checks_not_made`] says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// SHA-256 of its own binding key's SPKI (see [`binding_of`]).
    pub cnf: Option<[u8; 32]>,
    /// The highest (epoch, seq) of a license for the same runtime and tenant.
    pub highest: Option<(u64, u64)>,
    /// The latest moment known to have passed: the highest signed time.
    pub time_floor: Option<Timestamp>,
    /// The newest revocation list.
    pub revocations: Option<RevocationList>,
}

/// What is revoked, as of one generation of a list that only grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// Rises with every revocation.
    pub generation: u64,
    /// When the list was signed.
    pub issued: Timestamp,
    /// Licenses revoked.
    pub licenses: BTreeSet<LicenseId>,
    /// Runtimes revoked, with every license of theirs.
    pub runtimes: BTreeSet<RuntimeId>,
}

/// A check that needs something the verifier did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// That the license is bound to this runtime.
    Binding,
    /// That no later license was seen.
    Sequence,
    /// That the clock was not set back.
    Clock,
    /// That nothing is revoked: no list, or one older than the license demands.
    Revocation,
}

/// A genuine license: signed, ours, not rolled back, not revoked. Only time is left to judge it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// One of `VALID`, `IN_GRACE`, `EXPIRED`, `NOT_YET_VALID`.
    pub verdict: Verdict,
    /// What it says.
    pub document: LicenseDocument,
    /// What could not be checked.
    pub checks_not_made: Vec<Check>,
    /// When time alone changes the verdict next; never, when absent.
    pub until: Option<Timestamp>,
}

/// Why a file is not to be relied on. There is no document in it on purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{verdict}: {detail}")]
pub struct Refused {
    /// One of the seven verdicts that time does not heal.
    pub verdict: Verdict,
    /// What exactly is wrong, for a person.
    pub detail: String,
}

impl Refused {
    fn new(verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            verdict,
            detail: detail.into(),
        }
    }

    fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Malformed, detail)
    }
}

/// Names the license of a runtime for a tenant: one for each pair, the same at every issue.
///
/// It is made from the pair alone, so that no restore and no rebuild can change it.
#[must_use]
pub fn license_id(runtime: RuntimeId, tenant: TenantId) -> LicenseId {
    let mut hash = Sha256::new();
    hash.update(b"license");
    hash.update(runtime.as_bytes());
    hash.update(tenant.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    // The first 48 bits of a UUID of version 7 are its milliseconds.
    let head = runtime.as_bytes().iter().take(6);
    let millis = head.fold(0_i64, |millis, &byte| millis * 256 + i64::from(byte));
    LicenseId::from_parts(Timestamp::from_millis(millis), random)
}

/// What `cnf` holds for an Ed25519 binding key: the SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn binding_of(public_key: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(ED25519_SPKI_HEAD);
    hash.update(public_key);
    hash.finalize().into()
}

/// DER in front of the 32 bytes of an Ed25519 key (RFC 8410, section 4): one fixed form.
const ED25519_SPKI_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
