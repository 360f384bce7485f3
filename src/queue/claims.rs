//! A drain's right to one event after the other.

use std::time::Duration;

use super::{BLOCKED, Queue};
use crate::handle::Emitter;
use crate::sync::Ordering;

/// How far a drain may go.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// Through all that waited when it began.
    None,
    /// Until this time comes.
    Until(Duration),
    /// So many events.
    Events(usize),
}

/// What a drain may take next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The event of this number; those before it are gone.
    Event(usize),
    /// None is left.
    Nothing,
    /// No more for now.
    Enough,
}

/// A drain's way through the events that it took out.
pub(crate) struct Claims<'a, E> {
    pub(super) queue: &'a Queue<E>,
    pub(crate) emitter: &'a Emitter<E>,
    /// How many it went through.
    pub(crate) at: usize,
    pub(super) taken: usize,
    pub(crate) delivered: usize,
    pub(super) limit: Limit,
}

impl<E: Send + Sync + 'static> Claims<'_, E> {
    #[inline]
    pub(crate) fn next(&mut self) -> Claim {
        let is_enough = match self.limit {
            Limit::None => false,
            Limit::Until(end) => self.queue.clock.now() >= end,
            Limit::Events(most) => self.delivered >= most,
        };
        if is_enough {
            return Claim::Enough;
        }
        let begun = self.queue.begun.fetch_add(1, Ordering::Relaxed);
        if begun & BLOCKED != 0 {
            self.queue.make_room();
        }
        let at = begun & !BLOCKED;
        if at < self.taken { Claim::Event(at) } else { Claim::Nothing }
    }
}
