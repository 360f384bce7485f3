//! An event and its emission.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::context::Scene;
use crate::id::EmissionId;
use crate::info::Place;

/// An event with what is known of its emission, for who takes events from an [`Inbox`](crate::Inbox) or a [`Recorder`](crate::Recorder), or awaits them: what a
/// [`Context`](crate::Context) is for a listener.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// let orders = bus.topics("order.*").inbox::<u32>().envelopes();
/// bus.topic("order.created").emit(&7_u32);
///
/// let envelope = orders.recv().unwrap();
/// assert_eq!((envelope.event, envelope.topic.as_deref()), (7, Some("order.created")));
/// assert_eq!(envelope.cause, None);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Envelope<T> {
    /// The event.
    pub event: T,
    /// The topic that it was emitted on, if it was emitted on one.
    pub topic: Option<Arc<str>>,
    /// The emission's name.
    pub id: EmissionId,
    /// The emission in which this one was made; `None` where a chain begins.
    pub cause: Option<EmissionId>,
    /// The first emission of the chain: a correlation id.
    pub origin: EmissionId,
    /// The place in the source that emitted the event.
    pub emitted_at: &'static Location<'static>,
}

impl<T> Envelope<T> {
    pub(crate) fn new<E>(event: T, scene: &Scene<'_, E>) -> Self {
        let Scene { topic, emitted_at, place, .. } = scene;
        let topic = topic.map(Into::into);
        Self { event, topic, id: place.id, cause: place.cause, origin: place.origin, emitted_at }
    }
}

impl<T: fmt::Debug> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("event", &self.event)
            .field("topic", &self.topic)
            .field("id", &self.id)
            .field("cause", &self.cause)
            .field("origin", &self.origin)
            .field("emitted_at", &format_args!("{}", Place(self.emitted_at)))
            .finish()
    }
}

/// What is handed out of an envelope: the event alone, or all of it.
pub trait FromEnvelope<T>: sealed::FromEnvelope<T> {}

impl<T> FromEnvelope<T> for T {}
impl<T> FromEnvelope<T> for Envelope<T> {}

pub(crate) mod sealed {
    use super::Envelope;

    pub trait FromEnvelope<T>: Sized {
        /// Of an event; its envelope is made only for who asks for it.
        fn of(event: T, envelop: impl FnOnce(T) -> Envelope<T>) -> Self;
        fn look(envelope: &Envelope<T>) -> &Self;

        fn open(Envelope { event, topic, id, cause, origin, emitted_at }: Envelope<T>) -> Self {
            Self::of(event, |event| Envelope { event, topic, id, cause, origin, emitted_at })
        }
    }

    impl<T> FromEnvelope<T> for T {
        #[inline]
        fn of(event: T, _: impl FnOnce(T) -> Envelope<T>) -> Self {
            event
        }

        fn look(envelope: &Envelope<T>) -> &Self {
            &envelope.event
        }
    }

    impl<T> FromEnvelope<T> for Envelope<T> {
        #[inline]
        fn of(event: T, envelop: impl FnOnce(T) -> Envelope<T>) -> Self {
            envelop(event)
        }

        fn look(envelope: &Envelope<T>) -> &Self {
            envelope
        }
    }
}
