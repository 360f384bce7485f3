//! Streams and the next event: what they keep, how they wait and end, and how they tell of what they couldn't keep.
#![cfg(feature = "async")]

mod common;

use std::cell::Cell;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{
    Drops, Log, MOMENT, Token, Wakes, caught, fail, in_time, logging_bus, on_both, poll, reporting_bus, strict_bus,
};
use futures_core::Stream;
use futures_executor::block_on;
use futures_util::future::{Either, join_all, pending, ready, select};
use futures_util::{FutureExt, StreamExt};
use hearken::{EmissionId, Emitter, EventStream, Inbox, Next, Overflow};

const OVERFLOWS: [Overflow; 4] = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Reject, Overflow::Block];

/// A bus, and what its failures say.
fn lossy_bus() -> (Emitter, Log<String>) {
    reporting_bus(Emitter::builder())
}

/// What is there now.
fn take_all<S: Stream + Unpin>(stream: &mut S) -> Vec<S::Item> {
    std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
}

fn emit_all(bus: &Emitter, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert_eq!(bus.emit(&number).heard, 1);
    }
}

fn poll_next<S: Stream + Unpin>(stream: &mut S, waker: &Waker) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

// Taking

#[test]
fn a_stream_yields_what_is_emitted_from_its_call_on_in_order() {
    on_both(|| async {
        let bus = strict_bus();
        assert_eq!(bus.emit(&0_u32).heard, 0);
        let mut stream = bus.stream::<u32>();
        emit_all(&bus, 1..=3);
        assert_eq!(bus.emit(&4_u64).heard, 0);
        for expected in 1..=3 {
            assert_eq!(stream.next().await, Some(expected));
        }
        emit_all(&bus, 5..=6);
        assert_eq!((stream.next().await, stream.next().await), (Some(5), Some(6)));
    });
}

#[test]
fn a_burst_before_the_first_await_is_not_missed() {
    on_both(|| async {
        let bus = strict_bus();
        let stream = bus.stream::<u32>();
        let emitter = bus.clone();
        thread::spawn(move || emit_all(&emitter, 0..256)).join().unwrap();
        drop(bus);
        assert_eq!(stream.collect::<Vec<_>>().await, (0..256).collect::<Vec<_>>());
    });
}

#[test]
fn events_of_four_threads_come_each_once_and_in_their_threads_order() {
    const EACH: u32 = 5_000;
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.listen::<(usize, u32)>().capacity(usize::MAX).stream();
        for thread in 0..4_usize {
            let bus = bus.clone();
            thread::spawn(move || (0..EACH).for_each(|n| _ = bus.emit(&(thread, n))));
        }
        drop(bus);
        let mut next = [0; 4];
        while let Some((thread, n)) = stream.next().await {
            assert_eq!(n, next[thread]);
            next[thread] += 1;
        }
        assert_eq!((next, stream.missed()), ([EACH; 4], 0));
    });
}

#[test]
fn two_streams_each_get_every_event() {
    on_both(|| async {
        let bus = strict_bus();
        let (mut one, mut two) = (bus.stream::<u32>(), bus.stream::<u32>());
        assert_eq!(bus.emit(&7_u32).heard, 2);
        assert_eq!((one.next().await, two.next().await), (Some(7), Some(7)));
    });
}

#[test]
fn a_stream_counts_as_heard_and_as_a_listener() {
    let (bus, strays) = (strict_bus(), Log::new());
    let stray = strays.clone();
    let _strays = bus.on_unheard(move |_| stray.add(()));
    let (_one, _two) = (bus.stream::<u32>(), bus.stream::<u32>());
    let emission = bus.emit(&1_u32);
    assert_eq!((emission.heard, emission.failed, emission.deferred), (2, 0, 0));
    assert_eq!(bus.listen::<u32>().count(), 2);
    assert!(strays.take().is_empty());
}

#[test]
fn a_next_of_a_stream_that_is_dropped_loses_no_event() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.stream::<u32>();
        for number in 0..100_u32 {
            assert!(matches!(select(stream.next(), ready(())).await, Either::Right(_)));
            let emitter = bus.clone();
            let emits = thread::spawn(move || bus_emit(&emitter, number));
            while let Either::Right(_) = select(stream.next(), ready(())).await {
                thread::yield_now();
            }
            emits.join().unwrap();
            assert_eq!(take_all(&mut stream), [0; 0]);
        }
    });
}

fn bus_emit(bus: &Emitter, number: u32) {
    assert_eq!(bus.emit(&number).heard, 1);
}

#[test]
fn a_stream_says_how_many_it_has_at_least() {
    let bus = strict_bus();
    let mut stream = bus.stream::<u32>();
    assert_eq!(stream.size_hint(), (0, None));
    emit_all(&bus, 0..3);
    assert_eq!(stream.size_hint(), (3, None));
    assert_eq!(stream.next().now_or_never(), Some(Some(0)));
    drop(bus);
    let (least, most) = stream.size_hint();
    assert_eq!(least, 2);
    assert!(most.is_none_or(|most| most >= 2));
}

#[test]
fn an_event_waiting_for_room_is_within_the_size_hint() {
    let bus = strict_bus();
    let mut stream = bus.listen::<u32>().capacity(1).overflow(Overflow::Block).stream();
    emit_all(&bus, [0]);
    {
        let mut waits = Box::pin(bus.emit_async(&1_u32));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(stream.size_hint().0 >= 1);
    }
    assert_eq!(stream.size_hint().0, 1);
    assert_eq!(take_all(&mut stream), [0]);
}

#[test]
fn debug_tells_the_type_and_how_many_are_kept_and_missed() {
    let bus = Emitter::new(hearken::ignore);
    let stream = bus.listen::<u32>().capacity(2).stream();
    emit_all(&bus, 0..3);
    assert_eq!(format!("{stream:?}"), "EventStream { event: \"u32\", len: 2, missed: 1, .. }");
    assert!(format!("{:?}", bus.next::<u32>()).contains("u32"));
}

#[test]
fn streams_and_nexts_are_send_for_events_that_are_and_unpin() {
    struct Pinned(std::marker::PhantomPinned);
    const fn check<T: Send + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<EventStream<Cell<u32>>>();
    check::<EventStream<Cell<u32>, hearken::Envelope<Cell<u32>>>>();
    check::<Next<Cell<u32>>>();
    check::<EventStream<Pinned>>();
    check::<Next<Pinned>>();
}

// Options

#[test]
fn topics_narrow_a_stream_in_whatever_way_it_is_begun() {
    type Begin = fn(&Emitter) -> EventStream<&'static str>;
    const WAYS: [(Begin, &[&str]); 5] = [
        (|bus| bus.stream(), &["none", "a.b", "a.c", "a.b.c"]),
        (|bus| bus.topic("a.b").stream(), &["a.b"]),
        (|bus| bus.topics("a.*").stream(), &["a.b", "a.c"]),
        (|bus| bus.topics("a.**").listen().stream(), &["a.b", "a.c", "a.b.c"]),
        (|bus| bus.listen().topics("a.c").topics("**.c").stream(), &["a.c", "a.b.c"]),
    ];
    on_both(|| async {
        for (begin, expected) in WAYS {
            let bus = strict_bus();
            let stream = begin(&bus);
            bus.emit(&"none");
            for topic in ["a.b", "a.c", "a.b.c"] {
                bus.topic(topic).emit_async(&topic).await;
            }
            drop(bus);
            assert_eq!(stream.collect::<Vec<_>>().await, expected);
        }
    });
}

#[test]
fn a_filter_chooses_what_a_stream_keeps() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.listen::<u32>().filter(|number| number % 2 == 0).stream();
        let heard: usize = (0..6_u32).map(|number| bus.emit(&number).heard).sum();
        assert_eq!((heard, take_all(&mut stream)), (3, vec![0, 2, 4]));
    });
}

#[test]
fn a_stream_with_a_limit_ends_after_so_many_events() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.listen::<u32>().times(2).stream();
        let heard: usize = (1..=3_u32).map(|number| bus.emit(&number).heard).sum();
        assert_eq!(heard, 2);
        assert_eq!((stream.next().await, stream.next().await, stream.next().await), (Some(1), Some(2), None));
    });
}

#[test]
fn a_stream_has_its_turn_by_its_priority() {
    for (priority, kept) in [(1, 1), (0, 0), (-1, 0)] {
        let (bus, seen) = (strict_bus(), Log::new());
        let stream = Arc::new(OnceLock::<EventStream<u32>>::new());
        let (note, look) = (seen.clone(), Arc::clone(&stream));
        let _looks = bus.on(move |_: &u32| note.add(look.get().map(|stream| stream.size_hint().0)));
        assert!(stream.set(bus.listen().priority(priority).stream()).is_ok());
        bus.emit(&1_u32);
        assert_eq!(seen.take(), [Some(kept)], "priority {priority}");
    }
}

#[test]
fn a_deferred_stream_gets_what_is_emitted_when_the_bus_is_drained() {
    let bus = strict_bus();
    let mut stream = bus.listen::<u32>().deferred().stream();
    let emission = bus.emit(&1_u32);
    assert_eq!((emission.heard, emission.deferred), (0, 1));
    assert_eq!(take_all(&mut stream), [0; 0]);
    assert_eq!(bus.drain().delivered, 1);
    assert_eq!(take_all(&mut stream), [1]);
}

#[test]
fn a_stream_gets_deferred_events_when_they_are_delivered() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.stream::<u32>();
        bus.defer(1_u32).expect("room");
        assert_eq!(take_all(&mut stream), [0; 0]);
        let drainer = bus.clone();
        let drains = thread::spawn(move || drainer.drain().delivered);
        assert_eq!(stream.next().await, Some(1));
        assert_eq!(drains.join().unwrap(), 1);
    });
}

// Lagging

#[test]
fn a_stream_keeps_the_latest_256_unless_told_otherwise() {
    let (bus, failures) = lossy_bus();
    let mut stream = bus.stream::<u32>();
    emit_all(&bus, 0..256);
    assert_eq!(stream.missed(), 0);
    emit_all(&bus, 256..266);
    assert_eq!(stream.missed(), 10, "at once");
    assert_eq!(failures.take(), [""; 0], "the gap is open");
    assert_eq!(take_all(&mut stream), (10..266).collect::<Vec<_>>());
    assert_eq!(failures.take(), ["lost 10 u32"]);
}

#[test]
fn a_full_stream_drops_the_oldest_or_the_newest_as_it_was_told() {
    on_both(|| async {
        for overflow in OVERFLOWS {
            let kept = if overflow == Overflow::DropOldest { [2, 3] } else { [0, 1] };
            let (bus, failures) = lossy_bus();
            let mut stream = bus.listen::<u32>().capacity(2).overflow(overflow).stream();
            let emitter = bus.clone();
            thread::spawn(move || emit_all(&emitter, 0..4)).join().unwrap();
            assert_eq!(stream.missed(), 2, "{overflow:?}");
            assert_eq!((stream.next().await, stream.next().await), (Some(kept[0]), Some(kept[1])), "{overflow:?}");
            emit_all(&bus, 4..6);
            assert_eq!((stream.next().await, stream.next().await), (Some(4), Some(5)), "{overflow:?}");
            assert_eq!((stream.missed(), failures.take()), (2, vec!["lost 2 u32".to_owned()]), "{overflow:?}");
        }
    });
}

#[test]
fn each_gap_is_reported_once_and_the_stream_goes_on() {
    on_both(|| async {
        let (bus, failures) = lossy_bus();
        let mut stream = bus.listen::<u32>().capacity(1).stream();
        for (missed, total) in [(1, 1), (4, 5), (2, 7)] {
            emit_all(&bus, 0..=missed);
            assert_eq!((failures.take(), stream.missed()), (vec![], total));
            assert_eq!(stream.next().await, Some(missed));
            assert_eq!(failures.take(), [format!("lost {missed} u32")]);
        }
        emit_all(&bus, [9]);
        assert_eq!(stream.next().await, Some(9));
        assert_eq!(failures.take(), [""; 0]);
    });
}

#[test]
fn a_gap_names_its_stream_and_where_its_first_lost_event_came_from() {
    let failures = Log::new();
    let channel = failures.clone();
    let bus = Emitter::new(move |failure| channel.add(failure));
    let line = line!() + 1;
    let mut stream = bus.listen::<u32>().capacity(1).named("slow").stream();
    emit_all(&bus, [0]);
    let place = Location::caller();
    assert_eq!(bus.emit(&1_u32).heard, 1);
    emit_all(&bus, [2]);
    assert_eq!(take_all(&mut stream), [2]);
    let failures = failures.take();
    let listener = failures[0].listener().expect("a stream");
    assert_eq!((listener.name, listener.registered_at.line()), (Some("slow"), line));
    assert_eq!(failures[0].emitted_at().file(), file!());
    assert_eq!(failures[0].emitted_at().line(), place.line() + 1);
    assert_eq!(failures.len(), 1);
}

#[test]
fn an_open_gap_is_reported_when_the_stream_or_its_bus_goes() {
    let (bus, failures) = lossy_bus();
    let stream = bus.listen::<u32>().capacity(1).stream();
    emit_all(&bus, 0..4);
    drop(stream);
    assert_eq!(failures.take(), ["lost 3 u32"]);

    let mut stream = bus.listen::<u32>().capacity(1).stream();
    emit_all(&bus, 0..3);
    drop(bus);
    assert_eq!(failures.take(), ["lost 2 u32"]);
    assert_eq!((take_all(&mut stream), stream.missed()), (vec![2], 2));
    drop(stream);
    assert_eq!(failures.take(), [""; 0]);
}

#[test]
fn a_gap_that_panics_out_of_a_poll_loses_no_event() {
    let bus = strict_bus();
    let mut stream = bus.listen::<u32>().capacity(1).stream();
    emit_all(&bus, 0..2);
    let caught = caught(|| stream.next().now_or_never()).expect("a panic");
    assert!(caught.message.contains("1 event was lost"), "{}", caught.message);
    assert_eq!(take_all(&mut stream), [1]);
    emit_all(&bus, [2]);
    assert_eq!(take_all(&mut stream), [2]);
}

// Blocking

/// A stream of this capacity that emissions wait for.
fn blocking(bus: &Emitter, capacity: usize) -> EventStream<u32> {
    bus.listen::<u32>().capacity(capacity).overflow(Overflow::Block).stream()
}

#[test]
fn an_awaited_emission_waits_until_a_blocking_stream_has_room() {
    on_both(|| async {
        const EACH: u32 = 1_000;
        let bus = strict_bus();
        let mut stream = blocking(&bus, 2);
        let emitter = bus.clone();
        thread::spawn(move || {
            for n in 0..EACH {
                let emission = block_on(emitter.emit_async(&n));
                assert_eq!((emission.heard, emission.failed), (1, 0));
            }
        });
        drop(bus);
        let mut next = 0;
        while let Some(n) = stream.next().await {
            assert!(stream.size_hint().0 <= 3, "two, and one that waits");
            assert_eq!(n, next);
            next += 1;
        }
        assert_eq!((next, stream.missed()), (EACH, 0));
    });
}

#[test]
fn an_awaited_emission_is_woken_once_for_the_room_it_waits_for() {
    let bus = strict_bus();
    let mut stream = blocking(&bus, 2);
    emit_all(&bus, 0..2);
    let (wakes, task) = Wakes::new();
    let mut waits = Box::pin(bus.emit_async(&2_u32));
    assert!(poll(&mut waits, &task).is_pending());
    assert!(poll(&mut waits, &task).is_pending(), "asking makes no room");
    assert_eq!(wakes.count(), 0, "nothing has happened yet");
    assert_eq!(stream.next().now_or_never(), Some(Some(0)));
    assert_eq!(wakes.count(), 1);
    assert!(poll(&mut waits, &task).is_ready());
    assert_eq!(take_all(&mut stream), [1, 2]);
    assert_eq!(wakes.count(), 1);
}

#[test]
fn an_awaited_emission_does_not_wait_for_streams_that_drop_what_they_have_no_room_for() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Reject] {
        let (bus, _failures) = lossy_bus();
        let stream = bus.listen::<u32>().capacity(1).overflow(overflow).stream();
        for n in 0..3_u32 {
            assert!(bus.emit_async(&n).now_or_never().is_some());
        }
        assert_eq!(stream.missed(), 2, "{overflow:?}");
    }
}

#[test]
fn emissions_that_wait_for_room_keep_their_order() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = blocking(&bus, 1);
        let numbers: Vec<u32> = (0..10).collect();
        let mut all = Box::pin(join_all(numbers.iter().map(|number| bus.emit_async(number))));
        assert!(all.as_mut().now_or_never().is_none());
        let mut taken = Vec::new();
        let reads = async {
            while taken.len() < 10 {
                taken.extend(stream.next().await);
            }
        };
        let (emissions, ()) = futures_util::join!(all, reads);
        assert!(emissions.iter().all(|emission| emission.heard == 1));
        assert_eq!((taken, stream.missed()), (numbers, 0));
    });
}

#[test]
fn an_emit_beside_emissions_that_wait_drops_its_own_event() {
    let (bus, failures) = lossy_bus();
    let mut stream = blocking(&bus, 1);
    emit_all(&bus, [0]);
    let mut waits = Box::pin(bus.emit_async(&1_u32));
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!(bus.emit(&2_u32).heard, 1);
    assert_eq!(stream.missed(), 1);
    assert_eq!(stream.next().now_or_never(), Some(Some(0)));
    assert!(waits.as_mut().now_or_never().is_some());
    assert_eq!(take_all(&mut stream), [1]);
    assert_eq!(failures.take(), ["lost 1 u32"]);
}

#[test]
fn an_awaited_emission_that_is_dropped_while_it_waits_takes_its_event_back() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = blocking(&bus, 1);
        emit_all(&bus, [0]);
        let (second, third) = (1_u32, 2_u32);
        let mut taken_back = Box::pin(bus.emit_async(&second));
        let mut stays = Box::pin(bus.emit_async(&third));
        assert!(taken_back.as_mut().now_or_never().is_none());
        assert!(stays.as_mut().now_or_never().is_none());
        drop(taken_back);
        assert!(stays.as_mut().now_or_never().is_none(), "there is room for the first only");
        assert_eq!(stream.next().await, Some(0));
        assert_eq!(stays.await.heard, 1);
        assert_eq!(stream.next().await, Some(2));
        assert_eq!((take_all(&mut stream), stream.missed()), (vec![], 0));
    });
}

#[test]
fn an_awaited_emission_that_is_dropped_once_there_was_room_leaves_its_event() {
    let bus = strict_bus();
    let mut stream = blocking(&bus, 1);
    emit_all(&bus, [0]);
    let mut waits = Box::pin(bus.emit_async(&1_u32));
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!(stream.next().now_or_never(), Some(Some(0)));
    drop(waits);
    assert_eq!(take_all(&mut stream), [1]);
}

#[test]
fn the_end_of_a_stream_frees_the_emissions_that_wait_for_it() {
    on_both(|| async {
        let bus = strict_bus();
        let stream = blocking(&bus, 1);
        emit_all(&bus, [0]);
        let emitter = bus.clone();
        let ends = thread::spawn(move || {
            thread::sleep(MOMENT);
            drop((stream, emitter));
        });
        assert_eq!(bus.emit_async(&1_u32).await.heard, 1);
        ends.join().unwrap();
        assert_eq!(bus.emit_async(&2_u32).await.heard, 0);
    });
}

#[test]
fn an_emission_that_waits_when_its_stream_is_switched_off_ends_and_its_event_is_not_lost_silently() {
    on_both(|| async {
        let (bus, failures) = lossy_bus();
        let stream = blocking(&bus, 1);
        emit_all(&bus, [0]);
        let emitter = bus.clone();
        let off = thread::spawn(move || {
            thread::sleep(MOMENT);
            emitter.off_all()
        });
        assert_eq!(bus.emit_async(&1_u32).await.heard, 1);
        assert_eq!(off.join().unwrap(), 1);
        let missed = stream.missed();
        let taken: Vec<_> = stream.collect().await;
        assert_eq!((taken.len() as u64 + missed, failures.take().len() as u64), (2, missed), "{taken:?}");
    });
}

#[test]
fn two_blocking_streams_are_both_waited_for() {
    let bus = strict_bus();
    let (mut one, mut two) = (blocking(&bus, 1), blocking(&bus, 1));
    assert_eq!(bus.emit(&0_u32).heard, 2);
    let mut waits = Box::pin(bus.emit_async(&1_u32));
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!(one.next().now_or_never(), Some(Some(0)));
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!(two.next().now_or_never(), Some(Some(0)));
    assert_eq!(waits.as_mut().now_or_never().expect("room").heard, 2);
    drop(waits);
    assert_eq!((take_all(&mut one), take_all(&mut two)), (vec![1], vec![1]));
}

#[test]
fn emitters_on_threads_and_a_slow_reader_lose_nothing_when_they_wait() {
    const EACH: u32 = 300;
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.listen::<(usize, u32)>().capacity(3).overflow(Overflow::Block).stream();
        for thread in 0..3_usize {
            let bus = bus.clone();
            thread::spawn(move || (0..EACH).for_each(|n| _ = block_on(bus.emit_async(&(thread, n)))));
        }
        drop(bus);
        let mut next = [0; 3];
        while let Some((thread, n)) = stream.next().await {
            assert_eq!(n, next[thread]);
            next[thread] += 1;
        }
        assert_eq!((next, stream.missed()), ([EACH; 3], 0));
    });
}

// Ending

#[test]
fn a_stream_ends_after_what_it_keeps_when_its_bus_is_gone() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.stream::<u32>();
        emit_all(&bus, 0..2);
        drop(bus);
        assert_eq!((stream.next().await, stream.next().await), (Some(0), Some(1)));
        assert_eq!((stream.next().await, stream.next().await), (None, None));
    });
}

#[test]
fn a_stream_that_is_awaited_ends_with_its_bus() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.stream::<u32>();
        let ends = thread::spawn(move || {
            thread::sleep(MOMENT);
            drop(bus);
        });
        assert_eq!(stream.next().await, None);
        ends.join().unwrap();
    });
}

#[test]
fn a_stream_does_not_keep_its_bus_alive() {
    let bus = strict_bus();
    let weak = bus.downgrade();
    let stream = bus.stream::<u32>();
    drop(bus);
    assert!(weak.upgrade().is_none());
    drop(stream);
}

#[test]
fn a_dropped_stream_listens_no_more_and_keeps_no_event() {
    #[derive(Clone)]
    struct Held(#[expect(dead_code, reason = "it counts when it goes")] Arc<Token>);

    let (bus, drops) = (strict_bus(), Drops::new());
    let stream = bus.stream::<Held>();
    bus.emit(&Held(Arc::new(drops.token())));
    assert_eq!(drops.count(), 0);
    drop(stream);
    assert_eq!(drops.count(), 1);
    assert_eq!(bus.listen::<Held>().count(), 0);
    assert_eq!(bus.emit(&Held(Arc::new(drops.token()))).heard, 0);
}

// Envelopes

#[test]
fn envelopes_tell_of_the_emission() {
    on_both(|| async {
        let bus = strict_bus();
        let ids = Log::<(EmissionId, Option<EmissionId>, EmissionId)>::new();
        let (first, second) = (ids.clone(), ids.clone());
        let _second = bus.on_with(move |_: &u32, cx| second.add((cx.id(), cx.cause(), cx.origin())));
        let inner = bus.downgrade();
        let _first = bus.on_with(move |(): &(), cx| {
            first.add((cx.id(), cx.cause(), cx.origin()));
            inner.upgrade().expect("a bus").topic("a.b").emit(&7_u32);
        });
        let mut stream = bus.topics("a.*").stream::<u32>().envelopes();
        let inbox: Inbox<u32, _> = bus.topics("a.*").inbox::<u32>().envelopes();
        let line = line!() - 4;
        bus.emit(&());
        let ids = ids.take();
        let ((outer, no_cause, _), (inner, ..)) = (ids[0], ids[1]);
        assert_eq!(no_cause, None);
        for envelope in [stream.next().await.expect("one"), inbox.try_recv().expect("one")] {
            assert_eq!((envelope.event, envelope.topic.as_deref()), (7, Some("a.b")));
            assert_eq!((envelope.id, envelope.cause, envelope.origin), (inner, Some(outer), outer));
            assert_eq!((envelope.emitted_at.file(), envelope.emitted_at.line()), (file!(), line));
        }
    });
}

#[test]
fn envelopes_are_also_had_of_what_is_kept_already() {
    on_both(|| async {
        let bus = strict_bus();
        let (stream, inbox) = (bus.stream::<u32>(), bus.inbox::<u32>());
        let line = line!() + 1;
        bus.topic("a").emit(&1_u32);
        bus.emit(&2_u32);
        let (mut stream, inbox) = (stream.envelopes(), inbox.envelopes());
        for envelope in [stream.next().await.expect("one"), inbox.recv().expect("one")] {
            assert_eq!((envelope.event, envelope.topic.as_deref(), envelope.cause), (1, Some("a"), None));
            assert_eq!((envelope.id, envelope.emitted_at.line()), (envelope.origin, line));
        }
        let (one, two) = (stream.next().await.expect("one"), inbox.recv().expect("one"));
        assert_eq!((one.event, one.topic.as_deref(), one.id), (2, None, two.id));
        assert_eq!((stream.size_hint().0, stream.missed(), inbox.len(), inbox.missed()), (0, 0, 0, 0));
    });
}

#[test]
fn the_envelope_of_a_deferred_event_says_where_and_in_what_it_was_deferred() {
    let bus = strict_bus();
    let mut stream = bus.stream::<u32>().envelopes();
    let outer = Log::new();
    let (note, inner) = (outer.clone(), bus.downgrade());
    let _defers = bus.on_with(move |(): &(), cx| {
        note.add(cx.id());
        inner.upgrade().expect("a bus").defer(1_u32).expect("room");
    });
    let line = line!() - 2;
    bus.emit(&());
    bus.drain();
    let envelope = stream.next().now_or_never().flatten().expect("one");
    let outer = outer.take()[0];
    assert_eq!((envelope.cause, envelope.origin), (Some(outer), outer));
    assert_eq!(envelope.emitted_at.line(), line);
}

// Wake-ups

#[test]
fn a_burst_wakes_a_task_once() {
    let bus = strict_bus();
    let mut stream = bus.listen::<u32>().capacity(1_000).stream();
    let (wakes, task) = Wakes::new();
    emit_all(&bus, 0..3);
    assert!(poll_next(&mut stream, &task).is_ready());
    assert_eq!(take_all(&mut stream), [1, 2]);
    emit_all(&bus, [3]);
    assert_eq!(wakes.count(), 0, "nobody waits");
    assert!(poll_next(&mut stream, &task).is_ready());

    assert!(poll_next(&mut stream, &task).is_pending());
    emit_all(&bus, 0..1_000);
    assert_eq!(wakes.count(), 1);
    for number in 0..1_000 {
        assert_eq!(poll_next(&mut stream, &task), Poll::Ready(Some(number)));
    }
    assert!(poll_next(&mut stream, &task).is_pending());
    assert_eq!(wakes.count(), 1);
    drop(bus);
    assert_eq!(wakes.count(), 2);
    assert_eq!(poll_next(&mut stream, &task), Poll::Ready(None));
}

#[test]
fn an_event_that_is_filtered_out_or_of_another_topic_wakes_nobody() {
    let bus = strict_bus();
    let mut even = bus.listen::<u32>().filter(|number| number % 2 == 0).stream();
    let mut narrow = bus.topic("a").stream::<u32>();
    let (wakes, task) = Wakes::new();
    assert!(poll_next(&mut even, &task).is_pending());
    assert!(poll_next(&mut narrow, &task).is_pending());
    bus.emit(&1_u32);
    bus.topic("b").emit(&3_u32);
    assert_eq!(wakes.count(), 0);
    bus.topic("a").emit(&5_u32);
    assert_eq!(wakes.count(), 1);
}

#[test]
fn the_task_that_polled_last_is_woken() {
    let bus = strict_bus();
    let mut stream = bus.stream::<u32>();
    let ((first, first_waker), (second, second_waker)) = (Wakes::new(), Wakes::new());
    assert!(poll_next(&mut stream, &first_waker).is_pending());
    assert!(poll_next(&mut stream, &second_waker).is_pending());
    emit_all(&bus, [1]);
    assert_eq!((first.count(), second.count()), (0, 1));

    let mut next = bus.next::<u32>();
    drop(stream);
    assert!(poll(&mut next, &first_waker).is_pending());
    assert!(poll(&mut next, &second_waker).is_pending());
    emit_all(&bus, [2]);
    assert_eq!((first.count(), second.count()), (0, 2));
}

#[test]
fn a_stream_goes_from_task_to_task() {
    on_both(|| async {
        let bus = strict_bus();
        let mut stream = bus.stream::<u32>();
        assert!(matches!(select(stream.next(), ready(())).await, Either::Right(_)));
        let emitter = bus.clone();
        let reader = thread::spawn(move || {
            let got = block_on(stream.next());
            (got, stream)
        });
        thread::sleep(MOMENT);
        emit_all(&emitter, [1]);
        let (got, mut stream) = reader.join().unwrap();
        assert_eq!(got, Some(1));
        let emits = thread::spawn(move || {
            thread::sleep(MOMENT);
            emit_all(&emitter, [2]);
        });
        assert_eq!(stream.next().await, Some(2));
        emits.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost_between_threads_that_answer_one_another() {
    const ROUNDS: u32 = 3_000;
    #[derive(Clone)]
    struct Ping(u32);
    #[derive(Clone)]
    struct Pong(u32);

    on_both(|| async {
        let bus = strict_bus();
        let (mut asked, mut answered) = (bus.stream::<Ping>(), bus.stream::<Pong>());
        let answers = bus.clone();
        let other = thread::spawn(move || {
            block_on(async {
                for _ in 0..ROUNDS {
                    let Some(Ping(n)) = asked.next().await else { panic!("it ended") };
                    answers.emit(&Pong(n));
                }
            });
        });
        for n in 0..ROUNDS {
            bus.emit(&Ping(n));
            assert_eq!(answered.next().await.map(|Pong(n)| n), Some(n));
        }
        other.join().unwrap();
    });
}

/// A waker whose every part calls the bus.
struct Busy {
    bus: Emitter,
    calls: Arc<AtomicUsize>,
}

impl Wake for Busy {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bus.emit(&"woken");
        self.calls.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.bus.emit(&"dropped");
        self.calls.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn no_lock_is_held_while_a_waker_is_called_or_dropped() {
    in_time(|| {
        let (bus, calls) = (strict_bus(), Arc::default());
        let stream = Arc::new(Mutex::new(bus.stream::<&str>()));
        let _looks = bus.on({
            let stream = Arc::clone(&stream);
            move |_: &&str| _ = stream.try_lock().map(|stream| (stream.size_hint(), stream.missed()))
        });
        let busy = || Waker::from(Arc::new(Busy { bus: bus.clone(), calls: Arc::clone(&calls) }));
        let poll = |task: Waker| poll_next(&mut *stream.lock().unwrap(), &task);
        // One replaces another, and so is dropped.
        assert!(poll(busy()).is_pending());
        let _ = poll(busy());
        while poll(busy()).is_ready() && calls.load(Ordering::SeqCst) < 20 {}
        bus.emit(&"event");
        assert!(calls.load(Ordering::SeqCst) >= 3);
    });
}

/// A waker that panics when it is called.
struct Alarm;

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

#[test]
fn a_waker_that_panics_costs_neither_an_event_nor_another_its_call_nor_a_gap_its_report() {
    let (bus, failures) = lossy_bus();
    let mut stream = blocking(&bus, 1);
    emit_all(&bus, 0..2);
    let alarm = Waker::from(Arc::new(Alarm));
    let (wakes, task) = Wakes::new();
    let numbers = [2_u32, 3, 4];
    let mut waiting = numbers.each_ref().map(|number| Box::pin(bus.emit_async(number)));
    for (emission, task) in waiting.iter_mut().zip([&alarm, &alarm, &task]) {
        assert!(poll(emission, task).is_pending());
    }
    assert_eq!((stream.next().now_or_never(), bus.suppressed_failures()), (Some(Some(0)), 1));
    emit_all(&bus, 5..6);
    bus.off_all();
    assert_eq!((wakes.count(), bus.suppressed_failures()), (1, 2));
    assert_eq!(failures.take(), ["lost 1 u32", "lost 1 u32"]);
    assert_eq!(take_all(&mut stream), numbers);
}

// The next one

#[test]
fn next_listens_from_its_call_on_and_takes_one() {
    on_both(|| async {
        let bus = strict_bus();
        bus.emit(&0_u32);
        let next = bus.next::<u32>();
        let heard: usize = (1..=100_u32).map(|number| bus.emit(&number).heard).sum();
        assert_eq!(heard, 1);
        assert_eq!(bus.listen::<u32>().count(), 0);
        assert_eq!(next.await, Some(1));
    });
}

#[test]
fn next_is_woken_by_another_thread() {
    on_both(|| async {
        let bus = strict_bus();
        for number in 0..200_u32 {
            let (next, emitter) = (bus.next::<u32>(), bus.clone());
            let emits = thread::spawn(move || {
                if number % 2 == 0 {
                    thread::sleep(Duration::from_micros(50));
                }
                emit_all(&emitter, [number]);
            });
            assert_eq!(next.await, Some(number));
            emits.join().unwrap();
        }
    });
}

#[test]
fn next_is_none_when_the_bus_goes_before_it_comes() {
    on_both(|| async {
        let bus = strict_bus();
        let (early, late) = (bus.next::<u32>(), bus.next::<u64>());
        let ends = thread::spawn(move || {
            thread::sleep(MOMENT);
            drop(bus);
        });
        assert_eq!((early.await, late.await), (None, None));
        ends.join().unwrap();
    });
}

#[test]
fn next_keeps_its_event_when_the_bus_goes_behind_it() {
    on_both(|| async {
        let bus = strict_bus();
        let next = bus.next::<u32>();
        emit_all(&bus, [1]);
        drop(bus);
        assert_eq!(next.await, Some(1));
    });
}

#[test]
fn a_filter_and_topics_choose_what_is_next() {
    on_both(|| async {
        let bus = strict_bus();
        let even = bus.listen::<u32>().filter(|number| number % 2 == 0).next();
        let (narrow, wide) = (bus.topic("a.b").next::<u32>(), bus.topics("a.*").next::<u32>());
        bus.emit(&1_u32);
        bus.topic("a.c").emit(&3_u32);
        bus.topic("a.b").emit(&4_u32);
        bus.topic("a.b").emit(&6_u32);
        assert_eq!((even.await, narrow.await, wide.await), (Some(4), Some(4), Some(3)));
    });
}

#[test]
fn next_loses_nothing_when_another_branch_is_taken() {
    on_both(|| async {
        let bus = strict_bus();
        let mut next = bus.next::<u32>();
        for _ in 0..3 {
            assert!(matches!(select(&mut next, ready(())).await, Either::Right(_)));
        }
        emit_all(&bus, [1]);
        assert_eq!(bus.emit(&2_u32).heard, 0);
        assert!(matches!(select(ready(()), &mut next).await, Either::Left(_)));
        let Either::Left((got, _)) = select(&mut next, pending::<()>()).await else { panic!("it was emitted") };
        assert_eq!(got, Some(1));
    });
}

#[test]
fn a_next_that_is_dropped_listens_no_more() {
    let bus = strict_bus();
    let next = bus.next::<u32>();
    assert_eq!(bus.listen::<u32>().count(), 1);
    drop(next);
    assert_eq!((bus.listen::<u32>().count(), bus.emit(&1_u32).heard), (0, 0));

    let (_, task) = Wakes::new();
    let mut polled = bus.next::<u32>();
    assert!(poll(&mut polled, &task).is_pending());
    drop(polled);
    assert_eq!(bus.emit(&1_u32).heard, 0);
}

#[test]
fn next_is_woken_once_for_its_event() {
    let bus = strict_bus();
    let mut next = bus.next::<u32>();
    let (wakes, task) = Wakes::new();
    assert!(poll(&mut next, &task).is_pending());
    emit_all(&bus, [1]);
    bus.emit(&2_u32);
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(&mut next, &task), Poll::Ready(Some(1)));
}

#[test]
fn next_is_of_one_thread_when_several_emit() {
    on_both(|| async {
        for _ in 0..50 {
            let bus = strict_bus();
            let next = bus.next::<u32>();
            let heard: Vec<_> = (0..3_u32)
                .map(|number| {
                    let bus = bus.clone();
                    thread::spawn(move || (number, bus.emit(&number).heard))
                })
                .collect();
            let got = next.await.expect("one");
            let heard: Vec<_> = heard.into_iter().map(|thread| thread.join().unwrap()).collect();
            let who: Vec<_> = heard.iter().filter(|(_, heard)| *heard == 1).map(|(number, _)| *number).collect();
            assert_eq!(who, [got]);
        }
    });
}

#[test]
fn next_behind_times_panics_at_the_callers_line() {
    let bus = strict_bus();
    let listen = bus.listen::<u32>().times(2);
    let line = line!() + 1;
    let caught = caught(|| drop(listen.next())).expect("a panic");
    assert!(caught.message.starts_with("a listener of `u32` can't hear `next` and `times(2)`"), "{}", caught.message);
    assert_eq!((&*caught.file, caught.line), (file!(), line));
    assert_eq!(bus.listen::<u32>().count(), 0);
}

#[test]
fn a_failing_listener_takes_no_event_from_a_stream() {
    on_both(|| async {
        let (bus, failures) = logging_bus();
        let _fails = bus.on(|_: &u32| fail("no"));
        let mut stream = bus.stream::<u32>();
        let emission = bus.emit(&1_u32);
        assert_eq!((emission.heard, emission.failed), (2, 1));
        assert_eq!(stream.next().await, Some(1));
        assert_eq!(failures.take(), ["no"]);
    });
}
