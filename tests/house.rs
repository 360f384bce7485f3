//! The order of the house: which file may know which, and where the few dangerous things may be done.
//!
//! It reads the source as text, comments aside, in rustfmt's layout.

use std::fs;
use std::path::Path;

/// From the ground up. A file imports only from its own row and the rows below; a name with a `/` is a whole folder.
const ROWS: &[(&str, &[&str])] = &[
    ("the doors to atomics, locks, thread-locals and time", &["clock", "sync"]),
    (
        "the words: values and traits",
        &[
            "chain", "discard", "emission", "failure", "flow", "future", "id", "info", "overflow", "retry", "topic",
            "trace",
        ],
    ),
    ("data structures that run no user code", &["raw/"]),
    ("the bus and who listens on it", &["context", "errors", "handle", "listener", "queue/", "registry", "watch/"]),
    ("delivery, and taking part in it", &["channels", "dispatch", "subscription"]),
    ("listeners around listeners", &["policy/"]),
    ("the second way to tell: later", &["deferred/"]),
    ("what is kept for who takes it later", &["envelope", "mailbox/"]),
    ("the same for async code", &["futures/"]),
    (
        "choosing what to hear, and ways to speak and to look",
        &["dead_letters", "inbox", "listen", "port", "record/", "topology/"],
    ),
    ("the front, and the guides", &["emitter", "guide"]),
];

/// It declares the modules and re-exports what is public, so it knows them all, and nobody imports through it.
const ROOT: &str = "lib";

/// What may be said in these files only, and why.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "catch_unwind",
        &[
            "deferred/timer",
            "discard",
            "dispatch",
            "errors",
            "futures/listener",
            "policy/retry",
            "policy/watched",
            "trace",
        ],
        "user code's panics are caught where it is called or dropped",
    ),
    ("parking_lot", &["sync"], "a model checker must find every lock"),
    ("thread_local", &["sync"], "a model checker must find every thread-local: use `thread_cells!`"),
    ("loom", &["sync", "raw/snapshot"], "the other files must not notice the model checker"),
    ("tracing", &["channels", "trace"], "a subscriber is user code, which may panic and emit"),
    ("arc_swap", &["raw/snapshot"], "the snapshot's cell must stay replaceable"),
];

/// What anybody may take from `std::sync`; the rest, atomics and locks, comes from `crate::sync`.
const FREE_OF_STD_SYNC: &[&str] = &["Arc", "OnceLock", "Weak", "mpsc"];

/// What runs a listener's code. Only dispatch says these, and who wraps a listener hands them on.
const CALLS: &[&str] = &["call", "call_admitted", "admits", "hear"];
const CALLER: &str = "dispatch";
const HAND_ON: &[(&str, &str)] = &[
    ("policy/", "self.inner"),
    ("listener", "inner"),
    ("listener", "(**self)"),
    ("listener", "self.hear"),
    ("listener", "self"),
];

/// A source file without its comments.
struct File {
    /// Its path below `src`, without `.rs`.
    name: String,
    code: String,
}

impl File {
    fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| is_in(&self.name, name))
    }

    /// Every place where the code says this, as a word of its own: the line's number, what stands before it on its line, and
    /// all that stands behind it.
    fn places<'a>(&'a self, word: &'a str) -> impl Iterator<Item = (usize, &'a str, &'a str)> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(word).filter_map(move |(at, _)| {
            let (before, rest) = (&self.code[..at], &self.code[at + word.len()..]);
            if before.ends_with(is_part) || word.ends_with(is_part) && rest.starts_with(is_part) {
                return None;
            }
            let line = before.lines().count() + usize::from(before.is_empty() || before.ends_with('\n'));
            Some((line, &before[before.rfind('\n').map_or(0, |end| end + 1)..], rest))
        })
    }
}

fn is_in(file: &str, entry: &str) -> bool {
    if entry.ends_with('/') { file.starts_with(entry) } else { file == entry }
}

/// The number of a file's row.
fn row(file: &str) -> Option<usize> {
    ROWS.iter().position(|(_, entries)| entries.iter().any(|entry| is_in(file, entry)))
}

/// The first names of what follows `crate::` or the like: several, if it is a group in braces.
fn heads(path: &str) -> Vec<&str> {
    let name = |path: &'_ str| path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    let Some(group) = path.strip_prefix('{') else { return vec![&path[..name(path)]] };
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        if c == '{' {
            depth += 1;
        } else if depth == 0 && (c == ',' || c == '}') {
            let item = group[start..at].trim();
            if !item.is_empty() {
                heads.push(&item[..name(item)]);
            }
            start = at + 1;
            if c == '}' {
                break;
            }
        } else if c == '}' {
            depth -= 1;
        }
    }
    heads
}

fn files() -> Vec<File> {
    let mut files = Vec::new();
    read_folder(Path::new("src"), "", &mut files);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(files.iter().any(|file| file.name == ROOT), "tests run in the package's folder");
    files
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("it was listed").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in plain letters");
        if path.is_dir() {
            read_folder(&path, &format!("{prefix}{name}/"), files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("readable source");
            let without_comment = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned() + "\n";
            let code = source.lines().map(without_comment).collect();
            files.push(File { name: format!("{prefix}{name}"), code });
        }
    }
}

/// Says all that is wrong at once.
fn in_order(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn every_file_has_a_row_and_every_row_its_files() {
    let files = files();
    let homeless = files.iter().filter(|file| file.name != ROOT && row(&file.name).is_none()).map(|file| {
        format!("src/{}.rs has no row: give it one in `ROWS`, the lowest above all that it imports", file.name)
    });
    let entries = ROWS.iter().flat_map(|(_, entries)| entries.iter());
    let stale = entries
        .filter(|entry| !files.iter().any(|file| is_in(&file.name, entry)))
        .map(|entry| format!("`ROWS` has {entry:?}, and there is no such file"));
    in_order(&homeless.chain(stale).collect::<Vec<_>>());
}

#[test]
fn a_file_imports_only_from_its_own_row_and_the_rows_below() {
    let files = files();
    let mut mistakes = Vec::new();
    let mut imports = 0;
    for file in files.iter().filter(|file| file.name != ROOT) {
        let Some(own) = row(&file.name) else { continue };
        for (line, before, path) in file.places("crate::") {
            if before.ends_with('$') {
                continue; // a macro's, which is how its users see the crate
            }
            for head in heads(path) {
                imports += 1;
                let place = format!("src/{}.rs:{line}", file.name);
                let target = row(head).or_else(|| row(&format!("{head}/")));
                match target {
                    None => mistakes.push(format!("{place}: import `{head}` from the file that it lives in")),
                    Some(target) if target > own => mistakes.push(format!(
                        "{place}: `{head}` ({}) is above this file ({}): move what both need down, or this file up",
                        ROWS[target].0, ROWS[own].0
                    )),
                    Some(_) => {}
                }
            }
        }
        // In a folder's file, and in an inline module, `super` stays in the row. Elsewhere it is another way to say `crate`.
        for (line, before, rest) in file.places("super::") {
            if rest.starts_with("super::") || !file.name.contains('/') && !before.starts_with(' ') {
                mistakes.push(format!("src/{}.rs:{line}: say `crate::`, so that this test can see it", file.name));
            }
        }
    }
    in_order(&mistakes);
    assert!(imports > files.len(), "the imports were not found");
}

#[test]
fn only_dispatch_calls_listeners() {
    let mut mistakes = Vec::new();
    let mut calls = 0;
    for file in &files() {
        for call in CALLS {
            for said in [format!(".{call}("), format!("::{call}(")] {
                // A method's dot follows a name, so every occurrence is looked at.
                for (at, _) in file.code.match_indices(&said) {
                    let before = &file.code[..at];
                    let handed_on = HAND_ON.iter().any(|(place, inner)| {
                        is_in(&file.name, place) && said.starts_with('.') && before.ends_with(inner)
                    });
                    if file.name == CALLER {
                        calls += 1;
                    } else if !handed_on {
                        let line = before.lines().count();
                        mistakes.push(format!("src/{}.rs:{line}: only src/{CALLER}.rs may call `{call}`", file.name));
                    }
                }
            }
        }
    }
    in_order(&mistakes);
    assert!(calls > 0, "src/{CALLER}.rs calls nobody: was `hear` renamed?");
}

#[test]
fn dangerous_things_are_done_in_their_own_files_only() {
    let files = files();
    let mut mistakes = Vec::new();
    for (word, allowed, why) in ONLY_IN {
        let mut uses = 0;
        for file in &files {
            for (line, ..) in file.places(word) {
                uses += 1;
                if !file.is_one_of(allowed) {
                    mistakes.push(format!("src/{}.rs:{line}: `{word}` only in {allowed:?}: {why}", file.name));
                }
            }
        }
        if uses == 0 {
            mistakes.push(format!("`ONLY_IN` has {word:?}, which no file says any more"));
        }
    }
    in_order(&mistakes);
}

#[test]
fn atomics_and_locks_come_through_their_door() {
    let mut mistakes = Vec::new();
    for file in files().iter().filter(|file| file.name != "sync") {
        for (line, _, path) in file.places("std::sync::") {
            for head in heads(path).into_iter().filter(|head| !FREE_OF_STD_SYNC.contains(head)) {
                mistakes.push(format!("src/{}.rs:{line}: take `{head}` from `crate::sync`", file.name));
            }
        }
    }
    in_order(&mistakes);
}
