//! What a recorder of every type keeps of an emission.

use std::any::{Any, TypeId};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::seen::Seen;
use crate::context::Scene;
use crate::envelope::Envelope;
use crate::id::EmissionId;
use crate::info::Place;

/// An emission of an event of some type, as [`Emitter::record_any`](crate::Emitter::record_any) keeps it: everything but the event.
///
/// ```
/// struct Placed;
/// struct Paid;
///
/// let bus = hearken::Emitter::new(hearken::panic);
/// let _billing = bus.on_with(|_: &Placed, cx| { cx.emitter().emit(&Paid); });
/// let seen = bus.record_any();
/// bus.topic("order").emit(&Placed);
///
/// let [placed, paid] = &seen.events()[..] else { panic!("{seen:?}") };
/// assert!(placed.is::<Placed>() && placed.topic.as_deref() == Some("order"));
/// assert_eq!((paid.cause, paid.depth), (Some(placed.id), 2));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Emitted {
    /// The event's type, as [`std::any::type_name`] spells it.
    pub type_name: &'static str,
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
    /// How many emissions were nested on the thread, this one included: 1 for the outermost.
    pub depth: usize,
    pub(super) type_id: TypeId,
}

impl Emitted {
    /// Whether the event was a `T`.
    pub fn is<T: 'static>(&self) -> bool {
        self.type_id == TypeId::of::<T>()
    }

    /// Keeps this emission.
    pub(crate) fn keep<E>(seen: &Seen<Self>, event: &dyn Any, scene: &Scene<'_, E>) {
        let Envelope { topic, id, cause, origin, emitted_at, .. } = Envelope::new((), scene);
        let (type_name, depth, type_id) = (scene.event, scene.place.depth, event.type_id());
        let emitted = Self { type_name, topic: topic.clone(), id, cause, origin, emitted_at, depth, type_id };
        seen.push(Envelope { event: emitted, topic, id, cause, origin, emitted_at });
    }
}

impl fmt::Debug for Emitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitted")
            .field("type_name", &self.type_name)
            .field("topic", &self.topic)
            .field("id", &self.id)
            .field("cause", &self.cause)
            .field("origin", &self.origin)
            .field("emitted_at", &format_args!("{}", Place(self.emitted_at)))
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}
