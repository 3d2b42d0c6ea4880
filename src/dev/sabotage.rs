//! One thing broken on purpose: a check that cannot fail proves nothing.

use clap::ValueEnum;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sabotage {
    /// The course is never granted
    GrantMissing,
    /// One bit of the license file is flipped before it is verified
    LicenseBitFlipped,
    /// The connector is given the root of another installation
    ForeignCa,
    /// The connector's spool is deleted while the kernel is down
    SpoolDeleted,
    /// The last events are cut off the journal before the kernel starts again
    EventLost,
    /// The connector is stopped in its tracks when the tenant is suspended
    SuspendNotDelivered,
}
