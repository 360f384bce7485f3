//! Inboxes: what they keep, how they wait and end, and how they tell of what they couldn't keep.

mod common;

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use common::{Bomb, Drops, Log, MOMENT, OnDrop, Token, caught, fail, in_time, keep, logging_bus, strict_bus};
use hearken::{Cause, Emitter, Failure, Inbox, Listen, Overflow};

/// How long a receiver waits for what must come.
const LONG: Duration = Duration::from_secs(10);

type Take = fn(&Inbox<u32>) -> Option<u32>;

/// The ways to take an event.
const TAKES: [Take; 4] =
    [Inbox::recv, |inbox| inbox.try_recv().ok(), |inbox| inbox.recv_timeout(LONG).ok(), |inbox| inbox.iter().next()];

/// Those that wait, longer than a test.
const WAITS: [Take; 3] = [Inbox::recv, |inbox| inbox.recv_timeout(LONG * 10).ok(), |inbox| inbox.iter().next()];

/// A bus, and its failures themselves.
fn keeping_bus() -> (Emitter, Log<Failure>) {
    let failures = Log::new();
    let channel = failures.clone();
    (Emitter::new(move |failure| channel.add(failure)), failures)
}

/// Of each failure since the last look, how many events were lost.
#[track_caller]
fn lost(failures: &Log<Failure>) -> Vec<u64> {
    let missed = |failure: &Failure| match failure.cause() {
        Cause::Lost { missed } => *missed,
        other => panic!("an unexpected cause: {other:?}"),
    };
    failures.take().iter().map(missed).collect()
}

/// What is kept now.
fn take_all<T>(inbox: &Inbox<T>) -> Vec<T> {
    std::iter::from_fn(|| inbox.try_recv().ok()).collect()
}

fn emit_all(bus: &Emitter, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert_eq!(bus.emit(&number).heard, 1);
    }
}

/// Runs `take` on a thread of its own that waits in it by the time `then` runs, as far as that can be told.
fn while_waiting<T: Send + 'static, R: Send + 'static>(
    inbox: Inbox<T>,
    take: fn(&Inbox<T>) -> R,
    then: impl FnOnce() + Send + 'static,
) -> R {
    in_time(move || {
        let taker = thread::spawn(move || take(&inbox));
        thread::sleep(MOMENT);
        then();
        taker.join().expect("no panic")
    })
}

// Taking

#[test]
fn events_come_in_the_order_they_were_emitted_each_once() {
    let bus = strict_bus();
    let inbox = bus.inbox::<u32>();
    emit_all(&bus, 0..100);
    assert_eq!(inbox.len(), 100);
    assert_eq!(take_all(&inbox), (0..100).collect::<Vec<_>>());
    assert!(inbox.is_empty());
    emit_all(&bus, 100..103);
    assert_eq!(take_all(&inbox), [100, 101, 102]);
}

#[test]
fn an_inbox_keeps_what_is_emitted_from_its_call_on_of_its_type_only() {
    let bus = strict_bus();
    assert_eq!(bus.emit(&1_u32).heard, 0);
    let inbox = bus.inbox::<u32>();
    assert_eq!(bus.emit(&2_u64).heard, 0);
    assert_eq!(bus.emit(&3_u32).heard, 1);
    assert_eq!(take_all(&inbox), [3]);
}

#[test]
fn an_inbox_counts_as_heard_and_as_a_listener() {
    let bus = strict_bus();
    let strays = Log::new();
    let stray = strays.clone();
    let _strays = bus.on_unheard(move |_| stray.add(()));
    let (_one, _two) = (bus.inbox::<u32>(), bus.inbox::<u32>());
    let _listener = bus.on(|_: &u32| {});
    let emission = bus.emit(&1_u32);
    assert_eq!((emission.heard, emission.failed, emission.deferred), (3, 0, 0));
    assert_eq!(bus.listen::<u32>().count(), 3);
    assert!(strays.take().is_empty());
}

#[test]
fn two_inboxes_each_get_every_event() {
    let bus = strict_bus();
    let (one, two) = (bus.inbox::<u32>(), bus.inbox::<u32>());
    assert_eq!(bus.emit(&7_u32).heard, 2);
    assert_eq!((take_all(&one), take_all(&two)), (vec![7], vec![7]));
}

#[test]
fn try_recv_says_whether_there_is_nothing_yet_or_nothing_ever() {
    let bus = strict_bus();
    let inbox = bus.inbox::<u32>();
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
    bus.emit(&1_u32);
    drop(bus);
    assert_eq!(inbox.try_recv(), Ok(1));
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn recv_timeout_waits_as_long_as_it_may_and_not_longer() {
    in_time(|| {
        let bus = strict_bus();
        let inbox = bus.inbox::<u32>();
        let start = Instant::now();
        assert_eq!(inbox.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= MOMENT);
        bus.emit(&1_u32);
        assert_eq!(inbox.recv_timeout(Duration::ZERO), Ok(1), "it looks once, whatever the time");
        assert_eq!(inbox.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        bus.emit(&2_u32);
        drop(bus);
        assert_eq!(inbox.recv_timeout(Duration::MAX), Ok(2));
        assert_eq!(inbox.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn iter_takes_events_until_the_inbox_has_ended() {
    in_time(|| {
        let bus = strict_bus();
        let inbox = bus.inbox::<u32>();
        emit_all(&bus, 1..=4);
        assert_eq!(inbox.iter().take(2).collect::<Vec<_>>(), [1, 2]);
        let mut rest = Vec::new();
        let mut bus = Some(bus);
        for number in &inbox {
            rest.push(number);
            drop(bus.take());
        }
        assert_eq!(rest, [3, 4]);
        assert_eq!(inbox.iter().next(), None);
    });
}

#[test]
fn an_event_that_is_send_but_not_sync_goes_from_thread_to_thread() {
    let bus = strict_bus();
    let inbox = bus.inbox::<Cell<u32>>();
    let number = Cell::new(7_u32);
    assert_eq!(bus.emit(&number).heard, 1);
    number.set(8);
    let taken = in_time(move || inbox.recv().map(Cell::into_inner));
    assert_eq!(taken, Some(7), "a copy of its own");
}

#[test]
fn debug_tells_the_type_and_how_many_are_kept_and_missed() {
    let bus = Emitter::new(hearken::ignore);
    let inbox = bus.listen::<u32>().capacity(2).inbox();
    emit_all(&bus, 0..3);
    assert_eq!(format!("{inbox:?}"), "Inbox { event: \"u32\", len: 2, missed: 1, .. }");
    assert!(format!("{:?}", inbox.iter()).starts_with("InboxIter(Inbox {"));
}

// Options

#[test]
fn a_filter_chooses_what_an_inbox_keeps() {
    let bus = strict_bus();
    let inbox = bus.listen::<u32>().filter(|number| number % 2 == 0).inbox();
    let heard: usize = (0..6_u32).map(|number| bus.emit(&number).heard).sum();
    assert_eq!((heard, take_all(&inbox)), (3, vec![0, 2, 4]));
}

#[test]
fn topics_narrow_an_inbox_in_whatever_way_it_is_begun() {
    type Begin = fn(&Emitter) -> Inbox<&'static str>;
    const WAYS: [(Begin, &[&str]); 5] = [
        (|bus| bus.inbox(), &["none", "a.b", "a.c", "a.b.c"]),
        (|bus| bus.topic("a.b").inbox(), &["a.b"]),
        (|bus| bus.topics("a.*").inbox(), &["a.b", "a.c"]),
        (|bus| bus.topics("a.**").listen().inbox(), &["a.b", "a.c", "a.b.c"]),
        (|bus| bus.listen().topics("a.c").topics("**.c").inbox(), &["a.c", "a.b.c"]),
    ];
    for (begin, expected) in WAYS {
        let bus = strict_bus();
        let inbox = begin(&bus);
        bus.emit(&"none");
        for topic in ["a.b", "a.c", "a.b.c"] {
            bus.topic(topic).emit(&topic);
        }
        assert_eq!(take_all(&inbox), expected);
    }
}

#[test]
fn an_inbox_with_a_limit_ends_after_so_many_events() {
    in_time(|| {
        let bus = strict_bus();
        let inbox = bus.listen::<u32>().times(2).inbox();
        let heard: usize = (1..=3_u32).map(|number| bus.emit(&number).heard).sum();
        assert_eq!(heard, 2);
        assert_eq!([inbox.recv(), inbox.recv(), inbox.recv()], [Some(1), Some(2), None]);
    });
}

#[test]
fn an_inbox_has_its_turn_by_its_priority() {
    for (priority, kept) in [(1, 1), (0, 0), (-1, 0)] {
        let bus = strict_bus();
        let seen = Log::new();
        let inbox = Arc::new(OnceLock::<Inbox<u32>>::new());
        let (note, look) = (seen.clone(), Arc::clone(&inbox));
        let _looks = bus.on(move |_: &u32| note.add(look.get().map(Inbox::len)));
        assert!(inbox.set(bus.listen().priority(priority).inbox()).is_ok());
        bus.emit(&1_u32);
        assert_eq!(seen.take(), [Some(kept)], "priority {priority}");
    }
}

#[test]
fn a_listener_that_stops_the_emission_keeps_it_from_the_inboxes_behind() {
    let bus = strict_bus();
    let before = bus.inbox::<u32>();
    let _stops = bus.on(|_: &u32| std::ops::ControlFlow::Break(()));
    let behind = bus.inbox::<u32>();
    assert_eq!(bus.emit(&1_u32).heard, 2);
    assert_eq!((before.len(), behind.len()), (1, 0));
}

#[test]
fn a_deferred_inbox_gets_what_is_emitted_when_the_bus_is_drained() {
    let bus = strict_bus();
    let inbox = bus.listen::<u32>().deferred().inbox();
    let emission = bus.emit(&1_u32);
    assert_eq!((emission.heard, emission.deferred), (0, 1));
    assert!(inbox.is_empty());
    assert_eq!(bus.drain().delivered, 1);
    assert_eq!(take_all(&inbox), [1]);
}

#[test]
fn an_inbox_gets_deferred_events_when_they_are_delivered() {
    let bus = strict_bus();
    let (plain, deferred) = (bus.inbox::<u32>(), bus.listen::<u32>().deferred().inbox());
    bus.defer(1_u32).expect("room");
    assert_eq!((plain.len(), deferred.len()), (0, 0));
    bus.drain();
    assert_eq!((take_all(&plain), take_all(&deferred)), (vec![1], vec![1]));
}

// Lagging

#[test]
fn an_inbox_keeps_the_latest_256_unless_told_otherwise() {
    let (bus, failures) = keeping_bus();
    let inbox = bus.inbox::<u32>();
    emit_all(&bus, 0..256);
    assert_eq!((inbox.len(), inbox.missed()), (256, 0));
    emit_all(&bus, 256..266);
    assert_eq!((inbox.len(), inbox.missed()), (256, 10));
    assert_eq!(take_all(&inbox), (10..266).collect::<Vec<_>>());
    assert_eq!(lost(&failures), [10]);
}

#[test]
fn a_capacity_is_how_many_are_kept() {
    for capacity in [1, 2, 1_000] {
        let bus = Emitter::new(hearken::ignore);
        let inbox = bus.listen::<u32>().capacity(capacity).inbox();
        emit_all(&bus, 0..2_000);
        assert_eq!((inbox.len(), inbox.missed()), (capacity, 2_000 - capacity as u64));
    }
    let bus = strict_bus();
    let inbox = bus.listen::<u32>().capacity(usize::MAX).inbox();
    emit_all(&bus, 0..2_000);
    assert_eq!(inbox.len(), 2_000);
}

#[test]
fn a_capacity_of_none_panics_at_the_callers_line() {
    let bus = strict_bus();
    let listen = bus.listen::<u32>();
    let line = line!() + 1;
    let caught = caught(|| drop(listen.capacity(0))).expect("a panic");
    assert_eq!(caught.message, "`capacity(0)` would hold no `u32`: ask for one or more");
    assert_eq!((&*caught.file, caught.line), (file!(), line));
}

#[test]
fn a_full_inbox_drops_the_oldest_or_the_newest_as_it_was_told() {
    for (overflow, kept) in [
        (Overflow::DropOldest, [2, 3]),
        (Overflow::DropNewest, [0, 1]),
        (Overflow::Reject, [0, 1]),
        (Overflow::Block, [0, 1]),
    ] {
        let (bus, failures) = keeping_bus();
        let inbox = bus.listen::<u32>().capacity(2).overflow(overflow).inbox();
        in_time(move || {
            emit_all(&bus, 0..4);
            assert_eq!(inbox.missed(), 2, "{overflow:?}");
            assert_eq!(take_all(&inbox), kept, "{overflow:?}");
            emit_all(&bus, 4..6);
            assert_eq!(take_all(&inbox), [4, 5], "{overflow:?}");
        });
        assert_eq!(lost(&failures), [2], "{overflow:?}");
    }
}

#[test]
fn emit_never_waits_not_even_while_another_thread_could_make_room() {
    in_time(|| {
        let bus = Emitter::new(hearken::ignore);
        let inbox = bus.listen::<u32>().capacity(1).overflow(Overflow::Block).inbox();
        let events = bus.spawn_loop("events").expect("a thread");
        let start = Instant::now();
        emit_all(&bus, 0..10_000);
        assert!(start.elapsed() < LONG);
        assert_eq!(inbox.missed(), 9_999);
        events.shutdown();
    });
}

#[test]
fn missed_counts_at_once_and_never_goes_back() {
    let (bus, failures) = keeping_bus();
    let inbox = bus.listen::<u32>().capacity(1).inbox();
    emit_all(&bus, [0]);
    assert_eq!(inbox.missed(), 0);
    for missed in 1..=3 {
        emit_all(&bus, [0]);
        assert_eq!(inbox.missed(), missed);
    }
    assert!(failures.take().is_empty(), "the gap is still open");
    assert_eq!(inbox.recv(), Some(0));
    assert_eq!(inbox.missed(), 3);
    emit_all(&bus, [0, 0]);
    assert_eq!(inbox.missed(), 4);
}

#[test]
fn each_gap_is_one_failure_told_when_the_next_event_is_taken() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        for take in TAKES {
            let (bus, failures) = keeping_bus();
            let inbox = bus.listen::<u32>().capacity(1).overflow(overflow).inbox();
            emit_all(&bus, 0..4);
            assert!(take(&inbox).is_some());
            assert_eq!(lost(&failures), [3]);
            emit_all(&bus, [0]);
            assert!(take(&inbox).is_some());
            assert_eq!(lost(&failures), [0; 0], "nothing was missed");
            emit_all(&bus, 0..3);
            assert!(take(&inbox).is_some());
            assert_eq!(lost(&failures), [2]);
            assert_eq!(inbox.missed(), 5);
        }
    }
}

#[test]
fn a_gap_names_the_inbox_its_place_and_the_first_emission_that_was_missed() {
    let (bus, failures) = keeping_bus();
    let added = line!() + 1;
    let inbox = bus.topics("a.*").listen::<u32>().capacity(1).named("slow reader").priority(3).inbox();
    let mut places = Vec::new();
    for _ in 0..3 {
        bus.topic("a.b").emit(&7_u32);
        places.push(line!() - 1);
    }
    let first = places[0];
    inbox.recv();
    let failures = failures.take();
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!((failure.event(), failure.emitted_at().line()), ("u32", first));
    let listener = failure.listener().expect("it has one");
    let place = listener.registered_at;
    assert_eq!((listener.name, listener.priority, listener.event), (Some("slow reader"), 3, "u32"));
    assert_eq!((place.file(), place.line()), (file!(), added));
    assert_eq!(listener.topics.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a.*"]);
    let text = failure.to_string();
    let start =
        format!("listener \"slow reader\" ({}:{added}) failed on u32 (emitted at {0}:{first}): 2 events", file!());
    assert!(text.starts_with(&start), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn every_way_to_begin_an_inbox_has_a_gap_name_the_callers_line() {
    type Begin = fn(&Emitter) -> (&'static Location<'static>, Inbox<u32>);
    #[track_caller]
    fn here<T>(inbox: T) -> (&'static Location<'static>, T) {
        (Location::caller(), inbox)
    }
    let ways: [Begin; 4] = [
        |bus| here(bus.inbox()),
        |bus| here(bus.listen().inbox()),
        |bus| here(bus.topic("a").inbox()),
        |bus| here(bus.topics("*").inbox()),
    ];
    for begin in ways {
        let (bus, failures) = keeping_bus();
        let (place, inbox) = begin(&bus);
        for _ in 0..257 {
            bus.topic("a").emit(&1_u32);
        }
        inbox.recv();
        let failures = failures.take();
        let [failure] = &failures[..] else { panic!("{failures:?}") };
        let named = failure.listener().expect("it has one").registered_at;
        assert_eq!((named.file(), named.line()), (place.file(), place.line()));
    }
}

#[test]
fn an_open_gap_is_told_when_the_inbox_goes() {
    let (bus, failures) = keeping_bus();
    let inbox = bus.listen::<u32>().capacity(1).inbox();
    emit_all(&bus, 0..3);
    assert!(failures.take().is_empty());
    drop(inbox);
    assert_eq!(lost(&failures), [2]);
    drop(bus);
    assert!(failures.take().is_empty(), "it was told");
}

#[test]
fn an_open_gap_is_told_when_the_bus_goes_and_when_it_lets_the_inbox_go() {
    let endings: [fn(&mut Option<Emitter>); 2] = [
        |bus| drop(bus.take()),
        |bus| {
            bus.as_ref().expect("it is there").off_all();
        },
    ];
    for end in endings {
        let (bus, failures) = keeping_bus();
        let mut bus = Some(bus);
        let inbox = bus.as_ref().expect("it is there").listen::<u32>().capacity(2).named("slow reader").inbox();
        emit_all(bus.as_ref().expect("it is there"), 0..5);
        end(&mut bus);
        let told = failures.take();
        let [failure] = &told[..] else { panic!("{told:?}") };
        assert!(matches!(failure.cause(), Cause::Lost { missed: 3 }), "{failure}");
        assert_eq!(failure.listener().expect("it has one").name, Some("slow reader"));
        assert_eq!((inbox.missed(), take_all(&inbox)), (3, vec![3, 4]));
        drop((inbox, bus));
        assert!(failures.take().is_empty(), "it was told");
    }
}

#[test]
fn a_bus_that_goes_tells_open_gaps_before_what_its_queue_loses() {
    let (bus, failures) = keeping_bus();
    let _inbox = bus.listen::<u32>().capacity(1).inbox();
    emit_all(&bus, 0..3);
    for event in ["one", "two", "three"] {
        bus.defer(event).expect("room");
    }
    drop(bus);
    assert_eq!(lost(&failures), [2, 3]);
}

#[test]
fn a_gap_is_told_though_an_event_is_taken_while_the_bus_goes() {
    let (bus, failures) = keeping_bus();
    let inbox = Arc::new(OnceLock::<Inbox<u32>>::new());
    // Goes with the bus, before the inbox's own end and behind it, and takes an event then.
    let takes = || {
        let inbox = Arc::clone(&inbox);
        let taker = OnDrop(move || keep(&inbox.get().map(Inbox::try_recv)));
        bus.on(move |_: &u32| keep(&taker)).detach();
    };
    takes();
    assert!(inbox.set(bus.listen().capacity(2).inbox()).is_ok());
    takes();
    for number in 0..5_u32 {
        bus.emit(&number);
    }
    drop(bus);
    assert_eq!(inbox.get().map(Inbox::missed), Some(3));
    assert_eq!(lost(&failures), [3]);
}

#[test]
fn while_one_thread_tells_of_a_gap_another_that_waited_gets_the_event() {
    in_time(|| {
        let (is_over, told) = channel::<()>();
        let told = Mutex::new(Some(told));
        // The first gap is told for as long as this test goes on.
        let bus = Emitter::new(move |_| {
            let told = told.lock().unwrap().take();
            told.map(|told| told.recv_timeout(LONG));
        });
        let inbox = Arc::new(bus.listen::<u32>().capacity(1).overflow(Overflow::DropNewest).inbox());
        let readers = [(); 2].map(|()| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || while inbox.recv().is_some() {})
        });
        thread::sleep(MOMENT);
        while inbox.missed() < 100 {
            emit_all(&bus, 0..200);
        }
        let start = Instant::now();
        while !inbox.is_empty() {
            assert!(start.elapsed() < LONG / 2, "nobody takes it");
            thread::yield_now();
        }
        drop((is_over, bus));
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_gap_is_told_by_the_thread_that_takes_the_next_event() {
    let (teller, told) = channel();
    let bus = Emitter::new(move |_| keep(&teller.send(thread::current().id())));
    let inbox = bus.listen::<u32>().capacity(1).inbox();
    emit_all(&bus, 0..2);
    let taker = thread::spawn(move || {
        inbox.recv();
        (thread::current().id(), inbox)
    });
    let (taker, _inbox) = in_time(move || taker.join().expect("no panic"));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [taker]);
}

/// What listeners of failures hear, and what the error channel, of a gap of two that ends so.
#[track_caller]
fn gap_heard_when(it_ends: fn(Inbox<u32>)) -> (Vec<u64>, Vec<u64>) {
    let (bus, failures) = keeping_bus();
    let heard = Log::new();
    let log = heard.clone();
    let _failures = bus.on_failure(move |failure: &Failure| log.add(failure.clone()));
    let inbox = bus.listen::<u32>().capacity(1).inbox();
    emit_all(&bus, 0..3);
    it_ends(inbox);
    (lost(&heard), lost(&failures))
}

#[test]
fn listeners_of_failures_hear_of_a_gap_when_the_next_event_is_taken() {
    assert_eq!(gap_heard_when(|inbox| assert_eq!(inbox.recv(), Some(2))), (vec![2], vec![2]));
}

#[test]
fn listeners_of_failures_hear_of_a_gap_when_the_inbox_goes() {
    assert_eq!(gap_heard_when(drop), (vec![2], vec![2]));
}

#[test]
fn a_failing_bus_does_not_count_a_gap_as_a_failed_listener() {
    let (bus, failures) = keeping_bus();
    let inbox = bus.listen::<u32>().capacity(1).inbox();
    let failed: usize = (0..3_u32).map(|number| bus.emit(&number).failed).sum();
    assert_eq!((failed, inbox.missed()), (0, 2));
    let _fails = bus.on(|_: &u32| fail("an error"));
    assert_eq!(bus.emit(&3_u32).failed, 1);
    assert_eq!(failures.take().len(), 1);
    drop(inbox);
}

#[test]
fn with_the_panicking_channel_a_gap_panics_at_the_line_that_takes() {
    let bus = strict_bus();
    let inbox = bus.listen::<u32>().capacity(1).named("slow reader").inbox();
    let takes: [(u32, Take); 3] = [
        (line!(), |inbox| inbox.recv()),
        (line!(), |inbox| inbox.try_recv().ok()),
        (line!(), |inbox| inbox.recv_timeout(LONG).ok()),
    ];
    for (line, take) in takes {
        emit_all(&bus, 0..2);
        let caught = caught(|| take(&inbox)).expect("a panic");
        assert_eq!((&*caught.file, caught.line), (file!(), line));
        assert!(caught.message.contains("slow reader"), "{}", caught.message);
        assert_eq!(inbox.recv(), Some(1), "the event was not taken yet");
    }
}

#[test]
fn with_the_panicking_channel_no_destructor_panics() {
    let bus = strict_bus();
    let inbox = bus.listen::<u32>().capacity(1).inbox();
    emit_all(&bus, 0..2);
    drop(inbox);
    let _inbox = bus.listen::<u32>().capacity(1).inbox();
    emit_all(&bus, 0..2);
    drop(bus);
}

// Ending

#[test]
fn an_inbox_ends_with_its_bus_after_what_it_keeps() {
    in_time(|| {
        let bus = strict_bus();
        let inbox = bus.inbox::<u32>();
        emit_all(&bus, 1..=2);
        drop(bus);
        assert_eq!(inbox.len(), 2);
        assert_eq!([inbox.recv(), inbox.recv(), inbox.recv(), inbox.recv()], [Some(1), Some(2), None, None]);
    });
}

#[test]
fn an_inbox_ends_when_the_bus_removes_all_listeners() {
    in_time(|| {
        let bus = strict_bus();
        let inbox = bus.inbox::<u32>();
        emit_all(&bus, [1]);
        assert_eq!(bus.off_all(), 1);
        assert_eq!(bus.emit(&2_u32).heard, 0);
        assert_eq!([inbox.recv(), inbox.recv()], [Some(1), None]);
    });
}

#[test]
fn close_ends_no_inbox() {
    let bus = strict_bus();
    let inbox = bus.inbox::<u32>();
    bus.close();
    emit_all(&bus, [1]);
    assert_eq!(take_all(&inbox), [1]);
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn an_inbox_does_not_keep_its_bus_alive() {
    let bus = strict_bus();
    let weak = bus.downgrade();
    let inbox = bus.inbox::<u32>();
    drop(bus);
    assert!(weak.upgrade().is_none());
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn dropping_an_inbox_unsubscribes_it_and_drops_what_it_keeps() {
    let (bus, drops) = (strict_bus(), Drops::new());
    let inbox = bus.inbox::<Arc<Token>>();
    assert_eq!(bus.emit(&Arc::new(drops.token())).heard, 1);
    assert_eq!(drops.count(), 0);
    drop(inbox);
    assert_eq!(drops.count(), 1);
    assert_eq!(bus.emit(&Arc::new(drops.token())).heard, 0);
    assert_eq!(bus.off_all(), 0);
}

#[test]
fn an_inbox_may_be_dropped_after_its_bus_and_in_a_listener() {
    let bus = strict_bus();
    let inbox = bus.inbox::<u32>();
    drop(bus);
    drop(inbox);

    let bus = strict_bus();
    let inbox = Mutex::new(None);
    let inbox = Arc::new(inbox);
    let drops = Arc::clone(&inbox);
    let _drops = bus.on(move |_: &u32| drop(drops.lock().expect("no panic").take()));
    *inbox.lock().expect("no panic") = Some(bus.inbox::<u32>());
    assert_eq!(bus.emit(&1_u32).heard, 1, "it was dropped before its turn");
    assert_eq!(bus.listen::<u32>().count(), 1);
}

// Threads

#[test]
fn a_thread_that_waits_wakes_when_an_event_comes() {
    for take in WAITS {
        let bus = strict_bus();
        let inbox = bus.inbox();
        let same_bus = bus.clone();
        let taken = while_waiting(inbox, take, move || keep(&same_bus.emit(&7_u32)));
        assert_eq!(taken, Some(7));
        // Not before: its end would wake the thread too.
        drop(bus);
    }
}

#[test]
fn a_thread_that_waits_wakes_when_the_bus_goes_and_when_it_removes_all_listeners() {
    for take in WAITS {
        let bus = strict_bus();
        let inbox = bus.inbox();
        assert_eq!(while_waiting(inbox, take, move || drop(bus)), None);

        let bus = strict_bus();
        let inbox = bus.inbox();
        let same_bus = bus.clone();
        assert_eq!(while_waiting(inbox, take, move || keep(&same_bus.off_all())), None);
        drop(bus);
    }
}

#[test]
fn all_threads_that_wait_wake_when_the_bus_goes() {
    in_time(|| {
        let bus = strict_bus();
        let inbox = Arc::new(bus.inbox::<u32>());
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let inbox = Arc::clone(&inbox);
                thread::spawn(move || inbox.recv())
            })
            .collect();
        thread::sleep(MOMENT);
        drop(bus);
        assert!(takers.into_iter().all(|taker| taker.join().expect("no panic").is_none()));
    });
}

#[test]
fn threads_that_share_an_inbox_take_each_event_once_and_each_in_order() {
    const SPEAKERS: u32 = 3;
    const EACH: u32 = if cfg!(miri) { 20 } else { 5_000 };
    in_time(|| {
        let bus = strict_bus();
        let inbox = bus.listen::<u32>().capacity(usize::MAX).inbox();
        let inbox = &inbox;
        let taken: Vec<Vec<u32>> = thread::scope(|threads| {
            let takers: Vec<_> = (0..3).map(|_| threads.spawn(|| inbox.iter().collect::<Vec<_>>())).collect();
            for speaker in 0..SPEAKERS {
                let bus = bus.clone();
                threads.spawn(move || emit_all(&bus, (0..EACH).map(|number| speaker * EACH + number)));
            }
            drop(bus);
            takers.into_iter().map(|taker| taker.join().expect("no panic")).collect()
        });
        for (taker, speaker) in taken.iter().flat_map(|taker| (0..SPEAKERS).map(move |speaker| (taker, speaker))) {
            assert!(taker.iter().filter(|number| *number / EACH == speaker).is_sorted());
        }
        let all: Vec<_> = taken.concat();
        let spoken: HashSet<_> = (0..SPEAKERS * EACH).collect();
        assert_eq!(all.len(), spoken.len());
        assert_eq!(all.into_iter().collect::<HashSet<_>>(), spoken);
    });
}

#[test]
fn under_threads_what_is_taken_and_what_is_told_lost_add_up() {
    const SPEAKERS: u64 = 2;
    const EACH: u64 = if cfg!(miri) { 50 } else { 20_000 };
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let (bus, failures) = keeping_bus();
        let inbox = bus.listen::<u64>().capacity(3).overflow(overflow).inbox();
        let (taken, missed) = in_time(move || {
            thread::scope(|threads| {
                let takers: Vec<_> = (0..2).map(|_| threads.spawn(|| inbox.iter().count() as u64)).collect();
                for _ in 0..SPEAKERS {
                    let bus = bus.clone();
                    threads.spawn(move || (0..EACH).for_each(|number| keep(&bus.emit(&number))));
                }
                drop(bus);
                let taken: u64 = takers.into_iter().map(|taker| taker.join().expect("no panic")).sum();
                (taken, inbox.missed())
            })
        });
        assert_eq!(taken + missed, SPEAKERS * EACH, "{overflow:?}");
        assert_eq!(lost(&failures).iter().sum::<u64>(), missed, "{overflow:?}");
    }
}

#[test]
fn inboxes_that_come_and_go_beside_emissions_lose_nothing_in_silence() {
    in_time(|| {
        let (bus, failures) = keeping_bus();
        let is_over = Arc::new(AtomicBool::new(false));
        let speaker = thread::spawn({
            let (bus, is_over) = (bus.clone(), Arc::clone(&is_over));
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    bus.emit(&1_u32);
                }
            }
        });
        let mut missed = 0;
        for _ in 0..if cfg!(miri) { 5 } else { 500 } {
            let inbox = bus.listen::<u32>().capacity(1).inbox();
            while inbox.missed() < 3 {
                thread::yield_now();
            }
            // Off first, so that the count stays.
            bus.off_all();
            while inbox.recv().is_some() {}
            missed += inbox.missed();
        }
        is_over.store(true, Ordering::Relaxed);
        speaker.join().expect("no panic");
        assert_eq!(lost(&failures).iter().sum::<u64>(), missed);
    });
}

// User code inside

/// Says what it is told to when it is cloned and when it is dropped.
struct Spy {
    cloned: Arc<dyn Fn() + Send + Sync>,
    dropped: Arc<dyn Fn() + Send + Sync>,
}

impl Clone for Spy {
    fn clone(&self) -> Self {
        (self.cloned)();
        Self { cloned: Arc::clone(&self.cloned), dropped: Arc::clone(&self.dropped) }
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        (self.dropped)();
    }
}

#[test]
fn no_lock_is_held_while_an_event_is_cloned_or_dropped_or_a_gap_is_told() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        in_time(move || {
            let inbox = Arc::new(OnceLock::<Inbox<Spy>>::new());
            let looks = Arc::new(AtomicU32::new(0));
            // From another thread too: a lock that may be taken twice by one thread would hide.
            let look: Arc<dyn Fn() + Send + Sync> = Arc::new({
                let (inbox, looks) = (Arc::downgrade(&inbox), Arc::clone(&looks));
                move || {
                    let Some(inbox) = inbox.upgrade() else { return };
                    let looker = thread::spawn(move || inbox.get().map(Inbox::len));
                    looker.join().expect("no panic");
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
            let tell = Arc::clone(&look);
            let bus = Emitter::new(move |_| tell());
            assert!(inbox.set(bus.listen().capacity(1).overflow(overflow).inbox()).is_ok());
            let spy = Spy { cloned: Arc::clone(&look), dropped: look };
            bus.emit(&spy);
            assert_eq!(looks.load(Ordering::Relaxed), 1, "a clone");
            bus.emit(&spy);
            assert_eq!(looks.load(Ordering::Relaxed), 3, "a clone, and one dropped");
            let taken = inbox.get().and_then(Inbox::recv);
            assert_eq!(looks.load(Ordering::Relaxed), 4, "the gap told");
            drop((taken, spy));
        });
    }
}

#[test]
fn the_error_channel_may_take_from_the_inbox_whose_gap_it_is_told() {
    in_time(|| {
        let inbox = Arc::new(OnceLock::<Inbox<u32>>::new());
        let (same_inbox, taken) = (Arc::clone(&inbox), Log::new());
        let note = taken.clone();
        let bus = Emitter::new(move |_| note.add(same_inbox.get().and_then(|inbox| inbox.try_recv().ok())));
        assert!(inbox.set(bus.listen().capacity(2).inbox()).is_ok());
        for number in 0..3_u32 {
            bus.emit(&number);
        }
        assert_eq!(inbox.get().and_then(Inbox::recv), Some(2));
        assert_eq!(taken.take(), [Some(1)], "the gap comes before the event behind it");
    });
}

#[test]
fn an_event_whose_clone_panics_is_a_failure_and_the_inbox_goes_on() {
    struct Fragile(u32);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(self.0 != 2, "it broke");
            Self(self.0)
        }
    }
    let (bus, failures) = logging_bus();
    let inbox = bus.inbox::<Fragile>();
    let failed: Vec<_> = (1..=3).map(|number| bus.emit(&Fragile(number)).failed).collect();
    assert_eq!((failed, failures.take()), (vec![0, 1, 0], vec!["it broke".to_owned()]));
    assert_eq!(take_all(&inbox).into_iter().map(|event| event.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(inbox.missed(), 0);
}

#[test]
fn an_event_whose_drop_panics_breaks_neither_the_bus_nor_the_inbox() {
    let (bus, failures) = keeping_bus();
    let inbox = bus.listen::<Arc<Bomb>>().capacity(1).inbox();
    for _ in 0..3 {
        bus.emit(&Arc::new(Bomb("an event's destructor")));
    }
    let caught = caught(|| drop(inbox.recv().expect("the last one"))).expect("it was the caller's");
    assert_eq!(caught.message, "an event's destructor");
    assert_eq!(inbox.missed(), 2);
    let causes: Vec<_> = failures.take().iter().map(|failure| matches!(failure.cause(), Cause::Lost { .. })).collect();
    assert_eq!(causes.into_iter().filter(|is_lost| *is_lost).count(), 1);
    let harmless = bus.inbox::<u32>();
    assert_eq!(bus.emit(&1_u32).heard, 1);
    assert_eq!(harmless.recv(), Some(1));
}

#[test]
fn an_inbox_dropped_with_an_event_whose_drop_panics_unsubscribes_all_the_same() {
    let (bus, _failures) = keeping_bus();
    let inbox = bus.inbox::<Arc<Bomb>>();
    bus.emit(&Arc::new(Bomb("an event's destructor")));
    caught(|| drop(inbox));
    assert_eq!(bus.listen::<Arc<Bomb>>().count(), 0);
    let harmless = bus.inbox::<u32>();
    assert_eq!(bus.emit(&1_u32).heard, 1);
    assert_eq!(harmless.recv(), Some(1));
}

/// The options come in any order, and end in an inbox.
#[test]
fn options_add_up() {
    let (bus, failures) = keeping_bus();
    let listen: Listen<'_, u32> = bus.topics("n.*").listen();
    let inbox = listen
        .overflow(Overflow::DropNewest)
        .times(4)
        .named("some")
        .capacity(2)
        .filter(|number| *number > 1)
        .priority(9)
        .inbox();
    let heard: usize = (0..9_u32).map(|number| bus.topic("n.a").emit(&number).heard).sum();
    assert_eq!((heard, take_all(&inbox)), (4, vec![2, 3]));
    assert_eq!(lost(&failures), [2]);
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
}
