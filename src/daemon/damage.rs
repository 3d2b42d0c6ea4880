//! The alarm of a damaged journal: what the store finds while it is in use is said aloud.
//!
//! The store's own thread only counts and passes on; the event is recorded by a task, which tries
//! until the log takes it. What waits when the process ends is found again by the next start.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use provost_actors::Directory;
use provost_kernel::command::Alarm;
use provost_protocol::{TenantId, event::JournalDamaged};
use provost_store::{Damage, DamageHook};
use tokio::sync::mpsc::{Receiver, channel};

use super::disk::raise;
use crate::telemetry::names;

/// What the store tells, and where it arrives.
pub(super) fn hook() -> (DamageHook, Receiver<Damage>) {
    let (tell, found) = channel(WAITING_MAX);
    let hook = move |damage: &Damage| {
        counter!(names::JOURNAL_DAMAGES).increment(1);
        // The store has logged it; a full queue means that many alarms are on their way already.
        drop(tell.try_send(damage.clone()));
    };
    (Arc::new(hook), found)
}

/// Records what was found, one event each, for as long as the store lives.
pub(super) async fn record(directory: Directory, internal: TenantId, mut found: Receiver<Damage>) {
    while let Some(damage) = found.recv().await {
        let alarm = Alarm::JournalDamaged(JournalDamaged {
            file: damage.file,
            offset: damage.offset,
            tenants: damage.tenants,
            why: damage.why,
        });
        while let Err(error) = raise(&directory, internal, alarm.clone()).await {
            tracing::warn!(%error, "the alarm of a damaged journal could not be recorded");
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// One damaged file is one message; a disk that loses more at once is past alarms.
const WAITING_MAX: usize = 64;

/// As often as the disk is looked at.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
