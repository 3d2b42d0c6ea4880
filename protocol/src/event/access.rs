//! What tenants may do and did: entitlements, quotas, licenses.

use serde::{Deserialize, Serialize};

use crate::{
    RuntimeId, Timestamp,
    entity::{Feature, Limit, Mode, TimeWindow},
};

/// The tenant may do something, within limits. Granting again replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementGranted {
    /// What.
    pub feature: Feature,
    /// For this runtime only; for all of the tenant's where absent.
    pub runtime: Option<RuntimeId>,
    /// How much.
    pub limit: Limit,
    /// Over which time a quota is counted; for ever where absent.
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no.
    pub mode: Mode,
    /// Until when; [`Timestamp::MAX`] for no end.
    pub valid_until: Timestamp,
}

/// The tenant may do it no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementRemoved {
    /// What.
    pub feature: Feature,
    /// As it was granted.
    pub runtime: Option<RuntimeId>,
}

/// An entitlement's time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementExpired {
    /// What.
    pub feature: Feature,
    /// As it was granted.
    pub runtime: Option<RuntimeId>,
    /// When it ended.
    pub valid_until: Timestamp,
}

/// Mode `warn` or `shadow` let through what `enforce` would have denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementOverridden {
    /// The runtime that asked.
    pub runtime: RuntimeId,
    /// What for.
    pub feature: Feature,
    /// The mode that let it through.
    pub mode: Mode,
    /// The reason it would have been denied for.
    pub reason: String,
}

/// Units were taken from a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaConsumed {
    /// The runtime that took them.
    pub runtime: RuntimeId,
    /// The feature as asked for.
    pub feature: Feature,
    /// The entitlement that matched: its feature.
    pub granted: Feature,
    /// The entitlement that matched: its runtime, if it was for one only.
    pub granted_runtime: Option<RuntimeId>,
    /// How many were taken.
    pub amount: u64,
    /// How many are taken in this window, these included.
    pub used: u64,
    /// The quota at that time; absent where it is unlimited.
    pub quota: Option<u64>,
    /// Start of the window, inclusive.
    pub window_start: Timestamp,
    /// End of the window, exclusive; [`Timestamp::MAX`] where there is none.
    pub window_end: Timestamp,
    /// The entitlement's window at that time, as the answer shows it.
    pub time_window: Option<TimeWindow>,
    /// The entitlement's mode at that time, as the answer shows it.
    pub mode: Mode,
    /// Whether `enforce` would have denied it.
    pub over_quota: bool,
}

/// Units were refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaDenied {
    /// The runtime that asked.
    pub runtime: RuntimeId,
    /// The feature as asked for.
    pub feature: Feature,
    /// How many it asked for.
    pub amount: u64,
    /// Why, as the answer says it.
    pub reason: String,
    /// How many are taken in this window, where an entitlement matched.
    pub used: Option<u64>,
    /// The quota, where an entitlement matched.
    pub quota: Option<u64>,
    /// The entitlement's window at that time, as the answer shows it.
    pub time_window: Option<TimeWindow>,
    /// End of the window, where there is one.
    pub resets_at: Option<Timestamp>,
}

/// A license was signed. The event is durable before the license leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseIssued {
    /// For which runtime.
    pub runtime: RuntimeId,
    /// Rises by one with each license of this (runtime, tenant) within an epoch.
    pub license_seq: u64,
    /// The signing key.
    pub kid: String,
    /// The binding key it is bound to: SHA-256 of its SPKI, hex.
    pub cnf: String,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it ends.
    pub expiry: Timestamp,
    /// How long after its end it still serves, in milliseconds.
    pub grace_ms: u64,
    /// The tenant's desired-state revision it shows.
    pub revision: u64,
    /// SHA-256 of the license's text, hex.
    pub license_sha256: String,
}
