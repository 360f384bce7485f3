//! What waits in the queue, type by type.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use super::claims::{Claim, Claims};
use crate::chain::From;
use crate::discard::discard;
use crate::handle::Emitter;
use crate::raw::backlog::{Backlog, Front, Topic};
use crate::registry::{Channel, Held};

/// What waits: an event, a deferred listener's turn, a timer's firing.
pub(crate) trait Entry<E>: Send + Sized + 'static {
    /// The type of event that it is about.
    type Event: 'static;

    /// Tells the kinds of entries of one type apart; less than [`KINDS`].
    const KIND: u32;

    /// Whether it is still to be delivered. If not, nobody misses it.
    fn is_wanted(&self) -> bool {
        true
    }

    /// Delivers it. Whether there was anything to deliver.
    fn deliver(
        self,
        channel: &Channel<Self::Event, E>,
        held: &mut Held<Self::Event, E>,
        from: From,
        topic: Topic<'_>,
        emitter: &Emitter<E>,
    ) -> bool;
}

pub(super) const KINDS: u32 = 4;

/// Waiting entries of one kind and type.
pub(super) struct Entries<V: Entry<E>, E> {
    pub(super) channel: Arc<Channel<V::Event, E>>,
    pub(super) waiting: VecDeque<V>,
}

/// The same, of whatever kind and type.
pub(crate) trait Lane<E>: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn event(&self) -> &'static str;
    /// Whether the first entry is still to be delivered.
    fn is_wanted(&self) -> bool;
    /// Takes the first entry out, for the caller to drop with the queue unlocked.
    fn take(&mut self) -> Box<dyn Any + Send>;
    /// Drops the first entry. How many panics that gave.
    fn discard(&mut self) -> u64;
    /// Moves all entries of another lane of the same kind and type behind its own.
    fn join(&mut self, other: &mut dyn Lane<E>);
    /// Delivers the first entry, which is claimed, and those behind it as long as they are of the run and can be claimed. Returns the claim that
    /// ended it, if there was one.
    fn deliver(&mut self, run: Front<'_>, claims: &mut Claims<'_, E>) -> Option<Claim>;
}

impl<V: Entry<E>, E: Send + Sync + 'static> Lane<E> for Entries<V, E> {
    #[inline]
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn event(&self) -> &'static str {
        self.channel.event
    }

    fn is_wanted(&self) -> bool {
        self.waiting.front().is_some_and(V::is_wanted)
    }

    fn take(&mut self) -> Box<dyn Any + Send> {
        Box::new(self.waiting.pop_front())
    }

    fn discard(&mut self) -> u64 {
        discard(self.waiting.pop_front())
    }

    fn join(&mut self, other: &mut dyn Lane<E>) {
        if let Some(other) = other.as_any().downcast_mut::<Self>() {
            self.waiting.append(&mut other.waiting);
        }
    }

    fn deliver(&mut self, mut run: Front<'_>, claims: &mut Claims<'_, E>) -> Option<Claim> {
        let mut held = Held::nothing();
        while let Some(entry) = self.waiting.pop_front() {
            let is_more = run.took();
            claims.at += 1;
            claims.delivered +=
                usize::from(entry.deliver(&self.channel, &mut held, run.from, run.topic, claims.emitter));
            if !is_more {
                return None;
            }
            match claims.next() {
                Claim::Event(at) if at == claims.at => {}
                other => return Some(other),
            }
        }
        None
    }
}

pub(super) fn join<E>(lane: &mut (dyn Lane<E> + 'static), others: &mut (dyn Lane<E> + 'static)) {
    lane.join(others);
}

/// Drops all that waits, one after the other, and tells of those that are missed. How many panics that gave.
pub(crate) fn drop_all<E>(backlog: &mut Backlog<dyn Lane<E>>, mut missed: impl FnMut((&'static str, From))) -> u64 {
    let mut panics = 0;
    while let Some((lane, mut run)) = backlog.front() {
        loop {
            if lane.is_wanted() {
                missed((lane.event(), run.from));
            }
            panics += lane.discard();
            if !run.took() {
                break;
            }
        }
        backlog.tidy();
    }
    panics
}
