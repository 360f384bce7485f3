//! The bus as its contract tells it: plain vectors, one thread, no cleverness. The [`Side`] that the real one is compared with.
//!
//! Written from the contract alone. Where this and the bus differ, one of them is wrong by that text, not by the other. What the
//! text leaves open is read so here:
//!
//! - The delivery of a failure is an emission like any other: a level deeper, caused by the emission that failed. What was never emitted,
//!   because it went too deep or was lost in the queue, leaves its own cause to it. It is delivered however deep that is. The error channel runs after it, so its emits are caused by the emission that failed.
//! - A paused listener's filter isn't asked. Neither is that of a listener whose owner is dead: that one is removed at its turn.
//! - `Break` in a listener of unheard events stops its fellows, and it is the one that `stopped_by` names, even if a listener of
//!   every type had stopped the emission before.
//! - An event that a full queue drops is reported by who deferred, once the new one is in the queue; if it is a drain's to deliver, by that
//!   drain, when it has taken the next event or finds none. Its failure names no listener, also if it was a listener's turn.
//! - Delivering a deferred event is an emission that begins then, with the cause and origin of when it was deferred. The turn of a
//!   deferred listener is the emission it was picked in, once more. A turn of one that is off, paused or without owner is no delivery.
//!   Who is off or paused is passed by however deep it is; whether the owner lives is asked when it isn't too deep.
//! - What a queue doesn't take of a deferred listener is a failure of this listener, heard by nobody.
//! - What is lost of a bus that goes is heard by no listener. Its failure has no topic, and a type only if it is one event.
//! - "Below the delivery of a `Failure`" means of any bus's; what is only counted is counted on the bus whose failure it is.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use hearken::Overflow;

use super::program::{Answer, BUSES, Ear, Kind, Listener, OWNERS, Settings, Topic, Verb, Verdict, on};
use super::world::{Culprit, Drained, Failed, Heard, Refused, Report, Scene, Side, Why, World, panic_text};

#[derive(Default)]
pub(crate) struct Naive {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By number, those that are gone too.
    buses: Vec<Bus>,
    /// Which bus is at each place.
    places: [Option<usize>; BUSES],
    /// By number, those that are gone too: how many handles each has.
    owners: Vec<usize>,
    owner_places: [Option<usize>; OWNERS],
    /// By number: what each recorder has seen.
    recorders: Vec<Vec<u32>>,
    /// The emissions under way, the outermost first.
    stack: Vec<Frame>,
    /// How many error channels are running.
    channels: usize,
    emissions: usize,
    /// Ticks whenever an emission begins and a listener starts to hear.
    clock: u64,
}

struct Bus {
    place: usize,
    max_depth: usize,
    /// Whether the program has its own handle.
    open: bool,
    /// How many handles, ports and emissions under way keep the bus.
    keepers: usize,
    listeners: Vec<Registered>,
    queue: VecDeque<Waiting>,
    capacity: usize,
    overflow: Overflow,
    is_closed: bool,
    /// How many events were ever queued.
    queued: usize,
    /// If somebody drains: how many were queued when that began.
    drains: Option<usize>,
    /// What a full queue dropped that the drain has to report.
    dropped: VecDeque<Trouble>,
    suppressed: u64,
}

/// What waits in a queue.
struct Waiting {
    /// How many were queued before.
    number: usize,
    event: Heard,
    topic: Option<Topic>,
    chain: Chain,
    /// The listener whose turn it is, if it was deferred by an emission.
    turn: Option<Who>,
}

/// Where an emission comes from.
#[derive(Clone, Copy)]
struct Chain {
    /// Its own name, if it has one already.
    id: Option<usize>,
    cause: Option<usize>,
    origin: Option<usize>,
}

/// A failure, and what the event in question is a part of.
type Trouble = (Failed, Chain);

/// What came of an attempt to queue something.
enum Queued {
    Fine,
    /// The oldest had to go.
    Displaced(Trouble),
    /// The newest had to go.
    Dropped(Trouble),
    Refused(Refused),
}

#[derive(Clone)]
struct Registered {
    who: Who,
    listener: Arc<Listener>,
    /// When it began to hear: it was added then, or resumed.
    since: u64,
    paused: bool,
    /// How many more calls it may have.
    left: Option<u64>,
    owner: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Who {
    Listener(usize),
    Recorder(usize),
}

#[derive(Clone, Copy)]
struct Frame {
    bus: usize,
    topic: Option<Topic>,
    id: usize,
    cause: Option<usize>,
    origin: usize,
    of_failure: bool,
}

/// A listener's subscription, and its id: the bus and the listener, by number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Name {
    bus: usize,
    who: Who,
}

pub(crate) struct NaivePort {
    bus: usize,
    topic: Option<Topic>,
    kind: Kind,
}

impl Side for Naive {
    type Subscription = Name;
    type Id = Name;
    type Port = NaivePort;
    type Recorder = Name;
    type Emission = usize;

    fn is_there(&self, bus: usize) -> bool {
        self.state().at(bus).is_some()
    }

    fn make(world: &Arc<World<Self>>, bus: usize, number: usize, settings: &Settings) {
        let mut state = world.side.state();
        assert_eq!(state.buses.len(), number);
        state.places[bus] = Some(number);
        state.buses.push(Bus {
            place: bus,
            max_depth: settings.max_depth,
            open: true,
            keepers: 1,
            listeners: Vec::new(),
            queue: VecDeque::new(),
            capacity: settings.queue.map_or(usize::MAX, |(capacity, _)| capacity),
            overflow: settings.queue.map_or(Overflow::Reject, |(_, overflow)| overflow),
            is_closed: false,
            queued: 0,
            drains: None,
            dropped: VecDeque::new(),
            suppressed: 0,
        });
    }

    fn open(&self, bus: usize) {
        let mut state = self.state();
        if let Some(bus) = state.at(bus)
            && !state.buses[bus].open
        {
            state.buses[bus].open = true;
            state.buses[bus].keepers += 1;
        }
    }

    fn close(world: &Arc<World<Self>>, bus: usize) {
        let mut state = world.side.state();
        if let Some(bus) = state.at(bus)
            && std::mem::take(&mut state.buses[bus].open)
        {
            drop(state);
            let_go(world, bus);
        }
    }

    fn suppressed(&self, bus: usize) -> u64 {
        let state = self.state();
        state.at(bus).map_or(0, |bus| state.buses[bus].suppressed)
    }

    fn closures(&self) -> Vec<usize> {
        let listeners = |bus: &Bus| bus.listeners.iter().filter_map(|it| it.who.listener()).collect::<Vec<_>>();
        let mut closures: Vec<_> = self.state().buses.iter().flat_map(listeners).collect();
        closures.sort_unstable();
        closures
    }

    fn listen(world: &Arc<World<Self>>, listener: &Arc<Listener>, number: usize) -> Option<(Name, Name)> {
        let mut state = world.side.state();
        let bus = state.at(listener.bus)?;
        let owner = match listener.verb {
            Verb::OnWeak(place) => Some(state.owner(place)),
            _ => None,
        };
        let name = state.add(bus, Who::Listener(number), listener, owner);
        Some((name, name))
    }

    fn off_id(&self, bus: usize, id: Name) -> Option<bool> {
        let mut state = self.state();
        let bus = state.at(bus)?;
        Some(id.bus == bus && state.remove(id))
    }

    fn off_all(&self, bus: usize) -> Option<usize> {
        let mut state = self.state();
        let bus = state.at(bus)?;
        let all: Vec<_> = state.buses[bus].listeners.iter().map(|it| Name { bus, who: it.who }).collect();
        Some(all.into_iter().filter(|name| state.remove(*name)).count())
    }

    fn count(&self, bus: usize, topic: Option<Topic>, kind: Kind) -> Option<usize> {
        let state = self.state();
        let bus = state.at(bus)?;
        let counts = |it: &&Registered| {
            it.listener.kind() == Some(kind)
                && hears_on(&it.listener, topic)
                && it.counts()
                && !it.paused
                && state.has_owner(it)
        };
        Some(state.buses[bus].listeners.iter().filter(counts).count())
    }

    fn drop_owner(&self, owner: usize) {
        let mut state = self.state();
        if let Some(owner) = state.owner_places[owner].take() {
            state.owners[owner] -= 1;
        }
    }

    fn record(&self, bus: usize) -> Option<Name> {
        let mut state = self.state();
        let bus = state.at(bus)?;
        let who = Who::Recorder(state.recorders.len());
        state.recorders.push(Vec::new());
        Some(state.add(bus, who, &Arc::new(on(Kind::A)), None))
    }

    fn recorded(&self, recorder: &Name) -> Vec<u32> {
        match recorder.who {
            Who::Recorder(recorder) => std::mem::take(&mut self.state().recorders[recorder]),
            Who::Listener(_) => unreachable!("`record` made it"),
        }
    }

    fn drop_recorder(&self, recorder: Name) {
        self.state().remove(recorder);
    }

    fn off(&self, subscription: Name) -> bool {
        self.state().remove(subscription)
    }

    fn off_and_wait(&self, subscription: Name) -> bool {
        let mut state = self.state();
        state.remove(subscription);
        state.stack.iter().any(|frame| frame.bus == subscription.bus)
    }

    fn unsubscribe(&self, subscription: Name) {
        self.state().remove(subscription);
    }

    fn detach(&self, subscription: Name) -> Name {
        subscription
    }

    fn pause(&self, subscription: &Name) {
        if let Some(listener) = self.state().find(*subscription) {
            listener.paused = true;
        }
    }

    fn resume(&self, subscription: &Name) {
        let mut state = self.state();
        let now = state.tick();
        if let Some(listener) = state.find(*subscription)
            && listener.paused
        {
            listener.paused = false;
            listener.since = now;
        }
    }

    fn is_active(&self, subscription: &Name) -> bool {
        self.state().find(*subscription).is_some()
    }

    fn emit(world: &Arc<World<Self>>, bus: usize, topic: Option<Topic>, kind: Kind, tag: u32) -> Option<Report<Name>> {
        let bus = world.side.state().at(bus)?;
        Some(emit(world, bus, topic, kind, tag))
    }

    fn port(&self, bus: usize, topic: Option<Topic>, kind: Kind) -> Option<NaivePort> {
        let mut state = self.state();
        let bus = state.at(bus)?;
        state.buses[bus].keepers += 1;
        Some(NaivePort { bus, topic, kind })
    }

    fn clone_port(&self, port: &NaivePort) -> NaivePort {
        self.state().buses[port.bus].keepers += 1;
        NaivePort { ..*port }
    }

    fn emit_port(world: &Arc<World<Self>>, port: &NaivePort, tag: u32) -> Report<Name> {
        emit(world, port.bus, port.topic, port.kind, tag)
    }

    fn drop_port(world: &Arc<World<Self>>, port: NaivePort) {
        let_go(world, port.bus);
    }

    fn defer(
        world: &Arc<World<Self>>,
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
        tag: u32,
    ) -> Option<Result<(), Refused>> {
        let bus = world.side.state().at(bus)?;
        Some(defer(world, bus, topic, kind, tag))
    }

    fn defer_port(world: &Arc<World<Self>>, port: &NaivePort, tag: u32) -> Result<(), Refused> {
        defer(world, port.bus, port.topic, port.kind, tag)
    }

    fn drain(world: &Arc<World<Self>>, bus: usize) -> Option<Drained> {
        let bus = world.side.state().at(bus)?;
        hold(world, bus);
        let drained = drain(world, bus, usize::MAX);
        let_go(world, bus);
        Some(drained)
    }

    fn drain_until_idle(world: &Arc<World<Self>>, bus: usize, limit: usize) -> Option<Drained> {
        let bus = world.side.state().at(bus)?;
        hold(world, bus);
        let mut sum = Drained { delivered: 0, remaining: world.side.state().buses[bus].queue.len() };
        while sum.remaining > 0 && sum.delivered < limit && world.side.state().buses[bus].drains.is_none() {
            let drained = drain(world, bus, limit - sum.delivered);
            sum = Drained { delivered: sum.delivered + drained.delivered, ..drained };
        }
        let_go(world, bus);
        Some(sum)
    }

    fn pending(&self, bus: usize) -> Option<usize> {
        let state = self.state();
        state.at(bus).map(|bus| state.buses[bus].queue.len())
    }

    fn discard_pending(&self, bus: usize) -> Option<usize> {
        let mut state = self.state();
        let bus = state.at(bus)?;
        Some(std::mem::take(&mut state.buses[bus].queue).len())
    }

    fn close_queue(&self, bus: usize) {
        let mut state = self.state();
        if let Some(bus) = state.at(bus) {
            state.buses[bus].is_closed = true;
        }
    }
}

impl Naive {
    /// To be let go of before the world is called, which may call back.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.try_lock().expect("the state is held over a call")
    }
}

impl Who {
    fn listener(self) -> Option<usize> {
        match self {
            Self::Listener(number) => Some(number),
            Self::Recorder(_) => None,
        }
    }
}

impl Waiting {
    fn lost(&self) -> Trouble {
        let topic = self.topic.map(str::to_owned);
        (Failed { event: Some(self.event.kind()), topic, by: None, cause: Why::Lost { missed: 1 } }, self.chain)
    }
}

impl Registered {
    /// Whether its calls are counted as heard: not those of recorders and of listeners of every type.
    fn counts(&self) -> bool {
        self.listener.kind().is_some() && self.who.listener().is_some()
    }
}

impl State {
    fn at(&self, place: usize) -> Option<usize> {
        self.places[place].filter(|bus| self.buses[*bus].keepers > 0)
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// What is lost, if the bus goes.
    fn let_go(&mut self, bus: usize) -> Option<Failed> {
        let bus = &mut self.buses[bus];
        bus.keepers -= 1;
        if bus.keepers > 0 {
            return None;
        }
        bus.listeners.clear();
        let lost = std::mem::take(&mut bus.queue);
        let event = if lost.len() == 1 { Some(lost[0].event.kind()) } else { None };
        let cause = Why::Lost { missed: lost.len() as u64 };
        (!lost.is_empty()).then_some(Failed { event, topic: None, by: None, cause })
    }

    /// The causes of what is said now.
    fn chain(&self) -> Chain {
        let innermost = self.stack.last();
        Chain { id: None, cause: innermost.map(|it| it.id), origin: innermost.map(|it| it.origin) }
    }

    /// The topic and the causes of the emission that is under way.
    fn innermost(&self) -> (Option<Topic>, Chain) {
        let Frame { topic, id, cause, origin, .. } = *self.stack.last().expect("an emission is under way");
        (topic, Chain { id: Some(id), cause, origin: Some(origin) })
    }

    /// Queues it, if the queue takes it.
    fn queue(&mut self, bus: usize, topic: Option<Topic>, event: Heard, chain: Chain, turn: Option<Who>) -> Queued {
        let bus = &mut self.buses[bus];
        let waiting = Waiting { number: bus.queued, event, topic, chain, turn };
        let mut displaced = None;
        if bus.is_closed {
            return Queued::Refused(Refused::Closed);
        }
        if bus.queue.len() >= bus.capacity {
            match bus.overflow {
                Overflow::DropOldest => displaced = bus.queue.pop_front(),
                Overflow::DropNewest => return Queued::Dropped(waiting.lost()),
                // Nobody else makes room, so there is no sense in waiting for it.
                _ => return Queued::Refused(Refused::Full),
            }
        }
        bus.queued += 1;
        bus.queue.push_back(waiting);
        match displaced {
            Some(oldest) if bus.drains.is_some_and(|end| oldest.number < end) => {
                bus.dropped.push_back(oldest.lost());
                Queued::Fine
            }
            Some(oldest) => Queued::Displaced(oldest.lost()),
            None => Queued::Fine,
        }
    }

    /// What the drain that runs delivers next.
    fn next(&mut self, bus: usize) -> Option<Waiting> {
        let bus = &mut self.buses[bus];
        let is_its = bus.queue.front().is_some_and(|first| bus.drains.is_some_and(|end| first.number < end));
        if is_its { bus.queue.pop_front() } else { None }
    }

    fn add(&mut self, bus: usize, who: Who, listener: &Arc<Listener>, owner: Option<usize>) -> Name {
        let since = self.tick();
        let left = if listener.is_once() { Some(1) } else { listener.times };
        let listener = Arc::clone(listener);
        self.buses[bus].listeners.push(Registered { who, listener, since, paused: false, left, owner });
        Name { bus, who }
    }

    fn find(&mut self, name: Name) -> Option<&mut Registered> {
        self.buses[name.bus].listeners.iter_mut().find(|it| it.who == name.who)
    }

    fn remove(&mut self, name: Name) -> bool {
        let bus = &mut self.buses[name.bus];
        let Some(place) = bus.listeners.iter().position(|it| it.who == name.who) else { return false };
        let removed = bus.listeners.remove(place);
        bus.suppressed += u64::from(removed.listener.drops_badly);
        true
    }

    fn owner(&mut self, place: usize) -> usize {
        *self.owner_places[place].get_or_insert_with(|| {
            self.owners.push(1);
            self.owners.len() - 1
        })
    }

    fn has_owner(&self, listener: &Registered) -> bool {
        listener.owner.is_none_or(|owner| self.owners[owner] > 0)
    }

    /// An emission begins: its frame, when it began, and the listeners that may have a turn, then those that hear what nobody heard.
    fn begin(&mut self, bus: usize, topic: Option<Topic>, event: &Heard, chain: Chain) -> (u64, Vec<Who>, Vec<Who>) {
        let kind = event.kind();
        let of_failure = kind == Kind::Failures;
        let id = chain.id.unwrap_or(self.emissions);
        self.emissions += 1;
        let origin = chain.origin.unwrap_or(id);
        self.stack.push(Frame { bus, topic, id, cause: chain.cause, origin, of_failure });

        let is_unheard = |it: &&Registered| it.listener.ear == Ear::Unheard;
        let hears = |it: &&Registered| {
            !is_unheard(it) && it.listener.kind().is_none_or(|hears| hears == kind) && hears_on(&it.listener, topic)
        };
        let listeners = &self.buses[bus].listeners;
        let mut turns: Vec<_> = listeners.iter().filter(hears).collect();
        // Stable: among equals, the one that was added first.
        turns.sort_by_key(|it| Reverse(it.listener.priority));
        let turns = turns.into_iter().map(|it| it.who).collect();
        let unheard = listeners.iter().filter(|it| is_unheard(it) && !of_failure).map(|it| it.who).collect();
        (self.tick(), turns, unheard)
    }

    /// The listener, if an emission that began then may pick it.
    fn may_pick(&mut self, name: Name, began: u64) -> Option<Registered> {
        self.find(name).filter(|it| !it.paused && it.since < began).cloned()
    }

    /// The listener, if the turn that was put off is still its own.
    fn has_turn(&mut self, name: Name) -> Option<Registered> {
        self.find(name).filter(|it| !it.paused).cloned()
    }

    /// One call of what is left to it.
    fn claim(&mut self, name: Name) {
        let Some(listener) = self.find(name) else { return };
        if let Some(left) = &mut listener.left {
            *left -= 1;
            if *left == 0 {
                self.remove(name);
            }
        }
    }

    fn scene(&self, listener: Name) -> Scene<usize, Name> {
        let depth = self.stack.len();
        let Frame { topic, id, cause, origin, .. } = self.stack[depth - 1];
        Scene { listener, topic: topic.map(str::to_owned), depth, id, cause, origin }
    }
}

/// Whether the listener hears events on this topic, or on none.
fn hears_on(listener: &Listener, topic: Option<Topic>) -> bool {
    let split = |text: &'static str| text.split('.').collect::<Vec<_>>();
    let is_matched = |pattern: &&'static str| topic.is_some_and(|topic| matches(&split(pattern), &split(topic)));
    listener.topics.is_empty() || listener.topics.iter().any(is_matched)
}

fn matches(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**", behind @ ..], _) => (0..=topic.len()).any(|skipped| matches(behind, &topic[skipped..])),
        (["*", behind @ ..], [_, rest @ ..]) => matches(behind, rest),
        ([name, behind @ ..], [segment, rest @ ..]) => name == segment && matches(behind, rest),
        _ => false,
    }
}

const NOBODY: Report<Name> = Report { heard: 0, failed: 0, deferred: 0, stopped_by: None };

fn hold(world: &Arc<World<Naive>>, bus: usize) {
    world.side.state().buses[bus].keepers += 1;
}

fn let_go(world: &Arc<World<Naive>>, bus: usize) {
    let lost = world.side.state().let_go(bus);
    if let Some(lost) = lost {
        let chain = world.side.state().chain();
        fail(world, bus, (lost, chain));
    }
}

fn emit(world: &Arc<World<Naive>>, bus: usize, topic: Option<Topic>, kind: Kind, tag: u32) -> Report<Name> {
    hold(world, bus);
    let chain = world.side.state().chain();
    let report = if is_too_deep(world, bus, topic, kind, chain) {
        NOBODY
    } else {
        deliver(world, bus, topic, &Heard::Event(kind, tag), chain, false)
    };
    let_go(world, bus);
    report
}

/// Whether one more emission is too many. Then it is a failure.
fn is_too_deep(world: &Arc<World<Naive>>, bus: usize, topic: Option<Topic>, kind: Kind, chain: Chain) -> bool {
    let (depth, limit) = {
        let state = world.side.state();
        (state.stack.len(), state.buses[bus].max_depth)
    };
    if depth >= limit {
        let topic = topic.map(str::to_owned);
        fail(world, bus, (Failed { event: Some(kind), topic, by: None, cause: Why::TooDeep { limit } }, chain));
    }
    depth >= limit
}

fn defer(world: &Arc<World<Naive>>, bus: usize, topic: Option<Topic>, kind: Kind, tag: u32) -> Result<(), Refused> {
    hold(world, bus);
    let queued = {
        let mut state = world.side.state();
        let chain = state.chain();
        state.queue(bus, topic, Heard::Event(kind, tag), chain, None)
    };
    let result = match queued {
        Queued::Fine => Ok(()),
        Queued::Displaced(lost) | Queued::Dropped(lost) => {
            fail(world, bus, lost);
            Ok(())
        }
        Queued::Refused(why) => Err(why),
    };
    let_go(world, bus);
    result
}

/// Delivers what is queued now, up to so many events.
fn drain(world: &Arc<World<Naive>>, bus: usize, limit: usize) -> Drained {
    {
        let mut state = world.side.state();
        let bus = &mut state.buses[bus];
        if bus.drains.is_some() {
            return Drained { delivered: 0, remaining: bus.queue.len() };
        }
        bus.drains = Some(bus.queued);
    }
    let mut delivered = 0;
    loop {
        let (next, dropped) = {
            let mut state = world.side.state();
            let next = if delivered < limit { state.next(bus) } else { None };
            (next, std::mem::take(&mut state.buses[bus].dropped))
        };
        if next.is_none() && dropped.is_empty() {
            break;
        }
        for lost in dropped {
            fail(world, bus, lost);
        }
        if let Some(next) = next {
            delivered += usize::from(deliver_late(world, bus, &next));
        }
    }
    let mut state = world.side.state();
    state.buses[bus].drains = None;
    Drained { delivered, remaining: state.buses[bus].queue.len() }
}

/// Whether there was anything to deliver.
fn deliver_late(world: &Arc<World<Naive>>, bus: usize, waiting: &Waiting) -> bool {
    let Waiting { event, topic, chain, turn, .. } = waiting;
    let Some(who) = *turn else {
        if !is_too_deep(world, bus, *topic, event.kind(), *chain) {
            deliver(world, bus, *topic, event, *chain, true);
        }
        return true;
    };
    let name = Name { bus, who };
    let Some(listener) = world.side.state().has_turn(name) else { return false };
    if is_too_deep(world, bus, *topic, event.kind(), *chain) {
        return true;
    }
    {
        let mut state = world.side.state();
        if !state.has_owner(&listener) {
            state.remove(name);
            return false;
        }
        state.begin(bus, *topic, event, *chain);
        state.claim(name);
    }
    let mut report = NOBODY;
    call(world, name, &listener, event, &mut report);
    world.side.state().stack.pop();
    true
}

fn deliver(
    world: &Arc<World<Naive>>,
    bus: usize,
    topic: Option<Topic>,
    event: &Heard,
    chain: Chain,
    is_late: bool,
) -> Report<Name> {
    let mut report = NOBODY;
    let (began, turns, unheard) = world.side.state().begin(bus, topic, event, chain);
    let emission = Emission { bus, event, began, is_late };
    take_turns(world, &emission, &turns, &mut report);
    if report.heard + report.deferred == 0 {
        take_turns(world, &emission, &unheard, &mut report);
    }
    world.side.state().stack.pop();
    report
}

/// The innermost of those under way.
struct Emission<'a> {
    bus: usize,
    event: &'a Heard,
    began: u64,
    /// Whether its event was deferred.
    is_late: bool,
}

fn take_turns(world: &Arc<World<Naive>>, emission: &Emission<'_>, turns: &[Who], report: &mut Report<Name>) {
    for who in turns {
        let name = Name { bus: emission.bus, who: *who };
        if let Some(listener) = pick(world, name, emission, report) {
            let stops = call(world, name, &listener, emission.event, report);
            if stops {
                report.stopped_by = Some(name);
                return;
            }
        }
    }
}

/// Admits: the filter, then the weak owner. Then claims, or puts the claim off.
fn pick(
    world: &Arc<World<Naive>>,
    name: Name,
    emission: &Emission<'_>,
    report: &mut Report<Name>,
) -> Option<Registered> {
    let Emission { event, began, .. } = *emission;
    let listener = world.side.state().may_pick(name, began)?;
    if !world.side.state().has_owner(&listener) {
        world.side.state().remove(name);
        return None;
    }
    if listener.listener.filter.is_some() && !asks(world, name, &listener, event) {
        return None;
    }
    // The filter may have done anything.
    let mut state = world.side.state();
    let listener = state.may_pick(name, began)?;
    if !state.has_owner(&listener) {
        state.remove(name);
        return None;
    }
    if listener.listener.deferred && !emission.is_late {
        drop(state);
        put_off(world, name, &listener, event, report);
        return None;
    }
    state.claim(name);
    Some(listener)
}

/// Queues the listener's turn.
fn put_off(world: &Arc<World<Naive>>, name: Name, listener: &Registered, event: &Heard, report: &mut Report<Name>) {
    let queued = {
        let mut state = world.side.state();
        let (topic, chain) = state.innermost();
        state.queue(name.bus, topic, event.clone(), chain, Some(name.who))
    };
    match queued {
        Queued::Fine => report.deferred += 1,
        Queued::Displaced(lost) => {
            report.deferred += 1;
            fail(world, name.bus, lost);
        }
        Queued::Dropped(_) | Queued::Refused(_) => blame(world, name, listener, event, Why::Lost { missed: 1 }),
    }
}

fn asks(world: &Arc<World<Naive>>, name: Name, listener: &Registered, event: &Heard) -> bool {
    let Who::Listener(number) = name.who else { return true };
    match world.ask(number, event.clone()) {
        Verdict::FilterPanics => {
            let text = panic_text(number, Verdict::FilterPanics);
            blame(world, name, listener, event, Why::Panic(Some(text)));
            false
        }
        verdict => verdict == Verdict::Accepts,
    }
}

/// Whether the listener stops the emission.
fn call(
    world: &Arc<World<Naive>>,
    name: Name,
    listener: &Registered,
    event: &Heard,
    report: &mut Report<Name>,
) -> bool {
    let number = match (name.who, event) {
        (Who::Listener(number), _) => number,
        (Who::Recorder(recorder), Heard::Event(_, tag)) => {
            world.side.state().recorders[recorder].push(*tag);
            return false;
        }
        (Who::Recorder(_), Heard::Failure(_)) => unreachable!("recorders hear `A`s"),
    };
    report.heard += usize::from(listener.counts());
    hear(world, name, number, listener, event);
    let why = match listener.listener.answer {
        Answer::Nothing | Answer::Fine => return false,
        Answer::Breaks | Answer::OkBreaks => return true,
        Answer::Errs => Why::Error(number),
        Answer::Panics => Why::Panic(Some(panic_text(number, Answer::Panics))),
        Answer::PanicsMutely => Why::Panic(None),
        Answer::PanicsTwice => {
            world.side.state().buses[name.bus].suppressed += 1;
            Why::Panic(None)
        }
    };
    report.failed += usize::from(listener.counts());
    blame(world, name, listener, event, why);
    false
}

/// The owner is held while its listener is in the call.
fn hear(world: &Arc<World<Naive>>, name: Name, number: usize, listener: &Registered, event: &Heard) {
    let scene = {
        let mut state = world.side.state();
        if let Some(owner) = listener.owner {
            state.owners[owner] += 1;
        }
        listener.listener.has_context().then(|| state.scene(name))
    };
    world.hear(number, event.clone(), scene);
    if let Some(owner) = listener.owner {
        world.side.state().owners[owner] -= 1;
    }
}

fn blame(world: &Arc<World<Naive>>, name: Name, listener: &Registered, event: &Heard, cause: Why) {
    let event = Some(event.kind());
    let by = name.who.listener().map(|number| Culprit {
        listener: number,
        name: listener.listener.name,
        priority: listener.listener.priority,
    });
    // The emission that it happened in is the innermost.
    let (topic, chain) = world.side.state().innermost();
    fail(world, name.bus, (Failed { event, topic: topic.map(str::to_owned), by, cause }, chain));
}

/// To the listeners of failures, then to the error channel; below a delivery of a failure only to the error channel; below an error
/// channel nowhere.
fn fail(world: &Arc<World<Naive>>, bus: usize, (failure, chain): Trouble) {
    let (below_channel, below_failure, place) = {
        let state = world.side.state();
        (state.channels > 0, state.stack.iter().any(|frame| frame.of_failure), state.buses[bus].place)
    };
    if below_channel {
        world.side.state().buses[bus].suppressed += 1;
        return;
    }
    let mut is_kept = false;
    if !below_failure {
        let chain = Chain { id: None, cause: chain.id.or(chain.cause), ..chain };
        let id = world.side.state().emissions;
        deliver(world, bus, None, &Heard::Failure(failure.clone()), chain, false);
        is_kept = world.side.state().buses[bus].queue.iter().any(|waiting| waiting.chain.id == Some(id));
    }
    let error = match failure.cause {
        // A clone that waits for a deferred listener keeps it.
        Why::Error(_) if is_kept => None,
        Why::Error(listener) => Some(listener),
        Why::Panic(_) | Why::TooDeep { .. } | Why::Lost { .. } => None,
    };
    world.side.state().channels += 1;
    let panics = world.fail(bus, place, failure, error);
    let mut state = world.side.state();
    state.channels -= 1;
    state.buses[bus].suppressed += u64::from(panics);
}
