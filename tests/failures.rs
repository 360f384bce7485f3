//! Contract 7, 8 and 9: where failures go, in which order, and that nothing that fails takes the bus or a bystander with it.

mod common;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::thread;

use common::{Bomb, Drops, Log, OnDrop, caught, fail, in_time, keep, logging_bus, strict_bus, text};
use hearken::{AnyEvent, Builder, Cause, Emitter, Failure, Subscription, WeakEmitter};

struct Order(u32);
struct Other;

/// A bus, and its failures themselves.
fn keeping_bus() -> (Emitter, Log<Failure>) {
    let failures = Log::new();
    let channel = failures.clone();
    (Emitter::new(move |failure| channel.add(failure)), failures)
}

/// Whether a listener added now hears an event now: the bus is in order.
#[track_caller]
fn assert_usable(bus: &Emitter) {
    struct Probe;
    let (called, suppressed) = (Arc::new(AtomicUsize::new(0)), bus.suppressed_failures());
    let calls = Arc::clone(&called);
    let probe = bus.on_with(move |_: &Probe, cx| {
        calls.fetch_add(1, Ordering::SeqCst);
        assert_eq!(cx.depth(), 1);
    });
    let emission = bus.emit(&Probe);
    assert_eq!((emission.heard, emission.failed, called.load(Ordering::SeqCst)), (1, 0, 1));
    assert!(probe.off());
    assert_eq!(bus.suppressed_failures(), suppressed);
}

// Isolation

#[test]
fn errors_and_panics_go_to_the_channel_and_everybody_else_is_called() {
    let ((bus, failures), log) = (logging_bus(), Log::<u32>::new());
    let heard = || {
        let log = log.clone();
        bus.on(move |order: &Order| log.add(order.0))
    };
    let is_order = |event: &AnyEvent<'_>| event.downcast_ref::<Order>().is_some();
    let _all = [
        heard(),
        bus.on(|_: &Order| fail("an error")),
        heard(),
        bus.on(|_: &Order| panic!("a panic")),
        heard(),
        bus.on_any(move |event: &AnyEvent<'_>| if is_order(event) { fail("an any-listener's error") } else { Ok(()) }),
        heard(),
        bus.on_any(move |event: &AnyEvent<'_>| assert!(!is_order(event), "an any-listener's panic")),
        heard(),
        bus.once(|_: &Order| panic!("a once's panic")),
        heard(),
        bus.listen::<Order>().filter(|_| panic!("a filter's panic")).on(|_| {}),
        heard(),
    ];
    let emission = bus.emit(&Order(1));
    assert_eq!((emission.heard, emission.failed), (7 + 3, 3));
    assert_eq!(log.take(), [1; 7]);
    let expected = [
        "an error",
        "a panic",
        "an any-listener's error",
        "an any-listener's panic",
        "a once's panic",
        "a filter's panic",
    ];
    assert_eq!(failures.take(), expected);
    assert_usable(&bus);
}

#[test]
fn what_fails_in_a_nested_emission_stops_nobody_outside() {
    let (bus, failures) = logging_bus();
    let _nests = bus.on_with(|_: &Order, cx| {
        let emission = cx.emitter().emit(&Other);
        assert_eq!((emission.heard, emission.failed), (2, 2));
    });
    let _panics = bus.on(|_: &Other| panic!("a panic"));
    let _fails = bus.on(|_: &Other| fail("an error"));
    let _behind = bus.on(|_: &Order| {});
    let emission = bus.emit(&Order(1));
    assert_eq!((emission.heard, emission.failed), (2, 0));
    assert_eq!(failures.take(), ["a panic", "an error"]);
}

#[test]
fn a_failing_unheard_listener_is_a_failure_too() {
    let (bus, failures) = logging_bus();
    let _fails = bus.on_unheard(|_| fail("an error"));
    let log = Log::new();
    let heard = log.clone();
    let _behind = bus.on_unheard(move |_| heard.add(()));
    let emission = bus.emit(&Order(1));
    assert_eq!((emission.heard, emission.failed), (0, 0));
    assert_eq!((failures.take(), log.take().len()), (vec!["an error".to_owned()], 1));
}

#[test]
fn a_failure_is_delivered_before_the_next_listener_is_picked() {
    let log = Log::new();
    let (channel, hears, behind) = (log.clone(), log.clone(), log.clone());
    let bus = Emitter::new(move |_| channel.add("channel"));
    let _hears = bus.on_failure(move |_| hears.add("failure listener"));
    let _fails = bus.on(|_: &Order| fail("an error"));
    let next = bus.on(move |_: &Order| behind.add("next listener"));
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["failure listener", "channel", "next listener"]);

    let next = std::sync::Mutex::new(Some(next));
    let _removes = bus.on_failure(move |_| drop(next.lock().expect("no panic").take()));
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["failure listener", "channel"], "it could still be removed");
}

// Failures as events

#[test]
fn failure_listeners_hear_a_failure_as_they_hear_any_event() {
    let ((bus, failures), log) = (logging_bus(), Log::<String>::new());
    let note = |name: &'static str| {
        let log = log.clone();
        move |failure: &Failure| log.add(format!("{name}: {}", text(failure)))
    };
    let _all = [
        bus.listen::<Failure>().priority(-1).on(note("last")),
        bus.on(note("on")),
        bus.on_failure(note("on_failure")),
        bus.once(note("once")),
        bus.listen::<Failure>().filter(|failure| text(failure) == "two").on(note("picky")),
    ];
    let _fails = bus.on(|order: &Order| fail(if order.0 == 1 { "one" } else { "two" }));
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["on: one", "on_failure: one", "once: one", "last: one"]);
    bus.emit(&Order(2));
    assert_eq!(log.take(), ["on: two", "on_failure: two", "picky: two", "last: two"]);
    assert_eq!(failures.take(), ["one", "two"]);
}

#[test]
fn the_channel_gets_the_failure_by_value_after_its_listeners() {
    let taken = Log::new();
    let channel = taken.clone();
    let bus = Emitter::new(move |failure: Failure| {
        channel.add(failure.into_error().expect("nobody else has it").to_string());
    });
    let _hears = bus.on_failure(|failure| assert_eq!(text(failure), "an error"));
    let _any = bus.on_any(|_| {});
    let _fails = bus.on(|_: &Order| fail("an error"));
    bus.emit(&Order(1));
    assert_eq!(taken.take(), ["an error"]);
}

#[test]
fn any_listeners_hear_failures() {
    let ((bus, _), log) = (logging_bus(), Log::<String>::new());
    let heard = log.clone();
    let _any = bus.on_any(move |event: &AnyEvent<'_>| {
        if let Some(failure) = event.downcast_ref::<Failure>() {
            heard.add(text(failure));
        }
    });
    let _fails = bus.on(|_: &Order| fail("an error"));
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["an error"]);
}

#[test]
fn break_in_a_failure_listener_stops_only_its_fellows() {
    let ((bus, failures), log) = (logging_bus(), Log::new());
    let _stops = bus.on_failure(|_| ControlFlow::Break(()));
    let fellow = log.clone();
    let _fellow = bus.on_failure(move |_| fellow.add("fellow"));
    let _fails = bus.on(|_: &Order| fail("an error"));
    let behind = log.clone();
    let _behind = bus.on(move |_: &Order| behind.add("behind"));
    let emission = bus.emit(&Order(1));
    assert_eq!((emission.heard, emission.failed, emission.stopped_by), (2, 1, None));
    assert_eq!((failures.take(), log.take()), (vec!["an error".to_owned()], vec!["behind"]));
}

#[test]
fn a_failing_failure_listener_goes_straight_to_the_channel() {
    let log = Log::<String>::new();
    let channel = log.clone();
    let bus = Emitter::new(move |failure| channel.add(format!("channel: {}", text(&failure))));
    let note = |name: &'static str| {
        let log = log.clone();
        move |failure: &Failure| {
            log.add(format!("{name}: {}", text(failure)));
            name
        }
    };
    let (fails, panics, hears) = (note("fails"), note("panics"), note("hears"));
    let _fails = bus.on_failure(move |failure| fail(fails(failure)));
    let _panics = bus.on_failure(move |failure| panic!("{}", panics(failure)));
    let _hears = bus.on_failure(move |failure| keep(&hears(failure)));
    let _order = bus.on(|_: &Order| fail("order"));
    bus.emit(&Order(1));
    let expected =
        ["fails: order", "channel: fails", "panics: order", "channel: panics", "hears: order", "channel: order"];
    assert_eq!(log.take(), expected);
    assert_eq!(bus.suppressed_failures(), 0);
}

#[test]
fn a_failure_anywhere_below_the_delivery_of_a_failure_goes_straight_to_its_channel() {
    let (bus, failures) = logging_bus();
    let (other, others) = logging_bus();
    let log = Log::<String>::new();
    let (here, there) = (log.clone(), log.clone());
    let _there = other.on_failure(move |failure| there.add(text(failure)));
    let _fails_there = other.on(|_: &Other| fail("below, on another bus"));
    let hop = other.clone();
    let _here = bus.on_with(move |failure: &Failure, cx| {
        here.add(text(failure));
        assert_eq!(cx.emitter().emit(&Other).failed, 1);
        assert_eq!(hop.emit(&Other).failed, 1);
    });
    let _fails = bus.on(|_: &Order| fail("order"));
    let _fails_below = bus.on(|_: &Other| fail("below"));

    bus.emit(&Order(1));
    assert_eq!(log.take(), ["order"]);
    assert_eq!(failures.take(), ["below", "order"]);
    assert_eq!(others.take(), ["below, on another bus"]);

    other.emit(&Other);
    assert_eq!(log.take(), ["below, on another bus"], "not below a failure, it has its listeners");
}

#[test]
fn listeners_that_always_fail_come_to_an_end() {
    let (bus, failures) = logging_bus();
    let _any = bus.on_any(|_| fail("any"));
    let _failure = bus.on_failure(|_| panic!("failure"));
    let _unheard = bus.on_unheard(|_| fail("unheard"));
    let _order = bus.on(|_: &Order| fail("order"));
    in_time({
        let bus = bus.clone();
        move || bus.emit(&Order(1))
    });
    // Each of the two failures of the emission is heard by two listeners that fail, and then goes on itself.
    assert_eq!(failures.take(), ["any", "failure", "any", "any", "failure", "order"]);
    assert_usable_with_failures(&bus);
}

/// As `assert_usable`, on a bus whose every listener fails.
fn assert_usable_with_failures(bus: &Emitter) {
    assert_eq!(bus.off_all(), 4);
    assert_usable(bus);
}

#[test]
fn a_chain_that_goes_too_deep_is_a_failure_with_its_listeners() {
    let log = Log::<String>::new();
    let (channel, hears) = (log.clone(), log.clone());
    let bus = Emitter::builder().max_depth(2).build(move |failure| channel.add(format!("channel: {}", text(&failure))));
    let _hears = bus.on_failure(move |failure| hears.add(format!("listener: {}", text(failure))));
    let _nests = bus.on_with(|_: &Order, cx| keep(&cx.emitter().emit(&Order(1))));
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["listener: too deep", "channel: too deep"]);
}

// The error channel

/// What was traced at error level on this thread.
fn traced(run: impl FnOnce()) -> usize {
    thread_local! { static ERRORS: RefCell<usize> = const { RefCell::new(0) } }
    struct Errors;
    impl tracing::Subscriber for Errors {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::ERROR && metadata.target().starts_with("hearken")
        }
        fn event(&self, _: &tracing::Event<'_>) {
            ERRORS.with_borrow_mut(|errors| *errors += 1);
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Errors).expect("nobody else sets one"));

    ERRORS.set(0);
    run();
    ERRORS.take()
}

#[test]
fn a_panicking_error_channel_is_traced_and_counted_and_stops_nobody() {
    let bus = Emitter::new(|_| panic!("the channel's own"));
    let (log, count) = (Log::<u32>::new(), 3);
    for n in 0..count {
        bus.on(|_: &Order| fail("an error")).detach();
        let log = log.clone();
        bus.on(move |_: &Order| log.add(n)).detach();
    }
    let errors = traced(|| {
        let emission = bus.emit(&Order(1));
        assert_eq!((emission.heard, emission.failed), (6, 3));
    });
    assert_eq!((errors, bus.suppressed_failures()), (3, 3));
    assert_eq!(log.take(), [0, 1, 2]);
    assert_usable(&bus);
}

/// A bus whose error channel uses the bus itself.
fn bus_whose_channel(acts: impl Fn(&Emitter, Failure) + Send + Sync + 'static) -> Emitter {
    let own = Arc::new(OnceLock::<WeakEmitter>::new());
    let weak = Arc::clone(&own);
    let bus = Emitter::new(move |failure| {
        let bus = weak.get().and_then(WeakEmitter::upgrade).expect("it is emitting");
        acts(&bus, failure);
    });
    own.set(bus.downgrade()).expect("it is set once");
    bus
}

#[test]
fn failures_below_an_error_channel_are_only_traced_and_counted() {
    let log = Log::<String>::new();
    let calls = log.clone();
    let bus = bus_whose_channel(move |bus, failure| {
        calls.add(format!("channel: {}", text(&failure)));
        let emission = bus.emit(&Other);
        assert_eq!((emission.heard, emission.failed), (3, 2));
    });
    let hears = log.clone();
    let _hears = bus.on_failure(move |failure| hears.add(format!("listener: {}", text(failure))));
    let _order = bus.on(|_: &Order| fail("order"));
    let _fails = bus.on(|_: &Other| fail("below"));
    let _panics = bus.on(|_: &Other| panic!("below"));
    let fine = log.clone();
    let _fine = bus.on(move |_: &Other| fine.add("fine".to_owned()));

    let errors = traced(|| keep(&bus.emit(&Order(1))));
    assert_eq!(log.take(), ["listener: order", "channel: order", "fine"]);
    assert_eq!((errors, bus.suppressed_failures()), (2, 2));
    assert_usable(&bus);
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["listener: order", "channel: order", "fine"]);
    assert_eq!(bus.suppressed_failures(), 4);
}

#[test]
fn failures_of_any_bus_below_an_error_channel_are_only_traced_and_counted() {
    let (other, others) = logging_bus();
    let log = Log::<String>::new();
    let hears = log.clone();
    let _hears = other.on_failure(move |failure| hears.add(text(failure)));
    let _nests = other.on_with(|order: &Order, cx| keep(&cx.emitter().emit(&Order(order.0 + 1))));
    let hop = other.clone();
    let bus = Emitter::new(move |_| keep(&hop.emit(&Order(1))));
    let _order = bus.on(|_: &Order| fail("order"));
    let errors = traced(|| keep(&bus.emit(&Order(1))));
    assert_eq!(errors, 1, "too deep");
    assert_eq!(bus.suppressed_failures() + other.suppressed_failures(), 1);
    assert!(others.take().is_empty() && log.take().is_empty());
}

#[test]
fn an_error_channel_that_emits_what_failed_comes_to_an_end() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let bus = bus_whose_channel(move |bus, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        bus.emit(&Order(1));
    });
    let _fails = bus.on(|_: &Order| fail("an error"));
    let _panics = bus.on(|_: &Order| panic!("a panic"));
    let emission = bus.emit(&Order(1));
    assert_eq!((emission.heard, emission.failed), (2, 2));
    assert_eq!((calls.load(Ordering::SeqCst), bus.suppressed_failures()), (2, 4));
}

#[test]
fn a_channel_that_panics_below_a_failure_is_caught_there() {
    let bus = Emitter::new(|failure| panic!("{failure}"));
    let log = Log::new();
    let (first, second) = (log.clone(), log.clone());
    let _first = bus.on_failure(move |_| {
        first.add("first");
        fail("the listener's own")
    });
    let _second = bus.on_failure(move |_| second.add("second"));
    let _fails = bus.on(|_: &Order| fail("an error"));
    bus.emit(&Order(1));
    assert_eq!(log.take(), ["first", "second"]);
    assert_eq!(bus.suppressed_failures(), 2);
    assert_usable(&bus);
}

#[test]
fn a_bus_that_never_failed_has_suppressed_nothing() {
    let (bus, _failures) = logging_bus();
    let _fails = bus.on(|_: &Order| fail("an error"));
    bus.emit(&Order(1));
    assert_eq!(bus.suppressed_failures(), 0);
}

#[test]
fn log_traces_each_failure_at_error_level() {
    let bus = Emitter::new(hearken::log);
    let _fails = bus.on(|_: &Order| fail("an error"));
    assert_eq!(traced(|| keep(&bus.emit(&Order(1)))), 1);
    assert_eq!(bus.suppressed_failures(), 0);
}

#[test]
fn ignore_says_nothing() {
    let bus = Emitter::new(hearken::ignore);
    let _fails = bus.on(|_: &Order| fail("an error"));
    assert_eq!(traced(|| keep(&bus.emit(&Order(1)))), 0);
    assert_eq!(bus.suppressed_failures(), 0);
}

// Destructors that panic

/// Adds a listener whose closure, or a part of it, panics when it is dropped.
type Armed = fn(&Emitter) -> Subscription;

const ARMED: [(&str, Armed); 6] = [
    ("on", |bus| {
        let bomb = Bomb("closure");
        bus.on(move |_: &Order| keep(&bomb))
    }),
    ("once", |bus| {
        let bomb = Bomb("closure");
        bus.once(move |_: &Other| keep(&bomb))
    }),
    ("on_any", |bus| {
        let bomb = Bomb("closure");
        bus.on_any(move |_| keep(&bomb))
    }),
    ("on_unheard", |bus| {
        let bomb = Bomb("closure");
        bus.on_unheard(move |_| keep(&bomb))
    }),
    ("filter", |bus| {
        let bomb = Bomb("filter");
        let filter = move |_: &Order| {
            keep(&bomb);
            true
        };
        bus.listen().filter(filter).on(|_| {})
    }),
    ("on_weak", |bus| {
        let bomb = Bomb("closure");
        bus.listen::<Order>().on_weak(&Arc::new(()), move |(), _| keep(&bomb))
    }),
];

#[test]
fn a_panicking_destructor_of_a_removed_closure_is_traced_and_counted() {
    type Remove = fn(&Emitter, Subscription);
    let ways: [(&str, Remove); 5] = [
        ("off", |_, subscription| assert!(subscription.off())),
        ("drop", |_, subscription| drop(subscription)),
        ("off by id", |bus, subscription| assert!(bus.off(subscription.id()))),
        ("off_all", |bus, _subscription| assert_eq!(bus.off_all(), 1)),
        ("off_and_wait", |_, subscription| assert_eq!(subscription.off_and_wait(), Ok(()))),
    ];
    for (kind, listen) in ARMED {
        for (way, remove) in ways {
            for emitted in [false, true] {
                let (bus, failures) = logging_bus();
                let subscription = listen(&bus);
                if emitted && kind != "on_weak" {
                    bus.emit(&Order(1));
                }
                let errors = traced(|| remove(&bus, subscription));
                assert_eq!((errors, bus.suppressed_failures()), (1, 1), "{kind}, {way}, emitted: {emitted}");
                assert!(failures.take().is_empty());
                assert_usable(&bus);
            }
        }
    }
}

#[test]
fn many_panicking_destructors_are_each_caught() {
    let (bus, failures) = logging_bus();
    let [one, two] = [Bomb("filter"), Bomb("filter")].map(|bomb| {
        move |_: &Order| {
            keep(&bomb);
            true
        }
    });
    let three = Bomb("closure");
    bus.listen().filter(one).filter(two).times(9).on(move |_| keep(&three)).detach();
    for _ in 0..2 {
        for (_, listen) in ARMED {
            listen(&bus).detach();
        }
    }
    bus.on(|_: &Order| {}).detach();
    assert_eq!(bus.emit(&Order(1)).heard, 1 + 2 * 2 + 1, "those that hear it, and the weak ones are gone");
    assert_eq!(bus.suppressed_failures(), 2, "the weak ones");
    assert_eq!(bus.off_all(), 1 + 2 * 5 + 1);
    assert_eq!(bus.suppressed_failures(), 2 + 3 + 2 * 5);
    assert!(failures.take().is_empty());
    assert_usable(&bus);
}

#[test]
fn a_closure_removed_in_an_emission_may_panic_in_its_destructor_when_that_ends() {
    let (bus, failures) = logging_bus();
    for (_, listen) in ARMED {
        let id = listen(&bus).detach();
        let _removes = bus.listen::<Order>().priority(1).on_with(move |_, cx| assert!(cx.emitter().off(id)));
        let _behind = bus.listen::<Order>().priority(-1).on(|_| {});
        assert_eq!(bus.emit(&Order(1)).heard, 2);
    }
    assert_eq!(bus.suppressed_failures(), ARMED.len() as u64);
    assert!(failures.take().is_empty());
    assert_usable(&bus);
}

#[test]
fn a_used_up_once_may_panic_in_its_destructor() {
    let (bus, failures) = logging_bus();
    let bomb = Bomb("closure");
    let _once = bus.once(move |_: &Order| keep(&bomb));
    let bomb = Bomb("closure");
    let _times = bus.listen::<Order>().times(1).on(move |_| keep(&bomb));
    let _behind = bus.on(|_: &Order| {});
    assert_eq!(bus.emit(&Order(1)).heard, 3);
    // A once's closure ends in its own call, whose panic is a failure.
    assert_eq!(bus.suppressed_failures() + failures.take().len() as u64, 2);
    assert_usable(&bus);
}

#[test]
fn a_bus_may_go_with_closures_that_panic_in_their_destructors() {
    let bus = Emitter::new(hearken::ignore);
    for _ in 0..3 {
        for (_, listen) in ARMED {
            listen(&bus).detach();
        }
    }
    assert!(caught(|| drop(bus)).is_none());
    assert_usable(&strict_bus());
}

#[test]
fn a_payload_may_panic_in_its_destructor_again_and_again() {
    struct Nested(u32);
    impl Drop for Nested {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Nested(self.0 - 1));
            }
        }
    }
    let (bus, failures) = logging_bus();
    let _once = bus.on(|_: &Order| panic_any(Bomb("payload")));
    let _nested = bus.on(|_: &Order| panic_any(Nested(3)));
    let _for_ever = bus.on(|_: &Order| panic_any(Nested(u32::MAX)));
    let _behind = bus.on(|_: &Order| {});
    let emission = bus.emit(&Order(1));
    assert_eq!((emission.heard, emission.failed), (4, 3));
    assert_eq!(failures.take().len(), 3);
    assert!(bus.suppressed_failures() > 1 + 3, "{}", bus.suppressed_failures());
    assert_usable(&bus);
}

/// An error that panics when it is dropped.
struct ArmedError(#[expect(dead_code, reason = "it is there to be dropped")] Bomb);

impl ArmedError {
    fn new() -> Self {
        Self(Bomb("error"))
    }
}

#[test]
fn an_error_may_panic_in_its_destructor() {
    let bus = Builder::<ArmedError>::new().build(drop);
    let _fails = bus.on(|_: &Order| Err::<(), _>(ArmedError::new()));
    let behind = Arc::new(AtomicBool::new(false));
    let called = Arc::clone(&behind);
    let _behind = bus.on(move |_: &Order| called.store(true, Ordering::SeqCst));
    let emission = bus.emit(&Order(1));
    assert_eq!((emission.heard, emission.failed), (2, 1));
    assert!(behind.load(Ordering::SeqCst));
    assert_eq!(bus.suppressed_failures(), 1, "dropped by the channel, it was the channel's panic");
}

#[test]
fn an_error_below_an_error_channel_may_panic_in_its_destructor() {
    let inner = Builder::<ArmedError>::new().build(|_| unreachable!("below another channel"));
    let fails = inner.clone();
    inner.on(|_: &Other| Err::<(), _>(ArmedError::new())).detach();
    let bus = Emitter::new(move |_| keep(&fails.emit(&Other)));
    let _fails = bus.on(|_: &Order| fail("an error"));
    assert_eq!(bus.emit(&Order(1)).failed, 1);
    assert_eq!(inner.suppressed_failures(), 2, "the failure, and its destructor");
    assert_usable(&bus);
}

#[test]
fn a_channels_payload_may_panic_in_its_destructor() {
    let bus = Emitter::new(|_| panic_any(Bomb("payload")));
    let _fails = bus.on(|_: &Order| fail("an error"));
    assert_eq!(bus.emit(&Order(1)).failed, 1);
    assert_eq!(bus.suppressed_failures(), 2, "the channel's panic, and its payload's");
    assert_usable(&bus);
}

#[test]
fn an_event_may_panic_in_its_destructor() {
    struct Armed(#[expect(dead_code, reason = "it is there to be dropped")] Bomb);
    let (bus, failures) = logging_bus();
    let _hears = bus.on(|_: &Armed| {});
    assert!(caught(|| bus.emit(&Armed(Bomb("event")))).is_some(), "it is the emitter's own");
    assert!(failures.take().is_empty());
    assert_usable(&bus);
}

// What a failure tells

#[test]
fn the_line_of_an_error_names_the_listener_the_event_and_both_places() {
    let (bus, failures) = keeping_bus();
    let file = file!();
    let added = line!() + 1;
    let _billing = bus.listen::<Order>().named("billing").on(|_| fail("card declined"));
    let emitted = line!() + 1;
    bus.emit(&Order(1));
    let expected = format!(
        r#"listener "billing" ({file}:{added}) failed on failures::Order (emitted at {file}:{emitted}): card declined"#
    );
    assert_eq!(failures.take()[0].to_string(), expected);
}

#[test]
fn the_line_of_a_listener_without_name_has_its_place() {
    let (bus, failures) = keeping_bus();
    let file = file!();
    let added = line!() + 1;
    let _billing = bus.on(|_: &Order| fail("card declined"));
    let emitted = line!() + 1;
    bus.port().emit(&Order(1));
    let expected =
        format!("listener at {file}:{added} failed on failures::Order (emitted at {file}:{emitted}): card declined");
    assert_eq!(failures.take()[0].to_string(), expected);
}

#[test]
fn what_an_error_says_can_break_no_line() {
    let (bus, failures) = keeping_bus();
    let _says = bus.on(|_: &Order| fail("first\nsecond\u{1b}[31m, \tthird\n"));
    bus.emit(&Order(1));
    let line = failures.take()[0].to_string();
    assert!(line.ends_with(r"): first\nsecond\u{1b}[31m, \tthird\n"), "{line}");
}

#[test]
fn every_failure_is_one_line_that_names_the_event_and_who_emitted_it() {
    let failures = Log::<Failure>::new();
    let channel = failures.clone();
    let bus = Emitter::builder().max_depth(1).build(move |failure| channel.add(failure));
    let _all = [
        bus.on(|_: &Order| fail("an error")),
        bus.on(|_: &Order| panic!("a panic")),
        bus.on(|_: &Order| panic_any(7)),
        bus.on_with(|_: &Order, cx| keep(&cx.emitter().emit(&Order(1)))),
        bus.listen::<Order>().filter(|_| panic!("a filter")).on(|_| {}),
    ];
    bus.emit(&Order(1));
    let lines: Vec<_> = failures.take().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("failures::Order (emitted at ") && line.contains(file!()), "{line}");
    }
}

#[test]
fn a_failure_tells_the_listener_the_event_and_the_place() {
    let (bus, failures) = keeping_bus();
    let added = line!() + 1;
    let billing = bus.listen::<Order>().named("billing").priority(3).on(|_| fail("card declined"));
    let emitted = line!() + 1;
    bus.emit(&Order(1));
    let failure = &failures.take()[0];
    let listener = failure.listener().expect("it was a listener");
    assert_eq!((listener.id, listener.name, listener.priority), (billing.id(), Some("billing"), 3));
    assert_eq!(listener.event, "failures::Order");
    assert_eq!((listener.registered_at.file(), listener.registered_at.line()), (file!(), added));
    assert_eq!(failure.event(), "failures::Order");
    assert_eq!((failure.emitted_at().file(), failure.emitted_at().line()), (file!(), emitted));
    assert!(matches!(failure.cause(), Cause::Error(error) if error.to_string() == "card declined"));
}

#[test]
fn a_failing_filter_or_any_listener_is_named_too() {
    let (bus, failures) = keeping_bus();
    let filtered = bus.listen::<Order>().filter(|_| panic!("a filter")).on(|_| {});
    let any = bus.on_any(|event: &AnyEvent<'_>| assert!(event.downcast_ref::<Order>().is_none(), "an any-listener"));
    bus.emit(&Order(1));
    let ids: Vec<_> = failures.take().iter().map(|failure| failure.listener().expect("it was one").id).collect();
    assert_eq!(ids, [filtered.id(), any.id()]);
}

#[test]
fn a_panics_text_is_kept_and_one_without_text_says_so() {
    let (bus, failures) = keeping_bus();
    let _all = [
        bus.on(|_: &Order| panic!("a literal")),
        bus.on(|order: &Order| panic!("formatted {}", order.0)),
        bus.on(|_: &Order| panic_any(7)),
    ];
    bus.emit(&Order(5));
    let texts: Vec<_> = failures.take().iter().map(text).collect();
    assert_eq!(texts[..2], ["a literal", "formatted 5"]);
    assert!(texts[2].contains("payload"), "{}", texts[2]);
}

#[test]
fn into_error_gives_the_listeners_own_error_to_the_only_owner() {
    #[derive(Debug, PartialEq)]
    struct OutOfStock(u32);
    let failures = Log::<Failure<OutOfStock>>::new();
    let channel = failures.clone();
    let bus = Builder::new().build(move |failure| channel.add(failure));
    let _fails = bus.on(|order: &Order| Err::<(), _>(OutOfStock(order.0)));
    let failed = |n| {
        bus.emit(&Order(n));
        failures.take().pop().expect("it failed")
    };

    assert_eq!(failed(1).into_error().expect("it is the only one"), OutOfStock(1));

    let failure = failed(2);
    let clone = failure.clone();
    let failure = failure.into_error().expect_err("a clone is alive");
    drop(clone);
    assert_eq!(failure.into_error().expect("the clone is gone"), OutOfStock(2));

    let failure = failed(3);
    let Cause::Error(error) = failure.cause() else { panic!("it is an error") };
    let error = Arc::clone(error);
    let failure = failure.into_error().expect_err("its error is held");
    assert_eq!(failure.event(), "failures::Order", "it is untouched");
    drop(error);
    assert_eq!(failure.into_error().expect("it is the only one again"), OutOfStock(3));
}

#[test]
fn into_error_gives_a_failure_that_is_no_error_back() {
    let (bus, failures) = keeping_bus();
    let _panics = bus.on(|_: &Order| panic!("a panic"));
    bus.emit(&Order(1));
    let failure = failures.take().pop().expect("it failed").into_error().expect_err("it is a panic");
    assert_eq!(text(&failure), "a panic");
}

#[test]
fn an_error_type_needs_no_traits_at_all() {
    struct Bare;
    let bus = Builder::<Bare>::new().build(|failure| {
        let failure = failure.clone();
        assert!(format!("{failure:?}").contains("Order"));
        assert!(matches!(failure.cause(), Cause::Error(_)));
    });
    let _fails = bus.on(|_: &Order| Err::<(), _>(Bare));
    assert_eq!(bus.emit(&Order(1)).failed, 1);
    assert_eq!(bus.suppressed_failures(), 0);
}

#[test]
fn a_failure_keeps_its_error_no_longer_than_itself() {
    let (bus, drops) = (Builder::<common::Token>::new().build(hearken::ignore), Drops::new());
    let counter = drops.clone();
    let _fails = bus.on(move |_: &Order| Err::<(), _>(counter.token()));
    bus.emit(&Order(1));
    assert_eq!(drops.count(), 1);
}

// hearken::panic

#[test]
fn the_panic_channel_raises_at_the_callers_line_after_everybody_was_called() {
    let (bus, log) = (strict_bus(), Log::new());
    let _one = bus.on(|_: &Order| fail("the first"));
    let _two = bus.on(|_: &Order| panic!("the second"));
    let behind = log.clone();
    let _behind = bus.on(move |_: &Order| behind.add("behind"));
    let port = bus.port();

    let line = line!() + 1;
    let panic = caught(|| bus.emit(&Order(1))).expect("it panics");
    assert!(panic.message.contains("the first") && panic.message.contains("the second"), "{panic:?}");
    assert_eq!((panic.file.as_str(), panic.line), (file!(), line));
    assert_eq!(log.take(), ["behind"]);

    let line = line!() + 1;
    let panic = caught(|| port.emit(&Order(1))).expect("it panics");
    assert_eq!((panic.file.as_str(), panic.line), (file!(), line));
    assert_eq!(log.take(), ["behind"]);
    assert_usable(&bus);
}

#[test]
fn the_panic_channel_raises_at_the_outermost_emit_of_all_buses() {
    let (bus, inner) = (Emitter::new(hearken::ignore), strict_bus());
    let log = Log::new();
    let (nested, behind) = (log.clone(), log.clone());
    let hop = inner.clone();
    let _nests = bus.on(move |_: &Order| {
        assert_eq!(hop.emit(&Other).failed, 1);
        nested.add("the nested emit has returned");
    });
    let _behind = bus.on(move |_: &Order| behind.add("behind"));
    let _fails = inner.on(|_: &Other| fail("inside"));

    let line = line!() + 1;
    let panic = caught(|| bus.emit(&Order(1))).expect("it panics");
    assert!(panic.message.contains("inside"), "{panic:?}");
    assert_eq!((panic.file.as_str(), panic.line), (file!(), line));
    assert_eq!(log.take(), ["the nested emit has returned", "behind"]);
}

#[test]
fn the_panic_channel_raises_once_and_each_emission_its_own() {
    let bus = strict_bus();
    let _fails = bus.on(|order: &Order| if order.0 == 0 { Ok(()) } else { fail(&format!("number {}", order.0)) });
    for n in [1, 2] {
        let panic = caught(|| bus.emit(&Order(n))).expect("it panics");
        assert!(panic.message.contains(&format!("number {n}")), "{panic:?}");
        assert_eq!(panic.message.matches("number").count(), 1, "{panic:?}");
        assert!(caught(|| bus.emit(&Order(0))).is_none());
    }
}

#[test]
fn the_panic_channel_raises_a_filters_and_an_any_listeners_failure_and_a_deep_chain_too() {
    let deep = Emitter::builder().max_depth(2).build(hearken::panic);
    let nests = deep.on_with(|_: &Order, cx| keep(&cx.emitter().emit(&Order(1))));
    assert!(caught(|| deep.emit(&Order(1))).is_some());
    drop(nests);
    assert_usable(&deep);

    let bus = strict_bus();
    let filter = bus.listen::<Order>().filter(|_| panic!("a filter")).on(|_| {});
    assert!(caught(|| bus.emit(&Order(1))).is_some_and(|panic| panic.message.contains("a filter")));
    drop(filter);
    let any = bus.on_any(|_| fail("an any-listener"));
    assert!(caught(|| bus.emit(&Order(1))).is_some_and(|panic| panic.message.contains("an any-listener")));
    drop(any);
    assert_usable(&bus);
}

#[test]
fn the_panic_channel_does_not_raise_while_the_thread_unwinds() {
    let bus = strict_bus();
    let _fails = bus.on(|_: &Order| fail("while it unwinds"));
    let (late, log) = (bus.clone(), Log::new());
    let report = log.clone();
    let panic = caught(move || {
        let _late = OnDrop(move || report.add(late.emit(&Order(1)).failed));
        panic!("the first panic");
    });
    assert_eq!(panic.expect("it panics").message, "the first panic");
    assert_eq!(log.take(), [1]);
    let later = caught(|| bus.emit(&Order(1))).expect("now it may");
    assert_eq!(later.message.matches("while it unwinds").count(), 1, "{later:?}");
}

// Odd moments

#[test]
fn emit_works_as_ever_while_the_thread_unwinds() {
    let ((bus, failures), log) = (logging_bus(), Log::new());
    let heard = log.clone();
    let _fine = bus.on(move |order: &Order| heard.add(order.0));
    let _fails = bus.on(|_: &Order| fail("an error"));
    let _panics = bus.on(|_: &Order| panic!("a panic"));
    let _once = bus.once(|_: &Order| {});
    let (late, figures) = (bus.clone(), Log::new());
    let report = figures.clone();
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _late = OnDrop(move || {
            let emission = late.emit(&Order(7));
            report.add((emission.heard, emission.failed));
        });
        panic!("the first panic");
    }));
    assert!(unwound.is_err());
    assert_eq!(figures.take(), [(4, 2)]);
    assert_eq!((log.take(), failures.take()), (vec![7], vec!["an error".to_owned(), "a panic".to_owned()]));
    assert_usable(&bus);
}

#[test]
fn a_panic_that_leaves_a_nested_emit_by_a_listeners_destructor_leaves_depth_right() {
    let (bus, failures) = logging_bus();
    let _nests = bus.on_with(|_: &Order, cx| {
        let other = cx.emitter().clone();
        let _emits = OnDrop(move || keep(&other.emit(&Other)));
        panic!("a panic");
    });
    let depths = Log::new();
    let depth = depths.clone();
    let _depth = bus.on_with(move |_: &Other, cx| depth.add(cx.depth()));
    bus.emit(&Order(1));
    bus.emit(&Other);
    assert_eq!((depths.take(), failures.take()), (vec![2, 1], vec!["a panic".to_owned()]));
}

type Late = OnDrop<Box<dyn FnMut()>>;

thread_local! { static LATE: RefCell<Option<Late>> = const { RefCell::new(None) } }

/// When a thread emits, beside in its thread-local's destructor. It decides which thread-locals go first.
#[derive(Clone, Copy, PartialEq)]
enum Emits {
    Never,
    Before,
    Behind,
}

/// Runs this in the destructor of a thread-local.
fn at_the_end_of_a_thread(bus: &Emitter, emits: Emits, late: impl FnMut() + Send + 'static) {
    let bus = bus.clone();
    let thread = thread::spawn(move || {
        let _hears = bus.on(|_: &Other| {});
        if emits == Emits::Before {
            bus.emit(&Other);
        }
        LATE.set(Some(OnDrop(Box::new(late))));
        if emits == Emits::Behind {
            bus.emit(&Other);
        }
    });
    thread.join().expect("no panic");
}

#[test]
fn emit_works_in_the_destructor_of_a_thread_local_and_has_no_cause_there() {
    for emits in [Emits::Never, Emits::Before, Emits::Behind] {
        let ((bus, failures), log) = (logging_bus(), Log::new());
        let heard = log.clone();
        let _hears = bus.on_with(move |order: &Order, cx| {
            heard.add((order.0, cx.depth(), cx.cause().is_none()));
            if order.0 < 3 {
                cx.emitter().emit(&Order(order.0 + 1));
            }
            fail("an error")
        });
        let _panics = bus.on(|_: &Order| panic!("a panic"));
        let (late, port, figures) = (bus.clone(), bus.port(), Log::new());
        let report = figures.clone();
        at_the_end_of_a_thread(&bus, emits, move || {
            report.add([late.emit(&Order(2)).failed, port.emit(&Order(3)).failed]);
        });
        assert_eq!(figures.take(), [[2, 2]]);
        assert_eq!(log.take(), [(2, 1, true), (3, 2, false), (3, 1, true)]);
        assert_eq!(failures.take().len(), 6);
        assert_usable(&bus);
    }
}

#[test]
fn a_subscription_may_go_in_the_destructor_of_a_thread_local() {
    let (bus, drops) = (strict_bus(), Drops::new());
    let token = drops.token();
    let mut subscription = Some(bus.on(move |_: &Order| keep(&token)));
    at_the_end_of_a_thread(&bus, Emits::Behind, move || drop(subscription.take()));
    assert_eq!(drops.count(), 1);
    assert_eq!(bus.emit(&Order(1)).heard, 0);
}

#[test]
fn a_failing_listener_of_every_type_says_what_it_listens_to() {
    let (bus, failures) = keeping_bus();
    let _any = bus.on_any(|event| if event.downcast_ref::<Order>().is_some() { fail("any") } else { Ok(()) });
    let _unheard = bus.on_unheard(|_| fail("unheard"));
    bus.emit(&Order(1));
    let heard: Vec<_> = failures.take().iter().map(|failure| failure.listener().unwrap().event).collect();
    assert_eq!(heard, ["any event", "unheard events"]);
}
