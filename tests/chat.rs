//! The example `chat`, run as a program and spoken to over HTTP: who gets which message, what is refused, and how it ends.
#![cfg(feature = "async")]
#![cfg(not(miri))] // which starts no processes

#[path = "common/chat.rs"]
mod chat;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use chat::{Chat, PATIENCE, connect, head};

struct Ended {
    status: Option<i32>,
    /// After the line with the address.
    stdout: String,
    stderr: String,
}

impl Chat {
    /// In this room, once the server has let it in.
    fn hear(&self, room: &str) -> Hearing {
        let mut connection = connect(&self.address);
        // In HTTP/1.0 the body is what comes until the end.
        let request = format!("GET /rooms/{room} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address);
        connection.get_mut().write_all(request.as_bytes()).expect("it reads");
        let (status, headers) = head(&mut connection);
        assert_eq!(status, 200);
        assert!(headers.iter().any(|header| header == "content-type: text/event-stream"), "{headers:?}");
        let mut hearing = Hearing { connection };
        assert_eq!(hearing.event(), Some(("joined".into(), room.into())));
        hearing
    }

    #[cfg(unix)]
    fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a `kill`").success());
    }

    /// Waits until it is done.
    fn end(mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let mut told = self.child.stderr.take().expect("a pipe");
        let (tell, ended) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                self.stdout.read_to_string(&mut stdout).expect("text");
                told.read_to_string(&mut stderr).expect("text");
                tell.send(()).expect("this test waits");
            });
            if ended.recv_timeout(PATIENCE).is_err() {
                // The pipes end with it, and so this test.
                let _ = self.child.kill();
                panic!("it doesn't end");
            }
        });
        let status = self.child.wait().expect("it was started").code();
        Ended { status, stdout, stderr }
    }
}

impl Ended {
    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!((self.status, &*self.stdout, &*self.stderr), (Some(0), "", ""));
    }
}

/// A connection on which events come.
struct Hearing {
    connection: BufReader<TcpStream>,
}

impl Hearing {
    /// The next event's name and data. None when they have ended.
    fn event(&mut self) -> Option<(String, String)> {
        let (mut name, mut data) = (None, None);
        loop {
            let mut line = String::new();
            if self.connection.read_line(&mut line).expect("an event in time") == 0 {
                assert_eq!(name, None, "it ended within an event");
                return None;
            }
            match line.trim_end_matches('\n').split_once(':') {
                Some(("event", text)) => name = Some(text.trim_start().to_owned()),
                Some(("data", text)) => data = Some(text.trim_start().to_owned()),
                // A comment, which keeps the connection alive.
                Some(("", _)) => {}
                Some(other) => panic!("{other:?}"),
                None => {
                    if let Some(name) = name.take() {
                        return Some((name, data.expect("browsers skip an event without data")));
                    }
                }
            }
        }
    }

    /// The next event, which is a message: who said what.
    #[track_caller]
    fn said(&mut self) -> (String, String) {
        let event = self.event();
        let Some((name, data)) = &event else { panic!("the end instead of a message") };
        assert_eq!(name, "said", "{data}");
        message(data)
    }
}

fn message(data: &str) -> (String, String) {
    let message: serde_json::Value = serde_json::from_str(data).expect("JSON");
    let part = |name: &str| message[name].as_str().expect("text").to_owned();
    (part("name"), part("text"))
}

fn pair(name: &str, text: &str) -> (String, String) {
    (name.into(), text.into())
}

#[test]
fn the_page_is_served_and_sets_what_others_wrote_as_text_only() {
    let chat = Chat::open(&[]);
    let (status, page) = chat.browser().request("GET", "/", "");
    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>") && page.contains("new EventSource("), "{page}");
    for dangerous in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
        assert!(!page.contains(dangerous), "{dangerous}");
    }
    assert_eq!(chat.browser().request("GET", "/nowhere", "").0, 404);
}

#[test]
fn a_message_reaches_everybody_in_the_room_as_it_was_written() {
    let chat = Chat::open(&[]);
    let (mut one, mut two) = (chat.hear("lobby"), chat.hear("lobby"));
    let mut browser = chat.browser();
    let odd = "<script>alert(\"1\")</script>\r\n\ndata: forged\u{2028}\0 \u{1f980}";
    for text in ["hello", odd] {
        browser.say("lobby", "Ann", text);
        assert_eq!([one.said(), two.said()], [pair("Ann", text), pair("Ann", text)]);
    }
}

#[test]
fn nobody_hears_what_is_said_in_another_room() {
    let chat = Chat::open(&[]);
    let (mut a, mut b, mut c) = (chat.hear("a"), chat.hear("b"), chat.hear("b.c"));
    let mut browser = chat.browser();
    for (number, room) in ["a", "b", "nobody", "b.c", "a", "b", "b.c"].into_iter().enumerate() {
        browser.say(room, room, &number.to_string());
    }
    assert_eq!([a.said(), a.said()], [pair("a", "0"), pair("a", "4")]);
    assert_eq!([b.said(), b.said()], [pair("b", "1"), pair("b", "5")]);
    assert_eq!([c.said(), c.said()], [pair("b.c", "3"), pair("b.c", "6")]);
}

#[test]
fn a_name_that_is_no_topic_is_refused_with_the_reason() {
    let chat = Chat::open(&[]);
    let mut browser = chat.browser();
    for (room, reason) in [
        ("*", "\"room.*\" is no topic: a wildcard at byte 5"),
        ("%2A%2A", "\"room.**\" is no topic: a wildcard at byte 5"),
        ("two%20words", "\"room.two words\" is no topic: white space at byte 8"),
        ("a..b", "\"room.a..b\" is no topic: an empty segment at byte 7"),
        ("a%0Ab", "\"room.a\\nb\" is no topic: "),
    ] {
        for (status, text) in
            [browser.post(room, "Ann", "hello"), browser.request("GET", &format!("/rooms/{room}"), "")]
        {
            assert_eq!(status, 400, "{room}");
            assert!(text.starts_with(reason), "{text}");
        }
    }
    let (status, text) = browser.post(&"x".repeat(300), "Ann", "hello");
    assert!(status == 400 && text.contains("is no topic: "), "{status}: {text}");
}

#[test]
fn a_message_that_is_empty_too_long_or_none_is_refused_and_the_longest_is_not() {
    let chat = Chat::open(&[]);
    let mut hearing = chat.hear("lobby");
    let mut browser = chat.browser();
    for (name, text, reason) in [
        (" ", "hello", "the name is empty"),
        ("Ann", "\n", "the text is empty"),
        (&*"x".repeat(41), "hello", "the name has 41 characters: 40 is the most"),
        ("Ann", &*"é".repeat(2_001), "the text has 2001 characters: 2000 is the most"),
    ] {
        assert_eq!(browser.post("lobby", name, text), (400, reason.into()));
    }
    for body in ["", "hello", "{\"name\":\"Ann\"}", "[]"] {
        let (status, _) = browser.request("POST", "/rooms/lobby", body);
        assert!((400..500).contains(&status), "{status} for {body:?}");
    }
    // One byte too many, so that it has read them all when it hangs up.
    assert_eq!(chat.browser().request("POST", "/rooms/lobby", &" ".repeat(32 * 1024 + 1)).0, 413);

    let escaped = (0..2_000).fold(String::new(), |mut escaped, _| {
        write!(escaped, "\\ud83e\\udd80").expect("it grows");
        escaped
    });
    let longest = format!("{{\"name\":\" Ann \",\"text\":\"{escaped}\"}}");
    assert_eq!(browser.request("POST", "/rooms/lobby", &longest).0, 204);
    assert_eq!(hearing.said(), pair("Ann", &"\u{1f980}".repeat(2_000)));
}

#[test]
fn a_slow_browser_is_told_how_many_it_missed_and_keeps_nobody_waiting() {
    const MESSAGES: u64 = 800;
    let chat = Chat::open(&[]);
    let (mut slow, mut fast) = (chat.hear("lobby"), chat.hear("lobby"));
    let mut browser = chat.browser();
    // More than the system keeps for a connection, several times.
    let padding = "\u{1f980}".repeat(1_990);
    for number in 0..MESSAGES {
        let text = format!("{number} {padding}");
        browser.say("lobby", "Ann", &text);
        assert_eq!(fast.said(), pair("Ann", &text));
    }
    let (mut said, mut missed) = (0, 0);
    loop {
        let (name, data) = slow.event().expect("all is open");
        match &*name {
            "missed" => {
                let more: u64 = data.parse().expect("a number");
                assert_ne!(more, 0);
                missed += more;
            }
            "said" => {
                let (_, text) = message(&data);
                let number: u64 = text.split_once(' ').expect("a number and padding").0.parse().expect("a number");
                assert!((said..=said + missed).contains(&number), "{number} after {said} and {missed} missed");
                said += 1;
                if number == MESSAGES - 1 {
                    break;
                }
            }
            other => panic!("{other}: {data}"),
        }
    }
    assert!(missed > 0 && said >= 32, "{said} said, {missed} missed");
    assert_eq!(said + missed, MESSAGES);
    // From here on it is as good as any.
    browser.say("lobby", "Ann", "the end");
    assert_eq!([slow.said(), fast.said()], [pair("Ann", "the end"), pair("Ann", "the end")]);
}

#[test]
fn a_time_ends_it_and_everybody_s_events() {
    let chat = Chat::open(&["--for", "2s"]);
    let mut hearing = chat.hear("lobby");
    assert_eq!(hearing.event(), None);
    chat.end().assert_clean();
}

#[test]
fn arguments_that_make_no_sense_and_a_port_that_is_taken_are_one_line_and_status_2() {
    let chat = Chat::open(&[]);
    let port = chat.address.rsplit(':').next().expect("a port");
    for (arguments, says) in [
        (&["--port", port][..], &*format!("can't listen on port {port}: ")),
        (&["--port"], "--port needs a number; usage: "),
        (&["--port", "65536"], "--port \"65536\" is no port; usage: "),
        (&["--for"], "--for needs a time; usage: "),
        (&["--for", "5"], "--for \"5\" is no time; usage: "),
        (&["lob\nby"], "what is \"lob\\nby\"? usage: "),
    ] {
        let ended = Chat::start(arguments).end();
        assert_eq!((ended.status, &*ended.stdout), (Some(2), ""), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.starts_with(&format!("chat: {says}")), "{}", ended.stderr);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_and_everybody_s_events() {
    for arguments in [&[][..], &["--for", "1000s"]] {
        let chat = Chat::open(arguments);
        let (mut one, mut two) = (chat.hear("lobby"), chat.hear("other"));
        let mut browser = chat.browser();
        browser.say("lobby", "Ann", "hello");
        chat.interrupt();
        assert_eq!(one.said(), pair("Ann", "hello"));
        assert_eq!((one.event(), two.event()), (None, None));
        chat.end().assert_clean();
    }
}

#[cfg(unix)]
#[test]
fn a_browser_that_never_reads_doesnt_keep_it_from_ending() {
    let chat = Chat::open(&[]);
    let _slow = chat.hear("lobby");
    let mut browser = chat.browser();
    let text = "\u{1f980}".repeat(2_000);
    for _ in 0..400 {
        browser.say("lobby", "Ann", &text);
    }
    chat.interrupt();
    chat.end().assert_clean();
}
