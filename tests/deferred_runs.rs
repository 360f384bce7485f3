//! Events that were deferred one after the other, at one place: what they have in common may be looked up once for all of them, and yet
//! each is delivered as if it were alone.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{Bomb, Drops, Log, caught, in_time, strict_bus};
use hearken::{Context, EmissionId, Emitter, WeakEmitter};

const TOPICS: [Option<&str>; 2] = [None, Some("run.of.some")];

/// Each number, from one place.
fn defer(bus: &Emitter, topic: Option<&str>, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        match topic {
            None => bus.defer(number).unwrap(),
            Some(topic) => bus.topic(topic).defer(number).unwrap(),
        }
    }
}

/// What its context says of an emission.
fn chain(cx: &Context<'_>) -> (EmissionId, Option<EmissionId>, EmissionId, usize) {
    (cx.id(), cx.cause(), cx.origin(), cx.depth())
}

#[test]
fn each_is_an_emission_of_its_own() {
    let (bus, log) = (strict_bus(), Log::new());
    let chains = log.clone();
    let _hears = bus.on_with(move |_: &u32, cx| chains.add(chain(cx)));
    defer(&bus, None, 0..3);
    bus.drain();
    let alone = log.take();
    for &(id, cause, origin, depth) in &alone {
        assert_eq!((cause, origin, depth), (None, id, 1));
    }
    let before = Log::new();
    let says = before.clone();
    let _defers = bus.on_with(move |_: &char, cx: &Context<'_>| {
        says.add(cx.id());
        defer(cx.emitter(), None, 0..3);
    });
    bus.emit(&'a');
    bus.drain();
    let [before] = before.take()[..] else { panic!("one emission") };
    let caused = log.take();
    for &(id, cause, origin, depth) in &caused {
        assert!(id != before);
        assert_eq!((cause, origin, depth), (Some(before), before, 1));
    }
    let mut ids: Vec<_> = alone.iter().chain(&caused).map(|&(id, ..)| id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn who_comes_and_goes_while_one_is_delivered_counts_for_the_next() {
    for topic in TOPICS {
        let (bus, log) = (strict_bus(), Log::new());
        let (old, new) = (log.clone(), log.clone());
        let leaves = bus.topics("**").on(move |n: &u32| old.add(("old on a topic", *n))).detach();
        let old = log.clone();
        let leaves_too = bus.on(move |n: &u32| old.add(("old", *n))).detach();
        let _swap = bus.on_with(move |n: &u32, cx: &Context<'_>| {
            if *n == 1 {
                let bus = cx.emitter();
                assert!(bus.off(leaves) && bus.off(leaves_too));
                let on_topic = new.clone();
                bus.topics("run.**").on(move |n: &u32| on_topic.add(("new on a topic", *n))).detach();
                let new = new.clone();
                bus.on(move |n: &u32| new.add(("new", *n))).detach();
            }
        });
        defer(&bus, topic, 0..4);
        assert_eq!(bus.drain().delivered, 4);
        let mut expected = vec![("old", 0), ("old", 1), ("new", 2), ("new", 3)];
        if topic.is_some() {
            let on_topic = [("old on a topic", 0), ("old on a topic", 1), ("new on a topic", 2), ("new on a topic", 3)];
            // Who came first goes first.
            expected = on_topic.into_iter().zip(expected).flat_map(|(on_topic, wide)| [on_topic, wide]).collect();
        }
        assert_eq!(log.take(), expected, "{topic:?}");
    }
}

#[test]
fn who_is_removed_in_one_is_gone_before_the_next() {
    for topic in TOPICS {
        let (bus, drops, log) = (strict_bus(), Drops::new(), Log::new());
        let token = drops.token();
        let listen = bus.listen().times(1);
        let listen = topic.into_iter().fold(listen, |listen, topic| listen.topics(topic));
        let _once = listen.on(move |_: &u32| _ = &token);
        let (count, seen) = (drops.clone(), log.clone());
        let _looks = bus.on(move |n: &u32| seen.add((*n, count.count())));
        defer(&bus, topic, 0..3);
        bus.drain();
        assert_eq!(log.take(), [(0, 0), (1, 1), (2, 1)], "{topic:?}");
    }
}

/// An event that emits when it is dropped.
struct Parting(WeakEmitter);

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.upgrade().unwrap().emit(&"dropped");
    }
}

fn defer_partings(bus: &Emitter, count: u32) {
    (0..count).for_each(|_| bus.defer(Parting(bus.downgrade())).unwrap());
}

#[test]
fn what_a_listener_emits_is_a_part_of_the_one_it_hears_and_what_its_destructor_emits_of_none() {
    let (bus, ids, log) = (strict_bus(), Log::new(), Log::new());
    let (parts, chains) = (ids.clone(), log.clone());
    let _says = bus.on_with(move |_: &Parting, cx| {
        parts.add(cx.id());
        cx.emitter().emit(&"heard");
    });
    let _hears = bus.on_with(move |what: &&str, cx| chains.add((*what, chain(cx))));
    defer_partings(&bus, 3);
    bus.drain();
    let (ids, heard) = (ids.take(), log.take());
    assert_eq!((ids.len(), heard.len()), (3, 6));
    for (id, pair) in ids.into_iter().zip(heard.chunks(2)) {
        let [("heard", (_, cause, origin, depth)), ("dropped", alone)] = *pair else { panic!("{pair:?}") };
        assert_eq!((cause, origin, depth), (Some(id), id, 2));
        assert_eq!(alone, (alone.0, None, alone.0, 1));
    }
}

#[test]
fn what_failed_in_one_is_raised_at_the_end_and_not_by_what_its_destructor_emits() {
    let bus = strict_bus();
    let _fails = bus.on(|_: &Parting| -> () { panic!("on purpose") });
    let _hears = bus.on(|_: &&str| {});
    defer_partings(&bus, 2);
    let raised = caught(|| bus.drain()).unwrap().message;
    assert_eq!((raised.matches("on purpose").count(), bus.suppressed_failures()), (2, 0), "{raised}");
}

#[test]
fn what_fails_while_one_is_dropped_inside_an_emission_is_raised_at_its_end() {
    let (inner, outer) = (strict_bus(), strict_bus());
    let _hears = inner.on(|_: &Parting| {});
    let _fails = inner.on(|_: &&str| -> () { panic!("on purpose") });
    defer_partings(&inner, 1);
    let weak = inner.downgrade();
    let _drains = outer.on(move |_: &u32| assert_eq!(weak.upgrade().unwrap().drain().delivered, 1));
    let raised = caught(|| outer.emit(&0_u32)).unwrap().message;
    assert!(raised.contains("on purpose"), "{raised}");
}

#[test]
fn a_panic_in_one_leaves_the_next_whole() {
    let (bus, log, failures) = (Emitter::new(hearken::ignore), Log::new(), Log::new());
    let (chains, told) = (log.clone(), failures.clone());
    let _panics = bus.on(|n: &u32| assert!(n.is_multiple_of(2), "odd"));
    let _hears = bus.on_with(move |n: &u32, cx| chains.add((*n, cx.depth(), cx.origin() == cx.id())));
    let _failures = bus.on_failure(move |failure| told.add(failure.event()));
    defer(&bus, None, 0..4);
    assert_eq!(bus.drain().delivered, 4);
    assert_eq!(log.take(), [(0, 1, true), (1, 1, true), (2, 1, true), (3, 1, true)]);
    assert_eq!(failures.take().len(), 2);
}

#[test]
fn too_deep_fails_each_and_drops_it() {
    let log = Log::new();
    let told = log.clone();
    let inner = hearken::Builder::new().max_depth(1);
    let inner = inner.build(move |failure: hearken::Failure| told.add(failure.to_string()));
    let _hears = inner.on(|_: &Bomb| panic!("too deep to hear"));
    (0..3).for_each(|_| inner.defer(Bomb("on purpose")).unwrap());
    let (outer, weak) = (strict_bus(), inner.downgrade());
    let _drains = outer.on(move |_: &u32| assert_eq!(weak.upgrade().unwrap().drain().delivered, 3));
    outer.emit(&0_u32);
    assert_eq!((log.take().len(), inner.suppressed_failures()), (3, 3), "failures and destructors that panicked");
}

#[test]
fn off_and_wait_waits_for_the_one_that_is_delivered_and_not_for_the_next() {
    in_time(|| {
        let bus = strict_bus();
        let [is_off, is_over] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let wait_for = |flag: &AtomicBool| {
            while !flag.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        };
        let leaves = bus.on(|_: &u32| {});
        let (id, off, over) = (leaves.id(), Arc::clone(&is_off), Arc::clone(&is_over));
        let _waits = bus.on_with(move |n: &u32, cx: &Context<'_>| {
            if *n == 0 {
                cx.emitter().off(id);
                off.store(true, Ordering::SeqCst);
            } else {
                wait_for(&over);
            }
        });
        defer(&bus, None, 0..2);
        thread::scope(|threads| {
            threads.spawn(|| bus.drain());
            wait_for(&is_off);
            leaves.off_and_wait().unwrap();
            is_over.store(true, Ordering::SeqCst);
        });
    });
}
