//! What became of every line: failures as they come, and the summary.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::iter;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use hearken::{Cause, DeadLetter, Emitter, Failure, Subscription};
use indicatif::ProgressBar;

use crate::events::{BlankLine, Line, MailSent, Mishap, OrderRefused, OrderShipped};

/// What can become of a line. Each line has one fate, and each fate a row.
#[derive(Clone, Copy)]
enum Fate {
    Shipped,
    Refused,
    Declined,
    /// The provider answered no attempt: a person has to look.
    Pending,
    UnknownProduct,
    Malformed,
    NotUtf8,
    Blank,
}

const ROWS: [(Fate, &str); 8] = [
    (Fate::Shipped, "shipped"),
    (Fate::Refused, "out of stock"),
    (Fate::Declined, "card declined"),
    (Fate::Pending, "payment pending"),
    (Fate::UnknownProduct, "unknown product"),
    (Fate::Malformed, "malformed"),
    (Fate::NotUtf8, "not UTF-8"),
    (Fate::Blank, "blank"),
];

pub(crate) struct Report {
    progress: ProgressBar,
    /// The number of the line that is on the bus, and at the end of the last one.
    line: AtomicU64,
    fates: [AtomicU64; ROWS.len()],
    mails: AtomicU64,
    /// Failures that are no line's fate, by kind and listener. An order that meets one may go its way all the same.
    bugs: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Report {
    pub(crate) fn new(progress: ProgressBar) -> Self {
        Self {
            progress,
            line: AtomicU64::default(),
            fates: Default::default(),
            mails: AtomicU64::default(),
            bugs: Mutex::default(),
        }
    }

    pub(crate) fn listen(self: &Arc<Self>, bus: &Emitter) -> Vec<Subscription> {
        vec![
            // Before everybody else, so that whatever fails can be told with its line.
            bus.listen::<Line>().named("report").priority(i32::MAX).on_weak(self, |report, line| {
                report.line.store(line.number, Relaxed);
            }),
            bus.listen::<OrderShipped>().named("report").on_weak(self, |report, _| report.count(Fate::Shipped)),
            bus.listen::<OrderRefused>().named("report").on_weak(self, |report, _| report.count(Fate::Refused)),
            bus.listen::<BlankLine>().named("report").on_weak(self, |report, _| report.count(Fate::Blank)),
            bus.listen::<MailSent>().named("report").on_weak(self, |report, _| {
                report.mails.fetch_add(1, Relaxed);
            }),
        ]
    }

    /// The bus's error channel.
    pub(crate) fn failed(&self, failure: &Failure) {
        match fate(failure) {
            Some(fate) => self.count(fate),
            None => self.count_bug(failure),
        }
        let when = self.when();
        self.progress.suspend(|| tell(&format!("{when}: {failure}")));
    }

    /// How many lines were read.
    pub(crate) fn lines(&self) -> u64 {
        self.line.load(Relaxed)
    }

    /// All lines are read. Makes room for the summary.
    pub(crate) fn close(&self) {
        self.progress.finish_and_clear();
    }

    /// Of which line a failure is, if it comes now.
    fn when(&self) -> String {
        if self.progress.is_finished() { "afterwards".to_owned() } else { format!("line {}", self.lines()) }
    }

    fn count(&self, fate: Fate) {
        self.fates[fate as usize].fetch_add(1, Relaxed);
    }

    fn count_bug(&self, failure: &Failure) {
        let kind = if matches!(failure.cause(), Cause::Panic(_)) { "panics in" } else { "errors in" };
        let name = failure.listener().and_then(|listener| listener.name).unwrap_or("the wiring");
        *self.bugs.lock().unwrap_or_else(PoisonError::into_inner).entry((kind, name)).or_default() += 1;
    }
}

/// The fate of the line, if this failure is one.
fn fate(failure: &Failure) -> Option<Fate> {
    Some(match mishap(failure)? {
        Mishap::Malformed(_) => Fate::Malformed,
        Mishap::NotUtf8(_) => Fate::NotUtf8,
        Mishap::UnknownProduct { .. } => Fate::UnknownProduct,
        Mishap::CardDeclined { .. } => Fate::Declined,
        Mishap::Outage { .. } => Fate::Pending,
    })
}

fn mishap(failure: &Failure) -> Option<&Mishap> {
    let Cause::Error(error) = failure.cause() else { return None };
    error.downcast_ref()
}

/// The orders that wait for somebody to look at them, as a table.
pub(crate) fn dead_letters(bus: &Emitter) -> String {
    let row = |letter: DeadLetter| {
        // A declined card is a dead letter too, but settled.
        let Some(error @ Mishap::Outage { order }) = mishap(&letter.failure) else { return None };
        Some(format!("{order:<24}{:>12}  {error}\n", letter.attempts))
    };
    let rows = bus.dead_letters().iter().filter_map(row);
    iter::once(format!("{:<24}{:>12}  last error\n", "dead letters: orders", "attempts")).chain(rows).collect()
}

/// Writes a line to stderr, in one go. If nobody reads it, nobody wants it.
pub(crate) fn tell(text: &str) {
    // What comes from outside must neither break the line nor command the terminal.
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line.push('\n');
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The summary, as a table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |label: &str, count: &dyn fmt::Display| writeln!(f, "{label:<24}{count:>12}");
        row("what became of", &"lines")?;
        let mut known = 0;
        for (fate, label) in ROWS {
            let count = self.fates[fate as usize].load(Relaxed);
            known += count;
            // Without outages, there is no such fate.
            if count > 0 || !matches!(fate, Fate::Pending) {
                row(label, &count)?;
            }
        }
        // Counted apart, so that an order that a module lost, or handled twice, shows.
        row("unaccounted for", &(i128::from(self.lines()) - i128::from(known)))?;
        row("lines read", &self.lines())?;

        row("beside that", &"times")?;
        row("mail sent", &self.mails.load(Relaxed))?;
        for ((kind, name), count) in &*self.bugs.lock().unwrap_or_else(PoisonError::into_inner) {
            row(&format!("{kind} {name}"), count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hearken::Retry;

    use super::*;
    use crate::testing::{lenient_bus, line, order};

    /// A report that listens, and is the error channel.
    fn reported(tell_all: impl FnOnce(&Emitter)) -> Vec<String> {
        let report = Arc::new(Report::new(ProgressBar::hidden()));
        let channel = Arc::clone(&report);
        let bus = Emitter::new(move |failure| channel.failed(&failure));
        let _hears = report.listen(&bus);
        tell_all(&bus);
        let rows = report.to_string();
        rows.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn what_became_of_a_line_is_counted_and_what_did_not_is_unaccounted_for() {
        let rows = reported(|bus| {
            let _fails = bus.on(|order: &u64| {
                Err::<(), _>(Mishap::UnknownProduct { order: *order, product: "moon".into() }.into())
            });
            for number in 1..=6 {
                bus.emit(&Line { number, ..line("") });
            }
            bus.emit(&BlankLine);
            bus.emit(&OrderShipped(order("mug", 1)));
            bus.emit(&OrderShipped(order("mug", 1)));
            bus.emit(&OrderRefused(order("mug", 1)));
            bus.emit(&7_u64);
            bus.emit(&MailSent);
        });
        for row in [
            "shipped 2",
            "out of stock 1",
            "unknown product 1",
            "blank 1",
            "unaccounted for 1",
            "lines read 6",
            "mail sent 1",
        ] {
            assert!(rows.iter().any(|told| told == row), "{row}: {rows:#?}");
        }
    }

    #[test]
    fn an_order_that_nobody_took_the_money_for_is_pending_and_listed_and_a_declined_one_is_not() {
        let rows = reported(|bus| {
            let _fails = bus.listen().retry(Retry::attempts(1)).on(|order: &u64| match order {
                7 => Err::<(), _>(Mishap::Outage { order: *order }.into()),
                _ => Err(Mishap::CardDeclined { order: *order, reason: "stolen" }.into()),
            });
            bus.emit(&7_u64);
            bus.emit(&8_u64);
            let list = dead_letters(bus);
            let [_, row] = list.lines().collect::<Vec<_>>()[..] else { panic!("one order: {list}") };
            let row = row.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(row, "7 1 order 7: the payment provider is out of order");
        });
        assert!(rows.contains(&"payment pending 1".to_owned()), "{rows:#?}");
        let rows = reported(|_| {});
        assert!(!rows.iter().any(|row| row.starts_with("payment pending")), "{rows:#?}");
    }

    #[test]
    fn what_fails_when_all_lines_are_read_is_told_as_that_and_not_of_the_last_line() {
        let report = Report::new(ProgressBar::hidden());
        assert_eq!(report.when(), "line 0");
        report.line.store(40, Relaxed);
        assert_eq!(report.when(), "line 40");
        report.close();
        assert_eq!(report.when(), "afterwards");
    }

    #[test]
    fn a_failure_that_is_no_lines_fate_is_counted_as_the_listeners_bug() {
        let rows = reported(|bus| {
            let _panics = bus.listen().named("billing").on(|_: &BlankLine| panic!("a bug"));
            let _strays = bus.on_unheard(|_| Err::<(), _>("a wiring mistake".into()));
            bus.emit(&BlankLine);
            bus.emit(&7_u64);
        });
        assert_eq!(rows[rows.len() - 2..], ["errors in the wiring 1", "panics in billing 1"]);
    }

    #[test]
    fn a_report_tells_nothing_on_the_bus() {
        let bus = lenient_bus();
        let report = Arc::new(Report::new(ProgressBar::hidden()));
        let _hears = report.listen(&bus);
        let seen = bus.record_any();
        bus.emit(&BlankLine);
        bus.emit(&OrderShipped(order("mug", 1)));
        hearken::assert_sequence!(seen, [BlankLine, OrderShipped]);
    }
}
