//! An event and its emission.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::chain::{Chain, From};
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
        Self::on(scene.shared_topic(), event, scene)
    }

    /// The same with the scene's topic at hand.
    #[inline]
    pub(crate) fn on<E>(topic: Option<Arc<str>>, event: T, scene: &Scene<'_, E>) -> Self {
        let Scene { emitted_at, place, .. } = scene;
        Self { event, topic, id: place.id, cause: place.cause, origin: place.origin, emitted_at }
    }

    pub(crate) fn from(&self) -> From {
        let Self { id, cause, origin, emitted_at, .. } = *self;
        From { emitted_at, chain: Chain { id: Some(id), cause, origin: Some(origin) } }
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
        fn open(envelope: Envelope<T>) -> Self;
        fn look(envelope: &Envelope<T>) -> &Self;
    }

    impl<T> FromEnvelope<T> for T {
        fn open(envelope: Envelope<T>) -> Self {
            envelope.event
        }

        fn look(envelope: &Envelope<T>) -> &Self {
            &envelope.event
        }
    }

    impl<T> FromEnvelope<T> for Envelope<T> {
        fn open(envelope: Envelope<T>) -> Self {
            envelope
        }

        fn look(envelope: &Envelope<T>) -> &Self {
            envelope
        }
    }
}
