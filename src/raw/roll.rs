//! The listeners of one kind, in order.

use std::num::NonZeroU64;
use std::slice;
use std::sync::Arc;

use smallvec::SmallVec;

use super::gate::Word;
use crate::id::{Key, ListenerId};

/// An ordered list in chunks that snapshots share.
///
/// A change touches one chunk, and copies it only while a snapshot shares it; a snapshot is a list of the chunks. So a
/// listener comes or goes in `O(log n + CHUNK)` steps and, once in half a chunk's worth of them, moves the list of the chunks
/// behind, `n / CHUNK` short entries; a snapshot takes `n / CHUNK` steps.
///
/// `V` is a counted reference: copying one runs no user code, and a copy is dropped in here only while another is left.
pub(crate) struct Roll<V> {
    /// Each with a lower bound of its keys, which is above those of the chunk before. No chunk is empty.
    chunks: SmallVec<[(Key, Arc<Chunk<V>>); 1]>,
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

/// Which listener is called. Its name is made when somebody asks for it: two words are handed on in registers, and most ask for nothing.
#[derive(Clone, Copy)]
pub(crate) struct Called<'a> {
    home: u32,
    mark: &'a Mark,
}

impl<'a> Called<'a> {
    #[inline]
    pub(crate) fn new(home: u32, mark: &'a Mark) -> Self {
        Self { home, mark }
    }

    #[inline]
    pub(crate) fn id(self) -> ListenerId {
        ListenerId::new(self.home, self.mark.key())
    }
}

impl<V> Entry<V> {
    #[inline]
    pub(crate) fn key(&self) -> Key {
        self.mark.key()
    }
}

/// A list to be gone through.
pub(crate) enum List<'a, V> {
    Chunks(&'a [Arc<Chunk<V>>]),
    Single(&'a Entry<V>),
}

/// The entries of a list, one after the other.
pub(crate) struct Entries<'a, V> {
    chunks: slice::Iter<'a, Arc<Chunk<V>>>,
    entries: slice::Iter<'a, Entry<V>>,
}

const CHUNK: usize = 64;
/// A chunk with so few left looks for a neighbour to join, if together they leave room for more.
const SPARSE: usize = CHUNK / 4;
const JOINED: usize = CHUNK / 4 * 3;

impl<V: Clone> Roll<V> {
    pub(crate) const fn new() -> Self {
        Self { chunks: SmallVec::new_const(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn chunks(&self) -> Chunks<V> {
        self.chunks.iter().map(|(_, chunk)| Arc::clone(chunk)).collect()
    }

    /// Which chunk holds this key, or would; none if the key comes before all.
    fn chunk_of(&self, key: Key) -> Option<usize> {
        // Listeners mostly come, and often go, at the end.
        match self.chunks.last() {
            Some((last, _)) if *last <= key => Some(self.chunks.len() - 1),
            _ => self.chunks.partition_point(|(bound, _)| *bound <= key).checked_sub(1),
        }
    }

    /// In which chunk this key is, and where in it.
    fn place_of(&self, key: Key) -> Option<(usize, usize)> {
        let at = self.chunk_of(key)?;
        Some((at, self.chunks[at].1.binary_search_by_key(&key, Entry::key).ok()?))
    }

    pub(crate) fn insert(&mut self, entry: Entry<V>) {
        self.len += 1;
        let key = entry.key();
        let at = self.chunk_of(key).unwrap_or(0);
        let Some((bound, chunk)) = self.chunks.get_mut(at) else {
            self.chunks.push((key, Arc::new(SmallVec::from_iter([entry]))));
            return;
        };
        *bound = key.min(*bound);
        let place = chunk.partition_point(|other| other.key() < key);
        if chunk.len() < CHUNK {
            Arc::make_mut(chunk).insert(place, entry);
            return;
        }
        // Listeners mostly come in the order of their keys: so that full chunks stay full, such a one begins a new chunk.
        let split = if place == CHUNK { CHUNK } else { CHUNK / 2 };
        let lower = Arc::make_mut(chunk);
        let mut upper: Chunk<V> = lower.drain(split..).collect();
        if place < split {
            lower.insert(place, entry);
        } else {
            upper.insert(place - split, entry);
        }
        self.chunks.insert(at + 1, (upper[0].key(), Arc::new(upper)));
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Entry<V>> {
        let (at, place) = self.place_of(key)?;
        Some(&self.chunks[at].1[place])
    }

    /// Notes another word for the value of this key, if it is there.
    pub(crate) fn note(&mut self, key: Key, word: impl FnOnce(&V) -> Word) {
        if let Some((at, place)) = self.place_of(key) {
            let entry = &mut Arc::make_mut(&mut self.chunks[at].1)[place];
            entry.mark.noted = word(&entry.value);
        }
    }

    /// Hands the value back, for the caller to drop where user code may run.
    pub(crate) fn remove(&mut self, key: Key) -> Option<V> {
        let (at, place) = self.place_of(key)?;
        let chunk = Arc::make_mut(&mut self.chunks[at].1);
        let removed = chunk.remove(place).value;
        self.len -= 1;
        match chunk.len() {
            0 => drop(self.chunks.remove(at)),
            1..=SPARSE => self.join(at),
            _ => {}
        }
        Some(removed)
    }

    /// Joins this chunk with a neighbour, if there is one with room.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.chunks.get(at).map(|(_, chunk)| chunk.len());
        let fits = |lower: usize| Some(len(lower)? + len(lower + 1)? <= JOINED);
        let Some(lower) = [Some(at), at.checked_sub(1)].into_iter().flatten().find(|&lower| fits(lower) == Some(true))
        else {
            return;
        };
        let (_, upper) = self.chunks.remove(lower + 1);
        Arc::make_mut(&mut self.chunks[lower].1).extend(upper.iter().cloned());
    }

    /// Hands everything back.
    pub(crate) fn clear(&mut self) -> Chunks<V> {
        self.len = 0;
        std::mem::take(&mut self.chunks).into_iter().map(|(_, chunk)| chunk).collect()
    }
}

impl<V> Clone for List<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for List<'_, V> {}

impl<V> Default for List<'_, V> {
    fn default() -> Self {
        Self::Chunks(&[])
    }
}

impl<'a, V> List<'a, V> {
    /// All of them, or those behind the one that is done.
    #[inline]
    pub(crate) fn behind(self, done: Option<Key>) -> Entries<'a, V> {
        let (chunks, entries): (&[_], &[_]) = match (self, done) {
            (Self::Chunks(chunks), None) => (chunks, &[]),
            (Self::Single(entry), None) => (&[], slice::from_ref(entry)),
            (_, Some(done)) => self.rest(done),
        };
        Entries { chunks: chunks.iter(), entries: entries.iter() }
    }

    #[cold]
    fn rest(self, done: Key) -> (&'a [Arc<Chunk<V>>], &'a [Entry<V>]) {
        let is_done = |entry: &Entry<V>| entry.key() <= done;
        let (chunks, entries): (_, &[_]) = match self {
            Self::Chunks(chunks) => (&chunks[chunks.partition_point(|chunk| chunk.last().is_none_or(is_done))..], &[]),
            Self::Single(entry) => (Default::default(), slice::from_ref(entry)),
        };
        let (entries, chunks) = chunks.split_first().map_or((entries, chunks), |(first, rest)| (&first[..], rest));
        (chunks, &entries[entries.partition_point(is_done)..])
    }
}

impl<'a, V> Entries<'a, V> {
    pub(crate) fn peek(&mut self) -> Option<&'a Entry<V>> {
        loop {
            if let Some(entry) = self.entries.as_slice().first() {
                return Some(entry);
            }
            self.entries = self.chunks.next()?.iter();
        }
    }
}

impl<'a, V> Iterator for Entries<'a, V> {
    type Item = &'a Entry<V>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<V>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(entry);
            }
            self.entries = self.chunks.next()?.iter();
        }
    }
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
        while let Some((bound, chunk)) = chunks.next() {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK);
            assert!(*bound <= chunk[0].key());
            if let Some((next, _)) = chunks.peek() {
                assert!(chunk[chunk.len() - 1].key() < *next);
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
    fn a_sparse_chunk_joins_no_full_one() {
        let mut roll = Roll::new();
        let mut keys: Vec<_> = (0..2 * CHUNK).map(|_| Key::next(0)).collect();
        for &key in &keys {
            roll.insert(entry(key));
        }
        for key in keys.drain(1..CHUNK) {
            roll.remove(key);
        }
        check(&roll, &keys);
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
