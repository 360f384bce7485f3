//! Listeners that are called again when they failed, and what becomes of an event that still fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::chain::From;
use crate::context::{Scene, Timing, Tried};
use crate::discard::discard;
use crate::dispatch::{self, Alone};
use crate::failure::{Cause, Failure};
use crate::flow::Flow;
use crate::handle::Emitter;
use crate::id::Key;
use crate::listener::{Hear, Listener, Release};
use crate::queue::{Alarm, Claimed, DeadEvent, Entry as Waits, Pushed, Refusal, Waiting};
use crate::raw::backlog::Label;
use crate::raw::roll::{Called, Entry, Mark};
use crate::registry::{Channel, ListenerRef};
use crate::retry::Retry;
use crate::sync::{AtomicU64, Ordering};
use crate::trace;

/// Decides on an event that a listener failed on. Returns the failure, if it is for good.
pub(crate) type Again<T, E> =
    fn(&Retry<E>, &Entry<ListenerRef<T, E>>, &T, &Scene<'_, E>, Failure<E>) -> Option<Failure<E>>;

/// A listener that is given other tries.
pub(crate) struct Retried<T, E, H> {
    retry: Retry<E>,
    again: Again<T, E>,
    /// How many calls were second or later attempts.
    retries: Arc<AtomicU64>,
    inner: H,
}

impl<T, E, H> Retried<T, E, H> {
    pub(crate) fn new(retry: Retry<E>, again: Again<T, E>, retries: Arc<AtomicU64>, inner: H) -> Self {
        Self { retry, again, retries, inner }
    }
}

impl<T, E, H: Release> Release for Retried<T, E, H> {
    fn release(&mut self) -> u64 {
        discard(self.retry.release()) + self.inner.release()
    }

    fn is_guarded(&self) -> bool {
        self.inner.is_guarded()
    }

    fn is_silent(&self) -> bool {
        self.inner.is_silent()
    }
}

impl<T, E, H: Hear<T, E>> Hear<T, E> for Retried<T, E, H> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        if let Timing::Again(_) = scene.timing {
            // Relaxed: a number.
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.hear(event, scene, called)
    }

    fn inner(&self) -> Option<&dyn Hear<T, E>> {
        Some(&self.inner)
    }

    fn after_failure(
        &self,
        entry: &Entry<ListenerRef<T, E>>,
        event: &T,
        scene: &Scene<'_, E>,
        failure: Failure<E>,
    ) -> Option<Failure<E>> {
        (self.again)(&self.retry, entry, event, scene, failure)
    }
}

/// Gives the listener another try later, or makes a dead letter of the event.
pub(crate) fn again<T: Clone + Send + 'static, E: Send + Sync + 'static>(
    retry: &Retry<E>,
    entry: &Entry<ListenerRef<T, E>>,
    event: &T,
    scene: &Scene<'_, E>,
    failure: Failure<E>,
) -> Option<Failure<E>> {
    let emitter = scene.emitter;
    let bus = emitter.bus();
    let now = bus.settings.clock.now();
    let tried = match scene.timing {
        Timing::Again(tried) => {
            Tried { calls: tried.calls + 1, in_this_round: tried.in_this_round + 1, last: now, ..*tried }
        }
        _ => Tried { calls: 1, in_this_round: 1, first: now, last: now },
    };
    // A panic of the user's code here is one more failure, and leaves this one.
    let asked = catch_unwind(AssertUnwindSafe(|| (retry.delay(tried.in_this_round, failure.cause()), event.clone())));
    let (delay, event) = match asked {
        Ok(asked) => asked,
        Err(payload) => {
            let cause = Cause::of_panic(&*payload);
            bus.errors.suppress(discard(payload));
            let listener = failure.listener().cloned();
            dispatch::report(emitter, Failure::new(scene.event, scene.topic, listener, scene.from(), cause));
            return Some(failure);
        }
    };
    let parcel = Parcel {
        attempt: Attempt {
            event,
            listener: Arc::downgrade(&entry.value),
            key: entry.key(),
            tried,
            failure: Last(Some(failure)),
        },
        channel: bus.registry.channel(),
        from: scene.from(),
        topic: scene.topic.map(|topic| (topic.into(), bus.registry.name(topic).hash)),
    };
    match delay {
        Some(delay) if !entry.value.gate().word().is_off() => {
            wait(emitter, delay, parcel);
            None
        }
        _ => Some(bury(emitter, parcel)),
    }
}

fn wait<T: Send + 'static, E: Send + Sync + 'static>(emitter: &Emitter<E>, delay: Duration, parcel: Parcel<T, E>) {
    let queue = emitter.bus().queue();
    trace::retry(parcel.attempt.failure.get(), parcel.attempt.tried.calls, delay);
    match queue.set(delay, Box::new(Later { parcel: Some(parcel) })) {
        Ok(_) if queue.is_neglected() => trace::neglected(),
        Ok(_) => {}
        Err(closed) => closed.give_up(emitter),
    }
}

/// Keeps the event as a dead letter. The failure that did it, to be reported.
fn bury<T: Send + 'static, E: Send + Sync + 'static>(emitter: &Emitter<E>, parcel: Parcel<T, E>) -> Failure<E> {
    let failure = parcel.attempt.failure.get().clone();
    trace::dead_letter(&failure, parcel.attempt.tried.calls);
    if let Some(oldest) = emitter.bus().queue().keep_dead(Box::new(parcel)) {
        let (event, topic, from) = {
            let failure = oldest.failure();
            (failure.event(), failure.topic().map(str::to_owned), oldest.from())
        };
        emitter.bus().errors.suppress(discard(oldest));
        let lost = Failure::new(event, topic.as_deref(), None, from, Cause::Lost { missed: 1 });
        dispatch::report(emitter, lost);
    }
    failure
}

/// An event that is to be heard once more by the listener that failed on it. It keeps no listener.
struct Attempt<T, E> {
    event: T,
    listener: Weak<dyn Listener<T, E>>,
    key: Key,
    tried: Tried,
    /// Of the call before.
    failure: Last<E>,
}

/// A failure that is kept beside an event. Both are the user's to destroy: where the event's destructor panics, this one may panic too.
struct Last<E>(Option<Failure<E>>);

impl<E> Last<E> {
    fn get(&self) -> &Failure<E> {
        self.0.as_ref().unwrap_or_else(|| unreachable!("it is taken by its destructor alone"))
    }
}

impl<E> Drop for Last<E> {
    fn drop(&mut self) {
        let failure = self.0.take();
        if thread::panicking() {
            discard(failure);
        }
    }
}

/// The same, with what it needs on its way.
struct Parcel<T, E> {
    attempt: Attempt<T, E>,
    channel: Arc<Channel<T, E>>,
    from: From,
    topic: Option<(Box<str>, u64)>,
}

impl<T: Send + 'static, E: Send + Sync + 'static> Waits<E> for Attempt<T, E> {
    type Event = T;

    const KIND: u32 = 3;

    fn deliver(mut entries: Claimed<'_, '_, Self, E>, channel: &Channel<T, E>) {
        let (emitter, from, topic) = (entries.emitter, entries.from(), entries.topic());
        let text = topic.map(|(text, _)| text);
        while let Some(attempt) = entries.next() {
            let _clean_up = emitter.bus().clean_up();
            let is_called = attempt.listener.upgrade().is_some_and(|listener| {
                let mark = Mark::new(attempt.key, listener.gate().word().plain());
                let entry = Entry { mark, value: listener };
                let again = Alone::Again(&attempt.tried);
                dispatch::deliver_turn(emitter, channel, &entry, text, &attempt.event, from, again)
            });
            if is_called {
                emitter.bus().errors.suppress(discard(attempt));
                continue;
            }
            entries.was_not_delivered();
            // It will not be called any more, so the failure before was for good.
            let topic = topic.map(|(text, hash)| (text.into(), hash));
            let parcel = Parcel { attempt, channel: emitter.bus().registry.channel(), from, topic };
            dispatch::report(emitter, bury(emitter, parcel));
        }
    }
}

/// An attempt that waits for its time.
struct Later<T, E> {
    /// Some, until the time has come.
    parcel: Option<Parcel<T, E>>,
}

impl<T: Send + 'static, E: Send + Sync + 'static> Alarm<E> for Later<T, E> {
    fn prepare(&mut self, _: &Emitter<E>) {}

    fn fire(&mut self, waiting: &mut Waiting<'_, E>) {
        if let Some(Parcel { attempt, channel, from, topic }) = self.parcel.take() {
            let topic = topic.as_ref().map(|(text, hash)| (&**text, *hash));
            waiting.push(&channel, Label { from: &from, topic }, attempt);
        }
    }

    fn give_up(self: Box<Self>, emitter: &Emitter<E>) {
        if let Some(parcel) = self.parcel {
            dispatch::report(emitter, bury(emitter, parcel));
        }
    }

    fn due_next(&mut self, _: Duration) -> Option<Duration> {
        None
    }

    fn missed(&self) -> Option<(&'static str, From)> {
        self.parcel.as_ref().map(|parcel| (parcel.channel.event, parcel.from))
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// An event that failed for good.
impl<T: Send + 'static, E: Send + Sync + 'static> DeadEvent<E> for Parcel<T, E> {
    fn failure(&self) -> &Failure<E> {
        self.attempt.failure.get()
    }

    fn tried(&self) -> Tried {
        self.attempt.tried
    }

    fn from(&self) -> From {
        self.from
    }

    fn is_orphan(&self) -> bool {
        self.attempt.listener.strong_count() == 0
    }

    fn redrive(self: Box<Self>, emitter: &Emitter<E>) -> Result<(), (Refusal, Box<dyn DeadEvent<E>>)> {
        let Self { attempt, channel, from, topic } = *self;
        let attempt = Attempt { tried: Tried { in_this_round: 0, ..attempt.tried }, ..attempt };
        let name = topic.as_ref().map(|(text, hash)| (&**text, *hash));
        let pushed = emitter.bus().queue().push(
            &channel,
            || Arc::clone(&channel),
            Label { from: &from, topic: name },
            attempt,
            false,
        );
        let (refusal, attempt) = match pushed {
            Pushed::Queued => return Ok(()),
            Pushed::Displaced(oldest, failure) => {
                emitter.bus().errors.suppress(discard(oldest));
                if let Some(failure) = failure {
                    dispatch::report(emitter, failure);
                }
                return Ok(());
            }
            Pushed::Full(attempt) | Pushed::Surplus(attempt) => (Refusal::Full, attempt),
            Pushed::Closed(attempt) => (Refusal::Closed, attempt),
        };
        Err((refusal, Box::new(Self { attempt, channel, from, topic })))
    }
}
