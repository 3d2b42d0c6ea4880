//! One tenant's log in memory: decides, numbers and applies, as an actor would.

use proptest::test_runner::Config;
use provost_kernel::{
    At, Caller, Command, Rejection, State, apply,
    command::{CreateTenant, CreateToken, Enroll},
    decide,
};
use provost_protocol::{
    RuntimeId, TenantId, Timestamp, TokenId,
    entity::{DeploymentMode, Policies, RuntimeStatus, RuntimeType, TenantStatus, TenantType},
    event::Event,
};

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    pub(crate) log: Vec<(At, Event)>,
}

impl World {
    pub(crate) fn empty(now: Timestamp) -> Self {
        Self {
            state: State::new(tenant_id(1), 1),
            now,
            log: Vec::new(),
        }
    }

    pub(crate) fn company(now: Timestamp, time_zone: &str) -> Self {
        let mut world = Self::empty(now);
        let create = CreateTenant {
            tenant_type: TenantType::Company,
            name: "Acme".to_owned(),
            policies: Policies::default(),
            operator: Some(tenant_id(9)),
            time_zone: time_zone.to_owned(),
            region: None,
        };
        world.run(&Command::CreateTenant(create)).unwrap();
        world
    }

    pub(crate) fn run(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let events = decide(&self.state, command, self.now)?;
        for event in &events {
            let seq = u64::try_from(self.log.len()).unwrap() + 1;
            let epoch = self.state.epoch();
            let at = At {
                tenant: self.state.tenant_id(),
                epoch,
                seq,
                time: self.now,
            };
            apply(&mut self.state, at, event);
            self.log.push((at, event.clone()));
        }
        Ok(events)
    }

    pub(crate) fn create_token(&mut self, n: u8, uses: u32) -> Result<Vec<Event>, Rejection> {
        self.run(&Command::CreateToken(CreateToken {
            token: token_id(n),
            secret_sha256: hash(n),
            runtime_type: RuntimeType::App,
            deployment_mode: DeploymentMode::OnPrem,
            uses,
            expires: self.now.plus_millis(24 * 3_600_000),
        }))
    }

    pub(crate) fn enroll(&mut self, token: u8, runtime: u8) -> Result<Vec<Event>, Rejection> {
        self.run(&Command::Enroll(Box::new(Enroll {
            runtime: runtime_id(runtime),
            token: token_id(token),
            secret_sha256: hash(token),
            cnf: hash(runtime),
            binding_key: "key".to_owned(),
            certificate: "certificate".to_owned(),
            serial: format!("{runtime:02x}"),
            not_after: self.now.plus_millis(86_400_000),
        })))
    }
}

pub(crate) fn own(runtime: u8) -> Caller {
    Caller {
        runtime: runtime_id(runtime),
        tenant: tenant_id(1),
        tenant_status: TenantStatus::Active,
        status: RuntimeStatus::Active,
        killed: false,
    }
}

pub(crate) fn tenant_id(n: u8) -> TenantId {
    TenantId::from_parts(Timestamp::from_millis(1), [n; 10])
}

pub(crate) fn runtime_id(n: u8) -> RuntimeId {
    RuntimeId::from_parts(Timestamp::from_millis(1), [n; 10])
}

pub(crate) fn token_id(n: u8) -> TokenId {
    TokenId::from_parts(Timestamp::from_millis(1), [n; 10])
}

pub(crate) fn hash(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Moderate on purpose: the whole binary runs in well under a minute unoptimised.
pub(crate) fn config(cases: u32) -> Config {
    Config {
        cases,
        max_shrink_iters: 2_000,
        ..Config::default()
    }
}
