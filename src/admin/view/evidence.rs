//! What a tenant's log is proved with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a tenant's log ends, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// Rises with every restore from a backup.
    pub epoch: u64,
    /// How many events the log has.
    pub size: u64,
    /// Root of the Merkle tree over them (RFC 6962), hex.
    pub root: String,
    /// The same, signed: a C2SP tlog-checkpoint.
    pub checkpoint: String,
    /// The public key that the checkpoint is verified with, as C2SP signed-note writes it.
    pub verifier_key: String,
    /// With `from_size`: the proof that the log only grew since then (RFC 6962, section 2.1.2),
    /// hashes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Vec<String>>,
}

/// The proof that an event stands in a tenant's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InclusionProof {
    /// Which event.
    pub seq: u64,
    /// How many events the log has in the checkpoint that the proof leads to.
    pub size: u64,
    /// The proof with its checkpoint: a C2SP tlog-proof.
    pub proof: String,
    /// The event's exact stored bytes, in base64.
    pub leaf: String,
    /// The public key that the checkpoint is verified with, as C2SP signed-note writes it.
    pub verifier_key: String,
}
