//! Who is behind an external token, in the tenant acted for or in an individual's own.
//!
//! An individual's tenant is made in steps, each idempotent: admitted in the operator's log,
//! created, the runtime attached, the person resolved. If the process dies between two of them,
//! the next resolve goes on from there.

use provost_kernel::{
    Command, EntityKey, Rejection,
    check::barred,
    command::{Attach, CreateIndividual, Resolve},
    license::effective,
};
use provost_protocol::{
    Code, CorrelationId, IdentityId, Problem, TenantId,
    event::{ProviderSettings, Subject},
    verdict::Reason,
    wire::{Outcome, Resolved, ResolvedEntitlement},
};

use super::{Gateway, Known, Peer};
use crate::{Meta, TenantError, TenantHandle, TokenRefused, Vouched};

impl Gateway {
    pub(super) async fn resolve(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        known: &Known,
        acted: &TenantHandle,
        token: String,
    ) -> Result<Outcome, Problem> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Problem::new(
                Code::Invalid,
                "external_token: at most 16 KiB",
            ));
        }
        let now = self.directory.house().clock.now();
        let view = acted.view();
        let facts = view
            .check_facts(&known.caller)
            .map_err(|rejection| TenantError::from(rejection).problem())?;
        if let Some(code) = barred(&facts, now).and_then(suspension) {
            return Err(Problem::new(code, "suspended"));
        }
        let providers: Vec<(_, ProviderSettings)> = view
            .providers()
            .map(|provider| (provider.id, provider.settings.clone()))
            .collect();
        drop(view);
        let vouched = self
            .verifier
            .verify(providers, token, now)
            .await
            .map_err(|refused| match refused {
                TokenRefused::Refused(why) => Problem::new(Code::ExternalTokenRefused, why),
                TokenRefused::Unavailable(why) => {
                    Problem::new(Code::ProviderUnavailable, why).retry_after_ms(RETRY_MS)
                }
            })?;
        let meta = peer.meta(correlation_id);
        let home = if vouched.individuals {
            // People are admitted by the runtime's own tenant; that alone may attach it to theirs.
            if acted.id() != known.caller.tenant {
                return Err(TenantError::from(Rejection::NotAttached).problem());
            }
            self.individual(known, acted, &vouched, &meta)
                .await
                .map_err(|error| error.problem())?
        } else {
            acted.clone()
        };
        self.resolved(known, &home, vouched, meta)
            .await
            .map_err(|error| error.problem())
    }

    /// The individual's own tenant, made on first sight.
    async fn individual(
        &self,
        known: &Known,
        operator: &TenantHandle,
        vouched: &Vouched,
        meta: &Meta,
    ) -> Result<TenantHandle, TenantError> {
        let id = self.admitted(operator, vouched, meta).await?;
        let state = operator.view();
        let record = state.tenant().ok_or(TenantError::NotFound)?;
        let create = Command::CreateIndividual(CreateIndividual {
            operator: operator.id(),
            subject: vouched.subject.clone(),
            name: name_of(&vouched.subject),
            policies: record.policies.clone(),
            time_zone: record.time_zone.clone(),
        });
        let (home, _) = self.directory.create(id, create, meta.clone()).await?;
        let attach = Command::Attach(Attach {
            runtime: known.caller.runtime,
            operator: operator.id(),
            deployment_mode: known.record().deployment_mode,
            status: known.record().status,
            cnf: known.record().cnf.clone(),
        });
        home.execute(attach, meta.clone()).await?;
        Ok(home)
    }

    async fn admitted(
        &self,
        operator: &TenantHandle,
        vouched: &Vouched,
        meta: &Meta,
    ) -> Result<TenantId, TenantError> {
        let house = self.directory.house();
        let state = operator
            .look(vec![EntityKey::individual(&vouched.subject)])
            .await?;
        if let Some(known) = state.individual(&vouched.subject) {
            return Ok(known.tenant);
        }
        if !self.admissions.admits(operator.id(), house.clock.now()) {
            return Err(TenantError::Overloaded);
        }
        let admit = Command::AdmitIndividual {
            tenant: TenantId::from_parts(house.clock.now(), house.random.id_bytes()),
            subject: vouched.subject.clone(),
            provider: vouched.provider,
        };
        let executed = operator.execute(admit, meta.clone()).await?;
        let admitted = executed.state.individual(&vouched.subject);
        admitted
            .map(|record| record.tenant)
            .ok_or(TenantError::Gone)
    }

    async fn resolved(
        &self,
        known: &Known,
        home: &TenantHandle,
        vouched: Vouched,
        meta: Meta,
    ) -> Result<Outcome, TenantError> {
        let house = self.directory.house();
        let now = house.clock.now();
        let resolve = Command::Resolve(Box::new(Resolve {
            caller: known.caller,
            subject: vouched.subject.clone(),
            provider: vouched.kind,
            roles: vouched.roles.clone(),
            attributes: vouched.attributes.clone(),
            token_expires: vouched.expires,
            identity: IdentityId::from_parts(now, house.random.id_bytes()),
        }));
        let executed = home.execute(resolve, meta).await?;
        let state = executed.state;
        let identity = state
            .identity_of(&vouched.subject)
            .ok_or(TenantError::Gone)?;
        let runtime = known.caller.runtime;
        let entitlements = effective(&state, runtime, now)
            .into_iter()
            .filter(|planned| planned.valid_until > now)
            .map(|planned| ResolvedEntitlement {
                runtime,
                feature: planned.feature,
                limit: planned.limit,
                time_window: planned.time_window,
                mode: planned.mode,
                valid_until: planned.valid_until,
            })
            .collect();
        Ok(Outcome::Resolved(Box::new(Resolved {
            identity,
            tenant: home.id(),
            external_id: vouched.subject.subject,
            provider: vouched.kind,
            roles: vouched.roles,
            attributes: vouched.attributes,
            entitlements,
            token_expires: vouched.expires,
        })))
    }
}

/// What refuses a resolve before anybody is asked about its token; the log refuses it again.
const fn suspension(reason: Reason) -> Option<Code> {
    match reason {
        Reason::TenantSuspended => Some(Code::TenantSuspended),
        Reason::RuntimeSuspended => Some(Code::RuntimeSuspended),
        Reason::RuntimeRevoked => Some(Code::RuntimeRevoked),
        _ => None,
    }
}

/// A name for people that says nothing private: the provider's subject, cut short.
fn name_of(subject: &Subject) -> String {
    let short: String = subject.subject.chars().take(NAME_CHARS).collect();
    format!("individual {short}")
}

/// Providers' tokens with many groups reach 8 KiB (contract.md, section 2).
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A provider that does not answer is asked again at the earliest after this.
const RETRY_MS: u64 = 5_000;

/// Enough to tell two people apart in a list.
const NAME_CHARS: usize = 40;
