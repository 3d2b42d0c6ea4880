//! What is shown of the certificate authority, of trust in it, and of who was shut out.

use provost_protocol::{ContractVersion, RuntimeId, TenantId, Timestamp, entity::RuntimeStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Runtime;

/// The certificate authority, and where its rotation stands. Hashes are SHA-256 of a root's DER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ca {
    /// `settled`, `prepared` or `activated`.
    pub phase: String,
    /// Since when; absent before the first rotation.
    pub since: Option<Timestamp>,
    /// The root that signs.
    pub active: String,
    /// The root that is to follow, while it is prepared.
    pub next: Option<String>,
    /// The root that signed before, until it is retired.
    pub old: Option<String>,
    /// Names the bundle of roots that runtimes are told to trust.
    pub bundle: String,
    /// How the fleet stands to it; absent while no rotation is under way.
    pub adoption: Option<Adoption>,
}

/// How a fleet stands to a bundle of roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Adoption {
    /// Active runtimes.
    pub active: u64,
    /// Of those, the ones that confirmed that they trust the bundle.
    pub confirmed: u64,
    /// Of those, the ones that have not: activation waits for them.
    pub missing: u64,
    /// Of the missing, those that speak contract version v0.1, in which nothing is confirmed.
    pub delivered: u64,
    /// Suspended runtimes that have not confirmed: nothing waits for them.
    pub suspended: u64,
    /// Runtimes whose certificate is good and of the old root: retirement waits for them.
    pub old_certificates: u64,
}

/// How one runtime stands to the roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaRuntime {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The runtime.
    pub runtime_id: RuntimeId,
    /// Where it stands in its life.
    pub status: RuntimeStatus,
    /// The contract version it speaks, once it registered.
    pub contract_version: Option<ContractVersion>,
    /// `confirmed`, `missing`, `delivered` where its version knows no confirmation, or `suspended`
    /// where it is that and has not confirmed.
    pub adoption: String,
    /// When it confirmed.
    pub confirmed: Option<Timestamp>,
    /// Whether the log says that it is lost.
    pub lost: bool,
    /// When it last beat, since the kernel started.
    pub last_seen: Option<Timestamp>,
    /// When its newest certificate ends.
    pub certificate_not_after: Timestamp,
}

/// A step of a rotation that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rotated {
    /// What is now.
    pub ca: Ca,
    /// Runtimes that may be cut off by it: those that had not confirmed at an activation, those
    /// whose certificate was of the old root at a retirement.
    pub cut_off: u64,
}

/// Who was shut out, and who may not have heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revocation {
    /// Runtimes it is about.
    pub runtimes: u64,
    /// Runtimes that had been revoked before, of which it is not known any more who was told.
    pub already_revoked: u64,
    /// Runtimes that were not connected and thus not told.
    pub not_reached_count: u64,
    /// Those. Where it is not known whether a part became durable, it is named here and asked for
    /// again with the next.
    pub not_reached: Vec<NotReached>,
    /// From then on none of them goes on with a license, told or not; absent where all were told.
    pub certain_by: Option<Timestamp>,
    /// Where every runtime of a tenant was revoked: its enrolment tokens that are still of use;
    /// absent where they could not be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_tokens: Option<u64>,
    /// Where there are more runtimes: to ask again with, as `cursor`. The very one that was sent where
    /// nothing came of it that is known: then ask later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A runtime that was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotReached {
    /// The runtime.
    pub runtime_id: RuntimeId,
    /// When it last beat, since the kernel started.
    pub last_seen: Option<Timestamp>,
    /// The end of its last license, grace included.
    pub certain_by: Timestamp,
}

/// A runtime that was revoked, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuntimeRevoked {
    /// The runtime.
    #[serde(flatten)]
    pub runtime: Runtime,
    /// Who was told.
    pub revocation: Revocation,
}
