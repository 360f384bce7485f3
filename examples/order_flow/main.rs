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
//! cargo run --example order_flow -- --flaky 0.5 --seed 7 # and half of the time, nobody answers who could take the money
//! ```
//!
//! What goes wrong is told on stderr as it happens. A summary on stdout accounts for every line.
//!
//! Where the payment provider is flaky, billing asks it again, later: a listener with [`retry`](hearken::Listen::retry), whose further attempts
//! are drained when all lines are read. An order for which none of them got an answer ends as a [dead letter](hearken::DeadLetter), in a
//! list behind the summary. In a shop that goes on, a person would look at these and `redrive` them.

mod arguments;
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

use hearken::{BoxError, Clock, Emitter};

use crate::arguments::{Arguments, View};
use crate::audit::Audit;
use crate::billing::{Billing, Provider};
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
    let Arguments { input, view, flaky } = Arguments::parse(env::args_os().skip(1))?;
    let is_flaky = flaky.is_some();
    let report = Arc::new(Report::new(input.progress()));
    // Nobody has to sit through the pauses between two attempts.
    let clock = if is_flaky { Clock::manual() } else { Clock::system() };
    // An order is money: all are kept that nobody paid for yet.
    let make = Emitter::builder().metrics(view.is_some()).clock(clock.clone()).dead_letters(u32::MAX);
    let bus = make.build({
        let report = Arc::clone(&report);
        move |failure| report.failed(&failure)
    });

    // First come, first called: the audit hears an event before the modules act on it.
    let audit = Audit::new(&bus);
    let _counts = report.listen(&bus);
    let provider = flaky.unwrap_or_else(Provider::steady);
    let _shop = (Intake::new(&bus), Inventory::new(&bus), Billing::new(&bus, provider), Notification::new(&bus));
    let _strays = bus.on_unheard(|event| {
        let wiring_mistake = format!("nobody listens to {}", event.type_name());
        Err::<(), _>(wiring_mistake.into())
    });

    let all_read = with_quiet_panics(|| {
        let all_read = input.read(&bus.port());
        report.close();
        if is_flaky {
            settle(&bus, &clock);
        }
        all_read
    });
    // What was read before a read error did go through the shop, so it is told too.
    if all_read.is_ok() || report.lines() > 0 {
        let letters = if is_flaky { format!("\n{}", report::dead_letters(&bus)) } else { String::new() };
        print(&match view {
            None => format!("{audit}\n{report}{letters}"),
            Some(View::Table) => format!("{audit}\n{report}{letters}\n{}", bus.topology()),
            // Alone, for a program that draws it.
            Some(View::Mermaid) => bus.topology().to_mermaid(),
            Some(View::Dot) => bus.topology().to_dot(),
        })?;
    }
    all_read
}

/// Lets the time go by until no payment waits for another attempt.
fn settle(bus: &Emitter, clock: &Clock) {
    for _ in 1..Billing::ATTEMPTS {
        clock.advance(Billing::LONGEST_PAUSE);
        bus.drain_until_idle(usize::MAX);
    }
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
