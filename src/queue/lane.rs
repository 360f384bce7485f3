//! What waits in the queue, type by type.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use super::claims::{Claim, Claims};
use crate::chain::From;
use crate::discard::discard;
use crate::handle::Emitter;
use crate::raw::backlog::{Backlog, Front, Topic};
use crate::registry::Channel;

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

    /// Delivers them, all that it is handed.
    fn deliver(entries: Claimed<'_, '_, Self, E>, channel: &Channel<Self::Event, E>);
}

/// Waiting entries of one run, as far as they can be claimed. Each is, when it is handed out, and counts as delivered.
pub(crate) struct Claimed<'a, 'q, V, E> {
    pub(crate) emitter: &'q Emitter<E>,
    waiting: &'a mut VecDeque<V>,
    run: Front<'a>,
    claims: &'a mut Claims<'q, E>,
    /// Whether the next one is claimed already.
    has_claim: bool,
    /// The claim that ended them, if there was one.
    end: &'a mut Option<Claim>,
}

impl<'a, V, E> Claimed<'a, '_, V, E> {
    pub(crate) fn from(&self) -> From {
        self.run.from
    }

    pub(crate) fn topic(&self) -> Topic<'a> {
        self.run.topic
    }

    /// What was handed out last was not to be delivered after all.
    pub(crate) fn was_not_delivered(&mut self) {
        self.claims.delivered -= 1;
    }
}

impl<V, E: Send + Sync + 'static> Iterator for Claimed<'_, '_, V, E> {
    type Item = V;

    #[inline]
    fn next(&mut self) -> Option<V> {
        if !std::mem::take(&mut self.has_claim) {
            if !self.run.goes_on() {
                return None;
            }
            match self.claims.next() {
                Claim::Event(at) if at == self.claims.at => {}
                other => {
                    *self.end = Some(other);
                    return None;
                }
            }
        }
        let entry = self.waiting.pop_front()?;
        self.run.took();
        self.claims.at += 1;
        self.claims.delivered += 1;
        Some(entry)
    }
}

pub(super) const KINDS: u32 = 4;

/// Waiting entries of one kind and type.
pub(super) struct Entries<V: Entry<E>, E> {
    pub(super) channel: Arc<Channel<V::Event, E>>,
    pub(super) waiting: VecDeque<V>,
}

impl<V: Entry<E>, E: Send + Sync + 'static> Entries<V, E> {
    #[cold]
    pub(super) fn begin(channel: Arc<Channel<V::Event, E>>) -> Box<dyn Lane<E>> {
        Box::new(Self { channel, waiting: VecDeque::new() })
    }
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

    fn deliver(&mut self, run: Front<'_>, claims: &mut Claims<'_, E>) -> Option<Claim> {
        let mut end = None;
        let Self { channel, waiting } = self;
        let emitter = claims.emitter;
        V::deliver(Claimed { emitter, waiting, run, claims, has_claim: true, end: &mut end }, channel);
        end
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
            run.took();
            if !run.goes_on() {
                break;
            }
        }
        backlog.tidy();
    }
    panics
}
