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

#[cfg(test)]
mod tests {
    use hearken::Failure;

    use super::*;
    use crate::testing::{lenient_bus, line, strict_bus};

    #[test]
    fn a_line_with_an_order_is_an_order_placed() {
        let bus = strict_bus();
        let placed = bus.record_map(|OrderPlaced(order)| (order.id, order.product.clone(), order.quantity.get()));
        let _intake = Intake::new(&bus);
        bus.emit(&line(
            r#" {"id":7,"product":"mug","quantity":2,"card":"4929000000000006","email":"ada@example.org"}"#,
        ));
        assert_eq!(placed.take(), [(7, "mug".to_owned(), 2)]);
    }

    #[test]
    fn a_blank_line_is_told_as_one() {
        let bus = strict_bus();
        let (placed, blank) = (bus.record_map(|OrderPlaced(order)| order.id), bus.record_map(|BlankLine| ()));
        let _intake = Intake::new(&bus);
        for blank in ["", " ", "\t\r"] {
            bus.emit(&line(blank));
        }
        assert_eq!(blank.len(), 3);
        placed.assert_none();
    }

    #[test]
    fn what_is_no_order_is_a_failure_that_says_why_and_no_order_is_placed() {
        let bus = lenient_bus();
        let placed = bus.record_map(|OrderPlaced(order)| order.id);
        let failures = bus.record::<Failure>();
        let _intake = Intake::new(&bus);
        let says = |line: Line, why: &str| {
            bus.emit(&line);
            failures.assert_emitted(|failure| failure.to_string().ends_with(why));
            assert_eq!(failures.take().len(), 1, "{why}");
        };
        says(line("[7]"), "not an order: no JSON object");
        says(line(r#"{"id":7}"#), "not an order: missing field `product` at column 8");
        says(Line { is_cut: true, ..line("{") }, "not an order: longer than 65536 bytes");
        says(Line { bytes: vec![b'{', 0xff], ..line("") }, "not UTF-8: invalid utf-8 sequence of 1 bytes from index 1");
        placed.assert_none();
    }
}
