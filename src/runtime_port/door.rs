//! The door: who may shake hands, how many wait for it, and in which order work is done.
//!
//! A handshake costs the kernel half a millisecond and whoever asks for it nothing. So the queue is
//! bounded, no single address fills it, and a few handshakes at a time are worked on, each giving
//! way to everything else on its thread after each step. Whoever finds no place is reset at once,
//! for before TLS nothing can be said; it costs the kernel a few microseconds, and is counted.
//!
//! Few stand in line for their first step at a time, so that what has begun is ended before many
//! others begin: a fleet that comes back would otherwise be at all of its handshakes at once, and
//! the memory they take would stay behind as holes.

use std::{
    future::poll_fn,
    net::IpAddr,
    num::NonZeroUsize,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::shares::{Share, Shares, network};

/// The door. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Door {
    queue: Arc<Semaphore>,
    /// For a place in the line for a turn, of those who have not begun.
    starts: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    shares: Shares<IpAddr>,
}

/// Why somebody is sent away before TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// The queue is full.
    Queue,
    /// The address has its share of the queue already.
    Share,
    /// Its turn did not come in time.
    Late,
}

impl Crowd {
    /// The word for figures.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Share => "share",
            Self::Late => "late",
        }
    }
}

/// A place in the queue, from the accepted socket to the end of the handshake.
#[derive(Debug)]
pub(super) struct Queued {
    _share: Share<IpAddr>,
    _place: OwnedSemaphorePermit,
}

/// The right to be worked on next.
#[derive(Debug)]
pub(super) struct Turn(Option<OwnedSemaphorePermit>);

impl Door {
    /// A door with as many turns as `cores` can work on.
    pub(super) fn new(cores: NonZeroUsize) -> Self {
        Self {
            queue: Arc::new(Semaphore::new(QUEUE_MAX)),
            starts: Arc::new(Semaphore::new(cores.get().saturating_mul(STARTS_A_CORE))),
            turns: Arc::new(Semaphore::new(cores.get().saturating_mul(TURNS_A_CORE))),
            shares: Shares::of(SHARE_MAX),
        }
    }

    /// Takes a place in the queue.
    pub(super) fn enter(&self, from: IpAddr) -> Result<Queued, Crowd> {
        let place = Arc::clone(&self.queue).try_acquire_owned();
        let place = place.map_err(|_| Crowd::Queue)?;
        let share = self.shares.take(network(from)).ok_or(Crowd::Share)?;
        Ok(Queued {
            _share: share,
            _place: place,
        })
    }

    /// Waits for the first turn. Whoever waits holds nothing but its socket.
    pub(super) async fn turn(&self) -> Result<Turn, Crowd> {
        let first = async {
            // Nobody closes it; given back with the first turn.
            let _start = self.starts.acquire().await;
            Arc::clone(&self.turns).acquire_owned().await
        };
        let first = timeout(TURN_WITHIN, first).await;
        first.map(|turn| Turn(turn.ok())).map_err(|_| Crowd::Late)
    }

    /// Does `work` in turns, of which this is the first.
    pub(super) async fn work<F: Future>(&self, Turn(first): Turn, work: F) -> F::Output {
        in_turns(&self.turns, first, work).await
    }

    /// How many are within.
    #[cfg(test)]
    fn queued(&self) -> usize {
        QUEUE_MAX - self.queue.available_permits()
    }
}

/// Polls `work` only while holding a turn, and keeps the turn until all else that is ready on this
/// thread was polled too: so many steps at most lie between two turns of anybody else.
async fn in_turns<F: Future>(
    turns: &Arc<Semaphore>,
    first: Option<OwnedSemaphorePermit>,
    work: F,
) -> F::Output {
    let mut work = pin!(work);
    let mut waiting: Option<Pin<Box<_>>> = None;
    let (mut ready, mut held, mut done) = (first, None, None);
    let mut looking = false;
    poll_fn(move |cx| {
        if held.take().is_some() {
            if let Some(output) = done.take() {
                return Poll::Ready(output);
            }
            // A wake-up may have come while the turn was kept: look once more, for nothing mostly.
            looking = true;
        }
        let turn = match ready.take() {
            Some(turn) => turn,
            None => {
                let waiting_for =
                    waiting.get_or_insert_with(|| Box::pin(Arc::clone(turns).acquire_owned()));
                let Poll::Ready(turn) = waiting_for.as_mut().poll(cx) else {
                    return Poll::Pending;
                };
                waiting = None;
                match turn {
                    Ok(turn) => turn,
                    // Nobody closes it; and a handshake without a turn is better than none.
                    Err(_) => return work.as_mut().poll(cx),
                }
            }
        };
        let polled = work.as_mut().poll(cx);
        if std::mem::take(&mut looking) && polled.is_pending() {
            return Poll::Pending;
        }
        if let Poll::Ready(output) = polled {
            done = Some(output);
        }
        held = Some(turn);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// What two cores work off in five or six seconds, and a kilobyte each. A fleet that is sent away
/// comes again at once, and is worked off no sooner for it: ten thousand that come back together
/// wait, nearly all of them. With ten thousand connections it stays within 20,000 open files.
const QUEUE_MAX: usize = 8_192;

/// A fleet behind one address comes 256 at a time, and some thousand a second; it takes 32 such
/// addresses to fill the queue.
const SHARE_MAX: usize = 256;

/// One that is worked on, and one that is ready when it is done.
const TURNS_A_CORE: usize = 2;

/// Enough that those who begin get their share beside handshakes that send byte by byte, and few
/// enough that what has begun waits for little.
const STARTS_A_CORE: usize = 16;

/// A connector waits ten seconds for its handshake, and one that has begun is ended soon: beyond
/// this the work would be for nobody.
const TURN_WITHIN: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    /// So many addresses fill the queue.
    const SHARES: u8 = 32;

    fn address(number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
    }

    #[test]
    fn the_queue_is_bounded_and_no_address_takes_more_than_a_small_share_of_it() {
        let door = Door::new(TWO);
        let mut held = Vec::new();
        for number in 0..SHARES {
            for _ in 0..SHARE_MAX {
                held.push(door.enter(address(number)).unwrap());
            }
            let refused = door.enter(address(number)).unwrap_err();
            assert_eq!(
                refused,
                if number < SHARES - 1 {
                    Crowd::Share
                } else {
                    Crowd::Queue
                }
            );
        }
        assert_eq!(door.enter(address(SHARES)).unwrap_err(), Crowd::Queue);
        assert_eq!(door.queued(), QUEUE_MAX);
        drop(held);
        assert_eq!(door.queued(), 0);
        assert!(door.shares.is_empty(), "nobody is remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_turn_is_sent_away_unworked() {
        let door = Door::new(NonZeroUsize::MIN);
        let _taken = Arc::clone(&door.turns).acquire_many_owned(2).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(door.turn().await.unwrap_err(), Crowd::Late);
        assert_eq!(began.elapsed(), TURN_WITHIN);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_is_ended_before_many_others_begin() {
        let herd = async {
            let door = Door::new(TWO);
            let (begun, open_most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let herd: Vec<_> = (0..1_000)
                .map(|_| {
                    let (door, begun, most) =
                        (door.clone(), Arc::clone(&begun), Arc::clone(&open_most));
                    spawn_local(async move {
                        let handshake = async {
                            let open = begun.fetch_add(1, Ordering::Relaxed) + 1;
                            most.fetch_max(open, Ordering::Relaxed);
                            // The peer answers at once.
                            next_turn().await;
                            begun.fetch_sub(1, Ordering::Relaxed);
                        };
                        let turn = door.turn().await.unwrap();
                        door.work(turn, handshake).await;
                    })
                })
                .collect();
            for one in herd {
                one.await.unwrap();
            }
            let most = open_most.load(Ordering::Relaxed);
            assert!(most <= 2 * TWO.get() * STARTS_A_CORE, "{most}");
        };
        LocalSet::new().run_until(herd).await;
    }

    /// Goes to the end of the line of this thread.
    async fn next_turn() {
        let mut polled = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_turns_of_anybody_else_are_a_few_steps_at_most() {
        let herd = async {
            let (door, steps) = (Door::new(TWO), Arc::new(AtomicUsize::new(0)));
            // Two steps each, with a wait for the peer between them, as in a handshake.
            let (answered, peer) = tokio::sync::watch::channel(false);
            for _ in 0..1_000 {
                let (door, steps, mut peer) = (door.clone(), Arc::clone(&steps), peer.clone());
                drop(spawn_local(async move {
                    let handshake = async {
                        steps.fetch_add(1, Ordering::Relaxed);
                        peer.wait_for(|answered| *answered).await.unwrap();
                        steps.fetch_add(1, Ordering::Relaxed);
                    };
                    let turn = door.turn().await.unwrap();
                    door.work(turn, handshake).await;
                }));
            }
            let observer = spawn_local(async move {
                let (mut before, mut most) = (0, 0);
                while before < 2_000 {
                    next_turn().await;
                    let now = steps.load(Ordering::Relaxed);
                    most = most.max(now - before);
                    before = now;
                    if now == 1_000 {
                        answered.send_replace(true);
                    }
                }
                most
            });
            let most = timeout(Duration::from_secs(60), observer).await;
            assert_eq!(most.unwrap().unwrap(), 2 * TURNS_A_CORE);
        };
        LocalSet::new().run_until(herd).await;
    }
}
