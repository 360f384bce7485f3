//! A hash table that is read without a lock.

use std::sync::OnceLock;

use crate::sync::{AtomicUsize, Ordering};

/// A hash table that only grows. Look-ups take no lock and write nothing; who adds holds a lock of their own.
///
/// There are several generations of buckets, each larger than the one before and holding all that it held; a look-up probes the
/// latest. Who adds fills the latest generation, or makes the next one and then says so.
pub(crate) struct Table<K, V> {
    latest: AtomicUsize,
    len: AtomicUsize,
    generations: [OnceLock<Buckets<K, V>>; GENERATIONS],
}

type Buckets<K, V> = Box<[Bucket<K, V>]>;

/// Begins a cache line, so that a look at a small one is a look at one line.
#[repr(align(64))]
struct Bucket<K, V>(OnceLock<(u64, K, V)>);

const FIRST: usize = 8;
/// A power of two, for the look-up's sake.
const GENERATIONS: usize = 8;

impl<K: Clone, V: Clone> Table<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            latest: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            generations: [const { OnceLock::new() }; GENERATIONS],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// The value of the key with this hash of which `is_it` is true.
    #[inline]
    pub(crate) fn get(&self, hash: u64, is_it: impl Fn(&K) -> bool) -> Option<&V> {
        // Acquire, for what the one who made the generation wrote into it.
        let buckets = self.generations[self.latest.load(Ordering::Acquire) % GENERATIONS].get()?;
        probe(buckets, hash, is_it)?.0.get().map(|(_, _, value)| value)
    }

    /// Adds a key that isn't there. Only one thread at a time may be here.
    pub(crate) fn add(&self, hash: u64, key: K, value: V) {
        let len = self.len.load(Ordering::Relaxed) + 1;
        let latest = self.latest.load(Ordering::Relaxed);
        // At most three quarters full, so that every probe comes to an end, and soon.
        let has_room = |generation: &usize| len * 4 <= size(*generation) * 3;
        let wanted =
            (latest..GENERATIONS).find(has_room).unwrap_or_else(|| unreachable!("the table is larger than any need"));
        let buckets = self.generations[wanted].get_or_init(|| {
            let buckets: Buckets<K, V> = (0..size(wanted)).map(|_| Bucket(OnceLock::new())).collect();
            let old = self.generations[latest].get().into_iter().flatten().filter_map(|bucket| bucket.0.get());
            for (hash, key, value) in old {
                place(&buckets, *hash, key.clone(), value.clone());
            }
            buckets
        });
        place(buckets, hash, key, value);
        self.len.store(len, Ordering::Relaxed);
        self.latest.store(wanted, Ordering::Release);
    }
}

fn size(generation: usize) -> usize {
    FIRST << (2 * generation)
}

/// The bucket that holds this key, or the empty one where it would be.
#[inline]
fn probe<K, V>(buckets: &[Bucket<K, V>], hash: u64, is_it: impl Fn(&K) -> bool) -> Option<&Bucket<K, V>> {
    #[expect(clippy::cast_possible_truncation, reason = "any of its bits will do")]
    let mut at = hash as usize;
    loop {
        let bucket = buckets.get(at & (buckets.len().wrapping_sub(1)))?;
        match bucket.0.get() {
            Some((other, key, _)) if *other != hash || !is_it(key) => at = at.wrapping_add(1),
            _ => return Some(bucket),
        }
    }
}

fn place<K, V>(buckets: &[Bucket<K, V>], hash: u64, key: K, value: V) {
    if let Some(bucket) = probe(buckets, hash, |_| false) {
        bucket.0.get_or_init(|| (hash, key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_keeps_its_value_while_the_table_grows() {
        let table = Table::new();
        for n in 0..1_000_u64 {
            // Few hashes, so that keys share them.
            let hash = |n: u64| n % 100;
            assert_eq!(table.get(hash(n), |&key| key == n), None);
            table.add(hash(n), n, n * 2);
            assert_eq!(table.len() as u64, n + 1);
            for m in (0..=n).step_by(37) {
                assert_eq!(table.get(hash(m), |&key| key == m), Some(&(m * 2)));
            }
        }
    }

    #[test]
    fn there_is_room_for_any_need() {
        let table = Table::new();
        for n in 0..70_000_u64 {
            table.add(n, n, ());
        }
        assert!((0..70_000).all(|n| table.get(n, |&key| key == n).is_some()));
        assert!(table.get(70_000, |&key| key == 70_000).is_none());
    }
}
