//! Whose turn it is on a thread: the sessions of one tenant take one together.
//!
//! A tenant's sessions live on one thread. Once they have taken in [`FRAMES_A_TURN`] frames between
//! them, each waits until the thread has looked at its sockets and served whoever is there; so one
//! tenant with a thousand busy connections costs its neighbours what one busy connection does.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::yield_now;

/// The turn of one tenant. Only its own thread changes it.
#[derive(Debug, Default)]
pub(super) struct Turn {
    frames: AtomicU32,
    /// Counts the turns.
    number: AtomicU32,
}

impl Turn {
    /// A frame was taken in; says whether the turn is over.
    pub(super) fn take(&self) -> bool {
        let frames = self.frames.load(Ordering::Relaxed).saturating_add(1);
        self.frames.store(frames, Ordering::Relaxed);
        frames >= FRAMES_A_TURN
    }

    /// Waits until it is the tenant's turn.
    pub(super) async fn wait(&self) {
        while self.frames.load(Ordering::Relaxed) >= FRAMES_A_TURN {
            let number = self.number.load(Ordering::Relaxed);
            // Whoever gives way is called again after the sockets were looked at.
            yield_now().await;
            // The first one back begins the next turn for all.
            if self.number.load(Ordering::Relaxed) == number {
                self.number.store(number.wrapping_add(1), Ordering::Relaxed);
                self.frames.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// As many requests as one connection may have open: some microseconds each, and
/// whoever waits behind ten such tenants waits for about a millisecond.
const FRAMES_A_TURN: u32 = 64;

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    #[tokio::test]
    async fn all_sessions_of_a_tenant_have_one_turn_together() {
        let turn = Rc::new(Turn::default());
        let taken = Rc::new(RefCell::new(Vec::new()));
        let sessions = |turn: &Rc<Turn>, session: u32, frames: u32| {
            let (turn, taken) = (Rc::clone(turn), Rc::clone(&taken));
            async move {
                for _ in 0..frames {
                    turn.wait().await;
                    taken.borrow_mut().push(session);
                    turn.take();
                }
            }
        };
        LocalSet::new()
            .run_until(async {
                let busy: Vec<_> = (0..10)
                    .map(|session| spawn_local(sessions(&turn, session, 200)))
                    .collect();
                let other = Rc::new(Turn::default());
                let neighbour = spawn_local(sessions(&other, 10, 3));
                for session in busy {
                    session.await.unwrap();
                }
                neighbour.await.unwrap();
            })
            .await;
        let taken = taken.borrow();
        assert_eq!(taken.len(), 2_003);
        let last = taken.iter().rposition(|session| *session == 10).unwrap();
        assert!(last < 70, "the neighbour's last was number {last}");
        let served: Vec<_> = (0..10)
            .map(|session| taken.iter().filter(|taken| **taken == session).count())
            .collect();
        assert_eq!(served, [200; 10], "and nobody is left out");
    }
}
