//! The submitters' side of the writer thread: hand records in, or get them back with the reason.

use std::{fmt, sync::Arc, time::Instant};

use crate::{
    append::check_limits,
    group,
    queue::{Queue, Unqueued},
    record::Record,
};

/// Why a submission did not even get into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue stayed full.
    #[error("the journal's queue is full")]
    Full,
    /// The writer is shut down or failed.
    #[error("the journal's writer is closed")]
    Closed,
    /// No group could hold it.
    #[error("larger than a group may be")]
    TooLarge,
}

/// A submission that comes back at once, with the reason.
#[derive(Debug)]
pub struct Rejected<T> {
    /// Why.
    pub why: SubmitError,
    /// As given.
    pub records: Vec<Record>,
    /// As given.
    pub ticket: T,
}

pub(crate) type Item<T> = (Vec<Record>, T);

/// The door to a writer thread. Cheap to clone.
pub struct Submitter<T> {
    pub(crate) queue: Arc<Queue<Item<T>>>,
}

impl<T> Submitter<T> {
    /// Hands records in, to become durable together; does not wait. No records at all is a
    /// barrier: answered when everything before it is durable.
    ///
    /// # Errors
    /// [`Rejected`] with everything given.
    pub fn try_submit(&self, records: Vec<Record>, ticket: T) -> Result<(), Rejected<T>> {
        self.push(records, ticket, None)
    }

    /// As [`Submitter::try_submit`], but waits for room until `deadline`.
    ///
    /// # Errors
    /// [`Rejected`] with everything given.
    pub fn submit(
        &self,
        records: Vec<Record>,
        ticket: T,
        deadline: Instant,
    ) -> Result<(), Rejected<T>> {
        self.push(records, ticket, Some(deadline))
    }

    fn push(
        &self,
        records: Vec<Record>,
        ticket: T,
        deadline: Option<Instant>,
    ) -> Result<(), Rejected<T>> {
        if !fits(&records) {
            return Err(Rejected {
                why: SubmitError::TooLarge,
                records,
                ticket,
            });
        }
        let bytes = group::body_bytes(&records);
        let (why, (records, ticket)) = match self.queue.push((records, ticket), bytes, deadline) {
            Ok(()) => return Ok(()),
            Err(Unqueued::Full(item)) => (SubmitError::Full, item),
            Err(Unqueued::Closed(item)) => (SubmitError::Closed, item),
        };
        Err(Rejected {
            why,
            records,
            ticket,
        })
    }
}

impl<T> Clone for Submitter<T> {
    fn clone(&self) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
        }
    }
}

impl<T> fmt::Debug for Submitter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").finish_non_exhaustive()
    }
}

/// Whether records fit into one group; none at all do.
pub(crate) fn fits(records: &[Record]) -> bool {
    records.is_empty() || check_limits(records).is_ok()
}
