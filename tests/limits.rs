//! Limits that help: how deep emissions nest, how many listeners an event gathers.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use common::traced;
use hearken::{Builder, Cause, Emitter, Failure};

struct Ping;
struct Pong;

/// What threads get unless they ask for more.
const USUAL_STACK: usize = 2 << 20;

fn on_the_usual_stack(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(USUAL_STACK).spawn(run).unwrap().join().unwrap();
}

/// A bus and the failures that its error channel got.
fn bus_and_failures() -> (Emitter, Arc<Mutex<Vec<Failure>>>) {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let bus = Emitter::new({
        let failures = Arc::clone(&failures);
        move |failure| failures.lock().unwrap().push(failure)
    });
    (bus, failures)
}

fn is_too_deep(failure: &Failure) -> bool {
    matches!(failure.cause(), Cause::TooDeep { limit: 128 }) && failure.listener().is_none()
}

#[test]
fn a_listener_that_emits_its_own_event_for_ever_ends_in_one_failure() {
    on_the_usual_stack(|| {
        let (bus, failures) = bus_and_failures();
        let calls = Arc::new(AtomicUsize::new(0));
        let _echo = bus.on_with({
            let calls = Arc::clone(&calls);
            move |_: &Ping, cx| {
                calls.fetch_add(1, Relaxed);
                cx.emitter().emit(&Ping);
            }
        });
        assert_eq!(bus.emit(&Ping).heard, 1);
        assert_eq!(calls.load(Relaxed), 128);
        let failures = failures.lock().unwrap();
        assert!(matches!(&failures[..], [failure] if is_too_deep(failure)), "{failures:?}");
    });
}

#[test]
fn two_buses_that_emit_into_each_other_end_in_one_failure() {
    on_the_usual_stack(|| {
        let (here, failures) = bus_and_failures();
        let (there, failures_there) = bus_and_failures();
        let _here = here.on({
            let there = there.clone();
            move |_: &Ping| {
                there.emit(&Pong);
            }
        });
        let _there = there.on({
            let here = here.downgrade();
            move |_: &Pong| {
                here.upgrade().map(|here| here.emit(&Ping));
            }
        });
        here.emit(&Ping);
        let all: Vec<_> = [failures, failures_there].iter().flat_map(|list| list.lock().unwrap().clone()).collect();
        assert!(matches!(&all[..], [failure] if is_too_deep(failure)), "{all:?}");
    });
}

#[test]
fn an_error_channel_that_emits_what_fails_ends_in_the_trace() {
    on_the_usual_stack(|| {
        let bus = Arc::new(Mutex::new(None::<Emitter>));
        let reported = Arc::new(AtomicUsize::new(0));
        let made = Emitter::new({
            let (bus, reported) = (Arc::clone(&bus), Arc::clone(&reported));
            move |_| {
                reported.fetch_add(1, Relaxed);
                let bus = bus.lock().unwrap().clone();
                bus.unwrap().emit(&Ping);
            }
        });
        *bus.lock().unwrap() = Some(made.clone());
        made.on(|_: &Ping| Err::<(), _>("never".into())).detach();

        made.emit(&Ping);
        assert_eq!(reported.load(Relaxed), 1);
        assert_eq!(made.suppressed_failures(), 1);
        bus.lock().unwrap().take();
    });
}

#[test]
fn an_error_channel_that_emits_for_ever_ends_in_the_trace() {
    on_the_usual_stack(|| {
        let (bus, failures) = bus_and_failures();
        let _echo = bus.on_with(|_: &Ping, cx| {
            cx.emitter().emit(&Ping);
        });
        let _again = bus.on_failure({
            let bus = bus.downgrade();
            move |_| {
                bus.upgrade().map(|bus| bus.emit(&Ping));
            }
        });
        bus.emit(&Ping);
        let failures = failures.lock().unwrap();
        assert!(failures.iter().all(is_too_deep) && failures.len() == 2, "{failures:?}");
    });
}

/// How much of the stack the bus takes for a level.
fn level(bus: &Emitter) -> usize {
    /// Where the stack is, as a number.
    #[inline(never)]
    fn here() -> usize {
        let local = 0_u8;
        std::hint::black_box(&raw const local).addr()
    }

    let places = Arc::new(Mutex::new(Vec::new()));
    let _deeper = bus.on_with({
        let places = Arc::clone(&places);
        move |_: &Ping, cx| {
            places.lock().unwrap().push(here());
            cx.emitter().emit(&Ping);
        }
    });
    bus.emit(&Ping);
    let places = places.lock().unwrap();
    (places[0] - places[places.len() - 1]) / (places.len() - 1)
}

#[test]
fn a_listener_has_its_share_of_the_stack_at_every_level() {
    /// Of the 16 KiB that a level has, a release build leaves it 14, a debug build 12.
    const SHARE: usize = if cfg!(debug_assertions) { 12 << 10 } else { 14 << 10 };

    on_the_usual_stack(|| {
        let used = level(&bus_and_failures().0);
        assert!(used <= (USUAL_STACK / 128) - SHARE, "a level takes {used} bytes of the stack");
    });
}

#[test]
fn metrics_leave_a_listener_as_much_of_the_stack_but_for_a_kib_in_a_debug_build() {
    const SHARE: usize = if cfg!(debug_assertions) { 11 << 10 } else { 14 << 10 };

    on_the_usual_stack(|| {
        let used = level(&Emitter::builder().metrics(true).build(hearken::ignore));
        assert!(used <= (USUAL_STACK / 128) - SHARE, "a level takes {used} bytes of the stack");
    });
}

#[test]
fn depth_is_what_it_was_after_a_panic() {
    let (bus, failures) = bus_and_failures();
    let _panics = bus.on(|_: &Ping| panic!("on purpose"));
    let _depth = bus.on_with(|_: &Pong, cx| assert_eq!(cx.depth(), 1));
    for _ in 0..300 {
        bus.emit(&Ping);
    }
    assert_eq!(failures.lock().unwrap().len(), 300);
    assert_eq!(bus.emit(&Pong).failed, 0);
}

#[test]
fn max_depth_counts_the_outermost_emission() {
    let failures = Arc::new(AtomicUsize::new(0));
    let bus = Emitter::builder().max_depth(1).build({
        let failures = Arc::clone(&failures);
        move |_| {
            failures.fetch_add(1, Relaxed);
        }
    });
    let _nests = bus.on_with(|_: &Ping, cx| assert_eq!(cx.emitter().emit(&Pong).heard, 0));
    let _never = bus.on(|_: &Pong| unreachable!("it would be the second level"));
    bus.emit(&Ping);
    assert_eq!(failures.load(Relaxed), 1);
}

#[test]
fn a_crowd_of_listeners_is_warned_of_once_by_the_lines_that_added_them() {
    let bus = Emitter::builder().leak_warning(10).build(hearken::panic);
    let mut kept = Vec::new();
    let line = line!();
    let text = traced(|| {
        for _ in 0..3 {
            kept.push(bus.on(|_: &Ping| {}));
        }
        for _ in 0..20 {
            kept.push(bus.on(|_: &Ping| {}));
        }
        let _others = bus.on(|_: &Pong| {});
    });
    let expected = format!(
        " WARN hearken: 11 listeners of limits::Ping: 8 from tests/limits.rs:{}, 3 from tests/limits.rs:{}; ",
        line + 6,
        line + 3
    );
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_crowd_that_was_allowed_is_not_warned_of() {
    let crowd = |bus: Emitter| {
        for _ in 0..=1_000 {
            bus.on(|_: &Ping| {}).detach();
        }
    };
    let usual = traced(|| crowd(Emitter::new(hearken::panic)));
    assert!(usual.contains("1001 listeners"), "{usual}");
    assert_eq!(traced(|| crowd(Emitter::builder().leak_warning(0).build(hearken::panic))), "");
    assert_eq!(traced(|| crowd(Emitter::builder().leak_warning(1_001).build(hearken::panic))), "");
    let narrowed_too = traced(|| {
        let bus = Emitter::builder().leak_warning(2).build(hearken::panic);
        let _three = (bus.on(|_: &Ping| {}), bus.topic("a").on(|_: &Ping| {}), bus.topics("*").on(|_: &Ping| {}));
    });
    assert!(narrowed_too.contains("3 listeners of limits::Ping: 3 from"), "{narrowed_too}");
    let of_every_type = traced(|| {
        let bus = Builder::<()>::new().leak_warning(1).build(hearken::ignore);
        let _two = (bus.on_any(|_| {}), bus.on_any(|_| {}));
    });
    assert!(of_every_type.contains("2 listeners of any event: 2 from tests/limits.rs:"), "{of_every_type}");
}
