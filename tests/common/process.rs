//! Runs an example as a program, and looks at what it prints, what it exits with, and how much memory it takes.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// An example while it runs.
pub(crate) struct Example {
    child: Child,
    /// The lines of stderr, as they come.
    told: Receiver<String>,
    stderr: String,
}

impl Example {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let example = path(name);
        let mut child = Command::new(&example)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `cargo build --examples` makes it", example.display()));
        let (tell, told) = channel();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        // Read all the while, or a full pipe would stop the example.
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, told, stderr: String::new() }
    }

    pub(crate) fn write(&mut self, lines: impl AsRef<[u8]>) {
        self.child.stdin.as_mut().expect("a pipe").write_all(lines.as_ref()).expect("the example reads");
    }

    /// Until a failure of this line is told, and so everything before it is done.
    pub(crate) fn wait_for_line(&mut self, number: u64) {
        let start = format!("line {number}: ");
        loop {
            // Plenty: it is here to end a hopeless wait.
            let line = self.told.recv_timeout(Duration::from_secs(120)).expect("the example gets to this line");
            let is_it = line.starts_with(&start);
            self.keep(&line);
            if is_it {
                return;
            }
        }
    }

    fn keep(&mut self, line: &str) {
        self.stderr.push_str(line);
        self.stderr.push('\n');
    }

    /// Nobody reads what it prints from now on.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    /// The most memory it had at once so far, where `/proc` tells.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Ends its input and waits until it is done.
    pub(crate) fn close(mut self) -> Ended {
        drop(self.child.stdin.take());
        while let Ok(line) = self.told.recv() {
            self.keep(&line);
        }
        let mut stdout = String::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut stdout).expect("text");
        }
        let status = self.child.wait().expect("it was started").code();
        Ended { status, stdout, stderr: self.stderr }
    }
}

pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The number at the end of this row of the summary.
    pub(crate) fn count(&self, label: &str) -> u64 {
        let rows: Vec<_> = self.stdout.lines().filter_map(|line| line.strip_prefix(label)).collect();
        let [row] = rows[..] else { panic!("{label:?} has {} rows in\n{}", rows.len(), self.stdout) };
        row.trim().parse().unwrap_or_else(|error| panic!("{label}{row}: {error}"))
    }
}

/// `cargo test` builds the examples too, into a folder beside that of the tests. `cargo test --test …` does not: it runs
/// what was built before.
fn path(name: &str) -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/…");
    profile.join("examples").join(name).with_extension(env::consts::EXE_EXTENSION)
}

/// For what 100,000 lines, kept, would take, and more.
pub(crate) fn assert_grew_little(early: Option<u64>, late: Option<u64>) {
    match (early, late) {
        (Some(early), Some(late)) => assert!(late - early < 2 * 1024, "from {early} KiB to {late} KiB"),
        _ => eprintln!("not checked: /proc tells no peak of memory here"),
    }
}
