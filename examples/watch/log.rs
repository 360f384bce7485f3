//! Prints what happens, as it happens.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hearken::{BoxError, Cause, Emitter, Failure, Subscription};

use crate::events::{Change, Settled, Trouble};

#[derive(Default)]
pub(crate) struct Log {
    settled: AtomicU64,
    failures: AtomicU64,
}

impl Log {
    pub(crate) fn listen(self: &Arc<Self>, bus: &Emitter, folder: &Path) -> Vec<Subscription> {
        let (folder, same_folder) = (folder.to_owned(), folder.to_owned());
        vec![
            bus.topics("fs.**").listen::<Change>().named("log").on_with(move |change, cx| {
                print_line(&format_args!("{}: {}", cx.topic().unwrap_or_default(), short(&change.path, &folder)))
            }),
            bus.listen::<Settled>().named("log").on_weak(self, move |log: &Self, settled| {
                log.settled.fetch_add(1, Relaxed);
                print_line(&format_args!("settled: {}", short(&settled.path, &same_folder)))
            }),
        ]
    }

    /// The bus's error channel.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.failures.fetch_add(1, Relaxed);
        let error = if let Cause::Error(error) = failure.cause() { error.downcast_ref::<Trouble>() } else { None };
        match error {
            Some(trouble) => tell(trouble),
            // A bug in a listener: then it matters which one.
            None => tell(failure),
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32} {:>9}", "paths that settled", self.settled.load(Relaxed))?;
        writeln!(f, "{:<32} {:>9}", "failures", self.failures.load(Relaxed))
    }
}

/// As seen from the folder that is watched.
fn short(path: &Path, folder: &Path) -> String {
    let below = path.strip_prefix(folder).ok().filter(|below| !below.as_os_str().is_empty());
    below.map_or_else(|| PathBuf::from(path), PathBuf::from).display().to_string()
}

/// Prints a line.
pub(crate) fn print_line(text: &dyn fmt::Display) -> Result<(), BoxError> {
    print(&line(text))
}

/// Prints to stdout. A reader that left early, as `head` does, has seen enough.
pub(crate) fn print(text: &dyn fmt::Display) -> Result<(), BoxError> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("can't print: {error}").into()),
        _ => Ok(()),
    }
}

/// Writes a line to stderr, in one go. If nobody reads it, nobody wants it.
pub(crate) fn tell(text: &dyn fmt::Display) {
    let _ = io::stderr().write_all(line(text).as_bytes());
}

/// What comes from outside must neither break the line nor command the terminal.
fn line(text: &dyn fmt::Display) -> String {
    let mut line = String::new();
    for c in text.to_string().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line.push('\n');
    line
}
