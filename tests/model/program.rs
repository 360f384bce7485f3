//! Random programs for a bus, as plain data.
//!
//! A program's `Debug` is Rust that builds it again: a shrunk program is pasted into a test as it is printed.

use std::fmt;

use hearken::Overflow;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

/// How many buses a program talks about, how many subscriptions, ports, recorders and owners it keeps.
pub(crate) const BUSES: usize = 2;
pub(crate) const SLOTS: usize = 8;
pub(crate) const PORTS: usize = 3;
pub(crate) const RECORDERS: usize = 2;
pub(crate) const OWNERS: usize = 3;

/// What is run against a bus: how the buses are built, then what is done to them, step by step.
#[derive(Clone, PartialEq)]
pub(crate) struct Program {
    pub(crate) buses: [Settings; BUSES],
    pub(crate) steps: Vec<Step>,
}

/// How one bus is built.
#[derive(Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) max_depth: usize,
    /// Its queue, if not the usual one.
    pub(crate) queue: Option<(usize, Overflow)>,
    /// What its error channel does with each failure.
    pub(crate) channel: Vec<Step>,
    pub(crate) channel_panics: bool,
}

/// One thing done to the buses, by the program itself or by a listener, a filter or an error channel that is called.
///
/// Numbers name places that hold a thing: buses, subscriptions, ports, recorders, owners. A step on an empty place does nothing.
/// A new verb gets a variant here, an arm in `World::step`, and a method in `Side` where it touches the bus.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Step {
    // Speak
    Emit(usize, Kind),
    /// The same on a topic.
    EmitOn(usize, Topic, Kind),
    /// Through the port kept at this place.
    EmitPort(usize),
    /// Keeps a port of this bus for this kind; what was kept there goes.
    Port(usize, usize, Kind),
    /// The same on a topic.
    PortOn(usize, usize, Topic, Kind),
    DropPort(usize),
    // Speak later
    Defer(usize, Kind),
    /// The same on a topic.
    DeferOn(usize, Topic, Kind),
    /// Through the port kept at this place.
    DeferPort(usize),
    Drain(usize),
    /// Up to so many events.
    DrainUntilIdle(usize, usize),
    DiscardPending(usize),
    /// `Emitter::close`: nothing more is deferred.
    CloseQueue(usize),
    // Listen
    /// Adds the listener and keeps its subscription at this place; the subscription that was there is dropped.
    Listen(usize, Listener),
    Off(usize),
    OffAndWait(usize),
    Drop(usize),
    Detach(usize),
    Pause(usize),
    Resume(usize),
    IsActive(usize),
    /// `Emitter::off` on this bus, which need not be the listener's.
    OffId(usize, Name),
    OffAll(usize),
    Count(usize, Kind),
    CountOn(usize, Topic, Kind),
    /// A weak listener that needs this owner again gets a new one.
    DropOwner(usize),
    /// Records the bus's `A`s.
    Record(usize, usize),
    Recorded(usize),
    // The bus itself
    /// Lets go of the program's own handle. The bus lives on while a port or an emission holds it.
    Close(usize),
    /// A handle to the bus again; to a new one if it is gone.
    Open(usize),
}

/// A topic that events are emitted on. Few segments: what meets tells more.
pub(crate) type Topic = &'static str;
const TOPICS: &[Topic] = &["a", "a.b", "b", "a.a.b"];
/// What listeners narrow themselves to, or add to that.
const PATTERNS: &[&str] = &["a.b", "a", "a.*", "**", "a.**", "**.b", "*", "a.**.b", "**.a.**", "*.*", "x.**"];

/// Which id: of the last listener that was added at this place, or of the one before.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Name {
    Of(usize),
    Before(usize),
}

/// The types of events. Failures can be listened to like any other, but only the bus emits them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    A,
    B,
    C,
    Failures,
}

/// What a listener hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ear {
    Event(Kind),
    Any,
    Unheard,
    /// The same as the event `Failures`, by the verb of its own.
    Failure,
}

/// How a listener of one type is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    On,
    OnWith,
    Once,
    OnceWith,
    /// With the owner kept at this place.
    OnWeak(usize),
}

/// How a call ends, once the listener's steps are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// `()`
    Nothing,
    /// `Ok(())`
    Fine,
    /// `Err(…)`
    Errs,
    /// `Break(())`
    Breaks,
    /// `Ok(Break(()))`
    OkBreaks,
    /// A panic with a text.
    Panics,
    /// A panic whose payload is no text.
    PanicsMutely,
    /// A panic whose payload panics when it is dropped.
    PanicsTwice,
}

/// How a filter's call ends, once its steps are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Accepts,
    Rejects,
    /// Rejects the first event it is asked about, accepts the next, and so on.
    RejectsEveryOther,
    FilterPanics,
}

/// What a filter does when it is asked, and what it then says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Filter {
    pub(crate) script: Vec<Step>,
    pub(crate) verdict: Verdict,
}

/// A listener: what it hears, with which options, what it does when it is called, and how the call ends.
#[derive(Clone, PartialEq)]
pub(crate) struct Listener {
    pub(crate) bus: usize,
    pub(crate) ear: Ear,
    pub(crate) verb: Verb,
    /// The patterns it is narrowed to; none for events on whatever topic.
    pub(crate) topics: Vec<&'static str>,
    pub(crate) priority: i32,
    pub(crate) name: Option<&'static str>,
    pub(crate) times: Option<u64>,
    pub(crate) filter: Option<Filter>,
    /// Whether it hears later what is emitted.
    pub(crate) deferred: bool,
    pub(crate) script: Vec<Step>,
    pub(crate) answer: Answer,
    /// Whether the destructor of its closure panics.
    pub(crate) drops_badly: bool,
}

pub(crate) fn listener(ear: Ear, verb: Verb) -> Listener {
    Listener {
        bus: 0,
        ear,
        verb,
        topics: Vec::new(),
        priority: 0,
        name: None,
        times: None,
        filter: None,
        deferred: false,
        script: Vec::new(),
        answer: Answer::Nothing,
        drops_badly: false,
    }
}

pub(crate) fn on(kind: Kind) -> Listener {
    listener(Ear::Event(kind), Verb::On)
}

pub(crate) fn on_with(kind: Kind) -> Listener {
    listener(Ear::Event(kind), Verb::OnWith)
}

pub(crate) fn once(kind: Kind) -> Listener {
    listener(Ear::Event(kind), Verb::Once)
}

pub(crate) fn once_with(kind: Kind) -> Listener {
    listener(Ear::Event(kind), Verb::OnceWith)
}

pub(crate) fn on_weak(kind: Kind, owner: usize) -> Listener {
    listener(Ear::Event(kind), Verb::OnWeak(owner))
}

pub(crate) fn on_any() -> Listener {
    listener(Ear::Any, Verb::On)
}

pub(crate) fn on_unheard() -> Listener {
    listener(Ear::Unheard, Verb::On)
}

pub(crate) fn on_failure() -> Listener {
    listener(Ear::Failure, Verb::On)
}

impl Listener {
    pub(crate) fn of_bus(self, bus: usize) -> Self {
        Self { bus, ..self }
    }

    /// Adds a pattern. A listener of every type has one at most.
    pub(crate) fn topics(mut self, pattern: &'static str) -> Self {
        self.topics.push(pattern);
        self
    }

    pub(crate) fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }

    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    pub(crate) fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    pub(crate) fn filter(self, verdict: Verdict, script: impl Into<Vec<Step>>) -> Self {
        Self { filter: Some(Filter { script: script.into(), verdict }), ..self }
    }

    pub(crate) fn deferred(self) -> Self {
        Self { deferred: true, ..self }
    }

    pub(crate) fn plays(self, script: impl Into<Vec<Step>>) -> Self {
        Self { script: script.into(), ..self }
    }

    pub(crate) fn answers(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    pub(crate) fn drops_badly(self) -> Self {
        Self { drops_badly: true, ..self }
    }

    /// What it listens for, `None` for every type.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.ear {
            Ear::Event(kind) => Some(kind),
            Ear::Failure => Some(Kind::Failures),
            Ear::Any | Ear::Unheard => None,
        }
    }

    /// Whether it is called with the emission's context.
    pub(crate) fn has_context(&self) -> bool {
        matches!(self.ear, Ear::Any | Ear::Unheard) || matches!(self.verb, Verb::OnWith | Verb::OnceWith)
    }

    pub(crate) fn is_once(&self) -> bool {
        matches!(self.verb, Verb::Once | Verb::OnceWith)
    }
}

impl Settings {
    pub(crate) fn new(max_depth: usize) -> Self {
        Self { max_depth, queue: None, channel: Vec::new(), channel_panics: false }
    }

    pub(crate) fn queue(self, capacity: usize, overflow: Overflow) -> Self {
        Self { queue: Some((capacity, overflow)), ..self }
    }

    pub(crate) fn plays(self, channel: impl Into<Vec<Step>>) -> Self {
        Self { channel: channel.into(), ..self }
    }

    pub(crate) fn panics(self) -> Self {
        Self { channel_panics: true, ..self }
    }
}

impl Program {
    /// Two plain buses.
    pub(crate) fn new(steps: impl Into<Vec<Step>>) -> Self {
        Self { buses: [Settings::new(4), Settings::new(4)], steps: steps.into() }
    }

    pub(crate) fn bus(mut self, bus: usize, settings: Settings) -> Self {
        self.buses[bus] = settings;
        self
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Program::new([")?;
        for step in &self.steps {
            writeln!(f, "    {step:?},")?;
        }
        write!(f, "])")?;
        for (bus, settings) in self.buses.iter().enumerate().filter(|(_, settings)| **settings != Settings::new(4)) {
            write!(f, "\n.bus({bus}, {settings:?})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings::new({})", self.max_depth)?;
        if let Some((capacity, overflow)) = self.queue {
            write!(f, ".queue({capacity}, {overflow:?})")?;
        }
        if !self.channel.is_empty() {
            write!(f, ".plays({:?})", self.channel)?;
        }
        f.write_str(if self.channel_panics { ".panics()" } else { "" })
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ear, self.verb) {
            (Ear::Any, _) => write!(f, "on_any()")?,
            (Ear::Unheard, _) => write!(f, "on_unheard()")?,
            (Ear::Failure, _) => write!(f, "on_failure()")?,
            (Ear::Event(kind), Verb::On) => write!(f, "on({kind:?})")?,
            (Ear::Event(kind), Verb::OnWith) => write!(f, "on_with({kind:?})")?,
            (Ear::Event(kind), Verb::Once) => write!(f, "once({kind:?})")?,
            (Ear::Event(kind), Verb::OnceWith) => write!(f, "once_with({kind:?})")?,
            (Ear::Event(kind), Verb::OnWeak(owner)) => write!(f, "on_weak({kind:?}, {owner})")?,
        }
        self.fmt_options(f)
    }
}

impl Listener {
    fn fmt_options(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bus != 0 {
            write!(f, ".of_bus({})", self.bus)?;
        }
        for pattern in &self.topics {
            write!(f, ".topics({pattern:?})")?;
        }
        if self.priority != 0 {
            write!(f, ".priority({})", self.priority)?;
        }
        if let Some(name) = self.name {
            write!(f, ".named({name:?})")?;
        }
        if let Some(times) = self.times {
            write!(f, ".times({times})")?;
        }
        if let Some(filter) = &self.filter {
            write!(f, ".filter({:?}, {:?})", filter.verdict, filter.script)?;
        }
        f.write_str(if self.deferred { ".deferred()" } else { "" })?;
        if !self.script.is_empty() {
            write!(f, ".plays({:?})", self.script)?;
        }
        if self.answer != Answer::Nothing {
            write!(f, ".answers({:?})", self.answer)?;
        }
        f.write_str(if self.drops_badly { ".drops_badly()" } else { "" })
    }
}

// How programs are drawn. What is simpler comes first in each choice: shrinking goes there.

/// Programs of up to 120 steps; their listeners' steps come on top.
pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let buses = [settings(), settings()];
    (buses, overflow(), vec(step(2), 1..=120)).prop_map(|(buses, overflow, steps)| {
        let buses = buses.map(|(settings, capacity)| Settings { queue: capacity.map(|n| (n, overflow)), ..settings });
        Program { buses, steps }
    })
}

fn overflow() -> impl Strategy<Value = Overflow> {
    select(&[Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest, Overflow::Block][..])
}

/// How a bus is built, and the capacity of its queue, if it is to be a small one.
fn settings() -> BoxedStrategy<(Settings, Option<usize>)> {
    let channel = prop_oneof![2 => Just(Vec::new()), 1 => vec(step(1), 1..3)];
    (4_usize..=6, channel, weighted_bool(0.1), weighted(0.7, 1_usize..=4))
        .prop_map(|(max_depth, channel, channel_panics, capacity)| {
            (Settings { channel, channel_panics, ..Settings::new(max_depth) }, capacity)
        })
        .boxed()
}

/// A step of the program itself, at level 2, or of a listener below it: whose listeners' scripts add listeners in turn, this many
/// levels down.
fn step(level: u32) -> BoxedStrategy<Step> {
    match level {
        // Chains of emits grow by themselves: inside listeners the rest is worth more.
        0 | 1 => prop_oneof![4 => speak(), 3 => defer(), 4 => listen(level), 7 => tend(), 2 => manage()].boxed(),
        _ => prop_oneof![8 => speak(), 5 => defer(), 8 => listen(level), 4 => tend(), 2 => manage()].boxed(),
    }
}

fn speak() -> BoxedStrategy<Step> {
    prop_oneof![
        6 => (bus(), emitted()).prop_map(|(bus, kind)| Step::Emit(bus, kind)),
        6 => (bus(), topic(), emitted()).prop_map(|(bus, topic, kind)| Step::EmitOn(bus, topic, kind)),
        2 => port().prop_map(Step::EmitPort),
        1 => (port(), bus(), emitted()).prop_map(|(port, bus, kind)| Step::Port(port, bus, kind)),
        1 => (port(), bus(), topic(), emitted())
            .prop_map(|(port, bus, topic, kind)| Step::PortOn(port, bus, topic, kind)),
    ]
    .boxed()
}

/// Steps on the queue.
fn defer() -> BoxedStrategy<Step> {
    prop_oneof![
        6 => (bus(), emitted()).prop_map(|(bus, kind)| Step::Defer(bus, kind)),
        6 => (bus(), topic(), emitted()).prop_map(|(bus, topic, kind)| Step::DeferOn(bus, topic, kind)),
        2 => port().prop_map(Step::DeferPort),
        5 => bus().prop_map(Step::Drain),
        2 => (bus(), 0_usize..6).prop_map(|(bus, limit)| Step::DrainUntilIdle(bus, limit)),
        2 => bus().prop_map(Step::DiscardPending),
    ]
    .boxed()
}

fn listen(level: u32) -> BoxedStrategy<Step> {
    (slot(), any_listener(level)).prop_map(|(slot, listener)| Step::Listen(slot, listener)).boxed()
}

/// Steps on listeners that are there already.
fn tend() -> BoxedStrategy<Step> {
    let name = prop_oneof![3 => slot().prop_map(Name::Of), 1 => slot().prop_map(Name::Before)];
    prop_oneof![
        3 => slot().prop_map(Step::Off),
        5 => slot().prop_map(Step::OffAndWait),
        2 => slot().prop_map(Step::Drop),
        1 => slot().prop_map(Step::Detach),
        4 => slot().prop_map(Step::Pause),
        4 => slot().prop_map(Step::Resume),
        2 => slot().prop_map(Step::IsActive),
        3 => (bus(), name).prop_map(|(bus, name)| Step::OffId(bus, name)),
        1 => (bus(), heard()).prop_map(|(bus, kind)| Step::Count(bus, kind)),
        1 => (bus(), topic(), heard()).prop_map(|(bus, topic, kind)| Step::CountOn(bus, topic, kind)),
    ]
    .boxed()
}

/// Rarer steps, on what listeners live by.
fn manage() -> BoxedStrategy<Step> {
    prop_oneof![
        4 => (0..OWNERS).prop_map(Step::DropOwner),
        3 => bus().prop_map(Step::OffAll),
        3 => bus().prop_map(Step::Open),
        3 => bus().prop_map(Step::Close),
        1 => bus().prop_map(Step::CloseQueue),
        4 => port().prop_map(Step::DropPort),
        2 => (0..RECORDERS, bus()).prop_map(|(recorder, bus)| Step::Record(recorder, bus)),
        2 => (0..RECORDERS).prop_map(Step::Recorded),
    ]
    .boxed()
}

fn any_listener(level: u32) -> BoxedStrategy<Listener> {
    let listener = prop_oneof![
        10 => typed_listener(),
        1 => Just(on_any()),
        1 => pattern().prop_map(|pattern| on_any().topics(pattern)),
        2 => Just(on_unheard()),
        1 => Just(on_failure()),
    ];
    (listener, bus(), script(level), answer(), weighted_bool(0.05))
        .prop_map(|(listener, bus, script, answer, badly)| {
            // The call of a `once` uses its closure up: a destructor that panics there is the listener's own panic.
            let drops_badly = badly && !listener.is_once();
            Listener { bus, script, answer, drops_badly, ..listener }
        })
        .boxed()
}

fn typed_listener() -> BoxedStrategy<Listener> {
    let priority = prop_oneof![3 => Just(0), 1 => -1..=1, 1 => prop_oneof![Just(i32::MIN), Just(i32::MAX)]];
    let name = weighted(0.2, prop_oneof![Just("ann"), Just("bob")]);
    let limits = (weighted(0.2, 1_u64..4), weighted(0.3, filter()), weighted_bool(0.2));
    let topics = prop_oneof![4 => Just(Vec::new()), 3 => vec(pattern(), 1..=1), 1 => vec(pattern(), 2..=3)];
    (heard(), verb(), topics, priority, name, limits)
        .prop_map(|(kind, verb, topics, priority, name, (times, filter, deferred))| {
            let listener = listener(Ear::Event(kind), verb);
            // A listener hears once or so many times: the bus refuses both.
            let times = times.filter(|_| !listener.is_once());
            Listener { topics, priority, name, times, filter, deferred, ..listener }
        })
        .boxed()
}

fn verb() -> BoxedStrategy<Verb> {
    prop_oneof![
        4 => Just(Verb::On),
        2 => Just(Verb::OnWith),
        2 => Just(Verb::Once),
        1 => Just(Verb::OnceWith),
        2 => (0..OWNERS).prop_map(Verb::OnWeak),
    ]
    .boxed()
}

fn filter() -> BoxedStrategy<Filter> {
    let verdict = prop_oneof![
        3 => Just(Verdict::Accepts),
        3 => Just(Verdict::RejectsEveryOther),
        2 => Just(Verdict::Rejects),
        1 => Just(Verdict::FilterPanics),
    ];
    (verdict, script(0)).prop_map(|(verdict, script)| Filter { script, verdict }).boxed()
}

fn script(level: u32) -> BoxedStrategy<Vec<Step>> {
    match level {
        0 => prop_oneof![
            3 => Just(Vec::new()),
            1 => vec(prop_oneof![3 => speak(), 2 => defer(), 3 => tend(), 1 => manage()], 1..3),
        ]
        .boxed(),
        _ => prop_oneof![2 => Just(Vec::new()), 3 => vec(step(level - 1), 1..4)].boxed(),
    }
}

fn answer() -> BoxedStrategy<Answer> {
    prop_oneof![
        8 => Just(Answer::Nothing),
        2 => Just(Answer::Fine),
        2 => Just(Answer::Errs),
        1 => Just(Answer::Breaks),
        1 => Just(Answer::OkBreaks),
        2 => Just(Answer::Panics),
        1 => prop_oneof![Just(Answer::PanicsMutely), Just(Answer::PanicsTwice)],
    ]
    .boxed()
}

fn emitted() -> impl Strategy<Value = Kind> {
    prop_oneof![4 => Just(Kind::A), 2 => Just(Kind::B), 1 => Just(Kind::C)]
}

fn topic() -> impl Strategy<Value = Topic> {
    select(TOPICS)
}

fn pattern() -> impl Strategy<Value = &'static str> {
    select(PATTERNS)
}

fn heard() -> impl Strategy<Value = Kind> {
    prop_oneof![6 => emitted(), 1 => Just(Kind::Failures)]
}

/// Mostly the first: what meets on one bus tells more.
fn bus() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0_usize), 1 => Just(1_usize)]
}

fn slot() -> impl Strategy<Value = usize> {
    0..SLOTS
}

fn port() -> impl Strategy<Value = usize> {
    0..PORTS
}

fn weighted_bool(probability: f64) -> impl Strategy<Value = bool> {
    proptest::bool::weighted(probability)
}
