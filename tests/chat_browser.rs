//! The page of the example `chat` in a real browser, headless and told what to do through chromedriver: it shows what others write.
#![cfg(feature = "async")]
#![cfg(not(miri))] // which starts no processes

#[path = "common/chat.rs"]
mod chat;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chat::{Browser, Chat, PATIENCE};
use serde_json::{Value, json};

/// How long the page has to show what it should.
const SHOWS_WITHIN: Duration = Duration::from_secs(15);
/// How long the driver has to go when it was asked to. Then it is killed.
const GOES_WITHIN: Duration = Duration::from_secs(5);

/// Chromium, and the driver that it is told through.
struct Chromium {
    driver: Child,
    /// Kept open, as the driver may print more.
    stdout: BufReader<ChildStdout>,
    /// `127.0.0.1:1234`.
    address: String,
    /// `/session/…`, once there is one.
    session: String,
}

impl Chromium {
    fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; Debian has it in `chromium-driver`"));
        let stdout = BufReader::new(driver.stdout.take().expect("a pipe"));
        // From here on it is killed if something fails.
        let mut chromium = Self { driver, stdout, address: String::new(), session: String::new() };
        let mut lines = chromium.stdout.by_ref().lines().map(|line| line.expect("text"));
        let port = lines
            .find_map(|line| line.strip_prefix("ChromeDriver was started successfully on port ").map(str::to_owned))
            .expect("the driver tells its port");
        chromium.address = format!("127.0.0.1:{}", port.trim_end_matches('.'));

        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let options = json!({ "browserName": "chrome", "goog:chromeOptions": { "args": arguments } });
        let session = chromium.tell("/session", json!({ "capabilities": { "alwaysMatch": options } }));
        let id = session["sessionId"].as_str().expect("a session has an id");
        chromium.session = format!("/session/{id}");
        chromium
    }

    fn open(&self, url: &str) {
        self.tell_session("/url", json!({ "url": url }));
    }

    /// What one would read on the page.
    fn text(&self) -> String {
        let script = json!({ "script": "return document.body.innerText", "args": [] });
        self.tell_session("/execute/sync", script).as_str().expect("text").to_owned()
    }

    #[track_caller]
    fn wait_for(&self, part: &str) {
        let end = Instant::now() + SHOWS_WITHIN;
        loop {
            let text = self.text();
            if text.contains(part) {
                return;
            }
            assert!(Instant::now() < end, "no {part:?} in {text:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn tell_session(&self, command: &str, parameters: Value) -> Value {
        self.tell(&format!("{}{command}", self.session), parameters)
    }

    #[track_caller]
    fn tell(&self, path: &str, parameters: Value) -> Value {
        let (status, body) = Browser::to(&self.address).request("POST", path, &parameters.to_string());
        assert_eq!(status, 200, "{path}: {body}");
        let mut answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["value"].take()
    }

    /// Asks the driver to end Chromium, tidy up and go.
    fn shut_down(&mut self) -> io::Result<()> {
        let mut connection = TcpStream::connect(&self.address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET /shutdown HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        connection.write_all(request.as_bytes())?;
        connection.read_exact(&mut [0])?;
        let end = Instant::now() + GOES_WITHIN;
        while self.driver.try_wait()?.is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// A test that fails leaves no process behind.
impl Drop for Chromium {
    fn drop(&mut self) {
        // Chromium would outlive a driver that is only killed. Nothing may panic here.
        let _ = self.shut_down();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn the_page_shows_what_another_client_sent_as_it_was_written() {
    let chat = Chat::open(&[]);
    let chromium = Chromium::start();
    chromium.open(&format!("http://{}/#tea", chat.address));
    chromium.wait_for("You are in “tea”.");

    let mut other = chat.browser();
    other.say("lobby", "Ann", "not for this room");
    other.say("tea", "Ann", "<b>hi & bye</b>");
    chromium.wait_for("<b>hi & bye</b>");
    let text = chromium.text();
    assert!(text.contains("Ann") && !text.contains("not for this room"), "{text}");
}
