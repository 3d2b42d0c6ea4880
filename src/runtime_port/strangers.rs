//! What whoever shows no certificate may cost: rates, signing, memory; judged before a byte of what
//! they sent is read.
//!
//! Two rates, the one for the address first: whoever is over it takes nothing from the others.
//! Volatile: a restart forgives everybody.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use provost_protocol::{Code, Problem};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::shares::network;
use crate::telemetry::names::STRANGERS_REFUSED;

/// The rates of those who show no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrangerRates {
    /// Enrolments and recoveries a second from one address; ten times so many at once.
    pub per_address: NonZeroU32,
    /// The same in all; twice so many at once.
    pub in_all: NonZeroU32,
}

/// Lets strangers in, or says when to come back.
#[derive(Debug)]
pub(super) struct Strangers {
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    in_all: DefaultDirectRateLimiter,
    signing: Arc<Semaphore>,
    asked: AtomicU32,
    misses: Mutex<HashMap<IpAddr, Misses>>,
}

/// Tokens of one address that were refused.
#[derive(Debug, Clone, Copy)]
struct Misses {
    since: Instant,
    count: u32,
}

impl Strangers {
    pub(super) fn new(rates: StrangerRates) -> Self {
        let StrangerRates {
            per_address,
            in_all,
        } = rates;
        let burst = |rate: NonZeroU32, times: NonZeroU32| rate.saturating_mul(times);
        let address = Quota::per_second(per_address).allow_burst(burst(per_address, ADDRESS_BURST));
        let all = Quota::per_second(in_all).allow_burst(burst(in_all, ALL_BURST));
        Self {
            by_address: RateLimiter::keyed(address),
            in_all: RateLimiter::direct(all),
            signing: Arc::new(Semaphore::new(SIGNING_MAX)),
            asked: AtomicU32::new(0),
            misses: Mutex::default(),
        }
    }

    /// Takes a place for one request.
    ///
    /// # Errors
    /// 429 with when to come back.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(), Problem> {
        let network = network(address);
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked.is_multiple_of(SWEEP_EVERY) || self.by_address.len() >= ADDRESSES_MAX {
            // An address whose rate has recovered says no more than none.
            self.by_address.retain_recent();
            self.by_address.shrink_to_fit();
        }
        if self.by_address.len() >= ADDRESSES_MAX {
            return Err(crowded("addresses"));
        }
        if self.by_address.check_key(&network).is_err() {
            return Err(crowded("address"));
        }
        self.in_all.check().map_err(|_| crowded("all"))
    }

    /// Waits, for a moment only, for a place among those whose requests are checked and signed.
    ///
    /// # Errors
    /// 429 with when to come back.
    pub(super) async fn signing(&self) -> Result<OwnedSemaphorePermit, Problem> {
        match timeout(SIGNING_WITHIN, Arc::clone(&self.signing).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(crowded("signing")),
        }
    }

    /// Notes that a token, or a proof, was refused: ten of one address within a minute are one
    /// warning. True where that was the tenth.
    pub(super) fn missed(&self, address: IpAddr, code: Code) -> bool {
        metrics::counter!(STRANGERS_REFUSED, "why" => code.as_str()).increment(1);
        let told = self.count_miss(network(address), Instant::now());
        if told {
            tracing::warn!(
                peer.addr = %address,
                "{MISSES_TOLD} enrolments or recoveries of one address were refused within a minute"
            );
        }
        told
    }

    fn count_miss(&self, network: IpAddr, now: Instant) -> bool {
        let mut all = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |misses: &Misses| now.duration_since(misses.since) >= MISSES_WITHIN;
        if all.len() >= MISSES_MAX {
            all.retain(|_, misses| !over(misses));
        }
        if all.len() >= MISSES_MAX && !all.contains_key(&network) {
            return false;
        }
        let misses = all.entry(network).or_insert(Misses {
            since: now,
            count: 0,
        });
        if over(misses) {
            *misses = Misses {
                since: now,
                count: 0,
            };
        }
        misses.count = misses.count.saturating_add(1);
        misses.count == MISSES_TOLD
    }
}

impl Default for StrangerRates {
    fn default() -> Self {
        Self {
            per_address: PER_ADDRESS,
            in_all: IN_ALL,
        }
    }
}

fn crowded(why: &'static str) -> Problem {
    metrics::counter!(STRANGERS_REFUSED, "why" => why).increment(1);
    let detail = "too many enrolments and recoveries";
    Problem::new(Code::RateLimited, detail).retry_after_ms(RETRY_MS)
}

/// One a second from one address enrolls the machines behind one gateway faster than people unpack
/// them.
const PER_ADDRESS: NonZeroU32 = NonZeroU32::new(1).expect("one is not zero");

/// A rack that is switched on at once.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

/// Fifty signatures a second are one hundredth of a core, and a fleet of 10,000 in three minutes.
const IN_ALL: NonZeroU32 = NonZeroU32::new(50).expect("fifty is not zero");

/// Two seconds' worth at once.
const ALL_BURST: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

/// Addresses remembered at once. Each is forgotten ten seconds after its last request, so that this
/// takes six thousand new ones a second, which the handshakes before them do not let through.
const ADDRESSES_MAX: usize = 65_536;

/// The forgotten ones are swept so often: a pass over a few thousand entries takes a millisecond.
const SWEEP_EVERY: u32 = 4_096;

/// Checking a request and signing takes a few hundred microseconds: two at once leave the
/// processor to the runtimes that are in.
const SIGNING_MAX: usize = 2;

/// Whoever waits for longer than a person notices is told to come back.
const SIGNING_WITHIN: Duration = Duration::from_millis(500);

/// One place is free again.
const RETRY_MS: u64 = 1_000;

/// A person who pastes the wrong token tries a few times; a guess in a loop comes to ten at once.
const MISSES_TOLD: u32 = 10;

/// As the design of the alarm has it: ten within a minute.
const MISSES_WITHIN: Duration = Duration::from_secs(60);

/// Addresses that missed within a minute: beyond them the counter alone tells.
const MISSES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn strangers() -> Strangers {
        Strangers::new(StrangerRates::default())
    }

    fn v4(n: u32) -> IpAddr {
        IpAddr::V4(n.to_be_bytes().into())
    }

    #[test]
    fn one_address_is_let_in_ten_times_at_once_and_keeps_nobody_else_out() {
        let strangers = strangers();
        let let_in = |address| (0..50).filter(|_| strangers.admit(address).is_ok()).count();
        assert_eq!(let_in(v4(1)), 10);
        assert_eq!(let_in(v4(2)), 10);
        let refused = strangers.admit(v4(1)).unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert_eq!(refused.retry_after_ms, Some(RETRY_MS));
    }

    #[test]
    fn a_hundred_are_let_in_at_once_from_everywhere() {
        let strangers = strangers();
        let let_in = (0..1_000)
            .filter(|n| strangers.admit(v4(*n)).is_ok())
            .count();
        assert!((100..=110).contains(&let_in), "{let_in}");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let strangers = strangers();
        let host = |n: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, n));
        let let_in = (0..50)
            .filter(|n| strangers.admit(host(*n)).is_ok())
            .count();
        assert_eq!(let_in, 10);
        let other = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1));
        assert!(strangers.admit(other).is_ok());
        assert_eq!(network(v4(7)), network("::ffff:0.0.0.7".parse().unwrap()));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_room_than_there_is() {
        let strangers = strangers();
        for n in 0..100_000 {
            let _ = strangers.admit(v4(n));
        }
        assert!(strangers.by_address.len() <= ADDRESSES_MAX);
        let now = Instant::now();
        for n in 0..100_000 {
            strangers.count_miss(network(v4(n)), now);
        }
        assert!(strangers.misses.lock().unwrap().len() <= MISSES_MAX);
    }

    #[test]
    fn ten_misses_of_one_address_in_a_minute_are_told_once() {
        let strangers = strangers();
        let (now, one) = (Instant::now(), network(v4(1)));
        let told = (0..30).filter(|_| strangers.count_miss(one, now)).count();
        assert_eq!(told, 1);
        let later = now + MISSES_WITHIN;
        let told = (0..9).filter(|_| strangers.count_miss(one, later)).count();
        assert_eq!(told, 0);
        assert!(strangers.count_miss(one, later));
    }

    #[tokio::test(start_paused = true)]
    async fn a_third_signature_waits_for_half_a_second_and_is_refused() {
        let strangers = strangers();
        let held = (strangers.signing().await, strangers.signing().await);
        let begun = tokio::time::Instant::now();
        let refused = strangers.signing().await.unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert_eq!(begun.elapsed(), SIGNING_WITHIN);
        drop(held);
        assert!(strangers.signing().await.is_ok());
    }
}
