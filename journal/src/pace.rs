//! How long the next group may wait for those who were in the last one.
//!
//! Whoever writes, waits for the answer and writes again is not there yet when the group after its
//! own begins. Without a wait two halves take turns, each group holds half of what it could, and on
//! a disk whose syncs are slow half of what it gives is lost. So the writer waits until as many are
//! there as were under way lately, and never longer than half of what a sync takes: a lone writer,
//! and one whose companions have left, pay little.

use std::time::{Duration, Instant};

/// What the last groups were like.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Submissions that were under way when the last group was durable: in it, and waiting.
    under_way: usize,
    /// What an append takes, smoothed.
    append: Duration,
}

impl Pace {
    /// For how many submissions besides the one in hand it is worth waiting, and until when.
    pub(crate) fn wait_for(&self) -> Option<(usize, Instant)> {
        let others = self.under_way.checked_sub(1).filter(|others| *others > 0)?;
        let patience = (self.append / PATIENCE_PART).min(PATIENCE_MAX);
        Some((others, Instant::now() + patience))
    }

    /// Notes a group: how many submissions were under way when it was written, and how long that
    /// took.
    pub(crate) fn wrote(&mut self, under_way: usize, took: Duration) {
        self.under_way = under_way;
        self.append = (self.append * (SMOOTH - 1) + took) / SMOOTH;
    }
}

/// Half of an append: what a full group saves is a whole one.
const PATIENCE_PART: u32 = 2;

/// However slow the disk is, nobody is made to wait longer for others: an answer is late by no more
/// than a person would not notice.
const PATIENCE_MAX: Duration = Duration::from_millis(10);

/// One stray sync in eight does not change the pace.
const SMOOTH: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_writer_never_waits() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait_for(), None);
        pace.wrote(1, Duration::from_millis(5));
        assert_eq!(pace.wait_for(), None);
    }

    #[test]
    fn many_wait_for_each_other_at_most_half_an_append() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.wrote(64, Duration::from_millis(6));
        }
        let before = Instant::now();
        let (others, until) = pace.wait_for().unwrap();
        assert_eq!(others, 63);
        assert!(until <= Instant::now() + Duration::from_millis(3));
        assert!(until > before + Duration::from_millis(2));
    }

    #[test]
    fn a_stuck_disk_does_not_make_anybody_wait_for_long() {
        let mut pace = Pace::default();
        pace.wrote(2, Duration::from_secs(600));
        let (_, until) = pace.wait_for().unwrap();
        assert!(until <= Instant::now() + PATIENCE_MAX);
    }
}
