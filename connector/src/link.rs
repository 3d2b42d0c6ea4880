//! The outbound connection to the kernel: one task that dials, speaks `provost/1`, and dials again.
//!
//! Callers hold a [`Link`]: they ask and wait, each with a deadline. Nothing is retried here: who
//! asks knows whether asking twice is harmless. Volatile; the session's generation is kept with the
//! facts, so that a reconnect resumes by it.

mod backoff;
mod dial;
mod error;
mod pending;
mod session;
mod stream;

use std::time::Duration;

use provost_protocol::{
    Code, CorrelationId, Problem, TenantId,
    wire::{Operation, Outcome},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

pub(crate) use dial::{Dial, run};
pub use error::LinkError;

/// Where the link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// A first connection is being made, or one anew on purpose: wait a little.
    Starting,
    /// The kernel can be asked.
    Up {
        /// The session's generation.
        generation: u64,
    },
    /// The kernel cannot be asked.
    Down {
        /// Why, for people.
        reason: String,
    },
}

impl LinkState {
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// It never left: the kernel has not heard of it.
    #[error("the link to the kernel is down")]
    Down,
    /// It left, and no answer came: the kernel may have acted on it.
    #[error("the link to the kernel was lost before the answer")]
    Lost,
    /// It never left: too many calls wait already.
    #[error("too many calls wait for the kernel")]
    Busy,
}

impl CallError {
    /// The refusal as callers of the local API see it.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Down => Problem::new(Code::KernelUnreachable, "the link to the kernel is down"),
            Self::Lost => Problem::new(
                Code::OutcomeUnknown,
                "the link was lost before the kernel answered",
            ),
            Self::Busy => Problem::new(Code::Overloaded, "too many calls wait for the kernel"),
        }
        .retry_after_ms(RETRY_MS)
    }
}

/// One call on its way.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) tenant: TenantId,
    pub(crate) correlation: CorrelationId,
    pub(crate) operation: Operation,
    pub(crate) reply: oneshot::Sender<Result<Outcome, CallError>>,
}

/// The link, from the side of those who ask. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<LinkState>,
}

impl Link {
    /// A link and the end that serves it.
    pub(crate) fn new(state: watch::Receiver<LinkState>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, served) = mpsc::channel(ORDERS_MAX);
        (Self { orders, state }, served)
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Whether the kernel can be asked now.
    pub(crate) fn is_up(&self) -> bool {
        self.state.borrow().is_up()
    }

    /// Waits until the kernel can be asked; ends only then, or never.
    pub(crate) async fn up(&self) {
        let mut state = self.state.clone();
        if state.wait_for(LinkState::is_up).await.is_err() {
            // The link's task is gone, and with it all that could come.
            std::future::pending::<()>().await;
        }
    }

    /// Waits, for a moment only, until a connection that is being made stands or does not.
    pub(crate) async fn settled(&self) -> bool {
        let mut state = self.state.clone();
        let decided = state.wait_for(|state| *state != LinkState::Starting);
        timeout(SETTLE_MAX, decided)
            .await
            .is_ok_and(|state| state.is_ok_and(|state| state.is_up()))
    }

    /// Asks the kernel, and waits for the answer.
    pub(crate) async fn call(
        &self,
        tenant: TenantId,
        correlation: CorrelationId,
        operation: Operation,
    ) -> Result<Outcome, CallError> {
        if !self.settled().await {
            return Err(CallError::Down);
        }
        let (reply, answer) = oneshot::channel();
        let order = Order {
            tenant,
            correlation,
            operation,
            reply,
        };
        match timeout(QUEUE_MAX, self.orders.send(order)).await {
            Err(_) => return Err(CallError::Busy),
            Ok(Err(_)) => return Err(CallError::Down),
            Ok(Ok(())) => {}
        }
        match timeout(CALL_MAX, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(CallError::Lost),
        }
    }
}

/// As many as the kernel lets one connection have open, twice: one set waits for the other.
const ORDERS_MAX: usize = 128;

/// A handshake on the same continent; a person waits behind it.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// Waiting longer for one's turn than a person waits for a page serves nobody.
const QUEUE_MAX: Duration = Duration::from_secs(5);

/// Longer than a session waits for any answer, also for one that comes over a narrow line, so that
/// the session's word comes first.
const CALL_MAX: Duration = Duration::from_secs(100);

/// Within this a reconnect has been tried twice or more.
const RETRY_MS: u64 = 2_000;
