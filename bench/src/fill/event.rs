//! One event of a filled folder, from a seed, a tenant and a sequence.

use provost_protocol::{
    CorrelationId, EventId, RuntimeId, TenantId, Timestamp,
    entity::{ActorType, Feature, Mode, Policies, TenantType},
    envelope::{ActorRef, Envelope, Source},
    event::{AuditRecorded, Event, QuotaConsumed, TenantCreated},
    json::RawJson,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

/// What an event is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: &'static str,
    pub(crate) actor: String,
    pub(crate) runtime: RuntimeId,
    pub(crate) correlation: CorrelationId,
    random: u64,
}

impl Facts {
    pub(crate) fn of(seed: u64, tenant: TenantId, seq: u64) -> Self {
        let mut random = random(seed, tenant, seq);
        // A story is four events in a row.
        let mut story = self::random(seed ^ STORY, tenant, seq / 4);
        let correlation = CorrelationId::from_parts(BIRTH, story.random());
        let mut runtimes = self::random(seed ^ RUNTIME, tenant, random.random_range(0..RUNTIMES));
        let runtime = RuntimeId::from_parts(BIRTH, runtimes.random());
        let kind = if random.random_ratio(1, RARE_ONE_IN) {
            RARE_KIND
        } else {
            COMMON_KINDS[random.random_range(0..COMMON_KINDS.len())]
        };
        Self {
            kind,
            actor: format!("user-{}", random.random_range(0..ACTORS)),
            runtime,
            correlation,
            random: random.random(),
        }
    }

    /// The event as it stands in the log; a log's first event makes the tenant.
    pub(crate) fn envelope(
        &self,
        tenant: TenantId,
        seq: u64,
        time: Timestamp,
    ) -> anyhow::Result<Envelope> {
        let (event, actor, source) = match seq {
            1 => (created(), ActorRef::system(), Source::Admin),
            _ if self.kind == CONSUMED => (
                self.consumed(seq)?,
                ActorRef::runtime(self.runtime),
                Source::Runtime,
            ),
            _ => (
                self.recorded(tenant, seq, time)?,
                self.actor(),
                Source::Runtime,
            ),
        };
        Ok(Envelope {
            tenant,
            epoch: 1,
            seq,
            time,
            actor,
            source,
            correlation_id: self.correlation,
            idempotency: None,
            event,
        })
    }

    fn actor(&self) -> ActorRef {
        ActorRef {
            kind: ActorType::User,
            id: self.actor.clone(),
        }
    }

    fn consumed(&self, used: u64) -> anyhow::Result<Event> {
        let feature = Feature::parse("work.units")?;
        let consumed = QuotaConsumed {
            runtime: self.runtime,
            feature: feature.clone(),
            granted: feature,
            granted_runtime: None,
            amount: 1,
            used,
            quota: None,
            window_start: Timestamp::EPOCH,
            window_end: Timestamp::MAX,
            time_window: None,
            mode: Mode::Enforce,
            over_quota: false,
        };
        Ok(consumed.into())
    }

    fn recorded(&self, tenant: TenantId, seq: u64, time: Timestamp) -> anyhow::Result<Event> {
        let mut id = [0; 10];
        id[..8].copy_from_slice(&self.random.to_be_bytes());
        let event_id = EventId::from_parts(time, id);
        let (runtime, actor, kind) = (self.runtime, &self.actor, self.kind);
        let (correlation, ms) = (self.correlation, self.random % 977);
        let text = format!(
            r#"{{"event_id":"{event_id}","tenant_id":"{tenant}","runtime_id":"{runtime}","actor_type":"user","actor_id":"{actor}","type":"{kind}","timestamp":"{time}","correlation_id":"{correlation}","payload":{{"n":{seq},"ms":{ms}}}}}"#
        );
        let recorded = AuditRecorded {
            event_id,
            kind: kind.to_owned(),
            received_at: time,
            event: RawJson::parse(&text)?,
        };
        Ok(recorded.into())
    }
}

fn created() -> Event {
    let created = TenantCreated {
        tenant_type: TenantType::Company,
        name: "filled".to_owned(),
        policies: Policies::default(),
        operator: None,
        time_zone: "UTC".to_owned(),
        subject: None,
    };
    created.into()
}

/// Chance that follows from who and where alone.
fn random(seed: u64, tenant: TenantId, seq: u64) -> SmallRng {
    let id = tenant.as_bytes().last_chunk::<8>();
    let id = id.map_or(0, |bytes| u64::from_be_bytes(*bytes));
    SmallRng::seed_from_u64(seed ^ id.rotate_left(17) ^ seq.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// One event in so many is of this kind: some dozens in ten million.
pub(crate) const RARE_KIND: &str = "document.destroyed";
const RARE_ONE_IN: u32 = 200_000;

/// A consumption; the others are audit events of these types.
const CONSUMED: &str = "quota.consumed";

/// Half of all events are consumptions, as where every action is counted and reported.
pub(crate) const COMMON_KINDS: [&str; 12] = [
    CONSUMED,
    CONSUMED,
    CONSUMED,
    CONSUMED,
    CONSUMED,
    CONSUMED,
    "document.opened",
    "document.shared",
    "report.printed",
    "session.begun",
    "session.ended",
    "search.asked",
];

/// People of one tenant.
const ACTORS: u32 = 5_000;

/// Runtimes of one tenant.
const RUNTIMES: u64 = 20;

/// Their ids are older than any event.
const BIRTH: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Draws stories apart from everything else.
const STORY: u64 = 0x5109_a11e;

/// Draws runtimes apart from everything else.
const RUNTIME: u64 = 0x2077_1e55;
