//! The time at which the kernel's certificate is judged.

use std::{sync::Arc, time::Duration};

use provost_protocol::Timestamp;
use rustls::{ClientConfig, time_provider::TimeProvider};
use rustls_pki_types::UnixTime;

/// The local clock, and never less than a moment that is known to have passed.
#[derive(Debug)]
struct Floored {
    passed: UnixTime,
}

impl TimeProvider for Floored {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::now().max(self.passed))
    }
}

/// The same client, that takes it for certain that `passed` has passed.
pub(super) fn floored(config: &Arc<ClientConfig>, passed: Timestamp) -> Arc<ClientConfig> {
    let millis = u64::try_from(passed.as_millis()).unwrap_or_default();
    let passed = UnixTime::since_unix_epoch(Duration::from_millis(millis));
    let mut config = ClientConfig::clone(config);
    config.time_provider = Arc::new(Floored { passed });
    Arc::new(config)
}
