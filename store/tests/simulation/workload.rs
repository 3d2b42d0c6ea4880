//! What the tenants do: real commands, decided by the real kernel, so that the journal holds real
//! envelopes and the fold of them is the state that the kernel has.

use provost_journal::Record;
use provost_protocol::envelope::Envelope;
use provost_store::{
    Stamped,
    merkle::{Hash, leaf_hash},
};

use super::random::Random;
use crate::{
    commands::{audit, command},
    log::{Log, create, tenant},
};

/// One tenant's log as the kernel's actor would keep it.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) log: Log,
    /// The leaves of its Merkle tree, all that is acknowledged.
    pub(crate) leaves: Vec<Hash>,
}

/// All tenants, and what was decided and is not durable yet.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) tenants: Vec<Tenant>,
    /// Logs as they were before the group in flight.
    before: Vec<(usize, Log)>,
}

/// One event on its way.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub(crate) record: Record,
    pub(crate) envelope: std::sync::Arc<Envelope>,
}

impl Workload {
    pub(crate) fn new() -> Self {
        let begin = |number| Tenant {
            log: Log::new(tenant(number)),
            leaves: Vec::new(),
        };
        Self {
            tenants: (1..=TENANTS).map(begin).collect(),
            before: Vec::new(),
        }
    }

    /// Decides the next group: what a few tenants do at the same time.
    pub(crate) fn decide(&mut self, random: &mut Random) -> Vec<Decided> {
        let submissions = random.pick(&[1, 1, 1, 2, 3]);
        let mut group = Vec::new();
        for _ in 0..submissions {
            let number = random.index(self.tenants.len());
            let log = &mut self.tenants[number].log;
            self.before.push((number, log.clone()));
            for Stamped {
                envelope, bytes, ..
            } in decide_one(log, random)
            {
                let record = Record::new(envelope.tenant, envelope.seq, bytes);
                group.push(Decided { record, envelope });
            }
        }
        group
    }

    /// The group in flight is durable.
    pub(crate) fn commit(&mut self, group: &[Decided]) {
        self.before.clear();
        for event in group {
            let known = |tenant: &&mut Tenant| tenant.log.state.tenant_id() == event.record.tenant;
            if let Some(tenant) = self.tenants.iter_mut().find(known) {
                tenant.leaves.push(leaf_hash(&event.record.payload));
            }
        }
    }

    /// The group in flight never was.
    pub(crate) fn abort(&mut self) {
        while let Some((number, log)) = self.before.pop() {
            let now = self.tenants[number].log.now;
            self.tenants[number].log = log;
            // Time went on: what is decided next has other bytes than what was refused.
            self.tenants[number].log.now = now;
        }
    }
}

fn decide_one(log: &mut Log, random: &mut Random) -> Vec<Stamped> {
    log.now = log.now.plus_millis(1_000);
    let number = random.below(1_000);
    let command = if log.seq == 0 {
        create()
    } else if random.coin() {
        command(log, (random.byte() % 24, random.byte(), number % 50))
    } else {
        audit(log, number, random.below(3) + 1)
    };
    match log.run(&command) {
        Ok(append) if !append.events.is_empty() => append.events,
        // Refused, or already so: an audit event is always taken.
        Ok(_) | Err(_) => {
            let command = audit(log, number, 1);
            log.run(&command).expect("an audit event is taken").events
        }
    }
}

/// Enough that their events stand between each other in every segment.
const TENANTS: u8 = 4;
