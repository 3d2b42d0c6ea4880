//! How often one runtime may have a checkpoint signed: each costs a few reads and a signature.

use actix::{Context, Handler, Message, MessageResult};
use provost_protocol::Timestamp;

use super::actor::RuntimeActor;
use crate::answers;

/// May a checkpoint be signed for this runtime now? If not, in how many milliseconds?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), u64>")]
pub(crate) struct TakeCheckpoint;

answers!(RuntimeActor: TakeCheckpoint);

impl Handler<TakeCheckpoint> for RuntimeActor {
    type Result = MessageResult<TakeCheckpoint>;

    fn handle(&mut self, _: TakeCheckpoint, _: &mut Context<Self>) -> Self::Result {
        let now = self.house.clock.now();
        MessageResult(self.checkpoints.take(now))
    }
}

/// One checkpoint in [`CHECKPOINT_EVERY_MS`], and one more for who comes back after a break.
/// Forgotten with the actor: whoever was silent until it was lost may ask at once.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// When all that was taken is paid for.
    paid: Option<Timestamp>,
}

impl Checkpoints {
    fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        // More is never owed but by a clock that was set back.
        let paid = self
            .paid
            .filter(|paid| paid.millis_since(now) <= 2 * CHECKPOINT_EVERY_MS);
        let paid = paid.map_or(now, |paid| paid.max(now));
        let owed = paid.millis_since(now);
        if owed > CHECKPOINT_EVERY_MS {
            return Err(owed - CHECKPOINT_EVERY_MS);
        }
        self.paid = Some(paid.plus_millis(CHECKPOINT_EVERY_MS));
        Ok(())
    }
}

/// What was lost between two checkpoints can be denied: ten minutes of it. A fleet of 10,000 costs
/// 17 signatures a second at that.
const CHECKPOINT_EVERY_MS: u64 = 10 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_ten_minutes_is_signed_and_one_more_after_a_break() {
        let mut checkpoints = Checkpoints::default();
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        assert_eq!(checkpoints.take(at(0)), Ok(()));
        assert_eq!(checkpoints.take(at(1)), Ok(()), "it came back");
        assert_eq!(checkpoints.take(at(2)), Err(8 * 60_000));
        assert_eq!(checkpoints.take(at(10)), Ok(()));
        assert_eq!(checkpoints.take(at(10)), Err(10 * 60_000));
        let day = 24 * 60;
        let taken = (10..day).filter(|&minute| checkpoints.take(at(minute)).is_ok());
        assert_eq!(taken.count(), 142, "as if it had asked every ten minutes");
        assert_eq!(checkpoints.take(at(2 * day)), Ok(()));
        assert_eq!(checkpoints.take(at(2 * day)), Ok(()));
        assert!(
            checkpoints.take(at(2 * day)).is_err(),
            "rest is not saved up"
        );
        assert_eq!(checkpoints.take(at(-60)), Ok(()), "the clock was set back");
    }
}
