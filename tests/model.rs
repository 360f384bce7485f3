//! Random programs, run against the bus and against a naive model of its contract, step by step the same.
//!
//! A failure prints the shrunk program as Rust: paste it below as a test of its own.

#[path = "model/naive.rs"]
mod naive;
#[path = "model/program.rs"]
mod program;
#[path = "model/real.rs"]
mod real;
#[path = "model/world.rs"]
mod world;

use std::fmt::Write;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::naive::Naive;
use crate::program::{Program, programs};
use crate::real::Real;
use crate::world::{Drained, Failed, Heard, Line, Log, Refused, Why};

/// What fits into half a minute of a debug build on a slow machine; `PROPTEST_CASES` asks for more.
const CASES: u32 = 800;

#[test]
fn the_bus_does_what_the_contract_says() {
    // A program that failed belongs into this file, not into a list of seeds.
    let config = Config { failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { CASES };
    let mut runner = TestRunner::new(Config { cases, ..config });
    match runner.run(&programs(), |program| compare(&program).map_err(TestCaseError::fail)) {
        Ok(()) => {}
        Err(TestError::Fail(reason, program)) => panic!("{program:?}\n\n{reason}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

fn compare(program: &Program) -> Result<(), String> {
    real::silence_scripted_panics();
    let expected = world::run(Naive::default(), program);
    let happened = world::run(Real::default(), program);
    difference(&expected, &happened).map_or(Ok(()), Err)
}

/// The first line where the logs part, with those before it.
fn difference(expected: &Log, happened: &Log) -> Option<String> {
    const BEFORE: usize = 30;
    let same = expected.iter().zip(happened).take_while(|(expected, happened)| expected == happened).count();
    if same == expected.len() && same == happened.len() {
        return None;
    }
    let mut text = String::new();
    let mut show = |mark: &str, line: Option<&(usize, Line)>| {
        let _ = match line {
            Some((nesting, line)) => writeln!(text, "{mark:>12} {:1$}{line:?}", "", 4 * nesting),
            None => writeln!(text, "{mark:>12} (the end)"),
        };
    };
    expected[..same].iter().skip(same.saturating_sub(BEFORE)).for_each(|line| show("", Some(line)));
    show("the contract", expected.get(same));
    show("the bus", happened.get(same));
    Some(text)
}

const PROGRAMS: usize = 200;

/// Else the comparison would prove less than it says.
#[test]
fn random_programs_come_to_every_corner_of_the_contract() {
    let mut runner = TestRunner::deterministic();
    let logs: Vec<_> = (0..PROGRAMS)
        .map(|_| {
            let program = programs().new_tree(&mut runner).expect("programs need no luck").current();
            world::run(Naive::default(), &program)
        })
        .collect();
    for (corner, is_there) in CORNERS {
        let times = logs.iter().flatten().filter(|(nesting, line)| is_there(*nesting, line)).count();
        println!("{times} x {corner}");
        assert!(times >= 5, "{corner}: {times} times in {PROGRAMS} programs");
    }
    for (corner, times) in PATHS {
        let times = logs.iter().map(times).sum::<usize>();
        println!("{times} x {corner}");
        assert!(times >= 5, "{corner}: {times} times in {PROGRAMS} programs");
    }
}

type Corner = (&'static str, fn(usize, &Line) -> bool);

const CORNERS: &[Corner] = &[
    (
        "a chain went too deep",
        |_, line| matches!(line, Line::Channel { failure, .. } if matches!(failure.cause, Why::TooDeep { .. })),
    ),
    ("an emission was stopped", |_, line| matches!(line, Line::Emitted { report, .. } if report.stopped_by.is_some())),
    (
        "some heard and some failed",
        |_, line| matches!(line, Line::Emitted { report, .. } if report.failed > 0 && report.heard > report.failed),
    ),
    ("a failure was heard", |_, line| matches!(line, Line::Calls { heard: Heard::Failure(_), .. })),
    (
        "a listener of failures failed",
        |_, line| matches!(line, Line::Channel { failure, .. } if failure.event == Some(program::Kind::Failures)),
    ),
    (
        "a listener in a chain of four",
        |_, line| matches!(line, Line::Calls { scene: Some(scene), .. } if scene.depth >= 4 && scene.cause.is_some()),
    ),
    ("failures were only counted", |_, line| matches!(line, Line::Suppressed { .. })),
    ("a filter was asked in a nested emission", |nesting, line| nesting > 1 && matches!(line, Line::Asks { .. })),
    ("a listener switched a listener off", |nesting, line| {
        nesting > 1 && matches!(line, Line::Off { removed: true, .. } | Line::OffId { removed: true, .. })
    }),
    ("there was nothing to switch off", |_, line| matches!(line, Line::Off { removed: false, .. })),
    ("an id found nothing", |_, line| matches!(line, Line::OffId { removed: false, .. })),
    ("`off_all` inside an emission", |nesting, line| nesting > 1 && matches!(line, Line::OffAll { removed: 2.., .. })),
    ("`off_and_wait` would deadlock", |_, line| matches!(line, Line::OffAndWait { would_deadlock: Some(true), .. })),
    ("`off_and_wait` inside another bus", |nesting, line| {
        nesting > 1 && matches!(line, Line::OffAndWait { would_deadlock: Some(false), .. })
    }),
    ("a listener resumed a listener", |nesting, line| nesting > 1 && matches!(line, Line::Resumes { .. })),
    ("a bus was made after another had gone", |_, line| matches!(line, Line::Makes { bus: 2.. })),
    (
        "somebody heard what an emit on a topic said",
        |_, line| matches!(line, Line::Calls { scene: Some(scene), .. } if scene.topic.is_some()),
    ),
    ("a failure names a topic", |_, line| matches!(line, Line::Channel { failure, .. } if failure.topic.is_some())),
    ("somebody would hear on a topic", |_, line| matches!(line, Line::Counts { topic: Some(_), count: 1.., .. })),
    ("a drain delivered several", |_, line| {
        matches!(line, Line::Drained { drained: Drained { delivered: 2.., .. }, .. })
    }),
    ("a drain left something", |_, line| {
        matches!(line, Line::Drained { drained: Drained { delivered: 1.., remaining: 1.. }, .. })
    }),
    ("a drain inside a delivery", |nesting, line| {
        nesting > 1 && matches!(line, Line::Drained { drained: Drained { delivered: 0, remaining: 1.. }, .. })
    }),
    ("a full queue gave an event back", |_, line| {
        matches!(line, Line::Deferred { given_back: Some(Refused::Full), .. })
    }),
    ("a closed queue gave an event back", |_, line| {
        matches!(line, Line::Deferred { given_back: Some(Refused::Closed), .. })
    }),
    ("an event was lost", |_, line| lost(line).is_some_and(|failure| failure.by.is_none())),
    ("a listener's turn was lost", |_, line| lost(line).is_some_and(|failure| failure.by.is_some())),
    (
        "a bus went with several events in its queue",
        |_, line| matches!(line, Line::Channel { failure, .. } if matches!(failure.cause, Why::Lost { missed: 2.. })),
    ),
    (
        "a deferred event kept the cause it was deferred with",
        |_, line| matches!(line, Line::Calls { scene: Some(scene), .. } if scene.depth == 1 && scene.cause.is_some()),
    ),
    ("events were discarded", |_, line| matches!(line, Line::Discards { events: 1.., .. })),
    ("events were discarded inside a delivery", |nesting, line| {
        nesting > 1 && matches!(line, Line::Discards { events: 1.., .. })
    }),
    ("turns were put off", |_, line| matches!(line, Line::Emitted { report, .. } if report.deferred > 0)),
    ("a recorder has something", |_, line| matches!(line, Line::Recorded { tags } if !tags.is_empty())),
];

/// The failure that one event was lost.
fn lost(line: &Line) -> Option<&Failed> {
    match line {
        Line::Channel { failure, .. } if failure.cause == Why::Lost { missed: 1 } => Some(failure),
        _ => None,
    }
}

type Path = (&'static str, fn(&Log) -> usize);

/// What no single line tells.
const PATHS: &[Path] = &[
    ("a listener added between `defer` and its delivery heard the event", |log| {
        let deferred = |line: &Line, tag| matches!(line, Line::Defers { tag: it, .. } if *it == tag);
        let added = |line: &Line, number| matches!(line, Line::Adds { listener, .. } if *listener == number);
        calls(log)
            .filter(|(_, listener, tag)| {
                let lines = || log.iter().map(|(_, line)| line);
                let before = lines().position(|line| deferred(line, *tag));
                before.is_some() && before < lines().position(|line| added(line, *listener))
            })
            .count()
    }),
    ("a listener that was there at `defer` was off at the delivery", |log| {
        let deferred =
            |tag| log.iter().position(|(_, line)| matches!(line, Line::Defers { tag: it, .. } if *it == tag));
        let was_there = |place: usize, listener: usize| {
            let added = |(_, line): &(usize, Line)| matches!(line, Line::Adds { listener: it, .. } if *it == listener);
            log[..place].iter().any(added)
        };
        let delivered = calls(log).filter_map(|(end, _, tag)| Some((deferred(tag)?, end)));
        let went_off = |(begin, end): (usize, usize)| {
            let off = |(_, line): &(usize, Line)| match line {
                Line::Off { listener, removed } => *removed && was_there(begin, *listener),
                _ => false,
            };
            log[begin..end].iter().any(off)
        };
        delivered.filter(|times| went_off(*times)).count()
    }),
    ("a drain passed a turn by", |log| {
        // Something waited, all of it is gone, nothing else happened, and less was delivered.
        let waited = |place: usize, bus: usize| {
            log[..place].iter().rev().find_map(|(_, line)| match line {
                Line::Pending { bus: it, events } if *it == bus => Some(*events),
                _ => None,
            })
        };
        let is_so = |(place, lines): &(usize, &[(usize, Line)])| match lines {
            [(_, Line::Drains { bus }), (_, Line::Drained { drained, .. })] => {
                drained.remaining == 0 && waited(*place, *bus).is_some_and(|waited| drained.delivered < waited)
            }
            _ => false,
        };
        log.windows(2).enumerate().filter(is_so).count()
    }),
];

/// Where a listener heard which event.
fn calls(log: &Log) -> impl Iterator<Item = (usize, usize, u32)> {
    log.iter().enumerate().filter_map(|(place, (_, line))| match line {
        Line::Calls { listener, heard: Heard::Event(_, tag), .. } => Some((place, *listener, *tag)),
        _ => None,
    })
}

/// Programs that once failed.
#[test]
fn a_deferred_listener_that_is_off_or_paused_is_passed_by() {
    use program::{Kind::*, Step::*, Verdict::*};
    use program::{on, on_weak};

    let programs = [
        // By its own filter, and with its owner.
        Program::new([Listen(0, on(A).filter(Accepts, [Off(0)]).deferred()), Emit(0, A)]),
        Program::new([Listen(0, on_weak(A, 1).filter(Accepts, [DropOwner(1)]).deferred()), Emit(0, A)]),
        // Where nothing more can be delivered.
        Program::new([
            Listen(0, on(A).deferred()),
            Emit(0, A),
            Pause(0),
            Listen(1, on(B).plays([Emit(0, B), Drain(0)])),
            Emit(0, B),
        ]),
    ];
    for program in programs {
        if let Err(difference) = compare(&program) {
            panic!("{program:?}\n\n{difference}");
        }
    }
}

/// So that a program that failed can be pasted here.
#[test]
fn a_program_prints_as_the_rust_that_builds_it() {
    use hearken::Overflow::*;
    use program::{Answer::*, Kind::*, Name::*, Settings, Step::*, Verdict::*};
    use program::{on, on_any, on_failure, on_unheard, on_weak, on_with, once, once_with};

    let program = Program::new([
        Listen(
            0,
            on(A)
                .of_bus(1)
                .topics("a.*")
                .topics("**")
                .priority(-1)
                .named("ann")
                .times(2)
                .plays([Emit(0, B)])
                .answers(Errs)
                .drops_badly(),
        ),
        Listen(1, on_with(B).filter(FilterPanics, [OffId(1, Of(0)), OffId(1, Before(0))])),
        Listen(2, once(C)),
        Listen(3, once_with(Failures).deferred().plays([Drain(0)])),
        Listen(4, on_weak(A, 2)),
        Listen(5, on_any().topics("**.b").answers(OkBreaks)),
        EmitOn(0, "a.b", C),
        DeferOn(0, "a", B),
        DrainUntilIdle(0, 3),
        Listen(6, on_unheard()),
        Listen(7, on_failure()),
    ])
    .bus(1, Settings::new(6).queue(2, DropOldest).plays([OffAll(1)]).panics());

    let text = r#"Program::new([
    Listen(0, on(A).of_bus(1).topics("a.*").topics("**").priority(-1).named("ann").times(2).plays([Emit(0, B)]).answers(Errs).drops_badly()),
    Listen(1, on_with(B).filter(FilterPanics, [OffId(1, Of(0)), OffId(1, Before(0))])),
    Listen(2, once(C)),
    Listen(3, once_with(Failures).deferred().plays([Drain(0)])),
    Listen(4, on_weak(A, 2)),
    Listen(5, on_any().topics("**.b").answers(OkBreaks)),
    EmitOn(0, "a.b", C),
    DeferOn(0, "a", B),
    DrainUntilIdle(0, 3),
    Listen(6, on_unheard()),
    Listen(7, on_failure()),
])
.bus(1, Settings::new(6).queue(2, DropOldest).plays([OffAll(1)]).panics())"#;
    assert_eq!(format!("{program:?}"), text);
}
