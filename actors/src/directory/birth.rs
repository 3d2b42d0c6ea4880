//! How a runtime's actor comes to life, and the wheel it shares with its arbiter's others.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use provost_kernel::{
    EntityKey,
    liveness::{Pulse, Rhythm},
    state::RuntimeRecord,
};
use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    entity::{RuntimeStatus, RuntimeType, SecurityLevel},
    metrics::Metrics,
};

use super::{Directory, WeakDirectory};
use crate::{
    LiveRuntime, LocalWheel, TenantHandle,
    guardian::BuildError,
    runtime::{Fleet, Live, RuntimeActor},
};

type Wheel = LocalWheel<(TenantId, RuntimeId)>;

thread_local! {
    /// One wheel for each directory on this arbiter; almost always there is one.
    static WHEELS: RefCell<HashMap<u64, Wheel>> = RefCell::default();
}

/// The size of the fleet, as the directory counts it.
#[derive(Debug)]
struct Counted(WeakDirectory);

impl Fleet for Counted {
    fn size(&self) -> u64 {
        let directory = Directory::from_weak(&self.0);
        let count = directory.map_or(0, |directory| directory.fleet_size());
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    fn lost(&self, key: (TenantId, RuntimeId), runtime_type: RuntimeType) {
        if let Some(shared) = self.0.upgrade() {
            shared.lost.note(key, runtime_type);
        }
    }
}

/// What is shown of a runtime before its first beat.
pub(super) fn live(tenant: TenantId, record: &RuntimeRecord, now: Timestamp) -> Live {
    let rhythm = Rhythm::for_fleet(0, SecurityLevel::Standard);
    let pulse = Pulse::begin(now, rhythm, record.lost);
    let shown = LiveRuntime {
        tenant,
        runtime: record.id,
        runtime_type: record.runtime_type,
        liveness: pulse.liveness(),
        health: record.health,
        last_beat: None,
        metrics: Metrics::default(),
        connected: false,
        generation: 0,
        address: None,
    };
    Live::new(shown, pulse)
}

/// Builds a runtime's actor from what its tenant says of it.
pub(super) async fn runtime(
    directory: WeakDirectory,
    tenant: TenantHandle,
    id: RuntimeId,
    live: Arc<Live>,
) -> Result<RuntimeActor, BuildError> {
    let Some(found) = Directory::from_weak(&directory) else {
        return Err("the kernel is stopping".into());
    };
    let state = tenant.hold(vec![EntityKey::Runtime(id)]).await?;
    let record = state.runtime(id);
    let lost = record.is_none_or(|record| record.lost);
    let status = record.map_or(RuntimeStatus::Revoked, |record| record.status);
    let level = state.tenant().map(|tenant| tenant.policies.security_level);
    let shown = live.look();
    found.shared.lost.forget(&(tenant.id(), id));
    let fleet = Counted(directory);
    let rhythm = Rhythm::for_fleet(fleet.size(), level.unwrap_or(SecurityLevel::Standard));
    let house = Arc::clone(found.house());
    let wheel = wheel(&found);
    live.begin(Pulse::begin(house.clock.now(), rhythm, lost), wheel.moved());
    Ok(RuntimeActor {
        id,
        wheel,
        house,
        _awake: tenant.revisions(),
        tenant,
        live,
        fleet: Rc::new(fleet),
        // After a panic the session is still there.
        session: shown.connected.then_some(shown.generation),
        status,
        health_reported: None,
        checkpoints: Default::default(),
        copies: Default::default(),
    })
}

/// The wheel of this thread, started by its first runtime.
fn wheel(directory: &Directory) -> Wheel {
    WHEELS.with_borrow_mut(|wheels| {
        let start = || {
            let weak = Arc::downgrade(&directory.shared);
            LocalWheel::start(
                Arc::clone(&directory.house().clock),
                move |now, mut keys| {
                    let Some(directory) = Directory::from_weak(&weak) else {
                        return Vec::new();
                    };
                    // Whose mailbox is full has nobody else who would ever look at it again.
                    keys.retain(|(tenant, runtime)| {
                        let handle = directory.alive(*tenant, *runtime);
                        handle.is_some_and(|handle| !handle.tick(now))
                    });
                    keys
                },
            )
        };
        wheels
            .entry(directory.shared.number)
            .or_insert_with(start)
            .clone()
    })
}
