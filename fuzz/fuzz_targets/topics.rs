//! Topics: what is valid, which pattern matches which topic, and whom a bus with these patterns calls, against the rule and nothing else.
//!
//! The input is read as text: the first character separates, lines are names.
#![no_main]

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use hearken::{BoxError, Builder, Pattern, Subscription, Topic, TopicError};
use libfuzzer_sys::fuzz_target;

/// Enough for patterns to meet; a naive match of more would take for ever.
const NAMES: usize = 12;
/// The naive matcher is exponential in these.
const GLOBS: usize = 4;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut rest = text.chars();
    let Some(separator) = rest.next() else { return };
    let names: Vec<&str> = rest.as_str().split('\n').take(NAMES).collect();
    for name in &names {
        check_parsers(name, separator);
    }
    let patterns: Vec<_> = names.iter().filter_map(|name| Pattern::parse_with(name, separator).ok()).collect();
    let topics: Vec<_> = names.iter().filter_map(|name| Topic::parse_with(name, separator).ok()).collect();
    check_matches(&patterns, &topics);
    if !patterns.is_empty() {
        check_bus(&patterns, &topics, separator);
    }
});

/// What may separate, said once more.
fn can_separate(c: char) -> bool {
    c != '*' && !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control()
}

fn is_valid(text: &str, separator: char, allows_wildcards: bool) -> bool {
    let segments: Vec<_> = text.split(separator).collect();
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '*';
    let is_segment = |segment: &&str| {
        (allows_wildcards && matches!(*segment, "*" | "**")) || (!segment.is_empty() && segment.chars().all(is_plain))
    };
    can_separate(separator) && text.len() <= 255 && segments.len() <= 32 && segments.iter().all(is_segment)
}

fn check_parsers(text: &str, separator: char) {
    let topic = Topic::parse_with(text, separator);
    let pattern = Pattern::parse_with(text, separator);
    assert_eq!(topic.is_ok(), is_valid(text, separator, false), "{text:?}");
    assert_eq!(pattern.is_ok(), is_valid(text, separator, true), "{text:?}");
    if let Ok(topic) = &topic {
        assert_eq!((topic.as_str(), topic.separator()), (text, separator));
        assert!(pattern.is_ok(), "every topic is a pattern");
    }
    [topic.err(), pattern.err()].iter().flatten().for_each(|error| check_error(error, text));
    assert_eq!(text.parse::<Topic>().ok(), Topic::parse_with(text, '.').ok());
    assert_eq!(text.parse::<Pattern>().ok(), Pattern::parse_with(text, '.').ok());
}

fn check_error(error: &TopicError, text: &str) {
    assert!(error.at() <= text.len());
    assert!(text.starts_with(error.text()) && error.text().len() <= 255);
    let mut line = String::new();
    write!(line, "{error}").expect("a string takes everything");
    assert!(line.contains(&format!(" at byte {};", error.at())), "{line}");
    assert!(line.len() < 2_000 && !line.contains('\n'), "{line}");
}

/// The rule, and nothing else.
fn matches(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**", behind @ ..], _) => (0..=topic.len()).any(|skipped| matches(behind, &topic[skipped..])),
        (["*", behind @ ..], [_, rest @ ..]) => matches(behind, rest),
        ([name, behind @ ..], [segment, rest @ ..]) => name == segment && matches(behind, rest),
        _ => false,
    }
}

/// `None` where the rule would take for ever.
fn expected(pattern: &Pattern, topic: &Topic) -> Option<bool> {
    let pattern: Vec<_> = pattern.as_str().split(pattern.separator()).collect();
    let topic: Vec<_> = topic.as_str().split(topic.separator()).collect();
    let globs = pattern.iter().filter(|segment| **segment == "**").count();
    (globs <= GLOBS).then(|| matches(&pattern, &topic))
}

fn check_matches(patterns: &[Pattern], topics: &[Topic]) {
    for (pattern, topic) in patterns.iter().flat_map(|pattern| topics.iter().map(move |topic| (pattern, topic))) {
        if let Some(expected) = expected(pattern, topic) {
            assert_eq!(pattern.matches(topic), expected, "{pattern} on {topic}");
        }
    }
}

struct Event;

/// Adds a listener for each pattern, then removes them one after the other; every topic is emitted on in between, until the bus
/// remembers it. Here `matches` is the rule: it was checked.
fn check_bus(patterns: &[Pattern], topics: &[Topic], separator: char) {
    let bus = Builder::<BoxError>::new().separator(separator).build(hearken::panic);
    let called = Arc::new(Mutex::new(Vec::new()));
    let listen = |(nth, pattern): (usize, &Pattern)| {
        let called = Arc::clone(&called);
        let call = move || called.lock().expect("no listener panics").push(nth);
        match nth % 3 {
            0 => bus.topics(pattern.as_str()).on(move |_: &Event| call()),
            1 => bus.topics(pattern.as_str()).on_any(move |_| call()),
            // Another pattern too, which may be the same.
            _ => bus.topics(pattern.as_str()).listen::<Event>().topics(patterns[0].as_str()).on(move |_| call()),
        }
    };
    let mut all: Vec<(usize, Subscription)> = Vec::new();
    for (nth, pattern) in patterns.iter().enumerate() {
        all.push((nth, listen((nth, pattern))));
    }
    let hears =
        |nth: usize, topic: &Topic| patterns[nth].matches(topic) || (nth % 3 == 2 && patterns[0].matches(topic));
    loop {
        for topic in topics {
            let wanted: Vec<_> = all.iter().map(|&(nth, _)| nth).filter(|&nth| hears(nth, topic)).collect();
            for _ in 0..3 {
                let emission = bus.topic(topic.as_str()).emit(&Event);
                assert_eq!(emission.heard, wanted.iter().filter(|nth| **nth % 3 != 1).count(), "on {topic}");
                let called = std::mem::take(&mut *called.lock().expect("no listener panics"));
                assert_eq!(called, wanted, "on {topic}");
            }
        }
        assert_eq!(bus.emit(&Event).heard, 0);
        if all.is_empty() {
            break;
        }
        drop(all.remove(all.len() * 2 / 3));
    }
}
