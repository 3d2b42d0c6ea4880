//! Where the process can be made to die on the store's side of a group; see
//! [`provost_journal::fail_points`].

pub use provost_journal::fail_points::reach;

/// Every point of this crate, in the order of the way.
#[cfg(feature = "fail-points")]
pub const ALL: [&str; 9] = [
    BEFORE_ANSWER,
    BEFORE_APPLY,
    BEFORE_BATCH,
    AFTER_BATCH,
    BEFORE_INDEX,
    INDEX_WRITTEN,
    INDEX_NAMED,
    STATE_OPENED,
    BEFORE_REPLAY_BATCH,
];

/// The group is durable and in the active segment's index; nobody was answered.
pub(crate) const BEFORE_ANSWER: &str = "store.before-answer";
/// Everybody was answered; the state's thread has not got the group.
pub(crate) const BEFORE_APPLY: &str = "store.before-apply";
/// The group's effects are worked out; the state has none of them.
pub(crate) const BEFORE_BATCH: &str = "store.before-batch";
/// The state has the group; who waits to read it does not know.
pub(crate) const AFTER_BATCH: &str = "store.after-batch";
/// A segment is sealed and its index is no file yet.
pub(crate) const BEFORE_INDEX: &str = "store.before-index";
/// A sealed segment's index is written under another name.
pub(crate) const INDEX_WRITTEN: &str = "store.index-written";
/// A sealed segment's index has its name.
pub(crate) const INDEX_NAMED: &str = "store.index-named";
/// At a start: the state is open, and its marker still says that it is being opened.
pub(crate) const STATE_OPENED: &str = "store.state-opened";
/// At a start: a stretch of the journal is about to be applied.
pub(crate) const BEFORE_REPLAY_BATCH: &str = "store.before-replay-batch";
