//! The example `chat`, run as a program, and requests over HTTP. For its tests, and the one in a browser.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The example while it runs.
pub(crate) struct Chat {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    /// `127.0.0.1:1234`.
    pub(crate) address: String,
}

impl Chat {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let example = example();
        let mut child = Command::new(&example)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; `cargo build --examples --all-features` makes it", example.display())
            });
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout, address: String::new() }
    }

    /// On a port of its own, once it listens.
    pub(crate) fn open(arguments: &[&str]) -> Self {
        let mut chat = Self::start(&[&["--port", "0"], arguments].concat());
        let mut line = String::new();
        chat.stdout.read_line(&mut line).expect("text");
        let address = line.trim_end().strip_prefix("listening on http://");
        chat.address = address.unwrap_or_else(|| panic!("it printed {line:?}")).to_owned();
        chat
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::to(&self.address)
    }
}

/// A test that fails leaves no process behind.
impl Drop for Chat {
    fn drop(&mut self) {
        // In vain if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection for one request after the other.
pub(crate) struct Browser {
    connection: BufReader<TcpStream>,
    host: String,
}

impl Browser {
    /// To any server on this machine.
    pub(crate) fn to(address: &str) -> Self {
        Self { connection: connect(address), host: address.to_owned() }
    }

    /// The status and the body.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.connection.get_mut().write_all(request.as_bytes()).expect("it reads");
        let (status, headers) = head(&mut self.connection);
        let length = headers.iter().find_map(|header| header.strip_prefix("content-length:"));
        let length = length.map_or(0, |length| length.trim().parse().expect("a number"));
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).expect("the whole body");
        (status, String::from_utf8(body).expect("text"))
    }

    pub(crate) fn post(&mut self, room: &str, name: &str, text: &str) -> (u16, String) {
        let body = serde_json::json!({ "name": name, "text": text }).to_string();
        self.request("POST", &format!("/rooms/{room}"), &body)
    }

    /// A message that is in order.
    #[track_caller]
    pub(crate) fn say(&mut self, room: &str, name: &str, text: &str) {
        assert_eq!(self.post(room, name, text), (204, String::new()));
    }
}

pub(crate) fn connect(address: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream.set_nodelay(true).expect("a connection");
    BufReader::new(stream)
}

/// The status and the headers, in small letters.
pub(crate) fn head(connection: &mut impl BufRead) -> (u16, Vec<String>) {
    let lines = connection.lines().map(|line| line.expect("an answer in time"));
    let mut lines = lines.take_while(|line| !line.is_empty());
    let first = lines.next().expect("an answer");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{first}")), lines.map(|line| line.to_lowercase()).collect())
}

/// `cargo test` builds the examples too, into a folder beside that of the tests.
fn example() -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/…");
    profile.join("examples").join("chat").with_extension(env::consts::EXE_EXTENSION)
}
