//! The bars: what hearken means to keep, as ratios and figures that are each formed inside one round of this run.

use allocation_counter::measure;
use divan::black_box;

use crate::floors::{Protected, Unprotected};
use crate::measure::{Bar, Random, at_once, in_turns, rounds, row};
use crate::{Bus, Counted, Hearken, PLACED, listener};

use Bar::{AtLeast, AtMost, Nowhere};

pub(crate) fn print() {
    let one = rounds(|| against_floors(1));
    row("emit, 1 listener, to the protected floor", one.map(|to| to.protected), "x", AtMost(1.5));
    row("emit, 1 listener, to the unprotected floor", one.map(|to| to.unprotected), "x", AtMost(6.5));
    let ten = rounds(|| against_floors(10));
    row("emit, 10 listeners, to the unprotected floor", ten.map(|to| to.unprotected), "x", AtMost(2.5));
    let thousand = rounds(|| against_floors(1_000));
    row("emit, 1,000 listeners, to the unprotected floor", thousand.map(|to| to.unprotected), "x", AtMost(1.5));

    let threads = rounds(|| [scaling::<Hearken>(), scaling::<Unprotected>()]);
    row("emits on two threads to one, 1 listener", threads.map(|[hearken, _]| hearken), "x", AtLeast(1.8));
    row("  what the machine gave the unprotected floor", threads.map(|[_, floor]| floor), "x", Nowhere);

    let counted = rounds(|| against_uncounted(1));
    row("emit with metrics, 1 listener", counted.map(|[counted, _]| counted), "ns", Nowhere);
    row("  to the same without", counted.map(|[counted, plain]| counted / plain), "x", Nowhere);
    let threads = rounds(scaling::<Counted>);
    row("emits with metrics on two threads to one", threads, "x", AtLeast(1.7));

    let churn = rounds(churn);
    row("emit, 10 listeners, beside on + off", churn.map(|[emit, _]| emit), "ns", AtMost(1_000.0));
    // Not a bar of its own: the one above is worth nothing if this side starves.
    row("  on + off meanwhile", churn.map(|[_, on_off]| on_off), "ns", AtMost(10_000.0));

    let on_off = rounds(on_off);
    row("on + off of the newest of 100,000", on_off.map(|[newest, _]| newest), "ns", AtMost(300.0));
    row("on + off of any of 100,000", on_off.map(|[_, random]| random), "ns", AtMost(1_500.0));

    row("heap of a listener, beside its closure", rounds(heap_of_a_listener), "bytes", AtMost(170.0));
    row("heap of an empty bus", rounds(heap_of_a_bus), "bytes", AtMost(1_024.0));
}

/// How many times as long as the floors' hearken's emission takes.
#[derive(Clone, Copy)]
struct Ratios {
    unprotected: f64,
    protected: f64,
}

fn against_floors(listeners: u64) -> Ratios {
    let unprotected = Unprotected::with_listeners(listeners);
    let protected = Protected::with_listeners(listeners);
    let hearken = Hearken::with_listeners(listeners);
    let [unprotected, protected, hearken] =
        in_turns([&mut emits(&unprotected), &mut emits(&protected), &mut emits(&hearken)]);
    Ratios { unprotected: hearken / unprotected, protected: hearken / protected }
}

/// Nanoseconds of an emission with metrics, and of one without.
fn against_uncounted(listeners: u64) -> [f64; 2] {
    let (counted, plain) = (Counted::with_listeners(listeners), Hearken::with_listeners(listeners));
    in_turns([&mut emits(&counted), &mut emits(&plain)])
}

/// The throughput of two threads, to that of one.
fn scaling<B: Bus>() -> f64 {
    let bus = B::with_listeners(1);
    let [alone] = at_once([&mut emits(&bus)]);
    let [first, second] = at_once([&mut emits(&bus), &mut emits(&bus)]);
    alone / first + alone / second
}

fn churn() -> [f64; 2] {
    let bus = Hearken::with_listeners(10);
    at_once([&mut emits(&bus), &mut |calls| (0..calls).for_each(|_| bus.on_off_newest())])
}

fn on_off() -> [f64; 2] {
    const LIVE: u64 = 100_000;
    let (mut bus, mut random) = (Hearken::with_listeners(LIVE), Random::new());
    let [newest] = in_turns([&mut |calls| (0..calls).for_each(|_| bus.on_off_newest())]);
    // A bus as it is after a long life, not one that was filled in order.
    (0..2 * LIVE).for_each(|_| bus.on_off_random(&mut random));
    let [random] = in_turns([&mut |calls| (0..calls).for_each(|_| bus.on_off_random(&mut random))]);
    [newest, random]
}

/// With its part of the snapshot that emissions read.
fn heap_of_a_listener() -> f64 {
    const LISTENERS: u32 = 10_000;
    let hearken = Hearken::with_listeners(0);
    let mut subscriptions = Vec::with_capacity(LISTENERS as usize);
    let heap = bytes(|| {
        subscriptions.extend((0..LISTENERS).map(|number| hearken.bus.on(listener(number.into()))));
        hearken.emit(&PLACED);
    });
    #[expect(clippy::cast_precision_loss, reason = "a closure is small")]
    let closure = size_of_val(&listener(0)) as f64;
    heap / f64::from(LISTENERS) - closure
}

fn heap_of_a_bus() -> f64 {
    let mut bus = None;
    bytes(|| bus = Some(Hearken::with_listeners(0)))
}

/// What this asks of the allocator, on this thread, and doesn't give back.
fn bytes(act: impl FnOnce()) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is no petabyte")]
    let bytes = measure(act).bytes_current as f64;
    bytes
}

fn emits<B: Bus>(bus: &B) -> impl FnMut(u32) {
    |calls| (0..calls).for_each(|_| bus.emit(black_box(&PLACED)))
}
