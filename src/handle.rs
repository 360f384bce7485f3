//! The bus itself, and the handles that share it.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock, Weak};

use crate::clock::Wake;
use crate::errors::ErrorChannel;
use crate::failure::BoxError;
#[cfg(feature = "async")]
use crate::future::BoxFuture;
use crate::info::Who;
use crate::queue::{Queue, Settings};
use crate::raw::frame;
use crate::registry::Registry;
use crate::sync::IS_MODEL;
use crate::watch::Watch;
use crate::watch::tally::Tally;

/// An event bus: the place where some modules say what happened and others listen.
///
/// An `Emitter` is a cheap handle; its clones share one bus. Keep one in every module that speaks, or give the module a
/// [`Port`](crate::Port), which can only speak. The last handle to go takes the bus and its listeners with it.
///
/// `E` is the error type that listeners return. The default, [`BoxError`], takes any error.
///
/// The verbs:
///
/// | to | use |
/// | --- | --- |
/// | hear every event of a type | [`on`](Self::on), [`on_with`](Self::on_with) for the emission too |
/// | hear the next one only | [`once`](Self::once), [`once_with`](Self::once_with) |
/// | hear with a priority, a name, a filter, a limit, a weak owner | [`listen`](Self::listen) |
/// | hear every type; what nobody heard; what failed | [`on_any`](Self::on_any), [`on_unheard`](Self::on_unheard), [`on_failure`](Self::on_failure) |
/// | hear, or tell, on a topic | [`topic`](Self::topic), [`topics`](Self::topics); [`try_topic`](Self::try_topic) for names from outside |
/// | stop hearing | drop the [`Subscription`](crate::Subscription); [`off`](Self::off), [`off_all`](Self::off_all) |
/// | tell whoever hears, now | [`emit`](Self::emit) |
/// | have it told later | [`defer`](Self::defer), [`defer_in`](Self::defer_in), [`defer_every`](Self::defer_every) |
/// | deliver what was deferred | [`drain`](Self::drain) now and then, [`run`](Self::run), [`spawn_loop`](Self::spawn_loop) |
/// | have a listener that failed try again | [`retry`](crate::Listen::retry), for `listen` |
/// | look at what failed for good, try it once more, throw it away | [`dead_letters`](Self::dead_letters) |
/// | pull events on a thread | [`inbox`](Self::inbox) |
/// | await them, with the feature `async` | `stream`, `next`; `on_async` and `emit_async` for listeners that await |
/// | give a module the right to tell | [`port`](Self::port) |
/// | see in a test what was told | [`record`](Self::record), [`record_map`](Self::record_map); [`record_any`](Self::record_any) for every type |
/// | keep in a test an event from those who hear it | [`intercept`](Self::intercept) |
/// | see who is there, and who emits what to whom | [`listeners`](Self::listeners), [`topology`](Self::topology) |
/// | see in a trace what came of what | a subscriber of `tracing`: see [`log`](crate::log#tracing) |
/// | refer to the bus without keeping it | [`downgrade`](Self::downgrade) |
///
/// # Threads
///
/// An `Emitter` is `Send` and `Sync`, whatever its events are. Listeners run on the thread that emits.
pub struct Emitter<E = BoxError> {
    bus: Arc<Bus<E>>,
}

/// What all handles share.
///
/// The listeners go first, with what they have to report; then what waits in the queue.
pub(crate) struct Bus<E> {
    pub(crate) registry: Registry<E>,
    /// Made when it is needed: a bus that defers nothing has none.
    pub(crate) queue: OnceLock<Box<Queue<E>>>,
    pub(crate) settings: Settings,
    pub(crate) errors: Arc<ErrorChannel<E>>,
    /// What is noted of listeners and emissions, if it was built for that.
    pub(crate) watch: Option<Box<Watch>>,
    #[cfg(feature = "async")]
    pub(crate) spawner: Option<Spawner>,
}

/// Has a future run to its end.
#[cfg(feature = "async")]
pub(crate) type Spawner = Box<dyn Fn(BoxFuture) + Send + Sync>;

impl<E> Bus<E> {
    /// What tells this bus from all others that live.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// How many emissions may nest.
    #[inline]
    pub(crate) fn max_depth(&self) -> usize {
        self.settings.max_depth as usize
    }

    #[inline]
    pub(crate) fn queue(&self) -> &Queue<E> {
        self.queue.get_or_init(|| Box::new(Queue::new(&self.settings, Arc::clone(&self.errors))))
    }

    /// What is to be counted of a listener that is about to be added, if anything is.
    pub(crate) fn tally(&self, who: Who) -> Option<Arc<Tally>> {
        Some(self.watch.as_ref()?.tally(&self.settings.clock, who))
    }

    /// To be held while listeners are let go of.
    pub(crate) fn clean_up(&self) -> frame::Guard {
        frame::begin_clean_up(self.address())
    }
}

/// A clock that was moved by hand.
impl<E: Send + Sync + 'static> Wake for Bus<E> {
    fn wake(&self) {
        if let Some(queue) = self.queue.get() {
            queue.wake();
        }
    }
}

impl<E: Send + Sync + 'static> Emitter<E> {
    pub(crate) fn from_bus(bus: Bus<E>) -> Self {
        let bus = Arc::new(bus);
        let sleeper: Weak<Bus<E>> = Arc::downgrade(&bus);
        bus.settings.clock.wakes(sleeper);
        if IS_MODEL {
            bus.queue();
        }
        Self { bus }
    }
}

impl<E> Emitter<E> {
    #[inline]
    pub(crate) fn bus(&self) -> &Bus<E> {
        &self.bus
    }

    pub(crate) fn weak_bus(&self) -> Weak<Bus<E>> {
        Arc::downgrade(&self.bus)
    }

    /// A handle that doesn't keep the bus alive: what a listener captures that must speak on its own bus from elsewhere
    /// than its [`Context`](crate::Context).
    ///
    /// A listener that captures an `Emitter` of its own bus keeps that bus, and so itself, alive for ever.
    pub fn downgrade(&self) -> WeakEmitter<E> {
        WeakEmitter { bus: self.weak_bus() }
    }

    /// How many failures went nowhere but into the trace: those below an error channel, an error channel's own panics, and
    /// the panics of destructors.
    ///
    /// Anything but 0 is a bug, most often in the error channel.
    pub fn suppressed_failures(&self) -> u64 {
        self.bus.errors.suppressed()
    }
}

impl<E> Clone for Emitter<E> {
    fn clone(&self) -> Self {
        Self { bus: Arc::clone(&self.bus) }
    }
}

// A panic leaves no bus broken: see the contract.
impl<E> UnwindSafe for Emitter<E> {}
impl<E> RefUnwindSafe for Emitter<E> {}
impl<E> UnwindSafe for WeakEmitter<E> {}
impl<E> RefUnwindSafe for WeakEmitter<E> {}

impl<E> fmt::Debug for Emitter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("suppressed_failures", &self.suppressed_failures()).finish_non_exhaustive()
    }
}

/// A handle to a bus that doesn't keep it alive; from [`Emitter::downgrade`].
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// let weak = bus.downgrade();
/// assert!(weak.upgrade().is_some());
/// drop(bus);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakEmitter<E = BoxError> {
    bus: Weak<Bus<E>>,
}

impl<E> WeakEmitter<E> {
    /// The bus, if it is still there. It stays while the handle returned is kept.
    pub fn upgrade(&self) -> Option<Emitter<E>> {
        Some(Emitter { bus: self.bus.upgrade()? })
    }
}

impl<E> Clone for WeakEmitter<E> {
    fn clone(&self) -> Self {
        Self { bus: Weak::clone(&self.bus) }
    }
}

impl<E> fmt::Debug for WeakEmitter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakEmitter").field("is_alive", &(self.bus.strong_count() > 0)).finish_non_exhaustive()
    }
}
