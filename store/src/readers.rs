//! A few threads that read: nothing that touches the disk runs on an actor's thread.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    backend::{Pending, ReadError},
    db::{Db, DbError},
    doubt::Doubt,
    ended::{Ended, Ends},
    handover::Handover,
    segments::Segments,
};

type Job = Box<dyn FnOnce(&Db, &Segments) + Send>;

/// The pool of reading threads.
#[derive(Debug)]
pub(crate) struct Readers {
    jobs: Arc<Jobs>,
    doubt: Doubt,
    handover: Arc<Handover>,
    ended: Ended,
}

/// Why a job on a reading thread gave nothing.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The state: all of it is in doubt.
    State(DbError),
    /// The journal or an index of it, or nothing but the asker.
    Log(ReadError),
}

impl Readers {
    pub(crate) fn start(
        db: Db,
        segments: Arc<Segments>,
        doubt: Doubt,
        handover: Arc<Handover>,
    ) -> std::io::Result<Self> {
        let jobs = Arc::new(Jobs::default());
        let (ends, ended) = Ends::pair();
        for number in 0..THREADS {
            let (db, segments, jobs) = (db.clone(), Arc::clone(&segments), Arc::clone(&jobs));
            let (doubt, ends) = (doubt.clone(), ends.clone());
            let work = move || {
                while let Some(job) = jobs.next() {
                    doubt.guard(|| job(&db, &segments));
                }
                drop((db, segments));
                ends.here();
            };
            let name = format!("provost-read-{number}");
            thread::Builder::new().name(name).spawn(work)?;
        }
        Ok(Self {
            jobs,
            doubt,
            handover,
            ended,
        })
    }

    /// Reads something of the state on one of the threads, once it holds all that is durable now.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Db, &Segments) -> Result<T, Failed> + Send + 'static,
    ) -> Pending<Result<T, ReadError>> {
        let (handover, durable) = (Arc::clone(&self.handover), self.handover.now());
        self.read_log(move |db, segments| {
            handover.wait(durable, Instant::now() + STATE_PATIENCE)?;
            job(db, segments)
        })
    }

    /// Reads something of the log, which never waits for the state, on one of the threads; refuses
    /// at once where too much waits already.
    pub(crate) fn read_log<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Db, &Segments) -> Result<T, Failed> + Send + 'static,
    ) -> Pending<Result<T, ReadError>> {
        let (done, answer) = oneshot::channel();
        let doubt = self.doubt.clone();
        let job: Job = Box::new(move |db, segments| {
            let answer = job(db, segments).map_err(|failed| match failed {
                Failed::Log(error) => error,
                Failed::State(error) => {
                    doubt.raise(&error.to_string());
                    ReadError::Damaged(error.to_string())
                }
            });
            // Whoever asked may have gone.
            let _ = done.send(answer);
        });
        let sent = self.jobs.give(job);
        Box::pin(async move {
            sent?;
            answer.await.unwrap_or(Err(ReadError::Closed))
        })
    }

    /// Ends the threads after what waits was read; says whether they ended before `deadline`.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        self.jobs.close();
        self.ended.wait(deadline)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

/// What waits to be read. A job wakes one thread: with a channel behind a lock it would wake a
/// second one too, only to have it wait in the place of the first.
#[derive(Default)]
struct Jobs {
    queue: Mutex<Queue>,
    given: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Jobs {
    fn give(&self, job: Job) -> Result<(), ReadError> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(ReadError::Closed);
        }
        if queue.jobs.len() >= QUEUE {
            return Err(ReadError::Overloaded);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.given.notify_one();
        Ok(())
    }

    /// The next job; `None` when no more come and all are done.
    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            let waited = self.given.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.given.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("waiting", &self.lock().jobs.len())
            .finish_non_exhaustive()
    }
}

impl From<DbError> for Failed {
    fn from(error: DbError) -> Self {
        Self::State(error)
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

/// Two cores: more threads would only queue in the kernel instead of here.
const THREADS: usize = 2;

/// Each waiting read is at most one request somebody waits for; 1,024 of them are about a tenth of
/// a second of work.
const QUEUE: usize = 1_024;

/// All groups on the way take some hundred milliseconds; a state that needs seconds is stuck.
const STATE_PATIENCE: Duration = Duration::from_secs(5);
