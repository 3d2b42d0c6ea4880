//! The roots a runtime is to trust, as JSON (v0.2).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer to `GET /kernel/trust-bundle`. Unknown fields are ignored, so that a newer kernel can say
/// more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustBundleAnswer {
    /// Names the set: lower hex SHA-256 over the SHA-256 of each root's DER, sorted and put one
    /// behind the other.
    pub id: String,
    /// Each root certificate, in PEM: several while one is rotated out for another.
    pub roots: Vec<String>,
}
