//! Enrolment tokens and what is recorded of their use.

use provost_protocol::{
    Timestamp, TokenId,
    event::{
        EnrolmentTokenCreated, EnrolmentTokenMisused, EnrolmentTokenRevoked, Event, RuntimeEnrolled,
    },
};

use super::{tenant_of, valid};
use crate::{
    Rejection, State,
    command::{CreateToken, Enroll},
    enrolment::{Admission, admit},
    limits::{NAME_BYTES_MAX, TOKEN_TTL_MS_MAX, TOKEN_USES_MAX},
};

pub(super) fn create_token(
    state: &State,
    create: &CreateToken,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if state.token(create.token).is_some() {
        return Err(Rejection::Exists("the token"));
    }
    valid::sha256_hex("secret_sha256", &create.secret_sha256)?;
    if create.uses == 0 || create.uses > TOKEN_USES_MAX {
        return Err(Rejection::invalid(
            "uses",
            format!("between 1 and {TOKEN_USES_MAX}"),
        ));
    }
    if create.expires <= now || create.expires.millis_since(now) > TOKEN_TTL_MS_MAX {
        return Err(Rejection::invalid(
            "expires",
            "must lie within the next 90 days",
        ));
    }
    Ok(vec![
        EnrolmentTokenCreated {
            token: create.token,
            secret_sha256: create.secret_sha256.clone(),
            runtime_type: create.runtime_type,
            deployment_mode: create.deployment_mode,
            uses: create.uses,
            expires: create.expires,
        }
        .into(),
    ])
}

pub(super) fn revoke_token(state: &State, token: TokenId) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let record = state.token(token).ok_or(Rejection::NotFound)?;
    if record.revoked {
        return Ok(Vec::new());
    }
    Ok(vec![EnrolmentTokenRevoked { token }.into()])
}

pub(super) fn enroll(
    state: &State,
    enroll: &Enroll,
    now: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let admission = admit(state, enroll.token, &enroll.secret_sha256, &enroll.cnf, now);
    let (runtime_type, deployment_mode) = match admission {
        Admission::New {
            runtime_type,
            deployment_mode,
        } => (runtime_type, deployment_mode),
        // Two requests of one key met: the first one's certificate is the answer to both.
        Admission::Again(_) => return Ok(Vec::new()),
        Admission::Refused(rejection) => return Err(rejection),
    };
    if state.runtime(enroll.runtime).is_some() {
        return Err(Rejection::Exists("the runtime"));
    }
    valid::sha256_hex("cnf", &enroll.cnf)?;
    Ok(vec![
        RuntimeEnrolled {
            runtime: enroll.runtime,
            token: enroll.token,
            runtime_type,
            deployment_mode,
            cnf: enroll.cnf.clone(),
            binding_key: enroll.binding_key.clone(),
            certificate: enroll.certificate.clone(),
            serial: enroll.serial.clone(),
            not_after: enroll.not_after,
        }
        .into(),
    ])
}

pub(super) fn report_misuse(
    state: &State,
    token: TokenId,
    cnf: &str,
    address: &str,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    let record = state.token(token).ok_or(Rejection::TokenUnknown)?;
    valid::sha256_hex("cnf", cnf)?;
    valid::optional_text("address", address, NAME_BYTES_MAX)?;
    // A flood of strange keys is one alarm told a few times, not a full disk.
    if record.misused >= MISUSES_RECORDED_MAX || state.enrolment(token, cnf).is_some() {
        return Ok(Vec::new());
    }
    let (cnf, address) = (cnf.to_owned(), address.to_owned());
    Ok(vec![
        EnrolmentTokenMisused {
            token,
            cnf,
            address,
        }
        .into(),
    ])
}

/// Misuses of one token that are recorded: enough to see a pattern of addresses.
const MISUSES_RECORDED_MAX: u64 = 100;
