//! What threads count, each in a place of its own.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::sync::{Counter, Ordering, thread_cells};

/// A few of one thing, of which each thread uses its own: threads that write at once write to different memory.
///
/// One is made when its first thread comes. While more threads live than there are places, some share theirs, so a `V` is safe to share,
/// and only seldom shared.
pub(crate) struct Shards<V>([OnceLock<Box<Apart<V>>>; SHARDS]);

/// On cache lines of its own; two, because processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Apart<V>(V);

const SHARDS: usize = 16;

impl<V: Default> Shards<V> {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; SHARDS])
    }

    /// This thread's.
    #[inline]
    pub(crate) fn mine(&self) -> &V {
        &self.0[number() % SHARDS].get_or_init(Box::default).0
    }

    /// All there are.
    pub(crate) fn all(&self) -> impl Iterator<Item = &V> {
        self.0.iter().filter_map(OnceLock::get).map(|apart| &apart.0)
    }
}

/// A thread's number, given back when the thread ends.
struct Number(Cell<Option<u32>>);

thread_cells! { static NUMBER: Number = Number(Cell::new(None)); }

/// The numbers in use, as bits: a thread gets the lowest that is free, so that the few threads of a program have the first few numbers.
static TAKEN: Counter = Counter::new(0);

/// Tells this thread from others that live, as long as these are not more than 64. In another thread-local's destructor it may be 0.
#[inline]
fn number() -> usize {
    NUMBER.try_with(|number| number.0.get().unwrap_or_else(|| number.take())).unwrap_or(0) as usize
}

impl Number {
    #[cold]
    fn take(&self) -> u32 {
        static FURTHER: Counter = Counter::new(0);
        // Relaxed: only the numbers matter; what the shards keep is safe to share.
        let lowest_free = |taken: u64| (taken != u64::MAX).then_some(taken | taken.wrapping_add(1));
        let number = match TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lowest_free) {
            Ok(taken) => taken.trailing_ones(),
            // Spread over what the others use.
            Err(_) => u64::BITS + (FURTHER.fetch_add(1, Ordering::Relaxed) % 64) as u32,
        };
        self.0.set(Some(number));
        number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        if let Some(number) = self.0.get().filter(|&number| number < u64::BITS) {
            TAKEN.fetch_and(!(1 << number), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::sync::{AtomicU64, Mutex};

    #[test]
    fn threads_that_live_at_once_have_numbers_and_places_of_their_own() {
        let (tell, told) = channel();
        let go_on = Mutex::new(());
        let shards = Shards::<u8>::new();
        let wait = go_on.lock();
        thread::scope(|threads| {
            for _ in 0..8 {
                let (tell, go_on, shards) = (tell.clone(), &go_on, &shards);
                threads.spawn(move || {
                    tell.send((number(), std::ptr::from_ref(shards.mine()).addr())).unwrap();
                    drop(go_on.lock());
                });
            }
            let (numbers, places): (HashSet<_>, HashSet<_>) = told.iter().take(8).unzip();
            assert_eq!(numbers.len(), 8, "{numbers:?}");
            // Other tests' threads have numbers too, so that some of these may share a place.
            assert!(places.len() > 1, "{places:?}");
            assert!(places.iter().all(|place| place % 128 == 0), "{places:?}");
            drop(wait);
        });
    }

    #[test]
    fn numbers_are_given_back_so_that_they_stay_low() {
        let number = || thread::spawn(number).join().unwrap();
        // Other tests' threads live meanwhile, but no thousand of them.
        assert!((0..1_000).all(|_| number() < 64));
    }

    #[test]
    fn what_more_threads_count_than_there_are_shards_adds_up() {
        let shards = Shards::<AtomicU64>::new();
        thread::scope(|threads| {
            for _ in 0..2 * SHARDS {
                threads.spawn(|| {
                    for _ in 0..1_000 {
                        shards.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let counts: Vec<_> = shards.all().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(counts.iter().sum::<u64>(), 2_000 * SHARDS as u64);
        assert!(counts.len() <= SHARDS);
    }
}
