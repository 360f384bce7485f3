//! What runs a program: the same for the real bus and for the naive one, which differ behind [`Side`].
//!
//! Everything that happens goes to one log. Two sides agree when their logs are equal.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};

use super::program::{BUSES, Kind, Listener, Name, PORTS, Program, RECORDERS, SLOTS, Settings, Step, Topic, Verdict};

/// How many steps a program may take, those that listeners run included, and how many of them one step of its own may cause.
const FUEL: usize = 1000;
const FUEL_PER_STEP: usize = 60;

/// A set of buses, at the places `0..BUSES`: what the program's steps do to them.
///
/// A side calls back to [`World::hear`], [`World::ask`] and [`World::fail`]. Listeners are known by the number of their registration,
/// buses beyond their place by the number of their making.
pub(crate) trait Side: Sized + 'static {
    type Subscription;
    type Id: Copy + PartialEq;
    type Port;
    type Recorder;
    /// The name of an emission.
    type Emission: Copy + PartialEq;

    // The bus itself
    fn is_there(&self, bus: usize) -> bool;
    /// Makes a new bus at this place, where there is none any more.
    fn make(world: &Arc<World<Self>>, bus: usize, number: usize, settings: &Settings);
    /// Takes a handle to the bus, if it is there.
    fn open(&self, bus: usize);
    fn close(world: &Arc<World<Self>>, bus: usize);
    fn suppressed(&self, bus: usize) -> u64;
    /// The listeners whose closures exist, of all that were ever added.
    fn closures(&self) -> Vec<usize>;

    // Listen; `None` where the bus is gone
    fn listen(
        world: &Arc<World<Self>>,
        listener: &Arc<Listener>,
        number: usize,
    ) -> Option<(Self::Subscription, Self::Id)>;
    fn off_id(&self, bus: usize, id: Self::Id) -> Option<bool>;
    fn off_all(&self, bus: usize) -> Option<usize>;
    fn count(&self, bus: usize, topic: Option<Topic>, kind: Kind) -> Option<usize>;
    fn drop_owner(&self, owner: usize);
    fn record(&self, bus: usize) -> Option<Self::Recorder>;
    fn recorded(&self, recorder: &Self::Recorder) -> Vec<u32>;
    fn drop_recorder(&self, recorder: Self::Recorder);

    // Subscriptions
    fn off(&self, subscription: Self::Subscription) -> bool;
    /// Whether it said `WouldDeadlock`.
    fn off_and_wait(&self, subscription: Self::Subscription) -> bool;
    fn unsubscribe(&self, subscription: Self::Subscription);
    fn detach(&self, subscription: Self::Subscription) -> Self::Id;
    fn pause(&self, subscription: &Self::Subscription);
    fn resume(&self, subscription: &Self::Subscription);
    fn is_active(&self, subscription: &Self::Subscription) -> bool;

    // Speak
    fn emit(
        world: &Arc<World<Self>>,
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
        tag: u32,
    ) -> Option<Report<Self::Id>>;
    fn port(&self, bus: usize, topic: Option<Topic>, kind: Kind) -> Option<Self::Port>;
    fn clone_port(&self, port: &Self::Port) -> Self::Port;
    fn emit_port(world: &Arc<World<Self>>, port: &Self::Port, tag: u32) -> Report<Self::Id>;
    fn drop_port(world: &Arc<World<Self>>, port: Self::Port);

    // Speak later; `None` where the bus is gone
    fn defer(
        world: &Arc<World<Self>>,
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
        tag: u32,
    ) -> Option<Result<(), Refused>>;
    fn defer_port(world: &Arc<World<Self>>, port: &Self::Port, tag: u32) -> Result<(), Refused>;
    fn drain(world: &Arc<World<Self>>, bus: usize) -> Option<Drained>;
    fn drain_until_idle(world: &Arc<World<Self>>, bus: usize, limit: usize) -> Option<Drained>;
    fn pending(&self, bus: usize) -> Option<usize>;
    fn discard_pending(&self, bus: usize) -> Option<usize>;
    fn close_queue(&self, bus: usize);
}

/// Why `defer` gave its event back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// What a drain returned.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Drained {
    pub(crate) delivered: usize,
    pub(crate) remaining: usize,
}

/// What `emit` returned; the listener by its number once it is in the log.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Report<Id> {
    pub(crate) heard: usize,
    pub(crate) failed: usize,
    pub(crate) deferred: usize,
    pub(crate) stopped_by: Option<Id>,
}

/// What a listener is called with. Each `emit` or `defer` step marks its event with a tag of its own.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Heard {
    Event(Kind, u32),
    Failure(Failed),
}

impl Heard {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Event(kind, _) => *kind,
            Self::Failure(_) => Kind::Failures,
        }
    }
}

/// A failure as its accessors tell it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Failed {
    /// None if it is about several.
    pub(crate) event: Option<Kind>,
    pub(crate) topic: Option<String>,
    pub(crate) by: Option<Culprit>,
    pub(crate) cause: Why,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Culprit {
    pub(crate) listener: usize,
    pub(crate) name: Option<&'static str>,
    pub(crate) priority: i32,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Why {
    /// The error of the listener with this number.
    Error(usize),
    /// The text, if it is a script's.
    Panic(Option<String>),
    TooDeep {
        limit: usize,
    },
    Lost {
        missed: u64,
    },
}

/// What a listener's context says; emissions by the order in which the log first names them.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Scene<Emission, Id> {
    pub(crate) listener: Id,
    pub(crate) topic: Option<String>,
    pub(crate) depth: usize,
    pub(crate) id: Emission,
    pub(crate) cause: Option<Emission>,
    pub(crate) origin: Emission,
}

/// One line of the log.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Line {
    Emits {
        tag: u32,
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
    },
    Emitted {
        tag: u32,
        report: Report<usize>,
    },
    Defers {
        tag: u32,
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
    },
    Deferred {
        tag: u32,
        given_back: Option<Refused>,
    },
    Drains {
        bus: usize,
    },
    Drained {
        bus: usize,
        drained: Drained,
    },
    Discards {
        bus: usize,
        events: usize,
    },
    /// How many events wait on the bus of this number.
    Pending {
        bus: usize,
        events: usize,
    },
    Calls {
        listener: usize,
        heard: Heard,
        scene: Option<Scene<usize, usize>>,
    },
    Asks {
        listener: usize,
        heard: Heard,
    },
    Channel {
        bus: usize,
        failure: Failed,
        error: Option<usize>,
    },
    Adds {
        listener: usize,
        place: usize,
    },
    Off {
        listener: usize,
        removed: bool,
    },
    OffAndWait {
        listener: usize,
        would_deadlock: Option<bool>,
    },
    Drops {
        listener: usize,
    },
    Detaches {
        listener: usize,
    },
    Pauses {
        listener: usize,
    },
    Resumes {
        listener: usize,
    },
    IsActive {
        listener: usize,
        active: bool,
    },
    OffId {
        listener: usize,
        bus: usize,
        removed: bool,
    },
    OffAll {
        bus: usize,
        removed: usize,
    },
    Counts {
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
        count: usize,
    },
    Recorded {
        tags: Vec<u32>,
    },
    Makes {
        bus: usize,
    },
    /// The bus of this number has no emission under way, and these closures of its listeners exist.
    Closures {
        bus: usize,
        listeners: Vec<usize>,
    },
    Suppressed {
        bus: usize,
        failures: u64,
    },
}

/// The log, with how deep in listeners each line was written.
pub(crate) type Log = Vec<(usize, Line)>;

/// A side, and all that a running program keeps.
pub(crate) struct World<S: Side> {
    pub(crate) side: S,
    program: Program,
    desk: Mutex<Desk<S>>,
}

struct Desk<S: Side> {
    kept: [Option<Kept<S>>; SLOTS],
    /// For each place the listener that was added last, and the one before.
    names: [(Option<usize>, Option<usize>); SLOTS],
    ports: [Option<KeptPort<S>>; PORTS],
    recorders: [Option<S::Recorder>; RECORDERS],
    /// By their numbers.
    listeners: Vec<Registered<S>>,
    emissions: Vec<S::Emission>,
    /// The number of the bus at each place.
    buses: [usize; BUSES],
    /// By the buses' numbers: how many verbs that may emit are under way, and what the log said last.
    made: Vec<Made>,
    emits: u32,
    fuel: usize,
    fuel_here: usize,
    nesting: usize,
    log: Log,
}

struct Kept<S: Side> {
    subscription: S::Subscription,
    listener: usize,
}

struct KeptPort<S: Side> {
    port: S::Port,
    /// The number of its bus.
    bus: usize,
    topic: Option<Topic>,
    kind: Kind,
}

struct Registered<S: Side> {
    listener: Arc<Listener>,
    bus: usize,
    id: Option<S::Id>,
    asked: usize,
}

#[derive(Default)]
struct Made {
    emits: usize,
    /// Whether it is gone but for the report of what was lost with it. What its subscriptions say then, nobody promised.
    is_going: bool,
    closures: Vec<usize>,
    suppressed: u64,
    pending: usize,
}

/// Runs the program to its end and beyond: at last the buses go, and the subscriptions after them.
pub(crate) fn run<S: Side>(side: S, program: &Program) -> Log {
    let world = Arc::new(World { side, program: program.clone(), desk: Mutex::new(Desk::new()) });
    for bus in 0..BUSES {
        world.open(bus);
    }
    for step in &program.steps {
        world.desk().fuel_here = FUEL_PER_STEP;
        world.play(std::slice::from_ref(step));
    }
    world.close();
    std::mem::take(&mut world.desk().log)
}

impl<S: Side> Desk<S> {
    fn new() -> Self {
        Self {
            kept: [const { None }; SLOTS],
            names: [(None, None); SLOTS],
            ports: [const { None }; PORTS],
            recorders: [const { None }; RECORDERS],
            listeners: Vec::new(),
            emissions: Vec::new(),
            buses: [0; BUSES],
            made: Vec::new(),
            emits: 0,
            fuel: FUEL,
            fuel_here: 0,
            nesting: 0,
            log: Vec::new(),
        }
    }

    fn write(&mut self, line: Line) {
        self.log.push((self.nesting, line));
    }

    fn burn(&mut self) -> bool {
        let burns = self.fuel > 0 && self.fuel_here > 0;
        if burns {
            self.fuel -= 1;
            self.fuel_here -= 1;
        }
        burns
    }

    /// The subscription kept at this place, unless its bus is just going.
    fn take(&mut self, place: usize) -> Option<Kept<S>> {
        let Self { kept, listeners, made, .. } = self;
        kept[place].take_if(|kept| !made[listeners[kept.listener].bus].is_going)
    }

    fn number_of(&self, id: S::Id) -> usize {
        let number = self.listeners.iter().position(|registered| registered.id == Some(id));
        number.expect("a listener's id, not one that nobody was given")
    }

    fn order_of(&mut self, emission: S::Emission) -> usize {
        self.emissions.iter().position(|seen| *seen == emission).unwrap_or_else(|| {
            self.emissions.push(emission);
            self.emissions.len() - 1
        })
    }
}

/// What sides call when a bus calls user code.
impl<S: Side> World<S> {
    /// A listener is called. How the call ends is the side's to do.
    pub(crate) fn hear(self: &Arc<Self>, listener: usize, heard: Heard, scene: Option<Scene<S::Emission, S::Id>>) {
        let script = {
            let mut desk = self.desk();
            let scene = scene.map(|scene| Scene {
                listener: desk.number_of(scene.listener),
                topic: scene.topic,
                depth: scene.depth,
                id: desk.order_of(scene.id),
                cause: scene.cause.map(|cause| desk.order_of(cause)),
                origin: desk.order_of(scene.origin),
            });
            desk.write(Line::Calls { listener, heard, scene });
            Arc::clone(&desk.listeners[listener].listener)
        };
        self.play(&script.script);
    }

    /// A listener's filter is asked.
    pub(crate) fn ask(self: &Arc<Self>, listener: usize, heard: Heard) -> Verdict {
        let (script, asked) = {
            let mut desk = self.desk();
            desk.write(Line::Asks { listener, heard });
            let registered = &mut desk.listeners[listener];
            registered.asked += 1;
            (Arc::clone(&registered.listener), registered.asked)
        };
        let Some(filter) = &script.filter else { return Verdict::Accepts };
        self.play(&filter.script);
        match filter.verdict {
            Verdict::RejectsEveryOther if asked % 2 == 0 => Verdict::Accepts,
            Verdict::RejectsEveryOther => Verdict::Rejects,
            verdict => verdict,
        }
    }

    /// The error channel of the bus that has this number, at this place, is called; `error` is what `into_error` gave. Whether it is
    /// to panic.
    pub(crate) fn fail(self: &Arc<Self>, bus: usize, place: usize, failure: Failed, error: Option<usize>) -> bool {
        let is_there = self.side.is_there(place);
        {
            let mut desk = self.desk();
            desk.write(Line::Channel { bus, failure, error });
            desk.made[bus].is_going = !is_there || desk.buses[place] != bus;
        }
        let settings = &self.program.buses[place];
        self.play(&settings.channel);
        self.desk().made[bus].is_going = false;
        settings.channel_panics
    }

    pub(crate) fn number_of(&self, id: S::Id) -> usize {
        self.desk().number_of(id)
    }
}

impl<S: Side> World<S> {
    /// To be let go of before the side is called, which may call back.
    fn desk(&self) -> MutexGuard<'_, Desk<S>> {
        self.desk.try_lock().expect("the desk is held over a call")
    }

    fn play(self: &Arc<Self>, steps: &[Step]) {
        self.desk().nesting += 1;
        for step in steps {
            if !self.desk().burn() {
                break;
            }
            self.step(step);
            self.look();
        }
        self.desk().nesting -= 1;
    }

    /// A step on an empty place, or on a bus that is gone, does nothing and leaves nothing in the log.
    fn step(self: &Arc<Self>, step: &Step) {
        match *step {
            Step::Emit(bus, kind) => self.emit(bus, None, kind),
            Step::EmitOn(bus, topic, kind) => self.emit(bus, Some(topic), kind),
            Step::EmitPort(place) => self.emit_port(place),
            Step::Port(place, bus, kind) => self.keep_port(place, bus, None, kind),
            Step::PortOn(place, bus, topic, kind) => self.keep_port(place, bus, Some(topic), kind),
            Step::DropPort(place) => self.drop_port(place),
            Step::Defer(bus, kind) => self.defer(bus, None, kind),
            Step::DeferOn(bus, topic, kind) => self.defer(bus, Some(topic), kind),
            Step::DeferPort(place) => self.defer_port(place),
            Step::Drain(bus) => self.drain(bus, |world| S::drain(world, bus)),
            Step::DrainUntilIdle(bus, limit) => self.drain(bus, |world| S::drain_until_idle(world, bus, limit)),
            Step::DiscardPending(bus) => {
                self.write(self.side.discard_pending(bus).map(|events| Line::Discards { bus, events }));
            }
            Step::CloseQueue(bus) => self.side.close_queue(bus),
            Step::Listen(place, ref listener) => self.listen(place, listener),
            Step::Off(place) => self.take(place, |side, subscription, listener| {
                let removed = side.off(subscription);
                Line::Off { listener, removed }
            }),
            Step::OffAndWait(place) => self.off_and_wait(place),
            Step::Drop(place) => self.take(place, |side, subscription, listener| {
                side.unsubscribe(subscription);
                Line::Drops { listener }
            }),
            Step::Detach(place) => self.detach(place),
            Step::Pause(place) => self.with(place, |side, subscription, listener| {
                side.pause(subscription);
                Line::Pauses { listener }
            }),
            Step::Resume(place) => self.with(place, |side, subscription, listener| {
                side.resume(subscription);
                Line::Resumes { listener }
            }),
            Step::IsActive(place) => self.with(place, |side, subscription, listener| Line::IsActive {
                listener,
                active: side.is_active(subscription),
            }),
            Step::OffId(bus, name) => self.off_id(bus, name),
            Step::OffAll(bus) => self.write(self.side.off_all(bus).map(|removed| Line::OffAll { bus, removed })),
            Step::Count(bus, kind) => self.count(bus, None, kind),
            Step::CountOn(bus, topic, kind) => self.count(bus, Some(topic), kind),
            Step::DropOwner(owner) => self.side.drop_owner(owner),
            Step::Record(place, bus) => self.record(place, bus),
            Step::Recorded(place) => self.recorded(place),
            Step::Close(bus) => S::close(self, bus),
            Step::Open(bus) => self.open(bus),
        }
    }

    fn write(&self, line: Option<Line>) {
        if let Some(line) = line {
            self.desk().write(line);
        }
    }

    fn count(&self, bus: usize, topic: Option<Topic>, kind: Kind) {
        let count = self.side.count(bus, topic, kind);
        self.write(count.map(|count| Line::Counts { bus, topic, kind, count }));
    }

    fn emit(self: &Arc<Self>, bus: usize, topic: Option<Topic>, kind: Kind) {
        if !self.side.is_there(bus) {
            return;
        }
        let number = self.desk().buses[bus];
        let tag = self.begin(number, |tag| Line::Emits { tag, bus: number, topic, kind });
        let report = S::emit(self, bus, topic, kind, tag);
        self.emitted(number, tag, &report.expect("the bus is there"));
    }

    fn emit_port(self: &Arc<Self>, place: usize) {
        let Some(KeptPort { port, bus, topic, kind }) = self.clone_port(place) else { return };
        let tag = self.begin(bus, |tag| Line::Emits { tag, bus, topic, kind });
        let report = S::emit_port(self, &port, tag);
        // It may be the last that keeps the bus: it goes before the emit counts as ended.
        S::drop_port(self, port);
        self.emitted(bus, tag, &report);
    }

    /// A clone, for listeners may drop the port that is kept.
    fn clone_port(&self, place: usize) -> Option<KeptPort<S>> {
        let kept = self.desk().ports[place].take()?;
        let clone = KeptPort { port: self.side.clone_port(&kept.port), ..kept };
        self.desk().ports[place] = Some(kept);
        Some(clone)
    }

    fn emitted(&self, bus: usize, tag: u32, report: &Report<S::Id>) {
        let stopped_by = report.stopped_by.map(|id| self.number_of(id));
        let Report { heard, failed, deferred, .. } = *report;
        self.end(bus, Line::Emitted { tag, report: Report { heard, failed, deferred, stopped_by } });
    }

    fn defer(self: &Arc<Self>, bus: usize, topic: Option<Topic>, kind: Kind) {
        if !self.side.is_there(bus) {
            return;
        }
        let number = self.desk().buses[bus];
        let tag = self.begin(number, |tag| Line::Defers { tag, bus: number, topic, kind });
        let deferred = S::defer(self, bus, topic, kind, tag);
        self.end(number, Line::Deferred { tag, given_back: deferred.expect("the bus is there").err() });
    }

    fn defer_port(self: &Arc<Self>, place: usize) {
        let Some(KeptPort { port, bus, topic, kind }) = self.clone_port(place) else { return };
        let tag = self.begin(bus, |tag| Line::Defers { tag, bus, topic, kind });
        let deferred = S::defer_port(self, &port, tag);
        S::drop_port(self, port);
        self.end(bus, Line::Deferred { tag, given_back: deferred.err() });
    }

    fn drain(self: &Arc<Self>, bus: usize, drain: impl FnOnce(&Arc<Self>) -> Option<Drained>) {
        if !self.side.is_there(bus) {
            return;
        }
        let number = self.desk().buses[bus];
        self.begin(number, |_| Line::Drains { bus: number });
        let drained = drain(self).expect("the bus is there");
        self.end(number, Line::Drained { bus: number, drained });
    }

    /// A verb of this bus begins that may emit. Returns a new tag.
    fn begin(&self, bus: usize, line: impl FnOnce(u32) -> Line) -> u32 {
        let mut desk = self.desk();
        desk.emits += 1;
        desk.made[bus].emits += 1;
        let tag = desk.emits;
        desk.write(line(tag));
        tag
    }

    fn end(&self, bus: usize, line: Line) {
        let mut desk = self.desk();
        desk.made[bus].emits -= 1;
        desk.write(line);
    }

    fn keep_port(self: &Arc<Self>, place: usize, bus: usize, topic: Option<Topic>, kind: Kind) {
        if let Some(port) = self.side.port(bus, topic, kind) {
            let mut desk = self.desk();
            let bus = desk.buses[bus];
            let former = desk.ports[place].replace(KeptPort { port, bus, topic, kind });
            drop(desk);
            self.let_go(former);
        }
    }

    fn drop_port(self: &Arc<Self>, place: usize) {
        let former = self.desk().ports[place].take();
        self.let_go(former);
    }

    fn let_go(self: &Arc<Self>, port: Option<KeptPort<S>>) {
        if let Some(kept) = port {
            S::drop_port(self, kept.port);
        }
    }

    fn listen(self: &Arc<Self>, place: usize, listener: &Listener) {
        if !self.side.is_there(listener.bus) {
            return;
        }
        let listener = Arc::new(listener.clone());
        let number = self.enrol(&listener);
        let added = S::listen(self, &listener, number);
        let (subscription, id) = added.expect("the bus is there");
        let former = {
            let mut desk = self.desk();
            desk.listeners[number].id = Some(id);
            desk.names[place] = (Some(number), desk.names[place].0);
            desk.write(Line::Adds { listener: number, place });
            desk.kept[place].replace(Kept { subscription, listener: number })
        };
        if let Some(former) = former {
            self.side.unsubscribe(former.subscription);
        }
    }

    fn enrol(&self, listener: &Arc<Listener>) -> usize {
        let mut desk = self.desk();
        let bus = desk.buses[listener.bus];
        desk.listeners.push(Registered { listener: Arc::clone(listener), bus, id: None, asked: 0 });
        desk.listeners.len() - 1
    }

    /// A step that takes the subscription kept at this place.
    fn take(&self, place: usize, step: impl FnOnce(&S, S::Subscription, usize) -> Line) {
        let kept = self.desk().take(place);
        if let Some(kept) = kept {
            let line = step(&self.side, kept.subscription, kept.listener);
            self.desk().write(line);
        }
    }

    /// A step that looks at the subscription kept at this place. None of these calls user code, so nobody misses it meanwhile.
    fn with(&self, place: usize, step: impl FnOnce(&S, &S::Subscription, usize) -> Line) {
        let kept = self.desk().take(place);
        if let Some(kept) = kept {
            let line = step(&self.side, &kept.subscription, kept.listener);
            let mut desk = self.desk();
            desk.write(line);
            desk.kept[place] = Some(kept);
        }
    }

    /// Inside an emission it is `Ok` for a listener of which nothing is left, and whether something is left of one that is off already is
    /// the emission's own business. So what it says of such a one is compared outside of the bus's emissions only.
    fn off_and_wait(&self, place: usize) {
        self.take(place, |side, subscription, listener| {
            let is_fixed = side.is_active(&subscription) || !self.is_emitting(listener);
            let would_deadlock = side.off_and_wait(subscription);
            Line::OffAndWait { listener, would_deadlock: is_fixed.then_some(would_deadlock) }
        });
    }

    /// Whether an emit on the listener's bus is under way.
    fn is_emitting(&self, listener: usize) -> bool {
        let desk = self.desk();
        desk.made[desk.listeners[listener].bus].emits > 0
    }

    fn detach(&self, place: usize) {
        self.take(place, |side, subscription, listener| {
            let id = side.detach(subscription);
            assert_eq!(self.number_of(id), listener, "`detach` gives the listener's id");
            Line::Detaches { listener }
        });
    }

    fn off_id(&self, bus: usize, name: Name) {
        let named = {
            let desk = self.desk();
            let number = match name {
                Name::Of(place) => desk.names[place].0,
                Name::Before(place) => desk.names[place].1,
            };
            number.and_then(|number| Some((number, desk.listeners[number].id?)))
        };
        if let Some((listener, id)) = named {
            self.write(self.side.off_id(bus, id).map(|removed| Line::OffId { listener, bus, removed }));
        }
    }

    fn record(&self, place: usize, bus: usize) {
        if let Some(recorder) = self.side.record(bus) {
            let former = self.desk().recorders[place].replace(recorder);
            if let Some(former) = former {
                self.side.drop_recorder(former);
            }
        }
    }

    fn recorded(&self, place: usize) {
        let recorder = self.desk().recorders[place].take();
        if let Some(recorder) = recorder {
            let tags = self.side.recorded(&recorder);
            let mut desk = self.desk();
            desk.write(Line::Recorded { tags });
            desk.recorders[place] = Some(recorder);
        }
    }

    fn open(self: &Arc<Self>, bus: usize) {
        if self.side.is_there(bus) {
            self.side.open(bus);
            return;
        }
        let number = {
            let mut desk = self.desk();
            desk.made.push(Made::default());
            desk.buses[bus] = desk.made.len() - 1;
            desk.made.len() - 1
        };
        S::make(self, bus, number, &self.program.buses[bus]);
        self.desk().write(Line::Makes { bus: number });
    }

    /// Logs what changed where the contract fixes it: how many events wait; which closures exist, and what was only counted, of buses
    /// that have no emission under way.
    fn look(&self) {
        let closures = self.side.closures();
        let suppressed: Vec<_> =
            (0..BUSES).map(|bus| self.side.is_there(bus).then(|| self.side.suppressed(bus))).collect();
        let pending: Vec<_> = (0..BUSES).map(|bus| self.side.pending(bus)).collect();
        let mut desk = self.desk();
        for (place, events) in pending.into_iter().enumerate() {
            let bus = desk.buses[place];
            if let Some(events) = events
                && desk.made[bus].pending != events
            {
                desk.made[bus].pending = events;
                desk.write(Line::Pending { bus, events });
            }
        }
        for bus in 0..desk.made.len() {
            if desk.made[bus].emits > 0 || desk.made[bus].is_going {
                continue;
            }
            let mine = |listener: &usize| desk.listeners[*listener].bus == bus;
            let listeners: Vec<_> = closures.iter().copied().filter(mine).collect();
            if desk.made[bus].closures != listeners {
                desk.made[bus].closures.clone_from(&listeners);
                desk.write(Line::Closures { bus, listeners });
            }
        }
        for (place, failures) in suppressed.into_iter().enumerate() {
            let bus = desk.buses[place];
            if let Some(failures) = failures
                && desk.made[bus].emits == 0
                && desk.made[bus].suppressed != failures
            {
                desk.made[bus].suppressed = failures;
                desk.write(Line::Suppressed { bus, failures });
            }
        }
    }

    /// The buses go, with the last of what holds them; then the subscriptions, which find nothing.
    fn close(self: &Arc<Self>) {
        self.desk().fuel_here = 0;
        (0..PORTS).for_each(|place| self.drop_port(place));
        (0..BUSES).for_each(|bus| S::close(self, bus));
        self.look();
        for place in 0..SLOTS {
            self.step(&Step::IsActive(place));
            self.step(&Step::Off(place));
        }
        (0..RECORDERS).for_each(|place| self.step(&Step::Recorded(place)));
        self.look();
    }
}

/// The text that a listener's panic has, or its filter's.
pub(crate) fn panic_text(listener: usize, what: impl Debug) -> String {
    format!("scripted: listener {listener} {what:?}")
}
