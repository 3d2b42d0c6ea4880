//! Waiting for what must come, not for time to pass.

use std::time::{Duration, Instant};

use provost_protocol::Timestamp;

/// Asks again and again until something is seen.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(WITHIN, what, look).await
}

/// The same, where a bound on the time is what is tested.
pub(crate) async fn until_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The time, as every process of this machine sees it.
pub(crate) fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::EPOCH.plus_millis(u64::try_from(since.as_millis()).unwrap())
}

/// A debug build on a machine that compiles beside it.
const WITHIN: Duration = Duration::from_secs(60);

/// Often enough that a wait is not felt.
const LOOK_EVERY: Duration = Duration::from_millis(20);
