//! Delivery: who is called, in which order, and what happens when a call goes wrong. Only this file calls listeners.

use std::any::{Any, TypeId, type_name};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use crate::chain::From;
#[cfg(feature = "async")]
use crate::context::Started;
use crate::context::{Scene, Timing, Tried};
use crate::discard::discard;
use crate::emission::Emission;
use crate::errors::raise_if_outermost;
use crate::failure::{Cause, Failure};
use crate::flow::Flow;
use crate::handle::Emitter;
use crate::id::{Key, ListenerId};
use crate::info::ListenerInfo;
use crate::listener::{Admit, Postponed, Reply, Spend};
use crate::raw::frame;
use crate::raw::gate::Gate;
use crate::raw::roll::{Entries, Entry, List};
use crate::registry::{Channel, ListenerRef, Name, Narrowed, Registry, Resolved, Snapshot, broad_event};
use crate::trace::{self, Entered, Span};
use crate::watch::Watch;
use crate::watch::sites;
use crate::watch::tally;

/// Delivers the event now: what `emit` promises. `channel`, if the caller has it at hand.
#[inline]
#[track_caller]
pub(crate) fn emit<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: Option<&Channel<T, E>>,
    topic: Option<Name<'_>>,
    event: &T,
) -> Emission {
    let emitted_at = Location::caller();
    let bus = emitter.bus();
    if frame::depth() >= bus.max_depth() {
        too_deep_now::<T, E>(emitter, topic, emitted_at);
        return Emission::default();
    }
    let Some(channel) = channel.or_else(|| find(&bus.registry)) else { return Emission::default() };
    let emission = deliver(emitter, channel, topic, event, emitted_at);
    raise_if_outermost();
    emission
}

/// The same for an emission that is awaited: its async listeners' futures go into `started`, and nothing is raised.
#[cfg(feature = "async")]
pub(crate) fn emit_awaited<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    topic: Option<Name<'_>>,
    event: &T,
    from: From,
    started: Started<'_>,
) -> Emission {
    let bus = emitter.bus();
    if frame::depth() >= bus.max_depth() {
        too_deep(emitter, type_name::<T>(), topic.map(|topic| topic.text), from);
        return Emission::default();
    }
    let Some(channel) = find(&bus.registry) else { return Emission::default() };
    call_all(emitter, channel, topic, event, from, Timing::Awaited(started))
}

/// What knows the listeners of a type. Where nobody ever listened, nothing does, unless somebody traces what nobody hears.
#[inline]
fn find<T: 'static, E: Send + Sync + 'static>(registry: &Registry<E>) -> Option<&Channel<T, E>> {
    registry.find().or_else(|| if trace::is_on() { registry.made() } else { None })
}

/// Hands a failure to those who listen for failures, then to the error channel.
#[cold]
pub(crate) fn report<E: Send + Sync + 'static>(emitter: &Emitter<E>, failure: Failure<E>) {
    trace::failure(&failure);
    let bus = emitter.bus();
    if !frame::is_below_channel()
        && !frame::is_below_failure()
        && let Some(channel) = bus.registry.find::<Failure<E>>()
    {
        // However deep it is: failures below this one go straight to the channel, so it ends here.
        let from = From { emitted_at: failure.emitted_at(), chain: failure.chain().behind() };
        call_all(emitter, channel, None, &failure, from, Timing::Now);
    }
    bus.errors.hand_over(failure);
}

/// Delivers an event that is emitted now.
fn deliver<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: &Channel<T, E>,
    topic: Option<Name<'_>>,
    event: &T,
    emitted_at: &'static Location<'static>,
) -> Emission {
    call_all(emitter, channel, topic, event, From { emitted_at, chain: frame::chain() }, Timing::Now)
}

/// Delivers events that were deferred one after the other, at one place and on one topic, and drops each.
///
/// What they have in common is looked up for all of them, and again when listeners came or went.
#[inline]
pub(crate) fn deliver_run<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: &Channel<T, E>,
    topic: Option<Name<'_>>,
    from: From,
    mut events: impl Iterator<Item = T>,
) {
    let bus = emitter.bus();
    let text = topic.map(|topic| topic.text);
    if frame::depth() >= bus.max_depth() {
        return events.for_each(|event| {
            too_deep(emitter, type_name::<T>(), text, from);
            bus.errors.suppress(discard(event));
        });
    }
    let mut next = events.next();
    while next.is_some() {
        let changes = channel.changes();
        let (place, frame) = frame::begin_emission(bus.address(), is_failure::<T, E>(), from.chain);
        let (loaded, mut resolved) = (channel.snapshot(&bus.registry), None);
        let audience = Audience::of(emitter, channel, topic, &loaded, &mut resolved);
        let mut scene = Scene::new::<T>(emitter, text, from.emitted_at, place, Timing::Late);
        while let Some(event) = next {
            scene.begin_span();
            audience.call_all(channel.home, &event, &scene);
            scene.end_span();
            if std::mem::needs_drop::<T>() {
                match frame.outside(|| discard(event)) {
                    0 => {}
                    panics => bus.errors.suppress(panics),
                }
            }
            next = events.next();
            // Who is stale may hold listeners that are gone.
            if channel.changes() != changes {
                break;
            }
            if next.is_some() {
                scene.place = frame.begin_next(from.chain);
            }
        }
    }
}

/// Apart, because what it makes would take up stack at every level.
#[cold]
#[inline(never)]
fn too_deep_now<T, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    topic: Option<Name<'_>>,
    emitted_at: &'static Location<'static>,
) {
    let from = From { emitted_at, chain: frame::chain() };
    too_deep(emitter, type_name::<T>(), topic.map(|topic| topic.text), from);
}

#[cold]
fn too_deep<E: Send + Sync + 'static>(emitter: &Emitter<E>, event: &'static str, topic: Option<&str>, from: From) {
    let cause = Cause::TooDeep { limit: emitter.bus().max_depth() };
    report(emitter, Failure::new(event, topic, None, from, cause));
}

/// Why one listener is called alone.
pub(crate) enum Alone<'a> {
    /// It put the event off, whose span this is.
    PutOff(Span),
    /// It failed on the event before.
    Again(&'a Tried),
}

/// Calls one listener with an event that was emitted before. Whether that was done: it was called, or tapped, or it was a turn that went too deep.
pub(crate) fn deliver_turn<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: &Channel<T, E>,
    turn: &Entry<ListenerRef<T, E>>,
    topic: Option<&str>,
    event: &T,
    from: From,
    why: Alone<'_>,
) -> bool {
    let bus = emitter.bus();
    if !turn.value.gate().word().is_open_to(turn.mark.noted) {
        return false;
    }
    if frame::depth() >= bus.max_depth() {
        too_deep(emitter, type_name::<T>(), topic, from);
        // An attempt is kept.
        return matches!(why, Alone::PutOff(_));
    }
    let (place, _frame) = frame::begin_emission(bus.address(), is_failure::<T, E>(), from.chain);
    let (timing, span) = match why {
        Alone::PutOff(span) => (Timing::Turn, span.enter()),
        Alone::Again(tried) => (Timing::Again(tried), Entered::NOTHING),
    };
    let mut scene = Scene { span, ..Scene::new::<T>(emitter, topic, from.emitted_at, place, timing) };
    if let Timing::Again(_) = timing {
        scene.begin_span();
    }
    if let Some(tapped) = channel.tapped(&bus.registry) {
        let mut delivery = Delivery::new(event, &scene);
        delivery.run_in_order(List::Chunks(&tapped.own), List::default(), None);
        return true;
    }
    let mut delivery = Delivery::new(event, &scene);
    delivery.run(|done| done.is_none().then_some(Turn::Own(turn)).into_iter());
    delivery.heard > 0
}

pub(crate) fn is_failure<T: 'static, E: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<Failure<E>>()
}

#[inline]
fn call_all<T: 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    channel: &Channel<T, E>,
    topic: Option<Name<'_>>,
    event: &T,
    from: From,
    timing: Timing<'_>,
) -> Emission {
    let bus = emitter.bus();
    let (place, _frame) = frame::begin_emission(bus.address(), is_failure::<T, E>(), from.chain);
    // Let go of before the frame: it may be the last to hold listeners that were removed meanwhile.
    let (loaded, mut resolved) = (channel.snapshot(&bus.registry), None);
    let audience = Audience::of(emitter, channel, topic, &loaded, &mut resolved);
    let mut scene = Scene::new::<T>(emitter, topic.map(|topic| topic.text), from.emitted_at, place, timing);
    scene.begin_span();
    audience.call_all(channel.home, event, &scene)
}

/// Everybody whom an emission may call.
struct Audience<'a, T, E> {
    snapshot: &'a Snapshot<T, E>,
    narrowed: Option<&'a Narrowed<T, E>>,
}

impl<'a, T: 'static, E: Send + Sync + 'static> Audience<'a, T, E> {
    /// `resolved`: where it keeps who hears a topic that the snapshot doesn't know.
    #[inline]
    fn of(
        emitter: &Emitter<E>,
        channel: &Channel<T, E>,
        topic: Option<Name<'_>>,
        snapshot: &'a Snapshot<T, E>,
        resolved: &'a mut Option<Resolved<T, E>>,
    ) -> Self {
        let Some(topic) = topic.filter(|_| snapshot.is_narrow()) else { return Self { snapshot, narrowed: None } };
        if let narrowed @ Some(_) = snapshot.narrowed_to(topic) {
            return Self { snapshot, narrowed };
        }
        let (newer, narrowed) = resolved.insert(channel.resolve(&emitter.bus().registry, topic, snapshot));
        Self { snapshot: newer.as_deref().unwrap_or(snapshot), narrowed: Some(narrowed) }
    }

    #[inline]
    fn call_all(&self, home: u32, event: &T, scene: &Scene<'_, E>) -> Emission {
        let &Self { snapshot, narrowed } = self;
        let Snapshot { own, any, unheard, .. } = snapshot;
        let mut delivery = Delivery::new(event, scene);
        if let Some(only) = only_list(snapshot, narrowed) {
            delivery.run(|done| only.behind(done).map(Turn::Own));
        } else {
            delivery.run_in_order(List::Chunks(own), List::Chunks(any), narrowed);
        }
        if delivery.heard == 0 && !unheard.is_empty() && delivery.deferred == 0 && !is_failure::<T, E>() {
            delivery.run_in_order(List::default(), List::Chunks(unheard), None);
        }
        if let Some(watch) = &scene.emitter.bus().watch {
            note(watch, home, &delivery);
        }
        delivery.report()
    }
}

/// All that an emission may call, if that is one list, as it mostly is.
#[inline]
fn only_list<'a, T, E>(
    snapshot: &'a Snapshot<T, E>,
    narrowed: Option<&'a Narrowed<T, E>>,
) -> Option<List<'a, ListenerRef<T, E>>> {
    match narrowed {
        _ if !snapshot.any.is_empty() => None,
        None => Some(List::Chunks(&snapshot.own)),
        Some(narrowed) if snapshot.own.is_empty() && narrowed.any().is_none() => Some(narrowed.own()),
        Some(_) => None,
    }
}

/// Notes an emission that has ended, if the bus keeps metrics. Failures are the bus's own: they have no place that emits them.
#[cold]
#[inline(never)]
fn note<T: 'static, E: 'static>(watch: &Watch, home: u32, delivery: &Delivery<'_, T, E>) {
    let Scene { event, topic, emitted_at, timing, .. } = *delivery.scene;
    let is_deferred = matches!(timing, Timing::Late);
    if let Some(sites) = &watch.sites
        && !is_failure::<T, E>()
    {
        sites.note(&sites::Emission {
            home,
            event,
            topic,
            emitted_at,
            // Who drains has nothing to do with what was deferred.
            by: tally::running().filter(|_| !is_deferred),
            is_deferred,
            is_unheard: delivery.heard + delivery.deferred == 0,
        });
    }
}

/// One emission on its way through its listeners.
struct Delivery<'a, T, E> {
    event: &'a T,
    scene: &'a Scene<'a, E>,
    heard: usize,
    failed: usize,
    deferred: usize,
    stopped_by: Option<ListenerId>,
    /// Whose turn it is, for when it panics.
    current: Option<Turn<'a, T, E>>,
    /// What it answered, other than to go on.
    answer: Option<Flow<E>>,
    /// Whether it is being asked, not called.
    is_asking: bool,
}

/// Whose turn it is: a listener of the event's type, or of every type.
enum Turn<'a, T, E> {
    Own(&'a Entry<ListenerRef<T, E>>),
    Any(&'a Entry<ListenerRef<dyn Any, E>>),
}

impl<'a, T: 'static, E: Send + Sync + 'static> Delivery<'a, T, E> {
    #[inline]
    fn new(event: &'a T, scene: &'a Scene<'a, E>) -> Self {
        Self {
            event,
            scene,
            heard: 0,
            failed: 0,
            deferred: 0,
            stopped_by: None,
            current: None,
            answer: None,
            is_asking: false,
        }
    }

    #[inline]
    fn report(&self) -> Emission {
        #[cold]
        fn whole(heard: usize, failed: usize, deferred: usize, stopped_by: Option<ListenerId>) -> Emission {
            Emission { heard, failed, deferred, stopped_by }
        }
        // Apart, because constants are returned faster than what was written a moment ago.
        match (self.failed, self.deferred, self.stopped_by) {
            (0, 0, None) => Emission { heard: self.heard, ..Emission::default() },
            (failed, deferred, stopped_by) => whole(self.heard, failed, deferred, stopped_by),
        }
    }

    /// Gives everybody their turn. A panic ends one turn, and the rest begins anew behind it.
    #[inline]
    fn run<I: Iterator<Item = Turn<'a, T, E>>>(&mut self, turns_behind: impl Fn(Option<Key>) -> I) {
        let mut done = None;
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.run_until_panic(&mut turns_behind(done)))) {
            done = self.current.map(|turn| turn.key());
            self.panicked(payload);
        }
    }

    /// The same through several lists. Apart, because the usual way is through one, and fast.
    #[inline(never)]
    fn run_in_order(
        &mut self,
        own: List<'a, ListenerRef<T, E>>,
        any: List<'a, ListenerRef<dyn Any, E>>,
        narrowed: Option<&'a Narrowed<T, E>>,
    ) {
        self.run(|done| {
            let own = [own, narrowed.map(Narrowed::own).unwrap_or_default()];
            let any = [any, narrowed.and_then(Narrowed::any).map(|any| List::Chunks(any)).unwrap_or_default()];
            InOrder { own: own.map(|list| list.behind(done)), any: any.map(|list| list.behind(done)) }
        });
    }

    #[inline]
    fn run_until_panic(&mut self, turns: &mut impl Iterator<Item = Turn<'a, T, E>>) {
        let (event, scene) = (self.event, self.scene);
        for turn in turns {
            // Whose turn it is matters only if it is an unusual one: usual ones don't write it down.
            let note = OnPanic { current: &mut self.current, turn };
            let (reply, counts) = match turn {
                Turn::Own(entry) => (entry.value.call(&entry.mark, event, scene, &mut self.answer), 1),
                Turn::Any(entry) => (entry.value.call(&entry.mark, event, scene, &mut self.answer), 0),
            };
            std::mem::forget(note);
            if reply == Reply::Heard {
                self.heard += counts;
            } else if !self.go_on(turn, reply) {
                return;
            }
        }
    }

    /// Whether the emission goes on behind a listener that didn't just hear.
    #[inline(never)]
    fn go_on(&mut self, turn: Turn<'a, T, E>, reply: Reply) -> bool {
        self.current = Some(turn);
        if reply == Reply::LookCloser {
            let (event, scene) = (self.event, self.scene);
            let called = match turn {
                Turn::Own(entry) => {
                    self.admit(entry, event).then(|| entry.value.call_admitted(&entry.mark, event, scene))
                }
                Turn::Any(entry) => {
                    self.admit(entry, event as &dyn Any).then(|| entry.value.call_admitted(&entry.mark, event, scene))
                }
            };
            match called {
                Some(answer) => self.answer = Some(answer),
                None => return true,
            }
        }
        self.settle()
    }

    /// Is it open, does it admit, may it be claimed?
    fn admit<U: ?Sized>(&mut self, entry: &Entry<ListenerRef<U, E>>, event: &U) -> bool {
        let (listener, noted) = (&*entry.value, entry.mark.noted);
        let word = listener.gate().word();
        if !word.is_open_to(noted) {
            return false;
        }
        if !word.is_guarded() {
            return true;
        }
        self.is_asking = true;
        let (answer, postponed) = match self.scene.timing {
            Timing::Turn | Timing::Again(_) => (Admit::Yes, Postponed::No),
            Timing::Late => (listener.admits(event), Postponed::No),
            Timing::Now | Timing::Awaited(_) => match listener.admits(event) {
                // The filter may have switched its own listener off, or let go of the owner.
                Admit::Yes if !listener.gate().word().is_open_to(noted) => (Admit::No, Postponed::No),
                Admit::Yes if !listener.is_present() => (Admit::Gone, Postponed::No),
                Admit::Yes => (Admit::Yes, listener.postpone(entry, event, self.scene)),
                answer => (answer, Postponed::No),
            },
        };
        self.is_asking = false;
        match answer {
            Admit::Yes => {}
            Admit::No => return false,
            Admit::Gone => {
                self.close_current();
                return false;
            }
        }
        match postponed {
            Postponed::No => {}
            Postponed::Refused => {
                if let Some(turn) = self.current {
                    self.report_failure(turn, Cause::Lost { missed: 1 });
                }
                return false;
            }
            Postponed::Queued => {
                self.deferred += 1;
                return false;
            }
            Postponed::Displaced(oldest) => {
                self.deferred += 1;
                report(self.scene.emitter, oldest);
                return false;
            }
        }
        // The question may have taken its time, or have switched its own listener off.
        if !listener.gate().word().is_open_to(noted) {
            return false;
        }
        match listener.spend() {
            Spend::Granted => true,
            Spend::Refused => false,
            Spend::Last => self.close_current(),
        }
    }

    /// Switches the current listener off and removes it. False if somebody else did: then its last call is not ours to make.
    fn close_current(&self) -> bool {
        let Some(turn) = self.current else { return false };
        let closed = turn.gate().close();
        if closed {
            self.scene.emitter.bus().registry.remove(turn.id());
        }
        closed
    }

    /// What the current listener's answer means. Whether the emission goes on.
    #[cold]
    fn settle(&mut self) -> bool {
        let Some(turn) = self.current else { return true };
        let counts = usize::from(turn.is_counted());
        self.heard += counts;
        match self.answer.take() {
            None | Some(Flow::Continue) => {}
            Some(Flow::Break) => {
                self.stopped_by = Some(turn.id());
                return false;
            }
            Some(Flow::Fail(error)) => {
                self.failed += self.fail(turn, Cause::Error(error.into()), counts);
            }
            #[cfg(feature = "async")]
            Some(Flow::NoSpawner) => {
                self.failed += self.fail(turn, Cause::NoSpawner, counts);
            }
            Some(Flow::Gone) => {
                self.heard -= counts;
                self.close_current();
            }
        }
        true
    }

    #[cold]
    fn panicked(&mut self, payload: Box<dyn Any + Send>) {
        let cause = Cause::of_panic(&*payload);
        match discard(payload) {
            0 => {}
            panics => self.scene.emitter.bus().errors.suppress(panics),
        }
        let was_asked = std::mem::take(&mut self.is_asking);
        if let Some(turn) = self.current {
            let counts = usize::from(turn.is_counted() && !was_asked);
            self.heard += counts;
            if was_asked {
                self.report_failure(turn, cause);
            } else {
                self.failed += self.fail(turn, cause, counts);
            }
        }
    }

    /// A call failed. How many failures that makes of so many: none, if the listener will be called again.
    fn fail(&self, turn: Turn<'a, T, E>, cause: Cause<E>, counts: usize) -> usize {
        let failure = self.failure(turn, cause);
        let failure = match turn {
            Turn::Own(entry) => entry.value.after_failure(entry, self.event, self.scene, failure),
            Turn::Any(_) => Some(failure),
        };
        failure.map_or(0, |failure| {
            report(self.scene.emitter, failure);
            counts
        })
    }

    fn report_failure(&self, turn: Turn<'a, T, E>, cause: Cause<E>) {
        report(self.scene.emitter, self.failure(turn, cause));
    }

    fn failure(&self, turn: Turn<'a, T, E>, cause: Cause<E>) -> Failure<E> {
        let Scene { event, topic, .. } = *self.scene;
        Failure::new(event, topic, Some(turn.info(event)), self.scene.from(), cause)
    }
}

/// Notes whose turn it was, when a panic drops it.
struct OnPanic<'d, 'a, T, E> {
    current: &'d mut Option<Turn<'a, T, E>>,
    turn: Turn<'a, T, E>,
}

impl<T, E> Drop for OnPanic<'_, '_, T, E> {
    fn drop(&mut self) {
        *self.current = Some(self.turn);
    }
}

impl<T, E> Turn<'_, T, E> {
    fn key(&self) -> Key {
        match self {
            Self::Own(entry) => entry.key(),
            Self::Any(entry) => entry.key(),
        }
    }

    fn id(&self) -> ListenerId {
        match self {
            Self::Own(entry) => entry.value.id(entry.key()),
            Self::Any(entry) => entry.value.id(entry.key()),
        }
    }

    fn gate(&self) -> &Gate {
        match self {
            Self::Own(entry) => entry.value.gate(),
            Self::Any(entry) => entry.value.gate(),
        }
    }

    /// Whether its call counts as hearing.
    fn is_counted(&self) -> bool {
        matches!(self, Self::Own(_)) && !self.gate().word().is_silent()
    }

    fn info(&self, event: &'static str) -> ListenerInfo {
        match self {
            Self::Own(entry) => entry.value.about().info(self.id(), event),
            Self::Any(entry) => entry.value.about().info(self.id(), broad_event(self.id())),
        }
    }
}

impl<T, E> Clone for Turn<'_, T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, E> Copy for Turn<'_, T, E> {}

/// The listeners of a type and those of every type, narrowed or not, in their one order.
struct InOrder<'a, T, E> {
    own: [Entries<'a, ListenerRef<T, E>>; 2],
    any: [Entries<'a, ListenerRef<dyn Any, E>>; 2],
}

/// The list that goes next, and the key of its next entry.
fn first<V>(lists: &mut [Entries<'_, V>; 2]) -> Option<(Key, usize)> {
    let [left, right] = lists.each_mut().map(|list| list.peek().map(Entry::key));
    match (left, right) {
        (Some(left), Some(right)) if right < left => Some((right, 1)),
        (None, right) => Some((right?, 1)),
        (left, _) => Some((left?, 0)),
    }
}

impl<'a, T, E> Iterator for InOrder<'a, T, E> {
    type Item = Turn<'a, T, E>;

    fn next(&mut self) -> Option<Turn<'a, T, E>> {
        match (first(&mut self.own), first(&mut self.any)) {
            (Some((own, _)), Some((any, list))) if any < own => self.any[list].next().map(Turn::Any),
            (None, any) => self.any[any?.1].next().map(Turn::Any),
            (Some((_, list)), _) => self.own[list].next().map(Turn::Own),
        }
    }
}
