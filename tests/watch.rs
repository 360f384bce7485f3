//! The example `watch`, run as a program on a folder of its own: what it tells of what happens there, and how it ends.

#![cfg(not(miri))] // which starts no processes

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// An empty folder, which goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("watch_{name}_{}", std::process::id()));
        // What a test left that was ended from outside.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder of its own");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str) {
        fs::write(self.path(name), "text").expect("it can be written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The example while it runs.
struct Watch {
    child: Child,
    /// The lines of stdout, as they come.
    lines: Receiver<String>,
    stdout: String,
}

struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Watch {
    fn start(arguments: &[&str]) -> Self {
        let example = example();
        let mut child = Command::new(&example)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `cargo build --examples` makes it", example.display()));
        let (tell, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        // Read all the while, or a full pipe would stop the example.
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, stdout: String::new() }
    }

    /// On this folder, once it watches.
    fn on(folder: &Folder, arguments: &[&str]) -> Self {
        let mut watch = Self::start(&[arguments, &[folder.0.to_str().expect("a path in plain letters")]].concat());
        watch.wait_for("watching ");
        watch
    }

    /// Until a line begins so.
    fn wait_for(&mut self, start: &str) {
        self.wait_while(|line| !line.starts_with(start), start);
    }

    fn wait_while(&mut self, mut goes_on: impl FnMut(&str) -> bool, what: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("no {what:?}: {error}; it printed\n{}", self.stdout));
            self.keep(&line);
            if !goes_on(&line) {
                return;
            }
        }
    }

    fn keep(&mut self, line: &str) {
        self.stdout.push_str(line);
        self.stdout.push('\n');
    }

    #[cfg(unix)]
    fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a `kill`").success());
    }

    /// Waits until it is done.
    fn end(mut self) -> Ended {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.keep(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it doesn't end; it printed\n{}", self.stdout),
            }
        }
        let mut stderr = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
        let status = self.child.wait().expect("it was started").code();
        Ended { status, stdout: std::mem::take(&mut self.stdout), stderr }
    }
}

/// A test that fails leaves no process behind.
impl Drop for Watch {
    fn drop(&mut self) {
        // In vain if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The number at the end of this row of the summary.
    fn count(&self, label: &str) -> u64 {
        let is_row = |line: &&str| line.strip_prefix(label).is_some_and(|rest| rest.starts_with(' '));
        let rows: Vec<_> = self.stdout.lines().filter(is_row).collect();
        let [row] = rows[..] else { panic!("{label:?} has {} rows in\n{}", rows.len(), self.stdout) };
        let number = row[label.len()..].trim();
        number.parse().unwrap_or_else(|error| panic!("{row}: {error}"))
    }

    /// How many lines are this one.
    fn lines(&self, text: &str) -> u64 {
        self.stdout.lines().filter(|line| *line == text).count() as u64
    }

    /// It ended well: the summary adds up, and nothing failed.
    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!((self.status, &*self.stderr), (Some(0), ""), "{}", self.stdout);
        assert_eq!((self.count("  undelivered"), self.count("failures")), (0, 0), "{}", self.stdout);
        assert_eq!(self.count("fs.**"), self.count("changes the system told of"));
        let logged = self.stdout.lines().filter(|line| line.starts_with("fs.") && line.contains(": ")).count();
        assert_eq!(self.count("fs.**"), logged as u64, "{}", self.stdout);
        let settled = self.stdout.lines().filter(|line| line.starts_with("settled: ")).count();
        assert_eq!(self.count("paths that settled"), settled as u64, "{}", self.stdout);
    }
}

/// `cargo test` builds the examples too, into a folder beside that of the tests.
fn example() -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/…");
    profile.join("examples").join("watch").with_extension(env::consts::EXE_EXTENSION)
}

/// One line that says this, the status 2, and nothing else.
#[track_caller]
fn assert_refused(arguments: &[&str], expected: &str) {
    let ended = Watch::start(arguments).end();
    assert_eq!((ended.status, &*ended.stdout), (Some(2), ""), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with(&format!("watch: {expected}")), "{}", ended.stderr);
}

#[test]
fn a_time_ends_it_with_a_summary_of_what_happened() {
    let folder = Folder::new("time");
    let mut watch = Watch::on(&folder, &["--for", "3s"]);
    folder.write("a.rs");
    folder.write("b.txt");
    watch.wait_for("settled: ");
    watch.wait_for("settled: ");
    let ended = watch.end();
    ended.assert_clean();
    assert!(ended.count("fs.created.*") >= 2, "{}", ended.stdout);
    assert!(ended.count("fs.*.rs") >= 1 && ended.count("fs.*.txt") >= 1, "{}", ended.stdout);
    assert_eq!((ended.lines("settled: a.rs"), ended.lines("settled: b.txt")), (1, 1));
    assert_eq!(ended.count("paths still changing"), 0);
}

#[test]
fn a_folder_in_which_nothing_happens_gives_a_summary_of_nothing() {
    let folder = Folder::new("nothing");
    let ended = Watch::on(&folder, &["--for", "50ms"]).end();
    ended.assert_clean();
    assert_eq!((ended.count("fs.**"), ended.count("paths that settled")), (0, 0));
}

#[test]
fn a_folder_that_does_not_exist_or_is_none_is_one_line_and_status_2() {
    let folder = Folder::new("missing");
    let missing = folder.path("missing");
    let missing = missing.to_str().expect("a path in plain letters");
    assert_refused(&[missing], &format!("can't watch {missing}: "));
    folder.write("file");
    let file = folder.path("file");
    let file = file.to_str().expect("a path in plain letters");
    assert_refused(&["--for", "5s", file], &format!("can't watch {file}: not a directory"));
}

#[test]
fn arguments_that_make_no_sense_are_one_line_and_status_2() {
    assert_refused(&[], "which folder? usage: ");
    assert_refused(&["--for", "5s"], "which folder? usage: ");
    assert_refused(&["--fro", "5s", "."], "unknown flag \"--fro\"; usage: ");
    assert_refused(&["-v", "."], "unknown flag \"-v\"; usage: ");
    assert_refused(&[".", "--for"], "--for needs a time; usage: ");
    assert_refused(&[".", ".."], "one folder at a time, and \"..\" is the second; usage: ");
    for time in ["", "5", "s", "5m", "-5s", "+5s", "5 s", "1.5s", "99999999999999999999s", "5s\nwatch: forged"] {
        assert_refused(&["--for", time, "."], "--for ");
    }
}

#[cfg(unix)]
mod interrupted {
    use super::*;

    impl Watch {
        fn interrupt_and_end(self) -> Ended {
            self.interrupt();
            self.end()
        }
    }

    #[test]
    fn ctrl_c_ends_it_with_a_summary_and_nothing_undelivered() {
        for arguments in [&[][..], &["--for", "1000s"]] {
            let folder = Folder::new("interrupt");
            let mut watch = Watch::on(&folder, arguments);
            folder.write("a.rs");
            watch.wait_for("settled: a.rs");
            let ended = watch.interrupt_and_end();
            ended.assert_clean();
            assert_eq!(ended.count("paths still changing"), 0);
        }
    }

    #[test]
    fn ctrl_c_amid_a_storm_of_changes_loses_none_that_the_system_told_of() {
        let folder = Folder::new("storm");
        let mut watch = Watch::on(&folder, &[]);
        let path = folder.0.clone();
        let (stop, stopped) = channel::<()>();
        let storm = thread::spawn(move || {
            for number in 0.. {
                if stopped.try_recv().is_err_and(|error| error == std::sync::mpsc::TryRecvError::Disconnected) {
                    return;
                }
                fs::write(path.join(format!("{}.txt", number % 50)), "text").expect("it can be written");
            }
        });
        let mut lines = 0;
        let enough = |_: &str| {
            lines += 1;
            lines < 1_000
        };
        watch.wait_while(enough, "storm");
        watch.interrupt();
        // Not before the signal has come: what is under way then must not get lost.
        thread::sleep(Duration::from_millis(100));
        drop(stop);
        storm.join().expect("no panic");
        let ended = watch.end();
        assert_eq!((ended.status, ended.count("  undelivered")), (Some(0), 0), "{}", ended.stderr);
        assert!(ended.count("fs.*.txt") >= 999);
        // The system may have been too slow, and then says so.
        let told = ended.stderr.lines().filter(|line| line.contains("some are missing")).count();
        assert_eq!(ended.count("failures"), told as u64, "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), told, "{}", ended.stderr);
    }

    #[test]
    fn many_writes_to_a_file_settle_it_a_few_times_at_most() {
        let folder = Folder::new("burst");
        let mut watch = Watch::on(&folder, &[]);
        for _ in 0..200 {
            folder.write("a.txt");
        }
        folder.write("last.txt");
        watch.wait_for("settled: last.txt");
        let ended = watch.interrupt_and_end();
        ended.assert_clean();
        let settled = ended.lines("settled: a.txt");
        assert!((1..10).contains(&settled), "{settled} times");
        assert!(ended.count("fs.**") > 100);
    }

    #[test]
    fn what_is_changing_still_at_the_end_is_counted_and_no_failure() {
        let folder = Folder::new("unsettled");
        let mut watch = Watch::on(&folder, &[]);
        folder.write("a.txt");
        watch.wait_for("fs.");
        let ended = watch.interrupt_and_end();
        ended.assert_clean();
        assert_eq!(ended.count("paths still changing") + ended.count("paths that settled"), 1, "{}", ended.stdout);
    }

    #[test]
    fn a_reader_that_leaves_early_is_no_failure() {
        let folder = Folder::new("reader");
        let mut watch = Watch::start(&["--for", "1s", folder.0.to_str().expect("a path in plain letters")]);
        watch.wait_for("watching ");
        // The thread that reads goes with the next line, and the pipe with it.
        watch.lines = channel().1;
        for _ in 0..10 {
            folder.write("a.txt");
            thread::sleep(Duration::from_millis(20));
        }
        let status = watch.child.wait().expect("it was started").code();
        let mut stderr = String::new();
        watch.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
        assert_eq!((status, &*stderr), (Some(0), ""));
    }

    /// As inotify tells it; other systems have their own ways.
    #[cfg(target_os = "linux")]
    #[test]
    fn each_kind_of_change_is_told_on_its_topic_and_counted() {
        let folder = Folder::new("kinds");
        let mut watch = Watch::on(&folder, &[]);
        folder.write("a.rs");
        watch.wait_for("settled: a.rs");
        fs::rename(folder.path("a.rs"), folder.path("b.txt")).expect("it is there");
        watch.wait_for("settled: b.txt");
        fs::remove_file(folder.path("b.txt")).expect("it is there");
        fs::create_dir(folder.path("below")).expect("there is none");
        watch.wait_for("settled: below");
        folder.write("below/c.rs");
        watch.wait_for("settled: below/c.rs");
        let ended = watch.interrupt_and_end();
        ended.assert_clean();
        for line in [
            "fs.created.rs: a.rs",
            "fs.renamed.rs: a.rs",
            "fs.renamed.txt: b.txt",
            "fs.removed.txt: b.txt",
            "fs.created.none: below",
            "fs.created.rs: below/c.rs",
        ] {
            assert_eq!(ended.lines(line), 1, "{line}: {}", ended.stdout);
        }
        assert!(ended.lines("fs.modified.rs: a.rs") >= 1);
        let rows = ["fs.created.*", "fs.renamed.*", "fs.removed.*", "fs.*.txt"].map(|pattern| ended.count(pattern));
        assert_eq!(rows, [3, 2, 1, 2], "{}", ended.stdout);
        assert_eq!(ended.lines("settled: a.rs"), 1, "what is gone doesn't settle again");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_extension_that_may_not_be_part_of_a_topic_counts_as_none() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let folder = Folder::new("extensions");
        let mut watch = Watch::on(&folder, &[]);
        let long = format!("a.{}", "x".repeat(250));
        let names =
            [&b"plain"[..], b".hidden", b"a.two words", b"a.*", b"a.**", b"a.x\ty", b"a.\xff", b"a.", long.as_bytes()];
        for name in names {
            fs::write(folder.0.join(OsStr::from_bytes(name)), "text").expect("it can be written");
        }
        folder.write("last.Ünï");
        watch.wait_for("settled: last.Ünï");
        let ended = watch.interrupt_and_end();
        ended.assert_clean();
        let created = |extension: &str| {
            let start = format!("fs.created.{extension}: ");
            ended.stdout.lines().filter(|line| line.starts_with(&start)).count()
        };
        assert_eq!((created("none"), created("Ünï")), (names.len(), 1), "{}", ended.stdout);
        assert_eq!(ended.lines("fs.created.none: a.x\\ty"), 1, "{}", ended.stdout);
    }
}
