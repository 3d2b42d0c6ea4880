//! Heartbeats: the runtime is alive, and hears what it should be.

use provost_kernel::Caller;
use provost_protocol::{
    Code, Problem,
    metrics::Metrics,
    wire::{self, DesiredState, Heartbeat, Outcome},
};

use super::{Gateway, Known, Peer};
use crate::{BeatAnswer, TenantHandle, runtime::Beat};

impl Gateway {
    pub(super) async fn heartbeat(
        &self,
        peer: &Peer,
        known: &Known,
        acted: &TenantHandle,
        beat: Heartbeat,
    ) -> Result<Outcome, Problem> {
        check_metrics(&beat.metrics)?;
        let beat = Beat {
            health: beat.health,
            metrics: beat.metrics,
            address: peer.address,
        };
        let answer = known
            .runtime
            .beat(beat)
            .await
            .map_err(|error| error.problem())?;
        let desired = self.desired(known, acted)?;
        Ok(self.beat_taken(&known.caller, answer, desired))
    }

    /// The answer to a beat that was taken in.
    pub(super) fn beat_taken(
        &self,
        caller: &Caller,
        answer: BeatAnswer,
        mut desired: DesiredState,
    ) -> Outcome {
        desired.heartbeat_interval_ms = answer.rhythm.interval_ms;
        Outcome::Beat(wire::Beat {
            status: answer.status.within(caller.tenant_status),
            heartbeat_interval_ms: answer.rhythm.interval_ms,
            signed_time: self.directory.house().signed_time(),
            desired,
        })
    }
}

/// Refuses metrics that are too many, too long or no numbers.
pub(super) fn check_metrics(metrics: &Metrics) -> Result<(), Problem> {
    if metrics.len() > METRICS_MAX
        || metrics
            .iter()
            .any(|(name, _)| name.len() > METRIC_BYTES_MAX)
    {
        return Err(Problem::new(
            Code::Invalid,
            "metrics: at most 32 names of 64 bytes",
        ));
    }
    // JSON has no such numbers, frames do: one would spoil the fleet's sum.
    if metrics.iter().any(|(_, value)| !value.is_finite()) {
        return Err(Problem::new(Code::Invalid, "metrics: finite numbers only"));
    }
    Ok(())
}

/// Names in a heartbeat's metrics (contract.md, section 2).
const METRICS_MAX: usize = 32;

/// A metric's name, as long as a Prometheus label stays readable.
const METRIC_BYTES_MAX: usize = 64;
