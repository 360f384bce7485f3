//! Contract 1 and 9 across threads: no lock is held while user code runs. In each place where user code runs, it waits
//! until another thread has done something on the same bus, for each of the things that can be done.

mod common;

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

use common::{Log, OnDrop, PATIENCE, fail, in_time, keep, logging_bus, strict_bus, text, wait};
use hearken::{Emitter, Failure, Port, Recorder, Subscription, WeakEmitter};

/// What the places are about.
#[derive(Debug)]
struct Event;
struct Other;

/// What another thread does to a bus, given a listener of `Event` there and one of every type.
type Deed = fn(&Emitter, typed: &Subscription, any: &Subscription);

const DEEDS: [(&str, Deed); 17] = [
    ("on", |bus, _, _| keep(&bus.on(|_: &Event| {}).detach())),
    ("on another type", |bus, _, _| drop(bus.on(|_: &Other| {}))),
    ("once", |bus, _, _| drop(bus.once(|_: &Event| {}))),
    ("on_any", |bus, _, _| drop(bus.on_any(|_| {}))),
    ("on_unheard", |bus, _, _| drop(bus.on_unheard(|_| {}))),
    ("on_failure", |bus, _, _| drop(bus.on_failure(|_| {}))),
    ("listen", |bus, _, _| drop(bus.listen::<Event>().priority(1).filter(|_| true).times(2).on(|_| {}))),
    ("emit", |bus, _, _| keep(&bus.emit(&Event))),
    ("emit another type", |bus, _, _| keep(&bus.emit(&Other))),
    ("emit through a port", |bus, _, _| keep(&bus.port().emit(&Event))),
    ("count and record", |bus, _, _| {
        keep(&bus.listen::<Event>().count());
        drop(bus.record::<u32>());
    }),
    ("record_any", |bus, _, _| drop(bus.record_any())),
    ("intercept", |bus, _, _| drop(bus.intercept_map(|_: &Event| {}))),
    ("pause and resume", |_, typed, any| {
        for subscription in [typed, any] {
            subscription.pause();
            subscription.resume();
        }
    }),
    ("off a typed one", |bus, typed, _| keep(&bus.off(typed.id()))),
    ("off an any-listener", |bus, _, any| keep(&bus.off(any.id()))),
    ("off_all", |bus, _, _| keep(&bus.off_all())),
];

/// What user code calls in the place in question: once, it asks the other thread for its deed, and waits for it.
type Call = Arc<dyn Fn() + Send + Sync>;

fn call(ask: Sender<()>, done: Receiver<()>) -> Call {
    let (has_asked, done) = (AtomicBool::new(false), Mutex::new(done));
    Arc::new(move || {
        if !has_asked.swap(true, Ordering::SeqCst) {
            ask.send(()).expect("the other thread listens");
            wait(&done.lock().expect("no panic"));
        }
    })
}

/// Goes through all deeds while user code is in a place. `place` has that code run: it is given a bus and what to call.
#[track_caller]
fn no_lock_is_held(place: fn(&Emitter, Call)) {
    no_lock_is_held_on(|_| logging_bus().0, place);
}

/// The same, on a bus of another make.
#[track_caller]
fn no_lock_is_held_on(make: fn(&Call) -> Emitter, place: fn(&Emitter, Call)) {
    for (name, deed) in DEEDS {
        let (ask, asked) = channel();
        let (finish, finished) = channel();
        let call = call(ask, finished);
        let bus = make(&call);
        let other = bus.clone();
        let (typed, any) = (bus.on(|_: &Event| {}), bus.on_any(|_| {}));
        let helper = thread::spawn(move || {
            if asked.recv_timeout(PATIENCE).is_err() {
                return false;
            }
            deed(&other, &typed, &any);
            // Nobody is there any more if it took too long.
            finish.send(()).is_ok()
        });
        in_time(move || place(&bus, call));
        assert!(helper.join().expect("no panic"), "{name}: it was not asked, or not in time");
    }
}

#[test]
fn no_lock_is_held_while_a_listener_runs() {
    no_lock_is_held(|bus, call| {
        let _listener = bus.on(move |_: &Event| call());
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_listener_runs_for_a_port() {
    no_lock_is_held(|bus, call| {
        let _listener = bus.on_with(move |_: &Event, _| call());
        bus.port().emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_an_any_listener_runs() {
    no_lock_is_held(|bus, call| {
        let _listener = bus.on_any(move |_| call());
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_an_unheard_listener_runs() {
    no_lock_is_held(|bus, call| {
        let _listener = bus.on_unheard(move |_| call());
        bus.emit(&"nobody hears text");
    });
}

#[test]
fn no_lock_is_held_while_a_once_runs() {
    no_lock_is_held(|bus, call| {
        let _listener = bus.once(move |_: &Event| call());
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_limited_listener_runs_for_the_last_time() {
    no_lock_is_held(|bus, call| {
        let _listener = bus.listen::<Event>().times(1).on(move |_| call());
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_weak_listener_runs() {
    no_lock_is_held(|bus, call| {
        let owner = Arc::new(call);
        let _listener = bus.listen::<Event>().on_weak(&owner, |call, _| call());
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_filter_runs() {
    no_lock_is_held(|bus, call| {
        let filter = move |_: &Event| {
            call();
            true
        };
        let _listener = bus.listen().filter(filter).once(|_| {});
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_failure_listener_runs() {
    no_lock_is_held(|bus, call| {
        let _fails = bus.on(|_: &Event| fail("an error"));
        let _listener = bus.on_failure(move |_| call());
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_the_error_channel_runs() {
    let make = |call: &Call| {
        let call = Arc::clone(call);
        Emitter::new(move |_| call())
    };
    no_lock_is_held_on(make, |bus, _| {
        let _fails = bus.on(|_: &Event| fail("an error"));
        let _panics = bus.on(|_: &Event| panic!("a panic"));
        bus.emit(&Event);
    });
}

/// A listener of `Event` that makes the call when its closure is dropped.
fn calls_when_dropped(bus: &Emitter, call: Call) -> Subscription {
    let last = OnDrop(move || call());
    let subscription = bus.on(move |_: &Event| keep(&last));
    bus.emit(&Event);
    subscription
}

#[test]
fn no_lock_is_held_while_a_removed_closure_is_dropped() {
    no_lock_is_held(|bus, call| drop(calls_when_dropped(bus, call)));
    no_lock_is_held(|bus, call| assert!(calls_when_dropped(bus, call).off()));
    no_lock_is_held(|bus, call| assert!(bus.off(calls_when_dropped(bus, call).detach())));
    no_lock_is_held(|bus, call| assert_eq!(calls_when_dropped(bus, call).off_and_wait(), Ok(())));
    no_lock_is_held(|bus, call| {
        calls_when_dropped(bus, call).detach();
        bus.off_all();
    });
}

#[test]
fn no_lock_is_held_while_a_removed_any_listener_is_dropped() {
    no_lock_is_held(|bus, call| {
        let last = OnDrop(move || call());
        let subscription = bus.on_any(move |_| keep(&last));
        bus.emit(&Event);
        drop(subscription);
    });
}

#[test]
fn no_lock_is_held_while_a_closure_that_was_removed_in_an_emission_is_dropped() {
    no_lock_is_held(|bus, call| {
        let last = OnDrop(move || call());
        let subscription = bus.on(move |_: &Event| keep(&last));
        let subscription = Mutex::new(Some(subscription));
        let _removes = bus.on(move |_: &Event| drop(subscription.lock().expect("no panic").take()));
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_used_up_once_is_dropped() {
    no_lock_is_held(|bus, call| {
        let last = OnDrop(move || call());
        let filter = move |_: &Event| {
            keep(&last);
            true
        };
        let _once = bus.listen().filter(filter).once(|_| {});
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_dead_owners_closure_is_dropped() {
    no_lock_is_held(|bus, call| {
        let last = OnDrop(move || call());
        let _weak = bus.listen::<Event>().on_weak(&Arc::new(()), move |(), _| keep(&last));
        bus.emit(&Event);
    });
}

#[test]
fn no_lock_is_held_while_a_panics_payload_is_dropped() {
    no_lock_is_held(|bus, call| {
        let _panics = bus.on(move |_: &Event| {
            let call = Arc::clone(&call);
            std::panic::panic_any(OnDrop(move || call()))
        });
        bus.emit(&Event);
    });
}

/// An event that makes the call when it is cloned.
struct CallsWhenCloned(Call);

impl Clone for CallsWhenCloned {
    fn clone(&self) -> Self {
        self.0();
        Self(Arc::clone(&self.0))
    }
}

#[test]
fn no_lock_is_held_while_a_recorder_clones_an_event() {
    no_lock_is_held(|bus, call| {
        let recorder = bus.record::<CallsWhenCloned>();
        bus.emit(&CallsWhenCloned(call));
        assert_eq!(recorder.len(), 1);
    });
    no_lock_is_held(|bus, call| {
        let recorder = bus.record::<CallsWhenCloned>();
        let is_recorded = AtomicBool::new(false);
        let later: Call = Arc::new(move || {
            if is_recorded.swap(true, Ordering::SeqCst) {
                call();
            }
        });
        bus.emit(&CallsWhenCloned(later));
        assert_eq!(recorder.events().len(), 1);
    });
}

#[test]
fn a_recorded_events_clone_may_emit_what_is_recorded_too() {
    let recorded = in_time(|| {
        let bus = strict_bus();
        let (weak, has_emitted) = (bus.downgrade(), AtomicBool::new(false));
        let recorder = bus.record::<CallsWhenCloned>();
        bus.emit(&CallsWhenCloned(Arc::new(move || {
            if !has_emitted.swap(true, Ordering::SeqCst) {
                weak.upgrade().expect("it is emitting").emit(&CallsWhenCloned(Arc::new(|| {})));
            }
        })));
        recorder.len()
    });
    assert_eq!(recorded, 2);
}

#[test]
fn no_lock_is_held_while_a_recorders_events_are_dropped() {
    type Last = OnDrop<Box<dyn FnMut() + Send + Sync>>;
    no_lock_is_held(|bus, call| {
        let recorder = bus.record::<Arc<Last>>();
        bus.emit(&Arc::new(OnDrop(Box::new(move || call()))));
        drop(recorder);
    });
}

#[test]
fn a_listener_may_wait_for_a_thread_that_waits_for_its_own_listener_on_the_bus() {
    in_time(|| {
        let bus = strict_bus();
        let met = Arc::new(Barrier::new(2));
        let meets = Arc::clone(&met);
        let _meets = bus.on(move |_: &Event| keep(&meets.wait()));
        let other = bus.clone();
        let thread = thread::spawn(move || other.emit(&Event).heard);
        assert_eq!(bus.emit(&Event).heard, 1);
        assert_eq!(thread.join().expect("no panic"), 1);
    });
}

#[test]
fn two_buses_that_emit_into_each_other_from_two_threads_do_not_lock_up() {
    in_time(|| {
        let (one, two) = (strict_bus(), strict_bus());
        let met = Arc::new(Barrier::new(2));
        let cross = |from: &Emitter, to: &Emitter| {
            let (to, met) = (to.downgrade(), Arc::clone(&met));
            from.on(move |_: &Event| {
                met.wait();
                let to = to.upgrade().expect("it is there");
                assert_eq!(to.emit(&Other).heard, 1);
                let _added = to.on(|_: &Event| {});
            })
        };
        let _one = [cross(&one, &two), one.on(|_: &Other| {})];
        let _two = [cross(&two, &one), two.on(|_: &Other| {})];
        let other = two.clone();
        let thread = thread::spawn(move || other.emit(&Event).failed);
        assert_eq!(one.emit(&Event).failed, 0);
        assert_eq!(thread.join().expect("no panic"), 0);
    });
}

#[test]
fn failures_of_two_threads_are_in_the_channel_at_the_same_time() {
    in_time(|| {
        let met = Arc::new(Barrier::new(2));
        let (meets, log) = (Arc::clone(&met), Log::new());
        let channel = log.clone();
        let bus = Emitter::new(move |failure| {
            meets.wait();
            channel.add(text(&failure));
        });
        let _fails = bus.on(|_: &Event| fail("an error"));
        let other = bus.clone();
        let thread = thread::spawn(move || other.emit(&Event).failed);
        assert_eq!(bus.emit(&Event).failed, 1);
        assert_eq!(thread.join().expect("no panic"), 1);
        assert_eq!(log.take().len(), 2);
        assert_eq!(bus.suppressed_failures(), 0, "the one is not below the other");
    });
}

#[test]
fn a_panic_on_one_thread_leaves_the_bus_in_order_on_all() {
    let (bus, failures) = logging_bus();
    let _panics = bus.on(|_: &Event| panic!("a panic"));
    let _hears = bus.on(|_: &Event| {});
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let emission = bus.emit(&Event);
                    assert_eq!((emission.heard, emission.failed), (2, 1));
                    drop(bus.on(|_: &Event| {}));
                }
            });
        }
    });
    assert_eq!(failures.take().len(), 100);
    assert_eq!(bus.off_all(), 2);
}

#[test]
fn who_stays_hears_every_event_once_while_others_come_and_go() {
    in_time(|| {
        let (bus, stop) = (strict_bus(), AtomicBool::new(false));
        let heard: Vec<_> = (0..3).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let count = |n: usize| {
            let heard = Arc::clone(&heard[n]);
            move || keep(&heard.fetch_add(1, Ordering::Relaxed))
        };
        let (typed, any, limited) = (count(0), count(1), count(2));
        let _typed = bus.on(move |_: &Event| typed());
        let _any = bus.on_any(move |_| any());
        let _limited = bus.listen::<Event>().times(u64::MAX).filter(|_| true).on(move |_| limited());
        let emitted = thread::scope(|scope| {
            scope.spawn(|| {
                let mut kept: Vec<Subscription> = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    kept.extend([bus.on(|_: &Event| {}), bus.on_any(|_| {}), bus.once(|_: &Event| {})]);
                    kept[kept.len() / 2].pause();
                    if kept.len() > 150 {
                        kept.drain(..100);
                    }
                }
            });
            let emits = || (0..2000).map(|_| bus.emit(&Event)).filter(|emission| emission.heard >= 2).count();
            let emitted = [scope.spawn(emits), scope.spawn(emits)].map(|thread| thread.join().expect("no panic"));
            stop.store(true, Ordering::Relaxed);
            emitted
        });
        assert_eq!(emitted, [2000; 2]);
        assert_eq!(heard.iter().map(|heard| heard.load(Ordering::Relaxed)).collect::<Vec<_>>(), [4000; 3]);
    });
}

#[test]
fn what_one_thread_has_added_or_removed_the_next_one_sees() {
    in_time(|| {
        let bus = strict_bus();
        let (emit, emits) = channel::<usize>();
        let (done, is_done) = channel();
        let other = bus.clone();
        let thread = thread::spawn(move || {
            for expected in emits {
                done.send(other.emit(&Event).heard == expected).expect("somebody waits");
            }
        });
        let check = |expected: usize| {
            emit.send(expected).expect("it listens");
            assert!(wait(&is_done));
        };
        for _ in 0..200 {
            check(0);
            let subscription = bus.on(|_: &Event| {});
            check(1);
            subscription.pause();
            check(0);
            subscription.resume();
            check(1);
            drop(subscription);
        }
        drop(emit);
        thread.join().expect("no panic");
    });
}

#[test]
fn handles_go_to_other_threads_whatever_the_events_are() {
    static BUS: OnceLock<Emitter> = OnceLock::new();
    fn is_send_and_sync<T: Send + Sync>() {}
    fn is_send<T: Send>() {}
    is_send_and_sync::<Emitter>();
    is_send_and_sync::<WeakEmitter>();
    is_send_and_sync::<Subscription>();
    is_send_and_sync::<Failure>();
    is_send_and_sync::<Port<Rc<()>>>();
    is_send::<Recorder<std::cell::Cell<u32>>>();

    assert_eq!(BUS.get_or_init(strict_bus).emit(&Event).heard, 0);
}
