//! The outcomes of asking and telling.

use actix::{AsyncContext, WrapFuture};
use tokio::{
    task::{LocalSet, yield_now},
    time::sleep,
};

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_comes_back_within_the_deadline() {
    local(async {
        let address = adder(16);
        assert_eq!(ask(&address, Add(2), SECOND).await, Ok(2));
        assert_eq!(ask(&address, Add(3), SECOND).await, Ok(5));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_at_once_and_nothing_has_happened() {
    local(async {
        let address = adder(2);
        address.try_send(Nap(SECOND * 60)).unwrap();
        yield_now().await;
        for _ in 0..2 {
            address.try_send(Add(1)).unwrap();
        }
        let begun = Instant::now();

        let outcomes =
            futures_util::future::join_all((0..100).map(|_| ask(&address, Add(1_000), SECOND)));

        assert_eq!(outcomes.await, vec![Err(AskError::Overloaded); 100]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        sleep(SECOND * 61).await;
        assert_eq!(
            ask(&address, Add(0), SECOND).await,
            Ok(2),
            "none of the refused was done"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_accepted_message_without_an_answer_is_late_and_its_outcome_unknown() {
    local(async {
        let address = adder(16);
        address.try_send(Nap(SECOND * 60)).unwrap();
        yield_now().await;
        let begun = Instant::now();

        let outcome = ask(&address, Add(1), SECOND).await;

        assert_eq!(outcome, Err(AskError::Late));
        assert!(AskError::Late.outcome_is_unknown());
        assert_eq!(begun.elapsed(), SECOND);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_asker_has_left_is_not_handled() {
    local(async {
        let address = adder(16);
        address.try_send(Nap(SECOND * 60)).unwrap();
        yield_now().await;

        assert_eq!(ask(&address, Add(1_000), SECOND).await, Err(AskError::Late));

        sleep(SECOND * 60).await;
        assert_eq!(ask(&address, Add(1), SECOND).await, Ok(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_loses_the_message_and_the_next_finds_the_actor_gone() {
    local(async {
        let address = adder(16);
        assert_eq!(ask(&address, Break, SECOND).await, Err(AskError::Lost));
        assert_eq!(ask(&address, Add(1), SECOND).await, Err(AskError::Gone));
        assert!(AskError::Lost.outcome_is_unknown() && !AskError::Gone.outcome_is_unknown());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_notification_never_waits_and_says_when_it_was_dropped() {
    local(async {
        let address = adder(1);
        assert!(tell(&address, Add(1), "test"));
        assert!(!tell(&address, Add(1), "test"));
    })
    .await;
}

const SECOND: Duration = Duration::from_secs(1);

struct Adder(u32);

impl Actor for Adder {
    type Context = Context<Self>;
}

answers!(Adder: Add, Break);

#[derive(Message)]
#[rtype(result = "u32")]
struct Add(u32);

impl Handler<Add> for Adder {
    type Result = u32;

    fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) -> u32 {
        self.0 += number;
        self.0
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Break;

impl Handler<Break> for Adder {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("as asked");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Nap(Duration);

impl Handler<Nap> for Adder {
    type Result = ();

    fn handle(&mut self, Nap(span): Nap, context: &mut Context<Self>) {
        context.wait(sleep(span).into_actor(self));
    }
}

fn adder(room: usize) -> Addr<Adder> {
    Adder::create(|context| {
        context.set_mailbox_capacity(room);
        Adder(0)
    })
}

async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}
