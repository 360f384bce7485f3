//! Contract 10 and 14: what a full queue does with one more event.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use common::queue::{Hold, counter, defer_elsewhere, figures, has_not_happened, hold, numbers, queue, started_loop};
use common::{Drops, Log, Token, caught, in_time, soon, strict_bus};
use hearken::{DeferError, Emitter, Failure, Overflow};

#[test]
fn reject_gives_the_event_back() {
    for capacity in [1, 2] {
        let (bus, failures) = queue(capacity, Overflow::Reject);
        (0..capacity).for_each(|n| bus.defer(n).unwrap());
        assert!(bus.defer("more") == Err(DeferError::Full("more")));
        assert_eq!((bus.pending(), bus.drain().delivered), (capacity, capacity));
        bus.defer("more").unwrap();
        assert_eq!(failures.take(), [""; 0]);
    }
}

#[test]
fn drop_newest_says_ok_and_reports_the_one_that_came() {
    for capacity in [1, 2] {
        let (bus, failures) = queue(capacity, Overflow::DropNewest);
        let drops = Drops::new();
        (0..capacity).for_each(|n| bus.defer(n).unwrap());
        bus.defer(drops.token()).unwrap();
        assert_eq!(drops.count(), 1);
        assert_eq!(failures.take(), [format!("lost 1 {}", std::any::type_name::<Token>())]);
        assert_eq!(figures(bus.drain()), (capacity, 0));
    }
}

#[test]
fn drop_oldest_drops_and_reports_the_one_that_waited_longest_whatever_its_type() {
    let (bus, failures) = queue(2, Overflow::DropOldest);
    let (heard, _log) = numbers(&bus);
    bus.defer("text").unwrap();
    bus.defer(1_u32).unwrap();
    bus.defer(2_u32).unwrap();
    assert_eq!(failures.take(), ["lost 1 &str"]);
    bus.defer(3_u32).unwrap();
    assert_eq!(failures.take(), ["lost 1 u32"]);
    assert_eq!((bus.pending(), figures(bus.drain())), (2, (2, 0)));
    assert_eq!(heard.take(), [2, 3]);
}

#[test]
fn drop_oldest_drops_first_what_an_earlier_drain_left() {
    let (bus, failures) = queue(3, Overflow::DropOldest);
    let (heard, _log) = numbers(&bus);
    bus.defer(1_u32).unwrap();
    bus.defer("left").unwrap();
    bus.defer(2_u32).unwrap();
    bus.drain_until_idle(1);
    bus.defer(3_u32).unwrap();
    bus.defer(4_u32).unwrap();
    assert_eq!(failures.take(), ["lost 1 &str"]);
    bus.drain();
    assert_eq!(heard.take(), [1, 2, 3, 4]);
}

#[test]
fn drop_oldest_from_a_listener_drops_what_its_own_drain_has_not_begun() {
    let (bus, failures) = queue(2, Overflow::DropOldest);
    let (heard, _log) = numbers(&bus);
    let _more = bus.on_with(|_: &&str, cx| {
        for n in [11_u32, 12] {
            cx.emitter().defer(n).unwrap();
        }
        assert_eq!(cx.emitter().pending(), 2);
    });
    bus.defer("more").unwrap();
    bus.defer(1_u32).unwrap();
    assert_eq!(figures(bus.drain()), (1, 2));
    assert_eq!(failures.take(), ["lost 1 u32"]);
    assert_eq!(heard.take(), []);
    assert_eq!(figures(bus.drain()), (2, 0));
    assert_eq!(heard.take(), [11, 12]);
}

#[test]
fn drop_oldest_from_another_thread_drops_what_a_drain_has_not_begun() {
    let (bus, failures) = queue(2, Overflow::DropOldest);
    let (heard, _log) = numbers(&bus);
    let drops = Drops::new();
    let held = hold(&bus, || bus.defer(drops.token()).unwrap());
    bus.defer(1_u32).unwrap();
    bus.defer(2_u32).unwrap();
    bus.defer(3_u32).unwrap();
    assert_eq!(bus.pending(), 2);
    assert_eq!(held.end(), (1, 2));
    let mut lost = failures.take();
    lost.sort();
    assert_eq!(lost, [format!("lost 1 {}", std::any::type_name::<Token>()), "lost 1 u32".to_owned()]);
    assert_eq!(drops.count(), 1);
    bus.drain();
    assert_eq!(heard.take(), [2, 3]);
}

#[test]
fn a_lost_event_is_reported_with_its_own_place_and_topic() {
    for (overflow, lost) in [(Overflow::DropOldest, 0), (Overflow::DropNewest, 1)] {
        let log = Log::new();
        let places = log.clone();
        let report = move |failure: Failure| {
            assert!(failure.listener().is_none());
            places.add((failure.topic().map(str::to_owned), failure.emitted_at().line()));
        };
        let bus = Emitter::builder().queue(1, overflow).build(report);
        let line = line!();
        bus.topic("a").defer(1_u32).unwrap();
        bus.topic("b").defer(2_u32).unwrap();
        assert_eq!(log.take(), [(Some(["a", "b"][lost as usize].to_owned()), line + 1 + lost)]);
    }
}

#[test]
fn block_gives_the_event_back_when_nobody_drains() {
    in_time(|| {
        let (bus, _failures) = queue(1, Overflow::Block);
        bus.defer(1_u32).unwrap();
        assert!(bus.defer("more") == Err(DeferError::Full("more")));
        bus.drain();
        bus.defer("more").unwrap();
    });
}

#[test]
fn block_gives_the_event_back_to_a_listener_of_the_drain() {
    let (bus, _failures) = queue(1, Overflow::Block);
    let log = Log::new();
    let results = log.clone();
    let _defers = bus.on_with(move |_: &u32, cx| {
        results.add(cx.emitter().defer("fits"));
        results.add(cx.emitter().defer("doesn't"));
    });
    bus.defer(1_u32).unwrap();
    in_time(move || bus.drain());
    assert!(log.take() == [Ok(()), Err(DeferError::Full("doesn't"))]);
}

#[test]
fn block_waits_for_a_loop_and_loses_nothing() {
    in_time(|| {
        for capacity in [1, 2] {
            let (bus, failures) = queue(capacity, Overflow::Block);
            let (heard, _log) = numbers(&bus);
            let events = started_loop(&bus, "events");
            (0..2_000_u32).for_each(|n| bus.defer(n).unwrap());
            events.shutdown();
            assert_eq!(heard.take(), (0..2_000).collect::<Vec<_>>());
            assert_eq!(failures.take(), [""; 0]);
        }
    });
}

#[test]
fn block_waits_while_a_drain_is_in_a_listener_and_goes_on_when_the_next_event_begins() {
    let (bus, _failures) = queue(1, Overflow::Block);
    let (heard, _log) = numbers(&bus);
    // A loop, so that somebody is still there behind the drain.
    let (enter, entered) = channel();
    let (go, goes) = channel();
    let goes = Mutex::new(goes);
    let _stays = bus.on(move |_: &Hold| {
        enter.send(()).unwrap();
        soon(&goes.lock().unwrap());
    });
    let events = bus.spawn_loop("events").unwrap();
    bus.defer(Hold).unwrap();
    soon(&entered);
    bus.defer(1_u32).unwrap();
    let waits = defer_elsewhere(&bus, 2_u32);
    assert!(has_not_happened(&waits));
    go.send(()).unwrap();
    soon(&waits).unwrap();
    in_time(move || events.shutdown());
    assert_eq!(heard.take(), [1, 2]);
}

#[test]
fn block_goes_on_as_soon_as_the_drain_begins_one_more() {
    let (bus, _failures) = queue(2, Overflow::Block);
    let (hand_over, handed_over) = channel::<Receiver<Result<(), DeferError<u32>>>>();
    let handed_over = Mutex::new(handed_over);
    let log = Log::new();
    let results = log.clone();
    let _second = bus.on(move |_: &&str| results.add(soon(&soon(&handed_over.lock().unwrap()))));
    let held = hold(&bus, || bus.defer("second").unwrap());
    bus.defer(1_u32).unwrap();
    let waits = defer_elsewhere(&bus, 2_u32);
    assert!(has_not_happened(&waits));
    hand_over.send(waits).unwrap();
    assert_eq!(held.end(), (2, 2));
    assert!(log.take() == [Ok(())], "it went on while the second event was being delivered");
}

#[test]
fn block_gives_the_event_back_when_the_only_drainer_leaves() {
    let (bus, _failures) = queue(1, Overflow::Block);
    let held = hold(&bus, || {});
    bus.defer(1_u32).unwrap();
    let waits = defer_elsewhere(&bus, "more");
    assert!(has_not_happened(&waits));
    assert_eq!(held.end(), (1, 1));
    assert!(soon(&waits) == Err(DeferError::Full("more")));
}

#[test]
fn block_gets_the_room_that_discarding_makes() {
    let (bus, _failures) = queue(1, Overflow::Block);
    let held = hold(&bus, || {});
    bus.defer(1_u32).unwrap();
    let waits = defer_elsewhere(&bus, "more");
    assert!(has_not_happened(&waits));
    assert_eq!(bus.discard_pending(), 1);
    assert!(soon(&waits).is_ok());
    assert_eq!(held.end(), (1, 1));
}

#[test]
fn what_waits_is_what_has_not_begun() {
    let bus = strict_bus();
    let log = Log::new();
    let pending = log.clone();
    let _looks = bus.on_with(move |_: &u32, cx| pending.add(cx.emitter().pending()));
    for n in [1_u32, 2, 3] {
        bus.defer(n).unwrap();
    }
    bus.drain();
    assert_eq!(log.take(), [2, 1, 0]);
}

#[test]
fn an_event_that_has_begun_takes_no_room() {
    let (bus, _failures) = queue(1, Overflow::Reject);
    let log = Log::new();
    let results = log.clone();
    let _defers = bus.on_with(move |_: &u32, cx| {
        results.add(cx.emitter().defer("fits").is_ok());
        results.add(cx.emitter().defer("doesn't").is_ok());
    });
    bus.defer(1_u32).unwrap();
    bus.drain();
    assert_eq!(log.take(), [true, false]);
}

#[test]
fn under_threads_every_event_is_delivered_or_reported_or_discarded_and_dropped_once() {
    const EACH: usize = 3_000;
    in_time(|| {
        for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Reject] {
            let (bus, failures) = queue(8, overflow);
            let drops = Drops::new();
            let latest = [const { AtomicUsize::new(0) }; 3];
            let (call, count) = counter();
            let _hears = bus.on(move |(thread, n, _): &(usize, usize, Token)| {
                assert!(latest[*thread].swap(*n, Ordering::SeqCst) < *n, "in its thread's order");
                call();
            });
            let (is_over, given_back) = (AtomicBool::new(false), AtomicUsize::new(0));
            let (delivered, discarded) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let drain = || {
                while !is_over.load(Ordering::SeqCst) {
                    delivered.fetch_add(bus.drain_until_idle(5).delivered, Ordering::SeqCst);
                    delivered.fetch_add(bus.drain().delivered, Ordering::SeqCst);
                    thread::yield_now();
                }
            };
            let defer = |thread: usize| {
                for n in 1..=EACH {
                    let refused = bus.defer((thread, n, drops.token())).is_err();
                    given_back.fetch_add(usize::from(refused), Ordering::SeqCst);
                    if n % 100 == 0 {
                        discarded.fetch_add(bus.discard_pending(), Ordering::SeqCst);
                    }
                }
            };
            thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(drain);
                }
                let defer = &defer;
                let producers = [0, 1, 2].map(|thread| threads.spawn(move || defer(thread)));
                for producer in producers {
                    producer.join().unwrap();
                }
                is_over.store(true, Ordering::SeqCst);
            });
            delivered.fetch_add(bus.drain().delivered, Ordering::SeqCst);
            let [delivered, discarded, given_back] =
                [delivered, discarded, given_back].map(|count| count.load(Ordering::SeqCst));
            let lost = failures.take();
            assert!(lost.iter().all(|lost| lost.starts_with("lost 1 ")), "{lost:?}");
            assert_eq!(count(), delivered);
            assert_eq!(delivered + discarded + given_back + lost.len(), 3 * EACH, "{overflow:?}");
            assert_eq!(drops.count(), 3 * EACH);
        }
    });
}

#[test]
fn producers_that_block_beside_drains_that_come_and_go_are_never_forgotten() {
    const EACH: u32 = 1_000;
    in_time(|| {
        let (bus, failures) = queue(2, Overflow::Block);
        let (heard, _log) = numbers(&bus);
        let is_over = AtomicBool::new(false);
        thread::scope(|threads| {
            let bus = &bus;
            let is_over = &is_over;
            let drain = move || {
                while !is_over.load(Ordering::SeqCst) {
                    if bus.drain_until_idle(3).delivered == 0 {
                        thread::yield_now();
                    }
                }
            };
            for _ in 0..2 {
                threads.spawn(drain);
            }
            let producers = [0, 1, 2].map(|thread| {
                threads.spawn(move || {
                    for n in 0..EACH {
                        let mut event = thread * EACH + n;
                        while let Err(error) = bus.defer(event) {
                            event = error.into_inner();
                            thread::yield_now();
                        }
                    }
                })
            });
            for producer in producers {
                producer.join().unwrap();
            }
            is_over.store(true, Ordering::SeqCst);
        });
        bus.drain();
        let heard = heard.take();
        for thread in 0..3 {
            let of_this: Vec<_> = heard.iter().copied().filter(|n| n / EACH == thread).collect();
            assert_eq!(of_this, (thread * EACH..(thread + 1) * EACH).collect::<Vec<_>>());
        }
        assert_eq!((heard.len(), failures.take().len()), (3 * EACH as usize, 0));
    });
}

#[test]
fn a_queue_for_no_event_at_all_panics_at_the_callers_line() {
    let caught = caught(|| Emitter::builder().queue(0, Overflow::Reject)).unwrap();
    assert_eq!((caught.file.as_str(), caught.line), (file!(), line!() - 1));
    assert!(caught.message.contains("queue(0"), "{}", caught.message);
}
