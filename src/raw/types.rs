//! The event types that a bus knows.

use std::any::TypeId;
use std::hash::{Hash, Hasher};

use super::table::Table;
use crate::sync::Mutex;

/// From a type to what the bus keeps for it. It only grows: a bus knows few types, and never forgets one.
pub(crate) struct TypeTable<V> {
    table: Table<TypeId, V>,
    /// Every value, in the order of its number.
    known: Mutex<Vec<V>>,
}

impl<V: Clone> TypeTable<V> {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), known: Mutex::new(Vec::new()) }
    }

    #[inline]
    pub(crate) fn get(&self, id: TypeId) -> Option<&V> {
        self.table.get(hash(id), |&other| other == id)
    }

    /// The value of this type. `make` gets its number and may not run user code.
    pub(crate) fn get_or_insert_with(&self, id: TypeId, make: impl FnOnce(u32) -> V) -> V {
        let mut known = self.known.lock();
        if let Some(value) = self.get(id) {
            return value.clone();
        }
        let Ok(number) = u32::try_from(known.len()) else { unreachable!("no program has so many types") };
        let value = make(number);
        known.push(value.clone());
        self.table.add(hash(id), id, value.clone());
        value
    }

    pub(crate) fn numbered(&self, number: u32) -> Option<V> {
        self.known.lock().get(number as usize).cloned()
    }

    pub(crate) fn all(&self) -> Vec<V> {
        self.known.lock().clone()
    }
}

#[inline]
fn hash(id: TypeId) -> u64 {
    let mut hash = Identity(0);
    id.hash(&mut hash);
    hash.0
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
    use std::collections::HashSet;

    use super::*;

    struct Type<const N: usize>;

    macro_rules! ids {
        ($($n:literal)*) => { [$(TypeId::of::<Type<$n>>()),*] };
    }

    #[test]
    fn every_type_has_a_value_and_a_number() {
        let ids = ids![0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19];
        let table = TypeTable::new();
        for (n, &id) in (0_u32..).zip(&ids) {
            assert_eq!(table.get(id), None);
            assert_eq!(table.get_or_insert_with(id, |number| number), n);
            assert_eq!(table.get_or_insert_with(id, |_| unreachable!("it is known")), n);
            assert_eq!(table.get(id), Some(&n));
        }
        assert_eq!(table.all(), (0..20).collect::<Vec<_>>());
        assert_eq!(table.numbered(19), Some(19));
        assert_eq!(table.numbered(20), None);
    }

    #[test]
    fn types_have_hashes_of_their_own() {
        let hashes: HashSet<_> = ids![0 1 2 3 4 5 6 7 8 9].into_iter().map(hash).collect();
        assert_eq!(hashes.len(), 10);
        // Should a type's id ever be hashed as bytes.
        let bytes: HashSet<_> = [[1, 2], [2, 1], [3, 3], [0, 3]]
            .map(|bytes| {
                let mut hash = Identity(0);
                hash.write(&bytes);
                hash.finish()
            })
            .into();
        assert_eq!(bytes.len(), 4);
    }
}
