//! Delivery: who is called, in which order, and what happens when a call goes wrong. Only this file calls listeners.

use std::any::{Any, TypeId, type_name};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

use crate::context::Scene;
use crate::discard::discard;
use crate::emission::Emission;
use crate::failure::{Cause, Failure};
use crate::flow::Flow;
use crate::handle::Emitter;
use crate::id::ListenerId;
use crate::info::ListenerInfo;
use crate::listener::{Admit, Spend};
use crate::raw::frame;
use crate::raw::gate::Gate;
use crate::raw::roll::{Chunk, Chunks, Entry};
use crate::registry::{ANY, Channel, ListenerRef, UNHEARD};

/// Delivers the event now: what `emit` promises. `channel`, if the caller has it at hand.
#[inline]
#[track_caller]
pub(crate) fn emit<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: Option<&Channel<T, E>>,
    event: &T,
) -> Emission {
    let emitted_at = Location::caller();
    let bus = emitter.bus();
    if frame::depth() >= bus.max_depth {
        let cause = Cause::TooDeep { limit: bus.max_depth };
        report(emitter, Failure::new(type_name::<T>(), None, emitted_at, cause));
        return Emission::default();
    }
    let Some(channel) = channel.or_else(|| bus.registry.find::<T>()) else { return Emission::default() };
    let emission = deliver(emitter, channel, event, emitted_at);
    if let Some(failures) = frame::take_raised() {
        raise(&failures);
    }
    emission
}

/// Ends the outermost emission with the panic that `hearken::panic` asked for.
#[cold]
#[track_caller]
fn raise(failures: &str) {
    if std::thread::panicking() {
        // A second panic on the way would abort the process.
        tracing::error!(target: "hearken", "{failures}");
    } else {
        panic!("{failures}");
    }
}

/// Hands a failure to those who listen for failures, then to the error channel.
#[cold]
pub(crate) fn report<E: Send + Sync + 'static>(emitter: &Emitter<E>, failure: Failure<E>) {
    let bus = emitter.bus();
    if frame::is_below_channel() {
        tracing::error!(target: "hearken", ?failure, "a failure below an error channel");
        bus.suppress(1 + discard(failure));
        return;
    }
    if !frame::is_below_failure()
        && let Some(channel) = bus.registry.find::<Failure<E>>()
    {
        // However deep it is: failures below this one go straight to the channel, so it ends here.
        deliver(emitter, channel, &failure, failure.emitted_at());
    }
    let _report = frame::begin_report();
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (bus.on_failure)(failure))) {
        tracing::error!(target: "hearken", cause = ?Cause::<E>::of_panic(&*payload), "the error channel panicked");
        bus.suppress(1 + discard(payload));
    }
}

fn deliver<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: &Channel<T, E>,
    event: &T,
    emitted_at: &'static Location<'static>,
) -> Emission {
    let is_failure = TypeId::of::<T>() == TypeId::of::<Failure<E>>();
    let (place, _frame) = frame::begin_emission(emitter.bus().address(), is_failure);
    // Let go of before the frame: it may be the last to hold listeners that were removed meanwhile.
    let snapshot = channel.snapshot(&emitter.bus().registry);
    let scene = Scene { emitter, event: channel.event, emitted_at, place };
    let mut delivery = Delivery {
        event,
        home: channel.home,
        scene: &scene,
        emission: Emission::default(),
        current: None,
        is_asking: false,
    };

    if snapshot.any.is_empty() {
        delivery.run(Entries::of(&snapshot.own).map(Turn::Own));
    } else {
        delivery.run(InOrder { own: Entries::of(&snapshot.own), any: Entries::of(&snapshot.any) });
    }
    if delivery.emission.heard == 0 && !snapshot.unheard.is_empty() && !is_failure {
        delivery.run(Entries::of(&snapshot.unheard).map(Turn::Unheard));
    }
    delivery.emission
}

/// One emission on its way through its listeners.
struct Delivery<'a, T, E> {
    event: &'a T,
    /// The number of the channel of `T`.
    home: u32,
    scene: &'a Scene<'a, E>,
    emission: Emission,
    /// Whose turn it is, for when it panics.
    current: Option<Turn<'a, T, E>>,
    /// Whether it is being asked, not called.
    is_asking: bool,
}

/// Whose turn it is: a listener of the event's type, of every type, or of what nobody heard.
enum Turn<'a, T, E> {
    Own(&'a Entry<ListenerRef<T, E>>),
    Any(&'a Entry<ListenerRef<dyn Any, E>>),
    Unheard(&'a Entry<ListenerRef<dyn Any, E>>),
}

impl<'a, T: 'static, E: Send + Sync + 'static> Delivery<'a, T, E> {
    /// Gives everybody their turn. A panic ends one turn, not the emission.
    fn run(&mut self, mut turns: impl Iterator<Item = Turn<'a, T, E>>) {
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.run_until_panic(&mut turns))) {
            self.panicked(payload);
        }
    }

    #[inline]
    fn run_until_panic(&mut self, turns: &mut impl Iterator<Item = Turn<'a, T, E>>) {
        for turn in turns {
            self.current = Some(turn);
            let goes_on = match turn {
                Turn::Own(entry) => self.call(entry, self.event, self.home, true),
                Turn::Any(entry) => self.call(entry, self.event as &dyn Any, ANY, false),
                Turn::Unheard(entry) => self.call(entry, self.event as &dyn Any, UNHEARD, false),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Whether the emission goes on behind this listener. `counts`: its call may count as hearing.
    #[inline]
    fn call<U: ?Sized>(&mut self, entry: &Entry<ListenerRef<U, E>>, event: &U, home: u32, counts: bool) -> bool {
        let listener = &*entry.value;
        let word = listener.gate.word();
        let id = ListenerId::new(home, entry.key);
        if word != entry.noted && !self.admit(entry, event, id) {
            return true;
        }
        self.emission.heard += usize::from(counts && !word.is_silent());
        match listener.hear.hear(event, self.scene, id) {
            Flow::Continue => true,
            flow => self.settle(flow),
        }
    }

    /// Whether a listener that can't be called without a second look is to be called: open, admitting, claimed.
    #[inline(never)]
    fn admit<U: ?Sized>(&mut self, entry: &Entry<ListenerRef<U, E>>, event: &U, id: ListenerId) -> bool {
        let Entry { value: listener, noted, .. } = entry;
        let word = listener.gate.word();
        if !word.is_open_to(*noted) {
            return false;
        }
        if !word.is_guarded() {
            return true;
        }
        self.is_asking = true;
        let answer = listener.hear.admits(event);
        self.is_asking = false;
        match answer {
            Admit::Yes => {}
            Admit::No => return false,
            Admit::Gone => {
                self.close(&listener.gate, id);
                return false;
            }
        }
        // The question may have taken its time, or have switched its own listener off.
        if !listener.gate.word().is_open_to(*noted) {
            return false;
        }
        match listener.hear.spend() {
            Spend::Granted => true,
            Spend::Refused => false,
            Spend::Last => self.close(&listener.gate, id),
        }
    }

    /// Switches a listener off and removes it. False if somebody else did: then its last call is not ours to make.
    fn close(&self, gate: &Gate, id: ListenerId) -> bool {
        let closed = gate.close();
        if closed {
            self.scene.emitter.bus().registry.remove(id);
        }
        closed
    }

    /// What a listener's answer means, if it isn't just to go on. Whether the emission goes on.
    #[cold]
    fn settle(&mut self, flow: Flow<E>) -> bool {
        let Some(turn) = self.current else { return true };
        match flow {
            Flow::Continue => {}
            Flow::Break => {
                self.emission.stopped_by = Some(turn.id(self.home));
                return false;
            }
            Flow::Fail(error) => {
                self.emission.failed += usize::from(turn.is_counted());
                self.report(turn, Cause::Error(error.into()));
            }
            Flow::Gone => {
                self.emission.heard -= usize::from(turn.is_counted());
                self.close(turn.gate(), turn.id(self.home));
            }
        }
        true
    }

    #[cold]
    fn panicked(&mut self, payload: Box<dyn Any + Send>) {
        let cause = Cause::of_panic(&*payload);
        match discard(payload) {
            0 => {}
            panics => self.scene.emitter.bus().suppress(panics),
        }
        let was_asked = std::mem::take(&mut self.is_asking);
        if let Some(turn) = self.current {
            self.emission.failed += usize::from(turn.is_counted() && !was_asked);
            self.report(turn, cause);
        }
    }

    fn report(&self, turn: Turn<'a, T, E>, cause: Cause<E>) {
        let Scene { emitter, event, emitted_at, .. } = self.scene;
        let listener = turn.info(self.home, event);
        report(emitter, Failure::new(event, Some(listener), emitted_at, cause));
    }
}

impl<T, E> Turn<'_, T, E> {
    fn gate(&self) -> &Gate {
        match self {
            Self::Own(entry) => &entry.value.gate,
            Self::Any(entry) | Self::Unheard(entry) => &entry.value.gate,
        }
    }

    fn id(&self, home: u32) -> ListenerId {
        match self {
            Self::Own(entry) => ListenerId::new(home, entry.key),
            Self::Any(entry) => ListenerId::new(ANY, entry.key),
            Self::Unheard(entry) => ListenerId::new(UNHEARD, entry.key),
        }
    }

    fn is_counted(&self) -> bool {
        matches!(self, Self::Own(entry) if !entry.value.gate.word().is_silent())
    }

    fn info(&self, home: u32, event: &'static str) -> ListenerInfo {
        let id = self.id(home);
        match self {
            Self::Own(entry) => entry.value.info(id, event),
            Self::Any(entry) => entry.value.info(id, "any event"),
            Self::Unheard(entry) => entry.value.info(id, "unheard events"),
        }
    }
}

impl<T, E> Clone for Turn<'_, T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, E> Copy for Turn<'_, T, E> {}

/// The entries of a snapshot's chunks, one after the other.
struct Entries<'a, V> {
    chunks: std::slice::Iter<'a, Arc<Chunk<V>>>,
    entries: std::slice::Iter<'a, Entry<V>>,
}

impl<'a, V> Entries<'a, V> {
    #[inline]
    fn of(chunks: &'a Chunks<V>) -> Self {
        Self { chunks: chunks.iter(), entries: [].iter() }
    }

    fn peek(&mut self) -> Option<&'a Entry<V>> {
        loop {
            if let Some(entry) = self.entries.as_slice().first() {
                return Some(entry);
            }
            self.entries = self.chunks.next()?.iter();
        }
    }
}

impl<'a, V> Iterator for Entries<'a, V> {
    type Item = &'a Entry<V>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<V>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(entry);
            }
            self.entries = self.chunks.next()?.iter();
        }
    }
}

/// The listeners of a type and those of every type, in their one order.
struct InOrder<'a, T, E> {
    own: Entries<'a, ListenerRef<T, E>>,
    any: Entries<'a, ListenerRef<dyn Any, E>>,
}

impl<'a, T, E> Iterator for InOrder<'a, T, E> {
    type Item = Turn<'a, T, E>;

    fn next(&mut self) -> Option<Turn<'a, T, E>> {
        match (self.own.peek(), self.any.peek()) {
            (Some(own), Some(any)) if any.key < own.key => self.any.next().map(Turn::Any),
            (None, _) => self.any.next().map(Turn::Any),
            _ => self.own.next().map(Turn::Own),
        }
    }
}
