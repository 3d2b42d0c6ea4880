//! One page that is asked for, and whether an answer fits.

use provost_protocol::{TenantId, Timestamp, envelope::Envelope, event::Event};
use provost_store::Query;
use rand::{RngExt as _, rngs::StdRng};

use crate::fill::{COMMON_KINDS, Facts, Filled, Filling, RARE_KIND};

/// By what a page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    None,
    Kind,
    RareKind,
    Actor,
    Runtime,
    Correlation,
    Time,
    ActorAndKind,
    RuntimeAndTime,
    Nobody,
}

/// One page.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) tenant: TenantId,
    pub(super) filter: Filter,
    pub(super) query: Query,
    /// Whether there must be something.
    certain: bool,
}

impl Filter {
    pub(super) const ALL: [Self; 10] = [
        Self::None,
        Self::Kind,
        Self::RareKind,
        Self::Actor,
        Self::Runtime,
        Self::Correlation,
        Self::Time,
        Self::ActorAndKind,
        Self::RuntimeAndTime,
        Self::Nobody,
    ];

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::None => "no filter",
            Self::Kind => "by type",
            Self::RareKind => "by a rare type",
            Self::Actor => "by actor",
            Self::Runtime => "by runtime",
            Self::Correlation => "by correlation id",
            Self::Time => "by time",
            Self::ActorAndKind => "by actor and type",
            Self::RuntimeAndTime => "by runtime and time",
            Self::Nobody => "by an actor there is not",
        }
    }
}

impl Ask {
    pub(super) fn draw(filled: &Filled, random: &mut StdRng) -> Self {
        let filling = match random.random_range(0..3) {
            0 => filled.big(),
            1 => filled.scattered(),
            _ => &filled.tenants[random.random_range(0..filled.tenants.len())],
        };
        let filter = Filter::ALL[random.random_range(0..Filter::ALL.len())];
        let mut ask = Self {
            tenant: filling.tenant,
            filter,
            query: Query {
                limit: PAGE,
                ..Query::default()
            },
            certain: false,
        };
        ask.narrow(filled, filling, random);
        // In the middle of the log as often as at its end.
        if filter != Filter::Correlation && random.random() {
            ask.query.before = Some(random.random_range(1..=filling.events.max(1)));
            ask.certain = false;
        }
        ask
    }

    /// Asks for something that some event of the tenant carries.
    fn narrow(&mut self, filled: &Filled, filling: &Filling, random: &mut StdRng) {
        let seq = random.random_range(1..=filling.events.max(1));
        let facts = Facts::of(filled.seed, filling.tenant, seq);
        let query = &mut self.query;
        let kind = COMMON_KINDS[random.random_range(0..COMMON_KINDS.len())];
        match self.filter {
            Filter::None => {}
            Filter::Kind => query.kind = Some(kind.to_owned()),
            Filter::RareKind => query.kind = Some(RARE_KIND.to_owned()),
            Filter::Actor => query.actor = Some(facts.actor),
            Filter::Runtime => query.runtime = Some(facts.runtime),
            Filter::Correlation => query.correlation = Some(facts.correlation),
            Filter::Time => between(filled, query, random),
            Filter::ActorAndKind => {
                query.actor = Some(facts.actor);
                query.kind = Some(kind.to_owned());
            }
            Filter::RuntimeAndTime => {
                query.runtime = Some(facts.runtime);
                between(filled, query, random);
            }
            Filter::Nobody => query.actor = Some("nobody".to_owned()),
        }
        self.certain = matches!(self.filter, Filter::None | Filter::Correlation);
    }

    /// The same from the end of the log.
    pub(super) fn at_the_end(mut self) -> Self {
        self.query.before = None;
        self
    }

    /// The path and query of the admin API.
    pub(super) fn path(&self) -> String {
        let mut path = format!("/v1/tenants/{}/audit?limit={PAGE}", self.tenant);
        let query = &self.query;
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={value}"));
            }
        };
        add("type", query.kind.clone());
        add("actor", query.actor.clone());
        add("runtime_id", query.runtime.map(|id| id.to_string()));
        add("correlation_id", query.correlation.map(|id| id.to_string()));
        add(
            "since",
            Some(query.since.unwrap_or(Timestamp::EPOCH).to_string()),
        );
        add("until", query.until.map(|at| at.to_string()));
        path
    }

    /// Whether an answer can be one to this, at the store's door.
    pub(super) fn judge<'a>(&self, events: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<()> {
        let mut below = u64::MAX;
        let mut count = 0;
        for bytes in events {
            let event = Envelope::from_bytes(bytes)?;
            let fits = event.tenant == self.tenant && event.seq < below && self.wants(&event);
            anyhow::ensure!(fits, "not asked for by {self:?}: {event:?}");
            below = event.seq;
            count += 1;
        }
        anyhow::ensure!(count <= PAGE, "{count} events for {self:?}");
        anyhow::ensure!(count > 0 || !self.certain, "nothing for {self:?}");
        let nobody = self.filter == Filter::Nobody;
        anyhow::ensure!(count == 0 || !nobody, "somebody for {self:?}");
        Ok(())
    }

    fn wants(&self, event: &Envelope) -> bool {
        let query = &self.query;
        let kind = |kind: &String| match &event.event {
            Event::AuditRecorded(recorded) => recorded.kind == *kind || event.event.kind() == kind,
            other => other.kind() == kind,
        };
        query.kind.as_ref().is_none_or(kind)
            && query.actor.as_ref().is_none_or(|id| event.actor.id == *id)
            && query
                .correlation
                .is_none_or(|id| event.correlation_id == id)
            && query.before.is_none_or(|before| event.seq < before)
            && query.since.is_none_or(|since| event.time >= since)
            && query.until.is_none_or(|until| event.time < until)
    }
}

/// From an hour to some days.
fn between(filled: &Filled, query: &mut Query, random: &mut StdRng) {
    let all = filled.last.millis_since(filled.first).max(1);
    let since = filled.first.plus_millis(random.random_range(0..all));
    query.since = Some(since);
    query.until = Some(since.plus_millis(random.random_range(HOUR_MS..100 * HOUR_MS)));
}

/// As the issue says.
const PAGE: usize = 100;
const HOUR_MS: u64 = 60 * 60 * 1_000;
