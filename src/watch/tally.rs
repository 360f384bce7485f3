//! What is counted of one listener.

use std::cell::Cell;
use std::panic::Location;
use std::time::Duration;

use crate::clock::Clock;
use crate::info::{Figures, Place, Who};
use crate::raw::shards::Shards;
use crate::sync::{AtomicU64, Mutex, Ordering, thread_cells};
use crate::trace;

/// A listener's figures, and how slow it was.
pub(crate) struct Tally {
    who: Who,
    clock: Clock,
    /// With metrics.
    counts: Option<Shards<Counts>>,
    slow: Option<Slow>,
}

/// What one thread counts. Relaxed: they are numbers, and publish nothing.
#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    failures: AtomicU64,
    nanoseconds: AtomicU64,
}

thread_cells! {
    /// Who runs on this thread, of those that are counted.
    static RUNNING: Cell<Option<Who>> = Cell::new(None);
}

/// In whose run this thread is, if it is in one that is counted.
#[inline]
pub(crate) fn running() -> Option<Who> {
    RUNNING.with(Cell::get)
}

/// A run that has begun.
pub(crate) struct Began {
    at: Duration,
    outer: Option<Who>,
}

/// What came of a listener's run: a call, or a poll of a call's future.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) is_call: bool,
    pub(crate) has_failed: bool,
}

/// What a listener ran for.
pub(crate) struct Heard<'a> {
    pub(crate) event: &'static str,
    pub(crate) topic: Option<&'a str>,
    pub(crate) emitted_at: &'static Location<'static>,
}

struct Slow {
    limit: Duration,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    last: Option<Duration>,
    held_back: u64,
}

/// How long to say nothing more of a listener that was told to be slow.
const PAUSE: Duration = Duration::from_secs(60);

impl Tally {
    pub(crate) fn new(who: Who, clock: Clock, counts: bool, limit: Option<Duration>) -> Self {
        let slow = limit.map(|limit| Slow { limit, told: Mutex::default() });
        Self { who, clock, counts: counts.then(Shards::new), slow }
    }

    /// To be called when a run begins. Between this and the [`end`](Self::end), no panic may pass.
    #[inline]
    pub(crate) fn begin(&self) -> Began {
        Began { at: self.clock.now(), outer: RUNNING.with(|running| running.replace(Some(self.who))) }
    }

    /// Counts a run that has ended. Says who is slow, which runs the user's code.
    #[inline]
    pub(crate) fn end(&self, began: Began, run: Run, heard: &Heard<'_>) {
        RUNNING.with(|running| running.set(began.outer));
        let now = self.clock.now();
        let took = now.saturating_sub(began.at);
        if let Some(counts) = &self.counts {
            counts.mine().add(run, took);
        }
        if let Some(slow) = &self.slow
            && took > slow.limit
        {
            self.tell(slow, now, took, heard);
        }
    }

    #[cold]
    fn tell(&self, slow: &Slow, now: Duration, took: Duration, heard: &Heard<'_>) {
        let Some(held_back) = slow.is_to_be_told(now) else { return };
        let (who, limit) = (self.who, slow.limit);
        let Heard { event, topic, emitted_at } = heard;
        let topic = topic.map(|topic| format!(" at {topic:?}")).unwrap_or_default();
        let held_back = match held_back {
            0 => String::new(),
            1 => "; it was slow once more since that was said last".to_owned(),
            times => format!("; it was slow {times} times more since that was said last"),
        };
        trace::slow(format_args!(
            "{who} took {took:?} for {event}{topic} (emitted at {}), longer than the {limit:?} of `Builder::slow_listener`{held_back}",
            Place(emitted_at),
        ));
    }

    /// None without metrics.
    pub(crate) fn figures(&self) -> Option<Figures> {
        let sum = |which: fn(&Counts) -> &AtomicU64, counts: &Shards<Counts>| {
            counts.all().map(|counts| which(counts).load(Ordering::Relaxed)).sum()
        };
        self.counts.as_ref().map(|counts| Figures {
            calls: sum(|counts| &counts.calls, counts),
            failures: sum(|counts| &counts.failures, counts),
            time: Duration::from_nanos(sum(|counts| &counts.nanoseconds, counts)),
        })
    }
}

impl Counts {
    #[inline]
    fn add(&self, run: Run, took: Duration) {
        if run.is_call {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        if run.has_failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        // What 64 bits hold is 584 years.
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Slow {
    /// Whether to say it now, and how often it was not said since the last time.
    fn is_to_be_told(&self, now: Duration) -> Option<u64> {
        let mut told = self.told.lock();
        if told.last.is_some_and(|last| now.saturating_sub(last) < PAUSE) {
            told.held_back += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.held_back))
    }
}
