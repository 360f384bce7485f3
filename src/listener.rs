//! A listener, as the bus holds it.

use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};

use crate::context::Scene;
use crate::discard::discard;
use crate::failure::Failure;
use crate::flow::Flow;
use crate::handle::Bus;
use crate::id::{Key, ListenerId};
use crate::info::{ListenerInfo, Who};
use crate::raw::gate::Gate;
use crate::raw::roll::{Called, Entry, Mark};
use crate::registry::ListenerRef;
use crate::sync::{AtomicU64, Condvar, Mutex, Ordering};
use crate::topic::Pattern;
use crate::watch::tally::Tally;

/// A listener of `T`s, or of every type for `dyn Any`, as lists hold it and dispatch sees it.
///
/// There is one implementor, [`Slot`]. All that an ordinary call needs happens behind one virtual call, so that the listener's own
/// memory is looked at once.
pub(crate) trait Listener<T: ?Sized, E>: Send + Sync {
    /// Calls it, if its gate's word is the one noted. Whatever it answers but to go on is put into `answer`.
    fn call(&self, mark: &Mark, event: &T, scene: &Scene<'_, E>, answer: &mut Option<Flow<E>>) -> Reply;

    /// Calls it without that look: dispatch looked closer.
    fn call_admitted(&self, mark: &Mark, event: &T, scene: &Scene<'_, E>) -> Flow<E>;

    fn admits(&self, event: &T) -> Admit;
    fn postpone(&self, entry: &Entry<ListenerRef<T, E>>, event: &T, scene: &Scene<'_, E>) -> Postponed<E>;
    fn spend(&self) -> Spend;
    fn is_present(&self) -> bool;
    fn after_failure(
        &self,
        entry: &Entry<ListenerRef<T, E>>,
        event: &T,
        scene: &Scene<'_, E>,
        failure: Failure<E>,
    ) -> Option<Failure<E>>;
    fn gate(&self) -> &Gate;
    fn id(&self, key: Key) -> ListenerId;
    fn about(&self) -> &About<E>;
}

/// What came of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// It was called, and there is nothing more to it.
    Heard,
    /// It was called, and left an answer.
    Answered,
    /// It was not called: its gate says something else than was noted.
    LookCloser,
}

/// What a listener does: whether it wants the event, whether it may take one more call, and the call itself.
///
/// A policy wraps another `Hear`.
pub(crate) trait Hear<T: ?Sized, E>: Release {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E>;

    /// The one it wraps, which answers the questions that it leaves to it.
    fn inner(&self) -> Option<&dyn Hear<T, E>> {
        None
    }

    /// Before the call, of a guarded listener. May run user code, such as a filter.
    fn admits(&self, event: &T) -> Admit {
        self.inner().map_or(Admit::Yes, |inner| inner.admits(event))
    }

    /// After it admitted an event that is emitted now, of a guarded listener: it may rather hear it later. May run user code, such as `Clone`.
    fn postpone(&self, entry: &Entry<ListenerRef<T, E>>, event: &T, scene: &Scene<'_, E>) -> Postponed<E> {
        self.inner().map_or(Postponed::No, |inner| inner.postpone(entry, event, scene))
    }

    /// After it admitted, of a guarded listener: uses one call up. Runs no user code.
    fn spend(&self) -> Spend {
        if let Some(inner) = self.inner() { inner.spend() } else { Spend::Granted }
    }

    /// Whether it is still there to be called. Runs no user code.
    fn is_present(&self) -> bool {
        if let Some(inner) = self.inner() { inner.is_present() } else { true }
    }

    /// After its call failed: the failure, unless it will be called again. Runs user code.
    fn after_failure(
        &self,
        entry: &Entry<ListenerRef<T, E>>,
        event: &T,
        scene: &Scene<'_, E>,
        failure: Failure<E>,
    ) -> Option<Failure<E>> {
        match self.inner() {
            Some(inner) => inner.after_failure(entry, event, scene, failure),
            None => Some(failure),
        }
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

/// What a listener made of its turn.
pub(crate) enum Postponed<E> {
    /// It takes it now.
    No,
    /// It takes it later.
    Queued,
    /// It takes it later, and another event had to go for it.
    Displaced(Failure<E>),
    /// It would have taken it later, and there is no room for it.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spend {
    Granted,
    /// Granted, and the last one: whoever closes the gate may call.
    Last,
    Refused,
}

/// A listener's closure and what the bus knows of it.
pub(crate) struct Slot<E, H: Release> {
    pub(crate) about: About<E>,
    pub(crate) gate: Gate,
    /// The number of the channel that lists it.
    home: u32,
    hear: H,
}

/// What is known of a listener beside what it does.
pub(crate) struct About<E> {
    pub(crate) registered_at: &'static Location<'static>,
    pub(crate) bus: Weak<Bus<E>>,
    /// What only some listeners have, so that the others don't carry it.
    rare: OnceLock<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    name: Option<&'static str>,
    /// To which patterns it narrowed itself, each once.
    topics: Box<[Pattern]>,
    /// What is counted of it.
    tally: Option<Arc<Tally>>,
    /// How often it was tried again, if it is.
    retries: Option<Arc<AtomicU64>>,
    /// For who waits until this listener is gone.
    gone: Arc<Latch>,
}

impl<E> About<E> {
    pub(crate) fn new(
        bus: Weak<Bus<E>>,
        name: Option<&'static str>,
        topics: Vec<Pattern>,
        tally: Option<Arc<Tally>>,
        retries: Option<Arc<AtomicU64>>,
        registered_at: &'static Location<'static>,
    ) -> Self {
        let rare = if name.is_none() && topics.is_empty() && tally.is_none() && retries.is_none() {
            OnceLock::new()
        } else {
            Box::new(Rare { name, topics: topics.into(), tally, retries, gone: Arc::default() }).into()
        };
        Self { registered_at, bus, rare }
    }

    pub(crate) fn info(&self, id: ListenerId, event: &'static str) -> ListenerInfo {
        let rare = self.rare.get();
        let who = Who { name: rare.and_then(|rare| rare.name), registered_at: self.registered_at };
        let figures = rare.and_then(|rare| rare.tally.as_ref()?.figures());
        // Relaxed: a number.
        let retries = rare.and_then(|rare| Some(rare.retries.as_ref()?.load(Ordering::Relaxed)));
        ListenerInfo { retries, ..ListenerInfo::new(id, event, self.topics().to_vec(), who, figures) }
    }

    /// The patterns to which it narrowed itself; none if it hears events on whatever topic.
    pub(crate) fn topics(&self) -> &[Pattern] {
        self.rare.get().map_or(&[], |rare| &rare.topics)
    }

    /// Opens when the listener is gone.
    pub(crate) fn gone(&self) -> Arc<Latch> {
        Arc::clone(&self.rare.get_or_init(Box::default).gone)
    }
}

impl<E, H: Release> Slot<E, H> {
    pub(crate) fn new(home: u32, about: About<E>, hear: H) -> Arc<Self> {
        Arc::new(Self { about, gate: Gate::new(hear.is_guarded(), hear.is_silent()), home, hear })
    }
}

impl<T: ?Sized, E: Send + Sync, H: Hear<T, E>> Listener<T, E> for Slot<E, H> {
    #[inline]
    fn call(&self, mark: &Mark, event: &T, scene: &Scene<'_, E>, answer: &mut Option<Flow<E>>) -> Reply {
        if self.gate.word() != mark.noted {
            return Reply::LookCloser;
        }
        match self.call_admitted(mark, event, scene) {
            Flow::Continue => Reply::Heard,
            flow => answered(answer, flow),
        }
    }

    #[inline]
    fn call_admitted(&self, mark: &Mark, event: &T, scene: &Scene<'_, E>) -> Flow<E> {
        self.hear.hear(event, scene, Called::new(self.home, mark))
    }

    fn admits(&self, event: &T) -> Admit {
        self.hear.admits(event)
    }

    fn postpone(&self, entry: &Entry<ListenerRef<T, E>>, event: &T, scene: &Scene<'_, E>) -> Postponed<E> {
        self.hear.postpone(entry, event, scene)
    }

    fn spend(&self) -> Spend {
        self.hear.spend()
    }

    fn is_present(&self) -> bool {
        self.hear.is_present()
    }

    fn after_failure(
        &self,
        entry: &Entry<ListenerRef<T, E>>,
        event: &T,
        scene: &Scene<'_, E>,
        failure: Failure<E>,
    ) -> Option<Failure<E>> {
        self.hear.after_failure(entry, event, scene, failure)
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    #[inline]
    fn id(&self, key: Key) -> ListenerId {
        ListenerId::new(self.home, key)
    }

    fn about(&self) -> &About<E> {
        &self.about
    }
}

/// Apart from the call, which is short without it.
#[cold]
#[inline(never)]
fn answered<E>(answer: &mut Option<Flow<E>>, flow: Flow<E>) -> Reply {
    *answer = Some(flow);
    Reply::Answered
}

/// A slot goes when nothing lists it any more and the last emission that could pick it has ended.
impl<E, H: Release> Drop for Slot<E, H> {
    fn drop(&mut self) {
        let panics = self.hear.release();
        if panics != 0
            && let Some(bus) = self.about.bus.upgrade()
        {
            bus.errors.suppress(panics);
        }
        if let Some(rare) = self.about.rare.get() {
            rare.gone.open();
        }
    }
}

/// The plainest listener: a closure.
pub(crate) struct Closure<F> {
    /// Some, until it is released.
    call: Option<F>,
}

impl<F> Closure<F> {
    pub(crate) fn new<T: ?Sized, E>(call: F) -> Self
    where
        F: Fn(&T, &Scene<'_, E>, Called<'_>) -> Flow<E>,
    {
        Self { call: Some(call) }
    }
}

impl<F: Send + Sync> Release for Closure<F> {
    fn release(&mut self) -> u64 {
        self.call.take().map_or(0, discard)
    }
}

impl<T: ?Sized, E, F> Hear<T, E> for Closure<F>
where
    F: Fn(&T, &Scene<'_, E>, Called<'_>) -> Flow<E> + Send + Sync,
{
    #[inline]
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        match &self.call {
            Some(call) => call(event, scene, called),
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

impl<T: ?Sized, E> Hear<T, E> for Box<dyn Hear<T, E>> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        (**self).hear(event, scene, called)
    }

    fn inner(&self) -> Option<&dyn Hear<T, E>> {
        Some(&**self)
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
