//! Group commit: one thread that owns the journal and makes one group of all that waits.
//!
//! Order for each submission: [`Sink::admit`] → durable → [`Sink::durable`], all on the writer
//! thread, in the order of submission. While one group is being synced, the next gathers in the
//! queue; whoever was answered with the last group is waited for a little ([`Pace`]), or else, of
//! those who write and wait in turns, each group would hold only half. After 10 ms without work,
//! and at shutdown, a seal is written, so that the last acknowledged group is attested by a later
//! one and could not be taken for a torn tail.

use std::{
    any::Any,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::{error, warn};

use crate::{
    append::AppendError,
    fail_points, group,
    journal::Journal,
    pace::Pace,
    queue::{Popped, Queue},
    record::Record,
    sink::{Durable, Fatal, Landed, RefusedWhy, Sink},
    submit::{Item, Submitter, fits},
};

/// The writer thread did not finish in time; it goes on in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal's writer did not finish in time")]
pub struct ShutdownTimedOut;

/// The owner of a writer thread. Dropped, it lets the thread finish what waits, unobserved;
/// [`GroupWriter::shutdown`] waits for it.
pub struct GroupWriter<T> {
    submitter: Submitter<T>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> GroupWriter<T> {
    /// Starts the thread. `fatal` is called on it, once, if it cannot go on: the daemon ends the
    /// process there. What was submitted and not answered is then of unknown outcome.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        journal: Journal,
        sink: impl Sink<T>,
        fatal: impl FnOnce(Fatal) + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let submitter = Submitter {
            queue: Arc::clone(&queue),
        };
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                let work = || {
                    Writer {
                        journal,
                        sink,
                        queue: &queue,
                        pace: Pace::default(),
                        seal_failed: false,
                    }
                    .run()
                };
                // The journal is gone, unlocked, when this returns; nothing of it is used after.
                let failed = match catch_unwind(AssertUnwindSafe(work)) {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(Fatal::Append(error)),
                    Err(panic) => Some(Fatal::Panic(panic_text(panic.as_ref()))),
                };
                queue.close();
                if let Some(failed) = failed {
                    error!(
                        error = &failed as &dyn std::error::Error,
                        "the journal's writer stopped"
                    );
                    fatal(failed);
                }
                queue.end();
            })?;
        Ok(Self {
            submitter,
            thread: Some(thread),
        })
    }

    /// A door for submissions.
    #[must_use]
    pub fn submitter(&self) -> Submitter<T> {
        self.submitter.clone()
    }

    /// Takes nothing in any more, writes all that waits, seals, and releases the folder.
    ///
    /// # Errors
    /// [`ShutdownTimedOut`] when that takes longer than `patience`.
    pub fn shutdown(mut self, patience: Duration) -> Result<(), ShutdownTimedOut> {
        self.submitter.queue.close();
        if !self.submitter.queue.wait_for_end(patience) {
            return Err(ShutdownTimedOut);
        }
        if let Some(thread) = self.thread.take() {
            // It ended and caught its own panics; only one of the `fatal` hook could come here,
            // and that hook's owner knows.
            drop(thread.join());
        }
        Ok(())
    }
}

impl<T> Drop for GroupWriter<T> {
    fn drop(&mut self) {
        self.submitter.queue.close();
    }
}

impl<T> fmt::Debug for GroupWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupWriter").finish_non_exhaustive()
    }
}

struct Writer<'a, S, T> {
    journal: Journal,
    sink: S,
    queue: &'a Queue<Item<T>>,
    pace: Pace,
    seal_failed: bool,
}

impl<T, S: Sink<T>> Writer<'_, S, T> {
    fn run(mut self) -> Result<(), AppendError> {
        loop {
            let due = self.journal.needs_seal() && !self.seal_failed;
            match self.queue.pop(due.then_some(SEAL_AFTER)) {
                Popped::Item(item) => self.commit(item)?,
                Popped::Idle => self.seal()?,
                Popped::Closed => {
                    return if self.journal.needs_seal() {
                        self.seal()
                    } else {
                        Ok(())
                    };
                }
            }
        }
    }

    fn commit(&mut self, first: Item<T>) -> Result<(), AppendError> {
        if let Some((others, until)) = self.pace.wait_for() {
            self.queue.gather(others, until);
        }
        let mut records = Vec::new();
        let mut tickets = Vec::new();
        let mut next = Some(first);
        while let Some(item) = next {
            self.admit(item, &mut records, &mut tickets);
            let bytes = group::body_bytes(&records);
            next = self.queue.pop_if(|(more, _)| {
                tickets.len() < TICKETS_MAX
                    && records.len() + more.len() <= group::GROUP_RECORDS_MAX
                    && bytes + group::body_bytes(more) <= group::GROUP_BYTES_MAX
            });
        }
        if tickets.is_empty() {
            return Ok(());
        }
        let (group, end, rolled, positions) = if records.is_empty() {
            (
                self.journal.last_group(),
                self.journal.end(),
                None,
                Vec::new(),
            )
        } else {
            fail_points::reach(fail_points::GROUP_FORMED);
            if self.sink.ends_segment(self.journal.active_segment()) {
                self.journal.end_segment();
            }
            let begun = Instant::now();
            let appended = self.journal.append(&records);
            let waiting = self.queue.len();
            self.pace.wrote(tickets.len() + waiting, begun.elapsed());
            match appended {
                Ok(done) => (done.group, done.end, done.rolled, done.positions),
                Err(error) => return self.refuse(tickets, error),
            }
        };
        self.seal_failed = false;
        let mut records = records.into_iter();
        let mut positions = positions.into_iter();
        let land = |(ticket, count): (T, usize)| Landed {
            ticket,
            records: records.by_ref().take(count).collect(),
            positions: positions.by_ref().take(count).collect(),
        };
        let items = tickets.into_iter().map(land).collect();
        fail_points::reach(fail_points::BEFORE_SINK);
        self.sink.durable(Durable {
            group,
            end,
            rolled,
            items,
        });
        Ok(())
    }

    fn admit(&mut self, item: Item<T>, group: &mut Vec<Record>, tickets: &mut Vec<(T, usize)>) {
        let (mut records, ticket) = item;
        if let Err(refusal) = self.sink.admit(&mut records, &ticket) {
            return self.sink.refused(ticket, RefusedWhy::NotAdmitted(refusal));
        }
        let before = group.len();
        tickets.push((ticket, records.len()));
        group.append(&mut records);
        if !fits(group) {
            group.truncate(before);
            if let Some((ticket, _)) = tickets.pop() {
                self.sink.refused(ticket, RefusedWhy::TooLarge);
            }
        }
    }

    /// Answers a group that was not written; gives back what nobody can answer.
    fn refuse(&mut self, tickets: Vec<(T, usize)>, error: AppendError) -> Result<(), AppendError> {
        warn!(
            error = &error as &dyn std::error::Error,
            journal.submissions = tickets.len(),
            "a group was not written"
        );
        let source = match error {
            AppendError::NearlyFull { free, min } => {
                for (ticket, _) in tickets {
                    self.sink
                        .refused(ticket, RefusedWhy::NearlyFull { free, min });
                }
                return Ok(());
            }
            AppendError::Write(source) => Arc::new(source),
            other => return Err(other),
        };
        for (ticket, _) in tickets {
            self.sink
                .refused(ticket, RefusedWhy::Write(Arc::clone(&source)));
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), AppendError> {
        match self.journal.seal() {
            Ok(_) => Ok(()),
            Err(error @ AppendError::Write(_)) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "no seal could be written"
                );
                self.seal_failed = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "?".to_owned())
}

const THREAD_NAME: &str = "journal-writer";
/// Architecture, section 2: longer than a busy disk's sync, so that load writes no seals.
const SEAL_AFTER: Duration = Duration::from_millis(10);
/// As many submissions as records: barriers count too, or a flood of them would never be answered.
const TICKETS_MAX: usize = group::GROUP_RECORDS_MAX;
