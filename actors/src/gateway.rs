//! The five calls, whichever way they came: HTTPS and frames end here, in the same handlers.
//!
//! Who calls stands in the certificate, and is asked anew on every call: valid now, not revoked,
//! runtime and tenant in force. For which tenant it calls is judged by *that* tenant's own state.

mod admissions;
mod at_once;
mod audit;
mod check;
mod checkpoint;
mod heartbeat;
mod peer;
mod refused;
mod renew;
mod resolve;
mod throttle;

use std::sync::Arc;

use provost_kernel::{
    Command, EntityKey, State,
    command::Register,
    desired::{Surroundings, desired_state},
    license::{LicensePolicy, Licensee},
    liveness::Rhythm,
};
use provost_protocol::{
    Code, CorrelationId, Problem, TenantId,
    entity::{DeploymentMode, RuntimeStatus, SecurityLevel},
    event::Confirmation,
    sign::{PeerIdentity, StandingError},
    wire::{Confirm, DesiredState, Operation, Outcome, Trusts, WirePolicies},
};

use self::throttle::Throttle;
pub use self::{
    peer::{Facts, Kept, Known, Peer, Registered},
    refused::is_final_refusal,
    renew::certificates,
};
use crate::{Budgets, Directory, Rates, TenantError, TenantHandle, TokenVerifier};

/// The five calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    directory: Directory,
    verifier: Arc<dyn TokenVerifier>,
    throttle: Arc<Throttle>,
    admissions: Arc<admissions::Admissions>,
    budgets: Budgets,
    renewals: Arc<renew::Renewals>,
}

impl Gateway {
    /// Builds the calls over a directory.
    #[must_use]
    pub fn new(directory: Directory, verifier: Arc<dyn TokenVerifier>) -> Self {
        let random = Arc::clone(&directory.house().random);
        Self {
            budgets: Budgets::new(Rates::default(), random),
            directory,
            verifier,
            throttle: Arc::default(),
            admissions: Arc::default(),
            renewals: Arc::default(),
        }
    }

    /// The same with other budgets; to be called before the first connection.
    #[must_use]
    pub fn with_rates(mut self, rates: Rates) -> Self {
        let random = Arc::clone(&self.directory.house().random);
        self.budgets = Budgets::new(rates, random);
        self
    }

    /// What connections and tenants may ask for: taken by whoever holds the connection, before it
    /// calls.
    #[must_use]
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Where tenants are found.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Judges the certificate as of now and finds its runtime.
    ///
    /// # Errors
    /// 401 where the certificate or the runtime is no longer good.
    pub async fn known(&self, peer: &PeerIdentity) -> Result<Known, Problem> {
        let house = self.directory.house();
        let standing = house.standing.check(peer, house.clock.now());
        if let Err(error) = standing {
            return Err(self.refused(peer, error).await);
        }
        let tenant = self
            .directory
            .tenant_of(peer.tenant, peer.runtime)
            .await
            .map_err(gone)?;
        let runtime = self
            .directory
            .runtime(&tenant, peer.runtime)
            .await
            .map_err(gone)?;
        let mut state = tenant.view();
        if state.runtime(peer.runtime).is_none() {
            // Its actor is about to hold the record: once, right after it was born.
            let key = EntityKey::Runtime(peer.runtime);
            state = Arc::new(tenant.look(vec![key]).await.map_err(gone)?);
        }
        let known = Known::seen((tenant, runtime), state, peer)
            .ok_or_else(|| gone(TenantError::NotFound))?;
        if known.caller.status == RuntimeStatus::Revoked {
            return Err(revoked());
        }
        Ok(known)
    }

    /// Why a certificate is not good: of a runtime that is revoked, that it is, for ever; else that
    /// this certificate is not, and another of the runtime may be.
    async fn refused(&self, peer: &PeerIdentity, error: StandingError) -> Problem {
        if error == StandingError::Revoked
            && let Ok(tenant) = self.directory.tenant(peer.tenant).await
            && let Ok(state) = tenant.look(vec![EntityKey::Runtime(peer.runtime)]).await
            && state
                .runtime(peer.runtime)
                .is_some_and(|record| record.status == RuntimeStatus::Revoked)
        {
            return revoked();
        }
        Problem::new(Code::CertificateRefused, error.to_string())
    }

    /// Finds the tenant acted for: the caller's own, or for a shared runtime one it is attached to.
    ///
    /// # Errors
    /// 401 `identity_mismatch` for every other tenant, whether it exists or not.
    pub async fn acted_for(
        &self,
        known: &Known,
        tenant: TenantId,
    ) -> Result<TenantHandle, Problem> {
        if tenant == known.caller.tenant {
            return Ok(known.tenant.clone());
        }
        let mismatch = || {
            Problem::new(
                Code::IdentityMismatch,
                "the runtime may not act for this tenant",
            )
        };
        if known.record().deployment_mode != DeploymentMode::Shared {
            return Err(mismatch());
        }
        let handle = self
            .directory
            .attached(tenant, known.caller.runtime)
            .await
            .map_err(|error| match error {
                TenantError::NotFound => mismatch(),
                other => other.problem(),
            })?;
        handle
            .view()
            .check_facts(&known.caller)
            .map_err(|_| mismatch())?;
        Ok(handle)
    }

    /// Registers a runtime with what it says of itself.
    ///
    /// # Errors
    /// 403 while suspended; 422 where it says to be what it did not enroll as.
    pub async fn register(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        facts: Facts,
    ) -> Result<Registered, Problem> {
        let known = self.known(&peer.identity).await?;
        let replaced = facts.token_sha256.clone();
        let command = Command::Register(Register {
            runtime: peer.identity.runtime,
            runtime_type: facts.runtime_type,
            deployment_mode: facts.deployment_mode,
            version: facts.version,
            capabilities: facts.capabilities,
            contract_version: peer.version,
            token_sha256: facts.token_sha256,
        });
        let meta = peer.meta(correlation_id);
        let was_known = known.record().version.is_some();
        known
            .tenant
            .execute(command, meta)
            .await
            .map_err(|error| error.problem())?;
        if let Some(token_sha256) = replaced {
            known.runtime.token_replaced(peer, token_sha256);
        }
        Ok(Registered {
            known: was_known,
            status: known.record().status,
            policies: self.policies(&known),
        })
    }

    /// Answers one operation for a tenant.
    ///
    /// # Errors
    /// The refusal, with its stable code.
    pub async fn call(
        &self,
        peer: &Peer,
        tenant: TenantId,
        correlation_id: CorrelationId,
        operation: Operation,
    ) -> Result<Outcome, Problem> {
        let known = self.known(&peer.identity).await?;
        let acted = self.acted_for(&known, tenant).await?;
        match operation {
            Operation::Heartbeat(beat) => self.heartbeat(peer, &known, &acted, beat).await,
            Operation::Check(check) => {
                let verdict = self
                    .check(peer, correlation_id, &known, &acted, check)
                    .await?;
                Ok(Outcome::Checked(verdict))
            }
            // From here on in a place of their own: the two above are asked all the time, and do
            // not carry the room of those that are not.
            Operation::Resolve(resolve) => {
                let token = resolve.external_token;
                Box::pin(self.resolve(peer, correlation_id, &known, &acted, token)).await
            }
            Operation::Audit(events) => Box::pin(self.record_audit(peer, &known, &acted, events))
                .await
                .map(Outcome::Recorded),
            Operation::PullLicense => {
                let licensee = Licensee {
                    caller: known.caller,
                    runtime_type: known.record().runtime_type,
                    deployment_mode: known.record().deployment_mode,
                    cnf: known.record().cnf.clone(),
                };
                let meta = peer.meta(correlation_id);
                let text = Box::pin(acted.issue_license(licensee, meta)).await;
                text.map(Outcome::License).map_err(|error| error.problem())
            }
            Operation::TrustBundle => {
                let bundle = self.directory.house().trust_bundle.now();
                Ok(Outcome::TrustBundle((*bundle).clone()))
            }
            Operation::Checkpoint { held } => {
                let asking = checkpoint::Asking {
                    peer,
                    correlation_id,
                    known: &known,
                };
                let answer = Box::pin(self.checkpoint(&asking, &acted, held)).await?;
                Ok(Outcome::Checkpoint(answer))
            }
            Operation::Renew { csr } => {
                // Of the runtime itself, whichever tenant it acts for.
                Box::pin(self.renew(peer, correlation_id, &known, csr)).await
            }
        }
    }

    /// The desired state of the caller for a tenant it acts for, as of now.
    ///
    /// What it says of the runtime and its revision are of one look at one state: whoever holds a
    /// revision holds all that it says. How the caller was seen earlier does not count.
    ///
    /// # Errors
    /// As [`acted_for`](Self::acted_for); 503 where the tenant is just being rebuilt.
    pub fn desired(&self, known: &Known, acted: &TenantHandle) -> Result<DesiredState, Problem> {
        let view = acted.view();
        let is_own = acted.id() == known.caller.tenant;
        let own = if is_own {
            Arc::clone(&view)
        } else {
            known.tenant.view()
        };
        let caller = own.tenant().and_then(|_| known.caller_in(&own));
        let caller = caller.ok_or_else(|| TenantError::Gone.problem())?;
        let surroundings = Surroundings {
            trust_bundle: self.directory.house().trust_bundle.id(),
            heartbeat_interval_ms: self.rhythm(level_of(&own)).interval_ms,
        };
        desired_state(&view, &caller, &surroundings)
            .map_err(|rejection| TenantError::from(rejection).problem())
    }

    /// Notes that the caller acted on a revision.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn confirm(&self, peer: &Peer, confirmation: Confirm) -> Result<(), Problem> {
        let known = self.known(&peer.identity).await?;
        let acted = self.acted_for(&known, confirmation.tenant).await?;
        let revision = confirmation.revision;
        acted.confirm(Confirmation {
            runtime: peer.identity.runtime,
            revision,
        });
        Ok(())
    }

    /// Notes that the caller trusts a bundle of roots, where that is asked for.
    ///
    /// # Errors
    /// As [`known`](Self::known).
    pub async fn trusts(&self, peer: &Peer, trusts: Trusts) -> Result<(), Problem> {
        let known = self.known(&peer.identity).await?;
        if self.directory.house().trust_bundle.asks_for(&trusts.bundle) {
            known
                .tenant
                .note_trust(peer.identity.runtime, trusts.bundle);
        }
        Ok(())
    }

    pub(crate) fn policies(&self, known: &Known) -> WirePolicies {
        let policies = known
            .tenant
            .view()
            .tenant()
            .map(|tenant| tenant.policies.clone());
        let policies = policies.unwrap_or_default();
        let license = LicensePolicy::of(policies.security_level);
        let rhythm = self.rhythm(level_of(&known.tenant.view()));
        WirePolicies {
            security_level: policies.security_level,
            data_residency: policies.data_residency,
            heartbeat_interval_ms: rhythm.interval_ms,
            grace_ms: rhythm.grace_ms,
            license_ttl_ms: license.ttl_ms,
            offline_max_ms: license.offline_max_ms(),
        }
    }

    /// Notes that a call came with a token that is not the runtime's newest one: a copy of it may
    /// have registered since.
    pub fn token_stale(&self, known: &Known, peer: &Peer, token_sha256: &str) {
        known.runtime.token_stale(peer, token_sha256.to_owned());
    }

    /// The rhythm of the fleet for a caller of the tenant of this state; each beat's answer spreads
    /// it.
    fn rhythm(&self, level: SecurityLevel) -> Rhythm {
        let fleet = u64::try_from(self.directory.fleet_size()).unwrap_or(u64::MAX);
        Rhythm::for_fleet(fleet, level)
    }
}

/// How strictly a runtime's own tenant is handled.
fn level_of(own: &State) -> SecurityLevel {
    let level = own.tenant().map(|tenant| tenant.policies.security_level);
    level.unwrap_or(SecurityLevel::Standard)
}

/// What a certificate is worth whose runtime cannot be asked for.
fn gone(error: TenantError) -> Problem {
    match error {
        TenantError::NotFound => Problem::new(
            Code::CertificateRefused,
            "the certificate's runtime is not known",
        ),
        other => other.problem(),
    }
}

fn revoked() -> Problem {
    Problem::new(Code::RuntimeRevoked, "the runtime is revoked")
}
