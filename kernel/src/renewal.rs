//! Whether a runtime is given another certificate, asked before anything is signed.
//!
//! Renewal is asked for with a certificate in force; recovery ([`recover`]) with the binding key
//! alone, once the certificate has ended. What the shell must have proven before it asks: the
//! certificate at renewal; the binding key's signature at recovery.

use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{RuntimeStatus, SecurityLevel},
};

use crate::{
    EntityKey, Rejection, State,
    limits::{CERTIFICATES_MAX, ENROLMENT_REPEAT_MS},
    state::{CertificatesRecord, LastAnswer, RuntimeRecord},
};

/// Whether a runtime is given another certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It is: sign one that lasts so long, then decide [`crate::Command::Renew`] or
    /// [`crate::Command::Recover`].
    New {
        /// How long it lasts, in milliseconds.
        ttl_ms: u64,
    },
    /// It was, a moment ago: repeat this answer.
    Again(LastAnswer),
    /// It is not. [`Rejection::CounterUsed`] is to be reported as an alarm.
    Refused(Rejection),
}

/// The key that is to be certified, and the one that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys<'a> {
    /// SHA-256 of the SPKI of the key in the request, hex.
    pub requested: &'a str,
    /// SHA-256 of the SPKI of the certificate that is shown, hex; none at recovery.
    pub shown: Option<&'a str>,
}

/// How long a certificate of a tenant's runtime lasts.
#[must_use]
pub const fn certificate_ttl_ms(level: SecurityLevel) -> u64 {
    match level {
        SecurityLevel::Standard => STANDARD_TTL_MS,
        SecurityLevel::Enterprise => ENTERPRISE_TTL_MS,
    }
}

/// Which entities [`renew`] and [`recover`] need loaded.
#[must_use]
pub fn renewal_needs(runtime: RuntimeId) -> Vec<EntityKey> {
    vec![
        EntityKey::Runtime(runtime),
        EntityKey::Certificates(runtime),
    ]
}

/// Which of its certificates a runtime that has as many as it may is to be asked about: one that was
/// revoked counts no more. Empty for nearly all.
#[must_use]
pub fn perhaps_revoked(state: &State, runtime: RuntimeId, now: Timestamp) -> Vec<String> {
    let Ok((_, record)) = known(state, runtime) else {
        return Vec::new();
    };
    if record.in_force(now).count() < CERTIFICATES_MAX {
        return Vec::new();
    }
    record
        .in_force(now)
        .map(|held| held.serial.clone())
        .collect()
}

/// What says of each of these serial numbers whether it was revoked.
pub fn revocations(serials: &[String]) -> impl Iterator<Item = EntityKey> {
    serials.iter().cloned().map(EntityKey::RevokedCertificate)
}

/// Judges a renewal. Open to suspended runtimes and tenants: who may act again tomorrow must be
/// able to hear so.
#[must_use]
pub fn renew(state: &State, runtime: RuntimeId, keys: Keys<'_>, now: Timestamp) -> Renewal {
    let judged = || {
        let (_, record) = known(state, runtime)?;
        if let Some(last) = repeated(&record, keys.requested, now)
            && last.counter.is_none()
        {
            return Ok(Renewal::Again(last.clone()));
        }
        admitted(state, &record, keys, now)
    };
    judged().unwrap_or_else(Renewal::Refused)
}

/// Judges a recovery whose binding key was proven.
///
/// The counter must be the one after the highest used. The highest used, with the key that was
/// certified then, is a lost answer: repeated for 15 minutes, and later to be asked for under the
/// next counter. With another key it is a copy of the runtime. An operator's word lifts what a
/// kernel set back to an older backup has forgotten: any counter above the highest is taken, and the
/// highest itself, where a renewal came since, is no copy's but to be left for the next.
#[must_use]
pub fn recover(
    state: &State,
    runtime: RuntimeId,
    counter: u64,
    requested: &str,
    now: Timestamp,
) -> Renewal {
    let judged = || {
        let (_, record) = known(state, runtime)?;
        let allowed = record.allowed_until.is_some_and(|until| now < until);
        if counter <= record.counter {
            // Since it was renewed, nobody knows any more with which key the last number went.
            let unknown = record
                .last
                .as_ref()
                .is_some_and(|last| last.counter.is_none());
            if allowed && unknown && counter == record.counter {
                return Err(Rejection::Stale("the recovery"));
            }
            return lost_or_copied(&record, counter, requested, now);
        }
        if counter != record.counter.saturating_add(1) && !allowed {
            return Err(Rejection::CounterAhead);
        }
        if level(state) == SecurityLevel::Enterprise && !allowed {
            return Err(Rejection::RecoveryNeedsOperator);
        }
        let keys = Keys {
            requested,
            shown: None,
        };
        admitted(state, &record, keys, now)
    };
    judged().unwrap_or_else(Renewal::Refused)
}

/// The certificates of a runtime as far as the log knows them.
pub(crate) fn certificates_of(state: &State, runtime: &RuntimeRecord) -> CertificatesRecord {
    match state.certificates(runtime.id) {
        Some(record) => record.clone(),
        None => CertificatesRecord::enrolled(runtime),
    }
}

fn known(
    state: &State,
    runtime: RuntimeId,
) -> Result<(&RuntimeRecord, CertificatesRecord), Rejection> {
    state.tenant().ok_or(Rejection::NotFound)?;
    let runtime = state.runtime(runtime).ok_or(Rejection::NotFound)?;
    if runtime.status == RuntimeStatus::Revoked {
        return Err(Rejection::RuntimeRevoked);
    }
    Ok((runtime, certificates_of(state, runtime)))
}

fn repeated<'a>(
    record: &'a CertificatesRecord,
    requested: &str,
    now: Timestamp,
) -> Option<&'a LastAnswer> {
    let same = |last: &&LastAnswer| {
        last.key_sha256 == requested && now.millis_since(last.at) < ENROLMENT_REPEAT_MS
    };
    record.last.as_ref().filter(same)
}

fn lost_or_copied(
    record: &CertificatesRecord,
    counter: u64,
    requested: &str,
    now: Timestamp,
) -> Result<Renewal, Rejection> {
    let answered = record.last.as_ref().filter(|last| {
        last.counter == Some(counter) && counter == record.counter && last.key_sha256 == requested
    });
    match answered {
        None => Err(Rejection::CounterUsed {
            counter,
            held: record.counter,
        }),
        Some(last) if now.millis_since(last.at) < ENROLMENT_REPEAT_MS => {
            Ok(Renewal::Again(last.clone()))
        }
        Some(_) => Err(Rejection::Stale("the recovery")),
    }
}

fn admitted(
    state: &State,
    record: &CertificatesRecord,
    keys: Keys<'_>,
    now: Timestamp,
) -> Result<Renewal, Rejection> {
    let certified = record
        .in_force(now)
        .any(|held| held.key_sha256.as_deref() == Some(keys.requested));
    if certified || keys.shown == Some(keys.requested) {
        return Err(Rejection::KeyInUse);
    }
    // A thief's certificates that were revoked keep nobody out.
    let counted = || {
        record.in_force(now).filter(|held| {
            let key = EntityKey::RevokedCertificate(held.serial.clone());
            state.get(&key).is_none()
        })
    };
    if counted().count() >= CERTIFICATES_MAX {
        let first = counted().map(|held| held.not_after).min();
        return Err(Rejection::CertificatesFull {
            until: first.unwrap_or(now),
            retry_ms: first.map_or(0, |first| first.millis_since(now)),
        });
    }
    Ok(Renewal::New {
        ttl_ms: certificate_ttl_ms(level(state)),
    })
}

fn level(state: &State) -> SecurityLevel {
    state.tenant().map_or(SecurityLevel::Enterprise, |tenant| {
        tenant.policies.security_level
    })
}

/// A week: a runtime that is switched off over a few days comes back by itself, and one that is
/// renewed at half of it bears three days without its kernel.
const STANDARD_TTL_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// A day, as SPIRE's and step-ca's (contract.md, section 1).
const ENTERPRISE_TTL_MS: u64 = 24 * 60 * 60 * 1_000;

#[cfg(test)]
mod tests;
