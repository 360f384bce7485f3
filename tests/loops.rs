//! Event loops: threads and tasks that drain a queue as events come.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use common::queue::{Hold, has_not_happened, hold, numbers, started_loop};
use common::{Log, caught, fail, in_time, logging_bus, soon, strict_bus};
use hearken::EventLoop;

#[test]
fn a_loop_delivers_what_comes_also_after_it_has_slept() {
    let bus = strict_bus();
    let (tell, told) = channel();
    let _hears = bus.on(move |n: &u32| tell.send((*n, thread::current().name().map(str::to_owned))).unwrap());
    let events = bus.spawn_loop("the loop").unwrap();
    for n in 1..4 {
        assert!(has_not_happened(&told));
        bus.defer(n).unwrap();
        assert_eq!(soon(&told), (n, Some("the loop".to_owned())));
    }
    in_time(move || events.shutdown());
}

#[test]
fn a_loop_delivers_what_its_listeners_defer() {
    let bus = strict_bus();
    let (tell, told) = channel();
    let _again = bus.on_with(move |n: &u32, cx| {
        tell.send(*n).unwrap();
        if *n < 100 {
            cx.emitter().defer(n + 1).unwrap();
        }
    });
    let _events = bus.spawn_loop("events").unwrap();
    bus.defer(1_u32).unwrap();
    (1..=100).for_each(|n| assert_eq!(soon(&told), n));
}

#[test]
fn a_loop_delivers_what_another_threads_drain_left() {
    let bus = strict_bus();
    let (tell, told) = channel();
    let _hears = bus.on(move |n: &u32| tell.send(*n).unwrap());
    let held = hold(&bus, || {});
    let _events = bus.spawn_loop("events").unwrap();
    bus.defer(1_u32).unwrap();
    assert!(has_not_happened(&told), "the other thread drains");
    held.end();
    assert_eq!(soon(&told), 1);
}

#[test]
fn shutting_a_loop_down_and_dropping_it_deliver_what_is_queued_and_join_it() {
    let ends: [fn(EventLoop); 2] = [EventLoop::shutdown, drop];
    for end in ends {
        let bus = strict_bus();
        let (heard, _log) = numbers(&bus);
        let ended = Arc::new(AtomicBool::new(false));
        let (enter, entered) = channel();
        let (go, goes) = channel();
        let goes = Mutex::new(goes);
        let _holds = bus.on(move |_: &Hold| {
            enter.send(()).unwrap();
            soon(&goes.lock().unwrap());
        });
        let events = bus.spawn_loop("events").unwrap();
        bus.defer(Hold).unwrap();
        soon(&entered);
        (0..100_u32).for_each(|n| bus.defer(n).unwrap());
        let (done, is_done) = channel();
        let has_ended = Arc::clone(&ended);
        thread::spawn(move || {
            end(events);
            has_ended.store(true, Ordering::SeqCst);
            done.send(()).unwrap();
        });
        assert!(has_not_happened(&is_done), "it waits for the delivery that runs");
        go.send(()).unwrap();
        soon(&is_done);
        assert_eq!(heard.take(), (0..100).collect::<Vec<_>>());
        bus.defer(100_u32).unwrap();
        assert_eq!(bus.pending(), 1, "the queue goes on, with no loop");
        bus.drain();
    }
}

#[test]
fn a_loops_guard_may_be_dropped_on_its_own_thread() {
    for shuts_down in [false, true] {
        let bus = strict_bus();
        let (tell, told) = channel();
        let slot = Arc::new(Mutex::new(None::<EventLoop>));
        let owned = Arc::clone(&slot);
        let _ends = bus.on(move |_: &u32| {
            let events = owned.lock().unwrap().take().unwrap();
            if shuts_down {
                events.shutdown();
            } else {
                drop(events);
            }
            tell.send(()).unwrap();
        });
        *slot.lock().unwrap() = Some(bus.spawn_loop("events").unwrap());
        bus.defer(1_u32).unwrap();
        soon(&told);
    }
}

#[test]
fn all_guards_of_a_bus_may_be_dropped_in_one_delivery() {
    let bus = strict_bus();
    let (tell, told) = channel();
    let slot = Arc::new(Mutex::new(Vec::<EventLoop>::new()));
    let owned = Arc::clone(&slot);
    let (enter, entered) = channel();
    let (go, goes) = channel();
    let goes = Mutex::new(goes);
    let _holds = bus.on(move |_: &Hold| {
        enter.send(()).unwrap();
        soon(&goes.lock().unwrap());
    });
    let _quits = bus.on(move |_: &&str| {
        let all = std::mem::take(&mut *owned.lock().unwrap());
        drop(all);
        tell.send(()).unwrap();
    });
    *slot.lock().unwrap() = (0..2).map(|_| bus.spawn_loop("events").unwrap()).collect();
    bus.defer(Hold).unwrap();
    soon(&entered);
    // Both are taken out by one drain: while the first is delivered, the other waits.
    bus.defer("quit").unwrap();
    bus.defer("behind it").unwrap();
    go.send(()).unwrap();
    soon(&told);
}

#[test]
fn a_listener_that_panics_does_not_end_its_loop() {
    let (bus, failures) = logging_bus();
    let (tell, told) = channel();
    let _panics = bus.on(|_: &&str| panic!("oh"));
    let _hears = bus.on(move |n: &u32| tell.send(*n).unwrap());
    let events = bus.spawn_loop("events").unwrap();
    for n in 0..3_u32 {
        bus.defer("panic").unwrap();
        bus.defer(n).unwrap();
        assert_eq!(soon(&told), n);
    }
    in_time(move || events.shutdown());
    assert_eq!(failures.take(), ["oh"; 3]);
}

#[test]
fn a_panic_that_hearken_panic_ended_a_loop_with_is_passed_on_by_shutdown_and_not_by_drop() {
    let bus = strict_bus();
    let _fails = bus.on(|_: &u32| fail("declined"));
    for n in [1_u32, 2] {
        let events = bus.spawn_loop("events").unwrap();
        bus.defer(n).unwrap();
        if n == 1 {
            let caught = in_time(move || caught(|| events.shutdown())).unwrap();
            assert!(caught.message.contains("declined") || caught.message == "no text", "{}", caught.message);
        } else {
            in_time(move || drop(events));
        }
    }
}

#[test]
fn two_loops_deliver_each_event_once_and_one_at_a_time() {
    in_time(|| {
        let bus = strict_bus();
        let is_busy = AtomicBool::new(false);
        let heard = Log::new();
        let seen = heard.clone();
        let _hears = bus.on(move |n: &u32| {
            assert!(!is_busy.swap(true, Ordering::SeqCst), "two at a time");
            seen.add(*n);
            is_busy.store(false, Ordering::SeqCst);
        });
        let loops = ["one", "two"].map(|name| started_loop(&bus, name));
        for n in 0..20_000_u32 {
            bus.defer(n).unwrap();
            if n % 500 == 0 {
                thread::yield_now();
            }
        }
        loops.into_iter().for_each(EventLoop::shutdown);
        assert_eq!(heard.take(), (0..20_000).collect::<Vec<_>>());
    });
}

#[test]
fn shutting_one_loop_down_leaves_the_other() {
    let bus = strict_bus();
    let (tell, told) = channel();
    let _hears = bus.on(move |n: &u32| tell.send(*n).unwrap());
    let [one, two] = ["one", "two"].map(|name| bus.spawn_loop(name).unwrap());
    in_time(move || one.shutdown());
    bus.defer(1_u32).unwrap();
    assert_eq!(soon(&told), 1);
    in_time(move || two.shutdown());
}

#[test]
fn run_returns_after_close_with_everything_delivered() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    let runner = bus.clone();
    let (done, is_done) = channel();
    thread::spawn(move || {
        runner.run();
        done.send(()).unwrap();
    });
    (0..100_u32).for_each(|n| bus.defer(n).unwrap());
    assert!(has_not_happened(&is_done));
    bus.close();
    soon(&is_done);
    assert_eq!(heard.take(), (0..100).collect::<Vec<_>>());
}

#[test]
fn run_on_a_closed_queue_delivers_what_is_left_and_returns() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    bus.defer(1_u32).unwrap();
    bus.defer(2_u32).unwrap();
    bus.drain_until_idle(1);
    bus.close();
    let runner = bus.clone();
    in_time(move || runner.run());
    assert_eq!(heard.take(), [1, 2]);
}

#[test]
fn run_inside_a_delivery_panics_and_says_why() {
    let (bus, failures) = logging_bus();
    let _runs = bus.on_with(|_: &u32, cx| cx.emitter().run());
    bus.defer(1_u32).unwrap();
    in_time(move || bus.drain());
    let [failure] = &failures.take()[..] else { panic!("one failure") };
    assert!(failure.contains("`run` inside a delivery"), "{failure}");
}

#[test]
fn a_loop_keeps_its_bus_and_lets_it_go_when_it_ends() {
    let bus = strict_bus();
    let weak = bus.downgrade();
    let events = bus.spawn_loop("events").unwrap();
    drop(bus);
    assert!(weak.upgrade().is_some());
    in_time(move || events.shutdown());
    assert!(weak.upgrade().is_none());
}
