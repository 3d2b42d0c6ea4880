//! Renewal: a runtime with a certificate in force is given another, for a new TLS key.
//!
//! Order: judge → sign → journal the event that contains the certificate → answer. If the process
//! dies before the event is durable, the certificate is known to nobody; if it dies after, the same
//! key asks again and hears the same answer.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use provost_kernel::{
    Command, State,
    command::Renew,
    renewal::{Keys, Renewal, perhaps_revoked, renew, renewal_needs, revocations},
};
use provost_protocol::{
    Code, CorrelationId, Problem, RuntimeId, Timestamp,
    sign::IssueError,
    wire::{Outcome, Renewed},
};

use super::{Gateway, Known, Peer};
use crate::{TenantError, TenantHandle, hex};

/// How often each runtime asked of late.
#[derive(Debug, Default)]
pub(super) struct Renewals(Mutex<HashMap<RuntimeId, Asked>>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    since: Timestamp,
    times: u32,
}

impl Gateway {
    /// Gives the runtime another certificate. Open to suspended ones, and to their tenants'.
    pub(super) async fn renew(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        known: &Known,
        csr: Vec<u8>,
    ) -> Result<Outcome, Problem> {
        let house = self.directory.house();
        let runtime = peer.identity.runtime;
        self.renewals
            .admit(runtime, house.clock.now())
            .map_err(|wait_ms| {
                Problem::new(Code::RateLimited, "six renewals an hour").retry_after_ms(wait_ms)
            })?;
        let requested = house.issuer.requested_key(&csr).map_err(refusal)?;
        let (requested, shown) = (
            hex::encode(&requested),
            hex::encode(&peer.identity.key_sha256),
        );
        let keys = Keys {
            requested: &requested,
            shown: Some(&shown),
        };
        // A second round only where the same key came twice at once: then the first one's answer.
        for _ in 0..ROUNDS {
            let (state, perhaps_revoked) = certificates(&known.tenant, runtime, house.clock.now())
                .await
                .map_err(|error| error.problem())?;
            match renew(&state, runtime, keys, house.clock.now()) {
                Renewal::Again(last) => {
                    return Ok(Outcome::Renewed(Renewed {
                        certificate: last.certificate,
                        not_after: last.not_after,
                    }));
                }
                Renewal::Refused(rejection) => return Err(TenantError::from(rejection).problem()),
                Renewal::New { ttl_ms } => {
                    let whom = (known.tenant.id(), runtime);
                    let issued = house.issuer.issue(&csr, whom, house.clock.now(), ttl_ms);
                    let command = Renew {
                        runtime,
                        key_sha256: requested.clone(),
                        asked_with: shown.clone(),
                        issued: issued.map_err(refusal)?,
                        perhaps_revoked,
                    };
                    let command = Command::Renew(Box::new(command));
                    match known
                        .tenant
                        .execute(command, peer.meta(correlation_id))
                        .await
                    {
                        Ok(_) | Err(TenantError::Rejected(_)) => {}
                        Err(error) => return Err(error.problem()),
                    }
                }
            }
        }
        Err(TenantError::Overloaded.problem())
    }
}

/// A runtime's certificates as its tenant's log knows them, with what says which of them were revoked
/// where that decides: see [`perhaps_revoked`].
///
/// # Errors
/// [`TenantError`].
pub async fn certificates(
    tenant: &TenantHandle,
    runtime: RuntimeId,
    now: Timestamp,
) -> Result<(State, Vec<String>), TenantError> {
    let needs = renewal_needs(runtime);
    let state = tenant.look(needs.clone()).await?;
    let doubted = perhaps_revoked(&state, runtime, now);
    if doubted.is_empty() {
        return Ok((state, doubted));
    }
    let needs = needs.into_iter().chain(revocations(&doubted)).collect();
    Ok((tenant.look(needs).await?, doubted))
}

impl Renewals {
    /// Counts one; where there were enough within the hour, says when it is over.
    fn admit(&self, runtime: RuntimeId, now: Timestamp) -> Result<(), u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX {
            all.retain(|_, asked| now.is_within(HOUR_MS, asked.since));
        }
        if all.len() >= REMEMBERED_MAX && !all.contains_key(&runtime) {
            // So many live runtimes renew at once that none is remembered: the log's own bound of
            // certificates in force holds for each all the same.
            return Ok(());
        }
        let asked = all.entry(runtime).or_insert(Asked {
            since: now,
            times: 0,
        });
        if !now.is_within(HOUR_MS, asked.since) {
            *asked = Asked {
                since: now,
                times: 0,
            };
        } else if asked.times >= RENEWALS_AN_HOUR {
            return Err(HOUR_MS - now.millis_since(asked.since));
        }
        asked.times += 1;
        Ok(())
    }
}

fn refusal(error: IssueError) -> Problem {
    match error {
        IssueError::Request(_) => Problem::new(Code::CsrRefused, error.to_string()),
        error => {
            tracing::error!(%error, "a certificate could not be signed");
            Problem::new(Code::Internal, "the certificate could not be signed")
        }
    }
}

/// Judge, sign and record, and read what was recorded; once more where two asked at once.
const ROUNDS: u32 = 3;

/// A certificate is renewed once in half of its life; an answer that is lost again and again is
/// asked for six times an hour by the connector's own rhythm. More is a loop.
const RENEWALS_AN_HOUR: u32 = 6;

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// Runtimes that renew within one hour: ten thousand with certificates of a day are 833.
const REMEMBERED_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_asks_six_times_an_hour_and_another_is_not_kept_from_it() {
        let renewals = Renewals::default();
        let runtime = |n| RuntimeId::from_parts(Timestamp::EPOCH, [n; 10]);
        let at = |ms| Timestamp::EPOCH.plus_millis(ms);
        for minute in 0..6 {
            assert_eq!(renewals.admit(runtime(1), at(minute * 60_000)), Ok(()));
        }
        assert_eq!(renewals.admit(runtime(1), at(HOUR_MS - 1)), Err(1));
        assert_eq!(renewals.admit(runtime(2), at(HOUR_MS - 1)), Ok(()));
        assert_eq!(renewals.admit(runtime(1), at(HOUR_MS)), Ok(()));
    }

    #[test]
    fn a_flood_of_runtimes_takes_no_more_room_than_there_is() {
        let renewals = Renewals::default();
        for n in 0..u64::try_from(REMEMBERED_MAX).unwrap() + 1_000 {
            let mut random = [0; 10];
            random[2..].copy_from_slice(&n.to_be_bytes());
            let runtime = RuntimeId::from_parts(Timestamp::EPOCH, random);
            assert_eq!(renewals.admit(runtime, Timestamp::EPOCH), Ok(()));
        }
        assert_eq!(renewals.0.lock().unwrap().len(), REMEMBERED_MAX);
    }
}
