//! Whether threads that emit at once leave one another alone: what two get done, to what one does.
//!
//! Two threads meet before every batch, so that both are known to run when it begins, and it has ended when both are done. A busy
//! machine takes a core away, or lets somebody else run on the other half of it: that makes some batches slow, and a word
//! that both write makes all of them slow. So what counts is a fast one.

use std::error::Error;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hearken::{Emitter, Subscription};

use crate::floors::Unprotected;
use crate::measure::{ROUNDS, median, nanoseconds};
use crate::{Bus, PLACED, Placed, listener};

/// What two threads are to get done, to what one does.
const AT_LEAST: f64 = 1.7;
/// What two that share nothing have to get done before others are judged: two cores may be the halves of one for a while.
const OF_THE_FLOOR: f64 = 1.8;

const ATTEMPTS: usize = 3;
const BATCHES: usize = 50;
/// How long a batch is, at least: in shorter ones, who waits for a lock may have luck.
const BATCH: Duration = Duration::from_micros(50);
/// How far apart two batches may begin that run side by side.
const APART: Duration = Duration::from_micros(2);
/// How long to wait for the machine to run two threads at once.
const PATIENCE: Duration = Duration::from_secs(90);

/// The floor, and a word that every emission writes: what hearken must not become.
struct Written {
    floor: Unprotected,
    emissions: AtomicU64,
}

impl Bus for Written {
    fn with_listeners(count: u64) -> Self {
        Self { floor: Unprotected::with_listeners(count), emissions: AtomicU64::new(0) }
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        self.emissions.fetch_add(1, Ordering::Relaxed);
        self.floor.emit(event);
    }
}

/// The bus, and what keeps its listeners on it.
struct Hearken {
    bus: Emitter,
    _subscriptions: Vec<Subscription>,
}

impl Hearken {
    fn filled(bus: Emitter, count: u64) -> Self {
        let subscriptions = (0..count).map(|number| bus.on(listener(number))).collect();
        Self { bus, _subscriptions: subscriptions }
    }
}

impl Bus for Hearken {
    fn with_listeners(count: u64) -> Self {
        Self::filled(Emitter::new(hearken::panic), count)
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        self.bus.emit(event);
    }
}

/// The same with metrics.
struct Counted(Hearken);

impl Bus for Counted {
    fn with_listeners(count: u64) -> Self {
        Self(Hearken::filled(Emitter::builder().metrics(true).build(hearken::panic), count))
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        self.0.emit(event);
    }
}

/// On a topic, which a pattern matches.
struct OnTopic(Hearken);

impl Bus for OnTopic {
    fn with_listeners(count: u64) -> Self {
        let bus = Emitter::new(hearken::panic);
        let subscriptions = (0..count).map(|number| bus.topics("order.*").on(listener(number))).collect();
        Self(Hearken { bus, _subscriptions: subscriptions })
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        self.0.bus.topic(black_box("order.placed")).emit(event);
    }
}

/// What two threads got done, to what one did; nothing if they didn't run at once before it was too late.
type Scaling = fn(Instant) -> Option<f64>;

/// In this order, what explains the rest first.
const ALL: [(&str, Scaling); 5] = [
    ("the floor, which shares nothing", scaling::<Unprotected>),
    ("the floor, and one word that all write", scaling::<Written>),
    ("emit", scaling::<Hearken>),
    ("emit on a topic", scaling::<OnTopic>),
    ("emit with metrics", scaling::<Counted>),
];

/// Who writes what threads share fails every time; who doesn't may have met a machine that had no time.
pub(crate) fn judge() -> Result<(), Box<dyn Error>> {
    println!("\ntwo threads at once, to one: the median of {ROUNDS} rounds (lowest to highest)");
    let deadline = Instant::now() + PATIENCE;
    let mut verdict = None;
    for _ in 0..ATTEMPTS {
        let Some(rounds) = attempt(deadline) else { break };
        let judged = judge_rounds(&rounds);
        let is_well = judged.is_ok();
        verdict = Some(judged);
        if is_well {
            break;
        }
    }
    if verdict.is_none() {
        // What a machine can't do says nothing of the bus, and its instructions are counted all the same.
        println!(
            "NOT JUDGED: in {} s there were not {ROUNDS} rounds in which two threads ran at once, and two that share nothing got \
             {OF_THE_FLOOR} x as much done as one. That takes two whole cores, now and then",
            PATIENCE.as_secs()
        );
    }
    Ok(verdict.unwrap_or(Ok(()))?)
}

type Rounds = [[f64; ROUNDS]; ALL.len()];

fn attempt(deadline: Instant) -> Option<Rounds> {
    let mut rounds = [[0.0; ROUNDS]; ALL.len()];
    let mut round = 0;
    while round < ROUNDS {
        for ((_, scaling), rounds) in ALL.iter().zip(&mut rounds) {
            rounds[round] = scaling(deadline)?;
        }
        // Before the others, and behind them.
        if rounds[0][round] >= OF_THE_FLOOR && scaling::<Unprotected>(deadline)? >= OF_THE_FLOOR {
            round += 1;
        }
    }
    Some(rounds)
}

fn judge_rounds(rounds: &Rounds) -> Result<(), String> {
    println!();
    for ((name, _), &rounds) in ALL.iter().zip(rounds) {
        let lowest = rounds.into_iter().fold(f64::INFINITY, f64::min);
        let highest = rounds.into_iter().fold(0.0, f64::max);
        println!("{name:<40} {:>6.2} x   ({lowest:.2} to {highest:.2})", median(rounds));
    }
    let [floor, written, judged @ ..] = rounds.map(median);
    if written >= AT_LEAST {
        return Err(format!(
            "two threads can't be judged here: two that write one word got {written:.2} x as much done as one, and must have been in \
             one another's way"
        ));
    }
    let wrong = ALL[2..].iter().zip(judged).filter(|&(_, judged)| judged < AT_LEAST).map(|((name, _), judged)| {
        format!(
            "{name}: two threads got {judged:.2} x as much done as one, and at least {AT_LEAST} x is asked for: they write something that both \
             use, as a lock, a counter or a clone of an `Arc` does. Two that share nothing got {floor:.2} x in the same rounds, two that \
             write one word {written:.2} x"
        )
    });
    match wrong.collect::<Vec<_>>() {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(wrong.join("\n")),
    }
}

/// To one listener.
fn scaling<B: Bus>(deadline: Instant) -> Option<f64> {
    let bus = B::with_listeners(1);
    let emits = |times| (0..times).for_each(|_| bus.emit(black_box(&PLACED)));
    let mut times = 1;
    while (0..5).any(|_| Batch::of(&|| emits(times)).time() < BATCH) {
        times *= 2;
    }
    // The same code for all.
    let batch: &(dyn Fn() + Sync) = &|| emits(times);
    let mut alone: Vec<_> = (0..BATCHES).map(|_| Batch::of(batch).time()).collect();
    let mut beside = Vec::new();
    while beside.len() < BATCHES {
        if Instant::now() > deadline {
            return None;
        }
        beside.extend(side_by_side(batch));
    }
    Some(2.0 * fast(&mut alone) / fast(&mut beside))
}

/// When it began and when it ended.
struct Batch(Instant, Instant);

impl Batch {
    fn of(act: &dyn Fn()) -> Self {
        let start = Instant::now();
        act();
        Self(start, Instant::now())
    }

    fn time(&self) -> Duration {
        self.1 - self.0
    }
}

/// How long two threads took for batches that began at once, until the later one was done.
fn side_by_side(act: &(dyn Fn() + Sync)) -> impl Iterator<Item = Duration> {
    let arrivals = AtomicUsize::new(0);
    let batches = || {
        let batch = |turn| {
            arrivals.fetch_add(1, Ordering::Relaxed);
            while arrivals.load(Ordering::Relaxed) < 2 * turn {
                spin_loop();
            }
            Batch::of(act)
        };
        (1..=BATCHES).map(batch).collect::<Vec<_>>()
    };
    let (ones, others) = thread::scope(|scope| {
        let other = scope.spawn(batches);
        (batches(), other.join().unwrap_or_default())
    });
    let pairs = ones.into_iter().zip(others);
    let at_once = pairs.filter(|(one, other)| one.0.max(other.0) - one.0.min(other.0) < APART);
    at_once.map(|(one, other)| one.1.max(other.1) - one.0.min(other.0))
}

/// Nine of ten took longer.
fn fast(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    nanoseconds(times[times.len() / 10])
}
