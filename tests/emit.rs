//! Contract 4 and 5, and what an emission reports: who is called, in which order, how deep, and how it is counted.

mod common;

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Log, fail, logging_bus, strict_bus, text};
use hearken::{AnyEvent, BoxError, Builder, Emission, Emitter, Failure, IntoFlow, Subscription};

struct Placed(u32);
#[derive(Clone)]
struct Paid;

/// A listener of `Placed` that logs its name.
fn named(bus: &Emitter, priority: i32, log: &Log<&'static str>, name: &'static str) -> Subscription {
    let log = log.clone();
    bus.listen::<Placed>().priority(priority).on(move |_| log.add(name))
}

/// A listener of every type that logs its name.
fn any_named(bus: &Emitter, log: &Log<&'static str>, name: &'static str) -> Subscription {
    let log = log.clone();
    bus.on_any(move |_| log.add(name))
}

fn figures(emission: Emission) -> (usize, usize) {
    (emission.heard, emission.failed)
}

// Order

#[test]
fn listeners_are_called_by_priority_and_then_in_the_order_they_were_added() {
    let (bus, log) = (strict_bus(), Log::new());
    let _all = [
        named(&bus, i32::MIN, &log, "the very last"),
        named(&bus, 0, &log, "first of 0"),
        named(&bus, -1, &log, "below"),
        named(&bus, 7, &log, "first of 7"),
        named(&bus, 0, &log, "second of 0"),
        named(&bus, i32::MAX, &log, "the very first"),
        named(&bus, 7, &log, "second of 7"),
    ];
    bus.emit(&Placed(1));
    let expected =
        ["the very first", "first of 7", "second of 7", "first of 0", "second of 0", "below", "the very last"];
    assert_eq!(log.take(), expected);
}

#[test]
fn typed_and_any_listeners_are_in_one_order() {
    let (bus, log) = (strict_bus(), Log::new());
    let _all = [
        any_named(&bus, &log, "any 1"),
        named(&bus, 0, &log, "typed 2"),
        any_named(&bus, &log, "any 3"),
        any_named(&bus, &log, "any 4"),
        named(&bus, 1, &log, "above"),
        named(&bus, -1, &log, "below"),
        named(&bus, 0, &log, "typed 5"),
        any_named(&bus, &log, "any 6"),
    ];
    bus.emit(&Placed(1));
    assert_eq!(log.take(), ["above", "any 1", "typed 2", "any 3", "any 4", "typed 5", "any 6", "below"]);
}

#[test]
fn failure_listeners_and_any_listeners_are_in_one_order() {
    let (bus, log) = (Emitter::new(hearken::ignore), Log::new());
    let note = |name: &'static str| {
        let log = log.clone();
        move || log.add(name)
    };
    let (one, two, three) = (note("failure 1"), note("any 2"), note("failure 3"));
    let _fails = bus.on(|_: &Paid| fail("declined"));
    let _one = bus.on_failure(move |_| one());
    let _two = bus.on_any(move |event: &AnyEvent<'_>| {
        if event.downcast_ref::<Failure>().is_some() {
            two();
        }
    });
    let _three = bus.on_failure(move |_| three());
    bus.emit(&Paid);
    assert_eq!(log.take(), ["failure 1", "any 2", "failure 3"]);
}

#[test]
fn the_order_of_hundreds_survives_that_others_come_and_go() {
    let (bus, log) = (strict_bus(), Log::<usize>::new());
    let listen = |n: usize, priority: i32| {
        let log = log.clone();
        bus.listen::<Placed>().priority(priority).on(move |_| log.add(n))
    };
    let priorities = (0..500).map(|n| (n * 7) % 5 - 2);
    let mut all: Vec<_> = priorities.enumerate().map(|(n, priority)| (priority, n, listen(n, priority))).collect();
    let order = |all: &[(i32, usize, Subscription)]| {
        let mut order: Vec<_> = all.iter().map(|&(priority, n, _)| (-priority, n)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, n)| n).collect::<Vec<_>>()
    };

    for step in 2..6 {
        bus.emit(&Placed(1));
        assert_eq!(log.take(), order(&all));
        all.retain(|(_, n, _)| n % step != 0);
    }
}

#[test]
fn each_listener_is_called_once_an_emission() {
    let (bus, log) = (strict_bus(), Log::new());
    let _all = [named(&bus, 0, &log, "typed"), any_named(&bus, &log, "any")];
    assert_eq!(bus.emit(&Placed(1)).heard, 1);
    assert_eq!(log.take(), ["typed", "any"]);
}

// Types

#[test]
fn a_listener_hears_its_type_and_no_other() {
    let (bus, log) = (strict_bus(), Log::<u32>::new());
    let heard = log.clone();
    let _placed = bus.on(move |placed: &Placed| heard.add(placed.0));
    assert_eq!(bus.emit(&7_u32).heard, 0);
    assert_eq!(bus.emit(&Paid).heard, 0);
    assert_eq!(bus.emit(&Placed(3)).heard, 1);
    assert_eq!(log.take(), [3]);
}

#[test]
fn an_any_listener_hears_every_type_and_sees_which() {
    let (bus, log) = (strict_bus(), Log::<String>::new());
    let heard = log.clone();
    let _any = bus.on_any(move |event: &AnyEvent<'_>| match event.downcast_ref::<Placed>() {
        Some(Placed(n)) => heard.add(format!("placed {n}")),
        None => heard.add(event.type_name().to_owned()),
    });
    bus.emit(&1_u8);
    bus.emit(&Placed(4));
    bus.emit(&"text");
    assert_eq!(log.take(), ["u8", "placed 4", "&str"]);
}

#[test]
fn an_event_need_be_neither_send_nor_clone() {
    let bus = strict_bus();
    let _adds = bus.on(|sum: &Rc<Cell<u32>>| sum.set(sum.get() + 1));
    let sum = Rc::new(Cell::new(1_u32));
    bus.emit(&sum);
    bus.port().emit(&sum);
    assert_eq!(sum.get(), 3);
}

#[test]
fn clones_of_an_emitter_share_one_bus() {
    let (bus, log) = (strict_bus(), Log::new());
    let other = bus.clone();
    let _one = named(&bus, 0, &log, "one");
    let two = named(&other, 0, &log, "two");
    assert_eq!(other.emit(&Placed(1)).heard, 2);
    assert!(bus.off(two.id()));
    assert_eq!(other.emit(&Placed(1)).heard, 1);
}

#[test]
fn two_buses_hear_nothing_of_each_other() {
    let (bus, other, log) = (strict_bus(), strict_bus(), Log::new());
    let _here = named(&bus, 0, &log, "here");
    let _any = any_named(&bus, &log, "any");
    assert_eq!(other.emit(&Placed(1)).heard, 0);
    assert!(log.take().is_empty());
}

// What listeners return

/// What an emission says whose one listener answers like this: failed, and whether it stopped.
fn answer<R: IntoFlow<BoxError> + 'static>(listener: impl Fn(&Paid) -> R + Send + Sync + 'static) -> (usize, bool) {
    let bus = Emitter::new(hearken::ignore);
    let subscription = bus.on(listener);
    let _behind = bus.on(|_: &Paid| {});
    let emission = bus.emit(&Paid);
    let stopped = emission.stopped_by == Some(subscription.id());
    assert_eq!(emission.heard, if stopped { 1 } else { 2 });
    (emission.failed, stopped)
}

#[test]
fn a_listener_returns_nothing_a_result_a_flow_both_or_never() {
    let (goes_on, fails, stops) = ((0, false), (1, false), (0, true));
    assert_eq!(answer(|_| {}), goes_on);
    assert_eq!(answer(|_| Ok::<(), BoxError>(())), goes_on);
    assert_eq!(answer(|_| fail("declined")), fails);
    assert_eq!(answer(|_| ControlFlow::Continue(())), goes_on);
    assert_eq!(answer(|_| ControlFlow::Break(())), stops);
    assert_eq!(answer(|_| Ok::<_, BoxError>(ControlFlow::Continue(()))), goes_on);
    assert_eq!(answer(|_| Ok::<_, BoxError>(ControlFlow::Break(()))), stops);
    assert_eq!(answer(|_| Err::<ControlFlow<()>, BoxError>("declined".into())), fails);
    assert_eq!(answer(|_| panic!("it never returns")), fails);
}

#[test]
fn every_verb_takes_a_listener_that_never_returns() {
    let owner = Arc::new(());
    let panics_of = |listen: &dyn Fn(&Emitter) -> Subscription| {
        let (bus, failures) = logging_bus();
        let _listener = listen(&bus);
        bus.emit(&Paid);
        failures.take()
    };
    assert_eq!(panics_of(&|bus| bus.on(|_: &Paid| panic!("1"))), ["1"]);
    assert_eq!(panics_of(&|bus| bus.on_with(|_: &Paid, _| panic!("2"))), ["2"]);
    assert_eq!(panics_of(&|bus| bus.once(|_: &Paid| panic!("3"))), ["3"]);
    assert_eq!(panics_of(&|bus| bus.once_with(|_: &Paid, _| panic!("4"))), ["4"]);
    assert_eq!(panics_of(&|bus| bus.on_unheard(|_| panic!("5"))), ["5"]);
    assert_eq!(panics_of(&|bus| bus.listen::<Paid>().on_weak(&owner, |(), _| panic!("6"))), ["6"]);
    // It hears the failure that it caused, too.
    assert_eq!(panics_of(&|bus| bus.on_any(|_| panic!("7"))), ["7", "7"]);
}

#[test]
fn a_question_mark_in_a_listener_turns_an_error_into_the_emitters_own() {
    #[derive(Debug, PartialEq)]
    struct NotANumber;
    impl From<std::num::ParseIntError> for NotANumber {
        fn from(_: std::num::ParseIntError) -> Self {
            Self
        }
    }
    let failed = Arc::new(Mutex::new(Vec::new()));
    let channel = Arc::clone(&failed);
    let bus = Builder::<NotANumber>::new()
        .build(move |failure| channel.lock().expect("no panic").push(failure.into_error().expect("an error")));
    let _parses = bus.on(|text: &&str| {
        let _: u32 = text.parse()?;
        Ok(())
    });
    assert_eq!(bus.emit(&"7").failed, 0);
    assert_eq!(bus.emit(&"seven").failed, 1);
    assert_eq!(*failed.lock().expect("no panic"), [NotANumber]);
}

// Break

#[test]
fn break_stops_the_listeners_behind_and_says_who_did() {
    let (bus, log) = (strict_bus(), Log::new());
    let _before = named(&bus, 0, &log, "before");
    let stops =
        bus.on(|placed: &Placed| if placed.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    let _behind = named(&bus, 0, &log, "behind");
    let _any_behind = any_named(&bus, &log, "any behind");

    let emission = bus.emit(&Placed(0));
    assert_eq!((emission.heard, emission.failed, emission.stopped_by), (2, 0, Some(stops.id())));
    assert_eq!(log.take(), ["before"]);

    let emission = bus.emit(&Placed(1));
    assert_eq!((emission.heard, emission.stopped_by), (3, None));
    assert_eq!(log.take(), ["before", "behind", "any behind"]);
}

#[test]
fn an_any_listener_may_stop_an_emission_too() {
    let (bus, log) = (strict_bus(), Log::new());
    let _before = named(&bus, 1, &log, "before");
    let stops = bus.on_any(|_| ControlFlow::Break(()));
    let _behind = named(&bus, 0, &log, "behind");
    let emission = bus.emit(&Placed(0));
    assert_eq!((emission.heard, emission.stopped_by), (1, Some(stops.id())));
    assert_eq!(log.take(), ["before"]);
}

#[test]
fn break_stops_its_own_emission_only() {
    let (bus, log) = (strict_bus(), Log::new());
    let _nests = bus.on_with(|_: &Placed, cx| assert!(cx.emitter().emit(&Paid).stopped_by.is_some()));
    let _stops = bus.on(|_: &Paid| ControlFlow::Break(()));
    let _behind = named(&bus, 0, &log, "behind");
    assert_eq!(bus.emit(&Placed(0)).stopped_by, None);
    assert_eq!(log.take(), ["behind"]);
}

// Figures

#[test]
fn heard_counts_whoever_was_called_and_failed_those_of_them_that_failed() {
    let bus = Emitter::new(hearken::ignore);
    let _all = [
        bus.on(|_: &Paid| {}),
        bus.on(|_: &Paid| fail("declined")),
        bus.on(|_: &Paid| panic!("lost")),
        bus.once(|_: &Paid| fail("once")),
    ];
    let emission = bus.emit(&Paid);
    assert_eq!((emission.heard, emission.failed, emission.deferred, emission.stopped_by), (4, 3, 0, None));
    assert_eq!(figures(bus.emit(&Paid)), (3, 2));
}

#[test]
fn any_listeners_count_neither_as_heard_nor_as_failed() {
    let (bus, failures) = logging_bus();
    let _fine = bus.on_any(|_| {});
    let _fails = bus.on_any(|event: &AnyEvent<'_>| match event.downcast_ref::<Paid>() {
        Some(_) => fail("any"),
        None => Ok(()),
    });
    assert_eq!(figures(bus.emit(&Paid)), (0, 0));
    let _typed = bus.on(|_: &Paid| {});
    assert_eq!(figures(bus.emit(&Paid)), (1, 0));
    assert_eq!(failures.take(), ["any", "any"]);
}

#[test]
fn recorders_rejecting_filters_and_paused_listeners_do_not_count() {
    let bus = strict_bus();
    let recorder = bus.record::<u32>();
    let _picky = bus.listen::<u32>().filter(|n| *n > 9).on(|_| {});
    let paused = bus.on(|_: &u32| {});
    paused.pause();
    assert_eq!(bus.emit(&7_u32).heard, 0);
    assert_eq!(bus.emit(&10_u32).heard, 1);
    assert_eq!(recorder.take(), [7, 10]);
}

#[test]
fn a_lost_claim_does_not_count() {
    let bus = strict_bus();
    let nested = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&nested);
    let _nests = bus.on_with(move |placed: &Placed, cx| {
        if placed.0 == 0 {
            let heard = cx.emitter().emit(&Placed(1)).heard;
            inner.lock().expect("no panic").push(heard);
        }
    });
    let _once = bus.once(|_: &Placed| {});
    assert_eq!(bus.emit(&Placed(0)).heard, 1, "the nested emission has claimed it");
    assert_eq!(*nested.lock().expect("no panic"), [2]);
}

#[test]
fn count_is_what_heard_would_be() {
    let bus = strict_bus();
    let (lives, dies) = (Arc::new(()), Arc::new(()));
    let paused = bus.on(|_: &Paid| {});
    paused.pause();
    let _all = [
        bus.on(|_: &Paid| {}),
        bus.once(|_: &Paid| {}),
        bus.listen::<Paid>().times(3).on(|_| {}),
        bus.listen::<Paid>().on_weak(&lives, |(), _| {}),
        bus.listen::<Paid>().on_weak(&dies, |(), _| {}),
        bus.on_any(|_| {}),
        bus.on_unheard(|_| {}),
        bus.on(|_: &Placed| {}),
    ];
    let _recorder = bus.listen::<Paid>().record();
    drop(dies);
    assert_eq!(bus.listen::<Paid>().count(), 4);
    assert_eq!(bus.emit(&Paid).heard, 4);
    assert_eq!(bus.listen::<Paid>().count(), 3, "the once is used up");
    paused.resume();
    assert_eq!(bus.listen::<Paid>().count(), 4);
    assert_eq!(bus.listen::<u64>().count(), 0);
}

// Unheard

#[test]
fn unheard_is_what_no_listener_was_called_for() {
    let (bus, log) = (Emitter::new(hearken::ignore), Log::new());
    let heard = log.clone();
    let _unheard = bus.on_unheard(move |event: &AnyEvent<'_>| heard.add(event.type_name()));
    let is_unheard = |emission: Emission| {
        assert_eq!(emission.heard, 0);
        assert_eq!(log.take().len(), 1);
    };

    is_unheard(bus.emit(&7_u32));
    let _any = bus.on_any(|_| {});
    is_unheard(bus.emit(&7_u32));
    let _recorder = bus.record::<u32>();
    is_unheard(bus.emit(&7_u32));
    let _picky = bus.listen::<u32>().filter(|n| *n > 9).on(|_| {});
    is_unheard(bus.emit(&7_u32));
    let paused = bus.on(|_: &u32| fail("all the same"));
    paused.pause();
    is_unheard(bus.emit(&7_u32));

    paused.resume();
    assert_eq!(figures(bus.emit(&7_u32)), (1, 1));
    assert!(log.take().is_empty(), "a listener that failed has heard the event");
}

#[test]
fn an_event_that_an_any_listener_stopped_before_anybody_heard_it_is_unheard() {
    let (bus, log) = (strict_bus(), Log::new());
    let stops = bus.on_any(|_| ControlFlow::Break(()));
    let _behind = named(&bus, 0, &log, "behind");
    let unheard = log.clone();
    let _unheard = bus.on_unheard(move |_| unheard.add("unheard"));
    let emission = bus.emit(&Placed(1));
    assert_eq!((emission.heard, emission.stopped_by), (0, Some(stops.id())));
    assert_eq!(log.take(), ["unheard"]);
}

#[test]
fn failures_are_never_unheard() {
    let (bus, log) = (Emitter::new(hearken::ignore), Log::<&str>::new());
    let unheard = log.clone();
    let _unheard = bus.on_unheard(move |event: &AnyEvent<'_>| unheard.add(event.type_name()));
    let _fails = bus.on(|_: &Paid| fail("declined"));
    bus.emit(&Paid);
    assert!(log.take().is_empty());
}

// Depth

#[test]
fn emit_is_depth_first() {
    let (bus, log) = (strict_bus(), Log::new());
    let _first = named(&bus, 0, &log, "placed 1");
    let (before, behind) = (log.clone(), log.clone());
    let _nests = bus.on_with(move |_: &Placed, cx| {
        before.add("placed 2 begins");
        assert_eq!(cx.emitter().emit(&Paid).heard, 2);
        before.add("placed 2 ends");
    });
    let _last = named(&bus, 0, &log, "placed 3");
    let paid = |name: &'static str| {
        let log = behind.clone();
        bus.on(move |_: &Paid| log.add(name))
    };
    let _paid = [paid("paid 1"), paid("paid 2")];
    assert_eq!(bus.emit(&Placed(1)).heard, 3);
    assert_eq!(log.take(), ["placed 1", "placed 2 begins", "paid 1", "paid 2", "placed 2 ends", "placed 3"]);
}

#[test]
fn listeners_run_on_the_thread_that_emits() {
    let (bus, log) = (strict_bus(), Log::new());
    let heard = log.clone();
    let _hears = bus.on(move |_: &Paid| heard.add(thread::current().id()));
    bus.emit(&Paid);
    let other = thread::scope(|scope| {
        let thread = scope.spawn(|| bus.emit(&Paid).heard);
        let id = thread.thread().id();
        assert_eq!(thread.join().expect("no panic"), 1);
        id
    });
    assert_eq!(log.take(), [thread::current().id(), other]);
}

/// A listener that emits `Placed(n - 1)` for `Placed(n)`, and logs its depth and what came of it.
fn counts_down(bus: &Emitter, log: &Log<(usize, usize)>) -> Subscription {
    let log = log.clone();
    bus.on_with(move |placed: &Placed, cx| {
        if placed.0 > 0 {
            let emission = cx.emitter().emit(&Placed(placed.0 - 1));
            assert_eq!(emission.failed, 0);
            log.add((cx.depth(), emission.heard));
        }
    })
}

#[test]
fn so_many_levels_as_max_depth_says_are_delivered_and_one_more_is_a_failure() {
    let failures = Log::<Failure>::new();
    let (channel, log) = (failures.clone(), Log::new());
    let bus = Emitter::builder().max_depth(3).build(move |failure| channel.add(failure));
    let _nests = counts_down(&bus, &log);
    let bystanders = Log::<u32>::new();
    let (any, unheard) = (bystanders.clone(), bystanders.clone());
    let _any = bus.on_any(move |event: &AnyEvent<'_>| {
        if let Some(Placed(n)) = event.downcast_ref() {
            any.add(*n);
        }
    });
    let _unheard = bus.on_unheard(move |_| unheard.add(99));

    bus.emit(&Placed(2));
    assert_eq!(log.take(), [(2, 1), (1, 1)]);
    assert!(failures.take().is_empty());
    assert_eq!(bystanders.take(), [0, 1, 2]);

    bus.emit(&Placed(3));
    assert_eq!(log.take(), [(3, 0), (2, 1), (1, 1)]);
    assert_eq!(bystanders.take(), [1, 2, 3], "nobody hears the event that went too deep");
    let failures = failures.take();
    let [failure] = &failures[..] else { panic!("one failure, not {failures:?}") };
    assert_eq!(text(failure), "too deep");
    assert!(failure.listener().is_none());
    assert_eq!(failure.event(), std::any::type_name::<Placed>());
    assert!(failure.emitted_at().file().ends_with("emit.rs"));
}

#[test]
fn max_depth_of_1_allows_the_outermost_emission_only() {
    let failures = Log::<String>::new();
    let (channel, log) = (failures.clone(), Log::new());
    let bus = Emitter::builder().max_depth(1).build(move |failure| channel.add(text(&failure)));
    let _nests = counts_down(&bus, &log);
    assert_eq!(bus.emit(&Placed(1)).heard, 1);
    assert_eq!((log.take(), failures.take()), (vec![(1, 0)], vec!["too deep".to_owned()]));
}

#[test]
fn emissions_nest_128_deep_unless_told_otherwise() {
    let ((bus, failures), log) = (logging_bus(), Log::new());
    let _nests = counts_down(&bus, &log);
    bus.emit(&Placed(127));
    assert!(failures.take().is_empty());
    log.take();
    bus.emit(&Placed(128));
    assert_eq!(failures.take(), ["too deep"]);
    assert_eq!(log.take()[0], (128, 0));
}

#[test]
fn depth_counts_all_buses_and_the_limit_is_that_of_the_bus_emitted_on() {
    let failures = Log::<String>::new();
    let build = |name: &'static str, max_depth| {
        let channel = failures.clone();
        Emitter::builder().max_depth(max_depth).build(move |failure| channel.add(format!("{name}: {}", text(&failure))))
    };
    let (deep, shallow) = (build("deep", 9), build("shallow", 2));
    let depths = Log::<usize>::new();
    let (on_deep, on_shallow) = (depths.clone(), depths.clone());
    let _on_shallow = shallow.on_with(move |_: &Paid, cx| on_shallow.add(cx.depth()));
    let other = shallow.clone();
    let _on_deep = deep.on_with(move |placed: &Placed, cx| {
        on_deep.add(cx.depth());
        if placed.0 > 0 {
            cx.emitter().emit(&Placed(placed.0 - 1));
        } else {
            other.emit(&Paid);
        }
    });

    deep.emit(&Placed(0));
    assert_eq!(depths.take(), [1, 2]);
    assert!(failures.take().is_empty());
    deep.emit(&Placed(1));
    assert_eq!(depths.take(), [1, 2]);
    assert_eq!(failures.take(), ["shallow: too deep"]);
}

#[test]
fn depth_is_what_it_was_after_a_panic_a_break_and_a_chain_that_went_too_deep() {
    let bus = Emitter::builder().max_depth(3).build(hearken::ignore);
    let depths = Log::<usize>::new();
    let log = depths.clone();
    let _depth = bus.listen::<Placed>().priority(1).on_with(move |placed, cx| {
        if placed.0 == 2 {
            log.add(cx.depth());
        }
    });
    let _nests = bus.on_with(|placed: &Placed, cx| {
        cx.emitter().emit(&Placed(placed.0 + 1));
        assert_ne!(placed.0, 1, "a panic, one level below");
        ControlFlow::Break(())
    });
    for _ in 0..3 {
        bus.emit(&Placed(0));
        bus.emit(&Placed(2));
    }
    assert_eq!(depths.take(), [3, 1, 3, 1, 3, 1]);
}

/// How many bytes of stack a level takes when `listen` adds a listener that calls what it is given, once a call.
fn stack_of_a_level(listen: impl FnOnce(&Emitter, Box<dyn Fn(u32) + Send + Sync>) -> Vec<Subscription>) -> usize {
    const LEVELS: u32 = 100;
    let bus = Emitter::new(hearken::ignore);
    let places = Log::<usize>::new();
    let (log, weak) = (places.clone(), bus.downgrade());
    let _all = listen(
        &bus,
        Box::new(move |n| {
            let here = 0_u8;
            log.add(std::ptr::from_ref(&here).addr());
            if n < LEVELS {
                weak.upgrade().expect("it is emitting").emit(&Placed(n + 1));
            }
        }),
    );
    bus.emit(&Placed(1));
    let places = places.take();
    assert_eq!(places.len(), LEVELS as usize);
    places[0].abs_diff(places[places.len() - 1]) / (places.len() - 1)
}

#[test]
fn a_level_leaves_a_listener_14_kib_of_stack_12_in_a_debug_build() {
    // Of 2 MiB at 128 levels, so of 16 KiB each.
    let limit = if cfg!(debug_assertions) { 4 << 10 } else { 2 << 10 };
    let check = |what: &str, bytes: usize| assert!(bytes <= limit, "{what} takes {bytes} bytes of {limit}");

    check("a listener", stack_of_a_level(|bus, next| vec![bus.on(move |placed: &Placed| next(placed.0))]));
    check(
        "an any-listener",
        stack_of_a_level(|bus, next| {
            vec![bus.on_any(move |event: &AnyEvent<'_>| next(event.downcast_ref().map_or(0, |Placed(n)| *n)))]
        }),
    );
    check(
        "a filter",
        stack_of_a_level(|bus, next| {
            let filter = move |placed: &Placed| {
                next(placed.0);
                true
            };
            vec![bus.listen().filter(filter).times(1000).on(|_| {})]
        }),
    );
    check(
        "a once",
        stack_of_a_level(|bus, next| {
            let next = Arc::new(next);
            let once = |_| {
                let next = Arc::clone(&next);
                // A nested emission finds the one behind it.
                bus.once(move |placed: &Placed| next(placed.0))
            };
            (0..100).map(once).collect()
        }),
    );
    check(
        "a weak listener",
        stack_of_a_level(|bus, next| {
            let owner = Arc::new(next);
            let subscription = bus.listen::<Placed>().on_weak(&owner, |next, placed| next(placed.0));
            let keeps_the_owner = bus.on(move |_: &Paid| common::keep(&owner));
            vec![subscription, keeps_the_owner]
        }),
    );
}

// Context

#[test]
fn a_context_tells_the_listener_and_the_place_that_emitted() {
    let (bus, log) = (strict_bus(), Log::new());
    let (typed, any) = (log.clone(), log.clone());
    let on_typed = bus.on_with(move |_: &Paid, cx| typed.add((cx.listener(), cx.emitted_at().line())));
    let on_any = bus.on_any(move |event: &AnyEvent<'_>| {
        let cx = event.context();
        any.add((cx.listener(), cx.emitted_at().line()));
    });
    let port = bus.port();
    let line = line!();
    bus.emit(&Paid);
    port.emit(&Paid);
    let (one, two) = (on_typed.id(), on_any.id());
    assert_eq!(log.take(), [(one, line + 1), (two, line + 1), (one, line + 2), (two, line + 2)]);
}

#[test]
fn emission_ids_are_unique_also_across_threads_and_buses() {
    let log = Log::new();
    let bus_of_ids = || {
        let (bus, log) = (strict_bus(), log.clone());
        bus.on_with(move |_: &Paid, cx| log.add(cx.id())).detach();
        bus
    };
    let emit_5000 = |bus: &Emitter| {
        for _ in 0..5000 {
            bus.emit(&Paid);
        }
    };
    let buses = [bus_of_ids(), bus_of_ids()];
    thread::scope(|scope| {
        for bus in &buses {
            scope.spawn(|| emit_5000(bus));
        }
        emit_5000(&buses[0]);
    });
    let ids = log.take();
    assert_eq!(ids.len(), 15_000);
    assert_eq!(ids.into_iter().collect::<HashSet<_>>().len(), 15_000);
}

// Ports

#[test]
fn a_port_emits_to_whoever_listens_then() {
    let (bus, log) = (strict_bus(), Log::new());
    let port = bus.port::<Placed>();
    let clone = port.clone();
    assert_eq!(port.emit(&Placed(1)).heard, 0);
    let one = named(&bus, 0, &log, "one");
    assert_eq!(port.emit(&Placed(1)).heard, 1);
    let _any = any_named(&bus, &log, "any");
    let _two = named(&bus, 1, &log, "two");
    assert_eq!(clone.emit(&Placed(1)).heard, 2);
    assert!(one.off());
    assert_eq!(port.emit(&Placed(1)).heard, 1);
    assert_eq!(log.take(), ["one", "two", "one", "any", "two", "any"]);
}

#[test]
fn a_port_reports_what_emit_reports() {
    let (bus, failures) = logging_bus();
    let port = bus.port();
    let _fails = bus.on(|_: &Paid| fail("declined"));
    let stops = bus.on(|_: &Paid| ControlFlow::Break(()));
    let _behind = bus.on(|_: &Paid| {});
    assert_eq!(port.emit(&Paid), bus.emit(&Paid));
    let emission = port.emit(&Paid);
    assert_eq!((emission.heard, emission.failed, emission.stopped_by), (2, 1, Some(stops.id())));
    assert_eq!(failures.take().len(), 3);
}

#[test]
fn a_port_counts_depth() {
    let failures = Log::<String>::new();
    let channel = failures.clone();
    let bus = Emitter::builder().max_depth(2).build(move |failure| channel.add(text(&failure)));
    let (port, calls) = (bus.port(), Arc::new(AtomicUsize::new(0)));
    let (inner, counter) = (port.clone(), Arc::clone(&calls));
    let nests = bus.on(move |_: &Paid| {
        counter.fetch_add(1, Ordering::Relaxed);
        inner.emit(&Paid);
    });
    port.emit(&Paid);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(failures.take(), ["too deep"]);
    drop(nests);
}
