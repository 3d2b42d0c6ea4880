//! What actix 0.13.5 really does, pinned: each test here is the reason for a rule of this crate.
//!
//! When one of them goes red after an upgrade, the rule it stands for may be reconsidered.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, Addr, AsyncContext, Context, Handler, MailboxError, Message, Supervised, Supervisor,
    WrapFuture, dev::SendError,
};
use tokio::{
    task::LocalSet,
    time::{Instant, sleep, timeout},
};

/// Rule: supervision is ours (`guardian`), never `actix::Supervisor`.
#[tokio::test(start_paused = true)]
async fn a_panic_under_actixs_supervisor_closes_the_mailbox() {
    local(async {
        let scribe = Scribe::default();
        let restarts = scribe.restarts.clone();
        let address = Supervisor::start(|_| scribe);

        assert_eq!(
            address.send(Note(1)).await,
            Ok(()),
            "alive before the panic"
        );
        assert_eq!(address.send(Panic).await, Err(MailboxError::Closed));

        assert!(
            !address.connected(),
            "the mailbox died with the supervisor's own task"
        );
        assert_eq!(address.send(Note(2)).await, Err(MailboxError::Closed));
        assert_eq!(
            restarts.get(),
            0,
            "`restarting` is not called after a panic"
        );
    })
    .await;
}

/// Rule: `do_send` is banned by clippy.
#[tokio::test(start_paused = true)]
#[expect(
    clippy::disallowed_methods,
    reason = "do_send is the subject of this test"
)]
async fn do_send_passes_the_bound() {
    local(async {
        let (address, notes) = scribe_with_room_for(1);
        address.try_send(Note(0)).unwrap();
        assert!(is_full(&address.try_send(Note(0))), "the mailbox is full");

        for number in 1..=100 {
            address.do_send(Note(number));
        }

        address.send(Note(101)).await.unwrap();
        assert_eq!(
            *notes.borrow(),
            (0..=101).collect::<Vec<_>>(),
            "all of them were queued"
        );
    })
    .await;
}

/// Rule: every message goes through `ask` or `tell`, which use `try_send` on one shared address.
///
/// Read in the source, `MsgRequest::poll` returns `Pending` on `Full` before it polls its timer,
/// so `send().timeout()` looks as if it hung on a full mailbox. It never gets there: `Addr::send`
/// keeps a *clone* of the address, a fresh clone is not parked, and so the first poll pushes the
/// message past the bound. The timer works; it is the bound that does not, for any `send`.
#[tokio::test(start_paused = true)]
async fn send_timeout_hangs_on_a_full_mailbox_only_in_appearance_it_passes_the_bound() {
    local(async {
        let (address, notes) = scribe_with_room_for(1);
        address.send(Busy(Duration::from_secs(60))).await.unwrap();
        address.try_send(Note(0)).unwrap();
        assert!(is_full(&address.try_send(Note(0))), "the mailbox is full");
        let (begun, parcel) = (Instant::now(), Arc::new(()));

        for _ in 0..3 {
            let request = address
                .send(Keep(parcel.clone()))
                .timeout(Duration::from_secs(1));
            let outcome = timeout(Duration::from_secs(30), request).await;
            assert_eq!(
                outcome,
                Ok(Err(MailboxError::Timeout)),
                "its own timer fired"
            );
        }

        assert_eq!(begun.elapsed().as_secs(), 3);
        assert_eq!(
            Arc::strong_count(&parcel),
            4,
            "three more stand in the mailbox of one"
        );
        sleep(Duration::from_secs(60)).await;
        assert_eq!(
            Arc::strong_count(&parcel),
            1,
            "until the actor comes to them"
        );
        assert_eq!(
            *notes.borrow(),
            [0],
            "and drops them: nobody waits for the answer any more"
        );
    })
    .await;
}

/// Rule: rates are limited at the edge, before the mailbox, and bounds are small.
#[tokio::test(start_paused = true)]
async fn a_full_mailbox_starves_its_neighbour() {
    local(async {
        const BACKLOG: u32 = 10_000;
        let notes = Rc::new(RefCell::new(Vec::new()));
        let busy = Scribe::start_with(notes.clone(), 20_000);
        let neighbour = Scribe::start_with(notes.clone(), 1);
        for number in 0..BACKLOG {
            busy.try_send(Note(number)).unwrap();
        }

        neighbour.send(Note(u32::MAX)).await.unwrap();

        let before = notes
            .borrow()
            .iter()
            .position(|&note| note == u32::MAX)
            .unwrap();
        assert_eq!(
            before, 10_000,
            "the whole backlog was worked off in one poll, with no budget"
        );
    })
    .await;
}

/// Rule: one address per actor, shared behind an `Arc`, never cloned for each caller.
#[tokio::test(start_paused = true)]
async fn capacity_counts_address_clones() {
    local(async {
        let (address, notes) = scribe_with_room_for(1);
        address.try_send(Note(0)).unwrap();
        assert!(
            is_full(&address.try_send(Note(0))),
            "the bound holds for one address"
        );

        let clones: Vec<_> = (0..50).map(|_| address.clone()).collect();
        for (number, clone) in (1..).zip(&clones) {
            clone.try_send(Note(number)).unwrap();
            assert!(
                is_full(&clone.try_send(Note(number))),
                "one more for each clone"
            );
        }

        tokio::task::yield_now().await;
        assert_eq!(notes.borrow().len(), 51, "1 by the bound, 50 by clones");
    })
    .await;
}

/// Writes down what it is told, in order.
#[derive(Default)]
struct Scribe {
    notes: Rc<RefCell<Vec<u32>>>,
    restarts: Rc<Cell<u32>>,
}

impl Scribe {
    fn start_with(notes: Rc<RefCell<Vec<u32>>>, room: usize) -> Addr<Self> {
        Self::create(|context| {
            context.set_mailbox_capacity(room);
            Self {
                notes,
                restarts: Rc::default(),
            }
        })
    }
}

impl Actor for Scribe {
    type Context = Context<Self>;
}

impl Supervised for Scribe {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.restarts.set(self.restarts.get() + 1);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Note(u32);

impl Handler<Note> for Scribe {
    type Result = ();

    fn handle(&mut self, Note(number): Note, _: &mut Context<Self>) {
        self.notes.borrow_mut().push(number);
    }
}

/// Noted as 7 when it is handled; its parcel counts how many stand in mailboxes.
#[derive(Message)]
#[rtype(result = "()")]
struct Keep(#[expect(dead_code, reason = "held for its count")] Arc<()>);

impl Handler<Keep> for Scribe {
    type Result = ();

    fn handle(&mut self, _: Keep, _: &mut Context<Self>) {
        self.notes.borrow_mut().push(7);
    }
}

/// Takes no further message for a while.
#[derive(Message)]
#[rtype(result = "()")]
struct Busy(Duration);

impl Handler<Busy> for Scribe {
    type Result = ();

    fn handle(&mut self, Busy(span): Busy, context: &mut Context<Self>) {
        context.wait(sleep(span).into_actor(self));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for Scribe {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("as asked");
    }
}

fn scribe_with_room_for(room: usize) -> (Addr<Scribe>, Rc<RefCell<Vec<u32>>>) {
    let notes = Rc::new(RefCell::new(Vec::new()));
    (Scribe::start_with(notes.clone(), room), notes)
}

fn is_full<M>(outcome: &Result<(), SendError<M>>) -> bool {
    matches!(outcome, Err(SendError::Full(_)))
}

async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}
