//! Four threads do everything at once, and in the end every call, failure, closure and byte is accounted for.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::{panic, thread};

use allocation_counter::measure;
use hearken::{Emission, Emitter, Subscription};

const THREADS: usize = 4;
/// Of each thread, in each round.
const STEPS: usize = 5_000;

#[derive(Default)]
struct Counts {
    /// By the emissions' reports.
    heard: AtomicUsize,
    failed: AtomicUsize,
    /// By the listeners, and by the error channel.
    called: AtomicUsize,
    reported: AtomicUsize,
    /// Closures.
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Counts {
    fn note(&self, emission: Emission) {
        self.heard.fetch_add(emission.heard, Relaxed);
        self.failed.fetch_add(emission.failed, Relaxed);
    }

    fn check(&self) {
        let counts = |pair: [&AtomicUsize; 2]| pair.map(|count| count.load(Relaxed));
        let [heard, called] = counts([&self.heard, &self.called]);
        assert_eq!(heard, called, "as many were called as the emissions report");
        let [failed, reported] = counts([&self.failed, &self.reported]);
        assert_eq!(failed, reported, "as many failures came to the error channel as the emissions report");
        let [made, dropped] = counts([&self.made, &self.dropped]);
        assert_eq!(made, dropped, "every closure was dropped, once");
        assert!(called > STEPS && reported > STEPS / 10 && made > STEPS / 2, "it was busy");
    }
}

/// What each listener captures.
struct Captured(Arc<Counts>);

impl Captured {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.made.fetch_add(1, Relaxed);
        Self(Arc::clone(counts))
    }

    fn count(&self) {
        self.0.called.fetch_add(1, Relaxed);
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }
}

struct Even(u64);
struct Odd(u64);

/// Numbers that look random, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}

/// Some listener: one that is quiet, fails, panics, speaks, comes and goes by itself, or removes another.
fn listen(bus: &Emitter, counts: &Arc<Counts>, numbers: &mut Numbers) -> Subscription {
    let captured = Captured::new(counts);
    match numbers.below(8) {
        0 => bus.on(move |_: &Even| {
            captured.count();
            Err::<(), _>("on purpose".into())
        }),
        1 => bus.on(move |_: &Odd| {
            captured.count();
            panic::resume_unwind(Box::new("on purpose"))
        }),
        2 => bus.once(move |_: &Even| captured.count()),
        3 => bus.listen::<Odd>().times(3).on(move |_| captured.count()),
        4 => bus.listen::<Even>().priority(1).filter(|even| even.0 % 4 == 0).on(move |_| captured.count()),
        // Any-listeners aren't counted as hearing, so they don't count their calls.
        5 => bus.on_any(move |_| {
            let _ = &captured;
        }),
        6 => bus.on_with(move |odd: &Odd, cx| {
            captured.count();
            captured.0.note(cx.emitter().emit(&Even(odd.0 - 1)));
        }),
        _ => bus.on(move |_: &Odd| captured.count()),
    }
}

fn work(bus: &Emitter, counts: &Arc<Counts>, seed: u64) {
    let mut numbers = Numbers(seed);
    let mut kept = Vec::new();
    for _ in 0..STEPS {
        match numbers.below(10) {
            0..3 if kept.len() < 40 => kept.push(listen(bus, counts, &mut numbers)),
            3 if !kept.is_empty() => drop(kept.swap_remove(numbers.index(kept.len()))),
            4 if !kept.is_empty() => {
                kept.swap_remove(numbers.index(kept.len())).off();
            }
            5 if !kept.is_empty() => {
                let id = kept.swap_remove(numbers.index(kept.len())).detach();
                bus.off(id);
            }
            6 if !kept.is_empty() => {
                let paused = &kept[numbers.index(kept.len())];
                paused.pause();
                if numbers.below(4) != 0 {
                    paused.resume();
                }
            }
            7 if !kept.is_empty() => {
                let waited = kept.swap_remove(numbers.index(kept.len())).off_and_wait();
                assert_eq!(waited, Ok(()), "no emission is under way on this thread");
            }
            n if n % 2 == 0 => counts.note(bus.emit(&Even(n))),
            n => counts.note(bus.emit(&Odd(n))),
        }
    }
}

/// A bus that counts its failures.
fn bus() -> (Arc<Counts>, Emitter) {
    let counts = Arc::new(Counts::default());
    let bus = Emitter::new({
        let counts = Arc::clone(&counts);
        move |_| {
            counts.reported.fetch_add(1, Relaxed);
        }
    });
    (counts, bus)
}

/// A bus at work, and the bytes that are left of it on all threads.
struct Round {
    counts: Arc<Counts>,
    bus: Emitter,
    bytes_left: AtomicI64,
}

impl Round {
    fn begin() -> Self {
        let mut made = None;
        let making = measure(|| made = Some(bus()));
        let (counts, bus) = made.unwrap();
        Self { counts, bus, bytes_left: making.bytes_current.into() }
    }

    fn work(&self, seed: usize) {
        let working = measure(|| work(&self.bus, &self.counts, seed as u64));
        self.bytes_left.fetch_add(working.bytes_current, Relaxed);
    }

    fn end(self) -> i64 {
        let Self { counts, bus, bytes_left } = self;
        let leaving = measure(|| {
            assert_eq!(bus.suppressed_failures(), 0);
            drop(bus);
            counts.check();
            drop(counts);
        });
        bytes_left.into_inner() + leaving.bytes_current
    }
}

#[test]
fn everything_at_once_loses_no_call_no_failure_no_closure_and_no_byte() {
    let rounds: Vec<_> = (0..6).map(|_| Round::begin()).collect();
    let all_here = Barrier::new(THREADS);
    thread::scope(|scope| {
        for n in 0..THREADS {
            let (rounds, all_here) = (&rounds, &all_here);
            scope.spawn(move || {
                for (nth, round) in rounds.iter().enumerate() {
                    all_here.wait();
                    round.work(nth * THREADS + n);
                }
            });
        }
    });
    let bytes_left: Vec<_> = rounds.into_iter().map(Round::end).collect();
    // Early rounds pay for what the process makes once: a thread's place among the readers of snapshots, and the table of
    // threads that wait for locks, which grows when more of them do. A leak would show in every round.
    let clean = bytes_left.iter().filter(|&&bytes| bytes == 0).count();
    assert!(clean >= 2, "the heap is not back to where it began: {bytes_left:?}");
}
