//! What operators direct one runtime to be, and the copies of it that were noticed.

use provost_protocol::{
    Timestamp,
    entity::{Feature, SecurityLevel},
    event::Sighting,
    wire::DesiredLimit,
};
use serde::{Deserialize, Serialize};

/// What operators direct one runtime to be, for this tenant; absent for all who are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectivesRecord {
    /// Whether every check is denied; only in the runtime's own tenant.
    pub killed: Option<Killed>,
    /// What its entitlements are narrowed to, in the order of features; ended ones may be left.
    pub limits: Vec<DesiredLimit>,
}

/// A runtime was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// When.
    pub since: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// Copies of one runtime that were seen alive, until an operator says that there is one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesRecord {
    /// When the first alarm was recorded.
    pub first: Timestamp,
    /// When the last one was.
    pub last: Timestamp,
    /// How many were.
    pub alarms: u64,
    /// Each copy of the last alarm.
    pub sightings: Vec<Sighting>,
}

impl DirectivesRecord {
    /// The limit of exactly this feature, while it holds.
    #[must_use]
    pub fn limit(&self, feature: &Feature, now: Timestamp) -> Option<&DesiredLimit> {
        self.limits
            .iter()
            .find(|limit| limit.feature == *feature && now < limit.until)
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.killed.is_none() && self.limits.is_empty()
    }
}

impl CopiesRecord {
    /// Whether the alarm stands: for a strictly handled tenant until an operator resolves it, for
    /// others until no copies were seen for a while.
    #[must_use]
    pub fn stands(&self, level: SecurityLevel, now: Timestamp) -> bool {
        match level {
            SecurityLevel::Enterprise => true,
            SecurityLevel::Standard => now.millis_since(self.last) < STANDS_MS,
        }
    }
}

/// A day: whoever looks once a day sees it.
const STANDS_MS: u64 = 24 * 60 * 60 * 1_000;
