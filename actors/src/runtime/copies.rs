//! Two living copies of one runtime: seen here, recorded by its tenant.

use std::net::SocketAddr;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use provost_kernel::{Command, clones::Came};
use provost_protocol::event::Sighting;

use super::{actor::RuntimeActor, handle::Opening};

/// The runtime registered without a connector: its token replaces the one before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TokenReplaced {
    pub(super) token_sha256: String,
    pub(super) address: SocketAddr,
    pub(super) serial: String,
}

/// A call came with a token that is not the newest one.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TokenStale {
    pub(super) token_sha256: String,
    pub(super) address: SocketAddr,
    pub(super) serial: String,
}

/// Somebody who holds the binding key asked for a recovery whose number was used already.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct RecoveryRefused {
    pub(super) address: SocketAddr,
}

/// An operator says that there is one copy again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CopiesResolved;

impl Handler<CopiesResolved> for RuntimeActor {
    type Result = ();

    fn handle(&mut self, _: CopiesResolved, _: &mut Context<Self>) {
        self.copies.resolved();
        self.live.await_beat(self.copies.awaits_beat());
    }
}

impl Handler<TokenReplaced> for RuntimeActor {
    type Result = ();

    fn handle(&mut self, token: TokenReplaced, _: &mut Context<Self>) {
        let (now, address) = (self.house.clock.now(), token.address.to_string());
        let from = (address.as_str(), token.serial.as_str());
        self.copies.registered(&token.token_sha256, from, now);
    }
}

impl Handler<TokenStale> for RuntimeActor {
    type Result = ();

    fn handle(&mut self, token: TokenStale, ctx: &mut Context<Self>) {
        let (now, address) = (self.house.clock.now(), token.address.to_string());
        let from = (address.as_str(), token.serial.as_str());
        let both = self.copies.token_refused(&token.token_sha256, from, now);
        self.report_copies(both, ctx);
    }
}

impl Handler<RecoveryRefused> for RuntimeActor {
    type Result = ();

    fn handle(&mut self, refused: RecoveryRefused, _: &mut Context<Self>) {
        let (now, address) = (self.house.clock.now(), refused.address.to_string());
        self.copies.recovery_refused(&address, now);
        self.live.await_beat(self.copies.awaits_beat());
    }
}

impl RuntimeActor {
    /// Looks whether who beats goes on beside somebody who was refused a recovery.
    pub(super) fn look_beside_refused(&mut self, address: SocketAddr, ctx: &mut Context<Self>) {
        if self.copies.awaits_beat() {
            let both = self
                .copies
                .beat(&address.to_string(), self.house.clock.now());
            self.live.await_beat(self.copies.awaits_beat());
            self.report_copies(both, ctx);
        }
    }

    /// Looks whether a Hello is of another copy than the one before it.
    pub(super) fn look_for_copies(
        &mut self,
        opening: &Opening,
        generation: u64,
        ctx: &mut Context<Self>,
    ) {
        let address = opening.address.to_string();
        let came = Came {
            nonce: opening.nonce,
            claimed: opening.last_generation,
            opened: generation,
            address: &address,
            serial: &opening.serial,
        };
        let both = self.copies.came(&came, self.house.clock.now());
        self.live.await_beat(self.copies.awaits_beat());
        self.report_copies(both, ctx);
    }

    /// Has an alarm recorded; `kernel` says how often.
    fn report_copies(&self, both: Option<[Sighting; 2]>, ctx: &mut Context<Self>) {
        let Some(both) = both else { return };
        let [one, other] = &both;
        tracing::warn!(
            tenant.id = %self.tenant.id(), runtime.id = %self.id,
            one.address,
            one.generation,
            other.address,
            other.generation,
            "ALARM: two copies of one runtime are alive"
        );
        let command = Command::ReportClone {
            runtime: self.id,
            sightings: both.to_vec(),
        };
        let (tenant, meta) = (self.tenant.clone(), self.meta());
        let report = async move { tenant.execute(command, meta).await };
        ctx.spawn(report.into_actor(self).map(|outcome, actor, _| {
            // Copies that both live go on to show themselves.
            if let Err(error) = outcome {
                let (tenant, runtime) = actor.key();
                tracing::warn!(tenant.id = %tenant, runtime.id = %runtime, %error,
                    "two copies of a runtime were not recorded");
            }
        }));
    }
}
