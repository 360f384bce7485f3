//! Contract 6: once is exactly once, times is exactly so many, and what uses a call up.

mod common;

use std::hint;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Drops, Log, caught, fail, in_time, keep, logging_bus, strict_bus};
use hearken::{Emitter, Subscription};

struct Ping(u32);

/// A counter, and its other end for a closure.
fn counter() -> (Arc<AtomicUsize>, impl Fn() + Clone + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let add = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    (count, add)
}

fn get(count: &AtomicUsize) -> usize {
    count.load(Ordering::SeqCst)
}

/// Threads meet here, round after round, and go on at the same moment: they spin.
#[derive(Default)]
struct Start(AtomicUsize);

impl Start {
    fn wait(&self, threads: usize, round: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut spins = 0_u32;
        while self.0.load(Ordering::SeqCst) < threads * (round + 1) {
            spins += 1;
            if spins.is_multiple_of(1000) { thread::yield_now() } else { hint::spin_loop() }
        }
    }
}

/// Runs this on so many threads at the same moment, round after round; the sum of what each round gave.
fn race(threads: usize, rounds: usize, round: impl Fn(usize, usize) -> usize + Sync) -> Vec<usize> {
    let start = Start::default();
    let sums: Vec<_> = (0..rounds).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (start, sums, round) = (&start, &sums, &round);
            scope.spawn(move || {
                for (n, sum) in sums.iter().enumerate() {
                    start.wait(threads, n);
                    sum.fetch_add(round(thread, n), Ordering::SeqCst);
                }
            });
        }
    });
    sums.into_iter().map(AtomicUsize::into_inner).collect()
}

const ROUNDS: usize = 500;

// Once

#[test]
fn once_hears_the_next_event_only() {
    let (bus, log) = (strict_bus(), Log::<u32>::new());
    let heard = log.clone();
    let once = bus.once(move |ping: &Ping| heard.add(ping.0));
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert_eq!(bus.emit(&Ping(2)).heard, 0);
    assert_eq!(log.take(), [1]);
    assert!(!once.is_active());
}

#[test]
fn once_is_exactly_once_when_threads_emit_at_the_same_moment() {
    in_time(|| {
        let bus = strict_bus();
        let (calls, call) = counter();
        let subscriptions: Vec<_> = (0..ROUNDS)
            .map(|round| {
                let call = call.clone();
                let filter = move |ping: &Ping| ping.0 as usize == round;
                bus.listen().filter(filter).once(move |_| call())
            })
            .collect();
        let heard = race(3, ROUNDS, |_, round| bus.emit(&Ping(u32::try_from(round).expect("it is small"))).heard);
        assert_eq!(heard, [1; ROUNDS]);
        assert_eq!(get(&calls), ROUNDS);
        drop(subscriptions);
    });
}

#[test]
fn a_plain_once_is_exactly_once_too_when_it_is_added_under_way() {
    in_time(|| {
        let bus = strict_bus();
        let (calls, call) = counter();
        let heard = race(3, ROUNDS, |thread, _| {
            if thread == 0 {
                let call = call.clone();
                bus.once(move |_: &Ping| call()).detach();
            }
            (0..20).map(|_| bus.emit(&Ping(0)).heard).sum()
        });
        assert_eq!(heard.iter().sum::<usize>() + bus.emit(&Ping(0)).heard, get(&calls));
        assert_eq!(get(&calls), ROUNDS);
    });
}

#[test]
fn a_once_either_runs_or_is_removed_and_off_says_which() {
    const ROUNDS: usize = 300;
    const EACH: usize = 100;
    in_time(|| {
        let rounds: Vec<_> = (0..ROUNDS)
            .map(|round| {
                let bus = strict_bus();
                let (calls, call) = counter();
                let listen = |_| {
                    let call = call.clone();
                    bus.once(move |_: &Ping| {
                        call();
                        // At another pace each round, so that the two threads meet.
                        (0..round % 50).for_each(|_| hint::spin_loop());
                    })
                };
                let all: Vec<_> = (0..EACH).map(listen).collect();
                (bus, calls, Mutex::new(all))
            })
            .collect();
        let (removals, removal) = counter();
        let outcomes = race(2, ROUNDS, |thread, round| {
            let (bus, _, all) = &rounds[round];
            if thread == 0 {
                return bus.emit(&Ping(0)).heard;
            }
            let all = std::mem::take(&mut *all.lock().expect("no panic"));
            let removed = all.iter().skip(round % 10).chain(&all).filter(|once| bus.off(once.id()));
            removed.inspect(|_| removal()).count()
        });
        assert_eq!(outcomes, [EACH; ROUNDS], "each was either heard or removed");
        let calls: usize = rounds.iter().map(|(_, calls, _)| get(calls)).sum();
        assert_eq!(calls + get(&removals), ROUNDS * EACH);
    });
}

#[test]
fn a_once_that_emits_its_own_event_is_not_called_again() {
    let (bus, log) = (strict_bus(), Log::<u32>::new());
    let heard = log.clone();
    let _once = bus.once_with(move |ping: &Ping, cx| {
        heard.add(ping.0);
        assert_eq!(cx.emitter().emit(&Ping(2)).heard, 0);
    });
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert_eq!(log.take(), [1]);
}

#[test]
fn a_nested_emission_may_take_the_call_that_the_outer_one_was_about_to_make() {
    let (bus, log) = (strict_bus(), Log::<u32>::new());
    let _nests = bus.on_with(|ping: &Ping, cx| {
        if ping.0 == 1 {
            assert_eq!(cx.emitter().emit(&Ping(2)).heard, 2);
        }
    });
    let heard = log.clone();
    let _once = bus.once(move |ping: &Ping| heard.add(ping.0));
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert_eq!(log.take(), [2]);
}

#[test]
fn off_in_a_onces_own_call_comes_too_late() {
    let bus = strict_bus();
    let own = Arc::new(Mutex::new(None::<Subscription>));
    let taken = Arc::clone(&own);
    let once = bus.once_with(move |_: &Ping, cx| {
        let subscription = taken.lock().expect("no panic").take().expect("it is called once");
        assert!(!subscription.is_active());
        assert!(!cx.emitter().off(cx.listener()));
        assert!(!subscription.off());
    });
    *own.lock().expect("no panic") = Some(once);
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert!(own.lock().expect("no panic").is_none());
}

#[test]
fn a_once_that_stops_the_emission_is_named_and_used_up() {
    let bus = strict_bus();
    let once = bus.once(|_: &Ping| ControlFlow::Break(()));
    assert_eq!(bus.emit(&Ping(1)).stopped_by, Some(once.id()));
    assert_eq!(bus.emit(&Ping(1)).stopped_by, None);
}

// Times

#[test]
fn times_hears_so_many_events_and_goes() {
    let (bus, log) = (strict_bus(), Log::<u32>::new());
    let heard = log.clone();
    let times = bus.listen::<Ping>().times(3).on(move |ping| heard.add(ping.0));
    let figures: Vec<_> = (1..6).map(|n| (bus.emit(&Ping(n)).heard, times.is_active())).collect();
    assert_eq!(figures, [(1, true), (1, true), (1, false), (0, false), (0, false)]);
    assert_eq!(log.take(), [1, 2, 3]);
    assert!(!times.off());
}

#[test]
fn times_is_exact_when_threads_emit_at_the_same_moment() {
    in_time(|| {
        for times in [1, 2, 100, 299] {
            let bus = strict_bus();
            let (calls, call) = counter();
            let subscription = bus.listen::<Ping>().times(times).on(move |_| call());
            let heard = race(3, 100, |_, _| bus.emit(&Ping(0)).heard);
            assert_eq!((get(&calls) as u64, heard.iter().sum::<usize>() as u64), (times, times));
            assert!(!subscription.is_active());
        }
    });
}

#[test]
fn times_is_exact_when_emissions_nest() {
    let (bus, log) = (strict_bus(), Log::<u32>::new());
    let heard = log.clone();
    let _times = bus.listen::<Ping>().times(4).on_with(move |ping, cx| {
        heard.add(ping.0);
        cx.emitter().emit(&Ping(ping.0 + 1));
        cx.emitter().emit(&Ping(ping.0 + 10));
    });
    bus.emit(&Ping(0));
    assert_eq!(log.take(), [0, 1, 2, 3]);
}

#[test]
fn off_between_two_of_its_times_is_true() {
    let bus = strict_bus();
    let times = bus.listen::<Ping>().times(2).on(|_| {});
    bus.emit(&Ping(0));
    assert!(times.off());
    assert_eq!(bus.emit(&Ping(0)).heard, 0);
}

#[test]
fn times_0_panics_and_says_why_at_the_callers_line() {
    let bus = strict_bus();
    let line = line!() + 1;
    let panic = caught(|| bus.listen::<Ping>().times(0)).expect("it panics");
    assert!(panic.message.contains("times(0)"), "{panic:?}");
    assert!(panic.message.contains("Ping"), "{panic:?}");
    assert_eq!((panic.file.as_str(), panic.line), (file!(), line));
}

#[test]
fn once_after_times_panics_and_says_why_at_the_callers_line() {
    let bus = strict_bus();
    let line = line!() + 1;
    let panic = caught(|| bus.listen::<Ping>().times(3).once(|_| {})).expect("it panics");
    assert!(panic.message.contains("once") && panic.message.contains("times(3)"), "{panic:?}");
    assert_eq!((panic.file.as_str(), panic.line), (file!(), line));
    let panic = caught(|| bus.listen::<Ping>().times(1).once_with(|_, _| {})).expect("it panics");
    assert!(panic.message.contains("once") && panic.message.contains("times(1)"), "{panic:?}");
    assert_eq!(bus.emit(&Ping(0)).heard, 0, "nobody was added");
}

// What uses a call up

/// A once and a times(1), each with these options.
fn limited(
    bus: &Emitter,
    filter: fn(&Ping) -> bool,
    call: impl Fn() + Clone + Send + Sync + 'static,
) -> [Subscription; 2] {
    let other = call.clone();
    let once = bus.listen::<Ping>().filter(filter).once(move |_| call());
    let times = bus.listen::<Ping>().filter(filter).times(1).on(move |_| other());
    [once, times]
}

#[test]
fn a_rejecting_filter_uses_nothing_up() {
    let bus = strict_bus();
    let (calls, call) = counter();
    let limited = limited(&bus, |ping| ping.0 == 3, call);
    let heard: Vec<_> = (1..5).map(|n| bus.emit(&Ping(n)).heard).collect();
    assert_eq!(heard, [0, 0, 2, 0]);
    assert_eq!(get(&calls), 2);
    assert!(limited.iter().all(|subscription| !subscription.is_active()));
}

#[test]
fn of_several_filters_all_have_to_pass() {
    let bus = strict_bus();
    let _picky = bus.listen::<Ping>().filter(|ping| ping.0 > 2).filter(|ping| ping.0 < 4).once(|_| {});
    let heard: Vec<_> = [1, 5, 3].into_iter().map(|n| bus.emit(&Ping(n)).heard).collect();
    assert_eq!(heard, [0, 0, 1]);
}

#[test]
fn a_panicking_filter_counts_as_no_and_uses_nothing_up() {
    let (bus, failures) = logging_bus();
    let (calls, call) = counter();
    let filter = |ping: &Ping| {
        assert_ne!(ping.0, 1, "the filter fails");
        true
    };
    let _limited = limited(&bus, filter, call);
    let emission = bus.emit(&Ping(1));
    assert_eq!((emission.heard, emission.failed, get(&calls)), (0, 0, 0));
    let failures = failures.take();
    assert_eq!(failures.len(), 2);
    assert!(failures.iter().all(|failure| failure.contains("the filter fails")), "{failures:?}");
    assert_eq!(bus.emit(&Ping(2)).heard, 2);
}

#[test]
fn a_call_that_fails_or_panics_was_the_call() {
    let (bus, failures) = logging_bus();
    let _all = [
        bus.once(|_: &Ping| fail("an error")),
        bus.once(|_: &Ping| panic!("a panic")),
        bus.listen::<Ping>().times(1).on(|_| fail("an error")),
        bus.listen::<Ping>().times(1).on(|_| panic!("a panic")),
    ];
    let emission = bus.emit(&Ping(1));
    assert_eq!((emission.heard, emission.failed), (4, 4));
    assert_eq!(bus.emit(&Ping(1)).heard, 0);
    assert_eq!(failures.take(), ["an error", "a panic", "an error", "a panic"]);
}

/// A once whose filter does this on the first event, given its own subscription, and then says yes.
fn once_whose_filter(
    acts: impl Fn(&Emitter, &Mutex<Option<Subscription>>) + Send + Sync + 'static,
) -> (Emitter, Arc<AtomicUsize>, Arc<Mutex<Option<Subscription>>>) {
    let bus = strict_bus();
    let (calls, call) = counter();
    let own = Arc::new(Mutex::new(None));
    let (filters, weak, has_acted) = (Arc::clone(&own), bus.downgrade(), AtomicBool::new(false));
    let filter = move |_: &Ping| {
        if !has_acted.swap(true, Ordering::SeqCst) {
            acts(&weak.upgrade().expect("it is emitting"), &filters);
        }
        true
    };
    *own.lock().expect("no panic") = Some(bus.listen::<Ping>().filter(filter).once(move |_| call()));
    (bus, calls, own)
}

#[test]
fn a_removal_before_the_claim_wins() {
    let (bus, calls, _) = once_whose_filter(|_, own| {
        let own = own.lock().expect("no panic").take().expect("it is removed once");
        assert!(own.off());
    });
    assert_eq!(bus.emit(&Ping(1)).heard, 0);
    assert_eq!(bus.emit(&Ping(1)).heard, 0);
    assert_eq!(get(&calls), 0);
}

#[test]
fn a_pause_before_the_claim_wins_and_uses_nothing_up() {
    let (bus, calls, own) = once_whose_filter(|_, own| {
        if let Some(own) = &*own.lock().expect("no panic") {
            own.pause();
        }
    });
    assert_eq!(bus.emit(&Ping(1)).heard, 0);
    if let Some(own) = &*own.lock().expect("no panic") {
        own.resume();
    }
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert_eq!(get(&calls), 1);
}

#[test]
fn an_emission_in_its_filter_takes_the_claim() {
    let (bus, calls, _own) = once_whose_filter(|bus, _| assert_eq!(bus.emit(&Ping(2)).heard, 1));
    assert_eq!(bus.emit(&Ping(1)).heard, 0, "the nested emission was first");
    assert_eq!(get(&calls), 1);
}

// Weak owners

#[test]
fn on_weak_hears_with_its_owner_and_goes_when_the_owner_is_gone() {
    let (bus, drops) = (strict_bus(), Drops::new());
    let (owner, token) = (Arc::new(Log::<u32>::new()), drops.token());
    let subscription = bus.listen::<Ping>().on_weak(&owner, move |log, ping| {
        keep(&token);
        log.add(ping.0);
    });
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert_eq!(owner.take(), [1]);
    assert_eq!(Arc::strong_count(&owner), 1, "nothing keeps it");
    drop(owner);
    assert_eq!(bus.emit(&Ping(2)).heard, 0);
    assert!(!subscription.is_active());
    assert_eq!(drops.count(), 1);
}

#[test]
fn on_weak_is_passed_by_when_its_owner_goes_during_the_emission() {
    let bus = strict_bus();
    let owner = Arc::new(());
    let holder = Mutex::new(Some(Arc::clone(&owner)));
    let _ends_it = bus.on(move |_: &Ping| drop(holder.lock().expect("no panic").take()));
    let weak = bus.listen::<Ping>().on_weak(&owner, |(), _| panic!("its owner is gone"));
    drop(owner);
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert!(!weak.is_active());
}

#[test]
fn an_owner_that_is_let_go_in_its_own_call_lives_to_the_end_of_it() {
    let (bus, log) = (strict_bus(), Log::new());
    let ended = log.clone();
    let owner = Arc::new(common::OnDrop(move || ended.add("dropped")));
    let (holder, called) = (Mutex::new(Some(Arc::clone(&owner))), log.clone());
    let _weak = bus.listen::<Ping>().on_weak(&owner, move |_, _| {
        drop(holder.lock().expect("no panic").take());
        called.add("called");
    });
    drop(owner);
    assert_eq!(bus.emit(&Ping(1)).heard, 1);
    assert_eq!(log.take(), ["called", "dropped"]);
    assert_eq!(bus.emit(&Ping(1)).heard, 0);
}

#[test]
fn a_weak_listener_takes_options_too() {
    let (bus, owner) = (strict_bus(), Arc::new(()));
    let weak = bus.listen::<Ping>().times(2).filter(|ping| ping.0 > 2).on_weak(&owner, |(), _| {});
    let heard: Vec<_> = (1..6).map(|n| bus.emit(&Ping(n)).heard).collect();
    assert_eq!(heard, [0, 0, 1, 1, 0]);
    assert!(!weak.is_active());
}
