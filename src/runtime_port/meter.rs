//! What is counted of one call.

use std::time::Duration;

use axum::http::StatusCode;
use metrics::{Counter, Histogram};

use crate::telemetry::names::{RUNTIME_REQUESTS, RUNTIME_SECONDS};

/// The figures of one call. To find a figure by its labels costs as much as to count in it many
/// times, so those that nearly every answer needs are found once.
#[derive(Clone)]
pub(super) struct Meter {
    call: &'static str,
    good: Counter,
    seconds: Histogram,
}

impl Meter {
    /// Finds the figures of a call.
    pub(super) fn of(call: &'static str) -> Self {
        Self {
            call,
            good: metrics::counter!(RUNTIME_REQUESTS, "call" => call, "status" => "200"),
            seconds: metrics::histogram!(RUNTIME_SECONDS, "call" => call),
        }
    }

    /// Counts an answer.
    pub(super) fn count(&self, status: StatusCode, took: Duration) {
        if status == StatusCode::OK {
            self.good.increment(1);
        } else {
            let status = status.as_str().to_owned();
            metrics::counter!(RUNTIME_REQUESTS, "call" => self.call, "status" => status)
                .increment(1);
        }
        self.seconds.record(took);
    }
}
