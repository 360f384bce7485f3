//! Events that are delivered before the call returns.

mod listens;
mod peers;

use std::time::{Duration, Instant};

use allocation_counter::measure;
use divan::black_box;

use crate::floors::{Protected, Unprotected};
use crate::harness::{HEARKEN, Who, case};
use crate::measure::{Random, all_in_turns, at_once, rounds};
use listens::{Filled, Listens, Shared};
use peers::{Bevy, Broadcast, Evenio, Hearken, LocalSubject, ModEvents, SharedSubject, Signals2, Threads, channels};

pub(crate) use listens::Bus;
pub(crate) use peers::{PLACED, Placed, listener};

const UNPROTECTED: Who = Who::new("floor: a map of boxed closures", "listeners can't come or go");
const PROTECTED: Who = Who::new(
    "floor: the same behind arc-swap",
    "listeners can't come or go while it emits; no order, depth, causes, panics",
);
const SIGNALS2: Who = Who::new("signals2", "copies the event for each listener; a panic stops the others");
const MOD_EVENTS: Who =
    Who::new("mod-events", "needs `Debug` events by value; no topics, depth, causes; failures are returned or lost");
const BEVY: Who = Who::new(
    "bevy_ecs observers",
    "one thread (`&mut World`); no order; what a listener triggers comes after; a panic stops the others",
);
const EVENIO: Who =
    Who::new("evenio", "one thread (`&mut World`); what a listener sends comes after; a panic stops the others");
const LOCAL: Who = Who::new("rxrust, local", "one thread; emitting within panics; copies the event for each listener");
const SHARED: Who =
    Who::new("rxrust, shared", "emitting within, or from two threads at once, panics; copies the event");
const THREADS: Who =
    Who::new("event-emitter-rs", "starts a thread for each listener; no order; copies through bytes; here joined");
const BROADCAST: Who =
    Who::new("tokio broadcast, polled", "no listeners: receivers poll; the slow ones lose events; copies the event");
const CROSSBEAM: Who =
    Who::new("crossbeam-channel for each, polled", "no listeners: receivers poll; the sender knows them all");
const FLUME: Who = Who::new("flume for each, polled", "no listeners: receivers poll; the sender knows them all");

/// Emits so many times. It owns what it emits on.
type Emits = Box<dyn FnMut(u32)>;

struct Emitter {
    who: Who,
    with: fn(u64) -> Emits,
    /// With how many listeners it can be measured, in time that means something.
    can: fn(u64) -> bool,
}

const fn emitter(who: Who, with: fn(u64) -> Emits) -> Emitter {
    Emitter { who, with, can: |_| true }
}

const EMITTERS: [Emitter; 13] = [
    emitter(UNPROTECTED, shared::<Unprotected>),
    emitter(PROTECTED, shared::<Protected>),
    emitter(HEARKEN, shared::<Filled<Hearken>>),
    emitter(MOD_EVENTS, shared::<Filled<ModEvents>>),
    emitter(SIGNALS2, shared::<Filled<Signals2>>),
    emitter(SHARED, alone::<SharedSubject>),
    emitter(LOCAL, alone::<LocalSubject>),
    emitter(BEVY, alone::<Bevy>),
    emitter(EVENIO, alone::<Evenio>),
    emitter(BROADCAST, alone::<Broadcast>),
    Emitter { can: |listeners| listeners > 0, ..emitter(CROSSBEAM, crossbeams) },
    Emitter { can: |listeners| listeners > 0, ..emitter(FLUME, flumes) },
    Emitter { can: |listeners| listeners <= 10, ..emitter(THREADS, alone::<Threads>) },
];

fn shared<B: Bus + 'static>(listeners: u64) -> Emits {
    let bus = B::with_listeners(listeners);
    Box::new(move |calls| (0..calls).for_each(|_| bus.emit(black_box(&PLACED))))
}

fn alone<P: Listens + 'static>(listeners: u64) -> Emits {
    let mut peer = Filled::<P>::with(listeners);
    Box::new(move |calls| (0..calls).for_each(|_| peer.emit(black_box(&PLACED))))
}

fn crossbeams(listeners: u64) -> Emits {
    channels(listeners, crossbeam_channel::unbounded, |to, event| _ = to.send(event), |from| from.try_recv().ok())
}

fn flumes(listeners: u64) -> Emits {
    channels(listeners, flume::unbounded, |to, event| _ = to.send(event), |from| from.try_recv().ok())
}

pub(crate) fn emit() {
    for listeners in [0, 1, 10, 100, 1_000] {
        let can: Vec<_> = EMITTERS.iter().filter(|emitter| (emitter.can)(listeners)).collect();
        let rounds = rounds(|| {
            let mut emits: Vec<_> = can.iter().map(|emitter| (emitter.with)(listeners)).collect();
            all_in_turns(&mut emits.iter_mut().map(|emits| &mut **emits as _).collect::<Vec<_>>())
        });
        let who: Vec<_> = can.iter().map(|emitter| emitter.who).collect();
        case(&format!("{listeners} listeners"), "ns", &who, rounds);
    }
}

pub(crate) fn threads() {
    let who = [UNPROTECTED, PROTECTED, HEARKEN, MOD_EVENTS, SIGNALS2];
    let rounds = rounds(|| {
        [
            scaling::<Unprotected>(),
            scaling::<Protected>(),
            scaling::<Filled<Hearken>>(),
            scaling::<Filled<ModEvents>>(),
            scaling::<Filled<Signals2>>(),
        ]
    });
    case("one thread", "ns", &who, rounds.map(|round| round.map(|(one, _)| one).to_vec()));
    case("each of two", "ns", &who, rounds.map(|round| round.map(|(_, two)| two).to_vec()));
    case("throughput of two to one", "x", &who, rounds.map(|round| round.map(|(one, two)| 2.0 * one / two).to_vec()));
}

/// Nanoseconds an emission takes on one thread alone, and on each of two.
fn scaling<B: Bus>() -> (f64, f64) {
    let bus = B::with_listeners(1);
    let emits = || |calls| (0..calls).for_each(|_| bus.emit(black_box(&PLACED)));
    let [alone] = at_once([&mut emits()]);
    let [first, second] = at_once([&mut emits(), &mut emits()]);
    (alone, 2.0 / (1.0 / first + 1.0 / second))
}

pub(crate) fn churn() {
    let who = [HEARKEN, MOD_EVENTS, SIGNALS2];
    let rounds = rounds(|| [beside::<Hearken>(), beside::<ModEvents>(), beside::<Signals2>()]);
    case("emission", "ns", &who, rounds.map(|round| round.map(|[emission, _]| emission).to_vec()));
    case("on + off meanwhile", "ns", &who, rounds.map(|round| round.map(|[_, on_off]| on_off).to_vec()));
}

fn beside<P: Shared>() -> [f64; 2] {
    let bus = Filled::<P>::with(10);
    at_once([&mut |calls| (0..calls).for_each(|_| bus.tell(black_box(&PLACED))), &mut |calls| {
        (0..calls).for_each(|_| bus.come_and_go())
    }])
}

/// A listener comes and one goes, so many times, among so many; `None` where filling takes too long.
struct OnOff {
    who: Who,
    newest: Fill,
    random: Fill,
}

type Fill = fn(u64) -> Option<Emits>;

const fn on_off<P: Listens + 'static>(who: Who) -> OnOff {
    OnOff { who, newest: newest_of::<P>, random: random_of::<P> }
}

const ON_OFFS: [OnOff; 9] = [
    on_off::<Hearken>(HEARKEN),
    on_off::<ModEvents>(MOD_EVENTS),
    on_off::<Signals2>(SIGNALS2),
    on_off::<SharedSubject>(SHARED),
    on_off::<LocalSubject>(LOCAL),
    on_off::<Bevy>(BEVY),
    on_off::<Evenio>(EVENIO),
    on_off::<Broadcast>(BROADCAST),
    on_off::<Threads>(THREADS),
];

fn newest_of<P: Listens + 'static>(live: u64) -> Option<Emits> {
    let mut peer = Filled::<P>::within(live, PATIENCE)?;
    Some(Box::new(move |calls| (0..calls).for_each(|_| peer.on_off_newest())))
}

fn random_of<P: Listens + 'static>(live: u64) -> Option<Emits> {
    let (mut peer, mut random) = (Filled::<P>::within(live, PATIENCE)?, Random::new());
    // As it is after a long life, not as it was filled in order; where that takes long, after a shorter one.
    let start = Instant::now();
    for _ in 0..2 * live {
        peer.on_off_random(&mut random);
        if start.elapsed() > PATIENCE {
            break;
        }
    }
    Some(Box::new(move |calls| (0..calls).for_each(|_| peer.on_off_random(&mut random))))
}

const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn newest() {
    on_offs(|peer| peer.newest);
}

pub(crate) fn random() {
    on_offs(|peer| peer.random);
}

fn on_offs(of: fn(&OnOff) -> Fill) {
    for live in [10, 1_000, 100_000] {
        // Filled once: nine times would take minutes.
        let filled = ON_OFFS.iter().filter_map(|peer| Some((peer.who, of(peer)(live)?)));
        let (who, mut acts): (Vec<_>, Vec<_>) = filled.unzip();
        let rounds = rounds(|| all_in_turns(&mut acts.iter_mut().map(|act| &mut **act as _).collect::<Vec<_>>()));
        case(&format!("{live} live"), "ns", &who, rounds);
    }
}

/// Bytes of a bus without listeners, and of each listener beside its closure.
pub(crate) fn heap() {
    let who = [HEARKEN, MOD_EVENTS, SIGNALS2, SHARED, LOCAL, BEVY, EVENIO, THREADS];
    let rounds = rounds(|| {
        [
            heap_of::<Hearken>(),
            heap_of::<ModEvents>(),
            heap_of::<Signals2>(),
            heap_of::<SharedSubject>(),
            heap_of::<LocalSubject>(),
            heap_of::<Bevy>(),
            heap_of::<Evenio>(),
            heap_of::<Threads>(),
        ]
    });
    case("empty", "bytes", &who, rounds.map(|round| round.map(|[empty, _]| empty).to_vec()));
    case(
        "a listener, beside its closure",
        "bytes",
        &who,
        rounds.map(|round| round.map(|[_, listener]| listener).to_vec()),
    );
}

fn heap_of<P: Listens>() -> [f64; 2] {
    const LISTENERS: u32 = 1_000;
    let (mut peer, mut kept) = (None, Vec::with_capacity(LISTENERS as usize));
    let empty = bytes(|| peer = Some(P::empty()));
    let Some(peer) = &mut peer else { return [f64::NAN; 2] };
    let filled = bytes(|| {
        kept.extend((0..LISTENERS).map(|number| peer.on(number.into())));
        if P::EMITS_HERE {
            peer.emit(&PLACED, &mut kept);
        }
    });
    [empty, filled / f64::from(LISTENERS) - size_of_val(&listener(0)) as f64]
}

/// What this asks of the allocator, on this thread, and doesn't give back.
pub(crate) fn bytes(act: impl FnOnce()) -> f64 {
    measure(act).bytes_current as f64
}
