//! Events in the queue.

use std::panic::Location;
use std::sync::Arc;

use crate::chain::From;
use crate::discard::discard;
use crate::dispatch;
use crate::errors::raise_if_outermost;
use crate::handle::Emitter;
use crate::overflow::DeferError;
use crate::queue::{Claimed, Entry, Pushed, lost};
use crate::raw::backlog::{Label, Topic};
use crate::raw::frame;
use crate::registry::{Channel, Name};

/// An event that waits.
struct Event<T>(T);

impl<T: Send + 'static, E: Send + Sync + 'static> Entry<E> for Event<T> {
    type Event = T;

    const KIND: u32 = 0;

    fn deliver(entries: Claimed<'_, '_, Self, E>, channel: &Channel<T, E>) {
        let (emitter, from, topic) = (entries.emitter, entries.from(), entries.topic());
        let topic = topic.map(|(text, hash)| Name { text, hash });
        dispatch::deliver_run(emitter, channel, topic, from, entries.map(|Self(event)| event));
    }
}

/// Queues the event: what `defer` promises. `channel`, if the caller has it at hand.
#[inline]
#[track_caller]
pub(crate) fn defer<T: Send + 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: Option<&Arc<Channel<T, E>>>,
    topic: Option<Name<'_>>,
    event: T,
) -> Result<(), DeferError<T>> {
    let bus = emitter.bus();
    let from = From { emitted_at: Location::caller(), chain: frame::chain() };
    let topic = topic.map(|topic| (topic.text, topic.hash));
    let known = channel.map(|channel| &**channel).or_else(|| bus.registry.find());
    let pushed = if let Some(known) = known {
        let shared = || channel.map_or_else(|| bus.registry.channel(), Arc::clone);
        bus.queue().push(known, shared, Label { from: &from, topic }, Event(event), true)
    } else {
        let channel = bus.registry.channel();
        bus.queue().push(&channel, || Arc::clone(&channel), Label { from: &from, topic }, Event(event), true)
    };
    match pushed {
        Pushed::Queued => Ok(()),
        other => settle(emitter, from, topic, other),
    }
}

/// What an event that didn't simply go into the queue means.
#[cold]
#[track_caller]
fn settle<T: Send + 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    from: From,
    topic: Topic<'_>,
    pushed: Pushed<Event<T>, E>,
) -> Result<(), DeferError<T>> {
    let errors = &emitter.bus().errors;
    match pushed {
        Pushed::Queued => {}
        Pushed::Full(Event(event)) => return Err(DeferError::Full(event)),
        Pushed::Closed(Event(event)) => return Err(DeferError::Closed(event)),
        Pushed::Displaced(oldest, failure) => {
            errors.suppress(discard(oldest));
            if let Some(failure) = failure {
                dispatch::report(emitter, failure);
            }
        }
        Pushed::Surplus(Event(event)) => {
            errors.suppress(discard(event));
            dispatch::report(emitter, lost(std::any::type_name::<T>(), topic, from, 1));
        }
    }
    raise_if_outermost();
    Ok(())
}
