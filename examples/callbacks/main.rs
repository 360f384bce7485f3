//! Ad-hoc callbacks replaced: the same small download manager with lists of callbacks (`before.rs`) and on a bus
//! (`after.rs`), put through the same session side by side. At the end of `after.rs` is what the tests are like now.
//!
//! ```sh
//! cargo run --example callbacks
//! cargo test --example callbacks
//! ```
//!
//! In the session an index is downloaded, and with it what it lists. Then the window is closed, and one more file follows.

mod after;
mod before;

use std::sync::{Arc, Mutex, PoisonError};

/// What the modules write on; a shared list of lines.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<String>>>);

impl Screen {
    fn say(&self, line: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Stands in for the network: what the index has in it.
const INDEX: [&str; 2] = ["tools.zip", "broken.zip"];

/// Stands in for an archive library.
fn unzip(file: &str) -> Result<(), String> {
    if file.starts_with("broken") { Err(format!("{file} is no archive")) } else { Ok(()) }
}

fn main() {
    let (before, after) = (Screen::default(), Screen::default());
    before::session(&before);
    after::session(&after);

    println!("{:40} AFTER: A BUS", "BEFORE: LISTS OF CALLBACKS");
    let (before, after) = (before.lines(), after.lines());
    for (before, after) in steps(&before).zip(steps(&after)) {
        for row in 0..before.len().max(after.len()) {
            let line = |step: &[String]| step.get(row).cloned().unwrap_or_default();
            println!("{:40} {}", line(before), line(after));
        }
    }
}

/// A step of the session is a line and the indented ones that come of it.
fn steps(lines: &[String]) -> impl Iterator<Item = &[String]> {
    lines.chunk_by(|_, next| next.starts_with(' '))
}
