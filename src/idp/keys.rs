//! Keys that were fetched, kept for a while: one entry for each URL, whichever tenant asks.
//!
//! Nobody can make the kernel fetch often: a URL is asked at most once in [`COOL_DOWN_MS`],
//! whether the last fetch failed, brought no such key, or never ended. One fetch at a time serves
//! all who wait. Nothing here survives a restart, and nothing needs to.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;
use provost_actors::TokenRefused;
use provost_protocol::Timestamp;

use super::{
    fetch::Fetcher,
    jwks::{Jwks, Wanted},
};

/// The keys of all URLs.
#[derive(Debug)]
pub(super) struct KeyCache {
    fetcher: Arc<Fetcher>,
    entries: Mutex<LruCache<String, Arc<Entry>>>,
}

/// The keys of one URL.
#[derive(Debug, Default)]
struct Entry {
    held: Mutex<Held>,
    /// Whoever holds it fetches; all others wait for it and then look again.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    keys: Option<(Arc<Jwks>, Timestamp)>,
    tried: Option<(Timestamp, Option<TokenRefused>)>,
}

impl KeyCache {
    pub(super) fn new(allow_private: bool) -> Self {
        Self {
            fetcher: Arc::new(Fetcher::new(allow_private)),
            entries: Mutex::new(LruCache::new(URLS_MAX)),
        }
    }

    /// Answers the keys at a URL: those held if they are fresh and hold the key wanted, else
    /// those fetched.
    pub(super) async fn keys(
        &self,
        url: &str,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> Result<Arc<Jwks>, TokenRefused> {
        let entry = self.entry(url);
        if let Some(keys) = entry.fresh(wanted, now) {
            return Ok(keys);
        }
        let _flight = entry.flight.lock().await;
        if let Some(answer) = entry.look(wanted, now) {
            return answer;
        }
        // Noted before the fetch: it counts whether it ends or not.
        entry.hold(|held| held.tried = Some((now, Some(UNFINISHED))));
        // A task of its own: what was fetched is kept also when the caller's patience ends first.
        let (fetcher, kept, url) = (
            Arc::clone(&self.fetcher),
            Arc::clone(&entry),
            url.to_owned(),
        );
        let fetching = tokio::spawn(async move {
            let fetched = fetcher.fetch(&url).await;
            kept.hold(|held| match fetched {
                Ok(keys) => {
                    held.keys = Some((Arc::new(keys), now));
                    held.tried = Some((now, None));
                }
                Err(why) => held.tried = Some((now, Some(why))),
            });
        });
        fetching.await.map_err(|_| UNFINISHED)?;
        entry.look(wanted, now).unwrap_or(Err(UNFINISHED))
    }

    fn entry(&self, url: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(entries.get_or_insert_ref(url, Arc::default))
    }
}

impl Entry {
    /// The keys held, if they are fresh and the one wanted is among them.
    fn fresh(&self, wanted: &Wanted<'_>, now: Timestamp) -> Option<Arc<Jwks>> {
        self.hold(|held| {
            held.younger_than(TTL_MS, now)
                .filter(|keys| keys.find(wanted).is_some())
        })
    }

    /// Answers from what is held, for whoever may fetch; `None` when a fetch is due.
    fn look(&self, wanted: &Wanted<'_>, now: Timestamp) -> Option<Result<Arc<Jwks>, TokenRefused>> {
        if let Some(keys) = self.fresh(wanted, now) {
            return Some(Ok(keys));
        }
        self.hold(|held| {
            let (tried, failure) = held.tried.as_ref()?;
            if !is_within(*tried, now, COOL_DOWN_MS) {
                return None;
            }
            // The last good keys go on for a while: an outage of the provider logs nobody out.
            let last_good = held.younger_than(STALE_MS, now);
            let why = || failure.clone().unwrap_or(UNFINISHED);
            Some(last_good.ok_or_else(why))
        })
    }

    fn hold<T>(&self, work: impl FnOnce(&mut Held) -> T) -> T {
        work(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    fn younger_than(&self, max_ms: u64, now: Timestamp) -> Option<Arc<Jwks>> {
        let (keys, since) = self.keys.as_ref()?;
        is_within(*since, now, max_ms).then(|| Arc::clone(keys))
    }
}

/// Says whether `since` lies at most so long back. A moment in the future does not count: the
/// clock was set back, and what is held may be of any age.
fn is_within(since: Timestamp, now: Timestamp, max_ms: u64) -> bool {
    since <= now && now.millis_since(since) < max_ms
}

const UNFINISHED: TokenRefused = TokenRefused::Unavailable("the keys are not there yet");

/// A key that its provider withdrew is trusted for so long at most while the provider answers.
const TTL_MS: u64 = 10 * 60 * 1_000;

/// Between two fetches of one URL: a flood of made-up key ids costs the provider two a minute,
/// and a provider that rotates without notice is followed within half a minute.
const COOL_DOWN_MS: u64 = 30 * 1_000;

/// While the provider does not answer, its last good keys serve for so long.
const STALE_MS: u64 = 60 * 60 * 1_000;

/// Providers of all tenants together; each entry is a few KiB, the least used one goes first.
const URLS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");
