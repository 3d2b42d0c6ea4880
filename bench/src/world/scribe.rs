//! One tenant's log, written by the kernel's own rules.

use provost_actors::{Random as _, SystemRandom};
use provost_certs::{Authority, CheckedCsr, RUNTIME_TTL_MS};
use provost_kernel::{
    At, Command, State, apply,
    command::{CreateTenant, CreateToken, Enroll, Grant, Register},
    decide,
};
use provost_protocol::{
    ContractVersion, CorrelationId, RuntimeId, TenantId, Timestamp, TokenId,
    entity::{DeploymentMode, Feature, Limit, Mode, Policies, RuntimeType, TenantType, TimeWindow},
    envelope::{ActorRef, Envelope, Source},
};
use provost_store::Stamped;
use sha2::{Digest as _, Sha256};

use super::{ENTITLEMENTS, Member, feature_text, fresh_tenant};
use crate::now;

/// Whoever writes it.
#[derive(Debug)]
pub(super) struct Scribe {
    state: State,
    events: Vec<Stamped>,
    now: Timestamp,
    correlation: CorrelationId,
}

impl Scribe {
    /// Begins with the tenant's creation.
    pub(super) fn begin(number: usize) -> anyhow::Result<Self> {
        let now = now();
        let mut scribe = Self {
            state: State::new(fresh_tenant(now), EPOCH),
            events: Vec::new(),
            now,
            correlation: CorrelationId::from_parts(now, SystemRandom.id_bytes()),
        };
        scribe.carry_out(&Command::CreateTenant(CreateTenant {
            tenant_type: TenantType::Company,
            name: format!("tenant {number}"),
            policies: Policies::default(),
            operator: None,
            time_zone: "UTC".to_owned(),
            region: None,
        }))?;
        Ok(scribe)
    }

    /// Grants what is granted in every tenant.
    pub(super) fn grant(&mut self) -> anyhow::Result<()> {
        for number in 0..ENTITLEMENTS {
            let (limit, time_window) = limit(number);
            self.carry_out(&Command::Grant(Grant {
                feature: Feature::parse(&feature_text(number))?,
                runtime: None,
                limit,
                time_window,
                mode: Mode::Enforce,
                valid_until: Timestamp::MAX,
            }))?;
        }
        Ok(())
    }

    /// Enrolls and registers so many runtimes. None is active yet: who never comes is not missed.
    pub(super) fn enroll(
        &mut self,
        authority: &Authority,
        csr: &CheckedCsr,
        count: usize,
    ) -> anyhow::Result<Vec<Member>> {
        let tenant = self.state.tenant_id();
        let token = TokenId::from_parts(self.now, SystemRandom.id_bytes());
        let secret_sha256 = hex::encode(SystemRandom.secret());
        self.carry_out(&Command::CreateToken(CreateToken {
            token,
            secret_sha256: secret_sha256.clone(),
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::Dedicated,
            uses: u32::try_from(count.max(1))?,
            expires: self.now.plus_millis(RUNTIME_TTL_MS),
        }))?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let runtime = RuntimeId::from_parts(self.now, SystemRandom.id_bytes());
            let issued =
                authority.issue_runtime(csr, (tenant, runtime), self.now, RUNTIME_TTL_MS)?;
            let bearer = hex::encode(SystemRandom.secret());
            self.carry_out(&Command::Enroll(Box::new(Enroll {
                runtime,
                token,
                secret_sha256: secret_sha256.clone(),
                cnf: hex::encode(SystemRandom.secret()),
                binding_key: BINDING_KEY.to_owned(),
                certificate: issued.pem.clone(),
                serial: issued.serial,
                not_after: issued.not_after,
            })))?;
            self.register(runtime, &bearer)?;
            members.push(Member {
                tenant,
                runtime,
                token: bearer,
                certificate: issued.pem,
            });
        }
        Ok(members)
    }

    /// The log.
    pub(super) fn finish(self) -> (TenantId, Vec<Stamped>) {
        (self.state.tenant_id(), self.events)
    }

    /// The state that the log leads to.
    pub(super) fn state(self) -> State {
        self.state
    }

    fn register(&mut self, runtime: RuntimeId, bearer: &str) -> anyhow::Result<()> {
        self.carry_out(&Command::Register(Register {
            runtime,
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::Dedicated,
            version: SOFTWARE.to_owned(),
            capabilities: Vec::new(),
            contract_version: ContractVersion::V0_2,
            token_sha256: Some(hex::encode(Sha256::digest(bearer.as_bytes()))),
        }))
    }

    fn carry_out(&mut self, command: &Command) -> anyhow::Result<()> {
        let tenant = self.state.tenant_id();
        for event in decide(&self.state, command, self.now)? {
            let seq = u64::try_from(self.events.len())? + 1;
            let at = At {
                tenant,
                epoch: EPOCH,
                seq,
                time: self.now,
            };
            apply(&mut self.state, at, &event);
            self.events.push(Stamped::new(Envelope {
                tenant,
                epoch: EPOCH,
                seq,
                time: self.now,
                actor: ActorRef::system(),
                source: Source::Admin,
                correlation_id: self.correlation,
                idempotency: None,
                event,
            })?);
        }
        Ok(())
    }
}

/// Whether a question of that number is allowed.
pub(super) fn is_allowed(number: usize) -> bool {
    number < ENTITLEMENTS && limit(number).0 != Limit::Flag(false)
}

/// A quarter each: yes, without bound, a quota, no.
fn limit(number: usize) -> (Limit, Option<TimeWindow>) {
    match number % 4 {
        0 => (Limit::Flag(true), None),
        1 => (Limit::Unlimited, None),
        2 => (Limit::Quota(QUOTA), Some(TimeWindow::Month)),
        _ => (Limit::Flag(false), None),
    }
}

/// The version of the software that all of them say they are; Hello says it again.
pub(crate) const SOFTWARE: &str = "1.0.0";

/// The first: it rises with every restore.
const EPOCH: u64 = 1;

/// Nothing is taken from it.
const QUOTA: u64 = 1_000_000;

/// A key nobody holds: only its hash and its length matter here.
const BINDING_KEY: &str = "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
