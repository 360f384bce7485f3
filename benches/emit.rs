//! What an emission costs, beside the least it could cost.
//!
//! `cargo bench --bench emit` prints divan's table, then the bars: each a ratio or a figure that hearken means to keep, and
//! whether it was kept in this run. `-- bars` prints the bars alone, any other filter a part of the table alone.
//!
//! | contender | what it is |
//! | --- | --- |
//! | `Unprotected` | a map from the event's type to boxed closures, and nothing else: the fastest a bus of closures can be |
//! | `Protected` | the same, but listeners may change meanwhile: the closures are read through hearken's snapshot cell |
//! | `Hearken` | the bus: order, failures, panics, nesting, causes and all |
//! | `Counted` | the bus with metrics |
//!
//! All get the same event and the same listeners: closures that read it and their own capture.

mod bars;
mod floors;
mod measure;
mod subscribers;

use std::sync::atomic::{AtomicBool, Ordering};

use divan::{Bencher, black_box};
use hearken::{Emitter, Subscription};

use floors::{Protected, Unprotected};
use measure::Random;
use subscribers::Told;

/// The event: small, as most are.
struct Placed {
    order: u64,
}

const PLACED: Placed = Placed { order: 7 };

/// What every listener in this benchmark is, but for its capture.
fn listener(number: u64) -> impl Fn(&Placed) + Send + Sync + 'static {
    move |placed| {
        black_box(placed.order ^ number);
    }
}

/// What can be compared: something with listeners that can be told of an event.
trait Bus: Sync {
    fn with_listeners(listeners: u64) -> Self;
    fn emit(&self, event: &Placed);
}

/// The bus, and what keeps its listeners on it.
struct Hearken {
    bus: Emitter,
    subscriptions: Vec<Subscription>,
}

impl Hearken {
    fn filled(bus: Emitter, listeners: u64) -> Self {
        let subscriptions = (0..listeners).map(|number| bus.on(listener(number))).collect();
        Self { bus, subscriptions }
    }

    /// A listener comes, and goes at once.
    fn on_off_newest(&self) {
        drop(self.bus.on(listener(black_box(0))));
    }

    /// A listener comes, and another goes, whichever it is.
    fn on_off_random(&mut self, random: &mut Random) {
        let index = random.below(self.subscriptions.len());
        self.subscriptions[index] = self.bus.on(listener(black_box(0)));
    }
}

impl Bus for Hearken {
    fn with_listeners(listeners: u64) -> Self {
        Self::filled(Emitter::new(hearken::panic), listeners)
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        self.bus.emit(event);
    }
}

/// The same with metrics.
struct Counted(Hearken);

impl Bus for Counted {
    fn with_listeners(listeners: u64) -> Self {
        Self(Hearken::filled(Emitter::builder().metrics(true).build(hearken::panic), listeners))
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        self.0.emit(event);
    }
}

#[divan::bench(types = [Unprotected, Protected, Hearken, Counted], args = [0, 1, 10, 100, 1_000])]
fn emit<B: Bus>(bencher: Bencher<'_, '_>, listeners: u64) {
    let bus = B::with_listeners(listeners);
    bencher.bench_local(|| bus.emit(black_box(&PLACED)));
}

#[divan::bench(types = [Unprotected, Protected, Hearken, Counted], threads = [1, 2])]
fn emit_from_threads<B: Bus>(bencher: Bencher<'_, '_>) {
    let bus = B::with_listeners(1);
    bencher.bench(|| bus.emit(black_box(&PLACED)));
}

/// What an emission costs more for who is told of it by `tracing`.
#[divan::bench(args = Told::ALL, sample_size = 1_000)]
fn emit_traced(bencher: Bencher<'_, '_>, told: Told) {
    let bus = Hearken::with_listeners(1);
    told.during(|| bencher.bench_local(|| bus.emit(black_box(&PLACED))));
}

/// At 10 listeners, each side of the same struggle: neither may starve.
mod churn {
    use super::{AtomicBool, Bencher, Bus, Hearken, Ordering, PLACED, black_box};

    #[divan::bench]
    fn emit_beside_on_off(bencher: Bencher<'_, '_>) {
        let bus = Hearken::with_listeners(10);
        beside(|| bus.on_off_newest(), || bencher.bench_local(|| bus.emit(black_box(&PLACED))));
    }

    #[divan::bench]
    fn on_off_beside_emit(bencher: Bencher<'_, '_>) {
        let bus = Hearken::with_listeners(10);
        beside(|| bus.emit(black_box(&PLACED)), || bencher.bench_local(|| bus.on_off_newest()));
    }

    /// Runs `measured` while another thread does `other` without a pause.
    fn beside(other: impl Fn() + Sync, measured: impl FnOnce()) {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    other();
                }
            });
            measured();
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

/// A listener comes and a listener goes, among so many.
mod on_off {
    use super::{Bencher, Bus, Hearken, Random};

    #[divan::bench(args = [10, 1_000, 100_000])]
    fn newest(bencher: Bencher<'_, '_>, live: u64) {
        let bus = Hearken::with_listeners(live);
        bencher.bench_local(|| bus.on_off_newest());
    }

    #[divan::bench(args = [10, 1_000, 100_000])]
    fn random(bencher: Bencher<'_, '_>, live: u64) {
        let (mut bus, mut random) = (Hearken::with_listeners(live), Random::new());
        bencher.bench_local(|| bus.on_off_random(&mut random));
    }
}

fn main() {
    divan::main();
    measure::run(bars::print);
}
