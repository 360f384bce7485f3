//! Watches a folder: the operating system is the source of events. Each change is emitted on a topic that says what happened to which kind of
//! file, such as `fs.created.rs`; modules count changes by pattern, wait until a path has settled, and keep a log.
//!
//! ```sh
//! cargo run --example watch -- src            # until Ctrl-C
//! cargo run --example watch -- --for 5s src
//! ```
//!
//! The system tells on a thread of its own, the event loop delivers on another, and the main thread waits for the end. What goes wrong is told
//! on stderr. At the end, a summary on stdout accounts for every change that the system told of.

mod arguments;
mod events;
mod log;
mod settling;
mod tally;
mod watcher;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use hearken::{BoxError, Emitter, Overflow};

use crate::arguments::Arguments;
use crate::events::Interrupted;
use crate::log::Log;
use crate::settling::Settling;
use crate::tally::Tally;
use crate::watcher::Watcher;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            log::tell(&format_args!("watch: {problem}"));
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), BoxError> {
    let Arguments { folder, time } = Arguments::parse(env::args_os().skip(1))?;
    let log = Arc::new(Log::default());
    // A change waits for room rather than get lost.
    let bus = Emitter::builder().queue(4_096, Overflow::Block).build({
        let log = Arc::clone(&log);
        move |failure| log.failed(&failure)
    });
    let _prints = log.listen(&bus, &folder);
    let (tally, settling) = (Tally::new(&bus), Settling::new(&bus));

    let interrupted = bus.inbox::<Interrupted>();
    ctrlc::set_handler({
        // Weak, because a handler stays until the program ends.
        let bus = bus.downgrade();
        move || {
            if let Some(bus) = bus.upgrade() {
                bus.emit(&Interrupted);
            }
        }
    })?;
    let events = bus.spawn_loop("events")?;
    let watcher = Watcher::new(&bus, &folder)?;
    log::print_line(&format_args!("watching {}", folder.display()))?;
    match time {
        Some(time) => drop(interrupted.recv_timeout(time)),
        None => drop(interrupted.recv()),
    }

    // From the source to the mouth, so that what is under way still arrives.
    let told = watcher.end();
    let unsettled = settling.end();
    bus.close();
    events.shutdown();
    let rows = [
        ("paths still changing", i128::from(unsettled)),
        ("changes the system told of", i128::from(told)),
        ("  undelivered", i128::from(told) - i128::from(tally.all())),
    ];
    let rows = rows.map(|(label, count)| format!("{label:<32} {count:>9}\n"));
    log::print(&format_args!("\n{tally}\n{log}{}", rows.concat()))
}
