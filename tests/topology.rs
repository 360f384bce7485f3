//! Who emits what to whom: what `topology()` tells, and how it is drawn.

mod common;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use common::fail;
use hearken::{Clock, EmitSite, Emitter, Retry, Topology};
use proptest::prelude::*;

#[derive(Clone)]
struct Ping;
#[derive(Clone)]
struct Pong;
struct Generic<T>(T);

const PING: &str = "topology::Ping";
const PONG: &str = "topology::Pong";

fn counting_bus() -> Emitter {
    Emitter::builder().metrics(true).clock(Clock::manual()).build(hearken::ignore)
}

/// Event, topic, line, how many were emitted and how many unheard.
type Seen<'a> = (&'a str, Option<&'a str>, u32, u64, u64);

fn seen(topology: &Topology) -> Vec<Seen<'_>> {
    let seen = |site: &'_ EmitSite| {
        assert_eq!(site.emitted_at.file(), file!());
        (site.event, site.emitted_at.line(), site.emitted, site.unheard)
    };
    let topics = topology.sites().iter().map(|site| site.topic.as_deref());
    let seen = topology.sites().iter().map(seen);
    seen.zip(topics).map(|((event, line, emitted, unheard), topic)| (event, topic, line, emitted, unheard)).collect()
}

/// The lines where those listen who hear what the first place emits that emits this event.
fn heard_by(topology: &Topology, event: &str) -> Vec<u32> {
    let site = topology.sites().iter().find(|site| site.event == event).expect("it was emitted");
    topology.heard_by(site).map(|listener| listener.registered_at.line()).collect()
}

// What is told.

#[test]
fn a_topology_tells_where_what_was_emitted_how_often_and_how_often_nobody_heard_it() {
    let bus = counting_bus();
    bus.emit(&Pong);
    let _hears = bus.on(|_: &Ping| {});
    let line = line!();
    for _ in 0..3 {
        bus.emit(&Ping);
        bus.topic("a.b").emit(&Ping);
        bus.topic("a.b").emit(&Pong);
    }
    bus.port().emit(&Ping);
    let expected = [
        (PING, Some("a.b"), line + 3, 3, 0),
        (PING, None, line + 2, 3, 0),
        (PING, None, line + 6, 1, 0),
        (PONG, None, line - 2, 1, 1),
        (PONG, Some("a.b"), line + 4, 3, 3),
    ];
    let topology = bus.topology();
    let mut seen = seen(&topology);
    seen.sort_by_key(|&(event, topic, line, ..)| (event, topic.is_none(), line));
    let mut expected = expected.to_vec();
    expected.sort_by_key(|&(event, topic, line, ..)| (event, topic.is_none(), line));
    assert_eq!(seen, expected);
}

#[test]
fn sites_come_by_event_then_place_then_topic() {
    let bus = counting_bus();
    let line = line!();
    bus.emit(&Pong);
    bus.emit(&Ping);
    for topic in ["b", "a"] {
        bus.topic(topic).emit(&Ping);
    }
    let expected = [
        (PING, None, line + 2, 1, 1),
        (PING, Some("a"), line + 4, 1, 1),
        (PING, Some("b"), line + 4, 1, 1),
        (PONG, None, line + 1, 1, 1),
    ];
    assert_eq!(seen(&bus.topology()), expected);
}

#[test]
fn unheard_is_what_an_emission_says_it_is() {
    let bus = counting_bus();
    let _any = bus.on_any(|_| {});
    let _recorder = bus.record::<Ping>();
    let _picky = bus.listen::<Ping>().filter(|_| false).on(|_| {});
    let _unheard = bus.on_unheard(|_| {});
    assert_eq!(bus.emit(&Ping).heard, 0);
    let deferred = bus.listen::<Pong>().deferred().on(|_| {});
    let paused = bus.on(|_: &Pong| {});
    paused.pause();
    assert_eq!(bus.emit(&Pong).deferred, 1);
    let topology = bus.topology();
    let unheard: Vec<_> = topology.sites().iter().map(|site| (site.event, site.unheard)).collect();
    assert_eq!(unheard, [(PING, 1), (PONG, 0)]);
    drop(deferred);
    assert_eq!(bus.drain().delivered, 0);
    assert_eq!(bus.topology().sites().len(), 2, "a turn is no emission of its own");
}

#[test]
fn a_deferred_event_counts_when_it_is_delivered_with_the_place_that_deferred_it() {
    let clock = Clock::manual();
    let bus = Emitter::builder().metrics(true).clock(clock.clone()).build(hearken::ignore);
    let _hears = bus.on(|_: &Ping| {});
    let line = line!();
    bus.defer(Ping).unwrap();
    bus.topic("late").defer_in(Duration::from_secs(1), Ping).detach();
    bus.emit(&Ping);
    let is_deferred = || bus.topology().sites().iter().map(|site| site.is_deferred).collect::<Vec<_>>();
    assert_eq!(is_deferred(), [false]);
    bus.drain();
    clock.advance(Duration::from_secs(1));
    bus.drain();
    assert_eq!(is_deferred(), [true, true, false]);
    let expected = [(PING, None, line + 1, 1, 0), (PING, Some("late"), line + 2, 1, 0), (PING, None, line + 3, 1, 0)];
    assert_eq!(seen(&bus.topology()), expected);
    assert!(bus.defer(Pong).is_ok() && bus.discard_pending() == 1);
    assert_eq!(bus.topology().sites().len(), 3, "what was not delivered doesn't count");
}

#[test]
fn failures_are_told_as_listeners_figures_and_not_as_emissions() {
    let bus = counting_bus();
    let _fails = bus.on(|_: &Ping| fail("no"));
    let _hears = bus.on_failure(|_| {});
    bus.emit(&Ping);
    let topology = bus.topology();
    assert_eq!(topology.sites().len(), 1);
    assert_eq!(topology.listeners()[1].calls, Some(1));
    assert!(!topology.to_mermaid().contains("never emitted"), "{}", topology.to_mermaid());
}

#[test]
fn who_hears_a_place_is_who_listens_for_its_type_and_topic() {
    let bus = counting_bus();
    let line = line!();
    let _wide = bus.on(|_: &Ping| {});
    let _matches = bus.topics("*.b").on(|_: &Ping| {});
    let _urgent = bus.listen::<Ping>().topics("x").topics("a.**").priority(1).on(|_| {});
    let _elsewhere = bus.topics("c").on(|_: &Ping| {});
    let _other = bus.on(|_: &Pong| {});
    let _any = bus.on_any(|_| {});
    let _any_too = bus.topics("a.b").on_any(|_| {});
    let _any_elsewhere = bus.topics("c").on_any(|_| {});
    let _unheard = bus.on_unheard(|_| {});
    bus.topic("a.b").emit(&Ping);
    bus.emit(&Pong);
    bus.emit(&7_u8);
    let topology = bus.topology();
    assert_eq!(heard_by(&topology, PING), [3, 1, 2, 6, 7].map(|at| line + at));
    assert_eq!(heard_by(&topology, PONG), [5, 6].map(|at| line + at));
    assert_eq!(heard_by(&topology, "u8"), [6, 9].map(|at| line + at), "nobody heard it, and that was heard");
}

#[test]
fn who_left_is_not_there_and_who_came_later_is() {
    let bus = counting_bus();
    let leaves = bus.on(|_: &Ping| {});
    bus.emit(&Ping);
    leaves.off();
    let _comes = bus.on(|_: &Ping| {});
    let comes = line!() - 1;
    let topology = bus.topology();
    assert_eq!(heard_by(&topology, PING), [comes]);
    assert_eq!((topology.sites()[0].unheard, topology.listeners()[0].calls), (0, Some(0)));
}

#[test]
fn types_are_told_apart_and_generic_places_emit_several() {
    fn emit<T: 'static>(bus: &Emitter, event: T) {
        bus.emit(&Generic(event));
    }
    let bus = counting_bus();
    emit(&bus, 1_u8);
    emit(&bus, 2_u8);
    emit(&bus, "text");
    let topology = bus.topology();
    let events: Vec<_> = topology.sites().iter().map(|site| (site.event, site.emitted)).collect();
    assert_eq!(events, [("topology::Generic<&str>", 1), ("topology::Generic<u8>", 2)]);
}

#[test]
fn topics_that_never_come_again_are_counted_together_past_the_first_few() {
    const TOPICS: u64 = 10_000;
    let bus = counting_bus();
    let _wide = bus.on(|_: &Ping| {});
    let _narrow = bus.topics("order.*").on(|_: &Ping| {});
    for n in 0..TOPICS {
        bus.topic(&format!("order.{n}")).emit(&Ping);
    }
    let topology = bus.topology();
    let sites = topology.sites();
    assert_eq!(sites.len(), 33);
    assert_eq!(sites.iter().map(|site| site.emitted).sum::<u64>(), TOPICS);
    let [.., named, others] = sites else { panic!("33 of them") };
    assert_eq!((named.topic.as_deref(), named.emitted), (Some("order.9"), 1));
    assert_eq!((others.topic.as_deref(), others.emitted), (Some(EmitSite::OTHER_TOPICS), TOPICS - 32));
    assert_eq!((topology.heard_by(named).count(), topology.heard_by(others).count()), (2, 1));
    assert!(bus.try_topic(EmitSite::OTHER_TOPICS).is_err(), "no topic has its name");
}

#[test]
fn what_four_threads_emit_is_counted_exactly() {
    const EACH: u64 = 2_000;
    let bus = counting_bus();
    let _hears = bus.topics("heard").on(|_: &Ping| {});
    let all_there = Barrier::new(4);
    let line = line!() + 6;
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                all_there.wait();
                for n in 0..EACH {
                    bus.topic(if n % 4 == 0 { "heard" } else { "not.heard" }).emit(&Ping);
                }
            });
        }
    });
    let expected = [(PING, Some("heard"), line, EACH, 0), (PING, Some("not.heard"), line, 3 * EACH, 3 * EACH)];
    assert_eq!(seen(&bus.topology()), expected);
}

#[test]
fn without_metrics_there_are_listeners_and_their_events_alone_and_it_says_so() {
    let bus = Emitter::new(hearken::ignore);
    let _hears = bus.listen::<Ping>().named("hears").on(|_| {});
    bus.emit(&Ping);
    bus.emit(&Pong);
    let topology = bus.topology();
    assert!(topology.sites().is_empty());
    assert_eq!(topology.listeners().len(), 1);
    for text in [topology.to_string(), topology.to_mermaid(), topology.to_dot()] {
        assert!(text.contains("the bus was built without `Builder::metrics`"), "{text}");
        assert!(text.contains(PING) && text.contains("hears") && !text.contains(PONG), "{text}");
        assert!(!text.contains("never"), "that isn't known: {text}");
    }
}

#[test]
fn a_topology_keeps_no_bus_and_stays_as_it_is() {
    let bus = counting_bus();
    bus.emit(&Ping);
    let topology = bus.topology();
    bus.emit(&Ping);
    let weak = bus.downgrade();
    drop(bus);
    assert!(weak.upgrade().is_none());
    assert_eq!(topology.sites()[0].emitted, 1);
    assert!(format!("{topology:?}").contains("emitted: 1"));
}

// How it is drawn.

/// A bus with something of everything, and the line above all of its places.
fn busy_bus() -> (Emitter, u32, impl Sized) {
    let clock = Clock::manual();
    let bus = Emitter::builder().metrics(true).clock(clock.clone()).build(hearken::ignore);
    let line = line!();
    let billing = bus.topics("order.*").listen::<Ping>().named("billing").on_with(move |_, cx| {
        clock.advance(Duration::from_millis(1));
        cx.emitter().emit(&Pong);
        fail("no")
    });
    let sessions: Vec<_> = (0..3).map(|_| bus.on(|_: &Pong| {})).collect();
    let late = bus.on(|_: &Pong| {});
    late.pause();
    let never = bus.listen::<Generic<u8>>().named("never").on(|_| {});
    let unheard = bus.on_unheard(|_| {});
    bus.topic("order.new").emit(&Ping);
    bus.topic("order.new").emit(&Ping);
    bus.defer("text").unwrap();
    bus.drain();
    (bus, line, (billing, sessions, late, never, unheard))
}

/// `L7` for a place seven lines below.
fn with_lines(text: &str, line: u32) -> String {
    let with_line =
        |text: String, at: u32| text.replace(&format!("L{at}."), &format!("tests/topology.rs:{}", line + at));
    (1..20).fold(text.to_owned(), with_line)
}

#[test]
fn the_table_has_the_places_and_the_listeners_of_every_event_and_ends_with_what_to_look_into() {
    let (bus, line, _keeps) = busy_bus();
    let topology = bus.topology();
    let table = topology.to_string();
    let squeezed: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = r#"
event times unheard failed time
&str
deferred at L13. 1 1 nobody hears it
topology::Generic<u8>
heard by "never" (L9.) 0 0 0 never called
topology::Ping
emitted at L11. on order.new 1 0
emitted at L12. on order.new 1 0
heard by "billing" (L1.) on order.* 2 2 2.0ms
topology::Pong
emitted at L3. by "billing" 2 0
heard by L6., 3 listeners 6 0 0
heard by L7. 0 0 0 never called, paused
unheard events
heard by L10. 1 0 0
heard by nobody:
&str, 1 of 1 deferred at L13.
never called:
L7., for topology::Pong
"never" (L9.), for topology::Generic<u8>"#;
    println!("{table}");
    assert_eq!(squeezed.join("\n"), with_lines(expected.trim_start(), line));
    let is_aligned = |line: &str| !line.ends_with(' ') && !line.contains('\t');
    assert!(table.lines().all(is_aligned), "{table}");
}

#[test]
fn who_was_tried_again_says_so_and_how_many_dead_letters_it_has_in_the_table_and_in_both_graphs() {
    let clock = Clock::manual();
    for metrics in [true, false] {
        let bus = Emitter::builder().metrics(metrics).clock(clock.clone()).build(hearken::ignore);
        let retry = || Retry::attempts(2).backoff(Duration::from_secs(1));
        let _works = bus.listen::<Ping>().named("works").retry(retry()).on(|_| {});
        let _fails = bus.listen::<Ping>().named("fails").retry(retry()).on(|_| fail("always"));
        let said = || {
            let topology = bus.topology();
            let table = topology.to_string();
            let row = table.lines().find(|line| line.contains("\"fails\"")).expect("its row");
            let row = row.rsplit_once("  ").expect("its remark").1.to_owned();
            assert!(!row.contains("retried") || topology.to_mermaid().contains(&row), "{}", topology.to_mermaid());
            assert!(!row.contains("retried") || topology.to_dot().contains(&row), "{}", topology.to_dot());
            assert!(!table.lines().any(|line| line.contains("\"works\"") && line.contains("retried")), "{table}");
            row
        };
        bus.emit(&Ping);
        assert!(!said().contains("retried"));
        clock.advance(Duration::from_secs(1));
        bus.drain();
        assert_eq!(said(), "retried 1, 1 dead letter");
        bus.emit(&Ping);
        clock.advance(Duration::from_secs(1));
        bus.drain();
        assert_eq!(said(), "retried 2, 2 dead letters");
        bus.dead_letters().redrive_all();
        assert_eq!(said(), "retried 2");
    }
}

#[test]
fn a_deferred_event_was_emitted_in_nobodys_call_whoever_drains() {
    let bus = counting_bus();
    let _drains = bus.listen::<Ping>().named("drains").on_with(|_, cx| {
        cx.emitter().emit(&7_u8);
        cx.emitter().drain();
    });
    bus.defer(Pong).unwrap();
    bus.emit(&Ping);
    let table = bus.topology().to_string();
    let rows: Vec<_> = table.lines().filter(|line| line.contains("ed at tests")).take(3).collect();
    let [_, pong, byte] = rows[..] else { panic!("{table}") };
    assert!(pong.starts_with("  deferred at ") && !pong.contains(" by "), "{pong}");
    assert!(byte.contains(" by \"drains\""), "{byte}");
}

#[test]
fn the_mermaid_graph_leads_from_places_over_events_to_listeners_and_on_to_what_they_emit() {
    let (bus, line, _keeps) = busy_bus();
    let expected = r##"
flowchart TB
    p0["L13."]
    p1["L11."]
    p2["L12."]
    p3["L3."]
    e0(["#38;str<br/>heard by nobody"]):::unheard
    e1(["topology::Ping<br/>@ order.new"])
    e2(["topology::Pong"])
    e3(["topology::Generic#60;u8#62;<br/>never emitted"]):::idle
    e4(["unheard events"])
    l0("#34;billing#34;<br/>L1.<br/>2 calls, 2 failed")
    l1("L6., 3 listeners<br/>6 calls")
    l2("L7.<br/>never called, paused"):::idle
    l3("#34;never#34;<br/>L9.<br/>never called"):::idle
    l4("L10.<br/>1 call")
    p0 -->|"deferred 1"| e0
    p1 -->|"1"| e1
    p2 -->|"1"| e1
    p3 -->|"2"| e2
    e1 --> l0
    l0 --> p3
    e2 --> l1
    e2 --> l2
    e3 --> l3
    e4 -.-> l4
    e0 -.-> e4
    classDef unheard stroke:red,stroke-width:2px,stroke-dasharray:6 3
    classDef idle stroke:gray,color:gray,stroke-dasharray:2 3
"##;
    assert_eq!(bus.topology().to_mermaid(), with_lines(expected.trim_start(), line));
}

#[test]
fn the_dot_graph_is_the_same() {
    let (bus, line, _keeps) = busy_bus();
    let expected = r#"
digraph bus {
    node [fontname="Helvetica"];
    edge [fontname="Helvetica"];
    p0 [label="L13.", shape=box, style="solid"];
    p1 [label="L11.", shape=box, style="solid"];
    p2 [label="L12.", shape=box, style="solid"];
    p3 [label="L3.", shape=box, style="solid"];
    e0 [label="&amp;str\nheard by nobody", shape=ellipse, style="solid,dashed", color=red, penwidth="2"];
    e1 [label="topology::Ping\n@ order.new", shape=ellipse, style="solid"];
    e2 [label="topology::Pong", shape=ellipse, style="solid"];
    e3 [label="topology::Generic<u8>\nnever emitted", shape=ellipse, style="solid,dashed", color=gray, fontcolor="gray"];
    e4 [label="unheard events", shape=ellipse, style="solid"];
    l0 [label="\"billing\"\nL1.\n2 calls, 2 failed", shape=box, style="rounded"];
    l1 [label="L6., 3 listeners\n6 calls", shape=box, style="rounded"];
    l2 [label="L7.\nnever called, paused", shape=box, style="rounded,dashed", color=gray, fontcolor="gray"];
    l3 [label="\"never\"\nL9.\nnever called", shape=box, style="rounded,dashed", color=gray, fontcolor="gray"];
    l4 [label="L10.\n1 call", shape=box, style="rounded"];
    p0 -> e0 [label="deferred 1", style=solid];
    p1 -> e1 [label="1", style=solid];
    p2 -> e1 [label="1", style=solid];
    p3 -> e2 [label="2", style=solid];
    e1 -> l0 [label="", style=solid];
    l0 -> p3 [label="", style=solid];
    e2 -> l1 [label="", style=solid];
    e2 -> l2 [label="", style=solid];
    e3 -> l3 [label="", style=solid];
    e4 -> l4 [label="", style=dashed];
    e0 -> e4 [label="", style=dashed];
}
"#;
    assert_eq!(bus.topology().to_dot(), with_lines(expected.trim_start(), line));
}

#[test]
fn a_place_that_was_heard_now_and_then_says_so() {
    let bus = counting_bus();
    bus.emit(&Ping);
    let once = bus.once(|_: &Ping| {});
    for _ in 0..2 {
        bus.emit(&Ping);
    }
    assert!(!once.off());
    let topology = bus.topology();
    assert!(topology.to_mermaid().contains("<br/>2 of 3 heard by nobody\"]):::unheard"), "{}", topology.to_mermaid());
    let table = topology.to_string();
    assert!(table.contains("topology::Ping, 1 of 2 emitted at ") && table.ends_with("never called: none\n"), "{table}");
}

/// The lines of a node's label, between the first quotation mark of the line and the last.
fn label<'a>(graph: &'a str, node: &str) -> &'a str {
    let line = graph.lines().find(|line| line.trim_start().starts_with(node)).expect("the node");
    let line = line.split(", shape=").next().unwrap_or(line);
    &line[line.find('"').expect("a label") + 1..line.rfind('"').expect("its end")]
}

/// What Mermaid shows for a label.
fn read_mermaid(label: &str) -> String {
    assert!(!label.replace("<br/>", "").contains(['"', '<', '>', '&', '`', '*', '\\']), "{label}");
    let mut text = String::new();
    let mut rest = label;
    while let Some((before, code)) = rest.split_once('#') {
        let (code, behind) = code.split_once(';').expect("an entity ends");
        text.push_str(before);
        text.push(char::from_u32(code.parse().expect("a number")).expect("a character"));
        rest = behind;
    }
    let text = (text + rest).replace("<br/>", "\n");
    assert!(!text.contains("\\n"), "Mermaid would break the line: {text}");
    text.replace('\u{2060}', "")
}

/// What Graphviz shows for one.
fn read_dot(label: &str) -> String {
    let mut text = String::new();
    let mut rest = label.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some(c @ ('"' | '\\')) => text.push(c),
                other => panic!("\\{other:?} in {label}"),
            },
            '"' => panic!("the label ends early: {label}"),
            c => text.push(c),
        }
    }
    text.replace("&amp;", "&")
}

proptest! {
    #[test]
    fn whatever_a_listener_is_called_both_graphs_show_it(
        name in r#"([a-z_]|["'#&;<>\\`*~%{}\[\]()|$@:/ ]|style|classDef|end|\\n|%%|\PC){0,12}"#,
    ) {
        let bus = counting_bus();
        let name: &'static str = name.leak();
        let _hears = bus.listen::<Ping>().named(name).on(|_| {});
        let shown = format!("{name:?}");
        let topology = bus.topology();
        let (mermaid, dot) = (topology.to_mermaid(), topology.to_dot());
        for text in [read_mermaid(label(&mermaid, "l0")), read_dot(label(&dot, "l0"))] {
            prop_assert_eq!(text.lines().next(), Some(&*shown));
        }
        // Mermaid's own search, which takes a `;` away.
        for word in ["style", "classDef"] {
            prop_assert!(!mermaid.lines().any(|line| line.contains('#') && line.contains(word)), "{}", mermaid);
        }
    }

    #[test]
    fn whatever_topic_is_emitted_on_both_graphs_show_it(topic in r#"[a-z"'#&;<>\\`%{}()|_n-]{1,12}"#) {
        let bus = counting_bus();
        bus.topic(&topic).emit(&Ping);
        let topology = bus.topology();
        let shown = format!("{PING}\n@ {topic}\nheard by nobody");
        prop_assert_eq!(read_mermaid(label(&topology.to_mermaid(), "e0")), &*shown);
        prop_assert_eq!(read_dot(label(&topology.to_dot(), "e0")), &*shown);
        let table = topology.to_string();
        prop_assert!(table.contains(&[" on ", &topic, " "].concat()), "{}", table);
    }
}
