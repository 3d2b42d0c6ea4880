//! A few threads that read: nothing that touches the disk runs on an actor's thread.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use crate::{
    backend::{Pending, ReadError},
    db::{Db, DbError},
    segments::{Segments, damaged},
};

type Job = Box<dyn FnOnce(&Db, &Segments) + Send>;

/// The pool of reading threads.
#[derive(Debug)]
pub(crate) struct Readers {
    jobs: Mutex<Option<mpsc::SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(crate) fn start(db: Db, segments: Arc<Segments>) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let (db, segments, queue) = (db.clone(), Arc::clone(&segments), Arc::clone(&queue));
            let work = move || {
                while let Ok(job) = next(&queue) {
                    job(&db, &segments);
                }
            };
            let name = format!("provost-read-{number}");
            threads.push(thread::Builder::new().name(name).spawn(work)?);
        }
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            threads: Mutex::new(threads),
        })
    }

    /// Reads something on one of the threads; refuses at once where too much waits already.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Db, &Segments) -> Result<T, ReadError> + Send + 'static,
    ) -> Pending<Result<T, ReadError>> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |db, segments| {
            let _ = done.send(job(db, segments));
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

    /// Ends the threads after what waits was read.
    pub(crate) fn stop(&self) {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Result<Job, mpsc::RecvError> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
}

impl From<DbError> for ReadError {
    fn from(error: DbError) -> Self {
        damaged(error)
    }
}

/// Two cores: more threads would only queue in the kernel instead of here.
const THREADS: usize = 2;

/// Each waiting read is at most one request somebody waits for; 1,024 of them are about a tenth of
/// a second of work.
const QUEUE: usize = 1_024;
