//! Roots, and trust in them.

use provost_protocol::event::{
    CaRotationAborted, CaRotationActivated, CaRotationPrepared, CaRotationRetired,
    CertificateRevoked, TrustConfirmed,
};

use super::At;
use crate::state::{
    Entities, Entity, EntityKey, RevokedCertificate, RotationPhase, RotationRecord, TrustRecord,
};

pub(super) fn prepared(entities: &mut impl Entities, at: At, data: &CaRotationPrepared) {
    let phase = RotationPhase::Prepared {
        next: data.next.clone(),
        next_root: data.next_root.clone(),
        cross: data.cross.clone(),
    };
    turn(entities, at, &data.active, phase);
}

pub(super) fn activated(entities: &mut impl Entities, at: At, data: &CaRotationActivated) {
    let old = data.old.clone();
    turn(entities, at, &data.active, RotationPhase::Activated { old });
}

pub(super) fn retired(entities: &mut impl Entities, at: At, data: &CaRotationRetired) {
    turn(entities, at, &data.active, RotationPhase::Settled);
}

pub(super) fn aborted(entities: &mut impl Entities, at: At, data: &CaRotationAborted) {
    turn(entities, at, &data.active, RotationPhase::Settled);
}

pub(super) fn confirmed(entities: &mut impl Entities, at: At, data: &TrustConfirmed) {
    for runtime in &data.runtimes {
        let record = TrustRecord {
            bundle: data.bundle.clone(),
            confirmed: at.time,
        };
        entities.put(EntityKey::Trust(*runtime), Entity::Trust(record));
    }
}

pub(super) fn certificate_revoked(entities: &mut impl Entities, at: At, data: &CertificateRevoked) {
    let record = RevokedCertificate {
        runtime: data.runtime,
        serial: data.serial.clone(),
        not_after: data.not_after,
        reason: data.reason.clone(),
        revoked: at.time,
    };
    entities.put(
        EntityKey::RevokedCertificate(data.serial.clone()),
        Entity::RevokedCertificate(record),
    );
}

fn turn(entities: &mut impl Entities, at: At, active: &str, phase: RotationPhase) {
    let record = RotationRecord {
        active: active.to_owned(),
        phase,
        since: at.time,
    };
    entities.put(EntityKey::Rotation, Entity::Rotation(Box::new(record)));
}
