//! What an emission on a topic costs among many patterns, beside the least that finding its listeners could cost.
//!
//! `cargo bench --bench topics` prints divan's table, then the bars, as `benches/emit.rs` does; `-- bars` prints the bars alone.
//!
//! | contender | what it is |
//! | --- | --- |
//! | `WholeNames` | a map from each topic to who hears it: the least a bus can do for a topic that it knows |
//! | `PlainTrie` | patterns by their interned segments: the least it can do for a topic that it doesn't |
//! | `Hearken` | the bus, given the topic as text: it checks it, finds the listeners, and calls them |
//! | `Ports` | the bus, through a port for each topic |
//!
//! The floors find listeners and call nobody, so the bars allow the bus a typed emission on top. On average 1.1 listeners hear a
//! repeated topic, and 0.1 a new one.

mod lookups;
mod measure;
mod plan;

use std::cell::Cell;

use divan::{Bencher, black_box};
use hearken::{Emitter, Port, Subscription};

use lookups::{PlainTrie, WholeNames};
use measure::Bar::{AtMost, Nowhere};
use measure::{in_turns, rounds, row};
use plan::{NewTopics, Plan};

/// The event: small, as most are.
struct Measured {
    value: u64,
}

const MEASURED: Measured = Measured { value: 7 };

/// What every listener in this benchmark is, but for its capture.
fn listener(number: u32) -> impl Fn(&Measured) + Send + Sync + 'static {
    move |measured| {
        black_box(measured.value ^ u64::from(number));
    }
}

/// What can be compared: something that can be told of an event on a topic.
trait Contender: Send {
    fn new(plan: &Plan) -> Self;
    /// How many listeners hear it.
    fn tell(&mut self, topic: &str) -> usize;
}

/// The bus, and what keeps its listeners on it.
struct Hearken {
    bus: Emitter,
    _subscriptions: Vec<Subscription>,
}

impl Contender for Hearken {
    fn new(plan: &Plan) -> Self {
        let bus = Emitter::builder().leak_warning(0).build(hearken::panic);
        let listen = |(number, pattern): (u32, &String)| bus.topics(pattern).on(listener(number));
        let subscriptions = (0..).zip(&plan.patterns).map(listen).collect();
        Self { bus, _subscriptions: subscriptions }
    }

    #[inline]
    fn tell(&mut self, topic: &str) -> usize {
        self.bus.topic(topic).emit(&MEASURED).heard
    }
}

impl Hearken {
    fn ports(&self, plan: &Plan) -> Vec<Port<Measured>> {
        plan.repeated.iter().map(|topic| self.bus.topic(topic).port()).collect()
    }
}

/// One of these after the other, over and over.
struct Turns<'a, T>(std::iter::Cycle<std::slice::Iter<'a, T>>);

impl<'a, T> Turns<'a, T> {
    fn of(items: &'a [T]) -> Self {
        Self(items.iter().cycle())
    }

    fn next(&mut self) -> &'a T {
        match self.0.next() {
            Some(item) => item,
            None => unreachable!("there is at least one"),
        }
    }
}

#[divan::bench(types = [WholeNames, PlainTrie, Hearken], args = [1_000, 10_000])]
fn repeated<C: Contender>(bencher: Bencher<'_, '_>, patterns: usize) {
    let plan = Plan::with_patterns(patterns);
    let (mut contender, mut topics) = (C::new(&plan), Turns::of(&plan.repeated));
    bencher.bench_local(|| contender.tell(black_box(topics.next())));
}

#[divan::bench(args = [1_000, 10_000])]
fn repeated_through_ports(bencher: Bencher<'_, '_>, patterns: usize) {
    let plan = Plan::with_patterns(patterns);
    let hearken = Hearken::new(&plan);
    let ports = hearken.ports(&plan);
    let mut ports = Turns::of(&ports);
    bencher.bench_local(|| black_box(ports.next()).emit(&MEASURED));
}

#[divan::bench(types = [PlainTrie, Hearken], args = [1_000, 10_000])]
fn always_new<C: Contender>(bencher: Bencher<'_, '_>, patterns: usize) {
    let (mut contender, topics) = (C::new(&Plan::with_patterns(patterns)), NewTopics::new());
    bencher.with_inputs(|| topics.next()).bench_local_refs(|topic| contender.tell(black_box(topic)));
}

/// The longest walk: patterns of nothing but `**` and one name, and topics of as many segments as there may be.
#[divan::bench]
fn worst_case(bencher: Bencher<'_, '_>) {
    let bus = Emitter::new(hearken::panic);
    let patterns = ["**.a.**.a.**.a.**.a.**", "**.*.**.*.**.*.**.*.**", "**.a.**.*.**.a.**.*.**.b", "**.**.**.**.**"];
    let _hears = patterns.map(|pattern| bus.topics(pattern).on(listener(0)));
    let next = Cell::new(0_u64);
    let new_topic = || {
        next.set(next.get() + 1);
        format!("{}.{}", ["a"; 31].join("."), next.get())
    };
    bencher.with_inputs(new_topic).bench_local_refs(|topic| bus.topic(black_box(topic)).emit(&MEASURED));
}

/// The typed emission that the bars allow for: to one listener.
#[divan::bench]
fn typed(bencher: Bencher<'_, '_>) {
    let bus = Emitter::new(hearken::panic);
    let _hears = bus.on(listener(0));
    bencher.bench_local(|| bus.emit(black_box(&MEASURED)));
}

/// Nanoseconds of each, in one round.
#[derive(Clone, Copy)]
struct Figures {
    typed: f64,
    whole_names: f64,
    repeated: f64,
    ports: f64,
    trie: f64,
    new: f64,
}

impl Figures {
    fn among(patterns: usize) -> Self {
        /// More than a round uses up. Should they come again after all, the bus has forgotten them.
        const NEW: usize = 100_000;

        let plan = Plan::with_patterns(patterns);
        let bus = Emitter::new(hearken::panic);
        let _hears = bus.on(listener(0));
        let mut emit = |calls| (0..calls).for_each(|_| _ = bus.emit(black_box(&MEASURED)));
        let (mut names, mut trie, mut hearken) = (WholeNames::new(&plan), PlainTrie::new(&plan), Hearken::new(&plan));
        for topic in &plan.repeated {
            assert_eq!([names.tell(topic), trie.tell(topic)], [hearken.tell(topic); 2], "{topic}");
        }
        let ports = hearken.ports(&plan);
        let mut ports = Turns::of(&ports);
        let mut emit_through_ports = |calls| (0..calls).for_each(|_| _ = ports.next().emit(black_box(&MEASURED)));
        let [typed, whole_names, repeated, ports] = in_turns([
            &mut emit,
            &mut tells(&mut names, &plan.repeated),
            &mut tells(&mut hearken, &plan.repeated),
            &mut emit_through_ports,
        ]);
        let topics = NewTopics::new();
        let topics: Vec<_> = (0..NEW).map(|_| topics.next()).collect();
        let [trie, new] = in_turns([&mut tells(&mut trie, &topics), &mut tells(&mut hearken, &topics)]);
        Self { typed, whole_names, repeated, ports, trie, new }
    }
}

fn tells<C: Contender>(contender: &mut C, topics: &[String]) -> impl FnMut(u32) {
    let mut topics = Turns::of(topics);
    move |calls| (0..calls).for_each(|_| _ = contender.tell(black_box(topics.next())))
}

fn print_bars() {
    for patterns in [1_000, 10_000] {
        let rounds = rounds(|| Figures::among(patterns));
        let show = |what: &str, of: fn(Figures) -> f64| {
            row(&format!("{what}, {patterns} patterns"), rounds.map(of), "ns", Nowhere);
        };
        show("typed emission", |round| round.typed);
        show("whole names", |round| round.whole_names);
        show("repeated topics", |round| round.repeated);
        show("repeated topics through ports", |round| round.ports);
        show("plain trie", |round| round.trie);
        show("always-new topics", |round| round.new);
        if patterns == 10_000 {
            let repeated = rounds.map(|round| (round.repeated - round.typed) / round.whole_names);
            row("repeated, less a typed emission, to whole names", repeated, "x", AtMost(3.0));
            let new = rounds.map(|round| (round.new - round.typed) / round.trie);
            row("always new, less a typed emission, to the trie", new, "x", AtMost(1.7));
        }
    }
}

fn main() {
    divan::main();
    measure::run(print_bars);
}
