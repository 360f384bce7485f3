//! Listeners that hear an event when the queue is drained.

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use common::queue::{counter, figures, has_not_happened, hold, queue};
use common::{Drops, Log, fail, in_time, keep, logging_bus, soon, strict_bus};
use hearken::{Cause, Emission, Emitter, Overflow};

/// What an emit says that was heard later only.
fn later(emission: Emission) -> (usize, usize, usize) {
    (emission.heard, emission.failed, emission.deferred)
}

#[test]
fn a_deferred_listener_hears_an_emit_at_the_next_drain_on_the_draining_thread() {
    let (bus, log) = (strict_bus(), Log::new());
    let heard = log.clone();
    let _late = bus.listen().deferred().on(move |n: &u32| heard.add((*n, thread::current().id())));
    let emitter = bus.clone();
    let emission = thread::spawn(move || emitter.emit(&1_u32)).join().unwrap();
    assert_eq!((later(emission), bus.pending()), ((0, 0, 1), 1));
    assert_eq!(log.take(), []);
    assert_eq!(figures(bus.drain()), (1, 0));
    assert_eq!(log.take(), [(1, thread::current().id())]);
}

#[test]
fn an_event_that_is_itself_deferred_reaches_a_deferred_listener_at_once() {
    let bus = strict_bus();
    let log = Log::new();
    let heard = log.clone();
    let _late = bus.listen().deferred().on(move |n: &u32| heard.add(*n));
    bus.defer(1_u32).unwrap();
    assert_eq!(figures(bus.drain()), (1, 0));
    assert_eq!(log.take(), [1]);
}

#[test]
fn every_deferred_listener_has_a_turn_of_its_own_in_the_order_of_everything_else() {
    let (bus, log) = (strict_bus(), Log::new());
    let listen = |priority, name: &'static str| {
        let log = log.clone();
        bus.listen::<u32>().priority(priority).deferred().on(move |_| log.add(name))
    };
    let (low, high) = (listen(0, "low"), listen(1, "high"));
    let words = log.clone();
    let _words = bus.on(move |word: &&'static str| words.add(*word));
    bus.defer("before").unwrap();
    assert_eq!(later(bus.emit(&1_u32)), (0, 0, 2));
    bus.defer("behind").unwrap();
    let _added_later = listen(2, "added later");
    assert_eq!(figures(bus.drain()), (4, 0));
    assert_eq!(log.take(), ["before", "high", "low", "behind"]);
    drop((low, high));
}

#[test]
fn a_deferred_listener_that_is_off_or_paused_when_its_turn_comes_is_passed_by() {
    let bus = strict_bus();
    let (calls, count) = counter();
    let [off, paused, resumed] = [(); 3].map(|()| {
        let calls = calls.clone();
        bus.listen::<u32>().deferred().on(move |_| calls())
    });
    assert_eq!(later(bus.emit(&1_u32)), (0, 0, 3));
    off.off();
    paused.pause();
    resumed.pause();
    resumed.resume();
    assert_eq!((figures(bus.drain()), count()), ((1, 0), 1));
    paused.resume();
    assert_eq!((figures(bus.drain()), count()), ((0, 0), 1));
    paused.pause();
    assert_eq!(later(bus.emit(&2_u32)), (0, 0, 1));
}

#[test]
fn a_deferred_once_is_claimed_when_its_turn_comes() {
    let bus = strict_bus();
    let (call, count) = counter();
    let once = bus.listen::<u32>().deferred().once(move |_| call());
    (0..3_u32).for_each(|n| assert_eq!(later(bus.emit(&n)), (0, 0, 1)));
    assert!(once.is_active());
    assert_eq!((figures(bus.drain()), count()), ((1, 0), 1));
    assert!(!once.off());
}

#[test]
fn a_deferred_once_that_is_off_before_its_turn_never_ran() {
    let bus = strict_bus();
    let once = bus.listen::<u32>().deferred().once(|_| panic!("it is off"));
    bus.emit(&1_u32);
    assert!(once.off());
    assert_eq!(figures(bus.drain()), (0, 0));
}

#[test]
fn a_deferred_limit_is_used_up_by_turns() {
    let bus = strict_bus();
    let (call, count) = counter();
    let _twice = bus.listen::<u32>().times(2).deferred().on(move |_| call());
    (0..4_u32).for_each(|n| assert_eq!(later(bus.emit(&n)), (0, 0, 1)));
    assert_eq!((figures(bus.drain()), count()), ((2, 0), 2));
}

#[test]
fn a_deferred_listeners_filter_is_asked_at_the_emission_only() {
    let (bus, asked) = (strict_bus(), Log::new());
    let asks = asked.clone();
    let filter = move |n: &u32| {
        asks.add(*n);
        *n > 1
    };
    let _late = bus.listen().filter(filter).deferred().on(|n: &u32| assert_eq!(*n, 2));
    assert_eq!(later(bus.emit(&1_u32)), (0, 0, 0));
    assert_eq!(later(bus.emit(&2_u32)), (0, 0, 1));
    assert_eq!(asked.take(), [1, 2]);
    assert_eq!(bus.drain().delivered, 1);
    assert!(asked.take().is_empty());
}

#[test]
fn a_deferred_listeners_break_stops_nobody() {
    let bus = strict_bus();
    let (call, count) = counter();
    let behind = call.clone();
    let _breaks = bus.listen::<u32>().priority(1).deferred().on(|_| ControlFlow::Break(()));
    let _now = bus.on(move |_: &u32| call());
    let _late = bus.listen::<u32>().deferred().on(move |_| behind());
    let emission = bus.emit(&1_u32);
    assert_eq!((later(emission), emission.stopped_by), ((1, 0, 2), None));
    assert_eq!((figures(bus.drain()), count()), ((2, 0), 2));
}

#[test]
fn what_is_only_heard_later_is_not_unheard() {
    let bus = strict_bus();
    let _unheard = bus.on_unheard(|event| panic!("a {} is heard", event.type_name()));
    let _late = bus.listen::<u32>().deferred().on(|_| {});
    bus.emit(&1_u32);
    bus.drain();
}

#[test]
fn what_a_deferred_listeners_queue_does_not_take_is_its_own_failure() {
    for overflow in [Overflow::Reject, Overflow::Block, Overflow::DropNewest] {
        let log = Log::new();
        let names = log.clone();
        let bus = Emitter::builder().queue(1, overflow).build(move |failure| {
            assert!(matches!(failure.cause(), Cause::Lost { missed: 1 }));
            names.add((failure.event(), failure.listener().and_then(|listener| listener.name)));
        });
        let _late = bus.listen::<u32>().named("late").deferred().on(|_| {});
        assert_eq!(later(bus.emit(&1_u32)), (0, 0, 1));
        assert_eq!(later(bus.emit(&2_u32)), (0, 0, 0));
        assert_eq!(log.take(), [("u32", Some("late"))], "{overflow:?}");
        bus.drain();
        bus.close();
        assert_eq!(later(bus.emit(&3_u32)), (0, 0, 0));
        assert_eq!(log.take(), [("u32", Some("late"))], "closed");
    }
}

#[test]
fn an_emit_does_not_wait_for_room_even_while_another_thread_drains() {
    let (bus, failures) = queue(1, Overflow::Block);
    let _late = bus.listen::<u32>().deferred().on(|_| {});
    let held = hold(&bus, || {});
    bus.defer("fills it").unwrap();
    let emitter = bus.clone();
    assert_eq!(in_time(move || later(emitter.emit(&1_u32))), (0, 0, 0));
    assert_eq!(failures.take(), ["lost 1 u32"]);
    held.end();
}

#[test]
fn a_deferred_listeners_turn_displaces_the_oldest_where_the_queue_is_built_so() {
    let (bus, failures) = queue(1, Overflow::DropOldest);
    let (call, count) = counter();
    let _late = bus.listen::<u32>().deferred().on(move |_| call());
    bus.defer("oldest").unwrap();
    assert_eq!(later(bus.emit(&1_u32)), (0, 0, 1));
    assert_eq!(failures.take(), ["lost 1 &str"]);
    assert_eq!((figures(bus.drain()), count()), ((1, 0), 1));
}

#[test]
fn a_removed_deferred_listener_is_dropped_at_once_although_its_turn_waits() {
    let bus = strict_bus();
    let drops = Drops::new();
    let token = drops.token();
    let late = bus.listen::<u32>().deferred().on(move |_| keep(&token));
    bus.emit(&1_u32);
    assert_eq!((bus.pending(), drops.count()), (1, 0));
    late.off();
    assert_eq!(drops.count(), 1);
    assert_eq!(figures(bus.drain()), (0, 0));
}

#[test]
fn off_and_wait_waits_for_a_turn_that_runs_and_not_for_one_that_waits() {
    let bus = strict_bus();
    let (enter, entered) = channel();
    let (go, goes) = channel();
    let goes = Mutex::new(goes);
    let late = bus.listen::<u32>().deferred().on(move |_| {
        enter.send(()).unwrap();
        soon(&goes.lock().unwrap());
    });
    bus.emit(&1_u32);
    bus.emit(&2_u32);
    let drainer = bus.clone();
    let drain = thread::spawn(move || figures(drainer.drain()));
    soon(&entered);
    let (done, is_done) = channel();
    thread::spawn(move || done.send(late.off_and_wait()).unwrap());
    assert!(has_not_happened(&is_done));
    go.send(()).unwrap();
    assert!(soon(&is_done).is_ok());
    assert_eq!(drain.join().unwrap(), (1, 0));

    let waits = bus.listen::<u32>().deferred().on(|_| {});
    bus.emit(&3_u32);
    assert!(in_time(move || waits.off_and_wait()).is_ok());
    assert_eq!(figures(bus.drain()), (0, 0));
}

#[test]
fn off_and_wait_waits_for_no_other_listeners_turn() {
    in_time(|| {
        let bus = strict_bus();
        let other = Mutex::new(Some(bus.on(|_: &u32| {})));
        let _waits = bus.listen::<u32>().deferred().on(move |_| {
            let other = other.lock().unwrap().take().expect("there is one turn");
            assert!(thread::spawn(move || other.off_and_wait()).join().unwrap().is_ok());
        });
        bus.emit(&1_u32);
        assert_eq!(figures(bus.drain()), (1, 0));
    });
}

#[test]
fn a_deferred_listener_may_be_narrowed_to_topics_and_have_an_owner() {
    let bus = strict_bus();
    let owner = Arc::new(AtomicUsize::new(0));
    let count = |owner: &AtomicUsize, _: &u32| keep(&owner.fetch_add(1, Ordering::SeqCst));
    let hears = bus.topics("a.*").listen::<u32>().deferred().on_weak(&owner, count);
    assert_eq!(later(bus.topic("b").emit(&1_u32)), (0, 0, 0));
    assert_eq!(later(bus.topic("a.b").emit(&2_u32)), (0, 0, 1));
    assert_eq!((figures(bus.drain()), owner.load(Ordering::SeqCst)), ((1, 0), 1));
    bus.topic("a.b").emit(&3_u32);
    drop(owner);
    assert_eq!((figures(bus.drain()), hears.is_active()), ((0, 0), false));
}

#[test]
fn a_deferred_listener_that_fails_is_a_failure_of_the_drain() {
    let (bus, failures) = logging_bus();
    let _fails = bus.listen().deferred().on(|_: &u32| fail("later"));
    let _panics = bus.listen().deferred().on(|_: &u32| panic!("much later"));
    assert_eq!(later(bus.emit(&1_u32)), (0, 0, 2));
    assert_eq!(figures(bus.drain()), (2, 0));
    assert_eq!(failures.take(), ["later", "much later"]);
}

#[test]
fn a_copy_that_panics_is_a_failure_of_the_deferred_listener_it_was_for() {
    struct Fragile;
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            panic!("it broke")
        }
    }
    let (bus, failures) = logging_bus();
    let _late = bus.listen().deferred().on(|_: &Fragile| {});
    let (call, count) = counter();
    let _now = bus.on(move |_: &Fragile| call());
    assert_eq!(later(bus.emit(&Fragile)).2, 0);
    assert_eq!((failures.take(), count(), bus.pending()), (vec!["it broke".to_owned()], 1, 0));
}
