//! A data folder with many events in it, made fast through the real store.
//!
//! What the events carry follows from a seed, the tenant and the sequence alone, so that whoever
//! asks afterwards knows what is there without reading it. Of N events a fifth stand in one big
//! tenant's log, one in a thousand in a tenant's that is scattered over all segments, and the rest
//! in stretches of random length in all the others'.

mod event;

use std::{
    collections::VecDeque,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use provost_protocol::{TenantId, Timestamp};
use provost_store::{Append, AppendError, Backend as _, Options, Pending, Stamped, Store};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

pub(crate) use self::event::{COMMON_KINDS, Facts, RARE_KIND};

/// What stands in a filled folder; kept beside the data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Filled {
    pub(crate) seed: u64,
    pub(crate) tenants: Vec<Filling>,
    /// Of all envelopes together.
    pub(crate) json_bytes: u64,
    pub(crate) events: u64,
    pub(crate) took_s: f64,
    /// When the first and the last event were decided.
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// One tenant's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Filling {
    pub(crate) tenant: TenantId,
    pub(crate) events: u64,
}

/// Whoever fills a folder.
struct Filler<'a> {
    store: &'a Store,
    filled: Filled,
    random: StdRng,
    under_way: VecDeque<Pending<Result<(), AppendError>>>,
    /// From one event to the next.
    step_us: u64,
}

impl Filled {
    /// The tenant with a fifth of all events.
    pub(crate) fn big(&self) -> &Filling {
        &self.tenants[0]
    }

    /// The tenant with a few events in every segment; the only one, where there is one.
    pub(crate) fn scattered(&self) -> &Filling {
        self.tenants.get(1).unwrap_or(&self.tenants[0])
    }

    /// Reads what was filled.
    ///
    /// # Errors
    /// The folder was not filled by this program.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(MANIFEST);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read: fill it first", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// Fills the installation in `data` with about `events` events of `tenants` tenants, closes the
/// store, and says what stands in it. Blocks.
///
/// # Errors
/// Whatever the store says.
pub(crate) fn fill(dir: &Path, data: &Path, events: u64, tenants: usize) -> anyhow::Result<Filled> {
    anyhow::ensure!(
        tenants == 1 || tenants >= 3,
        "one tenant, or at least three"
    );
    let (store, _) = Store::open(data, options(false))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let begun = Instant::now();
    let filled = runtime.block_on(Filler::new(&store, events, tenants).run(events))?;
    let filled = Filled {
        took_s: begun.elapsed().as_secs_f64(),
        ..filled
    };
    store.close(CLOSE_PATIENCE)?;
    std::fs::write(dir.join(MANIFEST), serde_json::to_string(&filled)?)?;
    Ok(filled)
}

/// A store of the daemon's own kind.
pub(crate) fn options(rebuild: bool) -> Options {
    Options {
        rebuild,
        ..Options::new(Arc::new(|_why| std::process::abort()))
    }
}

impl<'a> Filler<'a> {
    fn new(store: &'a Store, events: u64, tenants: usize) -> Self {
        let last = crate::now();
        let mut random = StdRng::seed_from_u64(SEED);
        let first = last.minus_millis(SPREAD_MS);
        let tenants = (0..tenants).map(|_| Filling {
            tenant: TenantId::from_parts(first, random.random()),
            events: 0,
        });
        let filled = Filled {
            seed: SEED,
            tenants: tenants.collect(),
            json_bytes: 0,
            events: 0,
            took_s: 0.0,
            first,
            last,
        };
        Self {
            store,
            filled,
            random,
            under_way: VecDeque::new(),
            step_us: SPREAD_MS.saturating_mul(1_000) / events.max(1),
        }
    }

    async fn run(mut self, events: u64) -> anyhow::Result<Filled> {
        let mut since_scattered = 0;
        while self.filled.events < events {
            let (tenant, count) = self.next();
            let count = count.min(events - self.filled.events);
            self.stretch(tenant, count).await?;
            since_scattered += count;
            if since_scattered >= SCATTERED_EVERY && self.filled.tenants.len() > 1 {
                since_scattered = 0;
                self.stretch(1, 1).await?;
            }
        }
        while let Some(append) = self.under_way.pop_front() {
            append.await?;
        }
        Ok(self.filled)
    }

    /// Whose stretch is next, and how long it is.
    fn next(&mut self) -> (usize, u64) {
        if self.filled.tenants.len() == 1 || self.random.random_ratio(1, 5) {
            (0, STRETCH_MEAN)
        } else {
            let tenant = self.random.random_range(2..self.filled.tenants.len());
            (tenant, self.random.random_range(1..2 * STRETCH_MEAN))
        }
    }

    async fn stretch(&mut self, number: usize, count: u64) -> anyhow::Result<()> {
        let filling = &mut self.filled.tenants[number];
        let (tenant, expected) = (filling.tenant, filling.events);
        let mut events = Vec::new();
        for seq in expected + 1..=expected + count {
            let since = self.filled.events.saturating_mul(self.step_us) / 1_000;
            let time = self.filled.first.plus_millis(since);
            let facts = Facts::of(self.filled.seed, tenant, seq);
            let stamped = Stamped::new(facts.envelope(tenant, seq, time)?)?;
            self.filled.json_bytes += u64::try_from(stamped.bytes.len())?;
            self.filled.events += 1;
            events.push(stamped);
        }
        self.filled.tenants[number].events += count;
        if self.under_way.len() >= UNDER_WAY_MAX
            && let Some(oldest) = self.under_way.pop_front()
        {
            oldest.await?;
        }
        let append = Append {
            tenant,
            expected,
            events,
        };
        self.under_way.push_back(self.store.append(append));
        Ok(())
    }
}

/// What stands in the folder, beside the data.
const MANIFEST: &str = "filled.json";

/// Any; the same for all, so that figures can be compared.
const SEED: u64 = 3;

/// The events of a month.
const SPREAD_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// As many as a runtime's spool sends in one call after a short outage.
const STRETCH_MEAN: u64 = 32;

/// A segment holds some hundred thousand events: a hundred of these in each.
const SCATTERED_EVERY: u64 = 1_000;

/// Large groups, and far below what the journal's queue takes.
const UNDER_WAY_MAX: usize = 64;

/// Writing out the state of a thousand tenants takes well under this.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_secs(600);
