//! What somebody heard on a pattern, in figures: a row of the table.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Of the table that the rows are in.
pub(crate) const TITLE: &str =
    "who            hears                                times    lowest      mean   highest";

pub(crate) struct Tally {
    who: &'static str,
    pattern: &'static str,
    figures: Mutex<Figures>,
}

#[derive(Clone, Copy, Default)]
struct Figures {
    times: u64,
    lowest: f64,
    mean: f64,
    highest: f64,
}

impl Tally {
    pub(crate) fn new(who: &'static str, pattern: &'static str) -> Arc<Self> {
        Arc::new(Self { who, pattern, figures: Mutex::default() })
    }

    pub(crate) fn add(&self, value: f64) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        if figures.times == 0 {
            *figures = Figures { times: 0, lowest: value, mean: value, highest: value };
        }
        figures.times += 1;
        figures.lowest = figures.lowest.min(value);
        figures.highest = figures.highest.max(value);
        // Step by step: a sum of many would lose what a single one adds.
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 readings")]
        let share = 1.0 / figures.times as f64;
        figures.mean += (value - figures.mean) * share;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, pattern, figures } = self;
        let Figures { times, lowest, mean, highest } = *figures.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "{who:<14} {pattern:<32} {times:>9}")?;
        if times > 0 {
            for figure in [lowest, mean, highest] {
                // Nothing is so long that it would break the table.
                if figure.abs() < 1e6 { write!(f, "{figure:>10.1}")? } else { write!(f, "{figure:>10.1e}")? }
            }
        }
        writeln!(f)
    }
}
