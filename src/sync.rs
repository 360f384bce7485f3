//! The one door to atomics, locks and thread-locals, so that a model checker can put its own behind it.

use std::ops::Deref;

pub(crate) use self::doors::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, pause, thread_cells,
};
pub(crate) use parking_lot::ReentrantMutex;
pub(crate) use std::sync::atomic::Ordering;

/// A counter in a `static`, where a model checker's atomics can't be. For numbers of which only their uniqueness matters.
pub(crate) use std::sync::atomic::AtomicU64 as Counter;

/// Whether a model checker is behind the door. It doesn't see what a `OnceLock` orders, and every look at an atomic costs it dear.
pub(crate) const IS_MODEL: bool = cfg!(loom);

/// Begins a cache line, and shares its last with nothing that others write.
#[repr(align(64))]
pub(crate) struct Apart<V>(pub(crate) V);

impl<V> Deref for Apart<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        &self.0
    }
}

#[cfg(not(loom))]
mod doors {
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

    /// A short time, some 30 nanoseconds each, in which this core does nothing.
    pub(crate) fn pause(times: u32) {
        (0..times).for_each(|_| std::hint::spin_loop());
    }

    /// Thread-locals that are there from the start.
    macro_rules! thread_cells {
        ($($(#[$attribute:meta])* static $name:ident: $type:ty = $start:expr;)*) => {
            std::thread_local! { $($(#[$attribute])* static $name: $type = const { $start };)* }
        };
    }
    pub(crate) use thread_cells;
}

/// loom's, where need be with the shape of `parking_lot`'s.
#[cfg(loom)]
mod doors {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    macro_rules! thread_cells {
        ($($(#[$attribute:meta])* static $name:ident: $type:ty = $start:expr;)*) => {
            loom::thread_local! { $($(#[$attribute])* static $name: $type = $start;)* }
        };
    }
    pub(crate) use thread_cells;

    /// No time passes in a model.
    pub(crate) fn pause(_times: u32) {}

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// Some, but for the time of a wait.
    pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

    #[derive(Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(self.0.lock().ok())
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl Condvar {
        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.0 = guard.0.take().and_then(|guard| self.0.wait(guard).ok());
        }

        /// No time passes in a model, so this one waits until it is woken.
        pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
            self.wait(guard);
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap_or_else(|| unreachable!("a guard is one outside of a wait"))
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap_or_else(|| unreachable!("a guard is one outside of a wait"))
        }
    }
}
