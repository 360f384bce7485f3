//! Makes orders of lines.

use std::sync::Arc;

use hearken::{Emitter, Subscription};

use crate::events::{BlankLine, Line, Mishap, Order, OrderPlaced};

pub(crate) struct Intake {
    _hears: Vec<Subscription>,
}

impl Intake {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let lines = bus.listen::<Line>().named("intake").on_with(|line, cx| {
            if line.bytes.trim_ascii().is_empty() {
                cx.emitter().emit(&BlankLine);
            } else {
                let order = parse(line)?;
                cx.emitter().emit(&OrderPlaced(Arc::new(order)));
            }
            Ok(())
        });
        Self { _hears: vec![lines] }
    }
}

fn parse(line: &Line) -> Result<Order, Mishap> {
    if line.is_cut {
        return Err(Mishap::Malformed(format!("longer than {} bytes", Line::LONGEST)));
    }
    let text = str::from_utf8(&line.bytes)?;
    // serde would take an array too, its elements for the fields.
    if !text.trim_start().starts_with('{') {
        return Err(Mishap::Malformed("no JSON object".into()));
    }
    serde_json::from_str(text).map_err(|error| Mishap::Malformed(explain(&error)))
}

/// Without "at line 1", which is true of the text that serde was given and misleads who looks into the file.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
    format!("{what} at column {}", error.column())
}
