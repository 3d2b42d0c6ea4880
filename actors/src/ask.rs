//! The only sender in the house: a mailbox bound that holds, a deadline, an honest outcome.
//!
//! `Addr::send` passes the bound of a full mailbox (see `tests/actix_traps.rs`) and `try_send`
//! gives no answer. So a message travels as [`Ask`], which carries its own [`Reply`]: `try_send`
//! refuses it at once when the mailbox is full, and the reply comes by itself. The bound counts
//! clones of an address too, hence: share one `Addr` behind an `Arc`, and never clone it per caller.

use std::{fmt, time::Duration};

use actix::{
    Actor, Addr, Context, Handler, Message,
    dev::{MessageResponse, SendError, ToEnvelope},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// A message with the way back to its asker.
///
/// An actor takes it through [`answers!`](crate::answers), which hands the message to the ordinary
/// `Handler<M>`; or it implements `Handler<Ask<M>>` itself and keeps the [`Reply`] until the answer
/// is durable.
pub struct Ask<M: Message> {
    /// What is asked.
    pub message: M,
    /// Where the answer goes.
    pub reply: Reply<M::Result>,
}

/// The way back to an asker; dropped without an answer, the asker hears [`AskError::Lost`].
pub struct Reply<T>(oneshot::Sender<T>);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The mailbox is full: never accepted, nothing has changed, ask again later (503).
    #[error("the actor has too much to do")]
    Overloaded,
    /// The actor has stopped: never accepted, nothing has changed.
    #[error("the actor has stopped")]
    Gone,
    /// The actor is being rebuilt and was not there within the deadline: never accepted.
    #[error("the actor is being rebuilt")]
    Restarting,
    /// The actor crashed too often and is kept down: never accepted.
    #[error("the actor is quarantined")]
    Quarantined,
    /// Accepted, but no answer came within the deadline: the outcome is unknown.
    #[error("the actor did not answer in time")]
    Late,
    /// Accepted, but the actor ended before it answered: the outcome is unknown.
    #[error("the actor ended before it answered")]
    Lost,
}

impl<M: Message> Ask<M> {
    /// Hands the message to the actor's `Handler<M>` and its response to the asker.
    ///
    /// A message nobody waits for any more is dropped unhandled: under overload work goes to those
    /// who still listen.
    pub fn answer<A>(self, actor: &mut A, context: &mut Context<A>)
    where
        A: Actor<Context = Context<A>> + Handler<M>,
    {
        if !self.reply.is_abandoned() {
            let response = Handler::<M>::handle(actor, self.message, context);
            response.handle(context, Some(self.reply.0));
        }
    }
}

impl<T> Reply<T> {
    /// Sends the answer; an asker who has left does not hear it.
    pub fn send(self, answer: T) {
        let _ = self.0.send(answer);
    }

    /// Says whether the asker has stopped waiting.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

impl AskError {
    /// Says whether the message was accepted, so that only the store knows what became of it.
    #[must_use]
    pub const fn outcome_is_unknown(self) -> bool {
        matches!(self, Self::Late | Self::Lost)
    }
}

impl<M: Message> Message for Ask<M> {
    type Result = ();
}

impl<M: Message> fmt::Debug for Ask<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("abandoned", &self.is_abandoned())
            .finish()
    }
}

/// Asks an actor and waits for its answer until `deadline` has passed.
///
/// A full mailbox is refused at once rather than waited for: the caller is better served by a fast
/// 503 with Retry-After than by a place in a queue nobody bounds, and what was refused certainly did
/// not happen.
///
/// # Errors
/// [`AskError`]; [`AskError::outcome_is_unknown`] tells the two kinds apart.
pub async fn ask<A, M>(
    address: &Addr<A>,
    message: M,
    deadline: Duration,
) -> Result<M::Result, AskError>
where
    A: Actor + Handler<Ask<M>>,
    A::Context: ToEnvelope<A, Ask<M>>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    let until = instant_after(deadline);
    match hand_over(address, message) {
        Ok(answer) => wait_for(answer, until).await,
        Err(SendError::Full(_)) => Err(AskError::Overloaded),
        Err(SendError::Closed(_)) => Err(AskError::Gone),
    }
}

/// Tells an actor something it may miss, and says whether it was accepted; a drop is counted.
///
/// For notifications up the tree, which must never wait: what must not be missed is a published
/// value (a watch), or is found out again at the next beat.
pub fn tell<A, M>(address: &Addr<A>, message: M, kind: &'static str) -> bool
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    let accepted = address.try_send(message).is_ok();
    if !accepted {
        metrics::counter!(NOTIFICATIONS_DROPPED, "kind" => kind).increment(1);
    }
    accepted
}

/// Makes an actor answer [`Ask`] for each message it has an ordinary `Handler` for.
#[macro_export]
macro_rules! answers {
    ($actor:ty: $($message:ty),+ $(,)?) => {$(
        impl ::actix::Handler<$crate::Ask<$message>> for $actor {
            type Result = ();

            fn handle(
                &mut self,
                ask: $crate::Ask<$message>,
                context: &mut ::actix::Context<Self>,
            ) {
                ask.answer(self, context);
            }
        }
    )+};
}

/// Puts a message into a mailbox; what is refused comes back unharmed.
pub(crate) fn hand_over<A, M>(
    address: &Addr<A>,
    message: M,
) -> Result<oneshot::Receiver<M::Result>, SendError<M>>
where
    A: Actor + Handler<Ask<M>>,
    A::Context: ToEnvelope<A, Ask<M>>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    let (reply, answer) = oneshot::channel();
    match address.try_send(Ask {
        message,
        reply: Reply(reply),
    }) {
        Ok(()) => Ok(answer),
        Err(SendError::Full(ask)) => Err(SendError::Full(ask.message)),
        Err(SendError::Closed(ask)) => Err(SendError::Closed(ask.message)),
    }
}

/// Waits for the answer to an accepted message.
pub(crate) async fn wait_for<T>(
    answer: oneshot::Receiver<T>,
    until: Instant,
) -> Result<T, AskError> {
    match timeout_at(until, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(AskError::Lost),
        Err(_) => Err(AskError::Late),
    }
}

/// The moment at which a wait that begins now must end.
pub(crate) fn instant_after(deadline: Duration) -> Instant {
    Instant::now() + deadline.min(DEADLINE_MAX)
}

/// No caller waits longer, whatever it says: the longest is a drain at shutdown, 90 s in the unit
/// file; ten minutes leave room and keep the arithmetic far from overflow.
const DEADLINE_MAX: Duration = Duration::from_secs(600);

const NOTIFICATIONS_DROPPED: &str = "provost_notifications_dropped_total";

#[cfg(test)]
mod tests;
