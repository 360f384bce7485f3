//! Recorders: what a test looks at.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::subscription::Subscription;
use crate::sync::{Mutex, ReentrantMutex};

/// Keeps every event it hears, for a test to look at. It records until it is dropped.
///
/// From [`Emitter::record`](crate::Emitter::record). It hears at its place in the order, as any listener, so a listener before it that
/// stops an emission stops it for the recorder too; it is not counted in [`Emission::heard`](crate::Emission::heard).
///
/// ```
/// let bus = hearken::Emitter::new(hearken::panic);
/// let numbers = bus.record::<u32>();
/// bus.emit(&1_u32);
/// bus.emit(&2_u32);
/// assert_eq!(numbers.take(), [1, 2]);
/// assert!(numbers.is_empty());
/// ```
pub struct Recorder<T> {
    seen: Arc<Seen<T>>,
    _subscription: Subscription,
}

/// What was recorded so far.
pub(crate) struct Seen<T> {
    events: Mutex<Vec<T>>,
    /// One reader at a time, because a `T` that isn't `Sync` can be cloned by one thread only. Recording doesn't wait for it,
    /// and a `Clone` that reads the recorder again gets through.
    reader: ReentrantMutex<()>,
}

impl<T: Clone> Seen<T> {
    pub(crate) fn push(&self, event: &T) {
        // Cloned first: no lock is held over it.
        let event = event.clone();
        self.events.lock().push(event);
    }
}

impl<T> Recorder<T> {
    pub(crate) fn new(subscribe: impl FnOnce(Arc<Seen<T>>) -> Subscription) -> Self {
        let seen = Arc::new(Seen { events: Mutex::new(Vec::new()), reader: ReentrantMutex::new(()) });
        Self { _subscription: subscribe(Arc::clone(&seen)), seen }
    }

    /// The events heard so far, in order. They stay recorded.
    pub fn events(&self) -> Vec<T>
    where
        T: Clone,
    {
        let _reader = self.seen.reader.lock();
        // Taken out, so that the clones are made with the list unlocked, and put back before what came meanwhile.
        let put_back = PutBack { seen: &self.seen, events: std::mem::take(&mut *self.seen.events.lock()) };
        put_back.events.clone()
    }

    /// The events heard so far, in order; recording begins anew.
    pub fn take(&self) -> Vec<T> {
        let _reader = self.seen.reader.lock();
        std::mem::take(&mut *self.seen.events.lock())
    }

    /// How many events are recorded.
    pub fn len(&self) -> usize {
        let _reader = self.seen.reader.lock();
        self.seen.events.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Puts events back at the front of the list, also when a clone panics.
struct PutBack<'a, T> {
    seen: &'a Seen<T>,
    events: Vec<T>,
}

impl<T> Drop for PutBack<'_, T> {
    fn drop(&mut self) {
        let mut events = self.seen.events.lock();
        self.events.append(&mut events);
        std::mem::swap(&mut self.events, &mut events);
    }
}

// A panic breaks no bus, and a clone's no recorder: see `PutBack`.
impl<T> UnwindSafe for Recorder<T> {}
impl<T> RefUnwindSafe for Recorder<T> {}

impl<T> fmt::Debug for Recorder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("event", &std::any::type_name::<T>())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
