//! The example `traced`, run as a program: what it prints of an order's way is one trace, each span's parent its cause.
#![cfg(not(miri))] // which starts no processes

#[path = "common/process.rs"]
#[expect(dead_code, reason = "it reads nothing, and keeps nothing")]
mod process;

use process::Example;

/// A span as OpenTelemetry's exporter prints it.
#[derive(Debug)]
struct Span<'a> {
    trace: &'a str,
    id: &'a str,
    parent: &'a str,
    thread: &'a str,
    event: &'a str,
    emission: &'a str,
    cause: Option<&'a str>,
    origin: &'a str,
    text: &'a str,
}

impl<'a> Span<'a> {
    fn read(text: &'a str) -> Self {
        // `Name : value`, and `->  name: String(Owned("value"))`.
        let find = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start));
        let field = |name: &str| find(name)?.trim_start().strip_prefix(':').map(str::trim);
        let attribute = |name: &str| find(&format!("->  {name}: "))?.split('"').nth(1);
        let expected = |value: Option<&'a str>| value.unwrap_or_else(|| panic!("a part is missing in\n{text}"));
        Self {
            trace: expected(field("TraceId")),
            id: expected(field("SpanId")),
            parent: expected(field("ParentSpanId")),
            thread: expected(attribute("thread.name")),
            event: expected(attribute("event")),
            emission: expected(attribute("id")),
            cause: attribute("cause"),
            origin: expected(attribute("origin")),
            text,
        }
    }
}

#[test]
fn a_chain_across_the_queue_a_thread_and_a_timer_is_one_trace_and_each_spans_parent_is_its_cause() {
    let ended = Example::start("traced", &[]).close();
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
    let spans: Vec<_> = ended.stdout.split("Span #").skip(1).map(Span::read).collect();
    let the = |event: &str, number: usize| {
        let mut of_event = spans.iter().filter(|span| span.event == event);
        of_event.nth(number).unwrap_or_else(|| panic!("no {event} in\n{}", ended.stdout))
    };
    let [first, second] = [0, 1].map(|number| the("traced::Placed", number));
    let [invoice, overdue, mail] = ["traced::Invoice", "traced::Overdue", "traced::Mail"].map(|event| the(event, 0));
    assert_eq!(spans.len(), 5);

    let chain = [first, invoice, overdue, mail];
    for span in chain {
        assert_eq!((span.trace, span.origin), (first.trace, first.emission), "{span:?}");
    }
    for [cause, span] in [[first, invoice], [invoice, overdue], [overdue, mail]] {
        assert_eq!((span.cause, span.parent), (Some(cause.emission), cause.id), "{span:?}");
    }
    assert_eq!(chain.map(|span| span.thread), ["main", "office", "main", "main"]);
    assert!(mail.text.contains("please pay for order 7"));

    for begins in [first, second] {
        assert_eq!((begins.cause, begins.parent, begins.origin), (None, "None (root span)", begins.emission));
    }
    assert_ne!(second.trace, first.trace);
}
