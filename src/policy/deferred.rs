//! Listeners that hear an event later, when the bus's queue is drained.

use std::sync::{Arc, Weak};

use crate::context::Scene;
use crate::discard::discard;
use crate::dispatch::{self, Alone};
use crate::flow::Flow;
use crate::id::Key;
use crate::listener::{Hear, Listener, Postponed, Release};
use crate::queue::{self, Pushed};
use crate::raw::backlog::Label;
use crate::raw::roll::{Called, Entry, Mark};
use crate::registry::{Channel, ListenerRef};
use crate::trace::Span;

/// Puts a listener's turn into the queue, with a copy of the event.
pub(crate) type Postpone<T, E> = fn(&Entry<ListenerRef<T, E>>, &T, &Scene<'_, E>) -> Postponed<E>;

/// A listener whose turn waits in the queue, unless the event itself did.
pub(crate) struct Deferred<T, E, H> {
    postpone: Postpone<T, E>,
    inner: H,
}

impl<T, E, H> Deferred<T, E, H> {
    pub(crate) fn new(postpone: Postpone<T, E>, inner: H) -> Self {
        Self { postpone, inner }
    }
}

impl<T, E, H: Release> Release for Deferred<T, E, H> {
    fn release(&mut self) -> u64 {
        self.inner.release()
    }

    fn is_guarded(&self) -> bool {
        true
    }

    fn is_silent(&self) -> bool {
        self.inner.is_silent()
    }
}

impl<T, E, H: Hear<T, E>> Hear<T, E> for Deferred<T, E, H> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        self.inner.hear(event, scene, called)
    }

    fn inner(&self) -> Option<&dyn Hear<T, E>> {
        Some(&self.inner)
    }

    fn postpone(&self, entry: &Entry<ListenerRef<T, E>>, event: &T, scene: &Scene<'_, E>) -> Postponed<E> {
        (self.postpone)(entry, event, scene)
    }
}

/// A turn that waits. It keeps no listener: who is gone when it comes is passed by.
struct Turn<T, E> {
    event: T,
    listener: Weak<dyn Listener<T, E>>,
    key: Key,
    /// Of the emission that it is a part of.
    span: Span,
}

impl<T: Send + 'static, E: Send + Sync + 'static> queue::Entry<E> for Turn<T, E> {
    type Event = T;

    const KIND: u32 = 1;

    fn deliver(mut entries: queue::Claimed<'_, '_, Self, E>, channel: &Channel<T, E>) {
        let (emitter, from) = (entries.emitter, entries.from());
        let topic = entries.topic().map(|(topic, _)| topic);
        while let Some(Self { event, listener, key, span }) = entries.next() {
            let _clean_up = emitter.bus().clean_up();
            let is_called = listener.upgrade().is_some_and(|listener| {
                // As if it was noted now: that it was paused in between doesn't matter, that it is does.
                let mark = Mark::new(key, listener.gate().word().plain());
                let entry = Entry { mark, value: listener };
                dispatch::deliver_turn(emitter, channel, &entry, topic, &event, from, Alone::PutOff(span))
            });
            emitter.bus().errors.suppress(discard(event));
            if !is_called {
                entries.was_not_delivered();
            }
        }
    }
}

pub(crate) fn postpone<T: Clone + Send + 'static, E: Send + Sync + 'static>(
    entry: &Entry<ListenerRef<T, E>>,
    event: &T,
    scene: &Scene<'_, E>,
) -> Postponed<E> {
    let bus = scene.emitter.bus();
    let turn = Turn {
        event: event.clone(),
        listener: Arc::downgrade(&entry.value),
        key: entry.key(),
        span: scene.span.to_enter_again(),
    };
    let from = scene.from();
    let topic = scene.topic.map(|topic| (topic, bus.registry.name(topic).hash));
    let channel = bus.registry.channel::<T>();
    match bus.queue().push(&channel, || Arc::clone(&channel), Label { from: &from, topic }, turn, false) {
        Pushed::Queued => Postponed::Queued,
        Pushed::Displaced(oldest, failure) => {
            bus.errors.suppress(discard(oldest));
            failure.map_or(Postponed::Queued, Postponed::Displaced)
        }
        Pushed::Full(turn) | Pushed::Surplus(turn) | Pushed::Closed(turn) => {
            bus.errors.suppress(discard(turn));
            Postponed::Refused
        }
    }
}
