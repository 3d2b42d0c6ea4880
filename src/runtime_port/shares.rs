//! How many of something each holds, with a bound: nobody takes what is there for all.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// What each key holds. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Shares<K> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
}

/// One that a key holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Share<K: Copy + Eq + Hash> {
    shares: Shares<K>,
    key: K,
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// Shares of `most` each.
    pub(super) fn of(most: usize) -> Self {
        Self {
            held: Arc::default(),
            most,
        }
    }

    /// One more, where its share is not used up.
    pub(super) fn take(&self, key: K) -> Option<Share<K>> {
        self.take_within(key, self.most)
    }

    /// One more, where it holds fewer than `most`.
    pub(super) fn take_within(&self, key: K, most: usize) -> Option<Share<K>> {
        // A map is whole at every moment, whoever panicked while holding it.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key).or_default();
        if *count >= most.min(self.most) {
            if *count == 0 {
                held.remove(&key);
            }
            return None;
        }
        *count += 1;
        Some(Share {
            shares: self.clone(),
            key,
        })
    }

    /// Whether nobody holds anything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.held.lock().unwrap().is_empty()
    }
}

impl<K: Copy + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let held = &self.shares.held;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// Who counts as one: an address, and of IPv6 the /64 that one customer is given.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_share_and_gives_back_what_it_held() {
        let shares = Shares::of(2);
        let mine = [shares.take('a'), shares.take('a')];
        assert!(mine.iter().all(Option::is_some));
        assert!(shares.take('a').is_none());
        assert!(shares.take('b').is_some(), "another's share is its own");
        drop(mine);
        assert!(shares.take('a').is_some());
        assert!(shares.is_empty(), "nothing stays");
    }

    #[test]
    fn a_customers_ipv6_network_is_one_address() {
        let one = |text: &str| network(text.parse().unwrap());
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:1"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:10.0.0.1"), one("10.0.0.1"));
        assert_ne!(one("10.0.0.1"), one("10.0.0.2"));
    }
}
