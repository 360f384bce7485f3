//! A small shop. Orders go through modules that know the events in `events.rs` and nothing of one another:
//!
//! ```text
//! Line -> OrderPlaced -> StockReserved -> OrderPaid -> OrderShipped
//!                     \> OrderRefused  \> PaymentDeclined
//! ```
//!
//! ```sh
//! cargo run --example order_flow              # the orders beside this file
//! cargo run --example order_flow orders.jsonl # other ones, a JSON object a line
//! generate_orders | cargo run --example order_flow -
//! cargo test --test order_flow_modules        # each module alone, by what it tells; then all of them
//! cargo run --example order_flow -- --topology # and then who emitted what, and who heard it
//! cargo run --example order_flow -- --topology=mermaid # or `=dot`: that as a graph, and nothing else
//! ```
//!
//! What goes wrong is told on stderr as it happens. A summary on stdout accounts for every line.

mod audit;
mod billing;
mod events;
mod input;
mod intake;
mod inventory;
mod notification;
mod report;

use std::env;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;

use hearken::{BoxError, Emitter};

use crate::audit::Audit;
use crate::billing::Billing;
use crate::input::{Input, View};
use crate::intake::Intake;
use crate::inventory::Inventory;
use crate::notification::Notification;
use crate::report::Report;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            report::tell(&format!("order_flow: {problem}"));
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), BoxError> {
    let (input, view) = Input::from_args(env::args_os().skip(1))?;
    let report = Arc::new(Report::new(input.progress()));
    let bus = Emitter::builder().metrics(view.is_some()).build({
        let report = Arc::clone(&report);
        move |failure| report.failed(&failure)
    });

    // First come, first called: the audit hears an event before the modules act on it.
    let audit = Audit::new(&bus);
    let _counts = report.listen(&bus);
    let _shop = (Intake::new(&bus), Inventory::new(&bus), Billing::new(&bus), Notification::new(&bus));
    let _strays = bus.on_unheard(|event| {
        let wiring_mistake = format!("nobody listens to {}", event.type_name());
        Err::<(), _>(wiring_mistake.into())
    });

    let all_read = with_quiet_panics(|| input.read(&bus.port()));
    report.close();
    // What was read before a read error did go through the shop, so it is told too.
    if all_read.is_ok() || report.lines() > 0 {
        print(&match view {
            None => format!("{audit}\n{report}"),
            Some(View::Table) => format!("{audit}\n{report}\n{}", bus.topology()),
            // Alone, for a program that draws it.
            Some(View::Mermaid) => bus.topology().to_mermaid(),
            Some(View::Dot) => bus.topology().to_dot(),
        })?;
    }
    all_read
}

/// The error channel reports a module's panic in a line. What the default hook prints would only bury it.
fn with_quiet_panics<T>(work: impl FnOnce() -> T) -> T {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let done = work();
    panic::set_hook(loud);
    done
}

/// Prints to stdout. A reader that left early, as `head` does, has seen enough.
fn print(text: &str) -> Result<(), BoxError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("can't print: {error}").into()),
        _ => Ok(()),
    }
}
