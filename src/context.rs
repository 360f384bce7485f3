//! What a listener can learn of the emission it is called in.

use std::any::{Any, type_name};
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::chain::From;
use crate::failure::BoxError;
#[cfg(feature = "async")]
use crate::future::Work;
use crate::handle::Emitter;
use crate::id::{EmissionId, ListenerId};
use crate::info::Place;
use crate::raw::frame;
use crate::raw::roll::Called;
#[cfg(feature = "async")]
use crate::sync::Mutex;
use crate::trace::{self, Entered};

/// One emission, for all of its listeners.
pub(crate) struct Scene<'a, E> {
    pub(crate) emitter: &'a Emitter<E>,
    pub(crate) event: &'static str,
    pub(crate) topic: Option<&'a str>,
    pub(crate) emitted_at: &'static Location<'static>,
    pub(crate) place: frame::Place,
    pub(crate) timing: Timing<'a>,
    pub(crate) span: Entered,
}

impl<'a, E> Scene<'a, E> {
    /// That of an event of this type.
    #[inline]
    pub(crate) fn new<T>(
        emitter: &'a Emitter<E>,
        topic: Option<&'a str>,
        emitted_at: &'static Location<'static>,
        place: frame::Place,
        timing: Timing<'a>,
    ) -> Self {
        Self { emitter, event: type_name::<T>(), topic, emitted_at, place, timing, span: Entered::NOTHING }
    }

    /// Begins its span, if somebody traces it, until it is ended or the scene goes.
    #[inline]
    pub(crate) fn begin_span(&mut self) {
        if trace::is_on() {
            self.span = trace::begin(self.event, self.topic, self.place.chain(), self.place.depth, self.emitted_at);
        }
    }

    #[inline]
    pub(crate) fn end_span(&mut self) {
        self.span = Entered::NOTHING;
    }

    /// What is still to come of this emission comes from here.
    pub(crate) fn from(&self) -> From {
        From { emitted_at: self.emitted_at, chain: self.place.chain() }
    }
}

/// How often a listener was called for one event, in vain.
#[derive(Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) calls: u32,
    /// Since it was redriven last.
    pub(crate) in_this_round: u32,
    /// When it failed for the first time, and for the last.
    pub(crate) first: Duration,
    pub(crate) last: Duration,
}

/// Where an awaited emission gathers the futures of its listeners.
#[cfg(feature = "async")]
pub(crate) type Started<'a> = &'a Mutex<Vec<Work>>;

/// Nothing is awaited without the feature.
#[cfg(not(feature = "async"))]
pub(crate) type Started<'a> = (std::convert::Infallible, std::marker::PhantomData<&'a ()>);

/// When an event is delivered.
#[derive(Clone, Copy)]
pub(crate) enum Timing<'a> {
    /// While it is emitted.
    Now,
    /// While it is emitted, by somebody who awaits what is put here.
    #[cfg_attr(not(feature = "async"), expect(dead_code, reason = "nothing is awaited without the feature"))]
    Awaited(Started<'a>),
    /// By a drain, because it was deferred.
    Late,
    /// By a drain, to one listener that put it off.
    Turn,
    /// By a drain, to one listener that failed on it before.
    Again(&'a Tried),
}

/// The emission that a listener is called in: what [`on_with`](Emitter::on_with) and its kin pass beside the event.
///
/// Its [`emitter`](Self::emitter) is how a listener speaks on its own bus without keeping it alive.
///
/// ```
/// struct Placed(u32);
/// struct Reserved(u32);
///
/// let bus = hearken::Emitter::new(hearken::log);
/// let _stock = bus.on_with(|order: &Placed, cx| {
///     cx.emitter().emit(&Reserved(order.0));
/// });
/// let _audit = bus.on_with(|_: &Reserved, cx| {
///     assert_eq!(cx.depth(), 2);
///     assert_eq!(cx.cause(), Some(cx.origin()));
/// });
/// bus.emit(&Placed(7));
/// ```
///
/// # Cost
///
/// None beside the emission's own: everything in it was made for the emission, once.
pub struct Context<'a, E = BoxError> {
    scene: &'a Scene<'a, E>,
    called: Called<'a>,
}

impl<'a, E> Context<'a, E> {
    #[inline]
    pub(crate) fn new(scene: &'a Scene<'a, E>, called: Called<'a>) -> Self {
        Self { scene, called }
    }

    /// The topic that the event was emitted on, if it was emitted on one.
    pub fn topic(&self) -> Option<&'a str> {
        self.scene.topic
    }

    /// This emission's name.
    pub fn id(&self) -> EmissionId {
        self.scene.place.id
    }

    /// The emission in which this one was made, on whichever bus; `None` where a chain begins.
    pub fn cause(&self) -> Option<EmissionId> {
        self.scene.place.cause
    }

    /// The first emission of the chain, which is this one where the chain begins: a correlation id.
    pub fn origin(&self) -> EmissionId {
        self.scene.place.origin
    }

    /// How many emissions are nested on this thread, this one included: 1 for the outermost.
    pub fn depth(&self) -> usize {
        self.scene.place.depth
    }

    /// The place in the source that emitted the event.
    pub fn emitted_at(&self) -> &'static Location<'static> {
        self.scene.emitted_at
    }

    /// The listener that is called.
    pub fn listener(&self) -> ListenerId {
        self.called.id()
    }

    /// The bus. A listener that uses this one, not a clone it captured, doesn't keep its bus alive.
    pub fn emitter(&self) -> &Emitter<E> {
        self.scene.emitter
    }
}

// A panic leaves no bus broken: see `Emitter`.
impl<E> UnwindSafe for Context<'_, E> {}
impl<E> RefUnwindSafe for Context<'_, E> {}

impl<E> fmt::Debug for Context<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("event", &self.scene.event)
            .field("topic", &self.topic())
            .field("id", &self.id())
            .field("cause", &self.cause())
            .field("origin", &self.origin())
            .field("depth", &self.depth())
            .field("emitted_at", &format_args!("{}", Place(self.emitted_at())))
            .field("listener", &self.listener())
            .finish_non_exhaustive()
    }
}

/// An event of some type: what [`on_any`](Emitter::on_any) and [`on_unheard`](Emitter::on_unheard) pass.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// let _audit = bus.on_any(|event| match event.downcast_ref::<u32>() {
///     Some(n) => println!("a number, {n}"),
///     None => println!("some {}", event.type_name()),
/// });
/// bus.emit(&7_u32);
/// bus.emit(&"text");
/// ```
pub struct AnyEvent<'a, E = BoxError> {
    event: &'a dyn Any,
    context: Context<'a, E>,
}

impl<'a, E> AnyEvent<'a, E> {
    pub(crate) fn new(event: &'a dyn Any, context: Context<'a, E>) -> Self {
        Self { event, context }
    }

    /// The event's type, as [`std::any::type_name`] spells it.
    pub fn type_name(&self) -> &'static str {
        self.context.scene.event
    }

    /// The event, if it is a `T`.
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        self.event.downcast_ref()
    }

    /// The emission.
    pub fn context(&self) -> &Context<'a, E> {
        &self.context
    }
}

impl<E> fmt::Debug for AnyEvent<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyEvent").field("context", &self.context).finish_non_exhaustive()
    }
}
