//! A few threads that read: nothing that touches the disk runs on an actor's thread.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
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
    jobs: Mutex<Option<mpsc::SyncSender<Job>>>,
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
        let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let (ends, ended) = Ends::pair();
        for number in 0..THREADS {
            let (db, segments, queue) = (db.clone(), Arc::clone(&segments), Arc::clone(&queue));
            let (doubt, ends) = (doubt.clone(), ends.clone());
            let work = move || {
                while let Ok(job) = next(&queue) {
                    doubt.guard(|| job(&db, &segments));
                }
                drop((db, segments));
                ends.here();
            };
            let name = format!("provost-read-{number}");
            thread::Builder::new().name(name).spawn(work)?;
        }
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
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
        let sent = {
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            match &*jobs {
                None => Err(ReadError::Closed),
                Some(jobs) => jobs.try_send(job).map_err(|error| match error {
                    mpsc::TrySendError::Full(_) => ReadError::Overloaded,
                    mpsc::TrySendError::Disconnected(_) => ReadError::Closed,
                }),
            }
        };
        Box::pin(async move {
            sent?;
            answer.await.unwrap_or(Err(ReadError::Closed))
        })
    }

    /// Ends the threads after what waits was read; says whether they ended before `deadline`.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        self.ended.wait(deadline)
    }
}

fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Result<Job, mpsc::RecvError> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
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
