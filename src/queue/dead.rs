//! Events that failed for good, for who looks at them later.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Queue;
use crate::chain::From;
use crate::context::Tried;
use crate::failure::Failure;
use crate::handle::Emitter;

/// An event that failed for good, and whose listener it was.
pub(crate) trait DeadEvent<E>: Send {
    /// Of the last call.
    fn failure(&self) -> &Failure<E>;
    fn tried(&self) -> Tried;
    fn from(&self) -> From;
    /// Whether its listener is gone.
    fn is_orphan(&self) -> bool;
    /// Has its listener hear it once more, by the queue. Runs user code.
    fn redrive(self: Box<Self>, emitter: &Emitter<E>) -> Result<(), (Refusal, Box<dyn DeadEvent<E>>)>;
}

/// Why the queue didn't take it.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

/// A box of them. The oldest goes when there are too many.
pub(super) struct Dead<E> {
    /// By the numbers that they got, in the order in which they came.
    pub(super) kept: BTreeMap<u64, Box<dyn DeadEvent<E>>>,
    came: u64,
    most: usize,
    /// When it was said that retries are overdue.
    complained: Option<Duration>,
}

impl<E> Dead<E> {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: BTreeMap::new(), came: 0, most, complained: None }
    }
}

/// For how long retries may be overdue before that is worth a word, and between two of these.
const PATIENCE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);

impl<E: Send + Sync + 'static> Queue<E> {
    /// Keeps one more. What had to go for it, for the caller to report and drop.
    pub(crate) fn keep_dead(&self, event: Box<dyn DeadEvent<E>>) -> Option<Box<dyn DeadEvent<E>>> {
        let mut dead = self.dead.lock();
        dead.came += 1;
        let number = dead.came;
        dead.kept.insert(number, event);
        if dead.kept.len() > dead.most { dead.kept.pop_first().map(|(_, oldest)| oldest) } else { None }
    }

    /// Puts one back that was taken out.
    pub(crate) fn put_dead_back(&self, number: u64, event: Box<dyn DeadEvent<E>>) {
        self.dead.lock().kept.insert(number, event);
    }

    pub(crate) fn take_dead(&self, number: u64) -> Option<Box<dyn DeadEvent<E>>> {
        self.dead.lock().kept.remove(&number)
    }

    pub(crate) fn count_dead(&self) -> usize {
        self.dead.lock().kept.len()
    }

    /// What this makes of each, oldest first. It runs under the lock.
    pub(crate) fn look_at_dead<R>(&self, look: impl Fn(u64, &dyn DeadEvent<E>) -> R) -> Vec<R> {
        self.dead.lock().kept.iter().map(|(number, event)| look(*number, &**event)).collect()
    }

    /// Whether it is time to say that what was due long ago still waits, because nobody drains.
    pub(crate) fn is_neglected(&self) -> bool {
        let now = self.clock.now();
        let is_overdue = {
            let state = self.state.lock();
            let is_due = state.next_due().is_some_and(|due| due.saturating_add(PATIENCE) <= now);
            is_due && state.inside == 0 && state.tasks.is_empty()
        };
        if !is_overdue {
            return false;
        }
        let mut dead = self.dead.lock();
        let is_news = dead.complained.is_none_or(|said| said.saturating_add(SILENCE) <= now);
        if is_news {
            dead.complained = Some(now);
        }
        is_news
    }
}
