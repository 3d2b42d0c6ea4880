//! The sum of a state: one number over all keys and values that tells one content from another.
//!
//! Each key with its value is hashed (SHA-256 over the key's length as 8 bytes, key, value; the
//! first 16 bytes, big-endian) and the numbers are added modulo 2^128. Addition knows no order and
//! can be taken back, so a batch changes the sum by what it changes. It guards against damage, not
//! against people: whoever may write the state's files may write the sum too.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The sum over some keys and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum(u128);

impl Sum {
    /// Takes in one key and what it holds.
    pub(super) fn add(&mut self, key: &[u8], bytes: &[u8]) {
        self.0 = self.0.wrapping_add(number(key, bytes));
    }

    /// Takes one out that was taken in.
    pub(super) fn remove(&mut self, key: &[u8], bytes: &[u8]) {
        self.0 = self.0.wrapping_sub(number(key, bytes));
    }
}

fn number(key: &[u8], bytes: &[u8]) -> u128 {
    // Any length of ours fits 64 bits; the length tells where the key ends.
    let length = u64::try_from(key.len()).unwrap_or(u64::MAX);
    let hash: [u8; 32] = Sha256::new()
        .chain_update(length.to_le_bytes())
        .chain_update(key)
        .chain_update(bytes)
        .finalize()
        .into();
    let (first, _) = hash
        .split_first_chunk::<16>()
        .expect("a SHA-256 has 32 bytes");
    u128::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Sum {
        let mut sum = Sum::default();
        for (key, bytes) in pairs {
            sum.add(key.as_bytes(), bytes.as_bytes());
        }
        sum
    }

    #[test]
    fn golden_sum_of_one_pair_does_not_change() {
        // printf '\x01\0\0\0\0\0\0\0ab' | sha256sum
        let number = format!("{:032x}", of(&[("a", "b")]).0);
        assert_eq!(number, GOLDEN);
    }

    #[test]
    fn order_means_nothing_and_content_everything() {
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        assert_ne!(of(&[("a", "1"), ("b", "2")]), of(&[("a", "2"), ("b", "1")]));
        assert_ne!(of(&[("ab", "c")]), of(&[("a", "bc")]));
        assert_ne!(of(&[("a", "")]), Sum::default());
    }

    #[test]
    fn what_is_taken_out_was_never_in() {
        let mut sum = of(&[("a", "1"), ("b", "2")]);
        sum.remove(b"a", b"1");
        assert_eq!(sum, of(&[("b", "2")]));
        sum.remove(b"b", b"2");
        assert_eq!(sum, Sum::default());
    }

    const GOLDEN: &str = "daf8c173dba8deeb7e7971127b494fa3";
}
