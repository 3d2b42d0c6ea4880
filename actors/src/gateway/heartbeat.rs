//! Heartbeats: the runtime is alive, and hears what it should be.

use std::collections::BTreeMap;

use provost_protocol::{
    Code, Problem,
    entity::{Health, RuntimeStatus, TenantStatus},
    wire::{Beat, Outcome},
};

use super::{Gateway, Known, Peer};
use crate::TenantHandle;

impl Gateway {
    pub(super) async fn heartbeat(
        &self,
        peer: &Peer,
        known: &Known,
        acted: &TenantHandle,
        health: Health,
        metrics: BTreeMap<String, f64>,
    ) -> Result<Outcome, Problem> {
        if metrics.len() > METRICS_MAX || metrics.keys().any(|name| name.len() > METRIC_BYTES_MAX) {
            return Err(Problem::new(
                Code::Invalid,
                "metrics: at most 32 names of 64 bytes",
            ));
        }
        // JSON has no such numbers, frames do: one would spoil the fleet's sum.
        if metrics.values().any(|value| !value.is_finite()) {
            return Err(Problem::new(Code::Invalid, "metrics: finite numbers only"));
        }
        let answer = known
            .runtime
            .beat(health, metrics, peer.address)
            .await
            .map_err(|error| error.problem())?;
        let mut desired = self.desired(known, acted)?;
        desired.heartbeat_interval_ms = answer.rhythm.interval_ms;
        desired.runtime_status = answer.status;
        Ok(Outcome::Beat(Beat {
            status: shown_status(answer.status, known.caller.tenant_status),
            heartbeat_interval_ms: answer.rhythm.interval_ms,
            signed_time: self.directory.house().signed_time(),
            desired,
        }))
    }
}

/// A suspended tenant's runtimes are suspended with it (contract.md, section 2).
const fn shown_status(runtime: RuntimeStatus, tenant: TenantStatus) -> RuntimeStatus {
    match (runtime, tenant) {
        (RuntimeStatus::Registered | RuntimeStatus::Active, TenantStatus::Suspended) => {
            RuntimeStatus::Suspended
        }
        (other, _) => other,
    }
}

/// Names in a heartbeat's metrics (contract.md, section 2).
const METRICS_MAX: usize = 32;

/// A metric's name, as long as a Prometheus label stays readable.
const METRIC_BYTES_MAX: usize = 64;
