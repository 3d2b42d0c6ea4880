//! Whether a binding key may enroll with a token, asked before anything is signed.

use provost_protocol::{
    Timestamp, TokenId,
    entity::{DeploymentMode, RuntimeType},
};

use crate::{
    EntityKey, Rejection, State,
    limits::{ENROLMENT_REPEAT_MS, RUNTIMES_MAX},
    state::EnrolmentRecord,
};

/// Whether a binding key may enroll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may: mint a runtime, sign, then decide [`crate::Command::Enroll`].
    New {
        /// What the runtime will be.
        runtime_type: RuntimeType,
        /// How it will be deployed.
        deployment_mode: DeploymentMode,
    },
    /// It did, a moment ago: repeat this answer.
    Again(EnrolmentRecord),
    /// It may not. [`Rejection::TokenUsed`] is to be reported as misuse.
    Refused(Rejection),
}

/// Which entities [`admit`] needs loaded.
#[must_use]
pub fn admission_needs(token: TokenId, cnf: &str) -> Vec<EntityKey> {
    vec![
        EntityKey::Token(token),
        EntityKey::Enrolment(token, cnf.to_owned()),
    ]
}

/// Judges a token and a binding key.
///
/// The stored answer is repeated for the same key until its first use + 15 minutes, also when the
/// token is used up or has ended by then. The secret is compared by its hash.
#[must_use]
pub fn admit(
    state: &State,
    token: TokenId,
    secret_sha256: &str,
    cnf: &str,
    now: Timestamp,
) -> Admission {
    match judge(state, token, secret_sha256, cnf, now) {
        Ok(admission) => admission,
        Err(rejection) => Admission::Refused(rejection),
    }
}

fn judge(
    state: &State,
    token: TokenId,
    secret_sha256: &str,
    cnf: &str,
    now: Timestamp,
) -> Result<Admission, Rejection> {
    let tenant = state.tenant().ok_or(Rejection::TokenUnknown)?;
    let record = state.token(token).ok_or(Rejection::TokenUnknown)?;
    if record.secret_sha256 != secret_sha256 {
        return Err(Rejection::TokenUnknown);
    }
    if record.revoked {
        return Err(Rejection::TokenExpired);
    }
    if !state.is_active() {
        return Err(Rejection::TenantSuspended);
    }
    if let Some(enrolment) = state.enrolment(token, cnf) {
        let repeated = now.millis_since(enrolment.first_use) < ENROLMENT_REPEAT_MS;
        return if repeated {
            Ok(Admission::Again(enrolment.clone()))
        } else {
            Err(Rejection::TokenExpired)
        };
    }
    if record.used >= record.uses {
        return Err(Rejection::TokenUsed);
    }
    if now >= record.expires {
        return Err(Rejection::TokenExpired);
    }
    if tenant.runtimes >= RUNTIMES_MAX {
        return Err(Rejection::TooMany {
            what: "runtimes",
            max: RUNTIMES_MAX,
        });
    }
    Ok(Admission::New {
        runtime_type: record.runtime_type,
        deployment_mode: record.deployment_mode,
    })
}
