//! What one connection and one tenant may ask for, judged at the edge, before any mailbox; and when
//! a fleet that must come back should do so.
//!
//! A bucket of tokens each, generous to the honest: who stays within it never notices, and who does
//! not hears `rate_limited` with a time, at the cost of a frame and without anybody else's turn.
//! Volatile: a restart fills all buckets.

mod bucket;
mod turn;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use provost_protocol::{Code, Problem, TenantId, wire::Operation};
use tokio::time::Instant;

use self::{bucket::Bucket, turn::Turn};
use crate::{Random, clock::millis};

/// How much there is, in operations; a costly one counts for several ([`cost`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of one connection, a second.
    pub connection: NonZeroU32,
    /// Of one connection at once.
    pub connection_burst: NonZeroU32,
    /// Of all connections of a tenant's own runtimes, a second.
    pub tenant: NonZeroU32,
    /// Of all of them at once.
    pub tenant_burst: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            connection: CONNECTION_A_SECOND,
            connection_burst: CONNECTION_BURST,
            tenant: TENANT_A_SECOND,
            tenant_burst: TENANT_BURST,
        }
    }
}

/// The buckets of all tenants, and how many connections are open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budgets {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rates: Rates,
    /// When the buckets' time began; it never goes back, and stands still where a test's does.
    began: Instant,
    open: AtomicU64,
    tenants: Mutex<Tenants>,
    random: Arc<dyn Random>,
}

#[derive(Debug)]
struct Tenants {
    buckets: HashMap<TenantId, Arc<TenantBudget>>,
    /// At this many, those that nobody holds are let go.
    sweep_at: usize,
}

/// What all connections of a tenant's runtimes share.
#[derive(Debug)]
struct TenantBudget {
    bucket: Bucket,
    turn: Turn,
    /// Counts those that were sent to rest.
    rests: AtomicU32,
}

/// What one connection may ask for. While it lives, the connection counts as open.
#[derive(Debug)]
pub struct Budget {
    own: Bucket,
    tenant: Arc<TenantBudget>,
    shared: Arc<Shared>,
    /// When a heartbeat was last taken beyond the budget, in milliseconds since the buckets began
    /// and one more; nought for never.
    beyond_ms: AtomicU64,
}

impl Budgets {
    /// Fills every bucket.
    #[must_use]
    pub fn new(rates: Rates, random: Arc<dyn Random>) -> Self {
        let shared = Shared {
            rates,
            began: Instant::now(),
            open: AtomicU64::new(0),
            tenants: Mutex::new(Tenants {
                buckets: HashMap::new(),
                sweep_at: TENANTS_BEFORE_SWEEP,
            }),
            random,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Begins a connection of one of the tenant's runtimes.
    #[must_use]
    pub fn connection(&self, tenant: TenantId) -> Budget {
        let Rates {
            connection,
            connection_burst,
            ..
        } = self.shared.rates;
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        Budget {
            own: Bucket::new(connection, connection_burst, self.shared.began.elapsed()),
            tenant: self.tenant(tenant),
            shared: Arc::clone(&self.shared),
            beyond_ms: AtomicU64::new(0),
        }
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// When one of all that are connected should come back, so that they do not come at one moment:
    /// drawn evenly over the time that this kernel takes to receive them all.
    #[must_use]
    pub fn come_back_ms(&self) -> u64 {
        let needed = self.open().saturating_mul(1_000) / RETURNS_A_SECOND;
        let mut bytes = [0; 8];
        self.shared.random.fill(&mut bytes);
        RESTART_MS + u64::from_le_bytes(bytes) % (needed.min(RETURN_MS_MAX) + 1)
    }

    fn tenant(&self, tenant: TenantId) -> Arc<TenantBudget> {
        // A map is whole at every moment, whoever panicked while holding it.
        let tenants = &self.shared.tenants;
        let mut tenants = tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = tenants.buckets.get(&tenant) {
            return Arc::clone(bucket);
        }
        if tenants.buckets.len() >= tenants.sweep_at {
            tenants
                .buckets
                .retain(|_, bucket| Arc::strong_count(bucket) > 1);
            tenants.sweep_at = TENANTS_BEFORE_SWEEP.max(tenants.buckets.len() * 2);
        }
        let Rates {
            tenant: rate,
            tenant_burst,
            ..
        } = self.shared.rates;
        let budget = Arc::new(TenantBudget {
            bucket: Bucket::new(rate, tenant_burst, self.shared.began.elapsed()),
            turn: Turn::default(),
            rests: AtomicU32::new(0),
        });
        tenants.buckets.insert(tenant, Arc::clone(&budget));
        budget
    }
}

impl TenantBudget {
    /// So much longer the next of its connections rests: one after the other, so that those who are
    /// refused at one moment do not come back at one.
    fn spread_ms(&self) -> u64 {
        let number = self.rests.fetch_add(1, Ordering::Relaxed);
        u64::from(number % REST_MS_SPREAD)
    }
}

impl Budget {
    /// Takes the price of an operation from the connection's bucket and from its tenant's.
    ///
    /// # Errors
    /// 429 `rate_limited` with when to come again; nothing else has happened.
    pub fn take(&self, cost: NonZeroU32) -> Result<(), Problem> {
        self.take_at(cost, Instant::now())
    }

    /// The same for what came at that moment.
    pub(crate) fn take_at(&self, cost: NonZeroU32, now: Instant) -> Result<(), Problem> {
        let now = now.saturating_duration_since(self.shared.began);
        let own = self.own.take(cost, now);
        let Err(wait) = own.and_then(|()| self.tenant.bucket.take(cost, now)) else {
            return Ok(());
        };
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let rest_ms = wait_ms.saturating_add(1).max(REST_MS_LEAST);
        let detail = "more than one connection or its tenant may ask for";
        Err(Problem::new(Code::RateLimited, detail)
            .retry_after_ms(rest_ms.saturating_add(self.tenant.spread_ms())))
    }

    /// Takes the price of a heartbeat. Beyond the budget one is taken all the same, once in a while:
    /// who asks too much, or whose tenant does, is not lost for it.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_beat(&self) -> Result<(), Problem> {
        let now = Instant::now();
        self.take_at(CHECK, now)
            .or_else(|problem| self.may_beat(now).then_some(()).ok_or(problem))
    }

    /// Whether a heartbeat is taken now, beyond the budget.
    pub(crate) fn may_beat(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.shared.began);
        let now_ms = millis(since).saturating_add(1);
        let last = self.beyond_ms.load(Ordering::Relaxed);
        if last != 0 && now_ms.saturating_sub(last) < BEAT_BEYOND_EVERY_MS {
            return false;
        }
        // Of two at one moment one is taken.
        let order = Ordering::Relaxed;
        self.beyond_ms
            .compare_exchange(last, now_ms, order, order)
            .is_ok()
    }

    /// A frame was taken in; says whether the turn of the tenant's sessions is over.
    pub(crate) fn take_frame(&self) -> bool {
        self.tenant.turn.take()
    }

    /// Waits until it is the turn of the tenant's sessions; to be asked on the tenant's own thread.
    pub(crate) async fn turn(&self) {
        self.tenant.turn.wait().await;
    }

    /// When to come back, for who is told to go ([`Budgets::come_back_ms`]).
    #[must_use]
    pub fn come_back_ms(&self) -> u64 {
        Budgets {
            shared: Arc::clone(&self.shared),
        }
        .come_back_ms()
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an operation takes, in checks: what it costs the kernel, roughly.
#[must_use]
pub fn cost(operation: &Operation) -> NonZeroU32 {
    match operation {
        Operation::Heartbeat(_) | Operation::Check(_) | Operation::TrustBundle => CHECK,
        Operation::Resolve(_) | Operation::Checkpoint { .. } => SIGNATURE,
        Operation::PullLicense | Operation::Renew { .. } => SIGNED_AND_JOURNALED,
        Operation::Audit(events) => {
            let shares = u32::try_from(events.len() / EVENTS_A_TOKEN).unwrap_or(u32::MAX);
            CHECK.saturating_add(shares.min(AUDIT_TOKENS_MAX))
        }
    }
}

const fn tokens(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(tokens) => tokens,
        None => NonZeroU32::MIN,
    }
}

/// A product that asks before every page of its busiest hour asks some hundred times a second.
const CONNECTION_A_SECOND: NonZeroU32 = tokens(2_000);

/// Two seconds of it: a start that asks for everything at once, and a spool that is delivered.
const CONNECTION_BURST: NonZeroU32 = tokens(4_000);

/// Ten such connections at full rate; a core answers several times as many.
const TENANT_A_SECOND: NonZeroU32 = tokens(20_000);

/// Two seconds of it, as for a connection.
const TENANT_BURST: NonZeroU32 = tokens(40_000);

/// The shortest interval is five times as long.
const BEAT_BEYOND_EVERY_MS: u64 = 1_000;

/// The price of a check, and of whatever else is answered from a view in memory.
pub const CHECK: NonZeroU32 = tokens(1);

/// One signature checked or made, about 100 µs against 5 µs of a check.
const SIGNATURE: NonZeroU32 = tokens(10);

/// A signature and an event in the journal.
const SIGNED_AND_JOURNALED: NonZeroU32 = tokens(20);

/// An event shares its group, and the group its sync, with a thousand others.
const EVENTS_A_TOKEN: usize = 4;

/// The contract's 1,000 events in one call; what holds more is refused by its size.
const AUDIT_TOKENS_MAX: u32 = 250;

/// What the dearest operation costs: no burst may be smaller, or it could never be asked for.
pub const COST_MAX: u32 = CHECK.get() + AUDIT_TOKENS_MAX;

/// Who is beyond its budget is read again after so long at the earliest: a hundred refusals a
/// second are what a connection at full blast can cost.
const REST_MS_LEAST: u64 = 10;

/// As long again at most: connections of one tenant that rest for as long as the others come back
/// in some ten small groups, and no neighbour waits behind all of them.
const REST_MS_SPREAD: u32 = 10;

/// A restart of the daemon takes about as long.
const RESTART_MS: u64 = 1_000;

/// Half of what one core shakes hands with, registers and hears the first beat of: the other half
/// is for those who are served already.
const RETURNS_A_SECOND: u64 = 500;

/// Whoever is sent away for longer might count as lost.
const RETURN_MS_MAX: u64 = 60_000;

/// Some hundred bytes each; below this nobody looks.
const TENANTS_BEFORE_SWEEP: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use provost_protocol::Timestamp;

    use super::*;
    use crate::SeededRandom;

    fn budgets(connection: u32, tenant: u32) -> Budgets {
        let rates = Rates {
            connection: tokens(connection),
            connection_burst: tokens(connection * 2),
            tenant: tokens(tenant),
            tenant_burst: tokens(tenant * 2),
        };
        Budgets::new(rates, Arc::new(SeededRandom::new(1)))
    }

    fn tenant(number: u16) -> TenantId {
        let mut random = [0; 10];
        random[..2].copy_from_slice(&number.to_le_bytes());
        TenantId::from_parts(Timestamp::EPOCH, random)
    }

    fn admitted(budget: &Budget, asked: u32) -> u32 {
        let took = (0..asked).filter(|_| budget.take(CHECK).is_ok()).count();
        u32::try_from(took).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_gets_its_burst_and_then_its_rate() {
        let budget = budgets(100, 1_000).connection(tenant(1));
        assert_eq!(admitted(&budget, 1_000), 200);
        let told = budget.take(CHECK).unwrap_err();
        assert_eq!((told.code, told.status), (Code::RateLimited, 429));
        assert_eq!(told.retry_after_ms, Some(11));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(&budget, 1_000), 100);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(
            admitted(&budget, 1_000),
            200,
            "it holds no more than its burst"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn connections_share_their_tenants_bucket_and_no_other_tenants() {
        let budgets = budgets(100, 250);
        let greedy: Vec<_> = (0..10).map(|_| budgets.connection(tenant(1))).collect();
        let all: u32 = greedy.iter().map(|budget| admitted(budget, 1_000)).sum();
        assert_eq!(all, 500, "the tenant's burst, not ten times a connection's");
        let polite = budgets.connection(tenant(2));
        assert_eq!(admitted(&polite, 200), 200);
        // Coming anew does not fill the tenant's bucket.
        drop(greedy);
        assert_eq!(admitted(&budgets.connection(tenant(1)), 100), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_budget_a_heartbeat_is_taken_once_a_second() {
        let budget = budgets(1, 1).connection(tenant(1));
        while budget.take(CHECK).is_ok() {}
        let taken = || (0..10).filter(|_| budget.take_beat().is_ok()).count();
        assert_eq!(taken(), 1);
        tokio::time::advance(Duration::from_millis(900)).await;
        assert_eq!(taken(), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(), 2, "one of the budget, and one beyond it");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_are_refused_at_one_moment_come_back_one_after_the_other() {
        let budgets = budgets(100, 100);
        let greedy: Vec<_> = (0..40).map(|_| budgets.connection(tenant(1))).collect();
        while greedy[0].take(CHECK).is_ok() {}
        let mut back = [0_u32; 20];
        for budget in &greedy {
            let told = budget.take(CHECK).unwrap_err().retry_after_ms.unwrap();
            back[usize::try_from(told - 11).unwrap()] += 1;
        }
        assert_eq!(back[..10], [4; 10], "{back:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_costs_more_takes_more() {
        let events = |count: usize| Operation::Audit(vec![Vec::new(); count]);
        assert_eq!(cost(&events(1)).get(), 1);
        assert_eq!(cost(&events(1_000)).get(), 251);
        assert_eq!(cost(&events(1_000_000)).get(), 251);
        let budget = budgets(100, 1_000).connection(tenant(1));
        let pulled = (0..100)
            .filter(|_| budget.take(cost(&Operation::PullLicense)).is_ok())
            .count();
        assert_eq!(pulled, 10);
        let told = budget.take(cost(&events(1_000))).unwrap_err();
        assert_eq!(
            told.retry_after_ms,
            Some(3_600_001),
            "it can never be taken"
        );
    }

    #[test]
    fn every_operation_fits_into_the_buckets_there_are() {
        let dearest = cost(&Operation::Audit(vec![Vec::new(); 1_000]));
        assert_eq!(dearest.get(), COST_MAX);
        assert!(Rates::default().connection_burst.get() >= COST_MAX);
        assert!(Rates::default().tenant_burst.get() >= COST_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_that_are_gone_take_no_room() {
        let budgets = budgets(100, 1_000);
        for number in 0..10_000 {
            drop(budgets.connection(tenant(number)));
        }
        let held = budgets.shared.tenants.lock().unwrap().buckets.len();
        assert!(held <= TENANTS_BEFORE_SWEEP, "{held}");
        assert_eq!(budgets.open(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_is_told_to_come_back_over_the_time_it_takes_to_receive_it() {
        let budgets = budgets(100, 1_000);
        let fleet: Vec<_> = (0..5_000).map(|_| budgets.connection(tenant(1))).collect();
        // Five thousand at 500 a second: ten seconds, each of them with its share.
        let mut seconds = [0_u32; 10];
        for budget in &fleet {
            let second = (budget.come_back_ms() - RESTART_MS) / 1_000;
            seconds[usize::try_from(second).unwrap().min(9)] += 1;
        }
        assert!(
            seconds.iter().all(|count| (350..=650).contains(count)),
            "{seconds:?}"
        );
        drop(fleet);
        assert_eq!(budgets.come_back_ms(), RESTART_MS);
    }
}
