//! Topics: what a valid name is, which pattern matches which topic, and that narrowed listeners keep the whole contract.

mod common;

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use allocation_counter::{AllocationInfo, measure};
use common::{Drops, Log, caught, fail, in_time, keep, strict_bus, wait};
use hearken::{AnyEvent, BoxError, Builder, Context, Emitter, Failure, Pattern, Port, Subscription, Topic, TopicError};

#[derive(Clone, PartialEq, Debug)]
struct Order(u32);
#[derive(Clone)]
struct Refund;

// Names

/// A text, where it goes wrong, what is wrong, and the cure.
type Bad = (String, usize, &'static str, &'static str);

fn bad_in_both() -> Vec<Bad> {
    let between = "put a name between the separators `.`";
    let shorter = "shorten it, and put what varies into the event";
    let deep = ["a"; 33].join(".");
    vec![
        (String::new(), 0, "it is empty", "name at least one segment"),
        ("a..b".into(), 2, "an empty segment", between),
        (".a".into(), 0, "an empty segment", between),
        ("a.".into(), 2, "an empty segment", between),
        (".".into(), 0, "an empty segment", between),
        ("a b".into(), 1, "white space", "use `-` or `_`"),
        ("order.né w".into(), 9, "white space", "use `-` or `_`"),
        ("a.\u{2003}".into(), 2, "white space", "use `-` or `_`"),
        ("a.b\n".into(), 3, "white space", "use `-` or `_`"),
        ("a.\u{7}b".into(), 2, "a control character", "leave it out"),
        ("a\0".into(), 1, "a control character", "leave it out"),
        ("é".repeat(128), 254, "it is longer than 255 bytes", shorter),
        ("x".repeat(256), 255, "it is longer than 255 bytes", shorter),
        ("a.".repeat(1 << 19), 255, "it is longer than 255 bytes", shorter),
        (deep, 64, "it has more than 32 segments", shorter),
    ]
}

fn bad_topics() -> Vec<Bad> {
    let concrete = "a topic is concrete: listen to patterns by `topics`";
    let mut all = bad_in_both();
    all.extend([
        ("a.*".into(), 2, "a wildcard", concrete),
        ("**".into(), 0, "a wildcard", concrete),
        ("a.b*".into(), 3, "a wildcard", concrete),
        ("a.**.b".into(), 2, "a wildcard", concrete),
    ]);
    all
}

fn bad_patterns() -> Vec<Bad> {
    let whole = "a wildcard is a segment of its own, `*` or `**`";
    let mut all = bad_in_both();
    all.extend([
        ("a.b*".into(), 3, "a `*` inside a segment", whole),
        ("a.*b".into(), 2, "a `*` inside a segment", whole),
        ("***".into(), 0, "a `*` inside a segment", whole),
        ("a.***.b".into(), 2, "a `*` inside a segment", whole),
    ]);
    all
}

#[track_caller]
fn assert_says(error: &TopicError, noun: &str, (text, at, flaw, cure): &Bad) {
    let line = error.to_string();
    assert_eq!(error.at(), *at, "{line}");
    assert!(text.starts_with(error.text()), "{line}");
    assert!(text.len() > 255 || text == error.text(), "{line}");
    assert!(line.contains(&format!("is no {noun}: {flaw}")), "{line}");
    assert!(line.contains(&format!(" at byte {at}; ")), "{line}");
    assert!(line.ends_with(cure), "{line}");
    let shown = format!("{:?}", text.chars().take(60).collect::<String>());
    assert!(line.starts_with(&shown), "{line}");
    assert!(line.len() < 400 && !line.contains(char::is_control), "one line that fits a screen: {line}");
}

/// The `Err` of what has no `Debug` for its `Ok`.
#[track_caller]
fn refused<T>(result: Result<T, TopicError>) -> TopicError {
    match result {
        Ok(_) => panic!("it should have been refused"),
        Err(error) => error,
    }
}

#[test]
fn a_bad_topic_is_refused_with_the_place_and_the_cure() {
    let bus = strict_bus();
    for bad in bad_topics() {
        let error = refused(bus.try_topic(&bad.0));
        assert_says(&error, "topic", &bad);
        assert_eq!(refused(Topic::parse(&bad.0)), error);
        assert_eq!(refused(Topic::parse_with(&bad.0, '.')), error);
        assert_eq!(refused(bad.0.parse::<Topic>()), error);
    }
}

#[test]
fn a_bad_pattern_is_refused_with_the_place_and_the_cure() {
    let bus = strict_bus();
    for bad in bad_patterns() {
        let error = refused(bus.try_topics(&bad.0));
        assert_says(&error, "pattern", &bad);
        assert_eq!(refused(Pattern::parse(&bad.0)), error);
        assert_eq!(refused(Pattern::parse_with(&bad.0, '.')), error);
        assert_eq!(refused(bad.0.parse::<Pattern>()), error);
    }
}

#[test]
fn a_bad_topic_panics_at_the_callers_line_with_the_errors_text() {
    let bus = strict_bus();
    for (text, ..) in bad_topics() {
        let panic = caught(|| bus.topic(&text)).expect("it is no topic");
        assert_eq!((panic.file.as_str(), panic.line), (file!(), line!() - 1));
        assert_eq!(panic.message, refused(bus.try_topic(&text)).to_string());
    }
}

#[test]
fn a_bad_pattern_panics_at_the_callers_line_with_the_errors_text() {
    let bus = strict_bus();
    for (text, ..) in bad_patterns() {
        let error = refused(bus.try_topics(&text)).to_string();
        let panic = caught(|| bus.topics(&text)).expect("it is no pattern");
        assert_eq!((panic.file.as_str(), panic.line), (file!(), line!() - 1));
        assert_eq!(panic.message, error);
        let panic = caught(|| bus.listen::<Order>().topics(&text)).expect("it is no pattern");
        assert_eq!((panic.file.as_str(), panic.line), (file!(), line!() - 1));
        assert_eq!(panic.message, error);
    }
}

#[test]
fn an_error_does_not_carry_a_megabyte_around() {
    let text = "é".repeat(1 << 19);
    let mut error = None;
    let cost = measure(|| error = Topic::parse(&text).err());
    assert!(cost.bytes_max < 1_000, "{cost:?}");
    let error = error.expect("it is too long");
    assert_eq!(error.text(), "é".repeat(127));
    assert!(error.to_string().len() < 400);
}

#[test]
fn what_is_just_small_enough_is_a_topic_and_a_pattern() {
    let deep = ["a"; 32].join(".");
    let long = "x".repeat(255);
    let deep_and_long = vec!["1234567"; 32].join(".");
    let bus = strict_bus();
    for text in [&deep, &long, &deep_and_long, "Ünïcode.名前", "a-b_c.d/e", "a:b", "1.2.3", "\u{200b}", "?.#.>"] {
        assert_eq!(Topic::parse(text).unwrap().as_str(), text);
        assert_eq!(Pattern::parse(text).unwrap().as_str(), text);
        let _hears = bus.topic(text).on(|_: &Order| {});
        assert_eq!(bus.topic(text).emit(&Order(1)).heard, 1, "{text}");
    }
    for text in ["*", "**", "*.*", "**.**", "a.*.**.b", &["**"; 32].join(".")] {
        assert_eq!(Pattern::parse(text).unwrap().as_str(), text);
    }
}

#[test]
fn another_separator_is_named_only_where_the_text_is_refused_anyway() {
    let hint = "segments are separated by `.` here, and these look separated by `:`: see `Builder::separator`";
    let error = refused(Pattern::parse("order:*"));
    assert_eq!(error.at(), 6);
    assert_eq!(error.to_string(), format!("\"order:*\" is no pattern: a `*` inside a segment at byte 6; {hint}"));
    assert!(refused(Pattern::parse("**:b")).to_string().ends_with(hint));

    let bus = Builder::<BoxError>::new().separator(':').build(hearken::panic);
    let line = refused(bus.try_topics("order.*")).to_string();
    assert!(
        line.ends_with("separated by `:` here, and these look separated by `.`: see `Builder::separator`"),
        "{line}"
    );

    // With no other separator would these be fine.
    for text in ["a*", "a:b*", "a-*", "a_*", "a:*:"] {
        let line = refused(Pattern::parse(text)).to_string();
        assert!(line.ends_with("a wildcard is a segment of its own, `*` or `**`"), "{line}");
    }
    // Fine on a `.` bus, with a colon like any other sign.
    let bus = strict_bus();
    let _hears = bus.topics("a:b.*").on(|_: &Order| {});
    assert_eq!(bus.topic("a:b.c").emit(&Order(1)).heard, 1);
    assert_eq!(bus.topic("a.b.c").emit(&Order(1)).heard, 0);
}

#[test]
fn a_bus_separates_by_what_it_was_built_with() {
    for separator in [':', '/', '-', '→', '.'] {
        let bus = Builder::<BoxError>::new().separator(separator).build(hearken::panic);
        let with = |text: &str| text.replace('.', &separator.to_string());
        let (one, many, topic) = (with("user.*"), with("user.**"), with("user.email.updated"));
        let _one = bus.topics(&one).on(|_: &Order| {});
        let _many = bus.listen::<Order>().topics(&many).on(|_| {});
        assert_eq!(bus.topic(&topic).emit(&Order(1)).heard, 1, "{topic}");
        assert_eq!(bus.topic(&with("user.email")).emit(&Order(1)).heard, 2, "{topic}");
        assert_eq!(bus.topic("user").emit(&Order(1)).heard, 1, "{topic}");
        let doubled = format!("a{separator}{separator}b");
        assert_eq!(refused(bus.try_topic(&doubled)).at(), 1 + separator.len_utf8());
    }
    let bus = Builder::<BoxError>::new().separator(':').build(hearken::panic);
    let _hears = bus.topics("*").on(|_: &Order| {});
    assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 1, "one segment there");
}

#[test]
fn a_separator_that_cannot_separate_panics_at_the_callers_line() {
    for bad in ['*', 'a', 'Z', '7', 'é', '名', ' ', '\u{2003}', '\n', '\0'] {
        let panic = caught(|| Builder::<BoxError>::new().separator(bad)).expect("it can't separate");
        assert_eq!((panic.file.as_str(), panic.line), (file!(), line!() - 1));
        assert!(panic.message.contains(&format!("{bad:?}")), "{}", panic.message);
        assert!(panic.message.contains("choose a sign"), "{}", panic.message);
        for error in [refused(Topic::parse_with("a", bad)), refused(Pattern::parse_with("a", bad))] {
            let line = error.to_string();
            assert_eq!(error.at(), 0);
            assert!(line.contains(&format!("the separator {bad:?}, which can't be one")), "{line}");
            assert!(line.contains("choose a sign"), "{line}");
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn topics_and_patterns_are_values() {
    let topic: Topic = "order.created".parse().unwrap();
    let pattern: Pattern = "order.*".parse().unwrap();
    assert_eq!((topic.to_string(), pattern.to_string()), ("order.created".to_owned(), "order.*".to_owned()));
    assert_eq!((topic.as_ref(), pattern.as_ref()), ("order.created", "order.*"));
    assert_eq!((topic.separator(), pattern.separator()), ('.', '.'));
    assert_eq!(format!("{topic:?} {pattern:?}"), r#"Topic("order.created") Pattern("order.*")"#);

    assert_eq!(topic, topic.clone());
    assert_eq!(hash(&topic), hash(&Topic::parse("order.created").unwrap()));
    assert_eq!(hash(&pattern), hash(&pattern.clone()));
    assert_ne!(topic, Topic::parse("order.Created").unwrap());
    assert_ne!(topic, Topic::parse_with("order.created", ':').unwrap(), "its segments are others");
    let set: HashSet<_> = ["a", "a", "b"].map(|text| Topic::parse(text).unwrap()).into();
    assert_eq!(set.len(), 2);
}

#[test]
fn nothing_matches_across_separators() {
    let dotted = Pattern::parse("a").unwrap();
    let glob = Pattern::parse("**").unwrap();
    let topic = Topic::parse_with("a", ':').unwrap();
    assert!(!dotted.matches(&topic) && !glob.matches(&topic));
    assert!(Pattern::parse_with("**", ':').unwrap().matches(&topic));
}

#[test]
fn the_refs_are_copies_that_show_what_they_name() {
    let bus = strict_bus();
    let (topic, pattern) = (bus.topic("a.b"), bus.topics("a.*"));
    let (same_topic, same_pattern) = (topic, pattern);
    assert_eq!(format!("{topic:?} {same_pattern:?}"), r#"TopicRef("a.b") TopicsRef("a.*")"#);
    let _all = [pattern.on(|_: &Order| {}), same_pattern.on(|_: &Order| {})];
    assert_eq!((topic.emit(&Order(1)).heard, same_topic.emit(&Order(1)).heard), (2, 2));
    // What `listen` begins outlives the ref, which was a temporary.
    let listen = bus.topics("a.*").listen::<Order>();
    let _hears = listen.on(|_| {});
}

// The rule

const RULE: &[(&str, &[&str], &[&str])] = &[
    ("order.created", &["order.created"], &["order", "order.create", "order.created.now", "Order.created"]),
    ("order.*", &["order.created", "order.x"], &["order", "order.item.added", "orders.x", "x.order"]),
    ("*", &["order", "x"], &["order.created"]),
    ("*.*", &["a.b"], &["a", "a.b.c"]),
    ("*.b", &["a.b", "b.b"], &["b", "a.b.b", "a.c"]),
    ("a.*.c", &["a.b.c", "a.a.c"], &["a.c", "a.b.b.c", "a.b.d"]),
    ("order.**", &["order", "order.a", "order.a.b"], &["orders", "a.order", "orders.a"]),
    ("**", &["a", "a.b", "a.b.c"], &[]),
    ("**.**", &["a", "a.b", "a.b.c"], &[]),
    ("**.b", &["b", "a.b", "a.b.b", "a.x.b"], &["a", "b.a", "a.b.c", "ab"]),
    ("**.*", &["a", "a.b"], &[]),
    ("*.**", &["a", "a.b"], &[]),
    ("**.*.**", &["a", "a.b", "a.b.c"], &[]),
    ("*.**.*", &["a.b", "a.b.c"], &["a"]),
    ("a.**.b", &["a.b", "a.x.b", "a.x.b.b", "a.b.b", "a.x.y.b"], &["a", "b", "a.b.c", "x.a.b", "a.bb"]),
    ("a.**.b.**.c", &["a.b.c", "a.x.b.y.c", "a.b.b.c.c"], &["a.c", "a.b", "a.b.c.d", "a.c.b"]),
    ("**.a.**.a.**", &["a.a", "x.a.y.a.z", "a.a.a"], &["a", "a.b", "b.a"]),
];

/// The pairs that the table above lists together: a pattern, a topic, and whether it matches.
fn rule() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    RULE.iter().flat_map(|&(pattern, yes, no)| {
        let yes = yes.iter().map(move |&topic| (pattern, topic, true));
        yes.chain(no.iter().map(move |&topic| (pattern, topic, false)))
    })
}

#[test]
fn a_listener_hears_the_topics_that_its_pattern_matches_and_no_others() {
    for (pattern, topic, matches) in rule() {
        let what = format!("{pattern} on {topic}");
        assert_eq!(Pattern::parse(pattern).unwrap().matches(&Topic::parse(topic).unwrap()), matches, "{what}");
        let bus = strict_bus();
        let heard = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&heard);
        let _any = bus.topics(pattern).on_any(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let _typed = bus.topics(pattern).on(|_: &Order| {});
        let recorder = bus.topics(pattern).record::<Order>();
        let wanted = usize::from(matches);
        // The first walks the patterns, the second is remembered, the third is looked up.
        for _ in 0..3 {
            assert_eq!(bus.topic(topic).emit(&Order(1)).heard, wanted, "{what}");
        }
        assert_eq!(heard.load(Ordering::SeqCst), 3 * wanted, "{what}");
        assert_eq!(recorder.len(), 3 * wanted, "{what}");
        assert_eq!(bus.topic(topic).port::<Order>().emit(&Order(1)).heard, wanted, "{what}");
    }
}

#[test]
fn all_patterns_together_find_the_topics_that_each_matches() {
    let bus = strict_bus();
    let log = Log::new();
    let listen = |pattern: &'static str| {
        let log = log.clone();
        bus.topics(pattern).on(move |_: &Order| log.add(pattern))
    };
    let mut all: Vec<_> = RULE.iter().map(|&(pattern, ..)| (pattern, listen(pattern))).collect();
    let topics: HashSet<_> = rule().map(|(_, topic, _)| topic).collect();
    while !all.is_empty() {
        for topic in &topics {
            let parsed = Topic::parse(topic).unwrap();
            let patterns = all.iter().map(|&(pattern, _)| pattern);
            let wanted: Vec<_> = patterns.filter(|pattern| Pattern::parse(pattern).unwrap().matches(&parsed)).collect();
            for _ in 0..3 {
                assert_eq!(bus.topic(topic).emit(&Order(1)).heard, wanted.len());
                assert_eq!(log.take(), wanted, "on {topic}");
            }
        }
        drop(all.swap_remove(all.len() / 3));
        // Back in the order in which they were added.
        all.sort_by_key(|(pattern, _)| RULE.iter().position(|(other, ..)| other == pattern));
    }
}

#[test]
fn an_event_without_a_topic_matches_no_pattern() {
    let bus = strict_bus();
    let _all = ["**", "*", "a", "**.**"].map(|pattern| bus.topics(pattern).on(|_: &Order| {}));
    let log = Log::new();
    let heard = log.clone();
    let _any = bus.topics("**").on_any(move |_| heard.add("any"));
    assert_eq!(bus.emit(&Order(1)).heard, 0);
    assert_eq!(bus.port::<Order>().emit(&Order(1)).heard, 0);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn failures_have_no_topic_to_listen_to() {
    let bus = Emitter::new(hearken::ignore);
    let log = Log::new();
    let (narrow, wide) = (log.clone(), log.clone());
    let _narrow = bus.topics("**").on(move |_: &Failure| narrow.add("narrowed"));
    let _wide = bus.on_failure(move |failure| {
        assert_eq!(failure.topic(), Some("a.b"));
        wide.add("wide");
    });
    let _fails = bus.topic("a.b").on(|_: &Order| fail("no"));
    bus.topic("a.b").emit(&Order(1));
    assert_eq!(log.take(), ["wide"]);
}

#[test]
fn a_listener_without_topics_hears_the_events_on_every_topic() {
    let bus = strict_bus();
    let wide = bus.record::<Order>();
    let _hears = bus.on(|_: &Order| {});
    for n in 0..3 {
        assert_eq!(bus.topic("a.b").emit(&Order(n)).heard, 1);
    }
    let _narrow = bus.topics("c.*").on(|_: &Order| {});
    assert_eq!(bus.topic("a.b").emit(&Order(3)).heard, 1);
    assert_eq!(bus.topic("c.d").emit(&Order(4)).heard, 2);
    assert_eq!(bus.emit(&Order(5)).heard, 1);
    assert_eq!(wide.take(), (0..6).map(Order).collect::<Vec<_>>());
}

#[test]
fn topics_narrow_and_types_decide() {
    let bus = strict_bus();
    let _orders = bus.topics("a.*").on(|_: &Order| {});
    assert_eq!(bus.topic("a.b").emit(&Refund).heard, 0);
    assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 1);
}

// Order, and once an emission

fn logs<T>(log: &Log<&'static str>, name: &'static str) -> impl Fn(&T) + Send + Sync + use<T> {
    let log = log.clone();
    move |_| log.add(name)
}

fn logs_any(log: &Log<&'static str>, name: &'static str) -> impl Fn(&AnyEvent<'_>) + Send + Sync + use<> {
    let log = log.clone();
    move |_| log.add(name)
}

#[test]
fn exact_wildcard_any_and_plain_listeners_are_in_one_order() {
    let (bus, log) = (strict_bus(), Log::new());
    let _all = [
        bus.topics("a.*").on(logs::<Order>(&log, "1 star")),
        bus.on(logs::<Order>(&log, "2 plain")),
        bus.topics("**").on_any(logs_any(&log, "3 narrowed any")),
        bus.topic("a.b").on(logs::<Order>(&log, "4 exact")),
        bus.on_any(logs_any(&log, "5 any")),
        bus.topics("c").on(logs::<Order>(&log, "never")),
        bus.topics("c").on_any(logs_any(&log, "never")),
        bus.topics("a.**").listen::<Order>().priority(-1).on(logs(&log, "last glob")),
        bus.topics("**.b").on(logs::<Order>(&log, "6 glob")),
        bus.listen::<Order>().priority(1).on(logs(&log, "second plain")),
        bus.topic("a.b").listen::<Order>().priority(2).on(logs(&log, "first exact")),
        bus.topic("a.b").on_any(logs_any(&log, "7 exact any")),
        bus.topics("a.*").on(logs::<Order>(&log, "8 star")),
        bus.listen::<Order>().priority(-1).on(logs(&log, "last plain")),
    ];
    let expected = [
        "first exact",
        "second plain",
        "1 star",
        "2 plain",
        "3 narrowed any",
        "4 exact",
        "5 any",
        "6 glob",
        "7 exact any",
        "8 star",
        "last glob",
        "last plain",
    ];
    for _ in 0..4 {
        assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 9);
        assert_eq!(log.take(), expected);
    }
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["second plain", "2 plain", "5 any", "last plain"]);
}

#[test]
fn hundreds_of_narrowed_listeners_keep_the_order_behind_a_panic() {
    let log = Log::new();
    let failed = log.clone();
    let bus = Builder::<BoxError>::new().leak_warning(0).build(move |_| failed.add(usize::MAX));
    let patterns = ["a.b", "a.*", "**", "*.b", "a.**.b", "**.b"];
    let _all: Vec<_> = (0..300)
        .map(|n| {
            let log = log.clone();
            let listener = move |_: &Order| {
                log.add(n);
                assert!(n % 100 != 50, "a scripted panic");
            };
            if n % 7 == 0 { bus.on(listener) } else { bus.topics(patterns[n % 6]).on(listener) }
        })
        .collect();
    let expected: Vec<_> = (0..300).flat_map(|n| if n % 100 == 50 { vec![n, usize::MAX] } else { vec![n] }).collect();
    for _ in 0..3 {
        let emission = bus.topic("a.b").emit(&Order(1));
        assert_eq!((emission.heard, emission.failed), (300, 3));
        assert_eq!(log.take(), expected);
    }
}

#[test]
fn a_narrowed_listener_can_stop_an_emission() {
    let (bus, log) = (strict_bus(), Log::new());
    let _first = bus.on(logs::<Order>(&log, "first"));
    let stops = bus.topics("a.*").on(|_: &Order| ControlFlow::Break(()));
    let _last = [bus.on(logs::<Order>(&log, "last")), bus.topic("a.b").on(logs::<Order>(&log, "exact"))];
    for _ in 0..3 {
        assert_eq!(bus.topic("a.b").emit(&Order(1)).stopped_by, Some(stops.id()));
        assert_eq!(log.take(), ["first"]);
    }
    assert_eq!(bus.topic("c").emit(&Order(1)).stopped_by, None);
    assert_eq!(log.take(), ["first", "last"]);
}

#[test]
fn a_listener_with_several_patterns_is_called_once_an_emission() {
    let (bus, log) = (strict_bus(), Log::new());
    let several = |name| {
        bus.topic("a.b").listen::<Order>().topics("a.*").topics("**").topics("c").topics("a.*").on(logs(&log, name))
    };
    let all = [several("one"), several("two")];
    for _ in 0..3 {
        assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 2, "all match");
        assert_eq!(bus.topic("a.x").emit(&Order(1)).heard, 2, "two match");
        assert_eq!(bus.topic("c").emit(&Order(1)).heard, 2, "other two match");
        assert_eq!(log.take(), ["one", "two"].repeat(3));
    }
    assert_eq!(bus.emit(&Order(1)).heard, 0);
    drop(all);
    assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 0);
}

#[test]
fn a_pattern_that_matches_in_several_ways_calls_once() {
    let (bus, log) = (strict_bus(), Log::new());
    let _all = [
        bus.topics("**.**").on(logs::<Order>(&log, "typed")),
        bus.topics("**.a.**").on_any(logs_any(&log, "any")),
        bus.topics("a.**.a").on_any(logs_any(&log, "other any")),
    ];
    for _ in 0..3 {
        assert_eq!(bus.topic("a.a.a.a").emit(&Order(1)).heard, 1);
        assert_eq!(log.take(), ["typed", "any", "other any"]);
    }
}

#[test]
fn topics_named_on_a_listener_add_up() {
    let bus = strict_bus();
    let _hears = bus.listen::<Order>().topics("a").topics("b.*").on(|_| {});
    let heard = ["a", "b.c", "b", "c"].map(|topic| bus.topic(topic).emit(&Order(1)).heard);
    assert_eq!(heard, [1, 1, 0, 0]);
}

// A narrowed listener's life

#[test]
fn a_narrowed_once_hears_one_matching_event() {
    let (bus, log) = (strict_bus(), Log::new());
    let heard = log.clone();
    let once = bus.topics("a.*").once(move |order: &Order| heard.add(order.0));
    let heard = log.clone();
    let with = bus.topic("a.b").once_with(move |order: &Order, cx: &Context<'_>| {
        assert_eq!(cx.topic(), Some("a.b"));
        heard.add(order.0 + 100);
    });
    assert_eq!(bus.topic("b.a").emit(&Order(1)).heard, 0, "another topic uses nothing up");
    assert_eq!(bus.emit(&Order(2)).heard, 0, "nor does none");
    assert_eq!(bus.topic("a.b").emit(&Order(3)).heard, 2);
    assert_eq!(bus.topic("a.b").emit(&Order(4)).heard, 0);
    assert_eq!(log.take(), [3, 103]);
    assert!(!once.off() && !with.off());
}

#[test]
fn a_narrowed_limit_counts_matching_events() {
    let bus = strict_bus();
    let _hears = bus.topics("a.*").listen::<Order>().times(2).filter(|order| order.0 != 0).on(|_| {});
    let emit = |topic, n| bus.topic(topic).emit(&Order(n)).heard;
    let heard = [emit("a.b", 0), emit("c", 1), emit("a.b", 1), emit("a.c", 0), emit("a.c", 1), emit("a.b", 1)];
    assert_eq!(heard, [0, 0, 1, 0, 1, 0]);
}

#[test]
fn a_narrowed_listener_pauses_and_resumes() {
    let (bus, log) = (strict_bus(), Log::new());
    let _other = bus.topics("**").on(|_: &Order| {});
    let typed = bus.topics("a.*").listen::<Order>().topics("a.**").on(|_| {});
    let any = bus.topic("a.b").on_any(logs_any(&log, "any"));
    let emit = || bus.topic("a.b").emit(&Order(1)).heard;
    for _ in 0..3 {
        assert_eq!((emit(), log.take()), (2, vec!["any"]));
        typed.pause();
        any.pause();
        assert!(typed.is_active() && any.is_active());
        assert_eq!(((emit(), emit()), log.take()), ((1, 1), vec![]));
        typed.resume();
        any.resume();
    }
    assert_eq!((emit(), emit(), emit()), (2, 2, 2));
}

#[test]
fn a_narrowed_listener_that_is_removed_hears_nothing_more() {
    let bus = strict_bus();
    let topic = bus.topic("a.b");
    let port: Port<Order> = topic.port();
    let add = || bus.topics("a.*").listen::<Order>().topics("**.b").on(|_| {});
    let heard = || {
        let through_port = port.emit(&Order(1)).heard;
        assert_eq!(topic.emit(&Order(1)).heard, through_port);
        through_port
    };
    let removals: [&dyn Fn(Subscription); 5] = [
        &drop,
        &|subscription| assert!(subscription.off()),
        &|subscription| subscription.off_and_wait().unwrap(),
        &|subscription| assert!(bus.off(subscription.detach())),
        &|subscription| {
            assert_eq!(bus.off_all(), 1);
            assert!(!subscription.off());
        },
    ];
    for remove in removals {
        let subscription = add();
        assert_eq!((heard(), heard(), heard()), (1, 1, 1));
        remove(subscription);
        assert_eq!((heard(), heard()), (0, 0));
    }
}

#[test]
fn a_narrowed_any_listener_that_is_removed_hears_nothing_more() {
    let (bus, log) = (strict_bus(), Log::new());
    let add = || bus.topics("a.*").on_any(logs_any(&log, "any"));
    let removals: [&dyn Fn(Subscription); 3] =
        [&drop, &|subscription| assert!(bus.off(subscription.detach())), &|subscription| {
            assert_eq!(bus.off_all(), 1);
            drop(subscription);
        }];
    for remove in removals {
        let subscription = add();
        for _ in 0..3 {
            bus.topic("a.b").emit(&Order(1));
            bus.topic("a.b").emit(&Refund);
        }
        assert_eq!(log.take().len(), 6);
        remove(subscription);
        bus.topic("a.b").emit(&Order(1));
        bus.topic("a.b").emit(&Refund);
        assert!(log.take().is_empty());
    }
}

#[test]
fn removed_during_an_emission_a_narrowed_listener_is_not_called_in_it() {
    let (bus, log) = (strict_bus(), Log::new());
    let victims = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&victims);
    let _first = bus.topics("a.*").listen::<Order>().priority(1).on(move |_| {
        let victims = std::mem::take(&mut *taken.lock().unwrap());
        drop(victims);
    });
    for _ in 0..3 {
        *victims.lock().unwrap() = vec![
            bus.topic("a.b").on(logs::<Order>(&log, "exact")),
            bus.topics("**").on(logs::<Order>(&log, "glob")),
            bus.topics("*.b").on_any(logs_any(&log, "any")),
        ];
        let _stays = bus.topics("a.**").on(logs::<Order>(&log, "stays"));
        assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 2);
        assert_eq!(log.take(), ["stays"]);
    }
}

#[test]
fn added_during_an_emission_a_narrowed_listener_hears_the_next_one_and_nested_ones() {
    let (bus, log) = (strict_bus(), Log::new());
    let added = Arc::new(Mutex::new(Vec::new()));
    let (adds, seen) = (Arc::clone(&added), log.clone());
    let _adds = bus.topics("a.*").on_with(move |order: &Order, cx: &Context<'_>| {
        if order.0 == 0 {
            let bus = cx.emitter();
            let new = [
                bus.topic("a.b").on(logs::<Order>(&seen, "exact")),
                bus.topics("**").on(logs::<Order>(&seen, "glob")),
                bus.topics("*.b").on_any(logs_any(&seen, "any")),
            ];
            adds.lock().unwrap().extend(new);
            assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 3);
            assert_eq!(seen.take(), ["exact", "glob", "any"]);
        }
    });
    for _ in 0..3 {
        assert_eq!(bus.topic("a.b").emit(&Order(0)).heard, 1);
        assert!(log.take().is_empty());
        added.lock().unwrap().clear();
    }
}

#[test]
fn a_narrowed_weak_listener_goes_with_its_owner() {
    let bus = strict_bus();
    let owner = Arc::new(AtomicUsize::new(0));
    let hears = bus.topics("a.*").listen::<Order>().on_weak(&owner, |sum, order| {
        sum.fetch_add(order.0 as usize, Ordering::Relaxed);
    });
    let emit = || bus.topic("a.b").emit(&Order(1)).heard;
    assert_eq!((emit(), emit(), emit(), owner.load(Ordering::Relaxed)), (1, 1, 1, 3));
    assert_eq!(bus.topic("a.b").listen::<Order>().count(), 1);
    drop(owner);
    assert_eq!(bus.topic("a.b").listen::<Order>().count(), 0);
    assert_eq!((emit(), hears.is_active()), (0, false));
}

// What is said about topics

#[test]
fn the_unheard_are_told_with_their_topic() {
    let (bus, log) = (strict_bus(), Log::new());
    let strays = log.clone();
    let _unheard =
        bus.on_unheard(move |event| strays.add((event.type_name(), event.context().topic().map(str::to_owned))));
    let _hears = bus.topics("a.*").on(|_: &Order| {});
    let _any = bus.topics("**").on_any(|_| {});
    for _ in 0..3 {
        bus.topic("a.b").emit(&Order(1));
        assert!(log.take().is_empty());
        bus.topic("b.a").emit(&Order(1));
        bus.emit(&Order(1));
        bus.topic("a.b").emit(&Refund);
        let order = std::any::type_name::<Order>();
        let refund = std::any::type_name::<Refund>();
        let topic = |text: &str| Some(text.to_owned());
        assert_eq!(log.take(), [(order, topic("b.a")), (order, None), (refund, topic("a.b"))]);
    }
}

#[test]
fn a_failure_names_its_topic_in_one_line() {
    let log = Log::new();
    let failures = log.clone();
    let bus =
        Emitter::new(move |failure: Failure| failures.add((failure.topic().map(str::to_owned), failure.to_string())));
    let added = line!() + 1;
    let _billing = bus.topics("order.*").listen::<Order>().named("billing").on(|_| fail("card declined"));
    let emitted = line!() + 1;
    let emission = bus.topic("order.created").emit(&Order(1));
    assert_eq!((emission.heard, emission.failed), (1, 1));
    let file = file!();
    let line = format!(
        "listener \"billing\" ({file}:{added}) failed on topics::Order at \"order.created\" (emitted at {file}:{emitted}): \
         card declined"
    );
    assert_eq!(log.take(), [(Some("order.created".to_owned()), line)]);

    let _wide = bus.on(|_: &Refund| fail("no"));
    bus.emit(&Refund);
    assert_eq!(log.take()[0].0, None);
    bus.topic("a").port::<Refund>().emit(&Refund);
    assert_eq!(log.take()[0].0.as_deref(), Some("a"));
}

#[test]
fn a_failure_says_to_which_patterns_its_listener_listened() {
    let log = Log::new();
    let failures = log.clone();
    let bus = Emitter::new(move |failure: Failure| {
        let listener = failure.listener().expect("a listener failed");
        failures.add((listener.event, listener.topics.clone()));
    });
    let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect::<Vec<_>>();
    let _typed = bus.topics("a.*").listen::<Order>().topics("**.b").on(|_| fail("no"));
    let _any = bus.topics("a.b").on_any(|_| fail("no"));
    let _wide = bus.on(|_: &Order| fail("no"));
    bus.topic("a.b").emit(&Order(1));
    let order = std::any::type_name::<Order>();
    let expected = [(order, patterns(&["a.*", "**.b"])), ("any event", patterns(&["a.b"])), (order, vec![])];
    assert_eq!(log.take(), expected);
}

#[test]
fn an_emission_too_deep_names_its_topic() {
    let log = Log::new();
    let failures = log.clone();
    let bus = Builder::<BoxError>::new().max_depth(2).build(move |failure| {
        failures.add((failure.topic().map(str::to_owned), failure.listener().is_some()));
    });
    let _loops = bus.topics("**").on_with(|order: &Order, cx: &Context<'_>| {
        let topic = format!("loop.{}", order.0);
        cx.emitter().topic(&topic).emit(&Order(order.0 + 1));
    });
    bus.topic("start").emit(&Order(1));
    assert_eq!(log.take(), [(Some("loop.2".to_owned()), false)]);
}

#[test]
fn the_context_tells_the_topic_and_the_place_of_every_way_to_emit() {
    let (bus, log) = (strict_bus(), Log::new());
    let seen = log.clone();
    let _plain = bus.on_with(move |_: &Order, cx: &Context<'_>| {
        seen.add((cx.topic().map(str::to_owned), cx.emitted_at().line()));
    });
    let seen = log.clone();
    let _any = bus.on_any(move |event| {
        let cx = event.context();
        seen.add((cx.topic().map(str::to_owned), cx.emitted_at().line()));
    });
    let _narrow = bus.topics("a.*").on_with(|_: &Order, cx: &Context<'_>| assert_eq!(cx.topic(), Some("a.b")));
    let from = line!();
    bus.topic("a.b").emit(&Order(1));
    bus.emit(&Order(1));
    bus.topic("a.b").port().emit(&Order(1));
    bus.port().emit(&Order(1));
    let topic = || Some("a.b".to_owned());
    let expected = [(topic(), from + 1), (None, from + 2), (topic(), from + 3), (None, from + 4)];
    assert_eq!(log.take(), expected.into_iter().flat_map(|seen| [seen.clone(), seen]).collect::<Vec<_>>());
}

// Ports and counts

#[test]
fn a_port_keeps_its_topic_when_the_ref_and_its_text_are_gone() {
    let bus = strict_bus();
    let port: Port<Order> = {
        let text = String::from("order.created");
        bus.topic(&text).port()
    };
    assert_eq!(port.emit(&Order(1)).heard, 0);
    let hears = bus.topics("order.*").on(|_: &Order| {});
    assert_eq!((port.emit(&Order(1)).heard, port.clone().emit(&Order(1)).heard), (1, 1), "also who comes later");
    let log = Log::new();
    let any = bus.topic("order.created").on_any(logs_any(&log, "any"));
    port.emit(&Order(1));
    assert_eq!(log.take(), ["any"]);
    drop((hears, any));
    assert_eq!(port.emit(&Order(1)).heard, 0);
    assert!(format!("{port:?}").contains("order.created"), "{port:?}");
}

#[test]
fn a_port_on_a_topic_keeps_its_bus() {
    let bus = strict_bus();
    bus.topics("a.*").on(|_: &Order| {}).detach();
    let port: Port<Order> = bus.topic("a.b").port();
    drop(bus);
    assert_eq!(port.emit(&Order(1)).heard, 1);
}

#[test]
fn count_says_whom_an_emit_would_call() {
    let bus = strict_bus();
    assert_eq!(bus.topic("a.b").listen::<Order>().count(), 0);
    let _plain = bus.on(|_: &Order| {});
    let star = bus.topics("a.*").on(|_: &Order| {});
    let _both = bus.topics("a.*").listen::<Order>().topics("**.b").filter(|_| false).on(|_| {});
    let _exact = bus.topic("a.b").on(|_: &Order| {});
    let _silent = (bus.topics("a.*").on_any(|_| {}), bus.on_any(|_| {}), bus.topics("a.*").record::<Order>());
    let _refunds = bus.topics("a.*").on(|_: &Refund| {});

    assert_eq!(bus.listen::<Order>().count(), 1, "without a topic");
    assert_eq!(bus.topic("a.b").listen::<Order>().count(), 4);
    assert_eq!(bus.topic("a.c").listen::<Order>().count(), 3);
    assert_eq!(bus.topic("c").listen::<Order>().count(), 1);
    // On that very pattern.
    assert_eq!(bus.topics("a.*").listen::<Order>().count(), 2);
    assert_eq!(bus.topics("**.b").listen::<Order>().count(), 1);
    assert_eq!(bus.topics("a.b").listen::<Order>().count(), 1);
    assert_eq!(bus.topics("**").listen::<Order>().count(), 0);
    assert_eq!(bus.topics("a.*").listen::<Order>().topics("**.b").count(), 2, "each once");
    star.pause();
    assert_eq!(bus.topics("a.*").listen::<Order>().count(), 1);
    assert_eq!(bus.topic("a.b").listen::<Order>().count(), 3);
    drop(star);
    assert_eq!(bus.topic("a.b").listen::<Order>().count(), 3);
}

// What it costs, in bytes and allocations

fn no_warnings() -> Emitter {
    Emitter::builder().leak_warning(0).build(hearken::panic)
}

#[test]
fn a_topic_that_repeats_is_resolved_once() {
    let bus = strict_bus();
    let _all =
        [bus.topics("a.*").on(|_: &Order| {}), bus.topics("**").on_any(|_| {}), bus.topic("a.b").on(|_: &Order| {})];
    let topics = ["a.b", "a.c", "b.c"].map(|text| bus.topic(text));
    let port: Port<Order> = bus.topic("a.b").port();
    // The first time it is walked, the second it is remembered.
    for _ in 0..2 {
        for topic in topics {
            topic.emit(&Order(1));
        }
    }
    let cost = measure(|| {
        for _ in 0..1_000 {
            let heard = topics.map(|topic| topic.emit(&Order(1)).heard);
            assert_eq!(heard, [2, 1, 0]);
            assert_eq!(port.emit(&Order(1)).heard, 2);
            assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 2);
        }
    });
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

#[test]
fn topics_that_never_repeat_leave_the_heap_where_it_was() {
    let bus = strict_bus();
    let _all = [bus.topics("order.*").on(|_: &Order| {}), bus.topics("order.**").on_any(|_| {})];
    let emit = |range: std::ops::Range<u32>| {
        for n in range {
            let topic = format!("order.{n}");
            assert_eq!(bus.topic(&topic).emit(&Order(n)).heard, 1);
        }
    };
    // What decides that a topic is worth remembering takes its room at once; the rest is for the few that are taken for known.
    let first = measure(|| emit(0..10_000));
    assert!(first.bytes_max < 512 << 10, "{first:?}");
    let others = measure(|| emit(10_000..110_000));
    assert!(others.bytes_current.abs() < 64 << 10 && others.bytes_max < 128 << 10, "{others:?}");
    assert!(others.count_current.abs() < 1_000, "{others:?}");
}

#[test]
fn what_topics_left_behind_goes_with_the_next_change() {
    let bus = strict_bus();
    let _hears = bus.topics("order.*").on(|_: &Order| {});
    let emit = |n| {
        let topic = format!("order.{n}");
        assert_eq!(bus.topic(&topic).emit(&Order(n)).heard, 1);
    };
    (0..2_000).for_each(emit);
    let cost = measure(|| {
        (0..2_000).for_each(emit);
        drop(bus.topics("other").on(|_: &Order| {}));
        bus.emit(&Order(1));
    });
    assert!(cost.bytes_max > 100_000, "they were remembered: {cost:?}");
    assert!(cost.bytes_current < 1_000 && cost.count_current < 5, "{cost:?}");
}

#[test]
fn more_topics_than_a_bus_remembers_are_heard_all_the_same() {
    let bus = strict_bus();
    let _hears = bus.topics("order.*").on(|_: &Order| {});
    let topics: Vec<_> = (0..26_000).map(|n| format!("order.{n}")).collect();
    let cost = measure(|| {
        for topic in &topics {
            // Twice in a row, so that it is worth remembering.
            let heard = [bus.topic(topic).emit(&Order(1)).heard, bus.topic(topic).emit(&Order(1)).heard];
            assert_eq!(heard, [1, 1], "{topic}");
        }
    });
    assert!(cost.bytes_max < 16 << 20, "{cost:?}");
    // It began anew on the way.
    assert!(cost.bytes_current.unsigned_abs() < cost.bytes_max / 2, "{cost:?}");
}

/// Patterns of every shape, all different.
fn pattern(n: usize) -> String {
    match n % 5 {
        0 => format!("a.b{n}.c"),
        1 => format!("*.b{n}.c{}", n % 7),
        2 => format!("a{n}.**"),
        3 => format!("**.c{n}"),
        _ => format!("x{}.**.y{n}.*", n % 100),
    }
}

#[test]
fn patterns_without_listeners_leave_nothing_behind() {
    // The room for a list of who listens, once. A node for each pattern would be fifty times as much.
    const LITTLE: i64 = 8 << 10;
    let bus = no_warnings();
    let emit = || bus.topic("a.here").emit(&Order(1)).heard;
    // What a bus allocates once, however many patterns come.
    drop(bus.topics("a.*").on_any(|_| {}));
    let once = bus.topics("a.*").on(|_: &Order| {});
    assert_eq!((emit(), emit()), (1, 1));
    drop(once);
    assert_eq!(emit(), 0);
    let patterns: Vec<_> = (0..10_000).map(pattern).collect();
    let removals: [&dyn Fn(Vec<Subscription>); 3] = [&drop, &|all| all.into_iter().rev().for_each(drop), &|mut all| {
        while !all.is_empty() {
            drop(all.swap_remove(all.len() * 2 / 3));
        }
    }];
    for remove in removals {
        let cost = measure(|| {
            let all: Vec<_> = patterns.iter().map(|text| bus.topics(text).on(|_: &Order| {})).collect();
            emit();
            remove(all);
            assert_eq!(emit(), 0);
        });
        assert!(cost.bytes_max > 1_000_000, "{cost:?}");
        assert!(cost.bytes_current.abs() < LITTLE && cost.count_current.abs() < 5, "{cost:?}");
    }
    let cost = measure(|| {
        let all: Vec<_> = patterns.iter().map(|text| bus.topics(text).on_any(|_| {})).collect();
        emit();
        assert_eq!(bus.off_all(), 10_000);
        drop(all);
        emit();
    });
    assert!(cost.bytes_max > 1_000_000, "{cost:?}");
    assert!(cost.bytes_current.abs() < LITTLE && cost.count_current.abs() < 5, "{cost:?}");
}

#[test]
fn patterns_that_come_and_go_beside_others_that_stay_do_not_pile_up() {
    let bus = no_warnings();
    let _stays = [bus.topics("stays.**").on(|_: &Order| {}), bus.topic("stays").on(|_: &Order| {})];
    let emit = || assert_eq!(bus.topic("stays.here").emit(&Order(1)).heard, 1);
    emit();
    let round = |from: usize| {
        measure(|| {
            let all: Vec<_> = (from..from + 2_000).map(|n| bus.topics(&pattern(n)).on(|_: &Order| {})).collect();
            emit();
            drop(all);
            emit();
        })
    };
    round(0);
    round(2_000);
    // Tables may grow once more, but not for each pattern, which takes a hundred bytes and more.
    let more = (2..20).map(|n| round(n * 2_000).bytes_current).sum::<i64>();
    assert!(more.abs() < 512 << 10, "{more} bytes more after 36,000 other patterns");
}

// Whom a cache could keep

#[test]
fn a_removed_narrowed_listener_is_dropped_by_the_time_off_returns() {
    let bus = strict_bus();
    let port: Port<Order> = bus.topic("a.b").port();
    let removals: [&dyn Fn(Subscription); 4] = [
        &drop,
        &|subscription| assert!(subscription.off()),
        &|subscription| assert!(bus.off(subscription.detach())),
        &|subscription| {
            bus.off_all();
            drop(subscription);
        },
    ];
    for remove in removals {
        let drops = Drops::new();
        let token = || {
            let token = drops.token();
            move || keep(&token)
        };
        let (typed, any, exact) = (token(), token(), token());
        let all = [
            bus.topics("a.*").listen::<Order>().topics("**.b").topics("c").on(move |_| typed()),
            bus.topics("**").on_any(move |_| any()),
            bus.topic("a.b").on(move |_: &Order| exact()),
        ];
        for _ in 0..3 {
            assert_eq!(port.emit(&Order(1)).heard, 2);
            assert_eq!(bus.topic("c").emit(&Order(1)).heard, 1);
            bus.topic("a.b").emit(&Refund);
        }
        let refunds: Port<Refund> = bus.topic("a.b").port();
        refunds.emit(&Refund);
        let mut removed = 0;
        for subscription in all {
            remove(subscription);
            removed += 1;
            assert!(drops.count() >= removed, "{} of {removed}", drops.count());
        }
        assert_eq!(drops.count(), 3);
    }
}

#[test]
fn a_narrowed_once_that_ran_is_dropped_when_its_emission_ends() {
    let bus = strict_bus();
    let drops = Drops::new();
    let _other = bus.topics("**").on(|_: &Order| {});
    for _ in 0..3 {
        bus.topic("a.b").emit(&Order(1));
    }
    let token = drops.token();
    let _once = bus.topics("a.*").once(move |_: &Order| keep(&token));
    assert_eq!(bus.topic("c").emit(&Order(1)).heard, 1);
    assert_eq!(drops.count(), 0);
    assert_eq!(bus.topic("a.b").emit(&Order(1)).heard, 2);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_thread_that_emitted_on_a_topic_and_idles_keeps_no_listener() {
    let bus = strict_bus();
    let drops = Drops::new();
    let token = drops.token();
    let hears = bus.topics("a.*").on(move |_: &Order| keep(&token));
    let (emitted, was_emitted) = channel();
    let (end, is_over) = channel::<()>();
    let idle = thread::spawn({
        let bus = bus.clone();
        move || {
            for _ in 0..3 {
                bus.topic("a.b").emit(&Order(1));
            }
            emitted.send(()).unwrap();
            let _ = is_over.recv();
        }
    });
    wait(&was_emitted);
    hears.off();
    assert_eq!(drops.count(), 1);
    drop(end);
    idle.join().unwrap();
}

// Crowds

/// What adding and removing one listener on this pattern costs, in front of an emission that uses it.
fn coming_and_going(bus: &Emitter, pattern: &str) -> AllocationInfo {
    let come_and_go = || {
        let hears = bus.topics(pattern).on(|_: &Order| {});
        assert_eq!(bus.topic("crowd.here").emit(&Order(1)).heard, 2);
        drop(hears);
        assert_eq!(bus.topic("crowd.here").emit(&Order(1)).heard, 1);
    };
    come_and_go();
    measure(come_and_go)
}

#[test]
fn one_comes_and_goes_among_thousands_of_patterns_as_cheaply_as_among_ten() {
    let patterns = ["crowd.here", "crowd.*", "**.here", "crowd.**.here"];
    let costs = [10, 10_000].map(|crowd| {
        let bus = no_warnings();
        let _stays = bus.topics("crowd.**").on(|_: &Order| {});
        let _patterns: Vec<_> = (0..crowd).map(|n| bus.topics(&pattern(n)).on(|_: &Order| {})).collect();
        let topics = if crowd == 10 { 10 } else { 65_536 };
        let _topics: Vec<_> = (0..topics).map(|n| bus.topic(&format!("t{n}.created")).on(|_: &Order| {})).collect();
        bus.topic("crowd.here").emit(&Order(1));
        patterns.map(|pattern| coming_and_going(&bus, pattern))
    });
    for ((few, many), pattern) in costs[0].iter().zip(&costs[1]).zip(patterns) {
        assert!(many.count_total <= few.count_total + 8, "{pattern}: {few:?}, {many:?}");
        assert!(many.bytes_total <= few.bytes_total + 4_096, "{pattern}: {few:?}, {many:?}");
        assert!(many.bytes_current.abs() < 1_000, "{pattern}: {many:?}");
    }
}

// Threads

#[test]
fn threads_emit_on_topics_while_others_come_and_go() {
    const EMITS: usize = 1_000;
    in_time(|| {
        let bus = no_warnings();
        let heard: Arc<[AtomicUsize; 3]> = Arc::default();
        let counter = |nth: usize| {
            let heard = Arc::clone(&heard);
            move || {
                heard[nth].fetch_add(1, Ordering::Relaxed);
            }
        };
        let (exact, star, any) = (counter(0), counter(1), counter(2));
        let _stable = [
            bus.topic("t.0").on(move |_: &Order| exact()),
            bus.topics("t.*").on(move |_: &Order| star()),
            bus.topics("**").on_any(move |_| any()),
        ];
        let is_over = Arc::new(AtomicBool::new(false));
        let churn = thread::spawn({
            let (bus, is_over) = (bus.clone(), Arc::clone(&is_over));
            move || {
                let mut rounds = 0;
                while !is_over.load(Ordering::Relaxed) || rounds < 100 {
                    let mine = Arc::new(());
                    let (typed, any, once) = (Arc::clone(&mine), Arc::clone(&mine), Arc::clone(&mine));
                    let all = [
                        bus.topics("t.**").listen::<Order>().topics("*.0").on(move |_| keep(&typed)),
                        bus.topics("t.*").on_any(move |_| keep(&any)),
                        bus.topic("t.1").once(move |_: &Order| keep(&once)),
                    ];
                    thread::yield_now();
                    for subscription in all {
                        subscription.off_and_wait().unwrap();
                    }
                    assert_eq!(Arc::strong_count(&mine), 1, "nobody keeps what was removed and waited for");
                    rounds += 1;
                }
            }
        });
        let emitters: Vec<_> = (0..2)
            .map(|_| {
                let bus = bus.clone();
                thread::spawn(move || {
                    let port: Port<Order> = bus.topic("t.0").port();
                    for n in 0..EMITS {
                        let topic = format!("t.{}", n % 5);
                        let emission = bus.topic(&topic).emit(&Order(0));
                        let stable = if n % 5 == 0 { 2 } else { 1 };
                        assert!((stable..=stable + 2).contains(&emission.heard), "{topic}: {emission:?}");
                        assert!((2..=3).contains(&port.emit(&Order(0)).heard));
                        assert_eq!(bus.topic("other").emit(&Order(0)).heard, 0);
                    }
                })
            })
            .collect();
        for emitter in emitters {
            emitter.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        churn.join().unwrap();
        let heard: Vec<_> = heard.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(heard, [2 * (EMITS + EMITS / 5), 2 * 2 * EMITS, 2 * 3 * EMITS]);
    });
}

#[test]
fn a_narrowed_once_runs_once_however_many_threads_emit() {
    in_time(|| {
        let bus = strict_bus();
        for _ in 0..100 {
            let calls = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&calls);
            let _once = bus.topics("a.*").listen::<Order>().topics("**.b").once(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            thread::scope(|scope| {
                let emit = || bus.topic("a.b").emit(&Order(1)).heard;
                let others = [scope.spawn(emit), scope.spawn(emit)];
                let heard: usize = others.into_iter().map(|thread| thread.join().unwrap()).sum();
                assert_eq!(heard, 1);
            });
            assert_eq!(calls.load(Ordering::Relaxed), 1);
        }
    });
}
