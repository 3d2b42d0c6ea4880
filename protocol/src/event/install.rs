//! What happens to the installation itself; stands in the internal tenant's log.

use serde::{Deserialize, Serialize};

use crate::{
    entity::{KeyPurpose, Role},
    ids::AdminKeyId,
};

/// A signing key exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCreated {
    /// Its name.
    pub kid: String,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its public half: SPKI, DER, base64.
    pub public_key: String,
}

/// An admin key may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminKeyCreated {
    /// The key.
    pub key: AdminKeyId,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the key's text, hex.
    pub secret_sha256: String,
}
