//! The other side of the writer thread, and what it is told.

use std::{fmt, io, sync::Arc};

use crate::{
    append::AppendError,
    record::{Position, Record},
};

/// The other side of the writer thread: decides what may be written and hears what was.
///
/// All calls come from the writer thread; what is slow here delays every later group.
pub trait Sink<T>: Send + 'static {
    /// Why a submission is not admitted.
    type Refusal: fmt::Debug;

    /// Looks at a submission just before it joins a group. It may change or drop records, but not
    /// add bytes; with no record left it is answered like an admitted one, and nothing is written.
    ///
    /// # Errors
    /// The refusal, handed back through [`Sink::refused`].
    fn admit(&mut self, records: &mut Vec<Record>, ticket: &T) -> Result<(), Self::Refusal>;

    /// Hears that a group is durable.
    fn durable(&mut self, group: Durable<T>);

    /// Whether this segment, the active one, takes no further group of records, though there is
    /// room in it. Asked before each of them.
    fn ends_segment(&self, _active: u64) -> bool {
        false
    }

    /// Hears that a submission was not written. After a failed write every admitted submission of
    /// the group comes here before the next is asked to be admitted: expectations go back.
    fn refused(&mut self, ticket: T, why: RefusedWhy<Self::Refusal>);
}

/// A durable group, by submission.
#[derive(Debug)]
pub struct Durable<T> {
    /// The group's number; of the last group before, if nothing had to be written.
    pub group: u64,
    /// Where it ends: the watermark of whoever applies it.
    pub end: Position,
    /// The segment that was sealed to make room, if one was.
    pub rolled: Option<u64>,
    /// The submissions in their order; never empty.
    pub items: Vec<Landed<T>>,
}

/// One submission of a durable group.
#[derive(Debug)]
pub struct Landed<T> {
    /// What the submitter gave with it.
    pub ticket: T,
    /// What was written.
    pub records: Vec<Record>,
    /// Where each of them stands.
    pub positions: Vec<Position>,
}

/// Why a submission was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedWhy<R> {
    /// The sink did not admit it.
    #[error("not admitted")]
    NotAdmitted(R),
    /// The sink made it larger than a group.
    #[error("larger than a group after admission")]
    TooLarge,
    /// The disk is nearly full.
    #[error("the disk is nearly full: {free} bytes left, {min} are kept free")]
    NearlyFull {
        /// How much is free.
        free: u64,
        /// How much is kept free.
        min: u64,
    },
    /// The write failed and was undone.
    #[error("the write failed and was undone")]
    Write(#[source] Arc<io::Error>),
}

/// Why the writer thread stopped; the process must end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fatal {
    /// The journal cannot go on.
    #[error("the journal failed")]
    Append(#[source] AppendError),
    /// Something panicked on the writer thread.
    #[error("the journal's writer panicked: {0}")]
    Panic(String),
}
