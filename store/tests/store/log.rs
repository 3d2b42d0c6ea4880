//! One tenant's log as its actor keeps it: decides real events, numbers them, applies them.

use provost_kernel::{At, Caller, Command, Rejection, State, apply, command::CreateTenant, decide};
use provost_protocol::{
    CorrelationId, RuntimeId, TenantId, Timestamp,
    entity::{Policies, RuntimeStatus, TenantStatus, TenantType},
    envelope::{ActorRef, Envelope, Idempotency, Source},
};
use provost_store::{Append, Stamped};

/// The pending end of one tenant's log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) state: State,
    pub(crate) seq: u64,
    pub(crate) now: Timestamp,
}

impl Log {
    /// Begins with nothing.
    pub(crate) fn new(tenant: TenantId) -> Self {
        Self {
            state: State::new(tenant, 1),
            seq: 0,
            now: Timestamp::from_millis(1_795_325_728_000),
        }
    }

    /// Decides, and takes the events in as if they were durable already.
    pub(crate) fn run(&mut self, command: &Command) -> Result<Append, Rejection> {
        let (tenant, expected) = (self.state.tenant_id(), self.seq);
        let mut events = Vec::new();
        for event in decide(&self.state, command, self.now)? {
            self.seq += 1;
            let at = At {
                tenant,
                epoch: 1,
                seq: self.seq,
                time: self.now,
            };
            apply(&mut self.state, at, &event);
            let envelope = Envelope {
                tenant,
                epoch: 1,
                seq: self.seq,
                time: self.now,
                actor: ActorRef::system(),
                source: Source::Kernel,
                correlation_id: CorrelationId::from_parts(self.now, [1; 10]),
                idempotency: Some(idempotency(self.seq)),
                event,
            };
            events.push(Stamped::new(envelope).expect("the events of tests are small"));
        }
        Ok(Append {
            tenant,
            expected,
            events,
        })
    }
}

/// The idempotency key that the event of a sequence carries.
pub(crate) fn idempotency(seq: u64) -> Idempotency {
    Idempotency {
        scope: "admin/test".to_owned(),
        key: format!("key-{seq}"),
        request_sha256: "00".repeat(32),
    }
}

/// Begins a company.
pub(crate) fn create() -> Command {
    Command::CreateTenant(CreateTenant {
        tenant_type: TenantType::Company,
        name: "Acme".to_owned(),
        policies: Policies::default(),
        operator: None,
        time_zone: "Europe/Lisbon".to_owned(),
        region: None,
    })
}

/// A runtime of the tenant itself.
pub(crate) fn caller(tenant: TenantId, runtime: RuntimeId) -> Caller {
    Caller {
        runtime,
        tenant,
        tenant_status: TenantStatus::Active,
        status: RuntimeStatus::Active,
        killed: false,
    }
}

/// A tenant by number.
pub(crate) fn tenant(n: u8) -> TenantId {
    TenantId::from_parts(Timestamp::from_millis(1), [n; 10])
}

/// A runtime by number.
pub(crate) fn runtime(n: u8) -> RuntimeId {
    RuntimeId::from_parts(Timestamp::from_millis(1), [n; 10])
}
