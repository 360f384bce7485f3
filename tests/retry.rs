//! Listeners that are given another try: when, how often, and what that means for everything else.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Log, caught, fail, keep, reporting_bus, traced};
use hearken::{BoxError, Clock, Emitter, Failure, Overflow, Retry};

const SECOND: Duration = Duration::from_secs(1);

/// A bus by a clock that the test moves, and what its failures say.
fn timed() -> (Emitter, Clock, Log<String>) {
    let clock = Clock::manual();
    let (bus, failures) = reporting_bus(Emitter::builder().clock(clock.clone()));
    (bus, clock, failures)
}

/// So many calls, a second between the first two.
fn calls(attempts: u32) -> Retry {
    Retry::attempts(attempts).backoff(SECOND)
}

/// Fails so many times, then works; and how often it was called.
fn failing(times: u32) -> (impl Fn(&u32) -> Result<(), BoxError> + Send + Sync + 'static, Arc<AtomicU32>) {
    let called = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&called);
    let listener = move |_: &u32| {
        let call = counter.fetch_add(1, Ordering::Relaxed) + 1;
        if call <= times { fail(&format!("call {call}")) } else { Ok(()) }
    };
    (listener, called)
}

/// Lets so many seconds go by, one after the other, and says in which the bus delivered something.
fn seconds(bus: &Emitter, clock: &Clock, count: u64) -> Vec<u64> {
    let delivers = |second: &u64| {
        clock.advance(SECOND);
        *second > 0 && bus.drain().delivered > 0
    };
    (1..=count).filter(delivers).collect()
}

#[test]
fn every_attempt_comes_at_its_time_and_the_last_failure_alone_is_one() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(9);
    let _hears = bus.listen().retry(calls(5).max_delay(5 * SECOND)).on(listener);
    let emission = bus.emit(&7_u32);
    assert_eq!((emission.heard, emission.failed), (1, 0));
    assert_eq!(seconds(&bus, &clock, 30), [1, 3, 7, 12], "1, 2, 4 and 5 s after one another");
    assert_eq!(called.load(Ordering::Relaxed), 5);
    assert_eq!(failures.take(), ["call 5"]);
    assert_eq!(bus.dead_letters().len(), 1);
}

#[test]
fn what_works_at_last_is_no_failure_and_no_dead_letter() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(2);
    let _hears = bus.listen().retry(calls(5)).on(listener);
    bus.emit(&7_u32);
    assert_eq!(seconds(&bus, &clock, 30), [1, 3]);
    assert_eq!(called.load(Ordering::Relaxed), 3);
    assert!(failures.take().is_empty() && bus.dead_letters().is_empty());
}

#[test]
fn it_is_tried_again_alone() {
    let (bus, clock, _) = timed();
    let (listener, _) = failing(1);
    let others = bus.record::<u32>();
    let _hears = bus.listen().retry(calls(2)).on(listener);
    let _also = bus.on(|_: &u32| fail("no retry"));
    assert_eq!(bus.emit(&7_u32).failed, 1);
    assert_eq!(seconds(&bus, &clock, 5), [1]);
    assert_eq!(others.take(), [7], "nobody else heard it twice");
}

#[test]
fn nothing_sleeps_in_an_emit_and_nothing_is_tried_without_a_drain() {
    let (bus, clock, _) = timed();
    let (listener, called) = failing(1);
    let _hears = bus.listen().retry(calls(2)).on(listener);
    bus.emit(&7_u32);
    clock.advance(100 * SECOND);
    assert_eq!(called.load(Ordering::Relaxed), 1);
    assert_eq!(bus.drain().delivered, 1);
    assert_eq!(called.load(Ordering::Relaxed), 2);
}

#[test]
fn a_panic_is_tried_again_too() {
    let (bus, clock, failures) = timed();
    let called = AtomicU32::new(0);
    let _hears = bus.listen().retry(calls(2)).on(move |_: &u32| {
        assert!(called.fetch_add(1, Ordering::Relaxed) > 0, "the first call");
    });
    let emission = bus.emit(&7_u32);
    assert_eq!((emission.heard, emission.failed), (1, 0));
    assert_eq!(seconds(&bus, &clock, 5), [1]);
    assert!(failures.take().is_empty());
}

#[test]
fn an_error_that_is_not_worth_it_is_a_failure_at_once() {
    let (bus, clock, failures) = timed();
    let retry = calls(5).when(|error| error.to_string() != "call 2");
    let (listener, called) = failing(9);
    let _hears = bus.listen().retry(retry).on(listener);
    assert_eq!(bus.emit(&7_u32).failed, 0);
    assert_eq!(seconds(&bus, &clock, 30), [1]);
    assert_eq!(called.load(Ordering::Relaxed), 2);
    assert_eq!(failures.take(), ["call 2"]);
    assert_eq!(bus.dead_letters().iter().map(|letter| letter.attempts).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_panic_of_the_predicate_counts_as_no_and_is_one_more_failure() {
    let (bus, _, failures) = timed();
    let (listener, _) = failing(9);
    let _hears = bus.listen().retry(calls(5).when(|_| panic!("the predicate"))).on(listener);
    assert_eq!(bus.emit(&7_u32).failed, 1);
    assert_eq!(failures.take(), ["the predicate", "call 1"]);
    assert_eq!(bus.emit(&8_u32).heard, 1, "the bus goes on");
}

#[test]
fn an_event_that_cannot_be_copied_fails_for_good_with_both_failures() {
    #[derive(Debug)]
    struct Fragile;
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            panic!("the clone")
        }
    }
    let (bus, _, failures) = timed();
    let _hears = bus.listen().retry(calls(5)).on(|_: &Fragile| fail("the listener"));
    assert_eq!(bus.emit(&Fragile).failed, 1);
    assert_eq!(failures.take(), ["the clone", "the listener"]);
    assert!(bus.dead_letters().is_empty(), "there is nothing to keep");
}

#[test]
fn an_attempt_hears_the_event_on_its_topic_and_in_its_chain() {
    let (bus, clock, _) = timed();
    let seen = Log::new();
    let _hears = {
        let seen = seen.clone();
        bus.topics("order.*").listen::<u32>().retry(calls(2)).on_with(move |event, cx| {
            seen.add((*event, cx.topic().map(str::to_owned), cx.id(), cx.cause(), cx.origin(), cx.emitted_at().line()));
            fail("always")
        })
    };
    let _begins = bus.on_with(|(): &(), cx| {
        cx.emitter().topic("order.placed").emit(&7_u32);
    });
    bus.emit(&());
    seconds(&bus, &clock, 2);
    let [first, second] = &seen.take()[..] else { panic!("two calls") };
    assert_eq!(first, second);
    assert!(first.3.is_some() && first.1.as_deref() == Some("order.placed"));
}

#[test]
fn later_events_overtake_one_that_waits() {
    let (bus, clock, _) = timed();
    let order = Log::new();
    let _hears = {
        let (order, is_first) = (order.clone(), AtomicBool::new(true));
        bus.listen::<u32>().retry(calls(2)).on(move |event| {
            order.add(*event);
            if is_first.swap(false, Ordering::Relaxed) { fail("the first") } else { Ok(()) }
        })
    };
    bus.emit(&1_u32);
    bus.emit(&2_u32);
    seconds(&bus, &clock, 2);
    assert_eq!(order.take(), [1, 2, 1]);
}

#[test]
fn a_listener_that_is_off_between_attempts_is_not_called_and_its_event_is_a_dead_letter() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(9);
    let hears = bus.listen().retry(calls(5)).on(listener);
    bus.emit(&7_u32);
    drop(hears);
    assert!(failures.take().is_empty(), "its time has not come");
    assert!(seconds(&bus, &clock, 5).is_empty(), "nothing was delivered");
    assert_eq!(called.load(Ordering::Relaxed), 1);
    assert_eq!(failures.take(), ["call 1"]);
    let letters: Vec<_> = bus.dead_letters().iter().map(|letter| (letter.attempts, letter.is_orphan)).collect();
    assert_eq!(letters, [(1, true)]);
}

#[test]
fn a_listener_that_is_paused_when_the_time_comes_is_not_called_and_can_be_redriven() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(1);
    let hears = bus.listen().retry(calls(5)).on(listener);
    bus.emit(&7_u32);
    hears.pause();
    seconds(&bus, &clock, 5);
    assert_eq!((failures.take(), bus.dead_letters().len()), (vec!["call 1".to_owned()], 1));
    hears.resume();
    assert_eq!(bus.dead_letters().redrive_all(), 1);
    bus.drain();
    assert_eq!((called.load(Ordering::Relaxed), bus.dead_letters().len()), (2, 0));
}

#[test]
fn a_listener_that_switches_itself_off_as_it_fails_is_not_tried_again() {
    let (bus, clock, failures) = timed();
    let _hears = bus.listen::<u32>().retry(calls(5)).on_with(|_, cx| {
        cx.emitter().off(cx.listener());
        fail("and gone")
    });
    assert_eq!(bus.emit(&7_u32).failed, 1);
    assert_eq!(failures.take(), ["and gone"]);
    assert!(seconds(&bus, &clock, 5).is_empty());
    assert!(bus.dead_letters().iter().all(|letter| letter.is_orphan));
}

#[test]
fn each_attempt_is_one_of_a_limited_number_of_calls() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(9);
    let _hears = bus.listen().times(3).retry(calls(5)).on(listener);
    bus.emit(&7_u32);
    assert_eq!(seconds(&bus, &clock, 30), [1, 3]);
    assert_eq!((called.load(Ordering::Relaxed), failures.take()), (3, vec!["call 3".to_owned()]));
    assert_eq!(bus.emit(&8_u32).heard, 0);
}

#[test]
fn once_and_retry_contradict_each_other_at_the_callers_line() {
    let (bus, ..) = timed();
    let panic = caught(|| bus.listen::<u32>().retry(calls(2)).once(|_| {})).expect("it panics");
    assert!(panic.message.contains("can't hear `once` and `retry`"), "{}", panic.message);
    assert_eq!(panic.file, file!());
    let panic = caught(|| Retry::<BoxError>::attempts(0)).expect("it panics");
    assert!(panic.message.contains("ask for 2 or more") && panic.file == file!(), "{}", panic.message);
}

#[test]
fn a_filter_is_asked_for_the_first_attempt_only() {
    let (bus, clock, _) = timed();
    let (listener, called) = failing(1);
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let filter = move |_: &u32| counter.fetch_add(1, Ordering::Relaxed) == 0;
    let _hears = bus.listen().filter(filter).retry(calls(2)).on(listener);
    bus.emit(&7_u32);
    assert_eq!(seconds(&bus, &clock, 3), [1]);
    assert_eq!((asked.load(Ordering::Relaxed), called.load(Ordering::Relaxed)), (1, 2));
}

#[test]
fn a_deferred_listener_is_tried_again_from_its_first_turn_on() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(1);
    let _hears = bus.listen().deferred().retry(calls(2)).on(listener);
    assert_eq!(bus.emit(&7_u32).deferred, 1);
    assert_eq!(bus.drain().delivered, 1);
    assert_eq!(seconds(&bus, &clock, 3), [1]);
    assert_eq!(called.load(Ordering::Relaxed), 2);
    assert!(failures.take().is_empty());
}

#[test]
fn an_event_that_was_itself_deferred_is_tried_again() {
    let (bus, clock, _) = timed();
    let (listener, called) = failing(1);
    let _hears = bus.listen().retry(calls(2)).on(listener);
    bus.defer(7_u32).unwrap();
    bus.drain();
    assert_eq!(seconds(&bus, &clock, 3), [1]);
    assert_eq!(called.load(Ordering::Relaxed), 2);
}

#[test]
fn a_weak_owner_that_is_gone_leaves_a_dead_letter() {
    let (bus, clock, failures) = timed();
    let owner = Arc::new(());
    let _hears = bus.listen::<u32>().retry(calls(2)).on_weak(&owner, |(), _| fail("still there"));
    bus.emit(&7_u32);
    drop(owner);
    seconds(&bus, &clock, 3);
    assert_eq!(failures.take(), ["still there"]);
    assert_eq!(bus.dead_letters().len(), 1);
}

#[test]
fn what_waits_when_the_queue_is_closed_has_failed_for_good() {
    let (bus, clock, failures) = timed();
    let (listener, _) = failing(9);
    let _hears = bus.listen().retry(calls(5)).on(listener);
    bus.emit(&7_u32);
    bus.close();
    assert_eq!(failures.take(), ["call 1"]);
    bus.emit(&8_u32);
    assert_eq!(failures.take(), ["call 2"], "and so does what fails after that");
    assert!(seconds(&bus, &clock, 5).is_empty());
    assert_eq!(bus.dead_letters().len(), 2);
}

#[test]
fn a_bus_that_goes_reports_what_waits_for_another_attempt() {
    let (bus, clock, failures) = timed();
    let (listener, _) = failing(9);
    bus.listen().retry(calls(5)).on(listener).detach();
    for event in 0..3_u32 {
        bus.emit(&event);
    }
    clock.advance(SECOND);
    drop(bus);
    assert_eq!(failures.take(), ["lost 3 deferred events"]);
}

#[test]
fn a_full_queue_does_not_keep_retries_from_joining_it() {
    let clock = Clock::manual();
    let make = Emitter::builder().clock(clock.clone()).queue(1, Overflow::Reject);
    let (bus, failures) = reporting_bus(make);
    let (listener, called) = failing(2);
    let _hears = bus.listen().retry(calls(2)).on(listener);
    bus.emit(&1_u32);
    bus.emit(&2_u32);
    bus.defer("fills the queue").unwrap();
    clock.advance(SECOND);
    bus.drain_until_idle(10);
    assert_eq!(called.load(Ordering::Relaxed), 4);
    assert!(failures.take().is_empty());
}

#[test]
fn what_a_failed_attempt_leaves_is_counted_as_a_failure_where_nobody_asked_for_retries() {
    let (bus, ..) = timed();
    let _fails = bus.on(|_: &u32| fail("at once"));
    assert_eq!(bus.emit(&7_u32).failed, 1);
    assert!(bus.dead_letters().is_empty());
}

#[test]
fn an_attempt_that_a_drain_would_deliver_too_deep_is_reported_and_kept_as_a_dead_letter() {
    let clock = Clock::manual();
    let (bus, failures) = reporting_bus(Emitter::builder().clock(clock.clone()).max_depth(1));
    let (listener, called) = failing(1);
    let _hears = bus.listen().retry(calls(5)).on(listener);
    let _drains = bus.on_with(|(): &(), cx| keep(&cx.emitter().drain()));
    bus.emit(&7_u32);
    clock.advance(SECOND);
    bus.emit(&());
    let failed = failures.take();
    let [deep, last] = &failed[..] else { panic!("two, not {failed:?}") };
    assert!(deep.contains("too deep") && last == "call 1", "{failed:?}");
    let letters: Vec<_> = bus.dead_letters().iter().map(|letter| (letter.attempts, letter.is_orphan)).collect();
    assert_eq!((called.load(Ordering::Relaxed), letters), (1, vec![(1, false)]));
    assert_eq!(bus.dead_letters().redrive_all(), 1);
    bus.drain();
    assert_eq!((called.load(Ordering::Relaxed), bus.dead_letters().len()), (2, 0));
}

#[test]
fn discard_pending_drops_attempts_that_a_drain_has_put_into_the_queue_and_redriven_letters_and_no_others() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(9);
    let _hears = bus.listen().retry(calls(2)).on(listener);
    bus.emit(&1_u32);
    bus.emit(&2_u32);
    clock.advance(SECOND);
    assert_eq!((bus.pending(), bus.discard_pending()), (0, 0), "they are timers still");
    assert_eq!(bus.drain_until_idle(1).remaining, 1, "the other one is in the queue");
    assert_eq!(bus.discard_pending(), 1);
    assert_eq!((failures.take(), bus.dead_letters().len()), (vec!["call 3".to_owned()], 1));
    assert_eq!((bus.dead_letters().redrive_all(), bus.discard_pending()), (1, 1));
    assert!(seconds(&bus, &clock, 9).is_empty());
    assert_eq!(called.load(Ordering::Relaxed), 3);
    assert!(failures.take().is_empty() && bus.dead_letters().is_empty(), "they went unreported");
}

#[test]
fn an_attempt_that_is_intercepted_ends_there() {
    let (bus, clock, failures) = timed();
    let (listener, called) = failing(9);
    let _hears = bus.listen().retry(calls(5)).on(listener);
    bus.topic("a").emit(&7_u32);
    let kept = bus.intercept::<u32>().envelopes();
    assert_eq!(seconds(&bus, &clock, 9), [1], "once");
    let kept = kept.take();
    assert_eq!(kept.iter().map(|kept| (kept.event, kept.topic.as_deref())).collect::<Vec<_>>(), [(7, Some("a"))]);
    assert_eq!(called.load(Ordering::Relaxed), 1);
    assert!(failures.take().is_empty() && bus.dead_letters().is_empty());
    assert_eq!(retries(&bus), [(Some(0), Some(0))]);
}

#[test]
fn a_listener_of_failures_is_tried_again_and_what_fails_of_it_is_no_emission() {
    let (bus, clock, failures) = timed();
    let called = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&called);
    let _tells = bus.listen::<Failure>().retry(calls(3)).on(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        fail("the teller")
    });
    let _fails = bus.on(|_: &u32| fail("the listener"));
    assert_eq!(bus.emit(&7_u32).failed, 1);
    assert_eq!(failures.take(), ["the listener"]);
    assert_eq!(seconds(&bus, &clock, 9), [1, 3]);
    assert_eq!((called.load(Ordering::Relaxed), failures.take()), (3, vec!["the teller".to_owned()]));
    let letters: Vec<_> = bus.dead_letters().iter().collect();
    assert!(letters.len() == 1 && letters[0].failure.event().contains("Failure"), "{letters:?}");
}

#[test]
fn with_metrics_every_attempt_is_a_call_and_every_failed_one_a_failure() {
    let clock = Clock::manual();
    let (bus, failures) = reporting_bus(Emitter::builder().clock(clock.clone()).metrics(true));
    let (listener, _) = failing(2);
    let _hears = bus.listen().retry(calls(5)).on(listener);
    bus.emit(&7_u32);
    seconds(&bus, &clock, 9);
    let [hears] = &bus.listeners()[..] else { panic!("one listens") };
    assert_eq!((hears.calls, hears.failures, hears.retries), (Some(3), Some(2), Some(2)));
    assert!(failures.take().is_empty(), "and no failure of the bus");
}

/// How often each listener was tried again, and how many dead letters it has.
fn retries(bus: &Emitter) -> Vec<(Option<u64>, Option<u64>)> {
    bus.listeners().iter().map(|listener| (listener.retries, listener.dead_letters)).collect()
}

#[test]
fn listeners_say_how_often_each_was_tried_again_and_how_many_dead_letters_it_has_now() {
    let (bus, clock, _) = timed();
    let (listener, _) = failing(7);
    let _hears = bus.listen().retry(calls(3)).on(listener);
    let _also = bus.listen::<u32>().retry(calls(3)).on(|_| {});
    let _plain = bus.on(|_: &u32| {});
    bus.emit(&7_u32);
    bus.emit(&8_u32);
    let expected = |retries, letters| [(Some(retries), Some(letters)), (Some(0), Some(0)), (None, None)];
    assert_eq!(retries(&bus), expected(0, 0));
    seconds(&bus, &clock, 9);
    assert_eq!(retries(&bus), expected(4, 2), "two further calls for each of the two");
    assert!(bus.dead_letters().iter().all(|letter| {
        let listener = letter.failure.listener().expect("it failed");
        listener.dead_letters.is_none() && listener.retries.is_some_and(|retries| retries >= 3)
    }));
    assert_eq!(bus.dead_letters().redrive_all(), 2);
    assert_eq!(retries(&bus), expected(4, 0));
    bus.drain();
    seconds(&bus, &clock, 9);
    assert_eq!(retries(&bus), expected(7, 0), "one failed once more, and both worked");
}

#[test]
fn that_retries_are_overdue_and_nobody_drains_is_a_warning_once_a_minute() {
    let (bus, clock, _) = timed();
    let _hears = bus.listen::<u32>().retry(calls(5)).on(|_| fail("always"));
    let is_warned = |bus: &Emitter| {
        let told = traced(|| bus.emit(&7_u32));
        assert!(
            !told.contains("overdue") || told.contains("WARN hearken: retries are overdue and nobody drains"),
            "{told}"
        );
        told.contains("overdue")
    };
    assert!(!is_warned(&bus));
    clock.advance(10 * SECOND);
    assert!(!is_warned(&bus), "by nine seconds");
    clock.advance(SECOND);
    assert!(is_warned(&bus), "by ten");
    clock.advance(59 * SECOND);
    assert!(!is_warned(&bus), "it was said a minute ago");
    clock.advance(SECOND);
    assert!(is_warned(&bus));
    clock.advance(59 * SECOND);
    assert!(!is_warned(&bus), "nor is this a minute behind the last");
    clock.advance(SECOND);
    bus.drain();
    assert!(!is_warned(&bus), "somebody drained");
}

#[test]
fn who_drains_is_not_warned_of_overdue_retries() {
    let (bus, clock, _) = timed();
    let _hears = bus.listen::<u32>().retry(calls(5)).on(|_| fail("always"));
    // What this emits is not delivered by the drain that it is in, however late it gets.
    let _late = {
        let clock = clock.clone();
        bus.on_with(move |(): &(), cx| {
            cx.emitter().emit(&7_u32);
            clock.advance(100 * SECOND);
            cx.emitter().emit(&8_u32);
        })
    };
    bus.defer(()).unwrap();
    let told = traced(|| bus.drain());
    assert!(!told.contains("overdue"), "{told}");
    assert_eq!(bus.dead_letters().len(), 0, "and both wait");
}

#[test]
fn events_that_fail_on_one_thread_while_another_drains_all_end_in_exactly_one_way() {
    const EVENTS: u32 = if cfg!(miri) { 20 } else { 2_000 };
    let (bus, clock, failures) = timed();
    // Every event fails on its first call, one in three on each of its calls.
    let tried = Mutex::new(HashMap::new());
    let successes = Log::new();
    let _hears = {
        let successes = successes.clone();
        bus.listen::<u32>().retry(calls(3).max_delay(SECOND)).on(move |event| {
            let calls = {
                let mut tried = tried.lock().unwrap();
                *tried.entry(*event).and_modify(|calls| *calls += 1).or_insert(1)
            };
            if calls == 1 || event % 3 == 0 {
                return fail("flaky");
            }
            successes.add(*event);
            Ok(())
        })
    };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                clock.advance(SECOND);
                bus.drain();
            }
        });
        for event in 0..EVENTS {
            assert_eq!(bus.emit(&event).heard, 1);
        }
        is_over.store(true, Ordering::Release);
    });
    seconds(&bus, &clock, 3);
    let mut succeeded = successes.take();
    succeeded.sort_unstable();
    assert_eq!(succeeded, (0..EVENTS).filter(|event| event % 3 != 0).collect::<Vec<_>>());
    let dead = u64::from(EVENTS.div_ceil(3));
    assert!(bus.dead_letters().iter().all(|letter| letter.attempts == 3));
    assert_eq!((bus.dead_letters().len() as u64, failures.take().len() as u64), (dead, dead));
    let further = 2 * dead + (u64::from(EVENTS) - dead);
    assert_eq!(retries(&bus), [(Some(further), Some(dead))]);
}

#[cfg(feature = "async")]
mod of_futures {
    use futures_executor::block_on;
    use futures_util::FutureExt;
    use hearken::{Cause, Envelope};
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_future_that_failed_is_made_anew_at_its_time_and_given_to_the_spawner() {
        let clock = Clock::manual();
        let make = Emitter::builder().clock(clock.clone()).spawner(block_on);
        let (bus, failures) = reporting_bus(make);
        let (listener, called) = failing(2);
        let _hears = bus.listen::<u32>().retry(calls(3)).on_async(move |event| {
            let result = listener(&event);
            async move { result }
        });
        let emission = block_on(bus.emit_async(&7_u32));
        assert_eq!((emission.heard, emission.failed), (1, 0));
        assert_eq!(seconds(&bus, &clock, 10), [1, 3]);
        assert_eq!(called.load(Ordering::Relaxed), 3);
        assert!(failures.take().is_empty() && bus.dead_letters().is_empty());
    }

    #[test]
    fn where_nobody_runs_the_future_of_the_next_attempt_that_is_the_last_failure() {
        let clock = Clock::manual();
        let failures = Log::new();
        let channel = failures.clone();
        let bus = Emitter::builder().clock(clock.clone()).build(move |failure| {
            channel.add(matches!(failure.cause(), Cause::NoSpawner));
        });
        let _hears = bus.listen::<u32>().retry(calls(3)).on_async(|_| async { fail("the future") });
        assert_eq!(block_on(bus.emit_async(&7_u32)).failed, 0);
        assert_eq!(seconds(&bus, &clock, 10), [1]);
        assert_eq!((failures.take(), bus.dead_letters().len()), (vec![true], 1));
    }

    #[test]
    fn the_last_failure_of_a_future_is_a_failure_and_a_dead_letter() {
        let (bus, _, failures) = timed();
        let _hears = bus.listen::<u32>().retry(calls(1)).on_async(|_| async { fail("the future") });
        let emission = block_on(bus.emit_async(&7_u32));
        assert_eq!((emission.heard, emission.failed), (1, 1));
        assert_eq!((failures.take(), bus.dead_letters().len()), (vec!["the future".to_owned()], 1));
    }

    #[test]
    fn who_has_a_loop_is_not_warned_of_overdue_retries() {
        let (bus, clock, _) = timed();
        let _hears = bus.listen::<u32>().retry(calls(5)).on(|_| fail("always"));
        let mut looping = Box::pin(bus.run_async());
        assert!(looping.as_mut().now_or_never().is_none());
        bus.emit(&7_u32);
        clock.advance(100 * SECOND);
        let emit = || traced(|| bus.emit(&7_u32));
        assert!(!emit().contains("overdue"), "it has not come to it yet");
        drop(looping);
        assert!(emit().contains("overdue"));
    }

    #[test]
    fn a_future_whose_listener_is_gone_fails_for_good() {
        let (bus, _, failures) = timed();
        let (go, gone) = oneshot::channel::<()>();
        let gone = Mutex::new(Some(gone));
        let hears = bus.listen::<u32>().retry(calls(5)).on_async_with(move |_: Envelope<u32>| {
            let gone = gone.lock().unwrap().take();
            async move {
                gone.expect("one call").await?;
                fail("too late")
            }
        });
        let mut emission = Box::pin(bus.emit_async(&7_u32));
        assert!(emission.as_mut().now_or_never().is_none());
        drop(hears);
        go.send(()).unwrap();
        let emission = block_on(emission);
        assert_eq!((emission.heard, emission.failed), (1, 1));
        assert_eq!((failures.take(), bus.dead_letters().len()), (vec!["too late".to_owned()], 0));
    }
}
