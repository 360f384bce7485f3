//! The hot paths whose instructions are counted.

use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use hearken::{Emitter, Subscription};

use crate::plan::{NewTopics, Plan};
use crate::{PLACED, Placed, listener};

/// One of them.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How often it is done to be counted, and twice before.
    pub(crate) times: u32,
    pub(crate) make: fn() -> Act,
}

/// Does it so many times, on what it owns.
pub(crate) type Act = Box<dyn FnMut(u32)>;

impl Case {
    pub(crate) const ALL: [Self; 13] = [
        Self { name: "emit_0", times: 10_000, make: emit_to_those_who_went },
        Self { name: "emit_1", times: 10_000, make: || emit(1) },
        Self { name: "emit_10", times: 1_000, make: || emit(10) },
        Self { name: "emit_100", times: 1_000, make: || emit(100) },
        Self { name: "emit_mixed", times: 10_000, make: emit_mixed },
        Self { name: "port_emit_1", times: 10_000, make: port_emit },
        Self { name: "topic_repeated", times: REPEATED, make: topic_repeated },
        Self { name: "topic_repeated_port", times: REPEATED, make: topic_repeated_port },
        Self { name: "topic_new", times: 2_000, make: || topic_new(2_000) },
        Self { name: "defer_drain", times: 10 * QUEUED, make: defer_drain },
        Self { name: "on_off", times: 2_000, make: on_off },
        Self { name: "stream_1", times: 10_000, make: || stream(1) },
        Self { name: "stream_10", times: 1_000, make: || stream(10) },
    ];

    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        const { &Self::ALL }.iter().find(|case| case.name == name)
    }
}

const PATTERNS: usize = 1_000;
/// Each of the topics that repeat has its turn equally often.
const REPEATED: u32 = 3_000;
/// How many events wait at once.
const QUEUED: u32 = 1_000;

fn with_listeners(count: u64) -> (Emitter, Vec<Subscription>) {
    let bus = Emitter::builder().leak_warning(0).build(hearken::panic);
    let subscriptions = (0..count).map(|number| bus.on(listener(number))).collect();
    (bus, subscriptions)
}

/// Does it over and over, and keeps alive what it is done with.
fn over_and_over<K: 'static>(kept: K, mut act: impl FnMut() + 'static) -> Act {
    Box::new(move |times| {
        let _kept = &kept;
        (0..times).for_each(|_| act());
    })
}

fn emit(listeners: u64) -> Act {
    let (bus, kept) = with_listeners(listeners);
    over_and_over(kept, move || _ = black_box(bus.emit(black_box(&PLACED))))
}

/// Nobody hears it, and yet the bus has to look who does: a type that nobody ever listened to costs less.
fn emit_to_those_who_went() -> Act {
    let (bus, gone) = with_listeners(1);
    drop(gone);
    over_and_over((), move || _ = black_box(bus.emit(black_box(&PLACED))))
}

/// Two priorities, and a listener of every type between them.
fn emit_mixed() -> Act {
    let (bus, kept) = with_listeners(1);
    let first = bus.listen::<Placed>().priority(1).on(listener(1));
    let any = bus.on_any(|event| _ = black_box(event.type_name()));
    let last = bus.listen::<Placed>().priority(-1).on(listener(2));
    over_and_over((kept, first, any, last), move || _ = black_box(bus.emit(black_box(&PLACED))))
}

fn port_emit() -> Act {
    let (bus, kept) = with_listeners(1);
    let port = bus.port::<Placed>();
    over_and_over(kept, move || _ = black_box(port.emit(black_box(&PLACED))))
}

/// A listener for each pattern.
fn with_patterns() -> (Emitter, Plan, Vec<Subscription>) {
    let (bus, mut kept) = with_listeners(0);
    let plan = Plan::with_patterns(PATTERNS);
    kept.extend((0..).zip(&plan.patterns).map(|(number, pattern)| bus.topics(pattern).on(listener(number))));
    (bus, plan, kept)
}

fn topic_repeated() -> Act {
    let (bus, plan, kept) = with_patterns();
    let mut turn = 0;
    over_and_over(kept, move || {
        turn = (turn + 1) % plan.repeated.len();
        _ = black_box(bus.topic(black_box(&plan.repeated[turn])).emit(&PLACED));
    })
}

fn topic_repeated_port() -> Act {
    let (bus, plan, kept) = with_patterns();
    let ports: Vec<_> = plan.repeated.iter().map(|topic| bus.topic(topic).port::<Placed>()).collect();
    let mut turn = 0;
    over_and_over(kept, move || {
        turn = (turn + 1) % ports.len();
        _ = black_box(ports[turn].emit(black_box(&PLACED)));
    })
}

fn topic_new(times: usize) -> Act {
    let (bus, _, kept) = with_patterns();
    let topics = NewTopics::new();
    // Twice before, and once for the count.
    let topics: Vec<_> = (0..3 * times).map(|_| topics.next()).collect();
    let mut turn = 0;
    over_and_over(kept, move || {
        _ = black_box(bus.topic(black_box(&topics[turn])).emit(&PLACED));
        turn += 1;
    })
}

/// For each of the events.
fn defer_drain() -> Act {
    let (bus, kept) = with_listeners(1);
    Box::new(move |times| {
        let _kept = &kept;
        for _ in 0..times / QUEUED {
            (0..QUEUED).for_each(|order| bus.defer(Placed { order: order.into() }).unwrap());
            assert_eq!(bus.drain().delivered, QUEUED as usize);
        }
    })
}

/// Beside 1,000 others.
fn on_off() -> Act {
    let (bus, kept) = with_listeners(1_000);
    over_and_over(kept, move || drop(bus.on(listener(black_box(0)))))
}

/// So many events that come, and then are taken.
fn stream(events: usize) -> Act {
    let (bus, kept) = with_listeners(0);
    let mut numbers = bus.stream::<u64>();
    over_and_over(kept, move || {
        for _ in 0..events {
            bus.emit(black_box(&7_u64));
        }
        for _ in 0..events {
            let taken = Pin::new(&mut numbers).poll_next(&mut Context::from_waker(Waker::noop()));
            assert_eq!(taken, Poll::Ready(Some(7)));
        }
    })
}
