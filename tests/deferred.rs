//! Contract 10, 13 and 14: what is deferred is delivered in order, by one thread at a time, and nothing of it is lost in silence.

mod common;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use allocation_counter::measure;
use common::{
    Bomb, Drops, Log, MOMENT, OnDrop, Token, caught, fail, in_time, keep, logging_bus, reporting_bus, soon, strict_bus,
};
use hearken::{Cause, Context, DeferError, Drained, Emission, Emitter, EventLoop, Failure, Overflow, Subscription};

/// The bus's own figures, as tests compare them.
fn figures(drained: Drained) -> (usize, usize) {
    (drained.delivered, drained.remaining)
}

/// A bus with this queue, and what its failures say.
fn queue(capacity: usize, overflow: Overflow) -> (Emitter, Log<String>) {
    reporting_bus(Emitter::builder().queue(capacity, overflow))
}

/// Keeps the numbers that are heard.
fn numbers(bus: &Emitter) -> (Log<u32>, Subscription) {
    let log = Log::new();
    let heard = log.clone();
    (log, bus.on(move |n: &u32| heard.add(*n)))
}

/// An event whose listener stays in its call until it is let go.
struct Hold;

/// A thread that drains, and is in the call for a `Hold`.
struct Held {
    thread: JoinHandle<Drained>,
    go: Sender<()>,
}

/// Defers a `Hold`, then what `behind` defers, and has all of it drained on another thread.
fn hold(bus: &Emitter, behind: impl FnOnce()) -> Held {
    let (enter, entered) = channel();
    let (go, goes) = channel();
    let goes = Mutex::new(goes);
    let stay = bus.on(move |_: &Hold| {
        enter.send(()).expect("somebody waits");
        soon(&goes.lock().expect("no panic"));
    });
    stay.detach();
    bus.defer(Hold).unwrap();
    behind();
    let drainer = bus.clone();
    let thread = thread::spawn(move || drainer.drain());
    soon(&entered);
    Held { thread, go }
}

impl Held {
    /// Lets it go on to its end.
    fn end(self) -> (usize, usize) {
        self.go.send(()).expect("it waits");
        figures(self.thread.join().expect("no panic"))
    }
}

/// Defers it on another thread. What comes of that.
fn defer_elsewhere<T: Send + 'static>(bus: &Emitter, event: T) -> Receiver<Result<(), DeferError<T>>> {
    let (done, is_done) = channel();
    let bus = bus.clone();
    thread::spawn(move || drop(done.send(bus.defer(event))));
    is_done
}

/// A loop that has begun: it has delivered something.
fn started_loop(bus: &Emitter, name: &str) -> EventLoop {
    struct Started;
    let (start, started) = channel();
    let started_listener = bus.on(move |_: &Started| start.send(()).unwrap());
    let events = bus.spawn_loop(name).unwrap();
    bus.defer(Started).unwrap();
    soon(&started);
    drop(started_listener);
    events
}

fn has_not_happened<T>(receiver: &Receiver<T>) -> bool {
    receiver.recv_timeout(MOMENT).is_err()
}

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

// Overflow

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

// Closing

#[test]
fn after_close_defer_gives_the_event_back_and_emit_and_drain_work_on() {
    for overflow in [Overflow::Reject, Overflow::Block, Overflow::DropOldest, Overflow::DropNewest] {
        let (bus, failures) = queue(1, overflow);
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

// Deferred listeners

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

/// Something to call, and how often it was called.
fn counter() -> (impl Fn() + Clone + Send + Sync + 'static, impl Fn() -> usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    (move || keep(&calls.fetch_add(1, Ordering::SeqCst)), move || count.load(Ordering::SeqCst))
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
    assert_eq!(asked.take(), []);
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

// Loops

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
