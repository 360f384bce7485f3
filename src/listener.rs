//! A listener, as the bus holds it.

use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};

use crate::context::Scene;
use crate::discard::discard;
use crate::flow::Flow;
use crate::handle::Bus;
use crate::id::ListenerId;
use crate::info::ListenerInfo;
use crate::raw::gate::Gate;
use crate::sync::{Condvar, Mutex};

/// What dispatch asks of a listener: whether it wants the event, whether it may take one more call, and the call itself.
///
/// `T` is the event's type, or `dyn Any` for listeners of every type. A policy wraps another `Hear`.
pub(crate) trait Hear<T: ?Sized, E>: Release {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, id: ListenerId) -> Flow<E>;

    /// Before the call, of a guarded listener. May run user code, such as a filter.
    fn admits(&self, _event: &T) -> Admit {
        Admit::Yes
    }

    /// After it admitted, of a guarded listener: uses one call up. Runs no user code.
    fn spend(&self) -> Spend {
        Spend::Granted
    }

    /// Whether it is still there to be called. Runs no user code.
    fn is_present(&self) -> bool {
        true
    }
}

/// What doesn't depend on the event's type.
pub(crate) trait Release: Send + Sync {
    /// Drops what is the user's, every part on its own. How many of them panicked.
    fn release(&mut self) -> u64;

    /// Whether it wants to be asked, by `admits` and `spend`, before it is called.
    fn is_guarded(&self) -> bool {
        false
    }

    /// Whether its calls are not to count as hearing.
    fn is_silent(&self) -> bool {
        false
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admit {
    Yes,
    No,
    /// It will never be called again.
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spend {
    Granted,
    /// Granted, and the last one: whoever closes the gate may call.
    Last,
    Refused,
}

/// A listener's closure and what the bus knows of it.
pub(crate) struct Slot<E, H: ?Sized + Release> {
    pub(crate) gate: Gate,
    name: Option<&'static str>,
    pub(crate) registered_at: &'static Location<'static>,
    pub(crate) bus: Weak<Bus<E>>,
    /// Made for who waits until this slot is gone.
    pub(crate) gone: OnceLock<Arc<Latch>>,
    pub(crate) hear: H,
}

impl<E, H: Release> Slot<E, H> {
    pub(crate) fn new(
        bus: Weak<Bus<E>>,
        name: Option<&'static str>,
        registered_at: &'static Location<'static>,
        hear: H,
    ) -> Arc<Self> {
        let gate = Gate::new(hear.is_guarded(), hear.is_silent());
        Arc::new(Self { gate, name, registered_at, bus, gone: OnceLock::new(), hear })
    }
}

impl<E, H: ?Sized + Release> Slot<E, H> {
    pub(crate) fn info(&self, id: ListenerId, event: &'static str) -> ListenerInfo {
        ListenerInfo { id, event, priority: id.key().priority(), name: self.name, registered_at: self.registered_at }
    }
}

/// A slot goes when nothing lists it any more and the last emission that could pick it has ended.
impl<E, H: ?Sized + Release> Drop for Slot<E, H> {
    fn drop(&mut self) {
        let panics = self.hear.release();
        if panics != 0
            && let Some(bus) = self.bus.upgrade()
        {
            bus.suppress(panics);
        }
        if let Some(gone) = self.gone.get() {
            gone.open();
        }
    }
}

/// The plainest listener: a closure.
pub(crate) struct Closure<F> {
    /// Some, until it is released.
    call: Option<F>,
    silent: bool,
}

impl<F> Closure<F> {
    pub(crate) fn new<T: ?Sized, E>(call: F) -> Self
    where
        F: Fn(&T, &Scene<'_, E>, ListenerId) -> Flow<E>,
    {
        Self { call: Some(call), silent: false }
    }

    /// The same, but its calls don't count as hearing.
    pub(crate) fn silent(self) -> Self {
        Self { silent: true, ..self }
    }
}

impl<F: Send + Sync> Release for Closure<F> {
    fn release(&mut self) -> u64 {
        self.call.take().map_or(0, discard)
    }

    fn is_silent(&self) -> bool {
        self.silent
    }
}

impl<T: ?Sized, E, F> Hear<T, E> for Closure<F>
where
    F: Fn(&T, &Scene<'_, E>, ListenerId) -> Flow<E> + Send + Sync,
{
    #[inline]
    fn hear(&self, event: &T, scene: &Scene<'_, E>, id: ListenerId) -> Flow<E> {
        match &self.call {
            Some(call) => call(event, scene, id),
            None => Flow::Gone,
        }
    }
}

impl<H: ?Sized + Release> Release for Box<H> {
    fn release(&mut self) -> u64 {
        (**self).release()
    }

    fn is_guarded(&self) -> bool {
        (**self).is_guarded()
    }

    fn is_silent(&self) -> bool {
        (**self).is_silent()
    }
}

impl<T: ?Sized, E, H: ?Sized + Hear<T, E>> Hear<T, E> for Box<H> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, id: ListenerId) -> Flow<E> {
        (**self).hear(event, scene, id)
    }

    fn admits(&self, event: &T) -> Admit {
        (**self).admits(event)
    }

    fn spend(&self) -> Spend {
        (**self).spend()
    }

    fn is_present(&self) -> bool {
        (**self).is_present()
    }
}

/// Shut until somebody opens it; then everybody passes.
#[derive(Default)]
pub(crate) struct Latch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    fn open(&self) {
        *self.is_open.lock() = true;
        self.opened.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut is_open = self.is_open.lock();
        while !*is_open {
            self.opened.wait(&mut is_open);
        }
    }
}
