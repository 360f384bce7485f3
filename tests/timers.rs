//! Contract 10 and 13 with time: timers, budgets, and loops that sleep until a time comes.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{Bomb, Drops, Log, MOMENT, OnDrop, caught, in_time, keep, reporting_bus, soon};
use hearken::{Clock, Drained, Emitter, Overflow, Subscription, Timer};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// The drain's own figures, as tests compare them.
fn figures(drained: Drained) -> (usize, usize) {
    (drained.delivered, drained.remaining)
}

/// A bus by a clock that the test moves, and what its failures say.
fn timed() -> (Emitter, Clock, Log<String>) {
    let clock = Clock::manual();
    let (bus, failures) = reporting_bus(Emitter::builder().clock(clock.clone()));
    (bus, clock, failures)
}

/// Keeps the words that are heard.
fn words(bus: &Emitter) -> (Log<&'static str>, Subscription) {
    let log = Log::new();
    let heard = log.clone();
    (log, bus.on(move |word: &&'static str| heard.add(word)))
}

/// An event that can be cloned, and calls this when it is.
struct OnClone(Arc<dyn Fn() + Send + Sync>);

impl OnClone {
    fn new(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }
}

impl Clone for OnClone {
    fn clone(&self) -> Self {
        (self.0)();
        Self(Arc::clone(&self.0))
    }
}

// When they fire

#[test]
fn a_timer_fires_once_from_a_drain_when_its_time_has_come() {
    let (bus, clock, failures) = timed();
    let (heard, _log) = words(&bus);
    let _timer = bus.defer_in(2 * SECOND, "now");
    assert_eq!((figures(bus.drain()), bus.pending()), ((0, 0), 0));
    clock.advance((2 * SECOND).saturating_sub(NANO));
    assert_eq!(figures(bus.drain()), (0, 0));
    clock.advance(NANO);
    assert_eq!((bus.pending(), heard.take().len()), (0, 0), "the clock delivers nothing by itself");
    assert_eq!(figures(bus.drain()), (1, 0));
    clock.advance(9 * SECOND);
    assert_eq!(figures(bus.drain()), (0, 0));
    assert_eq!((heard.take(), failures.take().len()), (vec!["now"], 0));
}

#[test]
fn a_delay_of_zero_waits_for_the_next_drain_and_one_of_centuries_for_ever() {
    let (bus, clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    bus.defer_in(Duration::ZERO, "at once").detach();
    let _never = bus.defer_in(Duration::MAX, "never");
    clock.advance(SECOND);
    let _longer = bus.defer_in(Duration::MAX, "nor this");
    assert_eq!(figures(bus.drain()), (1, 0));
    assert_eq!(heard.take(), ["at once"]);
}

#[test]
fn timers_fire_in_the_order_of_their_times_and_equal_ones_in_the_order_they_were_set() {
    let (bus, clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    bus.defer_in(3 * SECOND, "3").detach();
    bus.defer_in(2 * SECOND, "first of 2").detach();
    bus.topic("a").defer_in(SECOND, "1").detach();
    clock.advance(SECOND);
    bus.port().defer_in(SECOND, "second of 2").detach();
    let _every = bus.defer_every(SECOND, "third of 2");
    clock.advance(9 * SECOND);
    assert_eq!(figures(bus.drain()), (5, 0));
    assert_eq!(heard.take(), ["1", "first of 2", "second of 2", "third of 2", "3"]);
}

#[test]
fn what_timers_fire_joins_the_end_of_the_queue_when_a_drain_begins() {
    let (bus, clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    let _timer = bus.defer_in(SECOND, "of the timer");
    clock.advance(SECOND);
    bus.defer("deferred when it was due already").unwrap();
    let _behind = bus.on_with(|word: &&str, cx| {
        if word.starts_with("deferred when") {
            cx.emitter().defer("deferred by the drain").unwrap();
        }
    });
    assert_eq!(figures(bus.drain()), (2, 1));
    assert_eq!(heard.take(), ["deferred when it was due already", "of the timer"]);
}

#[test]
fn what_timers_fire_takes_no_room_from_itself_and_displaces_nothing() {
    for overflow in [Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest, Overflow::Block] {
        let clock = Clock::manual();
        let (bus, failures) = reporting_bus(Emitter::builder().clock(clock.clone()).queue(1, overflow));
        let (heard, _log) = words(&bus);
        bus.defer("deferred").unwrap();
        for word in ["one", "two", "three"] {
            bus.defer_in(SECOND, word).detach();
        }
        clock.advance(SECOND);
        assert_eq!(figures(bus.drain()), (4, 0));
        assert_eq!((heard.take().len(), failures.take().len()), (4, 0));
        bus.defer("there is room again").unwrap();
    }
}

#[test]
fn a_timer_that_a_delivery_sets_or_makes_due_waits_for_the_next_drain() {
    let (bus, clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    let _late = bus.defer_in(SECOND, "made due");
    let moved = clock.clone();
    let _sets = bus.on_with(move |_: &u32, cx| {
        cx.emitter().defer_in(Duration::ZERO, "set").detach();
        moved.advance(SECOND);
    });
    bus.defer(1_u32).unwrap();
    assert_eq!(bus.drain().delivered, 1);
    assert_eq!(bus.drain().delivered, 2);
    assert_eq!(heard.take(), ["set", "made due"]);
}

#[test]
fn drain_until_idle_goes_on_with_timers_that_come_due_meanwhile() {
    let (bus, _clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    let _sets = bus.on_with(|_: &u32, cx| cx.emitter().defer_in(Duration::ZERO, "set").detach());
    bus.defer(1_u32).unwrap();
    assert_eq!(figures(bus.drain_until_idle(9)), (2, 0));
    assert_eq!(heard.take(), ["set"]);
}

// Again and again

#[test]
fn a_timer_that_repeats_fires_every_period_for_the_first_time_after_one() {
    let (bus, clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    let _every = bus.defer_every(2 * SECOND, "tick");
    let ticks = [0, 1, 2, 3, 4, 5, 6].map(|seconds| {
        clock.advance(if seconds == 0 { Duration::ZERO } else { SECOND });
        bus.drain().delivered
    });
    assert_eq!((ticks, heard.take().len()), ([0, 0, 1, 0, 1, 0, 1], 3));
}

#[test]
fn periods_that_were_missed_are_one_firing_and_the_next_is_at_the_next_multiple() {
    let (bus, clock, _failures) = timed();
    let _every = bus.defer_every(2 * SECOND, "tick");
    clock.advance(7 * SECOND);
    assert_eq!((bus.drain().delivered, bus.drain().delivered), (1, 0));
    clock.advance(SECOND.saturating_sub(NANO));
    assert_eq!(bus.drain().delivered, 0);
    clock.advance(NANO);
    assert_eq!(bus.drain().delivered, 1, "at 8 seconds");
    // Exactly on a multiple, it is this one that fires.
    clock.advance(6 * SECOND);
    assert_eq!(bus.drain().delivered, 1, "at 14 seconds");
    clock.advance(2 * SECOND);
    assert_eq!(bus.drain().delivered, 1, "at 16 seconds");
}

#[test]
fn a_timer_goes_on_however_many_periods_were_missed() {
    let (bus, clock, _failures) = timed();
    let period = Duration::from_micros(1);
    let _every = bus.defer_every(period, "tick");
    clock.advance(2 * 3_600 * SECOND);
    assert_eq!(bus.drain().delivered, 1);
    clock.advance(period);
    assert_eq!(bus.drain().delivered, 1, "two hours are more than 2^32 periods");
}

#[test]
fn a_period_of_zero_panics_at_the_callers_line() {
    let (bus, _clock, _failures) = timed();
    let verbs: [fn(&Emitter) -> Timer; 3] = [
        |bus| bus.defer_every(Duration::ZERO, 1_u32),
        |bus| bus.topic("a").defer_every(Duration::ZERO, 1_u32),
        |bus| bus.port().defer_every(Duration::ZERO, 1_u32),
    ];
    let line = line!() - 4;
    for (n, verb) in (0..).zip(verbs) {
        let caught = caught(|| verb(&bus)).unwrap();
        assert!(caught.message.contains("period of zero"), "{}", caught.message);
        assert_eq!((caught.file.as_str(), caught.line), (file!(), line + n));
    }
}

#[test]
fn a_copy_that_panics_is_a_failure_and_the_timer_goes_on() {
    let (bus, clock, failures) = timed();
    let (call, is_broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (heard, broken) = (Arc::clone(&call), Arc::clone(&is_broken));
    let _hears = bus.on(move |_: &OnClone| keep(&heard.fetch_add(1, Ordering::SeqCst)));
    let _every = bus.defer_every(SECOND, OnClone::new(move || assert!(!broken.load(Ordering::SeqCst), "it broke")));
    let _fellow = bus.defer_every(SECOND, "tick");
    clock.advance(SECOND);
    assert_eq!((figures(bus.drain()), failures.take()), ((1, 0), vec!["it broke".to_owned()]));
    is_broken.store(false, Ordering::SeqCst);
    clock.advance(SECOND);
    assert_eq!((figures(bus.drain()), failures.take().len(), call.load(Ordering::SeqCst)), ((2, 0), 0, 1));
}

#[test]
fn a_copy_may_use_the_bus_while_it_is_made() {
    in_time(|| {
        let (bus, clock, failures) = timed();
        let (log, weak) = (Log::new(), bus.downgrade());
        let seen = log.clone();
        let event = OnClone::new(move || {
            let bus = weak.upgrade().unwrap();
            bus.defer("deferred").unwrap();
            bus.defer_in(SECOND, "cancelled").cancel();
            seen.add((figures(bus.drain()), bus.pending(), bus.emit(&1_u32).heard));
        });
        let _every = bus.defer_every(SECOND, event);
        let _hears = bus.on(|_: &OnClone| {});
        clock.advance(SECOND);
        assert_eq!(figures(bus.drain()), (2, 0));
        assert_eq!((log.take(), failures.take().len()), (vec![((0, 1), 1, 0)], 0));
    });
}

#[test]
fn a_copy_that_discards_what_waits_takes_nothing_from_what_comes_behind() {
    let (bus, clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    let weak = bus.downgrade();
    let _every = bus.defer_every(SECOND, OnClone::new(move || keep(&weak.upgrade().unwrap().discard_pending())));
    let _once = bus.defer_in(SECOND, "of a timer");
    bus.defer("delivered").unwrap();
    bus.defer("left, then discarded").unwrap();
    bus.drain_until_idle(1);
    clock.advance(SECOND);
    assert_eq!(figures(bus.drain()), (2, 0));
    assert_eq!(heard.take(), ["delivered", "of a timer"]);
}

// Cancelling

#[test]
fn a_timer_that_is_cancelled_or_dropped_before_it_is_due_never_fires_and_drops_its_event_at_once() {
    let cancels: [fn(Timer); 2] = [drop, |timer| assert!(timer.cancel())];
    for cancel in cancels {
        let (bus, clock, failures) = timed();
        let drops = Drops::new();
        cancel(bus.defer_in(SECOND, drops.token()));
        assert_eq!(drops.count(), 1);
        let event = Arc::new(());
        cancel(bus.defer_every(SECOND, Arc::clone(&event)));
        assert_eq!(Arc::strong_count(&event), 1);
        clock.advance(SECOND);
        assert_eq!((figures(bus.drain()), failures.take().len()), ((0, 0), 0));
        drop(bus);
        assert_eq!((failures.take().len(), drops.count()), (0, 1));
    }
}

#[test]
fn a_timer_that_is_due_can_be_cancelled_until_a_drain_begins() {
    let (bus, clock, _failures) = timed();
    let timers = [bus.defer_in(SECOND, "once"), bus.defer_every(SECOND, "every")];
    clock.advance(SECOND);
    assert!(timers.into_iter().all(Timer::cancel));
    assert_eq!(figures(bus.drain()), (0, 0));
}

#[test]
fn a_timer_that_fired_into_the_queue_can_be_cancelled_by_an_earlier_listener_of_the_same_drain() {
    let (bus, clock, failures) = timed();
    let (heard, _log) = words(&bus);
    let drops = Drops::new();
    let timers = [bus.defer_in(SECOND, "once"), bus.defer_every(SECOND, "every"), bus.defer_in(SECOND, drops.token())];
    let timers = Mutex::new(timers.into());
    let cancelled = Log::new();
    let results = cancelled.clone();
    let _cancels = bus.on_with(move |_: &u32, cx| {
        assert_eq!(cx.emitter().pending(), 3);
        let timers: Vec<Timer> = std::mem::take(&mut timers.lock().unwrap());
        for timer in timers {
            results.add(timer.cancel());
        }
    });
    clock.advance(SECOND);
    bus.defer(1_u32).unwrap();
    assert_eq!(figures(bus.drain()), (1, 0));
    assert_eq!((cancelled.take(), heard.take().len(), drops.count()), (vec![true; 3], 0, 1));
    clock.advance(9 * SECOND);
    assert_eq!(figures(bus.drain()), (0, 0));
    drop(bus);
    assert_eq!(failures.take(), [""; 0]);
}

#[test]
fn cancelling_says_whether_it_did() {
    let (bus, clock, _failures) = timed();
    let fires = bus.defer_in(SECOND, "once");
    let every = bus.defer_every(SECOND, "every");
    clock.advance(SECOND);
    bus.drain();
    assert!(!fires.cancel(), "its event was delivered");
    assert!(every.cancel(), "the next one of it is to come");
    let after_close = bus.defer_in(SECOND, "once");
    drop(bus);
    assert!(!after_close.cancel(), "its bus is gone");
}

#[test]
fn a_timer_that_close_ended_was_not_cancelled_by_its_guard() {
    let (bus, _clock, failures) = timed();
    let (once, every) = (bus.defer_in(SECOND, "once"), bus.defer_every(SECOND, "every"));
    bus.close();
    assert_eq!(failures.take(), ["lost 1 &str"]);
    assert!(!once.cancel(), "it is reported as lost");
    assert!(!every.cancel());
    let (once, every) = (bus.defer_in(SECOND, "once"), bus.defer_every(SECOND, "every"));
    assert!(!once.cancel(), "it was never set");
    assert!(!every.cancel());
}

#[test]
fn a_timer_whose_event_was_discarded_was_not_cancelled_by_its_guard() {
    let (bus, clock, _failures) = timed();
    bus.defer(1_u32).unwrap();
    let once = bus.defer_in(SECOND, "once");
    clock.advance(SECOND);
    bus.drain_until_idle(1);
    assert_eq!(bus.discard_pending(), 1);
    assert!(!once.cancel(), "there was nothing left to cancel");
}

#[test]
fn a_cancelled_event_that_waits_is_not_lost_when_its_bus_goes() {
    let (bus, clock, failures) = timed();
    bus.defer(1_u32).unwrap();
    let once = bus.defer_in(SECOND, "once");
    clock.advance(SECOND);
    assert_eq!(figures(bus.drain_until_idle(1)), (1, 1));
    assert!(once.cancel());
    drop(bus);
    assert_eq!(failures.take(), [""; 0]);
}

#[test]
fn a_detached_timer_fires() {
    let (bus, clock, _failures) = timed();
    let (heard, _log) = words(&bus);
    bus.defer_in(SECOND, "once").detach();
    bus.defer_every(SECOND, "every").detach();
    clock.advance(SECOND);
    bus.drain();
    clock.advance(SECOND);
    bus.drain();
    assert_eq!(heard.take(), ["once", "every", "every"]);
}

#[test]
fn a_listener_may_cancel_the_timer_it_hears() {
    let set: [fn(&Emitter) -> Timer; 2] = [|bus| bus.defer_in(SECOND, "once"), |bus| bus.defer_every(SECOND, "every")];
    for (set, is_cancelled) in set.into_iter().zip([false, true]) {
        let (bus, clock, _failures) = timed();
        let (timer, log) = (Mutex::new(Some(set(&bus))), Log::new());
        let results = log.clone();
        let _cancels = bus.on(move |_: &&str| results.add(timer.lock().unwrap().take().unwrap().cancel()));
        clock.advance(SECOND);
        bus.drain();
        clock.advance(SECOND);
        bus.drain();
        assert_eq!(log.take(), [is_cancelled]);
    }
}

#[test]
fn beside_a_loop_a_timer_is_either_cancelled_or_delivered() {
    in_time(|| {
        let (bus, failures) = reporting_bus(Emitter::builder());
        let (heard, drops) = (Log::<usize>::new(), Drops::new());
        let delivered = heard.clone();
        let _hears = bus.on(move |event: &(usize, common::Token)| delivered.add(event.0));
        let events = bus.spawn_loop("events").unwrap();
        let mut expected = Vec::new();
        for n in 0..2_000 {
            let timer = bus.defer_in(Duration::from_micros(n as u64 % 40), (n, drops.token()));
            let end = Instant::now() + Duration::from_micros(n as u64 % 70);
            while Instant::now() < end {}
            if !timer.cancel() {
                expected.push(n);
            }
        }
        events.shutdown();
        assert_eq!((heard.take(), drops.count(), failures.take().len()), (expected, 2_000, 0));
    });
}

#[test]
fn a_cancelled_events_destructor_that_panics_is_counted() {
    let (bus, _clock, failures) = timed();
    assert!(bus.defer_in(SECOND, Bomb("a timer's event")).cancel());
    drop(bus.defer_in(SECOND, Bomb("a timer's event")));
    assert_eq!((bus.suppressed_failures(), failures.take().len()), (2, 0));
}

#[test]
fn an_event_may_use_the_bus_while_its_timer_is_cancelled() {
    in_time(|| {
        let (bus, _clock, _failures) = timed();
        let weak = bus.downgrade();
        let event = OnDrop(move || {
            let bus = weak.upgrade().unwrap();
            bus.defer_in(SECOND, 1_u32).cancel();
            keep(&(bus.pending(), bus.drain(), bus.emit(&1_u32)));
        });
        assert!(bus.defer_in(SECOND, event).cancel());
    });
}

#[test]
fn a_timer_does_not_keep_its_bus() {
    let (bus, _clock, failures) = timed();
    let weak = bus.downgrade();
    let (once, every) = (bus.defer_in(SECOND, "once"), bus.defer_every(SECOND, "every"));
    drop(bus);
    assert!(weak.upgrade().is_none());
    assert_eq!(failures.take(), ["lost 1 &str"]);
    assert!(!once.cancel());
    drop(every);
}

#[test]
fn discarding_leaves_timers() {
    let (bus, clock, _failures) = timed();
    let _timer = bus.defer_in(SECOND, "once");
    clock.advance(SECOND);
    assert_eq!(bus.discard_pending(), 0);
    assert_eq!(figures(bus.drain()), (1, 0));
}

// Closing

#[test]
fn close_cancels_timers_that_repeat_and_reports_each_other_one_as_lost() {
    let (bus, clock, failures) = timed();
    let drops = Drops::new();
    let _timers = [bus.defer_in(SECOND, "one"), bus.defer_in(2 * SECOND, 2_u32), bus.defer_every(SECOND, "every")];
    bus.defer_in(SECOND, (3_u32, drops.token())).detach();
    clock.advance(SECOND);
    bus.close();
    assert_eq!(drops.count(), 1);
    let lost = failures.take();
    let tuple = format!("lost 1 {}", std::any::type_name::<(u32, common::Token)>());
    assert_eq!(lost, ["lost 1 &str", tuple.as_str(), "lost 1 u32"]);
    clock.advance(9 * SECOND);
    assert_eq!(figures(bus.drain()), (0, 0));
    drop(bus);
    assert_eq!(failures.take(), [""; 0]);
}

#[test]
fn after_close_a_timer_is_lost_at_once_and_one_that_repeats_never_fires() {
    let (bus, clock, failures) = timed();
    let drops = Drops::new();
    bus.close();
    let _once = bus.defer_in(SECOND, drops.token());
    assert_eq!(
        (drops.count(), failures.take()),
        (1, vec![format!("lost 1 {}", std::any::type_name::<common::Token>())])
    );
    let _every = bus.defer_every(SECOND, "every");
    clock.advance(9 * SECOND);
    assert_eq!((figures(bus.drain()), failures.take().len()), ((0, 0), 0));
}

#[test]
fn what_a_timer_fired_before_close_is_delivered() {
    let (bus, clock, failures) = timed();
    let (heard, _log) = words(&bus);
    let _closes = bus.on_with(|_: &u32, cx| cx.emitter().close());
    let _timer = bus.defer_in(SECOND, "fired");
    clock.advance(SECOND);
    bus.defer(1_u32).unwrap();
    assert_eq!(figures(bus.drain()), (2, 0));
    assert_eq!((heard.take(), failures.take().len()), (vec!["fired"], 0));
}

#[test]
fn close_while_timers_fire_loses_none_of_them_in_silence() {
    let (bus, clock, failures) = timed();
    let (heard, _log) = words(&bus);
    let weak = bus.downgrade();
    let _closes = bus.defer_every(SECOND, OnClone::new(move || weak.upgrade().unwrap().close()));
    let _once = bus.defer_in(SECOND, "once");
    clock.advance(SECOND);
    bus.drain();
    assert_eq!(heard.take().len() + failures.take().len(), 1, "delivered or reported");
}

// Budgets

#[test]
fn drain_for_looks_at_the_clock_before_each_event_and_leaves_the_rest_first_and_in_order() {
    let (bus, clock, _failures) = timed();
    let log = Log::<String>::new();
    let (heard, moved) = (log.clone(), clock.clone());
    let _hears = bus.on_with(move |n: &u32, cx| {
        heard.add(format!("{n} {}", cx.topic().unwrap_or("-")));
        moved.advance(SECOND);
    });
    let topics = ["a", "a", "some.longer.topic", "b", "a"];
    for (n, topic) in (1_u32..).zip(topics) {
        bus.topic(topic).defer(n).unwrap();
    }
    bus.defer(6_u32).unwrap();
    assert_eq!(figures(bus.drain_for(2 * SECOND)), (2, 4));
    bus.topic("late").defer(7_u32).unwrap();
    assert_eq!(log.take(), ["1 a", "2 a"]);
    assert_eq!(figures(bus.drain_for(Duration::from_millis(2_001))), (3, 2));
    assert_eq!(log.take(), ["3 some.longer.topic", "4 b", "5 a"]);
    assert_eq!(figures(bus.drain_for(Duration::ZERO)), (0, 2));
    assert_eq!(figures(bus.drain_for(Duration::MAX)), (2, 0));
    assert_eq!(log.take(), ["6 -", "7 late"]);
}

#[test]
fn drain_for_delivers_no_more_than_what_was_queued_when_it_began() {
    let (bus, _clock, _failures) = timed();
    let _again = bus.on_with(|n: &u32, cx| cx.emitter().defer(n + 1).unwrap());
    bus.defer(1_u32).unwrap();
    assert_eq!(figures(bus.drain_for(Duration::MAX)), (1, 1));
}

#[test]
fn drain_for_by_the_systems_clock_comes_to_its_end() {
    let (bus, _failures) = reporting_bus(Emitter::builder());
    let _slow = bus.on(|_: &u32| thread::sleep(Duration::from_millis(150)));
    (0..3_u32).for_each(|n| bus.defer(n).unwrap());
    assert_eq!(figures(bus.drain_for(Duration::from_millis(100))), (1, 2));
}

// Loops

#[test]
fn moving_the_clock_wakes_a_loop_that_sleeps() {
    let (bus, clock, _failures) = timed();
    let (tell, told) = channel();
    let _hears = bus.on(move |word: &&'static str| tell.send(*word).unwrap());
    let events = bus.spawn_loop("events").unwrap();
    bus.defer_in(SECOND, "once").detach();
    bus.defer_every(2 * SECOND, "every").detach();
    assert!(told.recv_timeout(MOMENT).is_err());
    for expected in ["once", "every"] {
        clock.advance(SECOND);
        assert_eq!(soon(&told), expected);
    }
    clock.advance(SECOND);
    assert!(told.recv_timeout(MOMENT).is_err());
    clock.advance(SECOND);
    assert_eq!(soon(&told), "every");
    in_time(move || events.shutdown());
}

#[test]
fn a_loop_fires_timers_by_the_systems_clock_each_at_its_time() {
    let (bus, failures) = reporting_bus(Emitter::builder());
    let (tell, told) = channel();
    let _hears = bus.on(move |millis: &u64| tell.send((*millis, Instant::now())).unwrap());
    let events = bus.spawn_loop("events").unwrap();
    let begin = Instant::now();
    // The later one first: the loop, asleep until then, has to look again.
    for millis in [60, 20, 40] {
        bus.defer_in(Duration::from_millis(millis), millis).detach();
    }
    for millis in [20, 40, 60] {
        let (heard, at) = soon(&told);
        assert_eq!(heard, millis);
        assert!(at - begin >= Duration::from_millis(millis));
    }
    let _every = bus.defer_every(Duration::from_millis(5), 0_u64);
    (0..3).for_each(|_| assert_eq!(soon(&told).0, 0));
    in_time(move || events.shutdown());
    assert_eq!(failures.take(), [""; 0]);
}

#[test]
fn a_loop_ends_although_a_timer_waits() {
    let (bus, _failures) = reporting_bus(Emitter::builder());
    let _once = bus.defer_in(3_600 * SECOND, "once");
    let _every = bus.defer_every(3_600 * SECOND, "every");
    let events = bus.spawn_loop("events").unwrap();
    in_time(move || events.shutdown());
    let runner = bus.clone();
    let (done, is_done) = channel();
    thread::spawn(move || {
        runner.run();
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(MOMENT).is_err());
    bus.close();
    soon(&is_done);
}

// The clock

#[test]
fn clones_of_a_manual_clock_show_the_same_time_and_serve_several_buses() {
    let clock = Clock::manual();
    let buses = [(); 2].map(|()| reporting_bus(Emitter::builder().clock(clock.clone())).0);
    let _timers = buses.each_ref().map(|bus| bus.defer_in(SECOND, "once"));
    clock.clone().advance(SECOND);
    assert_eq!(buses.map(|bus| bus.drain().delivered), [1, 1]);
}

#[test]
fn nobody_can_move_the_systems_clock() {
    let caught = caught(|| Clock::system().advance(SECOND)).unwrap();
    let line = line!() - 1;
    assert!(caught.message.contains("Clock::manual()"), "{}", caught.message);
    assert_eq!((caught.file.as_str(), caught.line), (file!(), line));
}
