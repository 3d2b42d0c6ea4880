//! What happens to the installation itself; stands in the internal tenant's log.

use serde::{Deserialize, Serialize};

use crate::{
    TenantId,
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

/// Space on the disk of the data runs short: an alarm, long before writes are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLow {
    /// Bytes left.
    pub free_bytes: u64,
    /// Below how many the alarm is raised.
    pub low_bytes: u64,
}

/// There is space on the disk again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRecovered {
    /// Bytes left.
    pub free_bytes: u64,
}

/// Stored bytes of the journal are not what was written: an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalDamaged {
    /// The file, by its name in the data folder.
    pub file: String,
    /// Where in the file.
    pub offset: u64,
    /// Whose events cannot be read, as far as that is known; at most [`DAMAGED_TENANTS_MAX`].
    pub tenants: Vec<TenantId>,
    /// What is wrong, in words.
    pub why: String,
}

/// An envelope holds 65,535 bytes and a tenant's id takes 39 of them.
pub const DAMAGED_TENANTS_MAX: usize = 1000;
