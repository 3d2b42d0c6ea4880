//! What a check answers: allowed or not, why, and the limits in force.
//!
//! The same verdict comes from the kernel and, offline, from the connector; bincode carries it on
//! frames, [`crate::v01`] writes it as v0.1's JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    entity::{Mode, TimeWindow},
};

/// Why a check was answered as it was. Append-only: the numbers stand on the wire.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum Reason {
    /// An entitlement matches and its limits hold.
    #[serde(rename = "ENTITLED")]
    Entitled,
    /// No entitlement matches.
    #[serde(rename = "NO_ENTITLEMENT")]
    NoEntitlement,
    /// The entitlement that matches has ended.
    #[serde(rename = "ENTITLEMENT_EXPIRED")]
    EntitlementExpired,
    /// The entitlement that matches plainly says no.
    #[serde(rename = "FEATURE_OFF")]
    FeatureOff,
    /// The quota of this window does not hold what was asked for.
    #[serde(rename = "QUOTA_EXHAUSTED")]
    QuotaExhausted,
    /// The tenant is suspended.
    #[serde(rename = "TENANT_SUSPENDED")]
    TenantSuspended,
    /// The runtime is suspended.
    #[serde(rename = "RUNTIME_SUSPENDED")]
    RuntimeSuspended,
    /// The runtime is revoked.
    #[serde(rename = "RUNTIME_REVOKED")]
    RuntimeRevoked,
    /// No person of this tenant was resolved through the runtime within the last 12 hours.
    #[serde(rename = "RESOLVE_NEEDED")]
    ResolveNeeded,
    /// An operator killed the runtime.
    #[serde(rename = "KILLED")]
    Killed,
    /// Offline, a quota may only be taken from a lease, and there is none.
    #[serde(rename = "NO_LEASE")]
    NoLease,
    /// Offline, and the license and its grace have ended.
    #[serde(rename = "LICENSE_EXPIRED")]
    LicenseExpired,
    /// Offline, and there is no license for this tenant.
    #[serde(rename = "NO_LICENSE")]
    NoLicense,
    /// `consume` was asked of an entitlement that has no quota to take from.
    #[serde(rename = "NOT_METERED")]
    NotMetered,
}

impl Reason {
    /// The word as it stands in answers and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entitled => "ENTITLED",
            Self::NoEntitlement => "NO_ENTITLEMENT",
            Self::EntitlementExpired => "ENTITLEMENT_EXPIRED",
            Self::FeatureOff => "FEATURE_OFF",
            Self::QuotaExhausted => "QUOTA_EXHAUSTED",
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::RuntimeSuspended => "RUNTIME_SUSPENDED",
            Self::RuntimeRevoked => "RUNTIME_REVOKED",
            Self::ResolveNeeded => "RESOLVE_NEEDED",
            Self::Killed => "KILLED",
            Self::NoLease => "NO_LEASE",
            Self::LicenseExpired => "LICENSE_EXPIRED",
            Self::NoLicense => "NO_LICENSE",
            Self::NotMetered => "NOT_METERED",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the runtime may execute.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// The limits of the entitlement that matched; absent where none did.
    pub limits: Option<Limits>,
}

impl Verdict {
    /// A denial where no entitlement matched or none was asked.
    #[must_use]
    pub const fn denied(reason: Reason) -> Self {
        Self {
            allowed: false,
            reason,
            limits: None,
        }
    }
}

/// The limits in force after the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Units in each window; absent where it is unlimited or a plain yes or no.
    pub quota: Option<u64>,
    /// Units taken in this window.
    pub used: Option<u64>,
    /// Units left in this window.
    pub remaining: Option<u64>,
    /// The window.
    pub time_window: Option<TimeWindow>,
    /// When the window ends; absent where it never does or has not begun.
    pub resets_at: Option<Timestamp>,
    /// What happens where the entitlement says no.
    pub mode: Mode,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_keeps_its_bytes_on_the_wire() {
        let verdict = Verdict {
            allowed: false,
            reason: Reason::QuotaExhausted,
            limits: Some(Limits {
                quota: Some(5),
                used: Some(5),
                remaining: Some(0),
                time_window: Some(TimeWindow::Month),
                resets_at: Some(Timestamp::from_millis(1)),
                mode: Mode::Enforce,
            }),
        };
        let bytes = crate::codec::encode(&verdict).unwrap();
        assert_eq!(
            bytes,
            [
                1, 0, 4, 1, 1, 5, 1, 5, 1, 0, 1, 5, b'm', b'o', b'n', b't', b'h', 1, 2, 0
            ]
        );
        assert_eq!(crate::codec::decode::<Verdict>(&bytes).unwrap(), verdict);
    }

    #[test]
    fn every_reason_is_one_word_in_json_and_in_text() {
        for reason in [Reason::Entitled, Reason::NoLease, Reason::NotMetered] {
            assert_eq!(
                serde_json::to_string(&reason).unwrap(),
                format!("\"{reason}\"")
            );
        }
    }
}
