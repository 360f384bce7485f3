//! What was recorded.

use std::time::{Duration, Instant};

use crate::envelope::Envelope;
use crate::sync::{Condvar, Mutex, ReentrantMutex};

/// What was recorded so far, in order.
pub(crate) struct Seen<T> {
    list: Mutex<List<T>>,
    /// Who waits for more waits here.
    came: Condvar,
    /// One reader at a time, because a `T` that isn't `Sync` can be looked at by one thread only. Recording doesn't wait for it,
    /// and a `Clone` that reads the recorder again gets through.
    reader: ReentrantMutex<()>,
}

struct List<T> {
    envelopes: Vec<Envelope<T>>,
    /// How many more there are, in the hands of a reader.
    lent: usize,
}

impl<T> List<T> {
    fn len(&self) -> usize {
        self.lent + self.envelopes.len()
    }
}

impl<T> Seen<T> {
    pub(crate) fn new() -> Self {
        let list = List { envelopes: Vec::new(), lent: 0 };
        Self { list: Mutex::new(list), came: Condvar::default(), reader: ReentrantMutex::new(()) }
    }

    pub(crate) fn push(&self, envelope: Envelope<T>) {
        self.list.lock().envelopes.push(envelope);
        self.came.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.list.lock().len()
    }

    pub(crate) fn take(&self) -> Vec<Envelope<T>> {
        let _reader = self.reader.lock();
        std::mem::take(&mut self.list.lock().envelopes)
    }

    /// Shows what was recorded to user code: out of the list, so that this is unlocked meanwhile, and put back before what came since.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&[Envelope<T>]) -> R) -> R {
        let _reader = self.reader.lock();
        let envelopes = {
            let mut list = self.list.lock();
            list.lent += list.envelopes.len();
            std::mem::take(&mut list.envelopes)
        };
        let lent = Lent { seen: self, envelopes };
        look(&lent.envelopes)
    }

    /// Waits until there are so many. Whether there are.
    pub(crate) fn wait_for(&self, events: usize, timeout: Duration) -> bool {
        // An end beyond all times never comes.
        let end = Instant::now().checked_add(timeout);
        let mut list = self.list.lock();
        while list.len() < events {
            let Some(end) = end else {
                self.came.wait(&mut list);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.came.wait_for(&mut list, left);
        }
        true
    }
}

/// Goes back into the list, also when user code panics.
struct Lent<'a, T> {
    seen: &'a Seen<T>,
    envelopes: Vec<Envelope<T>>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let mut list = self.seen.list.lock();
        list.lent -= self.envelopes.len();
        self.envelopes.append(&mut list.envelopes);
        std::mem::swap(&mut self.envelopes, &mut list.envelopes);
    }
}
