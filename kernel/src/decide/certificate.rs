//! Certificates of runtimes after their enrolment.

use provost_protocol::{
    Timestamp,
    entity::RuntimeStatus,
    event::{
        Event, RuntimeCertificateRenewed, RuntimeRecovered, RuntimeRecoveryAllowed,
        RuntimeRecoveryRefused,
    },
};

use super::{runtime_of, tenant_of, valid};
use crate::{
    Rejection, State,
    command::{AllowRecovery, Recover, Renew, ReportCopy},
    limits::{NAME_BYTES_MAX, REASON_BYTES_MAX, RECOVERY_ALARM_EVERY_MS, RECOVERY_ALLOWED_MS},
    renewal::{self, Keys, Renewal, certificates_of},
};

pub(super) fn renew(state: &State, renew: &Renew, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let keys = Keys {
        requested: &renew.key_sha256,
        shown: Some(&renew.asked_with),
    };
    match renewal::renew(state, renew.runtime, keys, now) {
        // Two requests for one key met: the first one's certificate is the answer to both.
        Renewal::Again(_) => return Ok(Vec::new()),
        Renewal::Refused(rejection) => return Err(rejection),
        Renewal::New { .. } => {}
    }
    valid::sha256_hex("key_sha256", &renew.key_sha256)?;
    valid::sha256_hex("asked_with", &renew.asked_with)?;
    let issued = &renew.issued;
    Ok(vec![
        RuntimeCertificateRenewed {
            runtime: renew.runtime,
            serial: issued.serial.clone(),
            not_after: issued.not_after,
            key_sha256: renew.key_sha256.clone(),
            certificate: issued.certificate.clone(),
            asked_with: renew.asked_with.clone(),
        }
        .into(),
    ])
}

pub(super) fn recover(
    state: &State,
    recover: &Recover,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let Recover {
        runtime,
        counter,
        key_sha256,
        issued,
        perhaps_revoked: _,
    } = recover;
    match renewal::recover(state, *runtime, *counter, key_sha256, now) {
        Renewal::Again(_) => return Ok(Vec::new()),
        Renewal::Refused(rejection) => return Err(rejection),
        Renewal::New { .. } => {}
    }
    valid::sha256_hex("key_sha256", key_sha256)?;
    Ok(vec![
        RuntimeRecovered {
            runtime: *runtime,
            counter: *counter,
            serial: issued.serial.clone(),
            not_after: issued.not_after,
            key_sha256: key_sha256.clone(),
            certificate: issued.certificate.clone(),
        }
        .into(),
    ])
}

pub(super) fn report_copy(
    state: &State,
    report: &ReportCopy,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let certificates = certificates_of(state, runtime_of(state, report.runtime)?);
    valid::sha256_hex("key_sha256", &report.key_sha256)?;
    valid::optional_text("address", &report.address, NAME_BYTES_MAX)?;
    // A copy that asks in a loop is one alarm an hour, not a full disk.
    let told = certificates
        .alarmed
        .is_some_and(|at| now.is_within(RECOVERY_ALARM_EVERY_MS, at));
    if told || report.counter > certificates.counter {
        return Ok(Vec::new());
    }
    Ok(vec![
        RuntimeRecoveryRefused {
            runtime: report.runtime,
            counter: report.counter,
            held: certificates.counter,
            key_sha256: report.key_sha256.clone(),
            address: report.address.clone(),
        }
        .into(),
    ])
}

pub(super) fn allow_recovery(
    state: &State,
    allow: &AllowRecovery,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    valid::optional_text("reason", &allow.reason, REASON_BYTES_MAX)?;
    if runtime_of(state, allow.runtime)?.status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    Ok(vec![
        RuntimeRecoveryAllowed {
            runtime: allow.runtime,
            until: now.plus_millis(RECOVERY_ALLOWED_MS),
            reason: allow.reason.clone(),
        }
        .into(),
    ])
}
