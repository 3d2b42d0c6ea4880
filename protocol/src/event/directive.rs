//! What operators direct a runtime to be, and copies of one that were noticed.

use serde::{Deserialize, Serialize};

use crate::{
    RuntimeId, Timestamp,
    entity::{Feature, Limit},
};

/// Every check of the runtime is denied until it is resumed, also by its own connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeKilled {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A killed runtime is killed no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeUnkilled {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What the runtime may do for this tenant is narrowed for a while. Limiting again replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeLimited {
    /// The runtime: the tenant's own, or one attached to it.
    pub runtime: RuntimeId,
    /// What: with a resource for that one only.
    pub feature: Feature,
    /// To how much at most.
    pub limit: Limit,
    /// Until when.
    pub until: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A limit of the runtime was taken away before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeUnlimited {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The feature, as it was limited.
    pub feature: Feature,
    /// Why, in the operator's words.
    pub reason: String,
}

/// An alarm: two copies of one runtime were seen alive. At most once an hour per runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeCloned {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Each copy, as it was seen last.
    pub sightings: Vec<Sighting>,
}

/// One copy of a runtime, as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// From where it came.
    pub address: String,
    /// Serial number of the certificate it showed, hex; empty where it showed none.
    pub serial: String,
    /// The generation of its session, 0 where it came without one.
    pub generation: u64,
    /// When.
    pub seen: Timestamp,
}

/// An operator says that there is one copy again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeCloneResolved {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Why, in the operator's words.
    pub reason: String,
}
