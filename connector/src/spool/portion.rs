//! How much goes to the kernel at once: what the line carries in a second or two.
//!
//! Heartbeats and verdicts share the stream and wait behind a batch. One that a narrow line cannot
//! carry before its answer is due would end the session, and be sent again for ever.

use std::time::Duration;

/// The bytes of the next batch at most.
#[derive(Debug)]
pub(super) struct Portion {
    bytes: usize,
}

impl Default for Portion {
    fn default() -> Self {
        Self { bytes: BYTES_FIRST }
    }
}

impl Portion {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of a batch was answered after so long.
    pub(super) fn answered(&mut self, took: Duration) {
        if took > SLOW {
            self.unanswered();
        } else if took < QUICK {
            self.bytes = self.bytes.saturating_mul(2).min(BYTES_MAX);
        }
    }

    /// No answer came, or too late.
    pub(super) fn unanswered(&mut self) {
        self.bytes = (self.bytes / 2).max(BYTES_LEAST);
    }
}

/// Two seconds of 256 kbit/s; three quick answers lead to the most.
const BYTES_FIRST: usize = 64 * 1024;

/// Half of the contract's limit: verdicts and directives share the stream.
const BYTES_MAX: usize = 512 * 1024;

/// A line that does not carry this within ten seconds carries no heartbeats either.
const BYTES_LEAST: usize = 4 * 1024;

/// A person who waits behind it for a verdict notices.
const SLOW: Duration = Duration::from_secs(2);

/// Twice as much is still not slow.
const QUICK: Duration = Duration::from_millis(750);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_grows_on_a_fast_line_and_shrinks_on_a_slow_one_within_bounds() {
        let mut portion = Portion::default();
        let mut grown = Vec::new();
        for _ in 0..5 {
            grown.push(portion.bytes() / 1024);
            portion.answered(Duration::from_millis(20));
        }
        assert_eq!(grown, [64, 128, 256, 512, 512]);
        portion.answered(Duration::from_secs(1));
        assert_eq!(portion.bytes() / 1024, 512, "neither quick nor slow");
        portion.answered(Duration::from_secs(3));
        assert_eq!(portion.bytes() / 1024, 256);
        for _ in 0..10 {
            portion.unanswered();
        }
        assert_eq!(portion.bytes() / 1024, 4);
    }
}
