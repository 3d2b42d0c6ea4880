//! Supervision, with time paused.

use std::{cell::RefCell, sync::Arc, time::Duration};

use actix::{ActorContext, Handler, Message};
use tokio::{
    task::LocalSet,
    time::{Instant, sleep},
};

use super::*;
use crate::ask::AskError;

#[tokio::test(start_paused = true)]
async fn a_panicking_actor_is_rebuilt_while_its_neighbour_answers() {
    local(async {
        let world = World::default();
        let (one, neighbour) = (world.guard(), world.guard());
        assert_eq!(one.ask(Get, SECOND).await, Ok(1));
        assert_eq!(neighbour.ask(Get, SECOND).await, Ok(1));

        assert_eq!(one.ask(Fail::Panic, SECOND).await, Err(AskError::Lost));

        let soon = Duration::from_millis(1);
        assert_eq!(
            neighbour.ask(Get, soon).await,
            Ok(1),
            "sooner than the other is back"
        );
        assert_eq!(
            one.ask(Get, SECOND).await,
            Ok(2),
            "the same handle finds the next life"
        );
        assert_eq!(
            neighbour.ask(Get, SECOND).await,
            Ok(1),
            "still in its first life"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_keeps_panicking_is_quarantined_after_growing_waits() {
    local(async {
        let world = World::default();
        let one = world.guard();
        let begun = Instant::now();

        for life in 1..=6 {
            assert_eq!(one.ask(Get, SECOND).await, Ok(life));
            assert_eq!(one.ask(Fail::Panic, SECOND).await, Err(AskError::Lost));
        }

        assert_eq!(one.ask(Get, SECOND).await, Err(AskError::Quarantined));
        assert!(matches!(one.health(), Health::Quarantined));
        let waited = begun.elapsed().as_millis();
        assert!(
            (1_550..1_600).contains(&waited),
            "50 + 100 + 200 + 400 + 800, not {waited} ms"
        );
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(world.built.borrow().len(), 6, "kept down");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_normal_stop_is_not_restarted_and_leaks_nothing() {
    local(async {
        let world = World::default();
        let one = world.guard();
        assert_eq!(one.ask(Get, SECOND).await, Ok(1));

        assert_eq!(one.ask(Fail::Stop, SECOND).await, Ok(()));
        one.ended().await;

        assert!(matches!(one.health(), Health::Stopped));
        assert_eq!(one.ask(Get, SECOND).await, Err(AskError::Gone));
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(*world.built.borrow(), [1], "built once");
        assert_eq!(
            Rc::strong_count(&world.built),
            1,
            "actor and factory are dropped"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_dead_but_still_published_is_resolved_again_once() {
    local(async {
        let life = |number| {
            let make = move |_: &mut _| Patient::new(number, Exit::default(), Rc::default());
            spawn(Span::none(), make)
        };
        let ((dead, task), (alive, _)) = (life(1), life(2));
        task.abort();
        assert!(task.await.is_err() && !dead.connected());
        let (health, seen) = watch::channel(Health::Running(Arc::new(dead), 1));
        let one = Guarded::new(seen);

        assert_eq!(
            one.ask(Get, SECOND).await,
            Err(AskError::Restarting),
            "nobody follows yet"
        );
        let (answer, ()) = tokio::join!(one.ask(Get, SECOND), async {
            sleep(SECOND / 2).await;
            health.send_replace(Health::Running(Arc::new(alive), 2));
        });

        assert_eq!(answer, Ok(2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_on_an_unknown_outcome_is_rebuilt() {
    local(async {
        let world = World::default();
        let one = world.guard();
        assert_eq!(one.ask(Fail::Unknown, SECOND).await, Ok(()));
        assert_eq!(one.ask(Get, SECOND).await, Ok(2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_fails_panics_or_hangs_is_tried_again() {
    local(async {
        let one = Guardian::new("test", Span::none()).guard(|incarnation| async move {
            match incarnation.attempt {
                1 => Err("the store is busy".into()),
                2 => panic!("as asked"),
                3 => std::future::pending().await,
                life => Ok(Patient::new(life, incarnation.exit, Rc::default())),
            }
        });
        assert_eq!(
            one.ask(Get, SECOND).await,
            Err(AskError::Restarting),
            "within its deadline"
        );
        assert_eq!(one.ask(Get, SECOND * 20).await, Ok(4));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_handles_is_let_go_even_if_it_holds_itself() {
    local(async {
        let world = World::default();
        let (idle, clinging) = (world.guard(), world.guard());
        assert_eq!(idle.ask(Get, SECOND).await, Ok(1));
        assert_eq!(clinging.ask(Cling, SECOND).await, Ok(()));

        drop(idle);
        sleep(SECOND).await;
        assert_eq!(
            Rc::strong_count(&world.built),
            3,
            "the factory and the actor that clings"
        );
        drop(clinging);
        sleep(SECOND * 6).await;
        assert_eq!(Rc::strong_count(&world.built), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_guardian_nobody_needs_ends_while_it_builds() {
    local(async {
        let held = Rc::new(());
        let holder = held.clone();
        let one: Guarded<Patient> = Guardian::new("test", Span::none()).guard(move |_| {
            let holder = holder.clone();
            async move {
                std::future::pending::<()>().await;
                drop(holder);
                Err("never".into())
            }
        });
        sleep(SECOND).await;
        assert_eq!(Rc::strong_count(&held), 3, "the factory and its future");
        drop(one);
        sleep(SECOND).await;
        assert_eq!(Rc::strong_count(&held), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn askers_who_wait_for_a_life_are_bounded() {
    local(async {
        let one: Guarded<Patient> =
            Guardian::new("test", Span::none()).guard(|_| async { std::future::pending().await });
        let askers = (0..300).map(|_| one.ask(Get, SECOND));
        let outcomes = futures_util::future::join_all(askers).await;
        let count = |error| {
            outcomes
                .iter()
                .filter(|&&outcome| outcome == Err(error))
                .count()
        };
        assert_eq!(count(AskError::Restarting), 256);
        assert_eq!(count(AskError::Overloaded), 44);
    })
    .await;
}

#[test]
fn handles_and_what_they_ask_go_to_other_threads() {
    fn check<T: Send + Sync>() {}
    check::<Guarded<Patient>>();
    fn check_asking(one: &Guarded<Patient>) -> impl Future + Send {
        one.ask(Get, SECOND)
    }
    let _ = check_asking;
}

const SECOND: Duration = Duration::from_secs(1);

/// What lasts beyond one life: which lives were built.
#[derive(Default)]
struct World {
    built: Rc<RefCell<Vec<u64>>>,
}

impl World {
    fn guard(&self) -> Guarded<Patient> {
        let built = self.built.clone();
        Guardian::new("test", Span::none()).guard(move |Incarnation { attempt, exit }| {
            built.borrow_mut().push(attempt);
            let built = built.clone();
            async move { Ok(Patient::new(attempt, exit, built)) }
        })
    }
}

struct Patient {
    life: u64,
    exit: Exit,
    own: Option<Addr<Self>>,
    _world: Rc<RefCell<Vec<u64>>>,
}

impl Patient {
    fn new(life: u64, exit: Exit, world: Rc<RefCell<Vec<u64>>>) -> Self {
        Self {
            life,
            exit,
            own: None,
            _world: world,
        }
    }
}

impl Actor for Patient {
    type Context = Context<Self>;
}

crate::answers!(Patient: Get, Fail, Cling);

#[derive(Message)]
#[rtype(result = "u64")]
struct Get;

impl Handler<Get> for Patient {
    type Result = u64;

    fn handle(&mut self, _: Get, _: &mut Context<Self>) -> u64 {
        self.life
    }
}

#[derive(Message)]
#[rtype(result = "()")]
enum Fail {
    Panic,
    Stop,
    Unknown,
}

impl Handler<Fail> for Patient {
    type Result = ();

    fn handle(&mut self, fail: Fail, context: &mut Context<Self>) {
        match fail {
            Fail::Panic => panic!("as asked"),
            Fail::Stop => context.stop(),
            Fail::Unknown => {
                self.exit.rebuild("outcome unknown");
                context.stop();
            }
        }
    }
}

/// Makes the actor hold its own address, so that it never ends by itself.
#[derive(Message)]
#[rtype(result = "()")]
struct Cling;

impl Handler<Cling> for Patient {
    type Result = ();

    fn handle(&mut self, _: Cling, context: &mut Context<Self>) {
        self.own = Some(context.address());
    }
}

async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}
