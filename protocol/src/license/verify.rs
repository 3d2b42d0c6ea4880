//! Says what a license file is worth.
//!
//! The order is part of the contract: form, then signature, then whose it is, then whether it or
//! the clock was turned back, then revocation, and time last. The first check that fails decides.

use super::{
    Check, Held, LicenseDocument, Refused, RevocationList, Verdict, Verified, VerifyingKey,
    envelope::Envelope, payload,
};
use crate::{Timestamp, sign::verify_signature};

/// Verifies a license file at a time, against the keys trusted and whatever else is held.
///
/// A clock that shows less than `held.time_floor` by no more than [`CLOCK_SKEW_MS`] is forgiven:
/// the later of the two counts.
///
/// # Errors
/// [`Refused`] for a file that no passing of time makes good.
pub fn verify(
    bytes: &[u8],
    keys: &[VerifyingKey],
    now: Timestamp,
    held: &Held,
) -> Result<Verified, Refused> {
    let document = genuine(bytes, keys)?;
    let mut checks_not_made = Vec::new();
    match held.cnf {
        None => checks_not_made.push(Check::Binding),
        Some(cnf) if cnf == document.cnf => {}
        Some(_) => {
            let detail = "it is bound to another runtime's key";
            return Err(Refused::new(Verdict::NotBoundToThisRuntime, detail));
        }
    }
    match held.highest {
        None => checks_not_made.push(Check::Sequence),
        Some(highest) => sequence(&document, highest)?,
    }
    let now = match held.time_floor {
        None => {
            checks_not_made.push(Check::Clock);
            now
        }
        Some(floor) => clock(now, floor)?,
    };
    if !revocation(&document, held.revocations.as_ref(), now)? {
        checks_not_made.push(Check::Revocation);
    }
    let (verdict, until) = document.standing(now);
    Ok(Verified {
        verdict,
        document,
        checks_not_made,
        until,
    })
}

/// Answers the document if one of the keys signed it, in its own name.
fn genuine(bytes: &[u8], keys: &[VerifyingKey]) -> Result<LicenseDocument, Refused> {
    let envelope = Envelope::from_file(bytes)?;
    let (message, signature) = (envelope.message(), envelope.signature()?);
    let payload = envelope.payload()?;
    let signer = keys
        .iter()
        .find(|key| verify_signature(key.public_key(), &message, &signature).is_ok());
    let Some(signer) = signer else {
        // Nobody vouches for these bytes; the name in them only words the refusal.
        let Ok(claimed) = payload::claimed_key(&payload) else {
            let detail = "no key held here signed it, and it names none";
            return Err(Refused::new(Verdict::SignatureInvalid, detail));
        };
        return Err(if keys.iter().any(|key| *key.kid() == claimed) {
            Refused::new(
                Verdict::SignatureInvalid,
                format!("not signed by key {claimed}"),
            )
        } else {
            let claimed: String = claimed.as_str().chars().take(16).collect();
            Refused::new(
                Verdict::KeyUnknown,
                format!("key {claimed:?} is not held here"),
            )
        });
    };
    let document = payload::read(&payload)?;
    if document.kid == *signer.kid() {
        Ok(document)
    } else {
        let detail = format!("signed by key {}, which it does not name", signer.kid());
        Err(Refused::new(Verdict::SignatureInvalid, detail))
    }
}

fn sequence(document: &LicenseDocument, highest: (u64, u64)) -> Result<(), Refused> {
    let found = (document.epoch, document.seq);
    if found >= highest {
        return Ok(());
    }
    let detail = format!(
        "epoch {} sequence {} after epoch {} sequence {}",
        found.0, found.1, highest.0, highest.1
    );
    Err(Refused::new(Verdict::SequenceRollback, detail))
}

/// Answers the time that counts.
fn clock(now: Timestamp, floor: Timestamp) -> Result<Timestamp, Refused> {
    if now < floor.minus_millis(CLOCK_SKEW_MS) {
        let detail = format!("the clock shows {now}, {floor} has passed");
        return Err(Refused::new(Verdict::ClockRollback, detail));
    }
    Ok(now.max(floor))
}

/// Refuses what is revoked; answers whether the list held is as new as the license demands.
fn revocation(
    document: &LicenseDocument,
    list: Option<&RevocationList>,
    now: Timestamp,
) -> Result<bool, Refused> {
    let Some(list) = list else { return Ok(false) };
    // Lists only grow: also an old one is right about what it names.
    if list.licenses.contains(&document.license) || list.runtimes.contains(&document.runtime) {
        let detail = format!("revoked, as of generation {}", list.generation);
        return Err(Refused::new(Verdict::Revoked, detail));
    }
    let terms = &document.revocations;
    let fresh = terms
        .max_age_ms
        .is_none_or(|age| now <= list.issued.plus_millis(age));
    Ok(fresh && list.generation >= terms.min_generation)
}

/// Machines without NTP drift minutes, not more, between two heartbeats; Kerberos allows the same.
pub const CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;
