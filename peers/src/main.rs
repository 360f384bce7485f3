//! hearken beside its peers: every ratio is formed inside one round of one run.
//!
//! Run with `cargo run --release`. README.md says what is measured, and how to read it.

mod builds;
mod cpp;
mod deferred;
mod digest;
#[path = "../../benches/floors/mod.rs"]
mod floors;
mod harness;
#[path = "../../benches/lookups/mod.rs"]
mod lookups;
#[path = "../../benches/measure/mod.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod measure;
mod node;
#[path = "../../benches/plan/mod.rs"]
mod plan;
mod streams;
mod sync;
mod table;
mod topics;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use harness::COLUMNS;
// What the benchmarks' folders ask for.
use plan::Plan;
use sync::{Bus, Placed, listener};
use table::{Group, Table};
use topics::Contender;

/// Each runs in a process of its own, so that none finds the heap as another left it.
const GROUPS: [Group; 18] = [
    Group { name: "emit", title: "An emission, by how many listeners there are", run: sync::emit },
    Group { name: "threads", title: "Two threads that emit at once, to one listener", run: sync::threads },
    Group {
        name: "churn",
        title: "An emission to 10 listeners, while another thread adds and removes one",
        run: sync::churn,
    },
    Group { name: "newest", title: "A listener comes and goes, by how many others there are", run: sync::newest },
    Group { name: "random", title: "A listener comes, and any other goes, by how many there are", run: sync::random },
    Group { name: "heap", title: "Heap", run: heap },
    Group {
        name: "repeated",
        title: "An event on one of 1,000 topics, by how many patterns there are",
        run: topics::repeated,
    },
    Group {
        name: "new",
        title: "An event on a topic that never came before, by how many patterns there are",
        run: topics::new,
    },
    Group {
        name: "defer",
        title: "Events of 24 bytes that are queued, and handed to one listener",
        run: deferred::print,
    },
    Group { name: "wake", title: "From sending to receiving, where the receiver sleeps", run: deferred::wake_up },
    Group { name: "tasks", title: "Tasks that await events", run: streams::tasks },
    Group { name: "streams", title: "An emission, by how many streams there are", run: streams::emit },
    Group { name: "node", title: "Node's emitters: an emission, by how many listeners there are", run: node::emit },
    Group { name: "node_on_off", title: "Node's emitters: a listener comes, and one goes", run: node::on_off },
    Group { name: "cpp", title: "Signals of C++: an emission, by how many slots there are", run: cpp::emit },
    Group {
        name: "cpp_threads",
        title: "Signals of C++: two threads that emit at once, to one slot",
        run: cpp::threads,
    },
    Group { name: "cpp_on_off", title: "Signals of C++: a slot comes, and one goes", run: cpp::on_off },
    Group { name: "cpp_heap", title: "Signals of C++: heap", run: cpp::heap },
];

/// Compiles for minutes, so it runs only when it is named.
const BUILD: Group =
    Group { name: "build", title: "A build from nothing, with the default features, once", run: builds::print };

fn heap() {
    sync::heap();
    topics::heap();
}

const USAGE: &str = "cargo run --release -- [--tsv FILE] [--table FILE] [--readme FILE] [GROUP...]";

fn main() -> ExitCode {
    match run(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}\ngroups: {}, and {}", GROUPS.map(|group| group.name).join(" "), BUILD.name);
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut tsv, mut table, mut readme, mut chosen) = (None, None, None, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match &*argument {
            "--tsv" => tsv = Some(PathBuf::from(value()?)),
            "--table" => table = Some(PathBuf::from(value()?)),
            "--readme" => readme = Some(PathBuf::from(value()?)),
            // What this program calls itself with.
            "--only" => {
                (find(&value()?)?.run)();
                return Ok(());
            }
            name => chosen.push(find(name)?),
        }
    }
    let groups = if chosen.is_empty() { GROUPS.to_vec() } else { chosen };
    measure_all(&groups, tsv, table, readme).map_err(|error| error.to_string())
}

fn find(name: &str) -> Result<Group, String> {
    GROUPS
        .into_iter()
        .chain([BUILD])
        .find(|group| group.name == name)
        .ok_or_else(|| format!("there is no group {name:?}"))
}

fn measure_all(
    groups: &[Group],
    tsv: Option<PathBuf>,
    markdown: Option<PathBuf>,
    readme: Option<PathBuf>,
) -> std::io::Result<()> {
    let mut table = Table::begin();
    let mut lines = vec![COLUMNS.join("\t")];
    for group in groups {
        eprintln!("measuring {}", group.name);
        let mut child =
            Command::new(env::current_exe()?).args(["--only", group.name]).stdout(Stdio::piped()).spawn()?;
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines() {
                let line = format!("{}\t{}", group.name, line?);
                table.add(&line);
                lines.push(line);
            }
        }
        let status = child.wait()?;
        if !status.success() {
            eprintln!("{} ended with {status}: its figures are incomplete", group.name);
        }
    }
    let put = |text: String, path: Option<PathBuf>| match path {
        Some(path) => fs::write(path, text),
        None => {
            println!("{text}");
            Ok(())
        }
    };
    put(lines.join("\n") + "\n", tsv)?;
    put(table.markdown(groups), markdown)?;
    readme.map_or(Ok(()), |readme| digest::quote(&table, &readme))
}
