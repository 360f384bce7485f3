//! The listeners of one kind, in order.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use smallvec::SmallVec;

use super::gate::Word;
use crate::id::Key;

/// An ordered list in chunks that snapshots share.
///
/// A change touches one chunk, and copies it only while a snapshot shares it; a snapshot is a list of the chunks. So a
/// listener comes or goes in `O(log n + CHUNK)` steps, and a snapshot takes `n / CHUNK`.
///
/// `V` is a counted reference: copying one runs no user code, and a copy is dropped in here only while another is left.
pub(crate) struct Roll<V> {
    /// By a lower bound of the chunk's keys, above those of the chunk before. No chunk is empty.
    chunks: BTreeMap<Key, Arc<Chunk<V>>>,
    len: usize,
}

/// A run of entries in ascending order of their keys.
pub(crate) type Chunk<V> = SmallVec<[Entry<V>; 1]>;

/// All of a roll's chunks at one time, in order.
pub(crate) type Chunks<V> = SmallVec<[Arc<Chunk<V>>; 1]>;

#[derive(Clone)]
pub(crate) struct Entry<V> {
    pub(crate) mark: Mark,
    pub(crate) value: V,
}

/// What a list notes of a listener: its key, and the word of its gate under which it can be called with no further question.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    // Not a `Key`: beside its padding the word would take another 8 bytes.
    number: NonZeroU64,
    rank: i32,
    pub(crate) noted: Word,
}

impl Mark {
    pub(crate) fn new(key: Key, noted: Word) -> Self {
        Self { number: key.number, rank: key.rank, noted }
    }

    #[inline]
    pub(crate) fn key(self) -> Key {
        Key { rank: self.rank, number: self.number }
    }
}

impl<V> Entry<V> {
    #[inline]
    pub(crate) fn key(&self) -> Key {
        self.mark.key()
    }
}

const CHUNK: usize = 64;
/// A chunk with so few left looks for a neighbour to join, if together they leave room for more.
const SPARSE: usize = CHUNK / 4;
const JOINED: usize = CHUNK / 4 * 3;

impl<V: Clone> Roll<V> {
    pub(crate) const fn new() -> Self {
        Self { chunks: BTreeMap::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn chunks(&self) -> Chunks<V> {
        self.chunks.values().cloned().collect()
    }

    /// The chunk that holds this key, or where it would go; none if it comes before all.
    fn chunk_of(&mut self, key: Key) -> Option<(Key, &mut Arc<Chunk<V>>)> {
        // Listeners mostly come, and often go, at the end.
        match self.chunks.last_key_value() {
            Some((&last, _)) if last <= key => self.chunks.last_entry().map(|chunk| (last, chunk.into_mut())),
            _ => self.chunks.range_mut(..=key).next_back().map(|(&at, chunk)| (at, chunk)),
        }
    }

    pub(crate) fn insert(&mut self, entry: Entry<V>) {
        self.len += 1;
        let key = entry.key();
        let Some((at, chunk)) = self.chunk_of(key) else {
            // It comes before all others: the first chunk takes it, under a new bound.
            match self.chunks.pop_first() {
                Some((_, mut first)) if first.len() < CHUNK => {
                    Arc::make_mut(&mut first).insert(0, entry);
                    self.chunks.insert(key, first);
                }
                full => {
                    self.chunks.extend(full);
                    self.chunks.insert(key, Arc::new(SmallVec::from_iter([entry])));
                }
            }
            return;
        };
        let place = chunk.partition_point(|other| other.key() < key);
        if chunk.len() < CHUNK {
            Arc::make_mut(chunk).insert(place, entry);
        } else if place == CHUNK {
            // Listeners mostly come in the order of their keys: full chunks stay full.
            self.chunks.insert(key, Arc::new(SmallVec::from_iter([entry])));
        } else {
            let chunk = Arc::make_mut(chunk);
            let mut upper: Chunk<V> = chunk.drain(CHUNK / 2..).collect();
            if place <= CHUNK / 2 {
                chunk.insert(place, entry);
            } else {
                upper.insert(place - CHUNK / 2, entry);
            }
            debug_assert!(at < upper[0].key());
            self.chunks.insert(upper[0].key(), Arc::new(upper));
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Entry<V>> {
        let (_, chunk) = self.chunks.range(..=key).next_back()?;
        Some(&chunk[place_of(chunk, key)?])
    }

    /// Notes another word for the value of this key, if it is there.
    pub(crate) fn note(&mut self, key: Key, word: impl FnOnce(&V) -> Word) {
        if let Some((_, chunk)) = self.chunk_of(key)
            && let Some(place) = place_of(chunk, key)
        {
            let entry = &mut Arc::make_mut(chunk)[place];
            entry.mark.noted = word(&entry.value);
        }
    }

    /// Hands the value back, for the caller to drop where user code may run.
    pub(crate) fn remove(&mut self, key: Key) -> Option<V> {
        let (at, chunk) = self.chunk_of(key)?;
        let place = place_of(chunk, key)?;
        let removed = Arc::make_mut(chunk).remove(place).value;
        let left = chunk.len();
        self.len -= 1;
        if left == 0 {
            self.chunks.remove(&at);
        } else if left <= SPARSE {
            self.join(at, left);
        }
        Some(removed)
    }

    /// Joins the chunk at this bound with a neighbour, if there is one with room.
    fn join(&mut self, at: Key, len: usize) {
        let fits = |(_, chunk): &(&Key, &Arc<Chunk<V>>)| len + chunk.len() <= JOINED;
        let behind = self.chunks.range((Excluded(at), Unbounded)).next().filter(fits).map(|(&key, _)| (at, key));
        let before = || self.chunks.range(..at).next_back().filter(fits).map(|(&key, _)| (key, at));
        if let Some((lower, upper)) = behind.or_else(before)
            && let Some(upper) = self.chunks.remove(&upper)
            && let Some(lower) = self.chunks.get_mut(&lower)
        {
            Arc::make_mut(lower).extend(upper.iter().cloned());
        }
    }

    /// Hands everything back.
    pub(crate) fn clear(&mut self) -> Chunks<V> {
        self.len = 0;
        std::mem::take(&mut self.chunks).into_values().collect()
    }
}

fn place_of<V>(chunk: &Chunk<V>, key: Key) -> Option<usize> {
    chunk.binary_search_by_key(&key, Entry::key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::gate::Gate;
    use proptest::prelude::*;

    fn entry(key: Key) -> Entry<Arc<Key>> {
        Entry { mark: Mark::new(key, Gate::new(false, false).word()), value: Arc::new(key) }
    }

    fn keys(chunks: &Chunks<Arc<Key>>) -> Vec<Key> {
        chunks.iter().flat_map(|chunk| chunk.iter().map(Entry::key)).collect()
    }

    fn check(roll: &Roll<Arc<Key>>, model: &[Key]) {
        assert_eq!(keys(&roll.chunks()), model);
        assert_eq!(roll.len(), model.len());
        let mut chunks = roll.chunks.iter().peekable();
        while let Some((&bound, chunk)) = chunks.next() {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK);
            assert!(bound <= chunk[0].key());
            if let Some(&(&next, _)) = chunks.peek() {
                assert!(chunk[chunk.len() - 1].key() < next);
            }
        }
    }

    proptest! {
        #[test]
        fn a_roll_is_a_sorted_list_and_its_snapshots_never_change(
            steps in prop::collection::vec((-2..=2_i32, any::<prop::sample::Index>(), 0..10_u8), 1..600),
        ) {
            let (mut roll, mut model) = (Roll::new(), Vec::new());
            let mut kept = Vec::new();
            for (priority, index, what) in steps {
                match what {
                    0..6 => {
                        let key = Key::next(priority);
                        roll.insert(entry(key));
                        model.push(key);
                        model.sort();
                    }
                    6..9 if !model.is_empty() => {
                        let key = model.remove(index.index(model.len()));
                        prop_assert_eq!(roll.remove(key).map(|value| *value), Some(key));
                        prop_assert!(roll.remove(key).is_none() && roll.get(key).is_none());
                    }
                    _ => kept.push((roll.chunks(), model.clone())),
                }
                check(&roll, &model);
            }
            for (chunks, model) in &kept {
                prop_assert_eq!(&keys(chunks), model);
            }
            for &key in &model {
                prop_assert_eq!(roll.get(key).map(Entry::key), Some(key));
            }
            prop_assert_eq!(keys(&roll.clear()), model);
            prop_assert!(roll.chunks.is_empty() && roll.len() == 0);
        }
    }

    #[test]
    fn chunks_stay_full_when_listeners_come_and_few_when_they_go() {
        let mut roll = Roll::new();
        let keys: Vec<_> = (0..6400).map(|_| Key::next(0)).collect();
        for &key in &keys {
            roll.insert(entry(key));
        }
        assert_eq!(roll.chunks.len(), 100);
        for (n, &key) in keys.iter().enumerate() {
            if n % 50 != 0 {
                roll.remove(key);
            }
        }
        assert_eq!(roll.len(), 128);
        assert!(roll.chunks.len() <= 8, "{} chunks", roll.chunks.len());
    }
}
