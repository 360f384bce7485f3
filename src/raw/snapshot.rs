//! The cell that emissions read without a lock.

pub(crate) use self::cell::{Cell, Loaded};

#[cfg(not(loom))]
mod cell {
    use std::ops::Deref;
    use std::sync::Arc;

    use arc_swap::{ArcSwapOption, Guard};

    use crate::sync::{AtomicUsize, Ordering};

    /// Holds the latest snapshot, or nothing while there is none that is up to date.
    ///
    /// A load writes nothing that threads share. Writers are serialised by the lock of what the snapshot is made from.
    pub(crate) struct Cell<T> {
        snapshot: ArcSwapOption<T>,
        /// How often a snapshot was taken out.
        taken: AtomicUsize,
    }

    /// A snapshot in use. It stays whole for as long as it is held, whatever becomes of the cell.
    pub(crate) struct Loaded<T>(Guard<Option<Arc<T>>>);

    impl<T> Cell<T> {
        pub(crate) fn empty() -> Self {
            Self { snapshot: ArcSwapOption::const_empty(), taken: AtomicUsize::new(0) }
        }

        #[inline]
        pub(crate) fn load(&self) -> Option<Loaded<T>> {
            let guard = self.snapshot.load();
            guard.is_some().then_some(Loaded(guard))
        }

        /// Puts a snapshot into the empty cell, and hands it out as [`load`](Self::load) would.
        pub(crate) fn fill(&self, snapshot: T) -> Loaded<T> {
            let snapshot = Some(Arc::new(snapshot));
            self.snapshot.store(snapshot.clone());
            Loaded(Guard::from_inner(snapshot))
        }

        /// Takes the snapshot out. Once it and the loads made of it before are gone, so is what it alone held.
        pub(crate) fn take(&self) -> Option<Arc<T>> {
            let taken = self.snapshot.swap(None);
            // Behind the swap, and by a writer, who is alone: who reads the new count finds the old snapshot gone.
            self.taken.store(self.taken.load(Ordering::Relaxed) + 1, Ordering::Release);
            taken
        }

        /// A count that changes when a snapshot is taken out. What was loaded behind a look at it is up to date while it stays the same.
        #[inline]
        pub(crate) fn changes(&self) -> usize {
            self.taken.load(Ordering::Acquire)
        }
    }

    impl<T> Deref for Loaded<T> {
        type Target = T;

        #[inline]
        fn deref(&self) -> &T {
            match &*self.0 {
                Some(snapshot) => snapshot,
                None => unreachable!("a loaded snapshot is one"),
            }
        }
    }
}

/// A model of the cell. What the model checker proves is the protocol above it; the crate that provides the real one is
/// trusted, and stress-tested.
#[cfg(loom)]
mod cell {
    use std::ops::Deref;
    use std::sync::Arc;

    use crate::sync::{AtomicUsize, Mutex, Ordering};

    pub(crate) struct Cell<T>(Mutex<Option<Arc<T>>>, AtomicUsize);
    pub(crate) struct Loaded<T>(Arc<T>);

    impl<T> Cell<T> {
        pub(crate) fn empty() -> Self {
            Self(Mutex::new(None), AtomicUsize::new(0))
        }

        pub(crate) fn load(&self) -> Option<Loaded<T>> {
            self.0.lock().clone().map(Loaded)
        }

        pub(crate) fn fill(&self, snapshot: T) -> Loaded<T> {
            let snapshot = Arc::new(snapshot);
            *self.0.lock() = Some(Arc::clone(&snapshot));
            Loaded(snapshot)
        }

        pub(crate) fn take(&self) -> Option<Arc<T>> {
            let taken = self.0.lock().take();
            self.1.store(self.1.load(Ordering::Relaxed) + 1, Ordering::Release);
            taken
        }

        pub(crate) fn changes(&self) -> usize {
            self.1.load(Ordering::Acquire)
        }
    }

    impl<T> Deref for Loaded<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}
