//! What is known of the runtime beyond its enrolment, kept in `facts.json`.

use provost_protocol::{entity::RuntimeStatus, v01::PoliciesApplied};
use serde::{Deserialize, Serialize};

/// What is known. A field is added with a default, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    /// The generation of the last session.
    pub(crate) generation: u64,
    /// The runtime's status, as last heard.
    pub(crate) status: Option<RuntimeStatus>,
    /// What applies, as last heard: a product can register while the kernel is away.
    pub(crate) policies: Option<PoliciesApplied>,
    /// What the product said when it registered here.
    pub(crate) registration: Option<Registration>,
}

/// A product's registration with this connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    /// The version of its software.
    pub(crate) version: String,
    /// What it says it can do.
    pub(crate) capabilities: Vec<String>,
    /// SHA-256 of the runtime token in force, hex.
    pub(crate) token_sha256: String,
}

impl Facts {
    /// The runtime's status; of one never heard of, the first there is.
    pub(crate) fn status(&self) -> RuntimeStatus {
        self.status.unwrap_or(RuntimeStatus::Registered)
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Vec::new(),
            token_sha256: String::new(),
        }
    }
}
