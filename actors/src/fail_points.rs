//! Where the process can be made to die between a tenant's decision and its answer; see
//! `provost_journal::fail_points`.

pub(crate) use provost_store::fail_points::reach;

/// Every point of this crate, in the order of the way.
#[cfg(feature = "fail-points")]
pub const ALL: [&str; 4] = [DECIDED, BEFORE_SUBMIT, STORE_ANSWERED, PUBLISHED];

/// The events are decided and stamped; they wait for their append.
pub(crate) const DECIDED: &str = "actors.decided";
/// The append is made up; the store has not got it.
pub(crate) const BEFORE_SUBMIT: &str = "actors.before-submit";
/// The store answered that the append is durable; nobody else knows.
pub(crate) const STORE_ANSWERED: &str = "actors.store-answered";
/// The committed state is shown; nobody was answered.
pub(crate) const PUBLISHED: &str = "actors.published";
