//! A bucket of tokens, filled evenly: governor's, at a moment that is given to it.
//!
//! governor asks its clock at each look. One look at a clock serves both buckets that a request is
//! paid from, and all requests that came together, so the clock here says what its thread was told.

use std::{cell::Cell, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

/// A bucket of tokens. Moments are times since one beginning, that of all buckets.
#[derive(Debug)]
pub(super) struct Bucket(RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<Duration>>);

impl Bucket {
    /// A full one.
    pub(super) fn new(a_second: NonZeroU32, burst: NonZeroU32, now: Duration) -> Self {
        let quota = Quota::per_second(a_second).allow_burst(burst);
        NOW.set(now);
        Self(RateLimiter::direct_with_clock(quota, Told))
    }

    /// Takes so many tokens, or says how long until there are enough; nothing is taken then.
    pub(super) fn take(&self, count: NonZeroU32, now: Duration) -> Result<(), Duration> {
        NOW.set(now);
        match self.0.check_n(count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_yet)) => Err(not_yet.wait_time_from(now)),
            // It never holds so much: whoever made it so small has forbidden what costs that.
            Err(_) => Err(NEVER),
        }
    }
}

/// Says what the thread was told last.
#[derive(Debug, Clone, Copy)]
struct Told;

impl Clock for Told {
    type Instant = Duration;

    fn now(&self) -> Duration {
        NOW.get()
    }
}

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What no bucket holds is asked for again in an hour, or under another configuration.
const NEVER: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    #[test]
    fn it_gives_its_burst_then_its_rate_and_says_when_there_is_enough() {
        let began = Duration::from_secs(7);
        let bucket = Bucket::new(tokens(10), tokens(3), began);
        for _ in 0..3 {
            assert_eq!(bucket.take(tokens(1), began), Ok(()));
        }
        let tenth = Duration::from_millis(100);
        assert_eq!(bucket.take(tokens(1), began), Err(tenth));
        assert_eq!(bucket.take(tokens(2), began), Err(2 * tenth));
        let nearly = Duration::from_nanos(1);
        assert_eq!(bucket.take(tokens(1), began + tenth - nearly), Err(nearly));
        assert_eq!(bucket.take(tokens(1), began + tenth), Ok(()));
        assert_eq!(bucket.take(tokens(4), began + 100 * tenth), Err(NEVER));
        assert_eq!(bucket.take(tokens(3), began + 100 * tenth), Ok(()));
    }

    #[test]
    fn a_moment_that_is_past_gives_no_more_than_there_is() {
        let bucket = Bucket::new(tokens(10), tokens(2), Duration::ZERO);
        assert_eq!(bucket.take(tokens(2), Duration::from_secs(1)), Ok(()));
        assert!(bucket.take(tokens(1), Duration::ZERO).is_err());
    }
}
