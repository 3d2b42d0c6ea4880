//! What operators direct a runtime to be, and the copies of it that were noticed.

use provost_kernel::state::{CopiesRecord, DirectivesRecord};
use provost_protocol::{RuntimeId, Timestamp, entity::SecurityLevel};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::body::LimitValue;

/// What operators direct a runtime to be, for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Directives {
    /// The runtime: the tenant's own, or one attached to it.
    pub runtime_id: RuntimeId,
    /// Whether every check is denied; absent while it is not.
    pub killed: Option<Killed>,
    /// What its entitlements are narrowed to.
    pub limits: Vec<DirectedLimit>,
}

/// A runtime was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Killed {
    /// When.
    pub since: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What one feature is narrowed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectedLimit {
    /// What: with a resource for that one only.
    pub feature: String,
    /// To how much at most.
    pub limit: LimitValue,
    /// Until when.
    pub until: Timestamp,
}

/// Copies of one runtime that were seen alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Copies {
    /// When the first alarm was recorded.
    pub first: Timestamp,
    /// When the last one was.
    pub last: Timestamp,
    /// How many were, at most one an hour.
    pub alarms: u64,
    /// Whether the alarm stands: with security level enterprise until it is resolved, else for a
    /// day after the last one.
    pub stands: bool,
    /// Each copy, as it was seen last.
    pub sightings: Vec<SeenCopy>,
}

/// One copy, as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeenCopy {
    /// From where it came.
    pub address: String,
    /// Serial number of the certificate it showed, hex; empty where it showed none.
    pub serial: String,
    /// The generation of its session, 0 where it came without one.
    pub generation: u64,
    /// When.
    pub seen: Timestamp,
}

impl Directives {
    /// Shows what stands at a moment.
    #[must_use]
    pub fn new(runtime: RuntimeId, record: Option<&DirectivesRecord>, now: Timestamp) -> Self {
        let killed = record.and_then(|record| record.killed.as_ref());
        let limits = record.map_or(&[][..], |record| &record.limits);
        Self {
            runtime_id: runtime,
            killed: killed.map(|killed| Killed {
                since: killed.since,
                reason: killed.reason.clone(),
            }),
            limits: limits
                .iter()
                .filter(|limit| now < limit.until)
                .map(|limit| DirectedLimit {
                    feature: limit.feature.to_string(),
                    limit: LimitValue(limit.limit),
                    until: limit.until,
                })
                .collect(),
        }
    }
}

impl Copies {
    /// Shows what was seen of a tenant's runtime.
    #[must_use]
    pub fn new(record: &CopiesRecord, level: SecurityLevel, now: Timestamp) -> Self {
        let sightings = record.sightings.iter().map(|sighting| SeenCopy {
            address: sighting.address.clone(),
            serial: sighting.serial.clone(),
            generation: sighting.generation,
            seen: sighting.seen,
        });
        Self {
            first: record.first,
            last: record.last,
            alarms: record.alarms,
            stands: record.stands(level, now),
            sightings: sightings.collect(),
        }
    }
}
