//! Contract 3, 6, 11 and 12: what a subscription does, when its listener is not called any more, and when its closure is
//! dropped.

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use common::{Drops, Log, MOMENT, in_time, keep, strict_bus, wait};
use hearken::{AnyEvent, Emitter, ListenerId, Subscription, WouldDeadlock};

struct Placed;
struct Paid;

/// A listener that stays in each of its calls until it is let go.
struct Stuck {
    subscription: Subscription,
    /// What lets the call go that has begun.
    entered: Receiver<Sender<()>>,
}

/// An emission on another thread that is in the stuck listener's call.
struct Running {
    thread: JoinHandle<usize>,
    go: Sender<()>,
}

impl Stuck {
    fn on(bus: &Emitter) -> Self {
        let (enter, entered) = channel();
        let subscription = bus.on(move |_: &Placed| {
            let (go, goes) = channel();
            enter.send(go).expect("somebody waits");
            wait(&goes);
        });
        Self { subscription, entered }
    }

    fn begin(&self, bus: &Emitter) -> Running {
        let bus = bus.clone();
        let thread = thread::spawn(move || bus.emit(&Placed).heard);
        Running { thread, go: wait(&self.entered) }
    }
}

impl Running {
    /// Lets it go; how many heard the event.
    fn end(self) -> usize {
        self.go.send(()).expect("it waits");
        self.thread.join().expect("no panic")
    }
}

/// A thread that does nothing but what it is told, and stays.
struct Idle(Sender<Box<dyn FnOnce() + Send>>);

impl Idle {
    fn new() -> Self {
        let (tell, told) = channel::<Box<dyn FnOnce() + Send>>();
        thread::spawn(move || told.iter().for_each(|job| job()));
        Self(tell)
    }

    fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (done, is_done) = channel();
        self.0.send(Box::new(move || drop(done.send(job())))).expect("it listens");
        wait(&is_done)
    }
}

/// The ways to remove a listener. Each says whether it did.
type Remove = fn(&Emitter, Subscription) -> bool;

const WAYS: [(&str, Remove); 5] = [
    ("off", |_, subscription| subscription.off()),
    ("drop", |_, subscription| {
        drop(subscription);
        true
    }),
    ("off by id", |bus, subscription| bus.off(subscription.detach())),
    ("off_all", |bus, subscription| {
        subscription.detach();
        bus.off_all() == 1
    }),
    ("off_and_wait", |_, subscription| subscription.off_and_wait().is_ok()),
];

/// The kinds of listeners. Each captures what it is given.
type Listen = fn(&Emitter, common::Token) -> Subscription;

const KINDS: [(&str, Listen); 9] = [
    ("on", |bus, token| bus.on(move |_: &Placed| keep(&token))),
    ("on_with", |bus, token| bus.on_with(move |_: &Placed, _| keep(&token))),
    ("once", |bus, token| bus.listen::<Placed>().filter(|_| false).once(move |_| keep(&token))),
    ("on_any", |bus, token| bus.on_any(move |_| keep(&token))),
    ("on_unheard", |bus, token| bus.on_unheard(move |_| keep(&token))),
    ("on_failure", |bus, token| bus.on_failure(move |_| keep(&token))),
    ("filter", |bus, token| {
        let filter = move |_: &Placed| {
            keep(&token);
            true
        };
        bus.listen::<Placed>().filter(filter).on(|_| {})
    }),
    ("times", |bus, token| bus.listen::<Placed>().times(9).on(move |_| keep(&token))),
    ("on_weak", |bus, token| {
        static OWNER: Mutex<Option<Arc<()>>> = Mutex::new(None);
        let owner = Arc::clone(OWNER.lock().expect("no panic").get_or_insert_default());
        bus.listen::<Placed>().on_weak(&owner, move |(), _| keep(&token))
    }),
];

// On and off

#[test]
fn a_listener_hears_until_it_is_removed_in_whatever_way() {
    for (way, remove) in WAYS {
        let bus = strict_bus();
        let subscription = bus.on(|_: &Placed| {});
        assert_eq!(bus.emit(&Placed).heard, 1);
        assert!(remove(&bus, subscription), "{way}");
        assert_eq!(bus.emit(&Placed).heard, 0, "{way}");
    }
}

#[test]
fn off_is_true_exactly_when_it_removed() {
    let bus = strict_bus();
    let subscription = bus.on(|_: &Placed| {});
    let id = subscription.id();
    assert!(bus.off(id));
    assert!(!bus.off(id), "it is off already");
    assert!(!subscription.off(), "it is off already");

    let subscription = bus.on(|_: &Placed| {});
    let id = subscription.id();
    assert!(subscription.off());
    assert!(!bus.off(id));

    let subscription = bus.on_any(|_| {});
    assert_eq!(bus.off_all(), 1);
    assert!(!subscription.off());

    let once = bus.once(|_: &Placed| {});
    let id = once.id();
    bus.emit(&Placed);
    assert!(!bus.off(id), "it has run");
    assert!(!once.off(), "it has run");
}

#[test]
fn removing_a_used_up_or_removed_listener_by_drop_harms_nobody() {
    let bus = strict_bus();
    let once = bus.once(|_: &Placed| {});
    let removed = bus.on(|_: &Placed| {});
    let _stays = bus.on(|_: &Placed| {});
    bus.off(removed.id());
    assert_eq!(bus.emit(&Placed).heard, 2);
    drop((once, removed));
    assert_eq!(bus.emit(&Placed).heard, 1);
}

#[test]
fn a_paused_listener_can_be_removed_and_off_says_so() {
    let bus = strict_bus();
    let subscription = bus.on(|_: &Placed| {});
    subscription.pause();
    assert!(subscription.off());
}

#[test]
fn a_detached_listener_hears_until_it_is_removed_by_its_id() {
    let bus = strict_bus();
    let subscription = bus.on(|_: &Placed| {});
    let id = subscription.id();
    assert_eq!(subscription.detach(), id);
    assert_eq!(bus.emit(&Placed).heard, 1);
    assert!(bus.off(id));
    assert_eq!(bus.emit(&Placed).heard, 0);
}

#[test]
fn off_all_removes_every_kind_and_says_how_many() {
    let bus = strict_bus();
    let drops = Drops::new();
    let all: Vec<_> = KINDS.iter().map(|(_, listen)| listen(&bus, drops.token())).collect();
    all[0].pause();
    drop(bus.on(|_: &Paid| {}));
    assert_eq!(bus.off_all(), KINDS.len());
    assert_eq!(bus.off_all(), 0);
    assert!(all.iter().all(|subscription| !subscription.is_active()));
    assert_eq!(bus.emit(&Placed).heard, 0);
}

#[test]
fn is_active_says_whether_the_listener_may_still_be_called() {
    let bus = strict_bus();
    let subscription = bus.on(|_: &Placed| {});
    assert!(subscription.is_active());
    subscription.pause();
    assert!(subscription.is_active(), "a paused listener is active");
    bus.off(subscription.id());
    assert!(!subscription.is_active());

    let once = bus.once(|_: &Placed| {});
    assert!(once.is_active());
    bus.emit(&Placed);
    assert!(!once.is_active());

    let subscription = bus.on_any(|_| {});
    assert!(subscription.is_active());
    drop(bus);
    assert!(!subscription.is_active(), "its bus is gone");
}

// Ids

#[test]
fn an_id_never_hits_another_bus() {
    let (bus, other) = (strict_bus(), strict_bus());
    for (kind, listen) in KINDS {
        let here = listen(&bus, Drops::new().token());
        let there = listen(&other, Drops::new().token());
        assert!(!bus.off(there.id()), "{kind}");
        assert!(!other.off(here.id()), "{kind}");
        assert!(here.is_active() && there.is_active(), "{kind}");
    }
}

#[test]
fn a_stale_id_never_hits_a_newer_listener() {
    let bus = strict_bus();
    let stale: Vec<_> = (0..200).map(|_| bus.on(|_: &Placed| {}).id()).collect();
    let newer: Vec<_> = (0..200).map(|_| bus.on(|_: &Placed| {})).collect();
    assert!(stale.into_iter().all(|id| !bus.off(id)));
    assert_eq!(bus.emit(&Placed).heard, newer.len());
}

#[test]
fn ids_are_unique_among_all_buses_kinds_and_threads() {
    let ids = Log::<ListenerId>::new();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let bus = strict_bus();
                for _ in 0..100 {
                    for (_, listen) in KINDS {
                        ids.add(listen(&bus, Drops::new().token()).id());
                    }
                }
            });
        }
    });
    let ids = ids.take();
    assert_eq!(ids.len(), 300 * KINDS.len());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

// Pause and resume

#[test]
fn a_paused_listener_hears_nothing_until_it_is_resumed_and_keeps_its_place() {
    let (bus, log) = (strict_bus(), Log::new());
    let listen = |name: char| {
        let log = log.clone();
        bus.on(move |_: &Placed| log.add(name))
    };
    let (_a, b, _c) = (listen('a'), listen('b'), listen('c'));
    b.pause();
    bus.emit(&Placed);
    b.resume();
    bus.emit(&Placed);
    assert_eq!(log.take(), ['a', 'c', 'a', 'b', 'c']);
}

#[test]
fn pause_is_a_flag_and_not_a_count() {
    for (kind, listen) in [KINDS[0], KINDS[1], KINDS[2], KINDS[6], KINDS[7], KINDS[8]] {
        let bus = strict_bus();
        let subscription = listen(&bus, Drops::new().token());
        let count = || bus.listen::<Placed>().count();
        subscription.pause();
        subscription.pause();
        assert_eq!(count(), 0, "{kind}");
        subscription.resume();
        assert_eq!(count(), 1, "{kind}");
        subscription.resume();
        subscription.pause();
        assert_eq!(count(), 0, "{kind}");
    }
}

#[test]
fn an_any_listener_can_be_paused_and_resumed() {
    let (bus, log) = (strict_bus(), Log::<&str>::new());
    let heard = log.clone();
    let any = bus.on_any(move |event: &AnyEvent<'_>| heard.add(event.type_name()));
    bus.emit(&1_u8);
    any.pause();
    bus.emit(&1_u16);
    any.resume();
    bus.emit(&1_u8);
    bus.emit(&1_u32);
    assert_eq!(log.take(), ["u8", "u8", "u32"]);
}

#[test]
fn pausing_and_resuming_between_emissions_loses_nothing() {
    let bus = strict_bus();
    let subscription = bus.on(|_: &Placed| {});
    for _ in 0..100 {
        subscription.pause();
        subscription.resume();
        assert_eq!(bus.emit(&Placed).heard, 1);
    }
}

#[test]
fn a_once_that_is_paused_is_not_used_up() {
    let bus = strict_bus();
    let once = bus.once(|_: &Placed| {});
    once.pause();
    assert_eq!(bus.emit(&Placed).heard, 0);
    once.resume();
    assert_eq!(bus.emit(&Placed).heard, 1);
    assert_eq!(bus.emit(&Placed).heard, 0);
}

#[test]
fn a_resume_does_not_bring_a_removed_listener_back() {
    let bus = strict_bus();
    let subscription = bus.on(|_: &Placed| {});
    subscription.pause();
    bus.off(subscription.id());
    subscription.resume();
    assert!(!subscription.is_active());
    assert_eq!(bus.emit(&Placed).heard, 0);
}

// On other threads

/// Emits on another thread, and while a first listener is in its call there, does this to a second one here.
fn change_during_an_emission(listen: Listen, change: fn(&Emitter, Subscription) -> Option<Subscription>) {
    let bus = strict_bus();
    let stuck = Stuck::on(&bus);
    let second = listen(&bus, Drops::new().token());
    let _third = bus.on(|_: &Placed| {});
    let emission = stuck.begin(&bus);
    let changed = change(&bus, second);
    assert_eq!(emission.end(), 2, "all but the second");
    drop(changed);
}

#[test]
fn what_is_removed_or_paused_on_another_thread_is_not_picked_any_more() {
    // The kinds whose calls are counted.
    for (_, listen) in [KINDS[0], KINDS[1], KINDS[6], KINDS[7], KINDS[8]] {
        change_during_an_emission(listen, |_, second| {
            drop(second);
            None
        });
        change_during_an_emission(listen, |bus, second| {
            assert!(bus.off(second.id()));
            Some(second)
        });
        change_during_an_emission(listen, |_, second| {
            second.pause();
            Some(second)
        });
        change_during_an_emission(listen, |_, second| {
            second.pause();
            second.resume();
            Some(second)
        });
    }
}

#[test]
fn what_is_added_on_another_thread_waits_for_the_next_emission() {
    let bus = strict_bus();
    let stuck = Stuck::on(&bus);
    let emission = stuck.begin(&bus);
    let _added = bus.on(|_: &Placed| {});
    assert_eq!(emission.end(), 1);
    assert_eq!(stuck.begin(&bus).end(), 2);
}

// off_and_wait

#[test]
fn off_and_wait_waits_for_a_running_call() {
    for remove_before in [false, true] {
        let bus = strict_bus();
        let stuck = Stuck::on(&bus);
        let emission = stuck.begin(&bus);
        let Stuck { subscription, .. } = stuck;
        if remove_before {
            assert!(bus.off(subscription.id()), "it waits also when it is off already");
        }
        let (done, is_done) = channel();
        let waits = thread::spawn(move || done.send(subscription.off_and_wait()).expect("somebody waits"));
        assert_eq!(is_done.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout), "the call still runs");
        assert_eq!(emission.end(), 1);
        assert_eq!(wait(&is_done), Ok(()));
        waits.join().expect("no panic");
    }
}

#[test]
fn off_and_wait_waits_for_every_emission_that_could_have_picked_the_listener() {
    let bus = strict_bus();
    let at = |priority: i32| bus.listen::<Placed>().priority(priority).on(|_| {});
    let (has_been_called, would_be_called) = (at(1), at(-1));
    let stuck = Stuck::on(&bus);
    for subscription in [has_been_called, would_be_called] {
        let emission = stuck.begin(&bus);
        let (done, is_done) = channel();
        thread::spawn(move || done.send(subscription.off_and_wait()).expect("somebody waits"));
        assert_eq!(is_done.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout), "the emission still runs");
        emission.end();
        assert_eq!(wait(&is_done), Ok(()));
    }
}

#[test]
fn off_and_wait_waits_for_no_emission_begun_before_the_listener_was_added() {
    let bus = strict_bus();
    let stuck = Stuck::on(&bus);
    let emission = stuck.begin(&bus);
    for (kind, listen) in KINDS {
        let bus = bus.clone();
        let waited = in_time(move || listen(&bus, Drops::new().token()).off_and_wait());
        assert_eq!(waited, Ok(()), "{kind}");
    }
    emission.end();
}

#[test]
fn off_and_wait_comes_to_an_end_while_others_emit_without_a_pause() {
    in_time(|| {
        let (bus, stop) = (strict_bus(), AtomicBool::new(false));
        let _stays = bus.on(|_: &Placed| {});
        thread::scope(|scope| {
            let emits = || {
                while !stop.load(Ordering::Relaxed) {
                    bus.emit(&Placed);
                }
            };
            scope.spawn(emits);
            scope.spawn(emits);
            for _ in 0..300 {
                let torn_down = Arc::new(AtomicBool::new(false));
                let flag = Arc::clone(&torn_down);
                let subscription = bus.on(move |_: &Placed| assert!(!flag.load(Ordering::SeqCst), "called too late"));
                assert_eq!(subscription.off_and_wait(), Ok(()));
                torn_down.store(true, Ordering::SeqCst);
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// Calls `off_and_wait` in a place where user code runs, and returns what it gave.
fn wait_in(place: impl FnOnce(&Emitter, Box<dyn Fn() + Send + Sync>) + Send + 'static) -> Result<(), WouldDeadlock> {
    in_time(|| {
        let bus = Emitter::new(hearken::ignore);
        let target = Mutex::new(Some(bus.on(|_: &u8| {})));
        let (done, is_done) = channel();
        place(
            &bus,
            Box::new(move || {
                if let Some(target) = target.lock().expect("no panic").take() {
                    done.send(target.off_and_wait()).expect("somebody waits");
                }
            }),
        );
        let result = wait(&is_done);
        assert_eq!(bus.emit(&7_u8).heard, 0, "it is switched off all the same");
        result
    })
}

#[test]
fn off_and_wait_in_any_emission_of_its_bus_would_deadlock() {
    let in_a_listener = wait_in(|bus, act| {
        bus.on(move |_: &Placed| act()).detach();
        bus.emit(&Placed);
    });
    let in_an_any_listener = wait_in(|bus, act| {
        bus.on_any(move |_| act()).detach();
        bus.emit(&Placed);
    });
    let in_an_unheard_listener = wait_in(|bus, act| {
        bus.on_unheard(move |_| act()).detach();
        bus.emit(&Placed);
    });
    let in_a_once = wait_in(|bus, act| {
        bus.once(move |_: &Placed| act()).detach();
        bus.emit(&Placed);
    });
    let in_a_filter = wait_in(|bus, act| {
        let filter = move |_: &Placed| {
            act();
            true
        };
        bus.listen::<Placed>().filter(filter).on(|_| {}).detach();
        bus.emit(&Placed);
    });
    let in_a_failure_listener = wait_in(|bus, act| {
        bus.on(|_: &Placed| common::fail("declined")).detach();
        bus.on_failure(move |_| act()).detach();
        bus.emit(&Placed);
    });
    let in_a_nested_emission = wait_in(|bus, act| {
        bus.on_with(|_: &Placed, cx| drop_emission(cx.emitter(), &Paid)).detach();
        bus.on(move |_: &Paid| act()).detach();
        bus.emit(&Placed);
    });
    let through_another_bus = wait_in(|bus, act| {
        let other = strict_bus();
        other.on(move |_: &Paid| act()).detach();
        bus.on(move |_: &Placed| drop_emission(&other, &Paid)).detach();
        bus.emit(&Placed);
    });
    let all = [
        in_a_listener,
        in_an_any_listener,
        in_an_unheard_listener,
        in_a_once,
        in_a_filter,
        in_a_failure_listener,
        in_a_nested_emission,
        through_another_bus,
    ];
    assert_eq!(all, [Err(WouldDeadlock); 8]);
}

fn drop_emission<T: 'static>(bus: &Emitter, event: &T) {
    bus.emit(event);
}

#[test]
fn off_and_wait_in_the_error_channel_would_deadlock() {
    let result = in_time(|| {
        let target = Arc::new(Mutex::new(None::<Subscription>));
        let (done, is_done) = channel();
        let taken = Arc::clone(&target);
        let bus = Emitter::new(move |_| {
            if let Some(target) = taken.lock().expect("no panic").take() {
                done.send(target.off_and_wait()).expect("somebody waits");
            }
        });
        *target.lock().expect("no panic") = Some(bus.on(|_: &Paid| {}));
        let _fails = bus.on(|_: &Placed| common::fail("declined"));
        bus.emit(&Placed);
        wait(&is_done)
    });
    assert_eq!(result, Err(WouldDeadlock));
}

#[test]
fn off_and_wait_in_an_emission_of_another_bus_waits() {
    let result = wait_in(|_, act| {
        let other = strict_bus();
        other.on(move |_: &Paid| act()).detach();
        other.emit(&Paid);
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn off_and_wait_works_again_when_the_emission_has_ended() {
    assert!(
        wait_in(|bus, act| {
            bus.on(|_: &Placed| panic!("a panic, one level below")).detach();
            bus.emit(&Placed);
            act();
        })
        .is_ok()
    );
}

#[test]
fn would_deadlock_says_what_to_do() {
    assert!(WouldDeadlock.to_string().contains("off_and_wait"));
}

#[test]
fn a_destructor_that_waits_for_a_fellow_does_not_hang() {
    in_time(|| {
        let bus = strict_bus();
        for _ in 0..2 {
            let fellow = Mutex::new(Some(bus.on(|_: &Placed| {})));
            let waits = common::OnDrop(move || {
                if let Some(fellow) = fellow.lock().expect("no panic").take() {
                    // Whether it may wait is its own affair.
                    let _ = fellow.off_and_wait();
                }
            });
            bus.on(move |_: &Placed| keep(&waits)).detach();
            bus.emit(&Placed);
        }
        bus.off_all();
    });
}

// When the closure is dropped

#[test]
fn a_removed_closure_is_dropped_by_the_time_off_returns() {
    for (kind, listen) in KINDS {
        for (way, remove) in WAYS {
            for emitted in [false, true] {
                let (bus, drops) = (strict_bus(), Drops::new());
                let subscription = listen(&bus, drops.token());
                if emitted {
                    bus.emit(&Placed);
                    bus.emit(&Paid);
                }
                assert_eq!(drops.count(), 0, "{kind}");
                remove(&bus, subscription);
                assert_eq!(drops.count(), 1, "{kind}, {way}, emitted before: {emitted}");
            }
        }
    }
}

#[test]
fn neither_idle_threads_nor_ports_that_emitted_keep_a_removed_closure() {
    for (kind, listen) in KINDS {
        for (way, remove) in WAYS {
            let (bus, drops, idle) = (strict_bus(), Drops::new(), Idle::new());
            let subscription = listen(&bus, drops.token());
            let port = bus.port::<Placed>();
            let (clone, port) = idle.run({
                let bus = bus.clone();
                move || {
                    for _ in 0..3 {
                        bus.emit(&Placed);
                        bus.emit(&Paid);
                        port.emit(&Placed);
                    }
                    (bus, port)
                }
            });
            port.emit(&Placed);
            remove(&bus, subscription);
            assert_eq!(drops.count(), 1, "{kind}, {way}");
            drop((clone, idle, port));
        }
    }
}

#[test]
fn a_closure_removed_by_an_idle_thread_is_dropped_too() {
    let (bus, drops, idle) = (strict_bus(), Drops::new(), Idle::new());
    let subscription = KINDS[0].1(&bus, drops.token());
    bus.emit(&Placed);
    assert!(idle.run(move || subscription.off()));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_closure_removed_in_its_own_call_lives_until_the_emission_ends() {
    for nested in [false, true] {
        let (bus, drops) = (strict_bus(), Drops::new());
        let own = Arc::new(Mutex::new(None::<Subscription>));
        let (token, holder, counter) = (drops.token(), Arc::clone(&own), drops.clone());
        let subscription = bus.on_with(move |_: &Placed, cx| {
            if nested && cx.depth() < 20 {
                cx.emitter().emit(&Placed);
            }
            drop(holder.lock().expect("no panic").take());
            assert_eq!(counter.count(), 0, "it still runs");
            keep(&token);
        });
        *own.lock().expect("no panic") = Some(subscription);
        bus.emit(&Placed);
        assert_eq!(drops.count(), 1);
    }
}

#[test]
fn a_closure_removed_during_an_emission_is_dropped_when_that_ends_whoever_emits_afterwards() {
    for (way, remove) in [WAYS[0], WAYS[1], WAYS[2]] {
        for (kind, listen) in KINDS {
            let (bus, drops) = (strict_bus(), Drops::new());
            let stuck = Stuck::on(&bus);
            let subscription = listen(&bus, drops.token());
            let emission = stuck.begin(&bus);
            remove(&bus, subscription);
            let later = stuck.begin(&bus);
            emission.end();
            assert_eq!(drops.count(), 1, "{kind}, {way}");
            later.end();
        }
    }
}

#[test]
fn a_used_up_once_is_dropped_when_its_emission_ends() {
    let (bus, drops) = (strict_bus(), Drops::new());
    let token = drops.token();
    let once = bus.once(move |_: &Placed| keep(&token));
    let token = drops.token();
    let filter = move |_: &Placed| {
        keep(&token);
        true
    };
    let filtered = bus.listen::<Placed>().filter(filter).once(|_| {});
    let token = drops.token();
    let times = bus.listen::<Placed>().times(2).on(move |_| keep(&token));
    bus.emit(&Placed);
    assert_eq!(drops.count(), 2);
    bus.emit(&Placed);
    assert_eq!(drops.count(), 3);
    assert!([once, filtered, times].iter().all(|subscription| !subscription.is_active()));
}

#[test]
fn a_closure_goes_with_its_bus_though_its_subscription_stays() {
    let drops = Drops::new();
    let bus = strict_bus();
    let all: Vec<_> = KINDS.iter().map(|(_, listen)| listen(&bus, drops.token())).collect();
    bus.emit(&Placed);
    drop(bus);
    assert_eq!(drops.count(), KINDS.len());
    drop(all);
}

#[test]
fn off_all_drops_every_closure() {
    let (bus, drops) = (strict_bus(), Drops::new());
    for n in 0..300 {
        KINDS[n % KINDS.len()].1(&bus, drops.token()).detach();
    }
    bus.emit(&Placed);
    assert_eq!(bus.off_all(), 300);
    assert_eq!(drops.count(), 300);
}
