//! What a runtime's silence leads to.
//!
//! Level-triggered: what the log says is compared with what is seen, so that a word that was
//! dropped, or could not be written, is said again.

use actix::{ActorContext, Context, Handler};
use provost_protocol::entity::{Liveness, RuntimeStatus};

use super::actor::{RuntimeActor, Tick};
use crate::tenant::PresenceChange;

impl Handler<Tick> for RuntimeActor {
    type Result = ();

    fn handle(&mut self, tick: Tick, ctx: &mut Self::Context) {
        if self.live.tick(tick.now) == Liveness::Lost && self.is_settled(ctx) {
            if self.status() != RuntimeStatus::Revoked {
                self.fleet.lost(self.key(), self.live.look().runtime_type);
            }
            return ctx.stop();
        }
        self.schedule();
    }
}

impl RuntimeActor {
    /// Whether a lost runtime needs no actor: the log knows, and no session is open.
    fn is_settled(&mut self, ctx: &mut Context<Self>) -> bool {
        let known = match self.is_lost_in_log() {
            Some(known) => known || self.status() == RuntimeStatus::Revoked,
            None => {
                self.hold_again(ctx);
                false
            }
        };
        if !known {
            self.say(PresenceChange::Lost);
        }
        known && !self.is_connected()
    }
}

/// How often a silent runtime looks whether its silence is in the log: a full disk is freed by a
/// person, and nobody waits for this.
pub(super) const LOST_AGAIN_MS: u64 = 5_000;
