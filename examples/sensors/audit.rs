//! Accounts for every line, whoever listens or doesn't.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hearken::{Cause, Emitter, Failure, Subscription};

use crate::events::{BadLine, Line, NoReading, Reading};

/// Whatever is emitted on a topic.
const TRAIL: &str = "**";

#[derive(Default)]
pub(crate) struct Audit {
    lines: AtomicU64,
    no_readings: AtomicU64,
    malformed: AtomicU64,
    readings: AtomicU64,
    /// The readings among them that no listener wanted.
    unheard: AtomicU64,
    /// Events of all types that were emitted on a topic.
    trail: AtomicU64,
}

impl Audit {
    pub(crate) fn listen(self: &Arc<Self>, bus: &Emitter) -> Vec<Subscription> {
        // Of every type: who listens to these doesn't count as hearing, so an audit makes no event a heard one.
        let everything = bus.topics(TRAIL).on_any({
            let audit = Arc::clone(self);
            move |event| {
                add_one(&audit.trail);
                if event.downcast_ref::<Reading>().is_some() {
                    add_one(&audit.readings);
                }
            }
        });
        let strays = bus.on_unheard({
            let audit = Arc::clone(self);
            move |event| {
                if event.downcast_ref::<Reading>().is_some() {
                    add_one(&audit.unheard);
                }
            }
        });
        vec![
            // First, so that a line counts whatever its intake comes to.
            bus.listen::<Line>().priority(i32::MAX).on_weak(self, |audit, _| add_one(&audit.lines)),
            bus.listen::<NoReading>().on_weak(self, |audit, _| add_one(&audit.no_readings)),
            everything,
            strays,
        ]
    }

    /// The bus's error channel.
    pub(crate) fn failed(&self, failure: &Failure) {
        let error = if let Cause::Error(error) = failure.cause() { error.downcast_ref::<BadLine>() } else { None };
        match error {
            Some(bad_line) => {
                add_one(&self.malformed);
                tell(bad_line);
            }
            // A bug in a listener: then it matters which one.
            None => tell(failure),
        }
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Relaxed)
    }
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Relaxed);
}

/// Writes a line to stderr, in one go. If nobody reads it, nobody wants it.
pub(crate) fn tell(text: &dyn fmt::Display) {
    let mut line = String::new();
    // What comes from outside must neither break the line nor command the terminal.
    for c in text.to_string().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line.push('\n');
    let _ = io::stderr().write_all(line.as_bytes());
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, no_readings, malformed, readings, unheard, trail } = self;
        let [lines, no_readings, malformed, readings, unheard, trail] =
            [lines, no_readings, malformed, readings, unheard, trail].map(|count| count.load(Relaxed));
        writeln!(f, "{:<14} {TRAIL:<32} {trail:>9}\n", "audit trail")?;

        let mut row = |label: &str, count: &dyn fmt::Display| writeln!(f, "{label:<47} {count:>9}");
        row("lines read", &lines)?;
        row("  readings", &readings)?;
        row("  malformed", &malformed)?;
        row("  blank or header", &no_readings)?;
        // Counted apart, so that a line that a listener lost, or took in twice, shows.
        let known = i128::from(readings) + i128::from(malformed) + i128::from(no_readings);
        row("  unaccounted for", &(i128::from(lines) - known))?;
        row("readings that nobody heard", &unheard)
    }
}
