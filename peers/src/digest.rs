//! What the crate's README quotes: a few of the cases, side by side, between two marks.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use crate::table::Table;

/// One table: columns are cases of groups, rows are contenders.
pub(crate) struct Quote {
    title: &'static str,
    columns: &'static [(&'static str, &'static str, &'static str)],
    contenders: &'static [&'static str],
}

const QUOTES: [Quote; 4] = [
    Quote {
        title: "listeners that are called",
        columns: &[
            ("emit", "1 listeners", "emit to 1"),
            ("emit", "10 listeners", "to 10"),
            ("emit", "1000 listeners", "to 1,000"),
            ("threads", "throughput of two to one", "two threads to one"),
            ("churn", "emission", "to 10 under churn"),
            ("newest", "100000 live", "on + off, 100,000 live: newest"),
            ("random", "100000 live", "any"),
            ("heap", "a listener, beside its closure", "a listener"),
        ],
        contenders: &[
            "floor: a map of boxed closures",
            "floor: the same behind arc-swap",
            "hearken",
            "mod-events",
            "signals2",
            "rxrust, shared",
            "tokio broadcast, polled",
            "evenio",
            "bevy_ecs observers",
        ],
    },
    Quote {
        title: "topics and patterns",
        columns: &[
            ("repeated", "1000 patterns", "1,000 patterns, a topic that repeats"),
            ("repeated", "10000 patterns", "10,000 patterns"),
            ("new", "1000 patterns", "1,000 patterns, always a new topic"),
            ("new", "10000 patterns", "10,000 patterns"),
        ],
        contenders: &["floor: a map of whole names", "floor: a plain trie", "hearken", "mqtt-topic-engine", "globset"],
    },
    Quote {
        title: "an event that is queued, and handed to a listener",
        columns: &[
            ("defer", "one thread", "on one thread"),
            ("defer", "1 to 1 thread", "from one to another"),
            ("defer", "2 to 1 thread", "from two to another"),
        ],
        contenders: &[
            "floor: a typed Vec",
            "floor: a VecDeque of boxes",
            "hearken",
            "bevy_ecs messages, polled",
            "crossbeam-channel",
            "flume",
        ],
    },
    Quote {
        title: "tasks that await events",
        columns: &[
            ("tasks", "ping-pong of two threads, a turn", "ping-pong of two threads"),
            ("tasks", "through one stream, an event", "through one stream"),
            ("streams", "1 streams", "emit to 1 stream"),
            ("streams", "10 streams", "to 10"),
        ],
        contenders: &["hearken", "event-listener", "tokio broadcast", "async-broadcast"],
    },
];

const BEGIN: &str = "<!-- peers: begin -->\n";
const END: &str = "<!-- peers: end -->";

/// Puts the quotes between the marks of this file.
pub(crate) fn quote(table: &Table, file: &Path) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let marked = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marked.ok_or_else(|| {
        let message = format!("{} has no place for the figures: {BEGIN}{END} marks it", file.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })?;
    let mut quotes = table.about();
    for Quote { title, columns, contenders } in &QUOTES {
        write!(quotes, "\n| {title} |").unwrap();
        for (group, case, heading) in *columns {
            write!(quotes, " {heading}, {} |", table.unit(group, case)).unwrap();
        }
        writeln!(quotes, " what it can't |\n| --- |{} --- |", " ---: |".repeat(columns.len())).unwrap();
        for contender in *contenders {
            let cells: Vec<_> = columns.iter().map(|(group, case, _)| table.cell(group, case, contender)).collect();
            let cannot = columns.iter().find_map(|(group, case, _)| table.cannot(group, case, contender));
            let name = if *contender == "hearken" { "**hearken**" } else { contender };
            writeln!(quotes, "| {name} | {} | {} |", cells.join(" | "), cannot.unwrap_or_default()).unwrap();
        }
    }
    let quotes: String = quotes.split_inclusive([' ', '\n']).map(in_code).collect();
    fs::write(file, [before, BEGIN, &quotes, END, after].concat())
}

/// Names of the source between backticks, as the lints of a crate's documentation, which the README is a part of, ask for.
fn in_code(word: &str) -> String {
    let name = word.trim_end_matches([' ', '\n', ',', ';', ':']);
    let is_camel = name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    if name.contains('`') || !(name.contains('_') || is_camel) {
        return word.to_owned();
    }
    format!("`{name}`{}", &word[name.len()..])
}
