//! Certificates of runtimes after their enrolment.
//!
//! The runtime's own record keeps the serials that may be in force, so that a revocation names all
//! of them. What belongs to renewal and recovery alone stands in a record beside it, made at the
//! first of them: a runtime that was only ever enrolled has none.

use provost_protocol::{
    RuntimeId, Timestamp,
    event::{
        RuntimeCertificateRenewed, RuntimeRecovered, RuntimeRecoveryAllowed, RuntimeRecoveryRefused,
    },
};

use super::{At, with_runtime};
use crate::state::{
    CertificatesRecord, Entities, Entity, EntityKey, HeldCertificate, LastAnswer, RuntimeRecord,
};

pub(super) fn renewed(entities: &mut impl Entities, at: At, data: &RuntimeCertificateRenewed) {
    let answer = LastAnswer {
        key_sha256: data.key_sha256.clone(),
        certificate: data.certificate.clone(),
        not_after: data.not_after,
        at: at.time,
        counter: None,
    };
    change(entities, data.runtime, |record| {
        // Of a runtime that was only enrolled so far: the certificate that it shows is that one.
        if let [only] = record.held.as_mut_slice() {
            only.key_sha256
                .get_or_insert_with(|| data.asked_with.clone());
        }
        take(record, &data.serial, answer);
    });
}

pub(super) fn recovered(entities: &mut impl Entities, at: At, data: &RuntimeRecovered) {
    let answer = LastAnswer {
        key_sha256: data.key_sha256.clone(),
        certificate: data.certificate.clone(),
        not_after: data.not_after,
        at: at.time,
        counter: Some(data.counter),
    };
    change(entities, data.runtime, |record| {
        record.counter = record.counter.max(data.counter);
        record.allowed_until = None;
        take(record, &data.serial, answer);
    });
}

pub(super) fn recovery_refused(
    entities: &mut impl Entities,
    at: At,
    data: &RuntimeRecoveryRefused,
) {
    change(entities, data.runtime, |record| {
        record.alarmed = Some(at.time);
    });
}

pub(super) fn recovery_allowed(entities: &mut impl Entities, data: &RuntimeRecoveryAllowed) {
    change(entities, data.runtime, |record| {
        record.allowed_until = Some(data.until);
    });
}

/// The newest certificate joins; those that have ended leave.
fn take(record: &mut CertificatesRecord, serial: &str, answer: LastAnswer) {
    let now: Timestamp = answer.at;
    record.held.retain(|held| held.not_after >= now);
    record.held.push(HeldCertificate {
        serial: serial.to_owned(),
        not_after: answer.not_after,
        key_sha256: Some(answer.key_sha256.clone()),
    });
    record.last = Some(answer);
}

/// Changes the record of a runtime that is there, and what the runtime's own record shows of it.
fn change(
    entities: &mut impl Entities,
    runtime: RuntimeId,
    change: impl FnOnce(&mut CertificatesRecord),
) {
    let known = entities.entity(&EntityKey::Runtime(runtime));
    let Some(Entity::Runtime(known)) = known.as_deref() else {
        return;
    };
    let mut record = record_of(entities, known);
    change(&mut record);
    let serials = record.held.iter().map(|held| held.serial.clone()).collect();
    let newest = record.held.last().map(|held| held.not_after);
    with_runtime(entities, runtime, |runtime| {
        runtime.serials = serials;
        runtime.certificate_not_after = newest.unwrap_or(runtime.certificate_not_after);
    });
    let key = EntityKey::Certificates(runtime);
    entities.put(key, Entity::Certificates(Box::new(record)));
}

fn record_of(entities: &impl Entities, runtime: &RuntimeRecord) -> CertificatesRecord {
    match entities
        .entity(&EntityKey::Certificates(runtime.id))
        .as_deref()
    {
        Some(Entity::Certificates(record)) => CertificatesRecord::clone(record),
        _ => CertificatesRecord::enrolled(runtime),
    }
}
