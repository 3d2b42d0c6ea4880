//! What wakes a session, the kernel's own stop first.
//!
//! Each source is registered once and stays so: a request wakes the session by its stream and costs
//! no timer and no place in a list of waiters.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use provost_protocol::{TenantId, Timestamp, wire::Answer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
    time::{Instant, Sleep, sleep},
};

use super::{Life, interests::Interests, stream::Came};
use crate::Younger;

/// What wakes a session.
pub(super) enum Event {
    Read(Came),
    Answer(Box<Answer>),
    Revised(TenantId),
    Replaced,
    Drain,
    Tick,
}

/// What is known of the stream when a wait begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inbox {
    /// There may be more of it in memory.
    Held,
    /// Nothing: it was looked at since the session last waited, and wakes it.
    Empty,
    /// It has to be looked at.
    Unknown,
}

/// All that wakes a session but its stream.
pub(super) struct Sources {
    /// Gone once it has come: the kernel's stop is told once.
    drained: Option<Waiting>,
    /// There from Welcome on.
    replaced: Option<Waiting>,
    /// There while a request is under way that is not answered at once.
    answers: Option<Answers>,
    alarm: Alarm,
}

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

struct Answers {
    sender: mpsc::Sender<Box<Answer>>,
    receiver: mpsc::Receiver<Box<Answer>>,
    /// How many are still to come.
    awaited: usize,
}

/// One timer, moved only when it goes off or is wanted earlier: a deadline that is put off by every
/// frame costs nothing.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// When it goes off; none: it has to be set.
    at: Option<Instant>,
}

impl Sources {
    pub(super) fn new(mut draining: watch::Receiver<bool>) -> Self {
        let drained = async move {
            // An error means that nobody can stop the kernel any more: then nobody does.
            if draining.wait_for(|draining| *draining).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self {
            drained: Some(Box::pin(drained)),
            replaced: None,
            answers: None,
            alarm: Alarm::new(),
        }
    }

    /// From here on a younger generation than the session's wakes it.
    pub(super) fn replaced_by(&mut self, younger: Younger) {
        self.replaced = Some(Box::pin(younger.came()));
    }

    /// Where the answer to a request that takes its time is to be sent, once.
    pub(super) fn answer(&mut self) -> mpsc::Sender<Box<Answer>> {
        let answers = self.answers.get_or_insert_with(Answers::new);
        answers.awaited += 1;
        answers.sender.clone()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        if fired(&mut self.drained, cx) {
            return Some(Event::Drain);
        }
        if fired(&mut self.replaced, cx) {
            return Some(Event::Replaced);
        }
        let answers = self.answers.as_mut()?;
        let Poll::Ready(answer) = answers.receiver.poll_recv(cx) else {
            return None;
        };
        answers.awaited -= 1;
        if answers.awaited == 0 {
            // Idle, a session holds no channel.
            self.answers = None;
        }
        answer.map(Event::Answer)
    }
}

impl Answers {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        Self {
            sender,
            receiver,
            awaited: 0,
        }
    }
}

impl Alarm {
    fn new() -> Self {
        // The first look at it sets it.
        Self {
            sleep: Box::pin(sleep(Duration::ZERO)),
            at: None,
        }
    }

    /// Whether it is time, with the timer set for when it will be.
    fn poll(&mut self, wanted: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.at.is_none_or(|at| wanted < at) {
            self.set(wanted);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= wanted {
                self.at = None;
                return Poll::Ready(());
            }
            self.set(wanted);
        }
        Poll::Pending
    }

    fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.at = Some(at);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Life<S> {
    /// Waits for the next event; for none that comes by the stream where there is more of it in
    /// memory.
    pub(super) async fn next(&mut self, inbox: Inbox) -> Event {
        let rest = self.pace.rest();
        let deadline = self.deadline();
        let wanted = rest.map_or(deadline, |rest| deadline.min(Instant::now() + rest));
        let mut woken = false;
        poll_fn(|cx| {
            // Whoever is woken is so by its stream, mostly; all others were looked at when the wait
            // began, and are again when the next one does.
            let woken = std::mem::replace(&mut woken, true);
            if woken
                && rest.is_none()
                && let Poll::Ready(came) = self.stream.poll_read(cx)
            {
                return Poll::Ready(Event::Read(came));
            }
            let looked = woken || inbox == Inbox::Empty;
            if let Some(event) = self.sources.poll(cx) {
                return Poll::Ready(event);
            }
            if let Poll::Ready(tenant) = revised(&mut self.interests, cx) {
                return Poll::Ready(Event::Revised(tenant));
            }
            if !looked && rest.is_none() {
                if inbox == Inbox::Held {
                    return Poll::Ready(Event::Read(Came::Bytes));
                }
                if let Poll::Ready(came) = self.stream.poll_read(cx) {
                    return Poll::Ready(Event::Read(came));
                }
            }
            self.sources.alarm.poll(wanted, cx).map(|()| Event::Tick)
        })
        .await
    }

    /// When the machine wants to be asked for the time.
    fn deadline(&self) -> Instant {
        let lived = self.machine.deadline().unwrap_or(Timestamp::MAX);
        let lived = Duration::from_millis(lived.millis_since(Timestamp::EPOCH));
        self.began + lived.min(LIFE_MAX)
    }

    /// Reads what is there already, without waiting.
    pub(super) async fn read_more(&mut self) -> Option<Came> {
        poll_fn(|cx| match self.stream.poll_read(cx) {
            Poll::Ready(came) => Poll::Ready(Some(came)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

/// Whether it has come; it comes once.
fn fired(waiting: &mut Option<Waiting>, cx: &mut Context<'_>) -> bool {
    let has = |waiting: &mut Waiting| waiting.as_mut().poll(cx).is_ready();
    if waiting.as_mut().is_some_and(has) {
        *waiting = None;
        return true;
    }
    false
}

fn revised(interests: &mut Option<Interests>, cx: &mut Context<'_>) -> Poll<TenantId> {
    match interests {
        Some(interests) => interests.poll_revised(cx),
        None => Poll::Pending,
    }
}

/// Every request in flight may be answered at once, and no answer waits for another.
const ANSWERS_MAX: usize = 64;

/// No connection outlives it, and no instant of it overflows: a century.
const LIFE_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
