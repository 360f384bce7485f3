//! The cell that emissions read without a lock.

pub(crate) use self::cell::{Cell, Loaded};

#[cfg(not(loom))]
mod cell {
    use std::ops::Deref;
    use std::sync::Arc;

    use arc_swap::{ArcSwapOption, Guard};

    /// Holds the latest snapshot, or nothing while there is none that is up to date.
    ///
    /// A load writes nothing that threads share. Writers are serialised by the lock of what the snapshot is made from.
    pub(crate) struct Cell<T>(ArcSwapOption<T>);

    /// A snapshot in use. It stays whole for as long as it is held, whatever becomes of the cell.
    pub(crate) struct Loaded<T>(Guard<Option<Arc<T>>>);

    impl<T> Cell<T> {
        pub(crate) fn empty() -> Self {
            Self(ArcSwapOption::const_empty())
        }

        #[inline]
        pub(crate) fn load(&self) -> Option<Loaded<T>> {
            let guard = self.0.load();
            guard.is_some().then_some(Loaded(guard))
        }

        /// Puts a snapshot into the empty cell, and hands it out as [`load`](Self::load) would.
        pub(crate) fn fill(&self, snapshot: T) -> Loaded<T> {
            let snapshot = Some(Arc::new(snapshot));
            self.0.store(snapshot.clone());
            Loaded(Guard::from_inner(snapshot))
        }

        /// Takes the snapshot out. Once it and the loads made of it before are gone, so is what it alone held.
        pub(crate) fn take(&self) -> Option<Arc<T>> {
            self.0.swap(None)
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

    use crate::sync::Mutex;

    pub(crate) struct Cell<T>(Mutex<Option<Arc<T>>>);
    pub(crate) struct Loaded<T>(Arc<T>);

    impl<T> Cell<T> {
        pub(crate) fn empty() -> Self {
            Self(Mutex::new(None))
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
            self.0.lock().take()
        }
    }

    impl<T> Deref for Loaded<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}
