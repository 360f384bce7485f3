//! Whether hearken's hot paths are still as fast as they were, judged alike on a quiet machine and on a busy one.
//!
//! Run with `cargo run --release`. README.md says what is guarded, and what to do when it fails.

mod cases;
mod counts;
#[path = "../../benches/floors/mod.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod floors;
#[path = "../../benches/measure/mod.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod measure;
#[path = "../../benches/plan/mod.rs"]
mod plan;
mod table;
mod threads;

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;

use cases::Case;
use table::Table;

const USAGE: &str = "cargo run --release [-- counts | threads | --rewrite]";

/// The event: small, as most are.
struct Placed {
    order: u64,
}

const PLACED: Placed = Placed { order: 7 };

/// What every listener is, but for its capture.
fn listener(number: u64) -> impl Fn(&Placed) + Send + Sync + 'static {
    move |placed| {
        black_box(placed.order ^ number);
    }
}

/// Something with listeners that threads can tell of an event: what the floors are.
trait Bus: Sync {
    fn with_listeners(listeners: u64) -> Self;
    fn emit(&self, event: &Placed);
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ended = match *arguments {
        [] => guard(),
        ["counts"] => compare(),
        ["threads"] => threads::judge(),
        ["--rewrite"] => counts::all().and_then(|counts| counts.rewrite()),
        // What this program calls itself with, below valgrind.
        ["--count", name] => {
            Case::find(name).map(counts::count).ok_or_else(|| format!("there is no case {name:?}").into())
        }
        _ => Err(USAGE.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}

/// Both parts, whatever the first says.
fn guard() -> Result<(), Box<dyn Error>> {
    let wrong: Vec<_> =
        [compare(), threads::judge()].into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n").into()) }
}

fn compare() -> Result<(), Box<dyn Error>> {
    counts::all()?.compare(&Table::checked_in()?, &counts::profiles()?)
}
