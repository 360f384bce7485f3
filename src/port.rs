//! What a module is given that speaks and doesn't listen.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crate::deferred::event::defer;
use crate::deferred::timer::{self, Timer};
use crate::dispatch;
use crate::emission::Emission;
use crate::failure::BoxError;
use crate::handle::Emitter;
use crate::overflow::DeferError;
use crate::registry::{Channel, Name};

/// The right to tell a bus about one type of event, on one topic or on none: an owned handle that can emit and nothing else.
///
/// From [`Emitter::port`] and [`TopicRef::port`](crate::TopicRef::port). Give it to a struct, a thread or a task that has something to say and no business listening.
///
/// ```
/// struct Tick(u64);
///
/// struct Clock { ticks: hearken::Port<Tick> }
///
/// let bus = hearken::Emitter::new(hearken::log);
/// let clock = Clock { ticks: bus.port() };
/// let _hears = bus.on(|tick: &Tick| println!("{}", tick.0));
/// assert_eq!(clock.ticks.emit(&Tick(1)).heard, 1);
/// ```
///
/// # Dropping
///
/// A port keeps its bus alive. It keeps no listener.
///
/// # Cost
///
/// Emitting through a port saves the look-up of the event's type, a few nanoseconds; on a topic, it saves looking at the topic's text and
/// hashing it.
pub struct Port<T, E = BoxError> {
    emitter: Emitter<E>,
    channel: Arc<Channel<T, E>>,
    /// With its hash.
    topic: Option<(Arc<str>, u64)>,
}

impl<T: 'static, E: Send + Sync + 'static> Port<T, E> {
    pub(crate) fn new(emitter: Emitter<E>, topic: Option<Name<'_>>) -> Self {
        let channel = emitter.bus().registry.channel();
        Self { emitter, channel, topic: topic.map(|topic| (topic.text.into(), topic.hash)) }
    }

    /// Delivers the event now: [`Emitter::emit`].
    #[inline]
    #[track_caller]
    pub fn emit(&self, event: &T) -> Emission {
        dispatch::emit(&self.emitter, Some(&self.channel), self.name(), event)
    }

    /// Queues the event: [`Emitter::defer`].
    ///
    /// # Errors
    ///
    /// The event itself, if the queue is full or closed.
    #[inline]
    #[track_caller]
    pub fn defer(&self, event: T) -> Result<(), DeferError<T>>
    where
        T: Send,
    {
        defer(&self.emitter, Some(&self.channel), self.name(), event)
    }

    /// Queues the event after a delay: [`Emitter::defer_in`].
    #[track_caller]
    pub fn defer_in(&self, delay: Duration, event: T) -> Timer
    where
        T: Send,
    {
        timer::defer_in(&self.emitter, self.name(), delay, event)
    }

    /// Queues a copy of the event again and again: [`Emitter::defer_every`].
    ///
    /// # Panics
    ///
    /// If the period is zero.
    #[track_caller]
    pub fn defer_every(&self, period: Duration, event: T) -> Timer
    where
        T: Clone + Send,
    {
        timer::defer_every(&self.emitter, self.name(), period, event)
    }

    #[inline]
    fn name(&self) -> Option<Name<'_>> {
        self.topic.as_ref().map(|(text, hash)| Name { text, hash: *hash })
    }
}

impl<T, E> Clone for Port<T, E> {
    fn clone(&self) -> Self {
        Self { emitter: self.emitter.clone(), channel: Arc::clone(&self.channel), topic: self.topic.clone() }
    }
}

// A panic leaves no bus broken: see `Emitter`.
impl<T, E> UnwindSafe for Port<T, E> {}
impl<T, E> RefUnwindSafe for Port<T, E> {}

impl<T, E> fmt::Debug for Port<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.topic.as_ref().map(|(topic, _)| topic);
        f.debug_struct("Port").field("event", &self.channel.event).field("topic", &topic).finish_non_exhaustive()
    }
}
