//! The table of the event types a bus knows.

use std::any::TypeId;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use crate::sync::{AtomicUsize, Mutex, Ordering};

/// From a type to what the bus keeps for it. It only grows: a bus knows few types, and never forgets one.
///
/// Lookups take no lock and write nothing. There are several generations of the table, each larger than the one before and
/// holding all that it held; a lookup probes the latest. Who adds a type holds the lock and fills the latest generation, or
/// makes the next one and then says so.
pub(crate) struct TypeTable<V> {
    latest: AtomicUsize,
    generations: [OnceLock<Generation<V>>; GENERATIONS],
    /// Every value, in the order of its number.
    known: Mutex<Vec<(TypeId, V)>>,
}

type Generation<V> = Box<[OnceLock<(TypeId, V)>]>;

const FIRST: usize = 8;
/// A power of two, for the look-up's sake.
const GENERATIONS: usize = 8;

impl<V: Clone> TypeTable<V> {
    pub(crate) fn new() -> Self {
        Self {
            latest: AtomicUsize::new(0),
            generations: [const { OnceLock::new() }; GENERATIONS],
            known: Mutex::new(Vec::new()),
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: TypeId) -> Option<&V> {
        // Acquire, for what the one who made the generation wrote into it.
        let generation = self.generations[self.latest.load(Ordering::Acquire) % GENERATIONS].get()?;
        probe(generation, id)?.get().map(|(_, value)| value)
    }

    /// The value of this type. `make` gets its number and may not run user code.
    pub(crate) fn get_or_insert_with(&self, id: TypeId, make: impl FnOnce(u32) -> V) -> V {
        let mut known = self.known.lock();
        if let Some(value) = self.get(id) {
            return value.clone();
        }
        let Ok(number) = u32::try_from(known.len()) else { unreachable!("no program has so many types") };
        known.push((id, make(number)));

        let latest = self.latest.load(Ordering::Relaxed);
        // At most three quarters full, so that every probe comes to an end, and soon.
        let fits = |generation: usize| known.len() * 4 <= (FIRST << (2 * generation)) * 3;
        let wanted = (latest..GENERATIONS).find(|&generation| fits(generation)).unwrap_or(GENERATIONS - 1);
        let generation = self.generations[wanted].get_or_init(|| {
            let buckets = (0..FIRST << (2 * wanted)).map(|_| OnceLock::new()).collect();
            known.iter().for_each(|entry| place(&buckets, entry));
            buckets
        });
        if let Some(entry) = known.last() {
            place(generation, entry);
        }
        self.latest.store(wanted, Ordering::Release);
        known[number as usize].1.clone()
    }

    pub(crate) fn numbered(&self, number: u32) -> Option<V> {
        self.known.lock().get(number as usize).map(|(_, value)| value.clone())
    }

    pub(crate) fn all(&self) -> Vec<V> {
        self.known.lock().iter().map(|(_, value)| value.clone()).collect()
    }
}

/// The bucket that holds this type, or the empty one where it would be.
#[inline]
fn probe<V>(buckets: &[OnceLock<(TypeId, V)>], id: TypeId) -> Option<&OnceLock<(TypeId, V)>> {
    let mut hash = Identity(0);
    id.hash(&mut hash);
    #[expect(clippy::cast_possible_truncation, reason = "any of its bits will do")]
    let mut at = hash.0 as usize;
    loop {
        let bucket = buckets.get(at & (buckets.len().wrapping_sub(1)))?;
        match bucket.get() {
            Some((there, _)) if *there != id => at = at.wrapping_add(1),
            _ => return Some(bucket),
        }
    }
}

fn place<V: Clone>(buckets: &Generation<V>, (id, value): &(TypeId, V)) {
    if let Some(bucket) = probe(buckets, *id) {
        bucket.get_or_init(|| (*id, value.clone()));
    }
}

/// A type's id is a hash already.
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Type<const N: usize>;

    macro_rules! ids {
        ($($n:literal)*) => { [$(TypeId::of::<Type<$n>>()),*] };
    }

    #[test]
    fn every_type_keeps_its_value_while_the_table_grows() {
        let ids = ids![0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39];
        let table = TypeTable::new();
        for (n, &id) in (0_u32..).zip(&ids) {
            assert_eq!(table.get(id), None);
            assert_eq!(table.get_or_insert_with(id, |number| number), n);
            assert_eq!(table.get_or_insert_with(id, |_| unreachable!("it is known")), n);
            for (m, &earlier) in (0..=n).zip(&ids) {
                assert_eq!(table.get(earlier), Some(&m));
            }
        }
        assert_eq!(table.all(), (0..40).collect::<Vec<_>>());
        assert_eq!(table.numbered(39), Some(39));
        assert_eq!(table.numbered(40), None);
    }
}
