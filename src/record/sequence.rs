//! The order in which types came, beside the one that was expected.

use std::any::TypeId;
use std::fmt::Write;

use super::emitted::Emitted;
use super::recorder::{Recorder, Whence};
use crate::envelope::Envelope;

/// Asserts that events of these types were emitted, in this order, and no others: on what [`Emitter::record_any`](crate::Emitter::record_any) kept.
///
/// A `..` between two types, at the beginning or at the end stands for any events, or none.
///
/// ```
/// use hearken::assert_sequence;
///
/// struct Placed;
/// struct Reserved;
/// struct Paid;
///
/// let bus = hearken::Emitter::new(hearken::panic);
/// let seen = bus.record_any();
/// let _stock = bus.on_with(|_: &Placed, cx| { cx.emitter().emit(&Reserved); });
/// let _billing = bus.on_with(|_: &Reserved, cx| { cx.emitter().emit(&Paid); });
/// bus.emit(&Placed);
/// assert_sequence!(seen, [Placed, Reserved, Paid]);
/// assert_sequence!(seen, [Placed, .., Paid]);
/// ```
///
/// # Panics
///
/// If it was another sequence. The message shows both side by side, with the places that emitted the events, and marks where they differ:
///
/// ```text
/// the events were emitted in another sequence than expected:
///     expected         emitted
///     shop::Placed     shop::Placed at src/shop.rs:12
///   ! shop::Reserved
///   !                    shop::Refused on "stock" at src/stock.rs:40
/// ```
#[macro_export]
macro_rules! assert_sequence {
    ($seen:expr, [$($events:tt)*]) => {
        $crate::assert_sequence!(@ $seen, [] $($events)*)
    };
    (@ $seen:expr, [$($steps:expr,)*]) => {
        $crate::Recorder::assert_sequence(&$seen, &[$($steps,)*])
    };
    (@ $seen:expr, [$($steps:expr,)*] .. $(, $($rest:tt)*)?) => {
        $crate::assert_sequence!(@ $seen, [$($steps,)* $crate::Step::ANY,] $($($rest)*)?)
    };
    (@ $seen:expr, [$($steps:expr,)*] $event:ty $(, $($rest:tt)*)?) => {
        $crate::assert_sequence!(@ $seen, [$($steps,)* $crate::Step::of::<$event>(),] $($($rest)*)?)
    };
}

/// A step of an expected sequence: a type, or any number of events. Made by [`assert_sequence!`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Step(Option<(TypeId, &'static str)>);

impl Step {
    pub const ANY: Self = Self(None);

    pub fn of<T: 'static>() -> Self {
        Self(Some((TypeId::of::<T>(), std::any::type_name::<T>())))
    }

    fn is(self, emitted: &Envelope<Emitted>) -> bool {
        self.0.is_some_and(|(id, _)| id == emitted.event.type_id)
    }

    fn is_any(self) -> bool {
        self.0.is_none()
    }
}

/// A line of a comparison.
enum Line<'a> {
    Both(&'static str, &'a Envelope<Emitted>),
    /// Expected, and not emitted.
    Missing(&'static str),
    /// Emitted, and not expected.
    Surplus(&'a Envelope<Emitted>),
    /// Emitted where anything may be.
    Between(&'a Envelope<Emitted>),
}

impl<I> Recorder<Emitted, I> {
    #[doc(hidden)]
    #[track_caller]
    pub fn assert_sequence(&self, expected: &[Step]) {
        let difference = self.seen().read(|emitted| {
            let lines = compare(expected, emitted);
            let differs = lines.iter().any(|line| matches!(line, Line::Missing(_) | Line::Surplus(_)));
            differs.then(|| show(&lines))
        });
        if let Some(difference) = difference {
            panic!("the events were emitted in another sequence than expected:{difference}");
        }
    }
}

/// Both sequences beside each other, with as few differences as there can be.
fn compare<'a>(expected: &[Step], emitted: &'a [Envelope<Emitted>]) -> Vec<Line<'a>> {
    let width = emitted.len() + 1;
    let at = |e: usize, m: usize| e * width + m;
    // How many differences there are from an expected step and an emitted event on.
    let mut differences = vec![0_usize; (expected.len() + 1) * width];
    for e in (0..=expected.len()).rev() {
        for m in (0..width).rev() {
            let (step, event) = (expected.get(e), emitted.get(m));
            let is_between = step.is_some_and(|step| step.is_any());
            let skip_step = step.map(|step| differences[at(e + 1, m)] + usize::from(!step.is_any()));
            let skip_event = event.map(|_| differences[at(e, m + 1)] + usize::from(!is_between));
            let both = match (step, event) {
                (Some(step), Some(event)) if step.is(event) => Some(differences[at(e + 1, m + 1)]),
                _ => None,
            };
            differences[at(e, m)] = [skip_step, skip_event, both].into_iter().flatten().min().unwrap_or(0);
        }
    }
    let (mut e, mut m) = (0, 0);
    let mut lines = Vec::new();
    while e < expected.len() || m < emitted.len() {
        let here = differences[at(e, m)];
        match (expected.get(e), emitted.get(m)) {
            (Some(step @ Step(Some((_, name)))), Some(event))
                if step.is(event) && here == differences[at(e + 1, m + 1)] =>
            {
                lines.push(Line::Both(name, event));
                (e, m) = (e + 1, m + 1);
            }
            (Some(Step(None)), _) if here == differences[at(e + 1, m)] => e += 1,
            (Some(Step(None)), Some(event)) => {
                lines.push(Line::Between(event));
                m += 1;
            }
            (Some(Step(Some((_, name)))), _) if here == differences[at(e + 1, m)] + 1 => {
                lines.push(Line::Missing(name));
                e += 1;
            }
            (_, Some(event)) => {
                lines.push(Line::Surplus(event));
                m += 1;
            }
            (Some(_), None) => unreachable!("what is not emitted is missing"),
            (None, None) => unreachable!("that is the end"),
        }
    }
    lines
}

fn show(lines: &[Line<'_>]) -> String {
    let expected = |line: &Line<'_>| match line {
        Line::Both(name, _) | Line::Missing(name) => *name,
        Line::Surplus(_) => "",
        Line::Between(_) => "..",
    };
    let width = lines.iter().map(|line| expected(line).len()).chain(["expected".len()]).max().unwrap_or(0);
    let mut text = format!("\n    {:width$}  emitted", "expected");
    for line in lines {
        let mark = if matches!(line, Line::Missing(_) | Line::Surplus(_)) { '!' } else { ' ' };
        let _ = write!(text, "\n  {mark} {:width$}", expected(line));
        if let Line::Both(_, event) | Line::Surplus(event) | Line::Between(event) = line {
            // Nested ones are indented.
            let Emitted { type_name, depth, .. } = event.event;
            let _ = write!(text, "  {:indent$}{type_name}{}", "", Whence(event), indent = 2 * (depth - 1));
        }
    }
    // A line without an event ends with its padding.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
