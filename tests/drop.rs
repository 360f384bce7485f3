//! Contract 11 and 12: handles, subscriptions and buses may go at odd moments, and nobody keeps what is not theirs.

mod common;

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use common::{Drops, Log, OnDrop, in_time, keep, strict_bus};
use hearken::{Emitter, Subscription};

struct Event(u32);

/// Where a listener finds what it drops.
type Holder<T> = Arc<Mutex<Option<T>>>;

fn take<T>(holder: &Holder<T>) -> Option<T> {
    holder.lock().expect("no panic").take()
}

fn put<T>(holder: &Holder<T>, value: T) {
    *holder.lock().expect("no panic") = Some(value);
}

// The bus

#[test]
fn the_last_emitter_may_be_dropped_in_a_listener() {
    let (drops, log) = (Drops::new(), Log::new());
    let holder: Holder<Emitter> = Arc::default();
    let bus = strict_bus();
    let (held, token, first, second) = (Arc::clone(&holder), drops.token(), log.clone(), log.clone());
    let one = bus.on_with(move |event: &Event, cx| {
        drop(take(&held).expect("it is the last"));
        keep(&token);
        first.add(event.0);
        if event.0 == 1 {
            put(&held, cx.emitter().clone());
            cx.emitter().emit(&Event(2));
        }
    });
    let token = drops.token();
    let two = bus.on(move |event: &Event| {
        keep(&token);
        second.add(event.0 + 10);
    });
    let weak = bus.downgrade();
    put(&holder, bus);
    // What emits is the last handle when the listener is called.
    let emission = weak.upgrade().expect("it is in the holder").emit(&Event(1));
    assert_eq!(emission.heard, 2);
    assert_eq!(log.take(), [1, 2, 12, 11]);
    assert!(weak.upgrade().is_none());
    assert_eq!(drops.count(), 2);
    assert!(!one.is_active() && !two.is_active());
}

#[test]
fn the_bus_may_go_while_a_failure_is_delivered() {
    let (holder, log) = (Arc::default(), Log::new());
    let (held, channel) = (Arc::clone(&holder), log.clone());
    let bus = Emitter::new(move |failure| {
        drop::<Option<Emitter>>(take(&held));
        channel.add(common::text(&failure));
    });
    let _fails = bus.on(|_: &Event| common::fail("an error"));
    let weak = bus.downgrade();
    put(&holder, bus);
    let emission = weak.upgrade().expect("it is in the holder").emit(&Event(1));
    assert_eq!((emission.failed, log.take()), (1, vec!["an error".to_owned()]));
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_listener_that_captures_an_emitter_keeps_its_bus_until_it_is_removed() {
    let (bus, drops) = (strict_bus(), Drops::new());
    let (captured, token) = (bus.clone(), drops.token());
    let subscription = bus.on(move |_: &Event| keep(&(&captured, &token)));
    let weak = bus.downgrade();
    drop(bus);
    assert_eq!(weak.upgrade().expect("the listener keeps it").emit(&Event(1)).heard, 1);
    assert!(subscription.off());
    assert!(weak.upgrade().is_none());
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_once_that_captures_the_last_emitter_lets_the_bus_go_with_its_call() {
    let bus = strict_bus();
    let captured = bus.clone();
    let _once = bus.once(move |_: &Event| drop(captured));
    let weak = bus.downgrade();
    drop(bus);
    assert_eq!(weak.upgrade().expect("the listener keeps it").emit(&Event(1)).heard, 1);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_listener_that_holds_a_weak_emitter_or_asks_its_context_keeps_no_bus() {
    let (bus, log) = (strict_bus(), Log::new());
    let (captured, by_weak, by_context) = (bus.downgrade(), log.clone(), log.clone());
    let _weak = bus.on(move |event: &Event| {
        let bus = captured.upgrade().expect("it is emitting");
        by_weak.add(bus.emit(&event.0).heard);
    });
    let _context = bus.on_with(move |event: &Event, cx| by_context.add(cx.emitter().emit(&event.0).heard));
    let _numbers = bus.on(|_: &u32| {});
    bus.emit(&Event(1));
    assert_eq!(log.take(), [1, 1]);
    let weak = bus.downgrade();
    drop(bus);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_context_gives_a_handle_that_outlives_the_call() {
    let (bus, holder) = (strict_bus(), Arc::default());
    let kept = Arc::clone(&holder);
    let _keeps = bus.on_with(move |_: &Event, cx| put(&kept, cx.emitter().clone()));
    bus.emit(&Event(1));
    drop(bus);
    assert_eq!(take(&holder).expect("it was kept").emit(&Event(2)).heard, 1);
}

#[test]
fn a_port_keeps_its_bus_and_a_recorder_does_not() {
    let bus = strict_bus();
    let (port, weak) = (bus.port::<u32>(), bus.downgrade());
    let recorder = bus.record::<u32>();
    let _hears = bus.on(|_: &u32| {});
    drop(bus);
    assert_eq!(port.emit(&7).heard, 1);
    drop(port);
    assert!(weak.upgrade().is_none());
    assert_eq!(recorder.take(), [7]);
}

#[test]
fn a_weak_emitter_tells_whether_its_bus_is_there() {
    let bus = strict_bus();
    let (weak, other) = (bus.downgrade(), bus.clone());
    drop(bus);
    assert_eq!(weak.clone().upgrade().expect("there is another").emit(&Event(1)).heard, 0);
    drop(other);
    assert!(weak.upgrade().is_none() && weak.clone().upgrade().is_none());
}

#[test]
fn a_bus_may_go_on_another_thread_while_one_emits() {
    in_time(|| {
        let (bus, drops) = (strict_bus(), Drops::new());
        let holder: Holder<Emitter> = Arc::default();
        let (held, token) = (Arc::clone(&holder), drops.token());
        let _hears = bus.on(move |_: &Event| {
            let other = take(&held);
            thread::spawn(move || drop(other)).join().expect("no panic");
            keep(&token);
        });
        let weak = bus.downgrade();
        put(&holder, bus);
        assert_eq!(weak.upgrade().expect("it is in the holder").emit(&Event(1)).heard, 1);
        assert_eq!(drops.count(), 1);
    });
}

// Subscriptions

#[test]
fn a_subscription_may_be_dropped_in_its_own_call() {
    let (bus, log) = (strict_bus(), Log::<u32>::new());
    let own: Holder<Subscription> = Arc::default();
    let (held, heard) = (Arc::clone(&own), log.clone());
    let subscription = bus.on(move |event: &Event| {
        drop(take(&held));
        // The closure and what it captured are still there.
        heard.add(event.0);
    });
    put(&own, subscription);
    assert_eq!([1, 2].map(|n| bus.emit(&Event(n)).heard), [1, 0]);
    assert_eq!(log.take(), [1]);
}

#[test]
fn a_subscription_may_be_dropped_in_its_own_filter() {
    let bus = strict_bus();
    let own: Holder<Subscription> = Arc::default();
    let held = Arc::clone(&own);
    let filter = move |_: &Event| {
        drop(take(&held));
        true
    };
    put(&own, bus.listen().filter(filter).on(|_| {}));
    assert_eq!(bus.emit(&Event(1)).heard, 0);
}

#[test]
fn a_subscription_may_be_dropped_in_its_own_call_several_levels_deep() {
    let (bus, log, drops) = (strict_bus(), Log::<u32>::new(), Drops::new());
    let own: Holder<Subscription> = Arc::default();
    let (held, heard, token, counter) = (Arc::clone(&own), log.clone(), drops.token(), drops.clone());
    let subscription = bus.on_with(move |event: &Event, cx| {
        if event.0 < 5 {
            cx.emitter().emit(&Event(event.0 + 1));
        }
        drop(take(&held));
        assert_eq!(cx.emitter().emit(&Event(9)).heard, 0);
        heard.add(event.0);
        assert_eq!(counter.count(), 0);
        keep(&token);
    });
    put(&own, subscription);
    bus.emit(&Event(1));
    assert_eq!(log.take(), [5, 4, 3, 2, 1]);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_subscription_outlives_its_bus_and_says_that_there_is_nothing_to_do() {
    let bus = strict_bus();
    let all: Vec<_> = (0..5).map(|_| bus.on(|_: &Event| {})).collect();
    let any = bus.on_any(|_| {});
    let once = bus.once(|_: &Event| {});
    drop(bus);
    for subscription in all.iter().chain([&any, &once]) {
        subscription.pause();
        subscription.resume();
        assert!(!subscription.is_active());
    }
    let Ok([first, second, third, fourth, fifth]) = <[Subscription; 5]>::try_from(all) else { panic!("five") };
    assert!(!first.off());
    assert_eq!(second.off_and_wait(), Ok(()));
    let id = third.id();
    assert_eq!(third.detach(), id);
    assert!(!strict_bus().off(id));
    drop(fourth);
    thread::spawn(move || drop(fifth)).join().expect("no panic");
    assert_eq!(any.off_and_wait(), Ok(()));
    assert!(!once.off());
}

#[test]
fn a_subscription_does_not_keep_its_bus_alive() {
    let bus = strict_bus();
    let weak = bus.downgrade();
    let _all = [bus.on(|_: &Event| {}), bus.on_any(|_| {}), bus.once(|_: &Event| {})];
    bus.emit(&Event(1));
    drop(bus);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_bus_that_is_held_with_its_subscriptions_in_one_struct_goes_in_either_order() {
    struct BusFirst(#[expect(dead_code, reason = "it goes first")] Emitter, Vec<Subscription>);
    struct BusLast(Vec<Subscription>, #[expect(dead_code, reason = "it goes last")] Emitter);
    let drops = Drops::new();
    let parts = || {
        let bus = strict_bus();
        let listen = |_| {
            let token = drops.token();
            bus.on(move |_: &Event| keep(&token))
        };
        ((0..3).map(listen).collect::<Vec<_>>(), bus)
    };
    let (subscriptions, bus) = parts();
    let first = BusFirst(bus, subscriptions);
    assert_eq!(first.1.len(), 3);
    drop(first);
    let (subscriptions, bus) = parts();
    let last = BusLast(subscriptions, bus);
    assert_eq!(last.0.len(), 3);
    drop(last);
    assert_eq!(drops.count(), 6);
}

// Destructors that use the bus

#[test]
fn a_closures_destructor_may_call_anything_on_its_bus() {
    in_time(|| {
        let (bus, log) = (strict_bus(), Log::new());
        let (weak, others): (_, Arc<OnceLock<Mutex<Vec<Subscription>>>>) = (bus.downgrade(), Arc::default());
        let heard = log.clone();
        let numbers = bus.on(move |n: &u32| heard.add(*n));
        let uses = |n: u32| {
            let (weak, others) = (weak.clone(), Arc::clone(&others));
            OnDrop(move || {
                let bus = weak.upgrade().expect("it is there");
                bus.emit(&n);
                drop(bus.on(|_: &Event| {}));
                drop(bus.on_any(|_| {}));
                let other = others.get().and_then(|others| others.lock().expect("no panic").pop());
                // Its own closure does all this again.
                drop(other);
            })
        };
        let listen = |n| {
            let uses = uses(n);
            bus.on(move |_: &Event| keep(&uses))
        };
        let (first, rest) = (listen(1), (2..20).map(listen).collect());
        assert!(others.set(Mutex::new(rest)).is_ok());
        bus.emit(&Event(1));
        assert!(first.off());
        let expected: Vec<_> = [1].into_iter().chain((2..20).rev()).collect();
        assert_eq!(log.take(), expected);
        assert_eq!(bus.off_all(), 1);
        drop(numbers);
    });
}

#[test]
fn a_closures_destructor_finds_no_bus_when_it_goes_with_it() {
    in_time(|| {
        let (bus, log) = (strict_bus(), Log::new());
        let all: Arc<Mutex<Vec<Subscription>>> = Arc::default();
        for _ in 0..3 {
            let (weak, all, found) = (bus.downgrade(), Arc::clone(&all), log.clone());
            let last = OnDrop(move || {
                found.add(weak.upgrade().is_some());
                let other = all.lock().expect("no panic").pop();
                drop(other);
            });
            bus.on(move |_: &Event| keep(&last)).detach();
        }
        let more = (0..3).map(|_| bus.on(|_: &Event| {}));
        all.lock().expect("no panic").extend(more);
        drop(bus);
        assert_eq!(log.take(), [false; 3]);
    });
}

#[test]
fn a_closure_may_own_another_listeners_subscription() {
    let (bus, drops) = (strict_bus(), Drops::new());
    let chain = (0..50).fold(bus.on(|_: &Event| {}), |inner, _| {
        let token = drops.token();
        bus.on(move |_: &Event| keep(&(&inner, &token)))
    });
    assert_eq!(bus.emit(&Event(1)).heard, 51);
    assert!(chain.off());
    assert_eq!((bus.emit(&Event(1)).heard, drops.count()), (0, 50));
}
