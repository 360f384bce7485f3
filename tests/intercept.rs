//! Interception: while it lasts, the events of a type are recorded and delivered to nobody, on whatever path they come.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Drops, Log, OnDrop, in_time, keep, logging_bus, strict_bus};
use hearken::{Cause, Clock, Emitter, Failure, Recorder, Subscription, WouldDeadlock};

#[derive(Clone, PartialEq, Debug)]
struct Mail(u32);
struct Other;

const SECOND: Duration = Duration::from_secs(1);

/// A bus with a clock, where nothing may fail and every kind of listener writes what it hears.
fn office() -> (Emitter, Clock, Log<u32>, Vec<Subscription>) {
    let clock = Clock::manual();
    let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
    let heard = Log::new();
    let writes = || {
        let heard = heard.clone();
        move |mail: &Mail| heard.add(mail.0)
    };
    let note_any = |heard: &Log<u32>| {
        let heard = heard.clone();
        move |event: &hearken::AnyEvent<'_>| {
            if let Some(Mail(n)) = event.downcast_ref() {
                heard.add(*n);
            }
        }
    };
    let listeners = vec![
        bus.on(writes()),
        bus.listen::<Mail>().priority(i32::MAX).on(writes()),
        bus.listen::<Mail>().filter(|_| true).on(writes()),
        bus.listen::<Mail>().deferred().on(writes()),
        bus.topics("mail.**").on(writes()),
        bus.on_any(note_any(&heard)),
        bus.topics("**").on_any(note_any(&heard)),
        bus.on_unheard(note_any(&heard)),
    ];
    (bus, clock, heard, listeners)
}

mod paths {
    use super::*;

    type Send = fn(&Emitter, &Clock);

    /// Every way for a `Mail` to reach its listeners.
    const PATHS: &[(&str, Send)] = &[
        ("emit", |bus, _| keep(&bus.emit(&Mail(1)))),
        ("emit on a topic", |bus, _| keep(&bus.topic("mail.out").emit(&Mail(1)))),
        ("emit on a topic that came before", |bus, _| keep(&bus.topic("mail.in").emit(&Mail(1)))),
        ("a port", |bus, _| keep(&bus.port().emit(&Mail(1)))),
        ("a port on a topic", |bus, _| keep(&bus.topic("mail.in").port().emit(&Mail(1)))),
        ("defer", |bus, _| bus.defer(Mail(1)).unwrap()),
        ("defer on a topic", |bus, _| bus.topic("mail.in").defer(Mail(1)).unwrap()),
        ("defer through a port", |bus, _| bus.port().defer(Mail(1)).unwrap()),
        ("a timer", |bus, clock| {
            bus.defer_in(SECOND, Mail(1)).detach();
            clock.advance(SECOND);
        }),
        ("a timer that repeats", |bus, clock| {
            let timer = bus.defer_every(SECOND, Mail(1));
            clock.advance(SECOND);
            bus.drain();
            assert!(timer.cancel());
        }),
        ("a listener's emit", |bus, _| {
            let _leads_to = bus.on_with(|_: &Other, cx| keep(&cx.emitter().emit(&Mail(1))));
            bus.emit(&Other);
        }),
        ("an event loop", |bus, _| {
            bus.defer(Mail(1)).unwrap();
            bus.close();
            bus.spawn_loop("mail").unwrap().shutdown();
        }),
        #[cfg(feature = "async")]
        ("emit_async", |bus, _| keep(&futures_executor::block_on(bus.emit_async(&Mail(1))))),
        #[cfg(feature = "async")]
        ("emit_async on a topic", |bus, _| {
            keep(&futures_executor::block_on(bus.topic("mail.in").emit_async(&Mail(1))));
        }),
        #[cfg(feature = "async")]
        ("an event loop that is awaited", |bus, _| {
            bus.defer(Mail(1)).unwrap();
            bus.close();
            futures_executor::block_on(bus.run_async());
        }),
    ];

    #[test]
    fn on_every_path_an_event_is_recorded_once_and_nobody_hears_it() {
        for (path, send) in PATHS {
            let (bus, clock, heard, _listeners) = office();
            // So that snapshots, and what they remember of topics, are there already.
            (0..3).for_each(|_| keep(&bus.topic("mail.in").emit(&Mail(0))));
            bus.emit(&Mail(0));
            bus.drain();
            heard.take();

            let mails = bus.intercept::<Mail>();
            send(&bus, &clock);
            bus.drain();
            assert_eq!(mails.take(), [Mail(1)], "{path}");
            assert_eq!(heard.take(), [0_u32; 0], "{path}");
        }
    }

    #[test]
    fn on_every_path_an_event_is_delivered_again_when_the_recorder_is_dropped() {
        for (path, send) in PATHS {
            let (bus, clock, heard, _listeners) = office();
            drop(bus.intercept::<Mail>());
            send(&bus, &clock);
            bus.drain();
            assert!(heard.take().len() >= 5, "{path}");
        }
    }

    #[test]
    fn what_was_deferred_before_is_intercepted_when_it_is_drained() {
        let (bus, clock, heard, _listeners) = office();
        bus.defer(Mail(1)).unwrap();
        bus.defer_in(SECOND, Mail(2)).detach();
        let mails = bus.intercept::<Mail>();
        clock.advance(SECOND);
        assert_eq!(bus.drain().delivered, 2);
        assert_eq!((mails.take(), heard.take()), (vec![Mail(1), Mail(2)], vec![]));
    }

    #[test]
    fn the_turns_of_deferred_listeners_that_waited_are_intercepted_each_for_itself() {
        let (bus, _failures) = logging_bus();
        let turns = [(); 2].map(|()| bus.listen::<Mail>().deferred().on(|_| unreachable!("it is intercepted")));
        let gone = bus.listen::<Mail>().deferred().on(|_| unreachable!("it is off"));
        let emission = bus.topic("mail.in").emit(&Mail(1));
        assert_eq!(emission.deferred, 3);
        drop(gone);
        let mails = bus.intercept::<Mail>().envelopes();
        assert_eq!(bus.drain().delivered, 2, "both count, and the one that is gone doesn't");
        let mails = mails.take();
        assert_eq!(mails.len(), 2);
        assert!(mails.iter().all(|mail| mail.event == Mail(1) && mail.topic.as_deref() == Some("mail.in")));
        assert_eq!(mails[0].id, mails[1].id, "of one emission");
        assert!(turns.iter().all(Subscription::is_active));
    }

    #[test]
    fn an_intercepted_event_waits_for_no_deferred_listener() {
        let (bus, _, _, _listeners) = office();
        let mails = bus.intercept::<Mail>();
        assert_eq!(bus.emit(&Mail(1)).deferred, 0);
        assert_eq!((bus.pending(), mails.len()), (0, 1));
    }

    #[test]
    fn switched_on_inside_a_drain_it_intercepts_from_the_next_event_on() {
        let bus = strict_bus();
        let (mails, heard) = (Arc::new(Mutex::new(None)), Log::new());
        let (begun, log) = (Arc::clone(&mails), heard.clone());
        let _begins = bus.on_with(move |mail: &Mail, cx| {
            log.add(mail.0);
            *begun.lock().unwrap() = Some(cx.emitter().intercept::<Mail>());
        });
        for n in 1..=3 {
            bus.defer(Mail(n)).unwrap();
        }
        assert_eq!(bus.drain().delivered, 3);
        assert_eq!(heard.take(), [1]);
        assert_eq!(mails.lock().unwrap().take().unwrap().take(), [Mail(2), Mail(3)]);
        bus.defer(Mail(4)).unwrap();
        bus.drain();
        assert_eq!(heard.take(), [4]);
    }
}

mod what_it_is {
    use super::*;

    #[test]
    fn an_intercepted_emission_reports_nobody_and_is_not_unheard() {
        let (bus, _, heard, _listeners) = office();
        let mails = bus.intercept::<Mail>();
        assert_eq!(bus.emit(&Mail(1)), hearken::Emission::default());
        assert_eq!(bus.topic("mail.in").emit(&Mail(2)), hearken::Emission::default());
        assert_eq!((mails.len(), heard.take()), (2, vec![]));
    }

    #[test]
    fn no_inbox_and_no_other_recorder_gets_it() {
        let bus = strict_bus();
        let (inbox, recorder, all) = (bus.inbox::<Mail>(), bus.record::<Mail>(), bus.record_any());
        let mails = bus.intercept::<Mail>();
        bus.emit(&Mail(1));
        assert_eq!((inbox.len(), recorder.len(), all.len(), mails.len()), (0, 0, 0, 1));
        drop(mails);
        bus.emit(&Mail(2));
        assert_eq!((inbox.len(), recorder.take(), all.len()), (1, vec![Mail(2)], 1));
    }

    #[cfg(feature = "async")]
    #[test]
    fn no_stream_no_async_listener_and_nobody_who_awaits_the_next_one_gets_it() {
        use futures_util::FutureExt;

        let bus = strict_bus();
        let (mut stream, mut next) = (bus.stream::<Mail>(), bus.next::<Mail>());
        let _awaits = bus.on_async(|_: Mail| async { unreachable!("it is intercepted") });
        let mails = bus.intercept::<Mail>();
        futures_executor::block_on(bus.emit_async(&Mail(1)));
        bus.emit(&Mail(2)); // for which an async listener would want a spawner
        assert_eq!(mails.take(), [Mail(1), Mail(2)]);
        assert!((&mut next).now_or_never().is_none());
        assert!(futures_util::StreamExt::next(&mut stream).now_or_never().is_none());
    }

    #[test]
    fn other_types_are_delivered() {
        let (bus, _, heard, _listeners) = office();
        let _others = bus.intercept::<u32>();
        assert_eq!(bus.emit(&Mail(1)).heard, 3);
        assert!(!heard.take().is_empty());
    }

    #[test]
    fn an_envelope_tells_where_it_was_emitted_and_in_what() {
        let bus = strict_bus();
        let _leads_to = bus.on_with(|_: &Other, cx| keep(&cx.emitter().topic("mail.in").emit(&Mail(1))));
        let line = line!() - 1;
        let (cause, mails) = (bus.record_any(), bus.intercept::<Mail>().envelopes());
        bus.emit(&Other);
        let ([cause], [mail]) = (&cause.events()[..], &mails.events()[..]) else { panic!("one each") };
        assert_eq!((mail.topic.as_deref(), mail.cause, mail.origin), (Some("mail.in"), Some(cause.id), cause.id));
        assert_eq!((mail.emitted_at.file(), mail.emitted_at.line()), (file!(), line));
    }

    #[test]
    fn an_event_that_is_not_clone_is_kept_as_what_is_made_of_it() {
        struct Letter(Box<dyn Fn() -> u32>);
        let bus = strict_bus();
        let _hears = bus.on(|_: &Letter| unreachable!("it is intercepted"));
        let letters = bus.intercept_map(|letter: &Letter| letter.0());
        bus.emit(&Letter(Box::new(|| 7)));
        assert_eq!(letters.take(), [7]);
    }

    #[test]
    fn two_at_once_both_record_and_the_last_to_go_restores_delivery() {
        let (bus, _, heard, _listeners) = office();
        let (first, second) = (bus.intercept::<Mail>(), bus.intercept_map(|mail: &Mail| mail.0));
        bus.emit(&Mail(1));
        drop(first);
        bus.emit(&Mail(2));
        assert_eq!((second.take(), heard.take()), (vec![1, 2], vec![]));
        let third = bus.intercept::<Mail>();
        drop(second);
        bus.emit(&Mail(3));
        assert_eq!((third.take(), heard.take()), (vec![Mail(3)], vec![]));
        drop(third);
        assert_eq!(bus.emit(&Mail(4)).heard, 3);
    }

    #[test]
    fn a_failed_assertion_shows_what_was_intercepted() {
        let bus = strict_bus();
        let mails = bus.intercept::<Mail>();
        bus.topic("mail.in").emit(&Mail(1));
        let message = common::caught(|| mails.assert_none()).expect("one was emitted").message;
        assert!(message.contains(&format!("  1. Mail(1) on \"mail.in\" at {}:", file!())), "{message}");
    }

    #[test]
    fn failures_are_intercepted_from_their_listeners_and_not_from_the_error_channel() {
        let (bus, failures) = logging_bus();
        let _fails = bus.on(|_: &Mail| common::fail("no"));
        let _hears = bus.on_failure(|_| unreachable!("it is intercepted"));
        let intercepted = bus.intercept::<Failure>();
        bus.emit(&Mail(1));
        assert_eq!(intercepted.take().len(), 1);
        assert_eq!(failures.take(), ["no"]);
    }

    #[test]
    fn what_is_emitted_too_deep_is_a_failure_and_not_intercepted() {
        let causes = Log::new();
        let channel = causes.clone();
        let bus = Emitter::builder()
            .max_depth(1)
            .build(move |failure| channel.add(matches!(failure.cause(), Cause::TooDeep { limit: 1 })));
        let _leads_to = bus.on_with(|_: &Other, cx| keep(&cx.emitter().emit(&Mail(1))));
        let mails = bus.intercept::<Mail>();
        bus.emit(&Other);
        assert_eq!((mails.len(), causes.take()), (0, vec![true]));
    }

    #[test]
    fn a_panic_in_what_makes_something_of_it_is_a_failure_and_the_event_is_not_delivered() {
        let (bus, failures) = logging_bus();
        let _hears = bus.on(|_: &Mail| unreachable!("it is intercepted"));
        let mails = bus.intercept_map(|mail: &Mail| assert!(mail.0 != 2, "two"));
        let also = bus.intercept::<Mail>();
        let reports: Vec<_> = (1..=3).map(|n| bus.emit(&Mail(n))).collect();
        assert_eq!(reports, [hearken::Emission::default(); 3]);
        assert_eq!((mails.len(), also.len(), failures.take()), (2, 3, vec!["two".to_owned()]));
    }
}

mod beside_listeners {
    use super::*;

    #[test]
    fn a_once_and_a_limit_are_not_used_up_by_intercepted_events() {
        let bus = strict_bus();
        let heard = Log::new();
        let writes = || {
            let heard = heard.clone();
            move |mail: &Mail| heard.add(mail.0)
        };
        let _limited =
            [bus.once(writes()), bus.listen().times(1).on(writes()), bus.listen::<Mail>().deferred().once(writes())];
        bus.emit(&Mail(1));
        let mails = bus.intercept::<Mail>();
        bus.drain();
        bus.emit(&Mail(2));
        drop(mails);
        bus.emit(&Mail(3));
        bus.drain();
        assert_eq!(heard.take(), [1, 1, 3], "the turn of the deferred one was intercepted, so it heard the next");
    }

    #[test]
    fn who_comes_and_goes_meanwhile_is_there_and_gone_afterwards() {
        let bus = strict_bus();
        let heard = Log::new();
        let writes = |name: &'static str| {
            let heard = heard.clone();
            move |_: &Mail| heard.add(name)
        };
        let goes = bus.on(writes("goes"));
        let mails = bus.intercept::<Mail>();
        bus.emit(&Mail(1));
        let _comes = bus.on(writes("comes"));
        let _comes_too = bus.topics("**").on(writes("comes to topics"));
        drop(goes);
        bus.topic("a").emit(&Mail(2));
        assert_eq!((mails.len(), heard.take()), (2, vec![]));
        drop(mails);
        bus.topic("a").emit(&Mail(3));
        assert_eq!(heard.take(), ["comes", "comes to topics"]);
    }

    #[test]
    fn meanwhile_nobody_would_hear() {
        let (bus, _, _, _listeners) = office();
        assert_eq!((bus.listen::<Mail>().count(), bus.topic("mail.in").listen::<Mail>().count()), (4, 5));
        let mails = bus.intercept::<Mail>();
        assert_eq!((bus.listen::<Mail>().count(), bus.topic("mail.in").listen::<Mail>().count()), (0, 0));
        drop(mails);
        assert_eq!((bus.listen::<Mail>().count(), bus.topic("mail.in").listen::<Mail>().count()), (4, 5));
    }

    #[test]
    fn off_all_neither_counts_nor_ends_it() {
        let bus = strict_bus();
        let _hears = bus.on(|_: &Mail| {});
        let mails = bus.intercept::<Mail>();
        assert_eq!(bus.off_all(), 1);
        bus.emit(&Mail(1));
        assert_eq!(mails.len(), 1);
    }
}

mod beginning_and_end {
    use super::*;

    #[test]
    fn an_emission_under_way_when_it_begins_goes_on_and_a_later_one_inside_of_it_is_intercepted() {
        let bus = strict_bus();
        let (mails, heard) = (Arc::new(Mutex::new(None)), Log::new());
        let begun = Arc::clone(&mails);
        let _begins = bus.on_with(move |mail: &Mail, cx| {
            *begun.lock().unwrap() = Some(cx.emitter().intercept::<Mail>());
            cx.emitter().emit(&Mail(mail.0 + 1));
        });
        let log = heard.clone();
        let _hears = bus.on(move |mail: &Mail| log.add(mail.0));
        bus.emit(&Mail(1));
        assert_eq!(heard.take(), [1], "as well as the one that began it");
        assert_eq!(mails.lock().unwrap().take().unwrap().take(), [Mail(2)]);
    }

    #[test]
    fn an_emission_that_began_before_the_end_is_kept_from_listeners_and_the_next_is_delivered() {
        let bus = strict_bus();
        let heard = Log::new();
        let log = heard.clone();
        let _hears = bus.on(move |mail: &Mail| log.add(mail.0));
        let mails = Arc::new(Mutex::new(None::<Recorder<()>>));
        let (ended, weak) = (Arc::clone(&mails), bus.downgrade());
        *mails.lock().unwrap() = Some(bus.intercept_map(move |mail: &Mail| {
            drop(ended.lock().unwrap().take());
            weak.upgrade().unwrap().emit(&Mail(mail.0 + 1));
        }));
        bus.emit(&Mail(1));
        assert_eq!(heard.take(), [2]);
    }

    #[test]
    fn its_closure_is_dropped_with_it_or_with_the_last_emission_that_it_was_there_for() {
        let drops = Drops::new();
        let bus = strict_bus();
        let token = drops.token();
        let mails = bus.intercept_map(move |_: &Mail| keep(&token));
        bus.emit(&Mail(1));
        drop(mails);
        assert_eq!(drops.count(), 1);

        let token = drops.token();
        let mails = Arc::new(Mutex::new(None));
        let (ended, counts) = (Arc::clone(&mails), drops.clone());
        *mails.lock().unwrap() = Some(bus.intercept_map(move |_: &Mail| {
            keep(&token);
            drop(ended.lock().unwrap().take());
            assert_eq!(counts.count(), 1, "not under its own feet");
        }));
        bus.emit(&Mail(2));
        assert_eq!(drops.count(), 2);
    }

    #[test]
    fn who_waits_for_a_listeners_end_in_its_closures_destructor_would_deadlock_and_is_told() {
        let bus = strict_bus();
        let (told, listener) = (Log::new(), Mutex::new(Some(bus.on(|_: &Mail| {}))));
        let tells = told.clone();
        let last = OnDrop(move || tells.add(listener.lock().unwrap().take().unwrap().off_and_wait()));
        drop(bus.intercept_map(move |_: &Mail| keep(&last)));
        assert_eq!(told.take(), [Err(WouldDeadlock)]);
    }

    #[test]
    fn it_keeps_no_bus_and_may_outlive_its_own() {
        let bus = strict_bus();
        let mails = bus.intercept::<Mail>();
        bus.emit(&Mail(1));
        let weak = bus.downgrade();
        drop(bus);
        assert!(weak.upgrade().is_none());
        assert_eq!(mails.take(), [Mail(1)]);
    }
}

mod threads {
    use super::*;

    const EVENTS: u32 = 4_000;

    /// A count for each event.
    #[derive(Clone)]
    struct Tally(Arc<Vec<AtomicUsize>>);

    impl Tally {
        fn new() -> Self {
            Self(Arc::new((0..EVENTS).map(|_| AtomicUsize::new(0)).collect()))
        }

        fn count(&self, mail: &Mail) {
            self.0[mail.0 as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What one thread sends while another switches interception on and off: each event is either heard or recorded, and once.
    fn either_heard_or_recorded(listen: fn(&Emitter, Tally) -> Subscription, send: fn(&Emitter, u32)) {
        in_time(move || {
            let bus = strict_bus();
            let (heard, recorded) = (Tally::new(), Tally::new());
            let _hears = listen(&bus, heard.clone());
            let is_over = AtomicBool::new(false);
            let switched = thread::scope(|threads| {
                let switching = threads.spawn(|| {
                    let mut switched = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let recorded = recorded.clone();
                        let mails = bus.intercept_map(move |mail: &Mail| recorded.count(mail));
                        // Both states are to be met by several events.
                        while mails.len() < 3 && !is_over.load(Ordering::Relaxed) {
                            thread::yield_now();
                        }
                        drop(mails);
                        thread::yield_now();
                        switched += 1;
                    }
                    switched
                });
                (0..EVENTS).for_each(|n| send(&bus, n));
                bus.drain_until_idle(usize::MAX);
                is_over.store(true, Ordering::Relaxed);
                switching.join().unwrap()
            });
            assert!(switched > 0);
            let count = |tally: &Tally, n: u32| tally.0[n as usize].load(Ordering::Relaxed);
            for n in 0..EVENTS {
                assert_eq!(count(&heard, n) + count(&recorded, n), 1, "event {n}");
            }
        });
    }

    #[test]
    fn an_emitted_event_is_either_heard_or_recorded() {
        either_heard_or_recorded(
            |bus, heard| bus.on(move |mail: &Mail| heard.count(mail)),
            |bus, n| keep(&bus.emit(&Mail(n))),
        );
    }

    #[test]
    fn an_event_on_a_new_topic_is_either_heard_or_recorded() {
        either_heard_or_recorded(
            |bus, heard| bus.topics("mail.*").on(move |mail: &Mail| heard.count(mail)),
            |bus, n| keep(&bus.topic(&format!("mail.{n}")).emit(&Mail(n))),
        );
    }

    #[test]
    fn a_deferred_event_is_either_heard_or_recorded() {
        either_heard_or_recorded(
            |bus, heard| bus.on(move |mail: &Mail| heard.count(mail)),
            |bus, n| {
                bus.defer(Mail(n)).unwrap();
                if n % 7 == 0 {
                    bus.drain();
                }
            },
        );
    }

    #[test]
    fn the_turn_of_a_deferred_listener_is_either_heard_or_recorded() {
        either_heard_or_recorded(
            |bus, heard| bus.listen::<Mail>().deferred().on(move |mail: &Mail| heard.count(mail)),
            |bus, n| {
                bus.emit(&Mail(n));
                if n % 7 == 0 {
                    bus.drain();
                }
            },
        );
    }

    #[test]
    fn from_its_beginning_on_everything_that_other_threads_emit_is_recorded() {
        let (bus, heard) = (strict_bus(), Arc::new(AtomicUsize::new(0)));
        let log = Arc::clone(&heard);
        let _hears = bus.on(move |_: &Mail| keep(&log.fetch_add(1, Ordering::Relaxed)));
        bus.emit(&Mail(0));
        let mails = bus.intercept::<Mail>();
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..1_000).for_each(|n| keep(&bus.emit(&Mail(n)))));
            }
            mails.wait_for(4_000, common::PATIENCE).unwrap();
        });
        assert_eq!((mails.len(), heard.load(Ordering::Relaxed)), (4_000, 1));
    }
}
