//! Restores, lost ranges, forks.

use provost_protocol::event::{LogForked, LogRangeLost, LogRestored};

use super::At;
use crate::state::{Entities, Entity, EntityKey, Held, HistoryRecord, Restore, WitnessRecord};

pub(super) fn restored(entities: &mut impl Entities, at: At, data: &LogRestored) {
    with_history(entities, |history| {
        history.restored(Restore {
            epoch: at.epoch,
            old_epoch: data.old_epoch,
            size: data.size,
            root: data.root,
        });
    });
}

pub(super) fn range_lost(entities: &mut impl Entities, data: &LogRangeLost) {
    with_history(entities, |history| {
        history.range_lost(data.old_epoch, data.to_seq);
    });
}

pub(super) fn forked(entities: &mut impl Entities, data: &LogForked) {
    let fork = Held {
        epoch: data.epoch,
        size: data.held_size,
        root: data.held_root,
    };
    with_history(entities, |history| history.forked(fork));
    let witness = Entity::Witness(WitnessRecord { fork });
    entities.put(EntityKey::Witness(data.runtime_id), witness);
}

fn with_history(entities: &mut impl Entities, change: impl FnOnce(&mut HistoryRecord)) {
    let mut record = match entities.entity(&EntityKey::History).as_deref() {
        Some(Entity::History(record)) => record.clone(),
        _ => HistoryRecord::default(),
    };
    change(&mut record);
    entities.put(EntityKey::History, Entity::History(record));
}
