//! The guardian's own task: build, watch, and decide what an end means.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use actix::{Actor, Context};
use futures_util::FutureExt;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::{Instant, sleep, timeout},
};

use super::{BuildError, Exit, Guardian, Health, Incarnation, policy::Failures, spawn};

/// All that a guardian holds while it watches.
pub(super) struct Life<A: Actor, B> {
    guardian: Guardian,
    build: B,
    health: watch::Sender<Health<A>>,
    failures: Failures,
    attempt: u64,
}

/// How one life came to its end.
enum End {
    /// The actor stopped by itself and meant it.
    Finished,
    /// Nobody holds a handle any more.
    Released,
    /// The actor is to have another life; the word is a metrics label, the text is for the log.
    Failed(&'static str, String),
}

impl<A, B, F> Life<A, B>
where
    A: Actor<Context = Context<A>>,
    B: FnMut(Incarnation) -> F,
    F: Future<Output = Result<A, BuildError>>,
{
    pub(super) fn new(guardian: Guardian, build: B, health: watch::Sender<Health<A>>) -> Self {
        Self {
            guardian,
            build,
            health,
            failures: Failures::default(),
            attempt: 0,
        }
    }

    /// Gives the actor one life after the other until it is down for good.
    ///
    /// Boxed: what a future is made from takes its room twice, as argument and as what it became.
    pub(super) async fn run(mut self: Box<Self>) {
        loop {
            let (cause, why) = match self.live().await {
                End::Finished | End::Released => {
                    self.health.send_replace(Health::Stopped);
                    return;
                }
                End::Failed(cause, why) => (cause, why),
            };
            let kind = self.guardian.kind;
            metrics::counter!(FAILURES, "actor" => kind, "cause" => cause).increment(1);
            let Some(wait) = self.failures.record(Instant::now(), &self.guardian.policy) else {
                let line = self.guardian.name.for_a_line();
                line.in_scope(|| {
                    tracing::error!(
                        kind,
                        cause,
                        why,
                        "an actor fails too often and is quarantined"
                    );
                });
                metrics::counter!(QUARANTINES, "actor" => kind).increment(1);
                self.health.send_replace(Health::Quarantined);
                return;
            };
            self.guardian.name.for_a_line().in_scope(|| {
                tracing::warn!(
                    kind,
                    cause,
                    why,
                    ?wait,
                    "an actor failed and will be rebuilt"
                );
            });
            self.health.send_replace(Health::Restarting);
            if Box::pin(self.is_released_within(wait)).await {
                self.health.send_replace(Health::Stopped);
                return;
            }
        }
    }

    async fn is_released_within(&self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.health.closed() => true,
            () = sleep(wait) => false,
        }
    }

    async fn live(&mut self) -> End {
        self.attempt += 1;
        let exit = Exit::default();
        let incarnation = Incarnation {
            attempt: self.attempt,
            exit: exit.clone(),
        };
        // Building takes room for a moment, and so does an end; a guardian waits for as long as its
        // actor lives.
        let actor = match Box::pin(self.build(incarnation)).await {
            Ok(actor) => actor,
            Err(end) => return end,
        };
        let (address, mut task) = spawn(self.guardian.name.held(), |_| actor);
        self.health
            .send_replace(Health::Running(Arc::new(address), self.attempt));
        tokio::select! {
            biased;
            joined = &mut task => end_of(joined, &exit),
            () = self.health.closed() => {
                Box::pin(self.release(task)).await;
                End::Released
            }
        }
    }

    /// Calls the factory; a panic in it, an error and a stuck store are failures like any other.
    async fn build(&mut self, incarnation: Incarnation) -> Result<A, End> {
        let (build, health) = (&mut self.build, &self.health);
        let building = AssertUnwindSafe(async { build(incarnation).await }).catch_unwind();
        let outcome = tokio::select! {
            biased;
            () = health.closed() => return Err(End::Released),
            outcome = timeout(self.guardian.policy.build_within, building) => outcome,
        };
        match outcome {
            Ok(Ok(Ok(actor))) => Ok(actor),
            Ok(Ok(Err(error))) => Err(End::Failed("build", chain(&*error))),
            Ok(Err(panic)) => Err(End::Failed("build", panic_text(&*panic))),
            Err(_) => Err(End::Failed("build", "took too long".to_owned())),
        }
    }

    /// Drops the address, which ends an idle actor; one that does not end in time is cut off.
    async fn release(&self, mut task: JoinHandle<()>) {
        self.health.send_replace(Health::Stopped);
        if timeout(self.guardian.policy.stop_within, &mut task)
            .await
            .is_err()
        {
            let kind = self.guardian.kind;
            self.guardian
                .name
                .for_a_line()
                .in_scope(|| tracing::warn!(kind, "an actor nobody holds did not end: cut off"));
            task.abort();
            let _ = task.await;
        }
    }
}

fn end_of(joined: Result<(), JoinError>, exit: &Exit) -> End {
    match (joined.map_err(JoinError::try_into_panic), exit.reason()) {
        (Ok(()), None) => End::Finished,
        (Ok(()), Some(why)) => End::Failed("exit", why.to_owned()),
        (Err(Ok(panic)), _) => End::Failed("panic", panic_text(&*panic)),
        // Only a runtime that shuts down cancels the task: nothing is to be rebuilt then.
        (Err(Err(_)), _) => End::Finished,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").to_owned()
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

const FAILURES: &str = "provost_actor_failures_total";

const QUARANTINES: &str = "provost_actor_quarantines_total";
