//! Async listeners, emissions that are awaited, and the event loop as a future.
#![cfg(feature = "async")]

mod common;

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Bomb, Drops, Log, MOMENT, OnDrop, Wakes, caught, fail, in_time, keep, logging_bus, on_both, poll, reporting_bus,
    soon, step_aside, strict_bus,
};
use futures_executor::block_on;
use futures_util::FutureExt;
use futures_util::future::{join_all, pending, ready, select};
use hearken::{BoxFuture, Builder, Cause, Clock, Emission, Emitter, Failure, Overflow, WeakEmitter, WouldDeadlock};
use tokio::sync::{Barrier, Notify, oneshot};

/// Runs it on the runtime that this is on, or else on a thread of its own.
fn spawn(future: BoxFuture) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(future)),
        Err(_) => drop(thread::spawn(move || block_on(future))),
    }
}

/// The same, for who waits for its end.
fn start<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> oneshot::Receiver<T> {
    let (end, ended) = oneshot::channel();
    spawn(Box::pin(async move { drop(end.send(future.await)) }));
    ended
}

/// A bus whose spawner hands the futures to the test.
fn handing(make: Builder) -> (Builder, Receiver<BoxFuture>) {
    let (give, given) = channel();
    (make.spawner(move |future| give.send(future).expect("the test takes it")), given)
}

/// A bus, and its failures themselves.
fn keeping_bus(make: Builder) -> (Emitter, Log<Failure>) {
    let failures = Log::new();
    let channel = failures.clone();
    (make.build(move |failure| channel.add(failure)), failures)
}

/// Leaves the thread to others for this time.
async fn rest(time: Duration) {
    let (end, ended) = oneshot::channel();
    thread::spawn(move || {
        thread::sleep(time);
        let _ = end.send(());
    });
    ended.await.expect("time passes");
}

fn figures(emission: Emission) -> (usize, usize, usize) {
    (emission.heard, emission.failed, emission.deferred)
}

fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    future.as_mut().now_or_never().is_none()
}

// Awaited emissions

#[test]
fn async_listeners_of_an_event_run_at_once() {
    on_both(|| async {
        let (bus, barrier) = (strict_bus(), Arc::new(Barrier::new(3)));
        let subscriptions: Vec<_> = (0..3)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                bus.on_async(move |_: u32| {
                    let barrier = Arc::clone(&barrier);
                    async move { _ = barrier.wait().await }
                })
            })
            .collect();
        assert_eq!(figures(bus.emit_async(&1_u32).await), (3, 0, 0));
        drop(subscriptions);
        assert_eq!(figures(bus.emit_async(&1_u32).await), (0, 0, 0));
    });
}

#[test]
fn closures_are_called_at_their_turn_and_futures_polled_behind_the_last_of_them() {
    on_both(|| async {
        let (bus, log) = (strict_bus(), Log::new());
        let sync = |name: &'static str, priority| {
            let log = log.clone();
            bus.listen().priority(priority).on(move |_: &u32| log.add(name))
        };
        let asynchronous = |made: &'static str, polled: &'static str, priority| {
            let log = log.clone();
            bus.listen().priority(priority).on_async(move |_: u32| {
                log.add(made);
                let log = log.clone();
                async move {
                    step_aside().await;
                    log.add(polled);
                }
            })
        };
        let _all = (
            sync("second", 0),
            asynchronous("makes third", "ends", 0),
            sync("fourth", 0),
            asynchronous("makes first", "ends", 1),
            sync("last", -1),
        );
        assert_eq!(bus.emit_async(&1_u32).await.heard, 5);
        assert_eq!(log.take(), ["makes first", "second", "makes third", "fourth", "last", "ends", "ends"]);
    });
}

#[test]
fn an_awaited_emission_ends_with_the_last_of_its_listeners() {
    on_both(|| async {
        let (bus, ended) = (strict_bus(), Arc::new(AtomicUsize::new(0)));
        let (goes, go): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<()>()).unzip();
        let subscriptions: Vec<_> = go
            .into_iter()
            .map(|go| {
                let (go, ended) = (Mutex::new(Some(go)), Arc::clone(&ended));
                bus.on_async(move |_: u32| {
                    let (go, ended) = (go.lock().unwrap().take(), Arc::clone(&ended));
                    async move {
                        go.expect("one event").await.expect("it goes");
                        ended.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        thread::spawn(move || {
            for go in goes {
                thread::sleep(MOMENT / 10);
                go.send(()).expect("it waits");
            }
        });
        let emission = bus.emit_async(&1_u32).await;
        assert_eq!((emission.heard, ended.load(Ordering::SeqCst)), (3, 3));
        drop(subscriptions);
    });
}

#[test]
fn an_emission_of_no_async_listener_ends_at_its_first_poll() {
    let (bus, log) = (strict_bus(), Log::new());
    assert_eq!(bus.emit_async(&1_u32).now_or_never().map(figures), Some((0, 0, 0)));
    let heard = log.clone();
    let _hears = bus.on(move |n: &u32| heard.add(*n));
    assert_eq!(bus.emit_async(&1_u32).now_or_never().map(figures), Some((1, 0, 0)));
    assert_eq!(log.take(), [1]);
}

#[test]
fn an_emission_that_is_not_polled_calls_nobody() {
    let (bus, log) = (strict_bus(), Log::new());
    let (sync, asynchronous) = (log.clone(), log.clone());
    let _sync = bus.on(move |_: &u32| sync.add(()));
    let _asynchronous = bus.on_async(move |_: u32| {
        asynchronous.add(());
        ready(())
    });
    drop(bus.emit_async(&1_u32));
    assert!(log.take().is_empty());
}

#[test]
fn an_awaited_emission_is_send_where_its_event_is_sync() {
    // A guard can't be sent, and can be shared.
    struct Guard(#[expect(dead_code, reason = "it is there for what it is")] std::sync::MutexGuard<'static, u32>);
    fn check<F: Future<Output = Emission> + Send>(future: F) -> F {
        future
    }
    let bus = strict_bus();
    assert_eq!(check(bus.emit_async(&1_u32)).now_or_never().map(figures), Some((0, 0, 0)));
    let lock: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(1)));
    let guard = Guard(lock.lock().unwrap());
    assert_eq!(check(bus.emit_async(&guard)).now_or_never().map(figures), Some((0, 0, 0)));
    assert_eq!(check(bus.topic("a").emit_async(&guard)).now_or_never().map(figures), Some((0, 0, 0)));
}

#[test]
fn a_pending_listener_is_polled_and_its_task_woken_only_for_its_own_sake() {
    let (bus, polls) = (strict_bus(), Arc::new(AtomicUsize::new(0)));
    let notify = Arc::new(Notify::new());
    let (count, waits) = (Arc::clone(&polls), Arc::clone(&notify));
    let _hears = bus.on_async(move |_: u32| {
        let (count, waits) = (Arc::clone(&count), Arc::clone(&waits));
        async move {
            let mut notified = Box::pin(waits.notified());
            poll_fn(|cx| {
                count.fetch_add(1, Ordering::SeqCst);
                notified.as_mut().poll(cx)
            })
            .await;
        }
    });
    let (wakes, task) = Wakes::new();
    let mut emission = Box::pin(bus.emit_async(&1_u32));
    for _ in 0..3 {
        assert!(poll(&mut emission, &task).is_pending());
    }
    assert_eq!(polls.load(Ordering::SeqCst), 1);
    notify.notify_waiters();
    assert!(poll(&mut emission, &task).is_ready());
    assert_eq!(polls.load(Ordering::SeqCst), 2);
    assert_eq!(wakes.count(), 1, "when it could go on");
}

#[test]
fn a_sync_listener_that_stops_the_emission_keeps_async_ones_behind_from_making_their_futures() {
    on_both(|| async {
        let (bus, log) = (strict_bus(), Log::new());
        let (before, behind) = (log.clone(), log.clone());
        let _before = bus.on_async(move |_: u32| {
            let log = before.clone();
            async move { log.add("before") }
        });
        let stops = bus.on(|_: &u32| ControlFlow::Break(()));
        let _behind = bus.on_async(move |_: u32| {
            behind.add("behind");
            ready(())
        });
        let emission = bus.emit_async(&1_u32).await;
        assert_eq!((emission.heard, emission.stopped_by), (2, Some(stops.id())));
        assert_eq!(log.take(), ["before"]);
    });
}

#[test]
fn a_break_of_a_future_stops_nobody() {
    on_both(|| async {
        let bus = strict_bus();
        let _one = bus.on_async(|_: u32| ready(ControlFlow::Break(())));
        let _two = bus.on_async(|_: u32| ready(()));
        let emission = bus.emit_async(&1_u32).await;
        assert_eq!((figures(emission), emission.stopped_by), ((2, 0, 0), None));
    });
}

#[test]
fn emissions_of_threads_are_awaited_each_by_its_own() {
    on_both(|| async {
        let (bus, sum) = (strict_bus(), Arc::new(AtomicU32::new(0)));
        let adds = Arc::clone(&sum);
        let _adds = bus.on_async(move |n: u32| {
            let adds = Arc::clone(&adds);
            async move {
                step_aside().await;
                adds.fetch_add(n, Ordering::SeqCst);
            }
        });
        let threads = (0..4).map(|_| {
            let bus = bus.clone();
            start(async move {
                for _ in 0..200 {
                    assert_eq!(bus.emit_async(&1_u32).await.heard, 1);
                }
            })
        });
        join_all(threads).await.into_iter().for_each(|ended| ended.expect("no panic"));
        assert_eq!(sum.load(Ordering::SeqCst), 800);
    });
}

// Failures

#[test]
fn failing_futures_and_closures_are_counted_and_reported_with_who_and_where() {
    on_both(|| async {
        let (bus, failures) = keeping_bus(Emitter::builder());
        let error = bus.listen().named("errs").on_async(|_: u32| async {
            step_aside().await;
            fail("an error")
        });
        let panics = bus.listen().named("panics").on_async(|n: u32| async move {
            step_aside().await;
            assert_eq!(n, 0, "a panic");
        });
        let makes = bus.listen().named("makes").on_async(|n: u32| {
            assert_eq!(n, 0, "no future");
            ready(())
        });
        let _hears = bus.on_async(|_: u32| ready(()));
        let line = line!() + 1;
        let emission = bus.topic("a.b").emit_async(&7_u32).await;
        assert_eq!(figures(emission), (4, 3, 0));
        let mut failures = failures.take();
        failures.sort_by_key(|failure| failure.listener().expect("of one").name);
        let ids = [error.id(), makes.id(), panics.id()];
        let texts = ["an error", "no future", "a panic"];
        assert_eq!(failures.len(), 3);
        for ((failure, id), text) in failures.iter().zip(ids).zip(texts) {
            let listener = failure.listener().expect("of one");
            assert_eq!((listener.id, listener.registered_at.file()), (id, file!()));
            assert_eq!((failure.event(), failure.topic()), ("u32", Some("a.b")));
            assert_eq!((failure.emitted_at().file(), failure.emitted_at().line()), (file!(), line));
            assert!(failure.to_string().contains(text), "{failure}");
        }
    });
}

#[test]
fn listeners_of_failures_hear_those_of_futures() {
    on_both(|| async {
        let (bus, failures) = logging_bus();
        let heard = Log::new();
        let note = heard.clone();
        let _hears = bus.on_failure(move |failure: &Failure| note.add(failure.to_string()));
        let _fails = bus.on_async(|_: u32| async { fail("no") });
        assert_eq!(bus.emit_async(&1_u32).await.failed, 1);
        assert!(heard.take()[0].contains("no"));
        assert_eq!(failures.take(), ["no"]);
    });
}

#[test]
fn a_failing_async_listener_of_failures_does_not_hear_its_own() {
    on_both(|| async {
        let (bus, failures) = reporting_bus(Emitter::builder().spawner(spawn));
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let hears = bus.on_async(move |_: Failure| {
            // So that it ends, should it not be so.
            let call = count.fetch_add(1, Ordering::SeqCst);
            async move { if call < 100 { fail("again") } else { Ok(()) } }
        });
        let _fails = bus.on(|_: &u32| fail("first"));
        bus.emit(&1_u32);
        rest(MOMENT * 4).await;
        drop(hears);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(failures.take(), ["first", "again"]);
    });
}

#[test]
fn a_panic_of_the_error_channel_leaves_the_emission_and_the_bus_sound() {
    on_both(|| async {
        let bus = Emitter::new(|_: Failure| panic!("the channel"));
        let _fails = bus.on_async(|_: u32| async { fail("no") });
        assert_eq!(figures(bus.emit_async(&1_u32).await), (1, 1, 0));
        assert_eq!(bus.suppressed_failures(), 1);
        assert_eq!(figures(bus.emit_async(&1_u32).await), (1, 1, 0));
    });
}

#[test]
fn futures_whose_destructors_panic_are_counted() {
    on_both(|| async {
        let (bus, failures) = logging_bus();
        let _ends = bus.on_async(|_: u32| {
            let bomb = Bomb("when it has ended");
            async move {
                step_aside().await;
                keep(&bomb);
            }
        });
        let emission = bus.emit_async(&1_u32).await;
        assert_eq!(emission.heard, 1);
        let reported = failures.take().len() as u64;
        assert_eq!((reported + bus.suppressed_failures(), emission.failed as u64), (1, reported));

        let before = bus.suppressed_failures();
        let _waits = bus.on_async(|_: u64| {
            let bomb = Bomb("halfway");
            async move {
                pending::<()>().await;
                keep(&bomb);
            }
        });
        let _waits_too = bus.on_async(|_: u64| {
            let bomb = Bomb("halfway too");
            async move {
                pending::<()>().await;
                keep(&bomb);
            }
        });
        {
            let mut emission = Box::pin(bus.emit_async(&1_u64));
            assert!(is_pending(&mut emission));
        }
        assert_eq!(bus.suppressed_failures(), before + 2);
        assert_eq!(failures.take(), [""; 0]);
    });
}

#[test]
fn hearken_panic_raises_out_of_the_await_when_all_have_ended() {
    on_both(|| async {
        let (bus, ended) = (strict_bus(), Arc::new(AtomicUsize::new(0)));
        let fails: Vec<_> = ["one", "two"]
            .map(|text| {
                bus.on_async(move |_: u32| async move {
                    step_aside().await;
                    fail(text)
                })
            })
            .into();
        let fails_at_once = bus.on(|_: &u32| fail("three"));
        let ends = Arc::clone(&ended);
        let _ends = bus.on_async(move |_: u32| {
            let ends = Arc::clone(&ends);
            async move {
                for _ in 0..5 {
                    step_aside().await;
                }
                ends.fetch_add(1, Ordering::SeqCst);
            }
        });
        let raised = std::panic::AssertUnwindSafe(bus.emit_async(&1_u32)).catch_unwind().await;
        let raised = raised.expect_err("a panic");
        let text = raised.downcast_ref::<String>().expect("text");
        for part in ["one", "two", "three"] {
            assert_eq!(text.matches(part).count(), 1, "{text}");
        }
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        drop((fails, fails_at_once));
        assert_eq!(figures(bus.emit_async(&1_u32).await), (1, 0, 0), "nothing is left of it");
    });
}

// Dropping

#[test]
fn an_emission_that_is_dropped_half_way_drops_its_futures() {
    on_both(|| async {
        let (bus, drops) = (strict_bus(), Drops::new());
        let subscriptions: Vec<_> = (0..3)
            .map(|_| {
                let drops = drops.clone();
                bus.on_async(move |_: u32| {
                    let token = drops.token();
                    async move {
                        pending::<()>().await;
                        keep(&token);
                    }
                })
            })
            .collect();
        let mut emission = Box::pin(bus.emit_async(&1_u32));
        assert!(is_pending(&mut emission));
        assert_eq!(drops.count(), 0);
        drop(emission);
        assert_eq!(drops.count(), 3);
        drop(subscriptions);
        let _hears = bus.on_async(|_: u32| ready(()));
        assert_eq!(figures(bus.emit_async(&1_u32).await), (1, 0, 0));
        assert_eq!(figures(bus.emit(&1_u64)), (0, 0, 0));
    });
}

#[test]
fn a_destructor_of_a_dropped_future_may_call_the_bus() {
    in_time(|| {
        let (bus, log) = (strict_bus(), Log::new());
        let note = log.clone();
        let _hears = bus.on(move |text: &&str| note.add(*text));
        let weak = bus.downgrade();
        let _waits = bus.on_async(move |_: u32| {
            let weak = weak.clone();
            let calls = OnDrop(move || {
                let bus = weak.upgrade().expect("a bus");
                bus.on(|_: &u32| {}).off();
                bus.emit(&"dropped");
            });
            async move {
                pending::<()>().await;
                keep(&calls);
            }
        });
        let mut emission = Box::pin(bus.emit_async(&1_u32));
        assert!(is_pending(&mut emission));
        drop(emission);
        assert_eq!(log.take(), ["dropped"]);
    });
}

#[test]
fn a_removed_listeners_closure_is_dropped_though_a_future_of_it_waits() {
    on_both(|| async {
        let (bus, closures) = (strict_bus(), Drops::new());
        let token = closures.token();
        let (goes, go) = oneshot::channel::<()>();
        let go = Mutex::new(Some(go));
        let hears = bus.on_async(move |_: u32| {
            keep(&token);
            let go = go.lock().unwrap().take().expect("one event");
            async move { go.await.expect("it goes") }
        });
        let mut emission = Box::pin(bus.emit_async(&1_u32));
        assert!(is_pending(&mut emission));
        assert!(hears.off());
        assert_eq!(closures.count(), 1);
        goes.send(()).expect("it waits");
        assert_eq!(figures(emission.await), (1, 0, 0), "its call goes on to its end");
    });
}

#[test]
fn off_and_wait_is_not_held_up_by_a_future_that_waits() {
    on_both(|| async {
        let bus = strict_bus();
        let hears = bus.on_async(|_: u32| pending::<()>());
        let mut emission = Box::pin(bus.emit_async(&1_u32));
        assert!(is_pending(&mut emission));
        let (done, is_done) = channel();
        thread::spawn(move || done.send(hears.off_and_wait()).expect("the test waits"));
        assert_eq!(soon(&is_done), Ok(()));
    });
}

#[test]
fn off_and_wait_inside_a_future_would_deadlock_and_beside_it_does_not() {
    on_both(|| async {
        let bus = strict_bus();
        let other = bus.on(|_: &u32| {});
        let other = Mutex::new(Some(other));
        let results = Log::new();
        let note = results.clone();
        let _hears = bus.on_async(move |_: u64| {
            let (other, note) = (other.lock().unwrap().take(), note.clone());
            async move {
                step_aside().await;
                note.add(other.expect("one event").off_and_wait());
            }
        });
        bus.emit_async(&1_u64).await;
        assert_eq!(results.take(), [Err(WouldDeadlock)]);
        let beside = bus.on(|_: &u32| {});
        let mut emission = Box::pin(bus.emit_async(&1_u32));
        let _waits = bus.on_async(|_: u32| pending::<()>());
        assert!(is_pending(&mut emission));
        assert_eq!(beside.off_and_wait(), Ok(()), "between two polls this thread is in no emission");
    });
}

#[test]
fn a_listener_added_during_the_await_does_not_hear_and_one_removed_ends() {
    on_both(|| async {
        let (bus, log) = (strict_bus(), Log::new());
        let (note, weak) = (log.clone(), bus.downgrade());
        let _adds = bus.on_async(move |_: u32| {
            let (note, weak) = (note.clone(), weak.clone());
            async move {
                step_aside().await;
                weak.upgrade().expect("a bus").on(move |_: &u32| note.add("late")).detach();
            }
        });
        bus.emit_async(&1_u32).await;
        assert_eq!(log.take(), [""; 0]);
        bus.emit_async(&1_u32).await;
        assert_eq!(log.take(), ["late"]);
    });
}

// Options

#[test]
fn the_options_of_listen_work_with_on_async() {
    on_both(|| async {
        let (bus, log) = (strict_bus(), Log::new());
        let note = |name: &'static str| {
            let log = log.clone();
            move |n: u32| {
                let log = log.clone();
                async move { log.add((name, n)) }
            }
        };
        let _twice = bus.listen().times(2).priority(1).on_async(note("twice"));
        let _even = bus.listen().filter(|n: &u32| n.is_multiple_of(2)).on_async(note("even"));
        let _narrow = bus.topics("a.*").on_async(note("narrow"));
        let mut heard = Vec::new();
        for n in 0..4_u32 {
            heard.push(bus.emit_async(&n).await.heard);
        }
        heard.push(bus.topic("a.b").emit_async(&5_u32).await.heard);
        assert_eq!(heard, [2, 1, 1, 0, 1]);
        assert_eq!(log.take(), [("twice", 0), ("even", 0), ("twice", 1), ("even", 2), ("narrow", 5)]);
    });
}

#[test]
fn once_is_once_for_an_async_listener_under_threads() {
    on_both(|| async {
        for _ in 0..50 {
            let (bus, calls) = (strict_bus(), Arc::new(AtomicUsize::new(0)));
            let count = Arc::clone(&calls);
            let _once = bus.listen().times(1).on_async(move |_: u32| {
                count.fetch_add(1, Ordering::SeqCst);
                step_aside()
            });
            let other = start({
                let bus = bus.clone();
                async move { bus.emit_async(&1_u32).await.heard }
            });
            let heard = bus.emit_async(&1_u32).await.heard + other.await.expect("no panic");
            assert_eq!((heard, calls.load(Ordering::SeqCst)), (1, 1));
        }
    });
}

#[test]
fn a_deferred_async_listener_hears_when_the_bus_is_drained() {
    let (make, given) = handing(Emitter::builder());
    let (bus, log) = (make.build(hearken::panic), Log::new());
    let note = log.clone();
    let _hears = bus.listen().deferred().on_async(move |n: u32| {
        let note = note.clone();
        async move { note.add(n) }
    });
    assert_eq!(bus.emit_async(&7_u32).now_or_never().map(figures), Some((0, 0, 1)));
    assert!(given.try_recv().is_err());
    assert_eq!(bus.drain().delivered, 1);
    block_on(soon(&given));
    assert_eq!(log.take(), [7]);
}

#[test]
fn on_async_with_gets_the_emission_too() {
    on_both(|| async {
        let (bus, log) = (strict_bus(), Log::new());
        let (note, ids) = (log.clone(), Log::new());
        let _hears = bus.topics("a.*").listen().on_async_with(move |envelope: hearken::Envelope<u32>| {
            let note = note.clone();
            async move {
                step_aside().await;
                note.add(envelope);
            }
        });
        let id = ids.clone();
        let _ids = bus.on_with(move |_: &u32, cx| id.add((cx.id(), cx.cause(), cx.origin())));
        let line = line!() + 1;
        bus.topic("a.b").emit_async(&7_u32).await;
        let (envelope, (id, cause, origin)) = (log.take().remove(0), ids.take()[0]);
        assert_eq!((envelope.event, envelope.topic.as_deref()), (7, Some("a.b")));
        assert_eq!((envelope.id, envelope.cause, envelope.origin), (id, cause, origin));
        assert_eq!((envelope.emitted_at.file(), envelope.emitted_at.line()), (file!(), line));
    });
}

// Chains

/// Emits its own event in its future, for ever.
fn again(weak: WeakEmitter, n: u32, waits: bool) -> BoxFuture {
    Box::pin(async move {
        if waits {
            step_aside().await;
        }
        if let Some(bus) = weak.upgrade() {
            bus.emit_async(&(n + 1)).await;
        }
    })
}

#[test]
fn async_recursion_ends_in_too_deep() {
    for waits in [false, true] {
        on_both(move || async move {
            let (bus, failures) = keeping_bus(Emitter::builder());
            let (deepest, weak) = (Arc::new(AtomicU32::new(0)), bus.downgrade());
            let deep = Arc::clone(&deepest);
            let _again = bus.on_async(move |n: u32| {
                deep.fetch_max(n, Ordering::SeqCst);
                again(weak.clone(), n, waits)
            });
            assert_eq!(figures(bus.emit_async(&1_u32).await), (1, 0, 0));
            assert_eq!(deepest.load(Ordering::SeqCst), 128);
            let failures = failures.take();
            assert_eq!(failures.len(), 1);
            assert!(matches!(failures[0].cause(), Cause::TooDeep { limit: 128, .. }));
            assert!(failures[0].listener().is_none());
        });
    }
}

#[test]
fn a_deep_recursion_that_waits_may_be_dropped() {
    on_both(|| async {
        let (bus, drops) = (strict_bus(), Drops::new());
        let (weak, tokens) = (bus.downgrade(), drops.clone());
        let _again = bus.on_async(move |n: u32| {
            let (weak, token) = (weak.clone(), tokens.token());
            let future: BoxFuture = Box::pin(async move {
                keep(&token);
                match weak.upgrade() {
                    Some(bus) if n < 128 => _ = bus.emit_async(&(n + 1)).await,
                    _ => pending().await,
                }
            });
            future
        });
        let mut emission = Box::pin(bus.emit_async(&1_u32));
        assert!(is_pending(&mut emission));
        assert_eq!(drops.count(), 0);
        drop(emission);
        assert_eq!((drops.count(), bus.suppressed_failures()), (128, 0));
    });
}

// The spawner

#[test]
fn under_emit_the_spawner_gets_the_future() {
    on_both(|| async {
        let (bus, failures) = reporting_bus(Emitter::builder().spawner(spawn));
        let ended = Arc::new(Barrier::new(3));
        let end = Arc::clone(&ended);
        let _hears = bus.on_async(move |_: u32| {
            let end = Arc::clone(&end);
            async move { _ = end.wait().await }
        });
        assert_eq!(figures(bus.emit(&1_u32)), (1, 0, 0));
        let emitter = bus.clone();
        thread::spawn(move || {
            assert_eq!(figures(emitter.emit(&1_u32)), (1, 0, 0));
        });
        ended.wait().await;
        assert_eq!(failures.take(), [""; 0]);
    });
}

#[test]
fn failures_of_spawned_futures_are_reported_even_when_the_bus_is_gone() {
    for bus_goes in [false, true] {
        let (make, given) = handing(Emitter::builder());
        let (bus, failures) = keeping_bus(make);
        let _error = bus.on_async(|_: u32| async { fail("an error") });
        let _panic = bus.on_async(|n: u32| async move { assert_eq!(n, 0, "a panic") });
        let line = line!() + 1;
        assert_eq!(figures(bus.topic("a").emit(&1_u32)), (2, 0, 0));
        let mut bus = Some(bus);
        if bus_goes {
            bus = None;
        }
        for text in ["an error", "a panic"] {
            block_on(soon(&given));
            let failure = failures.take().remove(0);
            assert!(failure.to_string().contains(text), "{failure}");
            assert_eq!((failure.topic(), failure.emitted_at().line()), (Some("a"), line));
            assert_eq!(failure.listener().expect("of one").registered_at.file(), file!());
        }
        drop(bus);
    }
}

#[test]
fn hearken_panic_raises_in_the_task_of_a_spawned_future() {
    let (make, given) = handing(Emitter::builder());
    let bus = make.build(hearken::panic);
    let _error = bus.on_async(|_: u32| async { fail("an error") });
    assert_eq!(figures(bus.emit(&1_u32)), (1, 0, 0));
    let future = soon(&given);
    let caught = caught(|| block_on(future)).expect("a panic");
    assert!(caught.message.contains("an error"), "{}", caught.message);
    assert_eq!(figures(bus.emit(&1_u64)), (0, 0, 0));
}

#[test]
fn a_spawner_is_not_asked_by_an_awaited_emission() {
    let (make, given) = handing(Emitter::builder());
    let bus = make.build(hearken::panic);
    let _hears = bus.on_async(|_: u32| ready(()));
    assert_eq!(block_on(bus.emit_async(&1_u32)).heard, 1);
    assert!(given.try_recv().is_err());
}

#[test]
fn a_spawner_that_panics_is_the_listeners_failure() {
    let (bus, failures) = keeping_bus(Emitter::builder().spawner(|_| panic!("no runtime")));
    let hears = bus.on_async(|_: u32| ready(()));
    let _other = bus.on(|_: &u32| {});
    assert_eq!(figures(bus.emit(&1_u32)), (2, 1, 0));
    let failures = failures.take();
    assert_eq!(failures[0].listener().map(|listener| listener.id), Some(hears.id()));
    assert!(matches!(failures[0].cause(), Cause::Panic(text) if &**text == "no runtime"));
}

#[test]
fn without_a_spawner_each_listener_becomes_a_failure() {
    on_both(|| async {
        let (bus, failures) = keeping_bus(Emitter::builder());
        let polled = Log::new();
        let subscriptions: Vec<_> = (0..2)
            .map(|_| {
                let polled = polled.clone();
                bus.on_async(move |_: u32| {
                    let polled = polled.clone();
                    async move { polled.add(()) }
                })
            })
            .collect();
        let _hears = bus.on(|_: &u32| {});
        let line = line!() + 1;
        assert_eq!(figures(bus.topic("a").emit(&1_u32)), (3, 2, 0));
        bus.defer(2_u32).expect("room");
        assert_eq!(bus.drain().delivered, 1);
        let failures = failures.take();
        assert_eq!(failures.len(), 4);
        for (failure, hears) in failures.iter().zip(subscriptions.iter().cycle()) {
            assert!(matches!(failure.cause(), Cause::NoSpawner));
            assert_eq!(failure.listener().map(|listener| listener.id), Some(hears.id()));
        }
        assert_eq!((failures[0].topic(), failures[0].emitted_at().line()), (Some("a"), line));
        assert!(polled.take().is_empty());
        assert_eq!(figures(bus.emit_async(&1_u32).await), (3, 0, 0));
    });
}

#[test]
fn under_drain_and_run_async_the_spawner_gets_the_futures() {
    on_both(|| async {
        let (bus, failures) = reporting_bus(Emitter::builder().spawner(spawn));
        let mut heard = bus.stream::<u64>();
        let weak = bus.downgrade();
        let _hears = bus.on_async(move |n: u32| {
            let weak = weak.clone();
            async move {
                step_aside().await;
                weak.upgrade().expect("a bus").emit(&u64::from(n));
            }
        });
        bus.defer(1_u32).expect("room");
        assert_eq!(bus.drain().delivered, 1);
        assert_eq!(futures_util::StreamExt::next(&mut heard).await, Some(1));
        bus.defer(2_u32).expect("room");
        bus.close();
        bus.run_async().await;
        assert_eq!(futures_util::StreamExt::next(&mut heard).await, Some(2));
        assert_eq!(failures.take(), [""; 0]);
    });
}

// The loop

/// Counts the polls of a future.
struct Counted {
    inner: BoxFuture,
    polls: Arc<AtomicUsize>,
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        self.inner.as_mut().poll(cx)
    }
}

/// A loop of this bus in a task of its own: its end, and the number of its polls.
fn start_loop(bus: &Emitter) -> (oneshot::Receiver<()>, Arc<AtomicUsize>) {
    let (bus, polls) = (bus.clone(), Arc::default());
    let inner: BoxFuture = Box::pin(async move { bus.run_async().await });
    (start(Counted { inner, polls: Arc::clone(&polls) }), polls)
}

/// Keeps the numbers that are heard.
fn numbers(bus: &Emitter) -> Log<u32> {
    let log = Log::new();
    let heard = log.clone();
    bus.on(move |n: &u32| heard.add(*n)).detach();
    log
}

#[test]
fn a_loop_delivers_what_is_deferred_and_ends_on_close_with_all_of_it_delivered() {
    on_both(|| async {
        let bus = strict_bus();
        let log = numbers(&bus);
        (0..100_u32).for_each(|n| bus.defer(n).expect("room"));
        bus.close();
        bus.run_async().await;
        assert_eq!((log.take(), bus.pending()), ((0..100).collect(), 0));
        bus.run_async().await;
    });
}

#[test]
fn a_loop_wakes_for_what_other_threads_defer() {
    const EACH: u32 = 2_000;
    on_both(|| async {
        let bus = strict_bus();
        let log = numbers(&bus);
        let (ended, _) = start_loop(&bus);
        thread::spawn(move || {
            thread::scope(|threads| {
                for thread in 0..3 {
                    let bus = &bus;
                    threads.spawn(move || (0..EACH).for_each(|n| bus.defer(thread * EACH + n).expect("room")));
                }
            });
            bus.close();
        });
        ended.await.expect("it ends");
        let mut numbers = log.take();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..3 * EACH).collect::<Vec<_>>());
    });
}

#[test]
fn no_wake_up_of_a_loop_is_lost() {
    on_both(|| async {
        let bus = strict_bus();
        let (hear, heard) = channel();
        let _hears = bus.on(move |n: &u32| hear.send(*n).expect("the test waits"));
        let (ended, _) = start_loop(&bus);
        let emitter = bus.clone();
        thread::spawn(move || {
            for n in 0..2_000 {
                emitter.defer(n).expect("room");
                assert_eq!(soon(&heard), n);
            }
            emitter.close();
        });
        ended.await.expect("it ends");
    });
}

#[test]
fn an_idle_loop_is_not_polled() {
    on_both(|| async {
        let bus = strict_bus();
        let log = numbers(&bus);
        let (ended, polls) = start_loop(&bus);
        bus.defer(1_u32).expect("room");
        rest(MOMENT).await;
        let before = polls.load(Ordering::SeqCst);
        assert!((1..=4).contains(&before), "{before}");
        rest(MOMENT * 2).await;
        bus.emit(&2_u32);
        assert_eq!(polls.load(Ordering::SeqCst), before);
        bus.close();
        ended.await.expect("it ends");
        assert_eq!(log.take(), [1, 2]);
        assert!(polls.load(Ordering::SeqCst) <= before + 2);
    });
}

#[test]
fn a_loop_that_is_polled_for_nothing_goes_back_to_sleep() {
    let bus = strict_bus();
    let (wakes, task) = Wakes::new();
    let mut events = Box::pin(bus.run_async());
    for _ in 0..10 {
        assert!(poll(&mut events, &task).is_pending());
    }
    assert_eq!(wakes.count(), 0);
}

#[test]
fn a_loop_sleeps_again_when_a_timer_has_fired() {
    on_both(|| async {
        let bus = strict_bus();
        let fired = bus.next::<u32>();
        let (ended, polls) = start_loop(&bus);
        bus.defer_in(MOMENT / 5, 1_u32).detach();
        assert_eq!(fired.await, Some(1));
        rest(MOMENT).await;
        let before = polls.load(Ordering::SeqCst);
        rest(MOMENT).await;
        assert_eq!(polls.load(Ordering::SeqCst), before);
        bus.close();
        ended.await.expect("it ends");
    });
}

#[test]
fn a_burst_wakes_a_loop_once() {
    let bus = strict_bus();
    let log = numbers(&bus);
    let (wakes, task) = Wakes::new();
    let mut events = Box::pin(bus.run_async());
    assert!(poll(&mut events, &task).is_pending());
    (0..1_000_u32).for_each(|n| bus.defer(n).expect("room"));
    assert_eq!(wakes.count(), 1);
    assert!(poll(&mut events, &task).is_pending());
    assert_eq!((wakes.count(), log.take().len()), (1, 1_000));
    bus.close();
    assert!(poll(&mut events, &task).is_ready());
}

#[test]
fn idle_loops_of_one_bus_do_not_wake_one_another() {
    let bus = strict_bus();
    let (wakes, task) = Wakes::new();
    let (other_wakes, other_task) = Wakes::new();
    let (mut one, mut two) = (Box::pin(bus.run_async()), Box::pin(bus.run_async()));
    for _ in 0..10 {
        let _ = (poll(&mut one, &task), poll(&mut two, &other_task));
    }
    assert_eq!((wakes.count(), other_wakes.count()), (0, 0));

    on_both(|| async {
        let bus = strict_bus();
        let loops: Vec<_> = (0..2).map(|_| start_loop(&bus)).collect();
        rest(MOMENT * 2).await;
        for (_, polls) in &loops {
            let polls = polls.load(Ordering::SeqCst);
            assert!(polls < 10, "{polls} polls of nothing to do");
        }
        bus.close();
        for (ended, _) in loops {
            ended.await.expect("it ends");
        }
    });
}

#[test]
fn several_loops_deliver_each_event_once() {
    on_both(|| async {
        let bus = strict_bus();
        let log = numbers(&bus);
        let loops: Vec<_> = (0..3).map(|_| start_loop(&bus).0).collect();
        let emitter = bus.clone();
        thread::spawn(move || {
            (0..5_000_u32).for_each(|n| emitter.defer(n).expect("room"));
            emitter.close();
        });
        for ended in loops {
            ended.await.expect("it ends");
        }
        assert_eq!(log.take(), (0..5_000).collect::<Vec<_>>(), "in order, even so");
    });
}

#[test]
fn a_loop_fires_timers_with_no_timers_of_a_runtime() {
    on_both(|| async {
        let bus = strict_bus();
        let log = numbers(&bus);
        let (ended, polls) = start_loop(&bus);
        let begun = Instant::now();
        let mut last = bus.listen::<u32>().filter(|n| *n == 3).next();
        bus.defer_in(MOMENT * 2, 3_u32).detach();
        bus.defer_in(MOMENT, 2_u32).detach();
        bus.defer_in(Duration::from_secs(1_000), 4_u32).detach();
        bus.defer_in(Duration::ZERO, 1_u32).detach();
        assert_eq!((&mut last).await, Some(3));
        assert!(begun.elapsed() >= MOMENT * 2);
        assert_eq!(log.take(), [1, 2, 3]);
        let polls = polls.load(Ordering::SeqCst);
        assert!(polls <= 16, "{polls} polls for three timers");
        drop(ended);
        bus.discard_pending();
    });
}

#[test]
fn a_timer_that_is_set_by_a_delivery_is_fired_too() {
    on_both(|| async {
        let bus = strict_bus();
        let weak = bus.downgrade();
        let _sets = bus.on(move |n: &u64| weak.upgrade().expect("a bus").defer_in(MOMENT / 5, *n + 1).detach());
        let fifth = bus.listen::<u64>().filter(|n| *n == 5).next();
        let (_ended, _) = start_loop(&bus);
        bus.defer(0_u64).expect("room");
        assert_eq!(fifth.await, Some(5));
    });
}

#[test]
fn a_loop_wakes_when_a_manual_clock_is_moved() {
    on_both(|| async {
        let clock = Clock::manual();
        let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
        let log = numbers(&bus);
        let (ended, polls) = start_loop(&bus);
        let fired = bus.next::<u32>();
        bus.defer_in(Duration::from_secs(60), 1_u32).detach();
        clock.advance(Duration::from_secs(59));
        rest(MOMENT).await;
        assert_eq!(log.take(), [0; 0]);
        let before = polls.load(Ordering::SeqCst);
        rest(MOMENT).await;
        assert_eq!(polls.load(Ordering::SeqCst), before, "it sleeps");
        let mover = thread::spawn(move || clock.advance(Duration::from_secs(1)));
        assert_eq!(fired.await, Some(1));
        mover.join().expect("no panic");
        bus.close();
        ended.await.expect("it ends");
    });
}

#[test]
fn a_loop_beside_a_drain_delivers_what_that_leaves() {
    struct Hold;

    on_both(|| async {
        let bus = strict_bus();
        let (enter, entered) = channel();
        let (go, goes) = channel::<()>();
        let goes = Mutex::new(goes);
        let _holds = bus.on(move |_: &Hold| {
            enter.send(()).expect("the test waits");
            soon(&goes.lock().unwrap());
        });
        let log = numbers(&bus);
        bus.defer(Hold).expect("room");
        let drainer = bus.clone();
        let drains = thread::spawn(move || drainer.drain().delivered);
        soon(&entered);
        let (ended, polls) = start_loop(&bus);
        bus.defer(1_u32).expect("room");
        rest(MOMENT).await;
        assert_eq!(log.take(), [0; 0]);
        assert!(polls.load(Ordering::SeqCst) <= 4, "it sleeps while another drains");
        bus.close();
        go.send(()).expect("it waits");
        ended.await.expect("it ends");
        assert_eq!((log.take(), drains.join().expect("no panic")), (vec![1], 1));
    });
}

#[test]
fn a_loop_that_is_dropped_leaves_the_queue() {
    on_both(|| async {
        let bus = strict_bus();
        let log = numbers(&bus);
        {
            let mut events = Box::pin(bus.run_async());
            assert!(is_pending(&mut events));
            bus.defer(1_u32).expect("room");
        }
        assert_eq!((bus.pending(), log.take()), (1, vec![]));
        assert_eq!(bus.drain().delivered, 1);
        bus.defer(2_u32).expect("room");
        let mut events = Box::pin(bus.run_async());
        select(&mut events, ready(())).await;
        drop(events);
        assert_eq!((bus.pending(), log.take()), (0, vec![1, 2]));
    });
}

#[test]
fn a_dropped_loop_keeps_no_task_awake_or_alive() {
    let bus = strict_bus();
    let (wakes, task) = Wakes::new();
    let held = Arc::downgrade(&wakes);
    let mut events = Box::pin(bus.run_async());
    assert!(poll(&mut events, &task).is_pending());
    drop(events);
    bus.defer(1_u32).expect("room");
    assert!(wakes.count() <= 1);
    drop((wakes, task));
    assert!(held.upgrade().is_none());
    bus.discard_pending();
}

#[test]
fn a_deferral_on_the_thread_of_a_sleeping_loop_does_not_wait_for_itself() {
    on_both(|| async {
        let (bus, _failures) = reporting_bus(Emitter::builder().queue(1, Overflow::Block));
        let log = numbers(&bus);
        let mut events = Box::pin(bus.run_async());
        assert!(is_pending(&mut events));
        bus.defer(1_u32).expect("room");
        // Nobody but this task polls the loop.
        assert!(bus.defer(2_u32).is_err(), "nobody makes room");
        bus.close();
        events.await;
        assert_eq!(log.take(), [1]);
    });
}

#[test]
fn a_producer_that_blocks_gets_room_from_a_loop_in_a_task() {
    on_both(|| async {
        let (bus, failures) = reporting_bus(Emitter::builder().queue(2, Overflow::Block));
        let log = numbers(&bus);
        let mut started = bus.next::<()>();
        let (ended, _) = start_loop(&bus);
        bus.defer(()).expect("room");
        assert_eq!((&mut started).await, Some(()));
        let emitter = bus.clone();
        thread::spawn(move || {
            (0..500_u32).for_each(|n| emitter.defer(n).expect("room, sooner or later"));
            emitter.close();
        });
        ended.await.expect("it ends");
        assert_eq!((log.take(), failures.take()), ((0..500).collect(), vec![]));
    });
}

#[test]
fn hearken_panic_raises_out_of_a_loops_poll_and_the_queue_stays_sound() {
    let bus = strict_bus();
    let fails = bus.on(|_: &u32| fail("no"));
    bus.defer(1_u32).expect("room");
    bus.defer(2_u64).expect("room");
    let caught = caught(|| bus.run_async().now_or_never()).expect("a panic");
    assert!(caught.message.contains("no"), "{}", caught.message);
    drop(fails);
    bus.defer(3_u32).expect("room");
    bus.close();
    block_on(bus.run_async());
    assert_eq!(bus.pending(), 0);
}
