//! A store that does what a test tells it: waits, refuses, loses an answer, panics.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use provost_kernel::state::EntityKey;
use provost_protocol::{RuntimeId, TenantId, Timestamp, TokenId};
use provost_store::{
    Append, AppendError, Backend, Found, Head, Ids, Included, Keyed, Loaded, LookupKey,
    MemoryStore, Pending, Query, QueryPage, Range, ReadError, StoredEvent, merkle::Hash,
};
use tokio::sync::watch;

/// A store in memory behind gates.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) memory: MemoryStore,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    appends_open: watch::Sender<bool>,
    searches_open: watch::Sender<bool>,
    appends: Mutex<Vec<(TenantId, usize)>>,
    /// The append that many from now meets this.
    fault: Mutex<Option<(u64, Fault)>>,
    panics: Mutex<Panics>,
    loads: AtomicU64,
    lookups: AtomicU64,
    /// Runtimes that the log seems to call active, besides those that it does.
    pretended: AtomicU64,
}

#[derive(Debug, Default)]
struct Panics {
    /// So many appends of this tenant panic.
    append: Option<(TenantId, u32)>,
    load: Option<TenantId>,
}

/// What becomes of one append.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Certainly not written.
    Refused,
    /// Not written, and nobody knows.
    Lost,
    /// Written, and nobody knows.
    Unheard,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let shared = Shared {
            appends_open: watch::Sender::new(true),
            searches_open: watch::Sender::new(true),
            appends: Mutex::default(),
            fault: Mutex::default(),
            panics: Mutex::default(),
            loads: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            pretended: AtomicU64::new(0),
        };
        Self {
            memory: MemoryStore::new(),
            shared: Arc::new(shared),
        }
    }

    /// From here on appends wait.
    /// The log seems to call so many more runtimes active, after all others.
    pub(crate) fn pretend_online(&self, count: u64) {
        self.shared.pretended.store(count, Ordering::Relaxed);
    }

    pub(crate) fn hold_appends(&self) {
        self.shared.appends_open.send_replace(false);
    }

    pub(crate) fn release_appends(&self) {
        self.shared.appends_open.send_replace(true);
    }

    /// From here on searches for earlier events wait, or go on.
    pub(crate) fn hold_searches(&self, hold: bool) {
        self.shared.searches_open.send_replace(!hold);
    }

    /// The `nth` append from here (the first is 1) meets a fault.
    pub(crate) fn fail(&self, nth: u64, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Some((nth, fault));
    }

    /// So many appends of the tenant panic.
    pub(crate) fn panic_in_append(&self, tenant: TenantId, times: u32) {
        self.shared.panics.lock().unwrap().append = Some((tenant, times));
    }

    pub(crate) fn panic_in_load(&self, tenant: Option<TenantId>) {
        self.shared.panics.lock().unwrap().load = tenant;
    }

    /// How many events each append of the tenant carried, since the last look.
    pub(crate) fn take_appends(&self, tenant: TenantId) -> Vec<usize> {
        let all = std::mem::take(&mut *self.shared.appends.lock().unwrap());
        let own = all.into_iter().filter(|(whose, _)| *whose == tenant);
        own.map(|(_, events)| events).collect()
    }

    /// How often any tenant was loaded.
    pub(crate) fn loads(&self) -> u64 {
        self.shared.loads.load(Ordering::SeqCst)
    }

    /// How often entities were read by key.
    pub(crate) fn lookups(&self) -> u64 {
        self.shared.lookups.load(Ordering::SeqCst)
    }

    fn next_fault(&self) -> Option<Fault> {
        let mut fault = self.shared.fault.lock().unwrap();
        let (left, what) = fault.as_mut()?;
        *left -= 1;
        let now = (*left == 0).then_some(*what);
        if now.is_some() {
            *fault = None;
        }
        now
    }

    fn panic_if_told(&self, tenant: TenantId) {
        let mut panics = self.shared.panics.lock().unwrap();
        let Some((whose, left)) = &mut panics.append else {
            return;
        };
        if *whose == tenant && *left > 0 {
            *left -= 1;
            drop(panics);
            panic!("told to");
        }
    }
}

impl Backend for Gate {
    fn append(&self, append: Append) -> Pending<Result<(), AppendError>> {
        self.panic_if_told(append.tenant);
        let carried = (append.tenant, append.events.len());
        self.shared.appends.lock().unwrap().push(carried);
        let fault = self.next_fault();
        let (memory, mut open) = (self.memory.clone(), self.shared.appends_open.subscribe());
        Box::pin(async move {
            open.wait_for(|open| *open).await.unwrap();
            match fault {
                None => memory.append(append).await,
                Some(Fault::Refused) => Err(AppendError::Refused("told to".to_owned())),
                Some(Fault::Lost) => Err(AppendError::Unknown),
                Some(Fault::Unheard) => {
                    memory.append(append).await?;
                    Err(AppendError::Unknown)
                }
            }
        })
    }

    fn load(&self, tenant: TenantId, cold: Vec<EntityKey>) -> Pending<Result<Loaded, ReadError>> {
        self.shared.loads.fetch_add(1, Ordering::SeqCst);
        let told = self.shared.panics.lock().unwrap().load == Some(tenant);
        assert!(!told, "told to");
        self.memory.load(tenant, cold)
    }

    fn entities(
        &self,
        tenant: TenantId,
        keys: Vec<EntityKey>,
    ) -> Pending<Result<Vec<Found>, ReadError>> {
        self.shared.lookups.fetch_add(1, Ordering::SeqCst);
        self.memory.entities(tenant, keys)
    }

    fn ids(&self, tenant: TenantId) -> Ids {
        self.memory.ids(tenant)
    }

    fn scan(
        &self,
        tenant: TenantId,
        kind: &'static str,
        after: Option<EntityKey>,
        limit: usize,
    ) -> Pending<Result<Vec<Keyed>, ReadError>> {
        self.memory.scan(tenant, kind, after, limit)
    }

    fn find(
        &self,
        tenant: TenantId,
        keys: Vec<LookupKey>,
        since: Timestamp,
    ) -> Pending<Result<Vec<Option<StoredEvent>>, ReadError>> {
        let (found, mut open) = (
            self.memory.find(tenant, keys, since),
            self.shared.searches_open.subscribe(),
        );
        Box::pin(async move {
            open.wait_for(|open| *open).await.unwrap();
            found.await
        })
    }

    fn read(&self, tenant: TenantId, range: Range) -> Pending<Result<Vec<StoredEvent>, ReadError>> {
        self.memory.read(tenant, range)
    }

    fn query(&self, tenant: TenantId, query: Query) -> Pending<Result<QueryPage, ReadError>> {
        self.memory.query(tenant, query)
    }

    fn head(&self, tenant: TenantId) -> Pending<Result<Option<Head>, ReadError>> {
        self.memory.head(tenant)
    }

    fn root_at(&self, tenant: TenantId, size: u64) -> Pending<Result<Option<Hash>, ReadError>> {
        self.memory.root_at(tenant, size)
    }

    fn inclusion(
        &self,
        tenant: TenantId,
        seq: u64,
        size: u64,
    ) -> Pending<Result<Option<Included>, ReadError>> {
        self.memory.inclusion(tenant, seq, size)
    }

    fn consistency(
        &self,
        tenant: TenantId,
        from: u64,
        to: u64,
    ) -> Pending<Result<Option<Vec<Hash>>, ReadError>> {
        self.memory.consistency(tenant, from, to)
    }

    fn tenants(
        &self,
        after: Option<TenantId>,
        limit: usize,
    ) -> Pending<Result<Vec<TenantId>, ReadError>> {
        self.memory.tenants(after, limit)
    }

    fn online(
        &self,
        after: Option<(TenantId, RuntimeId)>,
        limit: usize,
    ) -> Pending<Result<Vec<(TenantId, RuntimeId)>, ReadError>> {
        let pretended = self.shared.pretended.load(Ordering::Relaxed);
        let real = after.filter(|after| *after < pretend(0));
        let from = after
            .filter(|after| *after >= pretend(0))
            .map_or(0, |(_, runtime)| number_of(runtime) + 1);
        let begun = after.is_some() && real.is_none();
        let page = self.memory.online(real, limit);
        Box::pin(async move {
            let mut page = if begun { Vec::new() } else { page.await? };
            let room = u64::try_from(limit.saturating_sub(page.len())).unwrap_or(0);
            page.extend((from..pretended.min(from + room)).map(pretend));
            Ok(page)
        })
    }

    fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, TenantId)>, ReadError>> {
        self.memory.due(now, limit)
    }

    fn revoked(
        &self,
        from: Timestamp,
        after: Option<(Timestamp, String)>,
        limit: usize,
    ) -> Pending<Result<Vec<(Timestamp, String)>, ReadError>> {
        self.memory.revoked(from, after, limit)
    }

    fn token_tenant(&self, token: TokenId) -> Pending<Result<Option<TenantId>, ReadError>> {
        self.memory.token_tenant(token)
    }
}

/// A runtime that nobody enrolled, after all that somebody did.
fn pretend(number: u64) -> (TenantId, RuntimeId) {
    let last = Timestamp::from_millis(1 << 47);
    let mut bytes = [0xff; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    let tenant = TenantId::from_parts(last, [0xff; 10]);
    (tenant, RuntimeId::from_parts(last, bytes))
}

fn number_of(runtime: RuntimeId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&runtime.as_bytes()[8..]);
    u64::from_be_bytes(bytes) & (u64::MAX >> 2)
}
