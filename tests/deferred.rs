//! Contract 13: what is deferred is delivered in order, by one thread at a time, and nothing of it is lost in silence.

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use allocation_counter::measure;
use common::queue::{counter, defer_elsewhere, figures, has_not_happened, hold, numbers, queue, started_loop};
use common::{
    Bomb, Drops, Log, OnDrop, Token, caught, fail, in_time, keep, logging_bus, reporting_bus, soon, strict_bus,
};
use hearken::{Context, DeferError, Drained, Emitter, Overflow};

// Order

struct Plain(usize, u32);
struct Narrow(usize, u32);

#[test]
fn a_million_events_of_four_threads_are_delivered_once_each_and_in_their_threads_order() {
    const EACH: u32 = 250_000;
    in_time(|| {
        let (bus, failures) = queue(4_096, Overflow::Block);
        let next = Arc::new([const { AtomicU32::new(0) }; 4]);
        let expect = |next: &Arc<[AtomicU32; 4]>| {
            let next = Arc::clone(next);
            move |thread: usize, n: u32| assert_eq!(next[thread].fetch_add(1, Ordering::SeqCst), n, "of {thread}")
        };
        let (plain, narrow) = (expect(&next), expect(&next));
        let _plain = bus.on(move |event: &Plain| plain(event.0, event.1));
        let _narrow = bus.topics("work.*").on(move |event: &Narrow| narrow(event.0, event.1));
        let events = started_loop(&bus, "events");
        thread::scope(|threads| {
            for thread in 0..4 {
                let bus = &bus;
                threads.spawn(move || {
                    let (plain, narrow) = (bus.port(), bus.topic("work.port").port());
                    for n in 0..EACH {
                        match n % 8 {
                            0 => bus.topic("work.verb").defer(Narrow(thread, n)).unwrap(),
                            1 => narrow.defer(Narrow(thread, n)).unwrap(),
                            2 => plain.defer(Plain(thread, n)).unwrap(),
                            _ => bus.defer(Plain(thread, n)).unwrap(),
                        }
                    }
                });
            }
        });
        events.shutdown();
        assert_eq!(failures.take(), [""; 0]);
        assert_eq!(next.each_ref().map(|next| next.load(Ordering::SeqCst)), [EACH; 4]);
    });
}

#[test]
fn events_are_delivered_in_the_order_they_were_deferred_whatever_their_types_topics_and_ways() {
    let (bus, log) = (strict_bus(), Log::<String>::new());
    let (number, word) = (log.clone(), log.clone());
    let _numbers = bus.on_with(move |n: &u32, cx| number.add(format!("{n} {}", cx.topic().unwrap_or("-"))));
    let _words = bus.on_with(move |word_: &&str, cx| word.add(format!("{word_} {}", cx.topic().unwrap_or("-"))));
    let (port, narrow) = (bus.port::<u32>(), bus.topic("b").port::<&str>());
    bus.defer(1_u32).unwrap();
    bus.defer("two").unwrap();
    bus.topic("a").defer(3_u32).unwrap();
    bus.topic("ab").defer(4_u32).unwrap();
    port.defer(5).unwrap();
    narrow.defer("six").unwrap();
    bus.defer(7_u32).unwrap();
    bus.topic("a").defer("eight").unwrap();
    assert_eq!(figures(bus.drain()), (8, 0));
    assert_eq!(log.take(), ["1 -", "two -", "3 a", "4 ab", "5 -", "six b", "7 -", "eight a"]);
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn a_queue_that_is_used_at_random_is_the_list_it_looks_like() {
    const TOPICS: [Option<&str>; 4] = [None, Some("a"), Some("some.longer.topic"), Some("b")];
    for seed in 0..40 {
        let (bus, failures) = queue(12, Overflow::DropOldest);
        let heard = Log::new();
        let (numbers, words) = (heard.clone(), heard.clone());
        let _numbers = bus.on_with(move |n: &u64, cx| numbers.add((*n, cx.topic().map(str::to_owned))));
        let _words = bus.on_with(move |word: &String, cx| {
            words.add((word.parse().unwrap(), cx.topic().map(str::to_owned)));
        });
        let mut dice = Dice(seed);
        let mut waiting = VecDeque::new();
        for n in 0..400 {
            match dice.throw(8) {
                0 => {
                    let limit = usize::try_from(dice.throw(6)).unwrap();
                    let expected: Vec<_> = waiting.drain(..limit.min(waiting.len())).collect();
                    assert_eq!(figures(bus.drain_until_idle(limit)), (expected.len(), waiting.len()));
                    assert_eq!(heard.take(), expected, "seed {seed}");
                }
                1 if n % 5 == 0 => {
                    assert_eq!(bus.drain().delivered, waiting.len());
                    assert_eq!(heard.take(), waiting.drain(..).collect::<Vec<_>>(), "seed {seed}");
                }
                2 if n % 11 == 0 => {
                    assert_eq!(bus.discard_pending(), waiting.len());
                    waiting.clear();
                }
                _ => {
                    let topic = TOPICS[usize::try_from(dice.throw(4)).unwrap()];
                    match (topic, dice.throw(2)) {
                        (None, 0) => bus.defer(n).unwrap(),
                        (None, _) => bus.defer(n.to_string()).unwrap(),
                        (Some(topic), 0) => bus.topic(topic).defer(n).unwrap(),
                        (Some(topic), _) => bus.topic(topic).defer(n.to_string()).unwrap(),
                    }
                    if waiting.len() == 12 {
                        waiting.pop_front();
                        assert_eq!(failures.take().len(), 1);
                    }
                    waiting.push_back((n, topic.map(str::to_owned)));
                }
            }
            assert_eq!(bus.pending(), waiting.len());
        }
    }
}

#[test]
fn nothing_is_allocated_for_an_event_once_the_queue_is_warm() {
    let bus = strict_bus();
    let (port, narrow) = (bus.port::<u32>(), bus.topic("orders.made").port::<u32>());
    let _hears = bus.on(|n: &u32| keep(n));
    let _narrow = bus.topics("orders.*").on(|n: &u32| keep(n));
    let _deferred = bus.listen::<u64>().deferred().on(keep);
    let round = || {
        for n in 0..100 {
            bus.defer(n).unwrap();
            port.defer(n).unwrap();
            narrow.defer(n).unwrap();
            bus.topic("orders.paid").defer(n).unwrap();
            bus.emit(&u64::from(n));
        }
        assert_eq!(bus.drain_until_idle(37).delivered, 37);
        assert_eq!(figures(bus.drain()), (463, 0));
    };
    (0..4).for_each(|_| round());
    assert_eq!(measure(|| (0..4).for_each(|_| round())).count_total, 0);
}

// Drains

#[test]
fn drain_delivers_what_was_queued_when_it_began_and_nothing_that_a_listener_defers_meanwhile() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    let _again = bus.on_with(|n: &u32, cx| cx.emitter().defer(n + 10).unwrap());
    for n in [1_u32, 2, 3] {
        bus.defer(n).unwrap();
    }
    assert_eq!(figures(bus.drain()), (3, 3));
    assert_eq!(heard.take(), [1, 2, 3]);
    assert_eq!(figures(bus.drain()), (3, 3));
    assert_eq!(heard.take(), [11, 12, 13]);
}

#[test]
fn a_deferred_event_is_heard_by_those_who_listen_when_it_is_delivered() {
    let bus = strict_bus();
    let before = bus.on(|_: &u32| panic!("it was removed before the delivery"));
    bus.defer(1_u32).unwrap();
    let (heard, _late) = numbers(&bus);
    before.off();
    bus.drain();
    assert_eq!(heard.take(), [1]);
}

#[test]
fn what_the_delivery_of_one_event_adds_and_removes_counts_for_the_next_of_the_same_drain() {
    let (bus, log) = (strict_bus(), Log::new());
    let (old, new) = (log.clone(), log.clone());
    let leaves = bus.on(move |n: &u32| old.add(("old", *n))).detach();
    let _swap = bus.once_with(move |_: &u32, cx: &Context<'_>| {
        cx.emitter().off(leaves);
        cx.emitter().on(move |n: &u32| new.add(("new", *n))).detach();
    });
    bus.defer(1_u32).unwrap();
    bus.defer(2_u32).unwrap();
    bus.drain();
    assert_eq!(log.take(), [("old", 1), ("new", 2)]);
}

#[test]
fn it_is_the_draining_thread_that_delivers() {
    let (bus, log) = (strict_bus(), Log::<ThreadId>::new());
    let heard = log.clone();
    let _hears = bus.on(move |_: &u32| heard.add(thread::current().id()));
    soon(&defer_elsewhere(&bus, 7_u32)).unwrap();
    bus.drain();
    assert_eq!(log.take(), [thread::current().id()]);
}

#[test]
fn every_drain_inside_a_delivery_delivers_nothing_and_says_what_remains() {
    let (bus, log) = (strict_bus(), Log::new());
    let inner = log.clone();
    let _drains = bus.on_with(move |_: &u32, cx| {
        let bus = cx.emitter();
        inner.add((bus.pending(), figures(bus.drain())));
        bus.defer("more").unwrap();
        inner.add((bus.pending(), figures(bus.drain_for(Duration::MAX))));
        inner.add((bus.pending(), figures(bus.drain_until_idle(100))));
    });
    for n in [1_u32, 2] {
        bus.defer(n).unwrap();
    }
    assert_eq!(figures(bus.drain()), (2, 2));
    assert_eq!(log.take(), [1, 2, 2, 1, 2, 2].map(|n| (n, (0, n))));
}

#[test]
fn a_drain_inside_another_buss_drain_works_as_ever() {
    let (outer, inner) = (strict_bus(), strict_bus());
    let log = Log::new();
    let (bus, drained) = (inner.clone(), log.clone());
    let _drains = outer.on(move |_: &u32| {
        bus.defer("text").unwrap();
        drained.add(figures(bus.drain()));
    });
    outer.defer(1_u32).unwrap();
    outer.drain();
    assert_eq!(log.take(), [(1, 0)]);
}

#[test]
fn a_drain_beside_another_threads_delivers_nothing_and_says_what_remains() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    let held = hold(&bus, || [1_u32, 2].map(|n| bus.defer(n).unwrap()).into_iter().collect());
    bus.defer(3_u32).unwrap();
    assert_eq!(bus.pending(), 3);
    assert_eq!(figures(bus.drain()), (0, 3));
    assert_eq!(figures(bus.drain_for(Duration::MAX)), (0, 3));
    assert_eq!(figures(bus.drain_until_idle(9)), (0, 3));
    assert_eq!(heard.take(), []);
    assert_eq!(held.end(), (3, 1));
    assert_eq!(heard.take(), [1, 2]);
    assert_eq!(figures(bus.drain()), (1, 0));
}

#[test]
fn drain_until_idle_goes_on_with_what_listeners_defer_in_turn() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    let _again = bus.on_with(|n: &u32, cx| {
        if *n < 5 {
            cx.emitter().defer(n + 1).unwrap();
        }
    });
    bus.defer(1_u32).unwrap();
    assert_eq!(figures(bus.drain_until_idle(100)), (5, 0));
    assert_eq!(heard.take(), [1, 2, 3, 4, 5]);
}

#[test]
fn drain_until_idle_ends_exactly_at_its_limit_and_leaves_the_rest_in_order() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    let _again = bus.on_with(|n: &u32, cx| cx.emitter().defer(n + 10).unwrap());
    for n in [1_u32, 2, 3] {
        bus.defer(n).unwrap();
    }
    assert_eq!(figures(bus.drain_until_idle(0)), (0, 3));
    assert_eq!(figures(bus.drain_until_idle(2)), (2, 3));
    assert_eq!(heard.take(), [1, 2]);
    assert_eq!(figures(bus.drain_until_idle(5)), (5, 3));
    assert_eq!(heard.take(), [3, 11, 12, 13, 21]);
}

#[test]
fn drain_until_idle_goes_on_behind_turns_that_are_passed_by() {
    #[derive(Clone)]
    struct Defers(Arc<dyn Fn() + Send + Sync>);
    impl Drop for Defers {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let bus = strict_bus();
    let weak = bus.downgrade();
    let more = AtomicBool::new(false);
    let defers = Defers(Arc::new(move || {
        if more.swap(true, Ordering::SeqCst) {
            return;
        }
        weak.upgrade().unwrap().defer("deferred by a destructor").unwrap();
    }));
    let late = bus.listen::<Defers>().deferred().on(|_| {});
    bus.emit(&defers);
    late.off();
    assert_eq!(figures(bus.drain_until_idle(9)), (1, 0));
}

// Closing

#[test]
fn after_close_defer_gives_the_event_back_and_emit_and_drain_work_on() {
    let policies = [Overflow::Reject, Overflow::Block, Overflow::DropOldest, Overflow::DropNewest];
    // Full, and with room left.
    for (overflow, capacity) in policies.into_iter().flat_map(|overflow| [(overflow, 1), (overflow, 8)]) {
        let (bus, failures) = queue(capacity, overflow);
        let (heard, _log) = numbers(&bus);
        bus.defer(1_u32).unwrap();
        bus.close();
        assert!(bus.defer(2_u32) == Err(DeferError::Closed(2)));
        assert!(bus.topic("a").defer(2_u32) == Err(DeferError::Closed(2)));
        assert!(bus.port().defer(2_u32) == Err(DeferError::Closed(2)));
        assert_eq!(bus.emit(&3_u32).heard, 1);
        assert_eq!(figures(bus.drain()), (1, 0));
        bus.close();
        assert_eq!((heard.take(), failures.take().len()), (vec![3, 1], 0));
    }
}

#[test]
fn close_inside_a_drain_leaves_the_rest_of_it_to_be_delivered() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    let _closes = bus.on_with(|_: &u32, cx| cx.emitter().close());
    for n in [1_u32, 2] {
        bus.defer(n).unwrap();
    }
    assert_eq!(figures(bus.drain()), (2, 0));
    assert_eq!(heard.take(), [1, 2]);
}

#[test]
fn close_wakes_producers_that_wait_for_room() {
    let (bus, _failures) = queue(1, Overflow::Block);
    let held = hold(&bus, || {});
    bus.defer(1_u32).unwrap();
    let wait = [2_u32, 3].map(|n| defer_elsewhere(&bus, n));
    assert!(wait.iter().all(has_not_happened));
    bus.close();
    assert!(wait.map(|waits| soon(&waits)) == [Err(DeferError::Closed(2)), Err(DeferError::Closed(3))]);
    assert_eq!(held.end(), (1, 1));
    assert_eq!(figures(bus.drain()), (1, 0));
}

// Dropping

#[test]
fn a_bus_that_goes_drops_its_queue_once_each_and_reports_one_failure_for_all() {
    let (bus, failures) = queue(100, Overflow::Reject);
    let drops = Drops::new();
    for _ in 0..5 {
        bus.defer(drops.token()).unwrap();
        bus.topic("a").defer(("another type", drops.token())).unwrap();
    }
    // Some left by a drain, some behind.
    bus.drain_until_idle(3);
    bus.defer(drops.token()).unwrap();
    assert_eq!(drops.count(), 3);
    drop(bus);
    assert_eq!(drops.count(), 11);
    assert_eq!(failures.take(), ["lost 8 deferred events"]);
}

#[test]
fn a_bus_that_goes_counts_the_timers_that_never_fired_among_what_is_lost() {
    let (bus, failures) = queue(100, Overflow::Reject);
    let drops = Drops::new();
    let _kept = bus.defer_in(Duration::from_secs(3_600), drops.token());
    bus.defer_in(Duration::from_secs(3_600), drops.token()).detach();
    bus.defer_every(Duration::from_secs(3_600), "again").detach();
    bus.defer(drops.token()).unwrap();
    drop(bus);
    assert_eq!(drops.count(), 3);
    assert_eq!(failures.take(), ["lost 3 deferred events"]);
}

#[test]
fn a_bus_that_goes_with_one_event_names_it_and_with_none_says_nothing() {
    let (bus, failures) = queue(100, Overflow::Reject);
    bus.defer(1_u32).unwrap();
    drop(bus);
    assert_eq!(failures.take(), ["lost 1 u32"]);
    let (bus, failures) = queue(100, Overflow::Reject);
    bus.defer(1_u32).unwrap();
    bus.drain();
    drop(bus);
    assert_eq!(failures.take(), [""; 0]);
}

#[test]
fn each_event_is_dropped_once_and_right_after_its_delivery() {
    let bus = strict_bus();
    let (drops, log) = (Drops::new(), Log::new());
    let (counts, seen) = (drops.clone(), log.clone());
    let _hears = bus.on(move |_: &Token| seen.add(counts.count()));
    (0..3).for_each(|_| bus.defer(drops.token()).unwrap());
    bus.drain();
    assert_eq!((log.take(), drops.count()), (vec![0, 1, 2], 3));
    drop(bus);
    assert_eq!(drops.count(), 3);
}

#[test]
fn discarding_counts_and_drops_what_waits_and_reports_nothing() {
    let (bus, failures) = queue(100, Overflow::Reject);
    let drops = Drops::new();
    (0..5).for_each(|_| bus.defer(drops.token()).unwrap());
    bus.drain_until_idle(2);
    bus.defer(drops.token()).unwrap();
    assert_eq!((bus.discard_pending(), drops.count(), bus.pending()), (4, 6, 0));
    assert_eq!((bus.discard_pending(), figures(bus.drain())), (0, (0, 0)));
    drop(bus);
    assert_eq!((failures.take().len(), drops.count()), (0, 6));
}

#[test]
fn discarding_inside_a_drain_ends_it() {
    let bus = strict_bus();
    let (drops, log) = (Drops::new(), Log::new());
    let discarded = log.clone();
    let _discards = bus.on_with(move |_: &u32, cx| {
        discarded.add(cx.emitter().discard_pending());
        assert_eq!(cx.emitter().pending(), 0);
        cx.emitter().defer("behind").unwrap();
        assert_eq!(cx.emitter().pending(), 1);
    });
    bus.defer(1_u32).unwrap();
    (0..3).for_each(|_| bus.defer(drops.token()).unwrap());
    assert_eq!(figures(bus.drain()), (1, 1));
    assert_eq!((log.take(), drops.count()), (vec![3], 3));
    assert_eq!(figures(bus.drain()), (1, 0));
}

#[test]
fn discarding_from_another_thread_ends_a_drain() {
    let bus = strict_bus();
    let drops = Drops::new();
    let held = hold(&bus, || (0..3).for_each(|_| bus.defer(drops.token()).unwrap()));
    bus.defer(drops.token()).unwrap();
    assert_eq!((bus.discard_pending(), bus.pending()), (4, 0));
    bus.defer(1_u32).unwrap();
    assert_eq!(held.end(), (1, 1));
    assert_eq!(drops.count(), 4);
    assert_eq!(figures(bus.drain()), (1, 0));
}

// Failures

#[test]
fn a_listener_that_panics_ends_neither_its_drain_nor_the_next() {
    let (bus, failures) = logging_bus();
    let (heard, _log) = numbers(&bus);
    let _panics = bus.on(|n: &u32| assert!(*n != 2, "two"));
    let _fails = bus.on(|n: &u32| if *n == 3 { fail("three") } else { Ok(()) });
    for n in 1..5_u32 {
        bus.defer(n).unwrap();
    }
    assert_eq!(figures(bus.drain()), (4, 0));
    assert_eq!((heard.take(), failures.take()), (vec![1, 2, 3, 4], vec!["two".to_owned(), "three".to_owned()]));
    bus.defer(5_u32).unwrap();
    assert_eq!(figures(bus.drain()), (1, 0));
}

#[test]
fn destructors_of_events_that_panic_are_caught_and_counted() {
    let (bus, failures) = queue(2, Overflow::DropOldest);
    let bomb = || Bomb("an event's destructor");
    bus.defer(bomb()).unwrap();
    bus.defer(bomb()).unwrap();
    assert_eq!((figures(bus.drain()), bus.suppressed_failures()), ((2, 0), 2), "delivered");
    (0..3).for_each(|_| bus.defer(bomb()).unwrap());
    assert_eq!((failures.take().len(), bus.suppressed_failures()), (1, 3), "displaced");
    assert_eq!((bus.discard_pending(), bus.suppressed_failures()), (2, 5), "discarded");
    bus.defer(bomb()).unwrap();
    drop(bus);
    assert_eq!(failures.take().len(), 1, "gone with its bus");
}

#[test]
fn hearken_panic_raises_out_of_a_drain_after_everything_was_delivered() {
    let bus = strict_bus();
    let (heard, _log) = numbers(&bus);
    let _fails = bus.on(|n: &u32| fail(if *n == 1 { "the first" } else { "the second" }));
    let drains: [fn(&Emitter) -> Drained; 3] =
        [|bus| bus.drain(), |bus| bus.drain_for(Duration::MAX), |bus| bus.drain_until_idle(9)];
    for drain in drains {
        bus.defer(1_u32).unwrap();
        bus.defer(2_u32).unwrap();
        let caught = caught(|| drain(&bus)).unwrap();
        assert!(caught.message.contains("the first") && caught.message.contains("the second"), "{}", caught.message);
        assert_eq!((caught.file.as_str(), heard.take(), bus.pending()), (file!(), vec![1, 2], 0));
    }
}

#[test]
fn the_last_handle_may_go_inside_a_drain() {
    let (bus, failures) = reporting_bus(Emitter::builder());
    let drops = Drops::new();
    let slot = Arc::new(Mutex::new(None));
    let taken = Arc::clone(&slot);
    let _drops_it = bus.on(move |_: &u32| drop(taken.lock().unwrap().take()));
    *slot.lock().unwrap() = Some(bus.clone());
    bus.defer(1_u32).unwrap();
    bus.defer(drops.token()).unwrap();
    bus.drain_until_idle(1);
    drop(bus);
    assert_eq!((drops.count(), failures.take().len()), (1, 1));
}

// Causes

#[test]
fn a_deferred_event_knows_its_topic_and_the_place_that_deferred_it() {
    let (bus, log) = (strict_bus(), Log::new());
    let heard = log.clone();
    let _hears = bus.on_with(move |_: &u32, cx| heard.add((cx.topic().map(str::to_owned), cx.emitted_at().line())));
    let line = line!();
    bus.topic("a").defer(1_u32).unwrap();
    bus.port().defer(2_u32).unwrap();
    bus.drain();
    assert_eq!(log.take(), [(Some("a".to_owned()), line + 1), (None, line + 2)]);
}

// No lock is held

#[test]
fn an_event_may_use_the_bus_while_it_is_dropped_wherever_that_is() {
    in_time(|| {
        let (bus, _failures) = queue(1, Overflow::DropOldest);
        let (call, count) = counter();
        let weak = bus.downgrade();
        let event = || {
            let (weak, call) = (weak.clone(), call.clone());
            OnDrop(move || {
                call();
                if let Some(bus) = weak.upgrade() {
                    keep(&(bus.pending(), bus.emit(&1_u32), bus.on(|_: &u32| {}).off()));
                }
            })
        };
        bus.defer(event()).unwrap();
        bus.drain();
        bus.defer(event()).unwrap();
        bus.defer(event()).unwrap();
        assert_eq!(count(), 2, "delivered, displaced");
        bus.discard_pending();
        bus.defer(event()).unwrap();
        drop(bus);
        assert_eq!(count(), 4, "discarded, gone with its bus");
    });
}
