//! Chains: what every emission knows of where it comes from, on whichever way it came.

mod common;

use std::thread;
use std::time::Duration;

use common::{Log, fail, keep, strict_bus};
use hearken::{
    AnyEvent, Builder, Cause, Clock, Context, EmissionId, Emitter, Failure, Inbox, Overflow, Subscription, Timer,
};

const SECOND: Duration = Duration::from_secs(1);

/// Begins a chain.
#[derive(Clone)]
struct Begin;

/// Is said in the emission of a `Begin`.
#[derive(Clone)]
struct Next;

/// Has the queue drained.
struct Drain;

/// One emission, as its context tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Link {
    id: EmissionId,
    cause: Option<EmissionId>,
    origin: EmissionId,
    depth: usize,
    topic: Option<String>,
    line: u32,
}

impl Link {
    fn of(cx: &Context<'_>) -> Self {
        Self {
            id: cx.id(),
            cause: cx.cause(),
            origin: cx.origin(),
            depth: cx.depth(),
            topic: cx.topic().map(str::to_owned),
            line: cx.emitted_at().line(),
        }
    }

    #[track_caller]
    fn begins_a_chain(&self) {
        assert_eq!((self.cause, self.origin), (None, self.id), "{self:?}");
    }

    #[track_caller]
    fn comes_of(&self, cause: &Self) {
        assert_eq!((self.cause, self.origin), (Some(cause.id), cause.origin), "{self:?} of {cause:?}");
        assert_ne!(self.id, cause.id);
    }
}

/// Notes every emission of a `T`.
fn note<T: 'static>(bus: &Emitter, links: &Log<Link>) -> Subscription {
    let links = links.clone();
    bus.on_with(move |_: &T, cx| links.add(Link::of(cx)))
}

/// What comes of this when it is said in an emission, now and when the bus's queue is drained, two seconds long: by another thread, inside an
/// emission that has nothing to do with it. The `Next`s; each is in the chain.
#[track_caller]
fn what_comes_of(say: impl Fn(&Emitter) + Send + Sync + 'static) -> Vec<Link> {
    let clock = Clock::manual();
    let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
    let links = Log::new();
    let begins = links.clone();
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        say(cx.emitter());
    });
    let _next = note::<Next>(&bus, &links);
    let _drains = bus.on_with(|_: &Drain, cx| keep(&cx.emitter().drain()));
    bus.emit(&Begin);
    for _ in 0..3 {
        thread::scope(|threads| threads.spawn(|| bus.emit(&Drain)).join().expect("no panic"));
        clock.advance(SECOND);
    }
    let mut links = links.take();
    let begin = links.remove(0);
    begin.begins_a_chain();
    for next in &links {
        next.comes_of(&begin);
    }
    links
}

fn depths(links: &[Link]) -> Vec<usize> {
    links.iter().map(|link| link.depth).collect()
}

fn topics(links: &[Link]) -> Vec<Option<&str>> {
    links.iter().map(|link| link.topic.as_deref()).collect()
}

// Now

#[test]
fn a_nested_emission_names_its_cause_and_the_origin_of_the_chain() {
    let (bus, links) = (strict_bus(), Log::new());
    let (first, second) = (links.clone(), links.clone());
    let _first = bus.on_with(move |_: &u8, cx| {
        first.add(Link::of(cx));
        cx.emitter().emit(&2_u16);
        cx.emitter().emit(&3_u32);
    });
    let _second = bus.on_with(move |_: &u16, cx| {
        second.add(Link::of(cx));
        cx.emitter().topic("a").emit(&3_u32);
    });
    let _third = note::<u32>(&bus, &links);
    for _ in 0..2 {
        bus.emit(&1_u8);
        let [one, two, three, beside] = &links.take()[..] else { panic!("four emissions") };
        one.begins_a_chain();
        two.comes_of(one);
        three.comes_of(two);
        beside.comes_of(one);
        assert_eq!([one, two, three, beside].map(|link| link.depth), [1, 2, 3, 2]);
    }
}

#[test]
fn an_emit_through_a_captured_clone_or_on_another_bus_is_in_the_chain_too() {
    let (bus, other, links) = (strict_bus(), strict_bus(), Log::new());
    let (outer, on_other) = (links.clone(), links.clone());
    let (captured, hop) = (bus.downgrade(), other.clone());
    let _outer = bus.on_with(move |_: &Begin, cx| {
        outer.add(Link::of(cx));
        hop.emit(&Next);
    });
    let _hop = other.on_with(move |_: &Next, cx| {
        on_other.add(Link::of(cx));
        captured.upgrade().expect("it is emitting").emit(&"thanks");
    });
    let _inner = note::<&str>(&bus, &links);
    bus.emit(&Begin);
    let [one, two, three] = &links.take()[..] else { panic!("three emissions") };
    two.comes_of(one);
    three.comes_of(two);
    assert_eq!([one, two, three].map(|link| link.depth), [1, 2, 3]);
}

#[test]
fn what_is_deferred_on_another_bus_is_in_the_chain_too() {
    let (bus, other, links) = (strict_bus(), strict_bus(), Log::new());
    let (begins, queue) = (links.clone(), other.clone());
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        queue.defer(Next).unwrap();
    });
    let _next = note::<Next>(&other, &links);
    bus.emit(&Begin);
    other.drain();
    let [begin, next] = &links.take()[..] else { panic!("two emissions") };
    next.comes_of(begin);
    assert_eq!(next.depth, 1);
}

#[test]
fn what_a_port_says_is_in_the_chain_it_is_said_in() {
    let nexts = what_comes_of(|bus| {
        bus.port().emit(&Next);
        bus.topic("a").port().emit(&Next);
        bus.port().defer(Next).unwrap();
        bus.topic("b").port().defer(Next).unwrap();
    });
    assert_eq!(topics(&nexts), [None, Some("a"), None, Some("b")]);
}

#[test]
fn every_kind_of_listener_is_told_of_the_same_emission() {
    let (bus, links) = (strict_bus(), Log::new());
    let _typed = note::<Next>(&bus, &links);
    let (once, any) = (links.clone(), links.clone());
    let _once = bus.topics("*").once_with(move |_: &Next, cx| once.add(Link::of(cx)));
    let _any = bus.on_any(move |event: &AnyEvent<'_>| any.add(Link::of(event.context())));
    let inbox: Inbox<Next, _> = bus.inbox::<Next>().envelopes();
    bus.topic("a").emit(&Next);
    let [link, others @ ..] = &links.take()[..] else { panic!("three heard") };
    assert_eq!(others, [link.clone(), link.clone()]);
    let envelope = inbox.try_recv().expect("one");
    assert_eq!((envelope.id, envelope.cause, envelope.origin), (link.id, link.cause, link.origin));
    assert_eq!((envelope.topic.as_deref(), envelope.emitted_at.line()), (Some("a"), link.line));
}

#[test]
fn what_nobody_heard_is_told_of_its_chain_too() {
    let (bus, links) = (strict_bus(), Log::new());
    let (begins, unheard) = (links.clone(), links.clone());
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        cx.emitter().emit(&Next);
    });
    let _unheard = bus.on_unheard(move |event: &AnyEvent<'_>| unheard.add(Link::of(event.context())));
    bus.emit(&Begin);
    let [begin, next] = &links.take()[..] else { panic!("two emissions") };
    next.comes_of(begin);
}

#[test]
fn a_panic_ends_a_chain_where_its_emission_ends() {
    let (bus, links) = (Emitter::new(hearken::ignore), Log::new());
    let _panics = bus.on(|_: &Begin| panic!("on purpose"));
    let _begin = note::<Begin>(&bus, &links);
    bus.emit(&Begin);
    bus.emit(&Begin);
    links.take().iter().for_each(Link::begins_a_chain);
}

// Later

#[test]
fn a_deferred_event_has_the_cause_and_the_origin_it_was_deferred_with() {
    let nexts = what_comes_of(|bus| {
        bus.defer(Next).unwrap();
        bus.topic("a").defer(Next).unwrap();
    });
    assert_eq!((topics(&nexts), depths(&nexts)), (vec![None, Some("a")], vec![2, 2]));
    assert_ne!(nexts[0].id, nexts[1].id);

    let (bus, links) = (strict_bus(), Log::new());
    let _next = note::<Next>(&bus, &links);
    bus.defer(Next).unwrap();
    bus.drain();
    links.take()[0].begins_a_chain();
}

#[test]
fn a_timer_keeps_its_topic_its_place_and_its_cause() {
    let line = line!() + 2;
    let nexts = what_comes_of(|bus| {
        bus.defer_in(SECOND, Next).detach();
        bus.topic("a").defer_in(SECOND, Next).detach();
    });
    assert_eq!(topics(&nexts), [None, Some("a")]);
    assert_eq!(nexts.iter().map(|next| next.line).collect::<Vec<_>>(), [line, line + 1]);
}

#[test]
fn each_firing_of_a_repeating_timer_is_an_emission_of_its_own_with_the_cause_it_was_set_with() {
    let line = line!() + 1;
    let nexts = what_comes_of(|bus| bus.topic("a").defer_every(SECOND, Next).detach());
    let [first, second] = &nexts[..] else { panic!("it fires twice in two seconds") };
    assert_ne!(first.id, second.id);
    assert_eq!((topics(&nexts), first.line, second.line), (vec![Some("a"); 2], line, line));
}

#[test]
fn a_deferred_listeners_turn_is_a_part_of_the_emission_that_picked_it() {
    let (bus, links) = (strict_bus(), Log::new());
    let (begins, late) = (links.clone(), links.clone());
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        cx.emitter().topic("a").emit(&Next);
    });
    let _now = note::<Next>(&bus, &links);
    let _late = bus.listen().deferred().on_with(move |_: &Next, cx| {
        late.add(Link::of(cx));
        cx.emitter().emit(&"of the turn");
    });
    let _behind = note::<&str>(&bus, &links);
    bus.emit(&Begin);
    thread::scope(|threads| threads.spawn(|| bus.drain()).join().expect("no panic"));
    let [begin, now, late, behind] = &links.take()[..] else { panic!("four heard") };
    now.comes_of(begin);
    assert_eq!((now.depth, now.topic.as_deref()), (2, Some("a")));
    assert_eq!(late, &Link { depth: 1, ..now.clone() });
    behind.comes_of(late);
}

// Failures

/// A bus, the emissions in which its failures are heard, and the emission that each failure names.
fn trouble(make: Builder) -> (Emitter, Log<Link>, Log<Option<EmissionId>>) {
    let bus = make.build(hearken::ignore);
    let (links, failed) = (Log::new(), Log::new());
    let (link, name) = (links.clone(), failed.clone());
    bus.on_with(move |failure: &Failure, cx| {
        name.add(failure.emission());
        link.add(Link::of(cx));
    })
    .detach();
    (bus, links, failed)
}

#[test]
fn a_failure_is_caused_by_the_emission_that_failed() {
    let (bus, links, failed) = trouble(Emitter::builder());
    let begins = links.clone();
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        fail("on purpose")
    });
    let _panics = bus.on(|_: &Begin| panic!("on purpose"));
    bus.emit(&Begin);
    let [begin, error, panic] = &links.take()[..] else { panic!("two failures") };
    error.comes_of(begin);
    panic.comes_of(begin);
    assert_eq!(begin.line, error.line);
    assert_eq!(failed.take(), [Some(begin.id); 2]);
}

#[test]
fn what_goes_too_deep_leaves_its_cause_to_its_failure() {
    let (bus, links, failed) = trouble(Emitter::builder().max_depth(1));
    let begins = links.clone();
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        cx.emitter().emit(&Next);
    });
    let _next = note::<Next>(&bus, &links);
    bus.emit(&Begin);
    let [begin, too_deep] = &links.take()[..] else { panic!("one failure") };
    too_deep.comes_of(begin);
    assert_eq!(failed.take(), [None]);
}

#[test]
fn a_deferred_event_that_goes_too_deep_is_still_in_its_own_chain() {
    let (bus, links, failed) = trouble(Emitter::builder().max_depth(1));
    let begins = links.clone();
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        cx.emitter().defer(Next).unwrap();
    });
    let _drains = bus.on_with(|_: &Drain, cx| keep(&cx.emitter().drain()));
    bus.emit(&Begin);
    bus.emit(&Drain);
    let [begin, too_deep] = &links.take()[..] else { panic!("one failure") };
    too_deep.comes_of(begin);
    assert_eq!(failed.take(), [None]);
}

#[test]
fn an_event_that_the_queue_lost_leaves_its_cause_to_its_failure() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let (bus, links, failed) = trouble(Emitter::builder().queue(1, overflow));
        let begins = links.clone();
        let _begin = bus.on_with(move |_: &Begin, cx| begins.add(Link::of(cx)));
        let _defers = bus.on_with(|_: &Begin, cx| cx.emitter().defer(Next).unwrap());
        bus.emit(&Begin);
        bus.emit(&Begin);
        let [first, second, lost] = &links.take()[..] else { panic!("one is lost") };
        lost.comes_of(if overflow == Overflow::DropOldest { first } else { second });
        assert_eq!(failed.take(), [None]);
    }
}

#[test]
fn a_deferred_listeners_turn_that_is_lost_is_of_the_emission_that_picked_it() {
    let (bus, links, failed) = trouble(Emitter::builder().queue(1, Overflow::DropOldest));
    let _begin = note::<Begin>(&bus, &links);
    let _late = bus.listen().deferred().on(|_: &Begin| {});
    bus.emit(&Begin);
    bus.emit(&Begin);
    let [first, second, lost] = &links.take()[..] else { panic!("one is lost") };
    lost.comes_of(first);
    second.begins_a_chain();
    assert_eq!(failed.take(), [Some(first.id)]);
}

#[test]
fn a_gap_is_caused_by_the_first_emission_that_was_lost_in_it() {
    let (bus, links, failed) = trouble(Emitter::builder());
    let inbox = bus.listen::<Next>().capacity(1).overflow(Overflow::DropNewest).inbox();
    let _next = note::<Next>(&bus, &links);
    for _ in 0..3 {
        bus.emit(&Next);
    }
    inbox.recv().expect("the first");
    let [_, lost, _, gap] = &links.take()[..] else { panic!("one gap") };
    gap.comes_of(lost);
    assert_eq!(failed.take(), [Some(lost.id)]);
}

#[test]
fn a_repeating_timer_whose_clone_panics_leaves_its_cause_to_its_failure() {
    struct Fragile;
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            panic!("it broke")
        }
    }
    let clock = Clock::manual();
    let (bus, links, failed) = trouble(Emitter::builder().clock(clock.clone()));
    let begins = links.clone();
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(Link::of(cx));
        cx.emitter().defer_every(SECOND, Fragile).detach();
    });
    bus.emit(&Begin);
    clock.advance(SECOND);
    bus.drain();
    let [begin, broken] = &links.take()[..] else { panic!("one failure") };
    broken.comes_of(begin);
    assert_eq!(failed.take(), [None]);
}

#[test]
fn what_a_bus_that_goes_had_queued_is_of_the_emission_that_queued_it() {
    let (failures, links) = (Log::new(), Log::new());
    let channel = failures.clone();
    let bus = Emitter::new(move |failure: Failure| {
        assert!(matches!(failure.cause(), Cause::Lost { missed: 1 }), "{failure}");
        channel.add(failure.emission());
    });
    let _begin = note::<Begin>(&bus, &links);
    bus.listen().deferred().on(|_: &Begin| {}).detach();
    bus.emit(&Begin);
    drop(bus);
    assert_eq!(failures.take(), [Some(links.take()[0].id)]);
}

// Places

#[test]
fn every_verb_tells_the_place_it_was_used_at() {
    let clock = Clock::manual();
    let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
    let links = Log::new();
    let _next = note::<Next>(&bus, &links);
    let (port, topic) = (bus.port(), bus.topic("a"));
    let on_topic = topic.port();
    let first = line!() + 1;
    bus.emit(&Next);
    topic.emit(&Next);
    port.emit(&Next);
    on_topic.emit(&Next);
    bus.defer(Next).unwrap();
    topic.defer(Next).unwrap();
    port.defer(Next).unwrap();
    on_topic.defer(Next).unwrap();
    let once: [Timer; 2] = [
        bus.defer_in(SECOND, Next),
        topic.defer_in(SECOND, Next), // the line is that of the call
    ];
    let every: [Timer; 2] = [
        bus.defer_every(SECOND, Next),
        topic.defer_every(SECOND, Next), // and not that of the list
    ];
    bus.drain();
    clock.advance(SECOND);
    bus.drain();
    drop((once, every));
    let places: Vec<_> = links.take().iter().map(|link| link.line - first).collect();
    assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 14]);
}

// Async

#[cfg(feature = "async")]
mod futures {
    use std::sync::{Arc, Mutex, PoisonError};

    use common::{Wakes, on_both, poll, step_aside};
    use futures_executor::block_on;
    use hearken::BoxFuture;

    use super::*;

    /// Has the future of every `Begin`'s listener emit three `Next`s: before it waits, behind that, and by another `emit_async`. Notes what
    /// begins, and the `Next`s.
    fn emits_on(bus: &Emitter) -> (Log<Link>, Log<Link>) {
        let (begins, nexts, weak) = (Log::new(), Log::new(), bus.downgrade());
        note::<Begin>(bus, &begins).detach();
        note::<Next>(bus, &nexts).detach();
        bus.on_async(move |_: Begin| {
            let weak = weak.clone();
            async move {
                let bus: Emitter = weak.upgrade().expect("a bus");
                bus.emit(&Next);
                step_aside().await;
                bus.emit(&Next);
                step_aside().await;
                bus.emit_async(&Next).await;
            }
        })
        .detach();
        (begins, nexts)
    }

    #[track_caller]
    fn all_come_of(nexts: &[Link], begin: &Link) {
        assert_eq!(depths(nexts), [2, 2, 2]);
        for next in nexts {
            next.comes_of(begin);
        }
    }

    #[test]
    fn what_a_future_emits_is_in_its_emissions_chain() {
        on_both(|| async {
            let bus = strict_bus();
            let (begins, nexts) = emits_on(&bus);
            bus.emit(&Next);
            bus.emit_async(&Begin).await;
            bus.emit(&Next);
            let [before, inside @ .., behind] = &nexts.take()[..] else { panic!("five emissions") };
            before.begins_a_chain();
            all_come_of(inside, &begins.take()[0]);
            behind.begins_a_chain();
        });
    }

    #[test]
    fn a_future_that_goes_from_thread_to_thread_stays_in_its_chain() {
        let bus = strict_bus();
        let (begins, nexts) = emits_on(&bus);
        let emitter = bus.clone();
        let mut task: BoxFuture = Box::pin(async move { _ = emitter.emit_async(&Begin).await });
        let mut outside = Vec::new();
        loop {
            let polled = thread::spawn(move || {
                let (_, waker) = Wakes::new();
                let polled = poll(&mut task, &waker);
                (task, polled)
            });
            let (rest, polled) = polled.join().expect("no panic");
            if polled.is_ready() {
                break;
            }
            task = rest;
            bus.emit(&Next);
            outside.push(nexts.take());
        }
        let (mut inside, begin) = (nexts.take(), begins.take().remove(0));
        for mut polled in outside {
            polled.pop().expect("emitted beside it").begins_a_chain();
            inside.append(&mut polled);
        }
        all_come_of(&inside, &begin);
    }

    #[test]
    fn what_a_spawned_future_emits_is_in_its_emissions_chain() {
        on_both(|| async {
            let run = |future: BoxFuture| drop(thread::spawn(move || block_on(future)));
            let bus = Emitter::builder().spawner(run).build(hearken::panic);
            let (begins, nexts) = emits_on(&bus);
            let third = bus.listen::<Next>().filter(third()).next();
            bus.emit(&Begin);
            assert!(third.await.is_some());
            all_come_of(&nexts.take(), &begins.take()[0]);
        });
    }

    /// True when it is asked for the third time.
    fn third() -> impl Fn(&Next) -> bool + Send + Sync {
        let asked = Mutex::new(0);
        move |_| {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            *asked += 1;
            *asked == 3
        }
    }

    #[test]
    fn what_run_async_delivers_has_the_cause_it_was_deferred_with() {
        on_both(|| async {
            let (bus, links) = (strict_bus(), Log::new());
            let begins = links.clone();
            let _begin = bus.on_with(move |_: &Begin, cx| {
                begins.add(Link::of(cx));
                cx.emitter().defer(Next).unwrap();
            });
            let _next = note::<Next>(&bus, &links);
            bus.emit(&Begin);
            bus.close();
            bus.run_async().await;
            let [begin, next] = &links.take()[..] else { panic!("two emissions") };
            next.comes_of(begin);
        });
    }

    #[test]
    fn an_emission_belongs_where_it_was_asked_for_and_not_where_it_is_polled() {
        let (bus, links) = (strict_bus(), Log::new());
        let made = Arc::new(Mutex::new(None::<BoxFuture>));
        let (begins, give, weak) = (links.clone(), Arc::clone(&made), bus.downgrade());
        let _makes = bus.on_with(move |_: &Begin, cx| {
            begins.add(Link::of(cx));
            let bus: &'static Emitter = Box::leak(Box::new(weak.upgrade().expect("a bus")));
            let emission = bus.emit_async(&Next);
            *give.lock().unwrap() = Some(Box::pin(async move { _ = emission.await }));
        });
        let line = line!() - 3;
        let _next = note::<Next>(&bus, &links);
        bus.emit(&Begin);
        let made = made.lock().unwrap().take().expect("made");
        block_on(made);
        let [begin, next] = &links.take()[..] else { panic!("two emissions") };
        next.comes_of(begin);
        assert_eq!((next.depth, next.line), (1, line));
    }

    #[test]
    fn a_failed_future_is_caused_by_the_emission_it_is_of() {
        on_both(|| async {
            let (bus, links, failed) = trouble(Emitter::builder());
            let _start = note::<Begin>(&bus, &links);
            let _fails = bus.on_async(|_: Begin| async {
                step_aside().await;
                fail("on purpose")
            });
            bus.emit_async(&Begin).await;
            let [start, failure] = &links.take()[..] else { panic!("one failure") };
            failure.comes_of(start);
            assert_eq!(failed.take(), [Some(start.id)]);
        });
    }
}
