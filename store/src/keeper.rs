//! The thread that looks after sealed segments: writes their indexes, checks what no start had the
//! time to check, compresses them.
//!
//! Nobody waits for it: the journal and the state go on whatever it does, and at
//! [`close`](crate::Store::close) it finishes the one segment it is at. If the process dies at any
//! step, the next start finds an index missing or a segment not yet compressed, and goes on.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use provost_journal::CompressError;

use crate::{
    doubt::Doubt,
    ended::{Ended, Ends},
    segments::{Checked, Segments},
    writer::FatalHook,
};

/// The thread's owner. Dropped, the thread ends after the segment it is at.
#[derive(Debug)]
pub(crate) struct Keeper {
    stopping: Arc<AtomicBool>,
    ended: Ended,
}

/// Wakes the thread.
#[derive(Debug)]
pub(crate) struct Bell(mpsc::SyncSender<()>);

/// What the thread does.
pub(crate) struct Duties {
    pub(crate) segments: Arc<Segments>,
    /// Segments that the start did not check, the next one at the front.
    pub(crate) unchecked: VecDeque<u64>,
    pub(crate) compress: bool,
    pub(crate) fatal: FatalHook,
}

impl Keeper {
    /// Starts the thread; the bell wakes it, and when all bells are gone it ends.
    pub(crate) fn start(duties: Duties, doubt: Doubt) -> std::io::Result<(Self, Bell)> {
        // One ring is as good as many: the thread looks for all there is to do.
        let (bell, rung) = mpsc::sync_channel(1);
        let (ends, ended) = Ends::pair();
        let stopping = Arc::new(AtomicBool::new(false));
        let work = Work {
            given_up: Vec::new(),
            stopping: Arc::clone(&stopping),
            duties,
        };
        let name = "provost-keeper".to_owned();
        thread::Builder::new().name(name).spawn(move || {
            doubt.guard(move || work.run(&rung));
            ends.here();
        })?;
        Ok((Self { stopping, ended }, Bell(bell)))
    }

    /// Ends the thread after the segment it is at; says whether it ended before `deadline`. The
    /// bells must be gone: what was sealed while they were there is written.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        self.stopping.store(true, Ordering::Release);
        self.ended.wait(deadline)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
    }
}

impl Bell {
    /// Says that there may be something to do.
    pub(crate) fn ring(&self) {
        // Full: it was rung and not heard yet. Disconnected: the thread ended with the store.
        let _ = self.0.try_send(());
    }
}

struct Work {
    duties: Duties,
    stopping: Arc<AtomicBool>,
    /// Segments that could not be compressed: the next start tries again.
    given_up: Vec<u64>,
}

impl Work {
    fn run(mut self, rung: &mpsc::Receiver<()>) {
        loop {
            self.write();
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            if self.check_one() || self.compress_one() {
                continue;
            }
            if rung.recv().is_err() {
                // The last bell is gone; what was sealed before that is written.
                self.write();
                return;
            }
        }
    }

    fn write(&self) {
        for segment in self.duties.segments.unwritten() {
            self.duties.segments.write(segment);
        }
    }

    /// Checks one segment that the start had no time for; says whether there was one.
    fn check_one(&mut self) -> bool {
        let Some(segment) = self.duties.unchecked.pop_front() else {
            return false;
        };
        match self.duties.segments.check(segment) {
            Ok(Checked::Whole | Checked::IndexRebuilt) => {}
            Ok(Checked::Damaged(damage)) => self.duties.segments.tell(&damage),
            Err(error) => tracing::warn!(segment, %error, "a segment could not be checked"),
        }
        true
    }

    /// Compresses one sealed segment; says whether there was one.
    fn compress_one(&mut self) -> bool {
        if !self.duties.compress {
            return false;
        }
        let Some(segment) = self.duties.segments.uncompressed(&self.given_up) else {
            return false;
        };
        match self.duties.segments.compress(segment) {
            Ok(done) => tracing::debug!(
                segment,
                original = done.original_bytes,
                stored = done.stored_bytes,
                "a segment is compressed"
            ),
            Err(error @ CompressError::Fatal { .. }) => {
                tracing::error!(
                    segment,
                    error = &error as &dyn std::error::Error,
                    "the disk failed"
                );
                (self.duties.fatal)(&error.to_string());
                self.given_up.push(segment);
            }
            Err(CompressError::Read(error)) => {
                self.given_up.push(segment);
                match self.duties.segments.name(&error) {
                    Some(damage) => self.duties.segments.tell(&damage),
                    None => tracing::warn!(segment, %error, "a segment could not be compressed"),
                }
            }
            Err(CompressError::Closed) => {
                // The store is closing, or was dropped: the next start goes on.
                self.given_up.push(segment);
            }
            Err(error) => {
                self.given_up.push(segment);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(segment, error, "a segment could not be compressed");
            }
        }
        true
    }
}
