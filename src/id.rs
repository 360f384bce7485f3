//! Names of listeners and emissions, unique in the process and never used twice.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;

use crate::sync::{Counter, Ordering, thread_cells};

/// Where a listener stands in the one order: a higher priority first, then the earlier registration.
///
/// The number is drawn from one counter for the whole process, so a key also says which listener of which bus is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Key {
    /// The priority's complement: it ascends where priorities descend.
    pub(crate) rank: i32,
    pub(crate) number: NonZeroU64,
}

impl Key {
    /// The next key of this priority. Two keys drawn under one lock are in the order they were drawn.
    pub(crate) fn next(priority: i32) -> Self {
        static NEXT: Counter = Counter::new(0);
        // Relaxed: only the numbers' uniqueness counts here; their order is the lock's.
        let number = NonZeroU64::MIN.saturating_add(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { rank: !priority, number }
    }

    pub(crate) fn priority(self) -> i32 {
        !self.rank
    }
}

/// The copyable name of a listener, as [`Subscription::id`](crate::Subscription::id) and
/// [`Subscription::detach`](crate::Subscription::detach) give it and [`Emitter::off`](crate::Emitter::off) takes it.
///
/// A name is unique in the process and never used again: `off` with the name of another bus's listener, or of one that is
/// gone, finds nothing and can't hit somebody else's.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// let id = bus.on(|n: &u32| println!("{n}")).detach();
/// assert!(bus.off(id));
/// assert!(!bus.off(id), "it is gone already");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId {
    number: NonZeroU64,
    rank: i32,
    /// Which of its bus's channels it listens on.
    home: u32,
}

impl ListenerId {
    pub(crate) fn new(home: u32, key: Key) -> Self {
        Self { number: key.number, rank: key.rank, home }
    }

    pub(crate) fn home(self) -> u32 {
        self.home
    }

    pub(crate) fn key(self) -> Key {
        Key { rank: self.rank, number: self.number }
    }
}

impl fmt::Debug for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListenerId({})", self.number)
    }
}

/// The name of one emission: what [`Context::id`](crate::Context::id), [`cause`](crate::Context::cause) and
/// [`origin`](crate::Context::origin) give, to tell which event came of which.
///
/// Unique in the process. Ids say nothing of time: each thread draws them from blocks of its own.
///
/// Its [`Display`](fmt::Display) is a plain number, as in the fields of the bus's [spans](crate::log#tracing).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EmissionId(NonZeroU64);

impl EmissionId {
    #[inline]
    pub(crate) fn next() -> Self {
        /// Drawing a block is the only write that threads share.
        const BLOCK: u64 = 1 << 12;
        static BLOCKS: Counter = Counter::new(0);
        thread_cells! { static NEXT: Cell<u64> = Cell::new(0); }

        NEXT.with(|next| {
            let mut id = next.get();
            if id % BLOCK == 0 {
                id = BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK + 1;
            }
            next.set(id + 1);
            NonZeroU64::new(id).map_or_else(|| unreachable!("a block starts at 1"), Self)
        })
    }
}

impl EmissionId {
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for EmissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EmissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmissionId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn no_two_emissions_share_an_id_on_whatever_threads() {
        let draw = || (0..10_000).map(|_| EmissionId::next()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..3).map(|_| thread::spawn(draw)).collect();
        let mut all = draw();
        all.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
        assert_eq!(all.iter().copied().collect::<HashSet<_>>().len(), all.len());
    }
}
