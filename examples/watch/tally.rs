//! Counts changes by pattern.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hearken::{Emitter, Subscription};

use crate::events::Change;

/// Every change.
const ALL: &str = "fs.**";

const PATTERNS: [&str; 8] =
    [ALL, "fs.created.*", "fs.modified.*", "fs.removed.*", "fs.renamed.*", "fs.*.rs", "fs.*.txt", "fs.*.none"];

pub(crate) struct Tally {
    rows: Vec<(&'static str, Arc<AtomicU64>)>,
    _hears: Vec<Subscription>,
}

impl Tally {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let rows: Vec<_> = PATTERNS.into_iter().map(|pattern| (pattern, Arc::default())).collect();
        let count = |(pattern, times): &(&'static str, Arc<AtomicU64>)| {
            let changes = bus.topics(pattern).listen::<Change>().named("tally");
            changes.on_weak(times, |times: &AtomicU64, _| {
                times.fetch_add(1, Relaxed);
            })
        };
        let hears = rows.iter().map(count).collect();
        Self { rows, _hears: hears }
    }

    pub(crate) fn all(&self) -> u64 {
        self.rows.iter().filter(|(pattern, _)| *pattern == ALL).map(|(_, times)| times.load(Relaxed)).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32} {:>9}", "hears", "times")?;
        self.rows.iter().try_for_each(|(pattern, times)| writeln!(f, "{pattern:<32} {:>9}", times.load(Relaxed)))
    }
}
