//! Supervision of ours: an actor that panics is built again, one that keeps panicking is kept down.
//!
//! `actix::Supervisor` dies with its actor (see `tests/actix_traps.rs`). A [`Guardian`] holds a
//! *factory* that builds the actor from what lasts, awaits the actor's task, and tells *finished*
//! from *panicked*. It restarts with back-off, and after too many failures in a while it gives up:
//! the actor is *quarantined*, which is volatile and says nothing about anybody's contract.
//!
//! A normal stop is final (a tenant that goes to sleep), unless the actor said before through its
//! [`Exit`] that it must be rebuilt (a commit whose outcome is unknown). When the last
//! [`Guarded`] handle is dropped, the actor is let go of and the guardian ends.

mod handle;
mod life;
mod policy;

use std::{cell::Cell, fmt, rc::Rc};

use actix::{Actor, Addr, AsyncContext, Context};
use tokio::{sync::watch, task::JoinHandle};
use tracing::{Instrument, Span};

pub use self::{
    handle::{Guarded, Health},
    policy::RestartPolicy,
};

/// Watches over one actor; see the module.
#[derive(Debug, Clone)]
pub struct Guardian {
    kind: &'static str,
    name: Name,
    policy: RestartPolicy,
}

/// In what the log lines of a guardian stand.
#[derive(Clone)]
enum Name {
    /// Those of its actor as well.
    Held(Span),
    Made(Rc<dyn Fn() -> Span>),
}

/// What a factory is told about the life it is to build.
#[derive(Debug, Clone)]
pub struct Incarnation {
    /// Counts the attempts, from 1.
    pub attempt: u64,
    /// How the actor says that its end shall not be final.
    pub exit: Exit,
}

/// How an actor that stops itself asks to be built again.
#[derive(Debug, Clone, Default)]
pub struct Exit(Rc<Cell<Option<&'static str>>>);

/// Why a factory could not build its actor; logged, and counted like a panic.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

impl Guardian {
    /// Makes a guardian for an actor of this kind (a metrics label) whose log lines stand in `span`.
    #[must_use]
    pub fn new(kind: &'static str, span: Span) -> Self {
        Self {
            kind,
            name: Name::Held(span),
            policy: RestartPolicy::default(),
        }
    }

    /// The same for actors of which there are many: a span takes half a kilobyte for as long as it
    /// is held. It is made when the guardian has something to log; the actor names itself.
    #[must_use]
    pub fn of_many(kind: &'static str, span: impl Fn() -> Span + 'static) -> Self {
        Self {
            kind,
            name: Name::Made(Rc::new(span)),
            policy: RestartPolicy::default(),
        }
    }

    /// Uses other numbers than the default ones.
    #[must_use]
    pub fn with_policy(mut self, policy: RestartPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Starts to build the actor and to watch over it; returns at once.
    ///
    /// Must be called inside a `LocalSet` or an arbiter, where the actor will live.
    pub fn guard<A, B, F>(self, build: B) -> Guarded<A>
    where
        A: Actor<Context = Context<A>>,
        B: FnMut(Incarnation) -> F + 'static,
        F: Future<Output = Result<A, BuildError>> + 'static,
    {
        let (health, seen) = watch::channel(Health::Starting);
        let span = self.name.held();
        drop(actix::spawn(
            Box::new(life::Life::new(self, build, health))
                .run()
                .instrument(span),
        ));
        Guarded::new(seen)
    }
}

impl Name {
    /// What is entered for as long as the actor lives.
    fn held(&self) -> Span {
        match self {
            Self::Held(span) => span.clone(),
            Self::Made(_) => Span::none(),
        }
    }

    /// What is to be entered besides, for a line of the log.
    fn for_a_line(&self) -> Span {
        match self {
            Self::Held(_) => Span::none(),
            Self::Made(make) => make(),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(span) => span.fmt(f),
            Self::Made(_) => f.write_str("made when needed"),
        }
    }
}

impl Exit {
    /// Asks for another life: when the actor stops, it is rebuilt from the store and not let go.
    pub fn rebuild(&self, why: &'static str) {
        self.0.set(Some(why));
    }

    fn reason(&self) -> Option<&'static str> {
        self.0.get()
    }
}

/// Starts an actor as a task of the current thread, so that its end can be awaited and told from a
/// panic; all it logs stands in `span`.
pub fn spawn<A>(span: Span, make: impl FnOnce(&mut Context<A>) -> A) -> (Addr<A>, JoinHandle<()>)
where
    A: Actor<Context = Context<A>>,
{
    let mut context = Context::new();
    let actor = make(&mut context);
    let address = context.address();
    let task = actix::spawn(context.into_future(actor).instrument(span));
    (address, task)
}

#[cfg(test)]
mod tests;
