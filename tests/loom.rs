//! Every interleaving of two threads, at the places where the bus's promises are decided.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release --test loom`. The snapshot cell is a model here (`src/raw/snapshot.rs`); its
//! real one is stress-tested in `tests/stress.rs`.
#![cfg(loom)]

use hearken::{Emitter, Overflow, WouldDeadlock};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use loom::{model, thread};

struct Event;

fn bus() -> Emitter {
    Emitter::new(|failure| panic!("{failure}"))
}

#[derive(Clone)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    fn up(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Counts when it is dropped.
struct Captured(Count);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.up();
    }
}

#[test]
fn two_emissions_claim_a_once_once() {
    model(|| {
        let (bus, calls) = (bus(), Count::new());
        let _hears = bus.once({
            let calls = calls.clone();
            move |_: &Event| calls.up()
        });
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.emit(&Event).heard
        });
        let heard = bus.emit(&Event).heard + other.join().unwrap();
        assert_eq!((heard, calls.get()), (1, 1));
    });
}

#[test]
fn off_is_true_exactly_when_a_once_never_runs() {
    model(|| {
        let (bus, calls) = (bus(), Count::new());
        let hears = bus.once({
            let calls = calls.clone();
            move |_: &Event| calls.up()
        });
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.emit(&Event).heard
        });
        let removed = hears.off();
        let heard = other.join().unwrap();
        assert_eq!((heard, calls.get()), if removed { (0, 0) } else { (1, 1) });
    });
}

#[test]
fn two_threads_share_the_calls_of_times() {
    model(|| {
        let (bus, calls) = (bus(), Count::new());
        let _hears = bus.listen::<Event>().times(2).on({
            let calls = calls.clone();
            move |_| calls.up()
        });
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.emit(&Event).heard + bus.emit(&Event).heard
        });
        let heard = bus.emit(&Event).heard + other.join().unwrap();
        assert_eq!((heard, calls.get()), (2, 2));
    });
}

#[test]
fn no_emission_that_begins_after_off_picks_the_listener() {
    model(|| {
        let bus = bus();
        let is_off = Arc::new(AtomicBool::new(false));
        let late = Count::new();
        let hears = bus.on({
            let (is_off, late) = (is_off.clone(), late.clone());
            // What it saw before the emission, the emission passes on.
            move |saw: &bool| {
                if *saw && is_off.load(Relaxed) {
                    late.up()
                }
            }
        });
        bus.emit(&false);
        let other = thread::spawn({
            let (bus, is_off) = (bus.clone(), is_off.clone());
            move || {
                let saw = is_off.load(Acquire);
                bus.emit(&saw);
            }
        });
        assert!(hears.off());
        is_off.store(true, Release);
        other.join().unwrap();
        assert_eq!(late.get(), 0);
    });
}

#[test]
fn no_snapshot_outlives_the_change_that_made_it_stale() {
    model(|| {
        let (bus, calls, dropped) = (bus(), Count::new(), Count::new());
        let captured = Captured(dropped.clone());
        let goes = bus.on(move |_: &Event| {
            let _ = &captured;
        });
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.emit(&Event).heard.max(bus.emit(&Event).heard)
        });
        let _comes = bus.on({
            let calls = calls.clone();
            move |_: &Event| calls.up()
        });
        assert!(goes.off());
        assert!(other.join().unwrap() <= 2);

        let before = calls.get();
        assert_eq!(bus.emit(&Event).heard, 1, "one came and one went, for every emission after");
        assert_eq!(calls.get(), before + 1);
        assert_eq!(dropped.get(), 1, "nothing keeps the closure of who went");
    });
}

#[test]
fn no_resolved_topic_outlives_the_change_that_made_it_stale() {
    model(|| {
        let (bus, calls, dropped) = (bus(), Count::new(), Count::new());
        let captured = Captured(dropped.clone());
        let goes = bus.topics("a.*").on(move |_: &Event| {
            let _ = &captured;
        });
        // Twice, so that the topic is worth remembering.
        bus.topic("a.b").emit(&Event);
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.topic("a.b").emit(&Event).heard.max(bus.topic("a.b").emit(&Event).heard)
        });
        let _comes = bus.topics("**").on({
            let calls = calls.clone();
            move |_: &Event| calls.up()
        });
        assert!(goes.off());
        assert!(other.join().unwrap() <= 2);

        let before = calls.get();
        assert_eq!(bus.topic("a.b").emit(&Event).heard, 1, "one came and one went, for every emission after");
        assert_eq!(calls.get(), before + 1);
        assert_eq!(dropped.get(), 1, "nothing keeps the closure of who went");
    });
}

#[test]
fn a_listener_of_every_type_joins_a_type_that_is_made_meanwhile() {
    model(|| {
        let (bus, calls) = (bus(), Count::new());
        let other = thread::spawn({
            let bus = bus.clone();
            move || {
                bus.on(|_: &Event| {}).detach();
                bus.emit(&Event);
            }
        });
        let _hears = bus.on_any({
            let calls = calls.clone();
            move |_| calls.up()
        });
        other.join().unwrap();
        let before = calls.get();
        bus.emit(&Event);
        assert_eq!(calls.get(), before + 1);
    });
}

#[test]
fn off_and_wait_returns_when_nobody_is_in_the_listener_nor_can_be() {
    model(|| {
        let (bus, dropped) = (bus(), Count::new());
        let inside = Arc::new(AtomicBool::new(false));
        let captured = Captured(dropped.clone());
        let hears = bus.on({
            let inside = inside.clone();
            move |_: &Event| {
                let _ = &captured;
                inside.store(true, Relaxed);
                thread::yield_now();
                inside.store(false, Relaxed);
            }
        });
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.emit(&Event)
        });
        assert_eq!(hears.off_and_wait(), Ok(()));
        assert!(!inside.load(Relaxed));
        assert_eq!(dropped.get(), 1);
        other.join().unwrap();
    });
}

#[test]
fn off_and_wait_inside_an_emission_does_not_wait_for_another_threads() {
    model(|| {
        let bus = bus();
        let hears = std::sync::Mutex::new(Some(bus.on(|_: &Event| {})));
        let _removes = bus.on(move |_: &Event| {
            let hears = hears.lock().unwrap().take();
            if let Some(hears) = hears {
                assert_eq!(hears.off_and_wait(), Err(WouldDeadlock));
            }
        });
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.emit(&Event)
        });
        bus.emit(&Event);
        other.join().unwrap();
        assert_eq!(bus.emit(&Event).heard, 1);
    });
}

#[test]
fn a_listener_resumed_by_two_threads_hears_the_next_emission() {
    model(|| {
        let bus = bus();
        let hears = Arc::new(bus.on(|_: &Event| {}));
        hears.pause();
        let other = thread::spawn({
            let hears = hears.clone();
            move || hears.resume()
        });
        hears.pause();
        hears.resume();
        other.join().unwrap();
        assert_eq!(bus.emit(&Event).heard, 1);
    });
}

#[test]
fn the_last_handle_may_go_during_an_emission() {
    model(|| {
        let (bus, dropped) = (bus(), Count::new());
        // References are counted behind the model's back: looking here is where threads take turns.
        let turn = Arc::new(AtomicUsize::new(0));
        let captured = Captured(dropped.clone());
        let hears = bus.on({
            let turn = turn.clone();
            move |_: &Event| {
                let _ = &captured;
                turn.fetch_add(1, Relaxed);
            }
        });
        let other = thread::spawn({
            let (weak, turn) = (bus.downgrade(), turn.clone());
            move || {
                turn.fetch_add(1, Relaxed);
                let bus = weak.upgrade();
                turn.fetch_add(1, Relaxed);
                bus.map_or(0, |bus| bus.emit(&Event).heard)
            }
        });
        turn.fetch_add(1, Relaxed);
        drop(bus);
        turn.fetch_add(1, Relaxed);
        let removed = hears.off();
        let heard = other.join().unwrap();
        assert!(heard <= 1);
        assert!(removed || heard == 1 || dropped.get() == 1);
        assert_eq!(dropped.get(), 1);
    });
}

/// A bus with a listener that counts numbers up, and the sum of what it heard.
fn summing(builder: hearken::Builder) -> (Emitter, Count, impl Sized) {
    let (bus, sum) = (builder.build(|failure| panic!("{failure}")), Count::new());
    let hears = bus.on({
        let sum = sum.clone();
        move |n: &usize| {
            sum.0.fetch_add(*n, Relaxed);
        }
    });
    (bus, sum, hears)
}

#[test]
fn two_drains_beside_a_producer_deliver_each_event_once() {
    model(|| {
        let (bus, sum, _hears) = summing(Emitter::builder());
        bus.defer(1_usize).unwrap();
        let other = thread::spawn({
            let bus = bus.clone();
            move || {
                bus.defer(10_usize).unwrap();
                bus.drain().delivered
            }
        });
        let delivered = bus.drain().delivered + other.join().unwrap() + bus.drain().delivered;
        assert_eq!((delivered, sum.get(), bus.pending()), (2, 11, 0));
    });
}

#[test]
fn an_event_is_delivered_or_discarded() {
    model(|| {
        let (bus, sum, _hears) = summing(Emitter::builder());
        bus.defer(1_usize).unwrap();
        bus.defer(1_usize).unwrap();
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.discard_pending()
        });
        let delivered = bus.drain().delivered;
        assert_eq!((delivered + other.join().unwrap(), sum.get(), bus.pending()), (2, delivered, 0));
    });
}

#[test]
fn an_event_is_delivered_or_makes_room_for_a_newer_one() {
    model(|| {
        let lost = Count::new();
        let bus = Emitter::builder().queue(1, Overflow::DropOldest).build({
            let lost = lost.clone();
            move |_| lost.up()
        });
        let heard = Count::new();
        let _hears = bus.on({
            let heard = heard.clone();
            move |_: &Event| heard.up()
        });
        bus.defer(Event).unwrap();
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.drain()
        });
        bus.defer(Event).unwrap();
        other.join().unwrap();
        bus.drain();
        assert_eq!((heard.get() + lost.get(), bus.pending()), (2, 0));
    });
}

#[test]
fn an_idle_loop_wakes_for_an_event_and_for_the_end() {
    model(|| {
        let (bus, sum, _hears) = summing(Emitter::builder());
        let events = thread::spawn({
            let bus = bus.clone();
            move || bus.run()
        });
        bus.defer(1_usize).unwrap();
        bus.close();
        events.join().unwrap();
        assert_eq!(sum.get(), 1);
    });
}

#[test]
fn who_waits_for_room_gets_it_or_is_told_that_nobody_makes_it() {
    model(|| {
        let (bus, sum, _hears) = summing(Emitter::builder().queue(1, Overflow::Block));
        bus.defer(1_usize).unwrap();
        let other = thread::spawn({
            let bus = bus.clone();
            move || bus.drain().delivered
        });
        let queued = bus.defer(10_usize).is_ok();
        other.join().unwrap();
        bus.drain();
        assert_eq!(sum.get(), if queued { 11 } else { 1 });
    });
}

#[test]
fn who_waits_for_room_is_woken_by_close() {
    model(|| {
        let (bus, sum, _hears) = summing(Emitter::builder().queue(1, Overflow::Block));
        bus.defer(1_usize).unwrap();
        let events = thread::spawn({
            let bus = bus.clone();
            move || bus.run()
        });
        let closing = thread::spawn({
            let bus = bus.clone();
            move || bus.close()
        });
        let queued = bus.defer(10_usize).is_ok();
        closing.join().unwrap();
        events.join().unwrap();
        assert_eq!(sum.get(), if queued { 11 } else { 1 });
    });
}

#[test]
fn an_inbox_wakes_for_an_event_and_for_the_end_of_its_bus() {
    model(|| {
        let bus = bus();
        let inbox = bus.inbox::<usize>();
        let reader = thread::spawn(move || (inbox.recv(), inbox.recv()));
        bus.emit(&7_usize);
        drop(bus);
        assert_eq!(reader.join().unwrap(), (Some(7), None));
    });
}

/// Tasks on the model's threads.
#[cfg(feature = "async")]
mod tasks {
    use super::{Event, bus, model, summing, thread};
    use futures_core::Stream;
    use hearken::Emitter;
    use loom::sync::{Condvar, Mutex};
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::{Context, Poll, Wake, Waker};

    /// A thread that sleeps until it is woken.
    struct Sleeping {
        is_woken: Mutex<bool>,
        changed: Condvar,
        /// Not the model's: wakers are counted behind its back, and so may go on any thread.
        wakes: AtomicUsize,
    }

    impl Wake for Sleeping {
        fn wake(self: Arc<Self>) {
            self.wakes.fetch_add(1, Relaxed);
            *self.is_woken.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    /// What becomes of the future, and how often it was woken. A wake-up that is lost leaves the model with nobody who can go on.
    fn block_on<F: Future>(future: F) -> (F::Output, usize) {
        let sleeping =
            Arc::new(Sleeping { is_woken: Mutex::new(false), changed: Condvar::new(), wakes: AtomicUsize::new(0) });
        let waker = Waker::from(sleeping.clone());
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return (output, sleeping.wakes.load(Relaxed));
            }
            let mut is_woken = sleeping.is_woken.lock().unwrap();
            while !*is_woken {
                is_woken = sleeping.changed.wait(is_woken).unwrap();
            }
            *is_woken = false;
        }
    }

    async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
        poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
    }

    /// Each is worth at most one wake-up.
    fn next_two<S: Stream + Unpin>(stream: &mut S) -> (Option<S::Item>, Option<S::Item>) {
        let (taken, wakes) = block_on(async { (next(stream).await, next(stream).await) });
        assert!(wakes <= 2);
        taken
    }

    #[test]
    fn a_stream_wakes_for_an_event_and_for_the_end_of_its_bus() {
        model(|| {
            let bus = bus();
            let mut stream = bus.stream::<usize>();
            let reader = thread::spawn(move || next_two(&mut stream));
            bus.emit(&7_usize);
            drop(bus);
            assert_eq!(reader.join().unwrap(), (Some(7), None));
        });
    }

    /// It has found four at once, so it looks twice before it sleeps.
    #[test]
    fn a_stream_to_which_many_came_at_once_wakes_for_an_event_and_for_the_end_of_its_bus() {
        model(|| {
            let bus = bus();
            let mut stream = bus.stream::<usize>();
            for n in 0..4_usize {
                bus.emit(&n);
            }
            let reader = thread::spawn(move || {
                for n in 0..4 {
                    assert_eq!(block_on(next(&mut stream)), (Some(n), 0));
                }
                next_two(&mut stream)
            });
            bus.emit(&4_usize);
            drop(bus);
            assert_eq!(reader.join().unwrap(), (Some(4), None));
        });
    }

    #[test]
    fn next_wakes_for_its_event_once() {
        model(|| {
            let bus = bus();
            let next = bus.next::<usize>();
            let reader = thread::spawn(move || {
                let (taken, wakes) = block_on(next);
                assert!(wakes <= 1);
                taken
            });
            bus.emit(&7_usize);
            assert_eq!(reader.join().unwrap(), Some(7));
        });
    }

    #[test]
    fn a_stream_that_goes_to_another_task_wakes_that_one() {
        model(|| {
            let bus = bus();
            let mut stream = bus.stream::<usize>();
            let first =
                Arc::new(Sleeping { is_woken: Mutex::new(false), changed: Condvar::new(), wakes: AtomicUsize::new(0) });
            let first = Waker::from(first);
            let other = thread::spawn({
                let bus = bus.clone();
                move || bus.emit(&7_usize).heard
            });
            let taken = match Pin::new(&mut stream).poll_next(&mut Context::from_waker(&first)) {
                Poll::Ready(taken) => taken,
                Poll::Pending => block_on(next(&mut stream)).0,
            };
            assert_eq!((taken, other.join().unwrap()), (Some(7), 1));
        });
    }

    #[test]
    fn an_emission_that_waits_for_room_is_woken_for_it() {
        model(|| {
            let bus = bus();
            let mut stream = bus.listen::<usize>().capacity(1).overflow(hearken::Overflow::Block).stream();
            bus.emit(&1_usize);
            let reader = thread::spawn(move || {
                let taken = block_on(next(&mut stream)).0;
                (taken, stream)
            });
            assert_eq!(block_on(bus.emit_async(&2_usize)).0.heard, 1);
            let (taken, mut stream) = reader.join().unwrap();
            assert_eq!((taken, block_on(next(&mut stream)).0), (Some(1), Some(2)));
        });
    }

    #[test]
    fn an_emission_that_waits_for_room_is_woken_by_the_end_of_the_stream() {
        model(|| {
            let bus = bus();
            let stream = bus.listen::<usize>().capacity(1).overflow(hearken::Overflow::Block).stream();
            bus.emit(&1_usize);
            let reader = thread::spawn(move || drop(stream));
            assert!(block_on(bus.emit_async(&2_usize)).0.heard <= 1);
            reader.join().unwrap();
        });
    }

    #[test]
    fn a_loop_in_a_task_wakes_for_an_event_and_for_the_end() {
        model(|| {
            let (bus, sum, _hears) = summing(Emitter::builder());
            let events = thread::spawn({
                let bus = bus.clone();
                move || block_on(bus.run_async()).1
            });
            bus.defer(1_usize).unwrap();
            bus.close();
            assert!(events.join().unwrap() <= 4);
            assert_eq!(sum.get(), 1);
        });
    }

    #[test]
    fn a_loop_in_a_task_wakes_for_what_a_drain_beside_it_leaves() {
        model(|| {
            let (bus, sum, _hears) = summing(Emitter::builder());
            let other = thread::spawn({
                let bus = bus.clone();
                move || {
                    bus.defer(1_usize).unwrap();
                    bus.drain();
                    bus.close();
                }
            });
            block_on(bus.run_async());
            assert_eq!((sum.get(), bus.pending()), (1, 0));
            other.join().unwrap();
        });
    }

    #[test]
    fn two_emissions_beside_a_poll_are_both_taken() {
        model(|| {
            let bus = bus();
            let mut stream = bus.stream::<usize>();
            let other = thread::spawn({
                let bus = bus.clone();
                move || {
                    bus.emit(&Event);
                    bus.emit(&1_usize);
                    bus.emit(&2_usize);
                }
            });
            assert_eq!(next_two(&mut stream), (Some(1), Some(2)));
            other.join().unwrap();
        });
    }
}
