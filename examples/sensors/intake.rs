//! Makes readings of lines, and emits each on its sensor's topic.

use std::sync::{Mutex, PoisonError};

use csv::StringRecord;
use hearken::{Emitter, Subscription, TopicRef};

use crate::events::{BadLine, Flaw, Line, NoReading, Reading};
use crate::splitter::Splitter;

pub(crate) struct Intake {
    _hears: Subscription,
}

impl Intake {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let splitter = Mutex::new(Splitter::new());
        let lines = bus.listen::<Line>().named("intake").on_with(move |line, cx| {
            let bad_line = |flaw| BadLine { line: line.number, flaw };
            let text = text(line).map_err(bad_line)?;
            if text.is_empty() {
                cx.emitter().emit(&NoReading);
                return Ok(());
            }
            // On a line of its own, so that the lock is open again before anybody hears.
            let fields = splitter.lock().unwrap_or_else(PoisonError::into_inner).split(text);
            if line.number == 1 && fields == HEADER[..] {
                cx.emitter().emit(&NoReading);
                return Ok(());
            }
            let (topic, reading) = parse(cx.emitter(), &fields).map_err(bad_line)?;
            topic.emit(&reading);
            Ok(())
        });
        Self { _hears: lines }
    }
}

const HEADER: [&str; 3] = ["time", "topic", "value"];

fn text(line: &Line) -> Result<&str, Flaw> {
    if line.is_cut { Err(Flaw::TooLong) } else { Ok(str::from_utf8(&line.bytes)?.trim()) }
}

fn parse<'a>(bus: &'a Emitter, fields: &'a StringRecord) -> Result<(TopicRef<'a>, Reading), Flaw> {
    if fields.len() != HEADER.len() {
        return Err(Flaw::Fields(fields.len()));
    }
    // A name from outside: `topic` would panic if it is none.
    let (topic, value) = (bus.try_topic(&fields[1])?, &fields[2]);
    let number = value.parse().ok().filter(|number: &f64| number.is_finite());
    let value = number.ok_or_else(|| Flaw::NotANumber(value.to_owned()))?;
    Ok((topic, Reading { value }))
}
