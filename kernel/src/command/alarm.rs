//! What is wrong with the machine under the installation, or well again.

use provost_protocol::event::{DiskLow, DiskRecovered, JournalDamaged};

/// Something that whoever runs the installation must know; it stands in the internal tenant's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// Space on the disk of the data runs short.
    DiskLow(DiskLow),
    /// There is space again.
    DiskRecovered(DiskRecovered),
    /// Stored bytes of the journal are not what was written.
    JournalDamaged(JournalDamaged),
}
