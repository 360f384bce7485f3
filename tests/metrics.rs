//! Who listens, how often each is called and fails, how long that takes, and who is slow.

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use allocation_counter::measure;
use common::{Drops, Log, fail, keep, traced};
use hearken::{Builder, Clock, Emitter, Failure, ListenerInfo, Pattern};

#[derive(Clone)]
struct Ping;
#[derive(Clone)]
struct Pong;

const A_SECOND: Duration = Duration::from_secs(1);

/// A bus with metrics that ignores failures, and its clock.
fn counting_bus() -> (Emitter, Clock) {
    let clock = Clock::manual();
    (Emitter::builder().metrics(true).clock(clock.clone()).build(hearken::ignore), clock)
}

/// Calls, failures and seconds of every listener, in order.
fn figures(bus: &Emitter) -> Vec<(u64, u64, u64)> {
    bus.listeners().iter().map(seen).collect()
}

fn seen(listener: &ListenerInfo) -> (u64, u64, u64) {
    let &ListenerInfo { calls, failures, time, .. } = listener;
    let Some(((calls, failures), time)) = calls.zip(failures).zip(time) else { panic!("no figures: {listener:?}") };
    assert_eq!(time.subsec_nanos(), 0, "the clock goes by seconds");
    (calls, failures, time.as_secs())
}

// Who is there.

#[test]
fn listeners_are_all_who_are_registered_in_the_one_order() {
    let bus = Emitter::new(hearken::panic);
    assert!(bus.listeners().is_empty());
    let line = line!();
    let _one = bus.listen::<Ping>().named("first").on(|_| {});
    let _unheard = bus.on_unheard(|_| {});
    let _urgent = bus.topics("a.*").listen::<Pong>().topics("b").priority(7).on(|_| {});
    let _any = bus.topics("**").on_any(|_| {});
    let _recorder = bus.record::<Ping>();
    let _inbox = bus.inbox::<Pong>();
    let _failures = bus.on_failure(|_| {});
    bus.listen::<Pong>().priority(-1).once(|_| {}).detach();

    let place = |listener: &ListenerInfo| listener.registered_at.line() - line;
    let listeners = bus.listeners();
    assert_eq!(listeners.iter().map(place).collect::<Vec<_>>(), [3, 1, 2, 4, 5, 6, 7, 8]);
    let [urgent, first, unheard, any, _, _, failures, last] = &listeners[..] else { panic!("{listeners:?}") };
    assert_eq!((urgent.event, urgent.priority, last.priority), ("metrics::Pong", 7, -1));
    assert_eq!(urgent.topics.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["a.*", "b"]);
    assert_eq!((first.event, first.name, first.registered_at.file()), ("metrics::Ping", Some("first"), file!()));
    assert_eq!((unheard.event, any.event, any.topics[0].as_str()), ("unheard events", "any event", "**"));
    assert!(failures.event.starts_with("hearken::failure::Failure<"), "{failures:?}");
    assert!(listeners.iter().all(|listener| bus.off(listener.id)), "they go by their ids");
    assert!(bus.listeners().is_empty());
}

#[test]
fn a_listener_that_went_is_not_listed_nor_a_once_in_its_own_call() {
    let bus = Emitter::new(hearken::panic);
    let gone = bus.on(|_: &Ping| {});
    drop(gone);
    bus.once_with(|_: &Ping, cx| assert!(cx.emitter().listeners().is_empty())).detach();
    assert_eq!(bus.listeners().len(), 1);
    assert_eq!(bus.emit(&Ping).heard, 1);
    assert!(bus.listeners().is_empty());
}

#[test]
fn a_paused_listener_is_listed_as_paused() {
    let bus = Emitter::new(hearken::panic);
    let hears = bus.on(|_: &Ping| {});
    let is_paused = || bus.listeners().iter().map(|listener| listener.is_paused).collect::<Vec<_>>();
    assert_eq!(is_paused(), [false]);
    hears.pause();
    assert_eq!(is_paused(), [true]);
    hears.resume();
    assert_eq!(is_paused(), [false]);
}

#[test]
fn without_metrics_there_are_no_figures() {
    for bus in [Emitter::new(hearken::panic), Emitter::builder().slow_listener(A_SECOND).build(hearken::panic)] {
        let _hears = bus.on(|_: &Ping| {});
        bus.emit(&Ping);
        let listener = &bus.listeners()[0];
        assert_eq!((listener.calls, listener.failures, listener.time), (None, None, None));
    }
}

// Figures.

#[test]
fn calls_failures_and_time_are_counted_for_each_listener() {
    let (bus, clock) = counting_bus();
    let _fails = bus.on({
        let clock = clock.clone();
        move |n: &u32| {
            clock.advance(A_SECOND * *n);
            if *n > 1 { fail("too many") } else { Ok(()) }
        }
    });
    let _fine = bus.on(|_: &u32| {});
    let _other = bus.on(|_: &Ping| {});
    assert_eq!(figures(&bus), [(0, 0, 0); 3]);
    for n in 0..4_u32 {
        bus.emit(&n);
    }
    assert_eq!(figures(&bus), [(4, 2, 6), (4, 0, 0), (0, 0, 0)]);
}

#[test]
fn a_panic_is_a_failure_and_its_time_counts() {
    let (bus, clock) = counting_bus();
    let _panics = bus.on(move |_: &Ping| {
        clock.advance(A_SECOND);
        panic!("on purpose")
    });
    let emission = bus.emit(&Ping);
    assert_eq!((emission.heard, emission.failed), (1, 1));
    assert_eq!(figures(&bus), [(1, 1, 1)]);
}

#[test]
fn the_time_of_what_a_listener_emits_is_in_its_own_and_its_call_counts_when_it_ends() {
    let (bus, clock) = counting_bus();
    let _outer = bus.on_with(|_: &Ping, cx| {
        cx.emitter().emit(&Pong);
        assert_eq!(figures(cx.emitter()), [(0, 0, 0), (1, 0, 1)]);
    });
    let _inner = bus.on(move |_: &Pong| clock.advance(A_SECOND));
    bus.emit(&Ping);
    assert_eq!(figures(&bus), [(1, 0, 1), (1, 0, 1)]);
}

#[test]
fn what_is_not_called_is_not_counted() {
    let (bus, _) = counting_bus();
    let owner = Arc::new(());
    let _picky = bus
        .listen::<u32>()
        .filter(|n| *n != 1)
        .filter(|n| if *n == 2 { panic!("on purpose") } else { true })
        .on(|_| {});
    let _twice = bus.listen::<u32>().times(2).on(|_| {});
    let paused = bus.on(|_: &u32| {});
    paused.pause();
    let _behind = bus.listen::<u32>().priority(-1).on(|_| {});
    let _owned = bus.listen::<u32>().priority(-2).on_weak(&owner, |(), _| {});
    let _stops = bus.listen::<u32>().priority(-3).on(|_| ControlFlow::Break(()));
    let _never = bus.listen::<u32>().priority(-4).on(|_| {});
    bus.emit(&1_u32);
    assert_eq!(figures(&bus), [(0, 0, 0), (1, 0, 0), (0, 0, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0), (0, 0, 0)]);
    drop(owner);
    bus.emit(&2_u32);
    // The one that was to be called twice is gone, and so is the one without an owner.
    assert_eq!(figures(&bus), [(0, 0, 0), (0, 0, 0), (2, 0, 0), (2, 0, 0), (0, 0, 0)]);
    bus.emit(&3_u32);
    assert_eq!(figures(&bus), [(1, 0, 0), (0, 0, 0), (3, 0, 0), (3, 0, 0), (0, 0, 0)]);
}

#[test]
fn a_counted_listener_goes_with_its_owner_as_any_does() {
    let (bus, _) = counting_bus();
    let owner = Arc::new(());
    let asked = Log::new();
    let filter = {
        let asked = asked.clone();
        move |_: &Ping| {
            asked.add(());
            true
        }
    };
    let _owned = bus.listen::<Ping>().on_weak(&owner, |(), _| {});
    let _filtered = bus.listen::<Ping>().filter(filter).on_weak(&owner, |(), _| {});
    assert_eq!(bus.listen::<Ping>().count(), 2);
    drop(owner);
    assert_eq!(bus.listen::<Ping>().count(), 0);
    assert_eq!(bus.emit(&Ping).heard, 0);
    assert!(asked.take().is_empty() && bus.listeners().is_empty());
}

#[test]
fn listeners_of_every_type_recorders_and_inboxes_are_counted_too() {
    let (bus, _) = counting_bus();
    let _any = bus.on_any(|_| fail("no"));
    let _unheard = bus.on_unheard(|_| {});
    let recorder = bus.record::<Ping>();
    let inbox = bus.inbox::<Pong>();
    assert_eq!(bus.emit(&Ping).heard, 0, "a recorder is still silent");
    assert_eq!(bus.emit(&Pong).heard, 1);
    assert_eq!((recorder.len(), inbox.try_recv().is_ok()), (1, true));
    // Its own failures are events that a listener of every type hears, but for those below a failure.
    assert_eq!(figures(&bus), [(4, 4, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0)]);
}

#[test]
fn a_deferred_listeners_call_counts_at_its_turn() {
    let (bus, clock) = counting_bus();
    let _later = bus.listen::<Ping>().deferred().on(move |_| {
        clock.advance(A_SECOND);
        fail("no")
    });
    assert_eq!(bus.emit(&Ping).deferred, 1);
    assert_eq!(figures(&bus), [(0, 0, 0)]);
    bus.drain();
    bus.defer(Ping).unwrap();
    bus.drain();
    assert_eq!(figures(&bus), [(2, 2, 2)]);
}

#[test]
fn a_failure_knows_how_often_its_listener_failed() {
    let failures = Log::new();
    let bus = Emitter::builder().metrics(true).build({
        let failures = failures.clone();
        move |failure: Failure| failures.add(failure.listener().and_then(|listener| listener.failures))
    });
    let _fails = bus.on(|_: &Ping| fail("no"));
    bus.emit(&Ping);
    bus.emit(&Ping);
    assert_eq!(failures.take(), [Some(1), Some(2)]);
}

/// Emits on so many threads at once, so often on each. Every fifth call fails.
fn emit_on_threads(threads: usize, each: u64) {
    let bus = Emitter::builder().metrics(true).build(hearken::ignore);
    let _some_fail = bus.on(|n: &u64| if n.is_multiple_of(5) { fail("no") } else { Ok(()) });
    let _any = bus.on_any(|_| {});
    let all_there = Barrier::new(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                all_there.wait();
                for n in 0..each {
                    bus.emit(&n);
                }
            });
        }
    });
    let [some_fail, any] = &bus.listeners()[..] else { panic!("two listen") };
    let all = threads as u64 * each;
    assert_eq!((some_fail.calls, some_fail.failures), (Some(all), Some(all / 5)));
    assert_eq!(any.calls, Some(all + all / 5), "with the failures");
    assert!(some_fail.time.is_some_and(|time| time > Duration::ZERO));
}

#[test]
fn what_four_threads_count_is_exact() {
    emit_on_threads(4, 5_000);
}

#[test]
fn what_more_threads_count_than_have_places_of_their_own_is_exact_too() {
    emit_on_threads(80, 1_000);
}

#[test]
fn listeners_come_and_go_and_are_looked_at_while_threads_count() {
    let bus = Emitter::builder().metrics(true).build(hearken::panic);
    let _stays = bus.on(|_: &Ping| {});
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    bus.emit(&Ping);
                }
            });
        }
        let mut last = 0;
        while last < 1_000 {
            let passes_by = bus.on(|_: &Ping| {});
            let listeners = bus.listeners();
            assert_eq!(listeners.len(), 2);
            let calls = listeners[0].calls.unwrap();
            assert!(calls >= last, "{calls} after {last}");
            last = calls;
            drop(passes_by);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_counted_listeners_closure_goes_with_it() {
    let (bus, _) = counting_bus();
    let drops = Drops::new();
    let (typed, any) = (drops.token(), drops.token());
    let listens = bus.on(move |_: &Ping| keep(&typed));
    let listens_to_all = bus.on_any(move |_| keep(&any));
    bus.emit(&Ping);
    assert!(listens.off());
    assert_eq!(drops.count(), 1);
    drop(listens_to_all);
    assert_eq!(drops.count(), 2);
}

#[test]
fn emitting_with_metrics_allocates_nothing_once_all_was_emitted() {
    let bus = Emitter::builder().metrics(true).slow_listener(A_SECOND * 60).build(hearken::panic);
    let _hears = (bus.on(|_: &Ping| {}), bus.on_any(|_| {}));
    let emit = || {
        for _ in 0..100 {
            bus.emit(&Ping);
            bus.emit(&Pong);
            bus.topic("a.b").emit(&Ping);
        }
    };
    emit();
    assert_eq!(measure(emit).count_total, 0);
}

// Slow listeners.

/// A bus that tells of listeners that take longer than a second, and its clock.
fn impatient_bus() -> (Emitter, Clock) {
    let clock = Clock::manual();
    (Emitter::builder().slow_listener(A_SECOND).clock(clock.clone()).build(hearken::ignore), clock)
}

/// What a listener does that takes so many seconds.
fn takes_seconds(clock: &Clock) -> impl Fn(&u32) + Send + Sync + 'static {
    let clock = clock.clone();
    move |seconds| clock.advance(A_SECOND * *seconds)
}

#[test]
fn a_slow_listener_is_told_with_its_place_what_it_ran_for_and_how_long() {
    let (bus, clock) = impatient_bus();
    let line = line!();
    let _slow = bus.topics("job.*").listen::<u32>().named("worker").on(takes_seconds(&clock));
    let text = traced(|| bus.topic("job.long").emit(&3_u32));
    let expected = format!(
        " WARN hearken: listener \"worker\" (tests/metrics.rs:{}) took 3s for u32 at \"job.long\" (emitted at tests/metrics.rs:{}), \
         longer than the 1s of `Builder::slow_listener`\n",
        line + 1,
        line + 2,
    );
    assert_eq!(text, expected);
}

#[test]
fn a_listener_that_takes_no_longer_than_it_may_is_not_told() {
    let (bus, clock) = impatient_bus();
    let _quick = bus.on(takes_seconds(&clock));
    assert_eq!(traced(|| bus.emit(&1_u32)), "");
    let unlimited = Emitter::builder().metrics(true).clock(clock.clone()).build(hearken::ignore);
    let _slow = unlimited.on(takes_seconds(&clock));
    assert_eq!(traced(|| unlimited.emit(&100_u32)), "");
}

#[test]
fn a_slow_listener_is_told_once_a_minute_and_then_how_often_it_was_slow_in_between() {
    let (bus, clock) = impatient_bus();
    let _slow = bus.on(takes_seconds(&clock));
    let told = |seconds: u32| traced(|| bus.emit(&seconds));
    assert!(told(2).contains("took 2s") && !told(2).contains("took"));
    assert_eq!(told(57), "", "59 seconds later");
    let text = told(2);
    assert!(
        text.contains("took 2s") && text.ends_with("; it was slow 2 times more since that was said last\n"),
        "{text}"
    );
    clock.advance(A_SECOND * 59);
    assert_eq!(told(1), "", "a minute later, it isn't slow");
    let text = told(2);
    assert!(text.contains("took 2s") && text.ends_with("`Builder::slow_listener`\n"), "{text}");
    assert_eq!(told(2), "");
    let text = told(60);
    assert!(
        text.contains("took 60s") && text.ends_with("; it was slow once more since that was said last\n"),
        "{text}"
    );
}

#[test]
fn each_slow_listener_is_told_for_itself_and_so_is_the_one_that_waits_for_it() {
    let (bus, clock) = impatient_bus();
    let _outer = bus.listen::<Ping>().named("outer").on_with(|_, cx| {
        cx.emitter().emit(&2_u32);
    });
    let _slow = bus.listen::<u32>().named("slow").on(takes_seconds(&clock));
    let _slow_too = bus.on_any({
        let clock = clock.clone();
        move |event| event.downcast_ref::<u32>().into_iter().for_each(|_| clock.advance(A_SECOND * 4))
    });
    let text = traced(|| bus.emit(&Ping));
    let told: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(" WARN hearken: listener ")).collect();
    let [slow, any, outer] = told[..] else { panic!("{text}") };
    assert!(slow.starts_with("\"slow\"") && slow.contains(" took 2s for u32 ("), "{slow}");
    assert!(any.starts_with("at tests/metrics.rs:") && any.contains(" took 4s for u32 ("), "{any}");
    assert!(outer.starts_with("\"outer\"") && outer.contains(" took 6s for metrics::Ping ("), "{outer}");
}

#[test]
fn a_slow_listener_that_panics_is_told_too() {
    let (bus, clock) = impatient_bus();
    let _panics = bus.on(move |_: &Ping| {
        clock.advance(A_SECOND * 2);
        panic!("on purpose")
    });
    let text = traced(|| assert_eq!(bus.emit(&Ping).failed, 1));
    assert!(text.contains("took 2s for metrics::Ping"), "{text}");
}

#[test]
fn four_threads_that_are_slow_at_once_tell_it_once() {
    let clock = Clock::manual();
    let bus = Emitter::builder().slow_listener(Duration::ZERO).clock(clock.clone()).build(hearken::panic);
    let _slow = bus.on(move |_: &Ping| clock.advance(Duration::from_nanos(1)));
    let told: Vec<_> = thread::scope(|threads| {
        let threads: Vec<_> = (0..4)
            .map(|_| threads.spawn(|| traced(|| (0..1_000).map(|_| bus.emit(&Ping)).collect::<Vec<_>>())))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(told.concat().lines().count(), 1, "{told:?}");
}

#[test]
fn a_builder_shows_what_it_was_told_to_look_at() {
    let builder = Builder::<()>::new().metrics(true).slow_listener(A_SECOND);
    let text = format!("{builder:?}");
    assert!(text.contains("metrics: true") && text.contains("slow_listener: Some(1s)"), "{text}");
}

#[cfg(feature = "async")]
mod awaited {
    use futures_executor::block_on;

    use super::*;

    /// A future that takes a second each time it is polled, twice, and then fails.
    async fn two_polls(clock: Clock) -> Result<(), hearken::BoxError> {
        clock.advance(A_SECOND);
        let mut is_back = false;
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut is_back, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        clock.advance(A_SECOND);
        fail("no")
    }

    #[test]
    fn an_async_listeners_time_is_its_calls_and_its_futures_polls_and_a_futures_failure_counts() {
        let (bus, clock) = counting_bus();
        let _works = bus.on_async(move |_: Ping| {
            clock.advance(A_SECOND);
            two_polls(clock.clone())
        });
        let emission = block_on(bus.emit_async(&Ping));
        assert_eq!((emission.heard, emission.failed), (1, 1));
        assert_eq!(figures(&bus), [(1, 1, 3)]);
    }

    #[test]
    fn a_future_that_panics_and_one_that_nobody_runs_are_failures() {
        let (bus, _) = counting_bus();
        let _panics = bus.on_async(|n: u32| async move { assert!(n > 1, "on purpose") });
        block_on(bus.emit_async(&1_u32));
        assert_eq!(figures(&bus), [(1, 1, 0)]);
        assert_eq!(bus.emit(&2_u32).failed, 1, "there is no spawner");
        assert_eq!(figures(&bus), [(2, 2, 0)]);
    }

    #[test]
    fn a_poll_that_blocks_its_thread_is_slow_and_an_await_is_not() {
        let (bus, clock) = impatient_bus();
        let _awaits = bus.on_async({
            let clock = clock.clone();
            move |_: Ping| two_polls(clock.clone())
        });
        assert_eq!(traced(|| block_on(bus.emit_async(&Ping))), "", "two seconds, but in two polls");
        let _blocks = bus.on_async(move |_: Pong| {
            let clock = clock.clone();
            async move { clock.advance(A_SECOND * 2) }
        });
        let text = traced(|| block_on(bus.emit_async(&Pong)));
        assert!(text.contains(" took 2s for metrics::Pong (emitted at tests/metrics.rs:"), "{text}");
    }

    #[test]
    fn what_a_stream_was_given_counts_as_its_calls() {
        let (bus, _) = counting_bus();
        let _numbers = bus.stream::<u32>();
        bus.emit(&1_u32);
        bus.emit(&2_u32);
        assert_eq!(figures(&bus), [(2, 0, 0)]);
    }
}
