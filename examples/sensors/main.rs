//! The sensors of some buildings. Each reading is emitted on its sensor's topic, such as `building.3.floor.2.room.14.temperature`;
//! dashboards, alarms and an audit trail listen by pattern, and know no sensor.
//!
//! ```sh
//! cargo run --example sensors              # the readings beside this file
//! cargo run --example sensors readings.csv # other ones: `time,topic,value`
//! read_sensors | cargo run --example sensors -
//! ```
//!
//! Lines that are no readings are told on stderr as they come, each with its number. At the end, a table on stdout has what was
//! heard on each pattern, and accounts for every line.

mod alarms;
mod audit;
mod dashboards;
mod events;
mod input;
mod intake;
mod splitter;
mod tally;

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use hearken::{BoxError, Emitter};

use crate::alarms::Alarms;
use crate::audit::Audit;
use crate::dashboards::Dashboards;
use crate::input::Input;
use crate::intake::Intake;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            audit::tell(&format_args!("sensors: {problem}"));
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), BoxError> {
    let input = Input::from_args(env::args_os().skip(1))?;
    let audit = Arc::new(Audit::default());
    let bus = Emitter::new({
        let audit = Arc::clone(&audit);
        move |failure| audit.failed(&failure)
    });
    let _counts = audit.listen(&bus);
    let _intake = Intake::new(&bus);
    let (dashboards, alarms) = (Dashboards::new(&bus), Alarms::new(&bus));

    let all_read = input.read(&bus.port());
    // What was read before a read error did go to the listeners, so it is told too.
    if all_read.is_ok() || audit.lines() > 0 {
        print(&format_args!("{}\n{dashboards}{alarms}{audit}", tally::TITLE))?;
    }
    all_read
}

/// Prints to stdout. A reader that left early, as `head` does, has seen enough.
fn print(text: &dyn fmt::Display) -> Result<(), BoxError> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("can't print: {error}").into()),
        _ => Ok(()),
    }
}
