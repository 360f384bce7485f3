//! How the benchmarks measure what divan's table can't say: ratios and figures that are each formed inside one round of a run, with a bar
//! for where they should be.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use Bar::{AtLeast, AtMost, Nowhere};

pub(crate) const ROUNDS: usize = 9;

/// Where a figure should be.
#[allow(dead_code, reason = "not every benchmark has bars of each kind")]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// It is there to judge another by.
    Nowhere,
}

/// The bars, if they are what the filter among the arguments asks for: divan's own, whose table comes before.
#[allow(dead_code, reason = "who judges what is measured has no bars")]
pub(crate) fn run(print_bars: impl FnOnce()) {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    // `cargo test` runs this too, without `--bench`, to see that it runs.
    let is_measuring = has("--bench") && !has("--test") && !has("--list");
    if is_measuring && filter.is_none_or(|filter| filter == "bars") {
        println!("\nbars: the median of {ROUNDS} rounds (lowest to highest)\n");
        print_bars();
    }
}

pub(crate) fn row(what: &str, rounds: [f64; ROUNDS], unit: &str, bar: Bar) {
    let (figure, lowest, highest) =
        (median(rounds), rounds.into_iter().fold(f64::INFINITY, f64::min), rounds.into_iter().fold(0.0, f64::max));
    let digits = if unit == "x" { 2 } else { 0 };
    print!("{what:<48} {figure:>8.digits$} {unit:<5} {:<18}", format!("({lowest:.digits$} to {highest:.digits$})"));
    let (words, limit, is_met) = match bar {
        AtMost(limit) => ("at most", limit, figure <= limit),
        AtLeast(limit) => ("at least", limit, figure >= limit),
        Nowhere => return println!(),
    };
    println!("{words:>8} {limit:<6} {}", if is_met { "met" } else { "MISSED" });
}

/// Nanoseconds a call of each, from short batches that take turns: what else the machine does meets all alike, and the
/// median leaves out the batches it interrupts.
pub(crate) fn in_turns<const N: usize>(mut contenders: [&mut dyn FnMut(u32); N]) -> [f64; N] {
    let mut figures = all_in_turns(&mut contenders).into_iter();
    [(); N].map(|()| figures.next().unwrap_or(f64::NAN))
}

/// The same, however many there are.
pub(crate) fn all_in_turns(contenders: &mut [&mut dyn FnMut(u32)]) -> Vec<f64> {
    const TURNS: usize = 15;
    const BATCH: Duration = Duration::from_micros(250);

    let calls = contenders.iter_mut().map(|contender| {
        let mut calls = 1;
        while time(contender, calls) < BATCH {
            calls *= 2;
        }
        calls
    });
    let calls: Vec<_> = calls.collect();
    let mut batches = vec![[0.0; TURNS]; contenders.len()];
    for turn in 0..TURNS {
        for ((contender, &calls), batches) in contenders.iter_mut().zip(&calls).zip(&mut batches) {
            batches[turn] = nanoseconds(time(contender, calls)) / f64::from(calls);
        }
    }
    batches.into_iter().map(median).collect()
}

/// Does a thing so many times. The loop is its own, so that nothing but the thing is inside.
pub(crate) type Calls<'a> = &'a mut (dyn FnMut(u32) + Send);

/// Nanoseconds a call of each on average, while all run, each on a thread.
#[allow(dead_code, reason = "not every benchmark has threads")]
pub(crate) fn at_once<const N: usize>(contenders: [Calls<'_>; N]) -> [f64; N] {
    const TIME: Duration = Duration::from_millis(50);
    const BATCH: u32 = 64;

    let (begin, is_over) = (Barrier::new(N + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let threads = contenders.map(|contender| {
            let (begin, is_over) = (&begin, &is_over);
            scope.spawn(move || {
                contender(BATCH);
                begin.wait();
                let (mut calls, start) = (0, Instant::now());
                while !is_over.load(Ordering::Relaxed) {
                    contender(BATCH);
                    calls += BATCH;
                }
                nanoseconds(start.elapsed()) / f64::from(calls)
            })
        });
        begin.wait();
        thread::sleep(TIME);
        is_over.store(true, Ordering::Relaxed);
        threads.map(|thread| thread.join().unwrap_or(f64::NAN))
    })
}

pub(crate) fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

pub(crate) fn rounds<R>(mut round: impl FnMut() -> R) -> [R; ROUNDS] {
    [(); ROUNDS].map(|()| round())
}

fn time(contender: &mut dyn FnMut(u32), calls: u32) -> Duration {
    let start = Instant::now();
    contender(calls);
    start.elapsed()
}

pub(crate) fn median<const N: usize>(mut figures: [f64; N]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[N / 2]
}

/// Marsaglia's xorshift: cheap beside what it picks for.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        #[expect(clippy::cast_possible_truncation, reason = "any of its bits will do")]
        let random = self.0 as usize;
        random % end
    }
}
