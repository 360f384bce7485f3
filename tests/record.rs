//! Recorders: what they keep, how one waits for it, and what their assertions say when they fail.

mod common;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use common::{MOMENT, caught, in_time, keep, logging_bus, strict_bus, wait};
use hearken::{Emitter, Envelope, FromEnvelope, Recorder, assert_sequence};

#[derive(Clone, PartialEq, Debug)]
struct Placed(u32);
#[derive(Clone, PartialEq, Debug)]
struct Paid(u32);
struct Shipped;

/// A shop whose orders are placed, paid and shipped, each in the listener of the one before.
fn shop() -> (Emitter, [hearken::Subscription; 2]) {
    let bus = strict_bus();
    let billing = bus.on_with(|placed: &Placed, cx| keep(&cx.emitter().topic("money.in").emit(&Paid(placed.0))));
    let shipping = bus.on_with(|_: &Paid, cx| keep(&cx.emitter().emit(&Shipped)));
    (bus, [billing, shipping])
}

/// What a failing assertion says, at which line of this file.
#[track_caller]
fn said(assertion: impl FnOnce()) -> (String, u32) {
    let caught = caught(assertion).expect("it should have failed");
    assert_eq!(caught.file, file!(), "the place is the caller's");
    (caught.message, caught.line)
}

/// The line that this is called on.
#[track_caller]
fn line() -> u32 {
    std::panic::Location::caller().line()
}

fn at(line: u32) -> String {
    format!("at {}:{line}", file!())
}

mod what_is_kept {
    use super::*;

    #[test]
    fn an_envelope_names_the_topic_the_emission_its_cause_its_origin_and_the_place() {
        let (bus, _modules) = shop();
        let (placed, paid) = (bus.record::<Placed>().envelopes(), bus.record::<Paid>().envelopes());
        let line = line() + 1;
        bus.emit(&Placed(7));
        let ([placed], [paid]) = (&placed.events()[..], &paid.take()[..]) else { panic!("one each") };
        assert_eq!((&placed.event, &placed.topic, placed.cause), (&Placed(7), &None, None));
        assert_eq!((placed.emitted_at.file(), placed.emitted_at.line()), (file!(), line));
        assert_eq!((&paid.event, paid.topic.as_deref()), (&Paid(7), Some("money.in")));
        assert_eq!((paid.cause, paid.origin, placed.origin), (Some(placed.id), placed.id, placed.id));
    }

    #[test]
    fn what_was_recorded_before_has_its_envelope_too() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        bus.topic("early").emit(&1_u32);
        let numbers = numbers.envelopes();
        bus.topic("late").emit(&2_u32);
        let topics: Vec<_> = numbers.take().into_iter().map(|number| number.topic.unwrap().to_string()).collect();
        assert_eq!(topics, ["early", "late"]);
    }

    #[test]
    fn events_stay_and_take_takes() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        assert!(numbers.is_empty());
        for n in 1..=3_u32 {
            bus.emit(&n);
        }
        assert_eq!((numbers.events(), numbers.events(), numbers.len()), (vec![1, 2, 3], vec![1, 2, 3], 3));
        assert_eq!((numbers.take(), numbers.len()), (vec![1, 2, 3], 0));
        bus.emit(&4_u32);
        assert_eq!(numbers.events(), [4]);
    }

    #[test]
    fn a_recorder_that_is_dropped_records_no_more_and_leaves_nothing_behind() {
        let bus = strict_bus();
        let kept = Arc::new(());
        let numbers = bus.record::<Arc<()>>();
        bus.emit(&kept);
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(numbers);
        assert_eq!(Arc::strong_count(&kept), 1);
        assert_eq!(bus.off_all(), 0);
    }

    #[test]
    fn a_recorder_is_one_listener_to_off_all() {
        let bus = strict_bus();
        let (numbers, all) = (bus.record::<u32>(), bus.record_any());
        assert_eq!(bus.off_all(), 2);
        bus.emit(&7_u32);
        assert_eq!((numbers.len(), all.len()), (0, 0));
    }

    #[test]
    fn a_recorder_makes_nothing_heard_and_nothing_unheard() {
        let bus = strict_bus();
        let stray = bus.inbox::<u32>();
        let _numbers = bus.record::<u8>();
        let weak = bus.downgrade();
        let _strays = bus.on_unheard(move |event| {
            let n: &u8 = event.downcast_ref().expect("the only one that nobody heard");
            weak.upgrade().expect("it is emitting").emit(&u32::from(*n));
        });
        assert_eq!(bus.emit(&7_u8).heard, 0);
        assert_eq!(stray.try_recv(), Ok(7));
    }
}

mod what_is_made_of_events {
    use super::*;

    /// No `Clone`, no `Debug`, not even `Send`.
    struct Local(std::rc::Rc<u32>);

    #[test]
    fn an_event_that_can_do_nothing_is_recorded_as_what_is_made_of_it() {
        let bus = strict_bus();
        let numbers = bus.record_map(|local: &Local| *local.0);
        bus.emit(&Local(7.into()));
        assert_eq!(numbers.take(), [7]);
    }

    #[test]
    fn it_records_by_the_options_of_listen_and_on_topics() {
        let bus = strict_bus();
        let twice = |n: &u32| n * 2;
        let recorders = [
            bus.listen::<u32>().filter(|n| *n > 1).record_map(twice),
            bus.topics("a.*").record_map(twice),
            bus.topic("a.b").record_map(twice),
        ];
        bus.emit(&1_u32);
        bus.emit(&2_u32);
        bus.topic("a.b").emit(&3_u32);
        bus.topic("a.c").emit(&4_u32);
        assert_eq!(recorders.map(|recorder| recorder.take()), [vec![4, 6, 8], vec![6, 8], vec![6]]);
    }

    #[test]
    fn a_message_names_the_type_of_the_event_and_shows_what_was_made_of_it() {
        let bus = strict_bus();
        let numbers = bus.record_map(|local: &Local| *local.0);
        let emitted = line() + 1;
        bus.emit(&Local(7.into()));
        let (message, _) = said(|| numbers.assert_none());
        let what = std::any::type_name::<Local>();
        assert_eq!(message, format!("no `{what}` was to be emitted. These were, in order:\n  1. 7 {}", at(emitted)));
    }

    #[test]
    fn a_panic_in_it_is_a_failure_that_names_the_recorders_place_and_loses_nothing_else() {
        let (bus, failures) = logging_bus();
        let _hears = bus.on(|_: &u32| {});
        let halves = bus.record_map(|n: &u32| 6_u32.checked_div(*n).expect("no half of nothing"));
        let heard: Vec<_> = (0..3_u32).map(|n| bus.emit(&n).heard).collect();
        assert_eq!((heard, halves.take()), (vec![1; 3], vec![6, 3]));
        assert_eq!(failures.take(), ["no half of nothing"]);
    }
}

mod every_type {
    use super::*;

    #[test]
    fn every_emission_is_kept_with_its_type_topic_id_cause_origin_place_and_depth() {
        let (bus, _modules) = shop();
        let seen = bus.record_any();
        let line = line() + 1;
        bus.topic("order").emit(&Placed(7));
        let [placed, paid, shipped] = &seen.events()[..] else { panic!("{seen:?}") };
        assert!(placed.is::<Placed>() && paid.is::<Paid>() && shipped.is::<Shipped>() && !shipped.is::<Paid>());
        assert_eq!(shipped.type_name, std::any::type_name::<Shipped>());
        let topics = [placed, paid, shipped].map(|emitted| emitted.topic.as_deref());
        assert_eq!(topics, [Some("order"), Some("money.in"), None]);
        assert_eq!([placed, paid, shipped].map(|emitted| emitted.cause), [None, Some(placed.id), Some(paid.id)]);
        assert_eq!([placed, paid, shipped].map(|emitted| emitted.origin), [placed.id; 3]);
        assert_eq!([placed, paid, shipped].map(|emitted| emitted.depth), [1, 2, 3]);
        assert_eq!((placed.emitted_at.file(), placed.emitted_at.line()), (file!(), line));
        let shown = format!("{placed:?}");
        assert!(shown.contains(&format!("{}:{line}", file!())), "{shown}");
    }

    #[test]
    fn what_listeners_emit_comes_behind_also_if_they_were_there_first() {
        let (bus, _modules) = shop();
        let _urgent = bus.listen().priority(9).on_with(|placed: &Placed, cx| keep(&cx.emitter().emit(&placed.0)));
        let seen = bus.record_any();
        bus.emit(&Placed(7));
        assert_sequence!(seen, [Placed, u32, Paid, Shipped]);
    }

    #[test]
    fn a_listener_that_stops_an_emission_hides_nothing_from_it() {
        let bus = strict_bus();
        let _stops = bus.listen::<u32>().priority(9).on(|_| std::ops::ControlFlow::Break(()));
        let seen = bus.record_any();
        bus.emit(&7_u32);
        assert_sequence!(seen, [u32]);
    }

    #[test]
    fn failures_are_among_them() {
        let (bus, _failures) = logging_bus();
        let _fails = bus.on(|_: &u32| common::fail("no"));
        let seen = bus.record_any();
        bus.emit(&7_u32);
        assert_sequence!(seen, [u32, hearken::Failure]);
    }

    #[test]
    fn deferred_events_are_kept_when_they_are_delivered() {
        let bus = strict_bus();
        let seen = bus.record_any();
        bus.defer(7_u32).unwrap();
        assert!(seen.is_empty());
        bus.drain();
        assert_sequence!(seen, [u32]);
    }

    #[test]
    fn on_topics_it_keeps_what_is_emitted_on_them() {
        let bus = strict_bus();
        let (topics, topic) = (bus.topics("order.*").record_any(), bus.topic("order.made").record_any());
        bus.emit(&1_u8);
        bus.topic("order.made").emit(&2_u16);
        bus.topic("order.paid").emit(&3_u32);
        bus.topic("mail").emit(&4_u64);
        assert_sequence!(topics, [u16, u32]);
        assert_sequence!(topic, [u16]);
    }
}

mod sequences {
    use super::*;

    #[test]
    fn a_sequence_is_asserted_on_a_recorder_a_reference_or_a_shared_one_and_of_no_events() {
        let bus = strict_bus();
        let seen = Arc::new(bus.record_any());
        assert_sequence!(seen, []);
        assert_sequence!(&*seen, [..]);
        bus.emit(&1_u8);
        bus.emit(&vec![Some("generic")]);
        assert_sequence!(seen, [u8, Vec<Option<&str>>,]);
        assert_sequence!(*seen, [u8, Vec<Option<&'static str>>]);
        assert_eq!(seen.take().len(), 2);
        assert_sequence!(bus.record_any().envelopes(), []);
    }

    #[test]
    fn two_dots_stand_for_any_events_or_none() {
        let bus = strict_bus();
        let seen = bus.record_any();
        bus.emit(&1_u8);
        bus.emit(&2_u16);
        bus.emit(&3_u8);
        bus.emit(&4_u32);
        assert_sequence!(seen, [..]);
        assert_sequence!(seen, [u8, ..]);
        assert_sequence!(seen, [.., u32]);
        assert_sequence!(seen, [u8, .., u32]);
        assert_sequence!(seen, [.., u8, .., u8, .., u32, ..]);
        assert_sequence!(seen, [u8, .., u16, u8, u32]);
        assert_sequence!(seen, [.., u8, u32]);
        assert!(caught(|| assert_sequence!(seen, [u8, .., u16])).is_some());
        assert!(caught(|| assert_sequence!(seen, [.., u16, u32])).is_some());
        assert!(caught(|| assert_sequence!(seen, [.., u8, .., u8, .., u8, ..])).is_some());
    }

    #[test]
    fn what_is_missing_too_many_or_in_another_order_is_another_sequence() {
        let bus = strict_bus();
        let seen = bus.record_any();
        bus.emit(&1_u8);
        bus.emit(&2_u16);
        assert_sequence!(seen, [u8, u16]);
        for other in [
            caught(|| assert_sequence!(seen, [])),
            caught(|| assert_sequence!(seen, [u8])),
            caught(|| assert_sequence!(seen, [u16])),
            caught(|| assert_sequence!(seen, [u16, u8])),
            caught(|| assert_sequence!(seen, [u8, u16, u16])),
            caught(|| assert_sequence!(seen, [u8, u32, u16])),
        ] {
            assert!(other.is_some());
        }
    }

    #[test]
    fn the_message_shows_both_beside_each_other_with_places_and_marks_the_differences() {
        let bus = strict_bus();
        let seen = bus.record_any();
        let nested = line() + 1;
        let _nests = bus.on_with(|_: &u16, cx| keep(&cx.emitter().topic("deep").emit(&'c')));
        let first = line() + 1;
        bus.emit(&1_u8);
        bus.emit(&2_u16);
        bus.emit(&3_u32);
        let (message, failed_at) = said(|| assert_sequence!(seen, [u8, bool, u16, .., i128]));
        assert_eq!(failed_at, line() - 1);
        let expected = [
            "the events were emitted in another sequence than expected:".to_owned(),
            "    expected  emitted".to_owned(),
            format!("    u8        u8 {}", at(first)),
            "  ! bool".to_owned(),
            format!("    u16       u16 {}", at(first + 1)),
            format!("    ..          char on \"deep\" {}", at(nested)),
            format!("    ..        u32 {}", at(first + 2)),
            "  ! i128".to_owned(),
        ];
        assert_eq!(message, expected.join("\n"));

        let (message, _) = said(|| assert_sequence!(seen, [u8, u16, u32]));
        assert!(message.contains(&format!("\n  !             char on \"deep\" {}\n    u32 ", at(nested))), "{message}");
    }
}

mod waiting {
    use super::*;

    /// Long enough that a test that waits for it fails.
    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn it_is_woken_by_what_another_thread_emits() {
        let bus = strict_bus();
        let numbers = Arc::new(bus.record::<u32>());
        let (begins, begun) = channel();
        let waiting = Arc::clone(&numbers);
        let (ends, ended) = channel();
        thread::spawn(move || {
            begins.send(()).unwrap();
            ends.send(waiting.wait_for(2, LONG).map(|()| waiting.events())).unwrap();
        });
        wait(&begun);
        // It sleeps by now, or soon: neither one nor the other event is to be missed.
        bus.emit(&1_u32);
        assert!(ended.recv_timeout(MOMENT).is_err(), "one is too few");
        bus.emit(&2_u32);
        assert_eq!(wait(&ended), Ok(vec![1, 2]));
    }

    #[test]
    fn it_waits_for_so_many_in_all_and_not_for_those_that_were_taken() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        assert_eq!(numbers.wait_for(0, Duration::ZERO), Ok(()));
        bus.emit(&1_u32);
        bus.emit(&2_u32);
        assert_eq!(numbers.wait_for(1, LONG), Ok(()));
        assert_eq!(numbers.wait_for(2, Duration::MAX), Ok(()));
        assert_eq!(numbers.take(), [1, 2]);
        let error = numbers.wait_for(1, MOMENT).unwrap_err();
        assert_eq!((error.came, error.wanted), (0, 1));
    }

    #[test]
    fn a_wait_in_vain_takes_its_time_and_says_how_many_came_and_which() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        let emitted = line() + 1;
        bus.emit(&7_u32);
        bus.topic("sum").emit(&8_u32);
        bus.emit(&9_i32);
        let begun = Instant::now();
        let error = numbers.wait_for(3, MOMENT).unwrap_err();
        assert!(begun.elapsed() >= MOMENT);
        assert_eq!((error.came, error.wanted), (2, 3));
        let expected = [
            "2 of 3 `u32`s were emitted in 50ms:".to_owned(),
            format!("  1. 7 {}", at(emitted)),
            format!("  2. 8 on \"sum\" {}", at(emitted + 1)),
            "Nobody heard these, emitted meanwhile; is one of them what was meant, as another type?".to_owned(),
            format!("  i32 {}", at(emitted + 2)),
        ];
        assert_eq!(error.to_string(), expected.join("\n"));
        assert_eq!(format!("{error:?}"), error.to_string(), "`unwrap` shows it");
    }

    #[test]
    fn a_wait_in_vain_for_what_never_came_says_so() {
        let bus = strict_bus();
        let error = bus.record::<u32>().wait_for(1, Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "0 of 1 `u32`s were emitted in 0ns");
    }

    #[test]
    fn what_is_being_looked_at_counts() {
        let bus = strict_bus();
        let numbers = Arc::new(bus.record::<u32>());
        bus.emit(&7_u32);
        let looking = Arc::clone(&numbers);
        numbers.assert_emitted(move |_| {
            let waiting = Arc::clone(&looking);
            let waited = in_time(move || waiting.wait_for(1, LONG));
            waited == Ok(()) && looking.len() == 1
        });
    }
}

mod assertions {
    use super::*;

    #[test]
    fn they_pass_when_it_is_so_and_take_nothing() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        numbers.assert_none();
        bus.emit(&1_u32);
        bus.emit(&2_u32);
        numbers.assert_emitted(|n| *n == 1);
        numbers.assert_emitted(|n| *n == 2);
        assert_eq!(numbers.take(), [1, 2]);
        numbers.assert_none();
    }

    #[test]
    fn on_envelopes_they_look_at_these() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>().envelopes();
        bus.topic("a").emit(&1_u32);
        numbers.assert_emitted(|n| n.topic.as_deref() == Some("a") && n.event == 1);
    }

    #[test]
    fn a_failed_one_shows_what_was_emitted_in_order_with_topics_and_places_and_names_the_callers_line() {
        let bus = strict_bus();
        let orders = bus.record::<Placed>();
        let emitted = line() + 1;
        bus.emit(&Placed(1));
        bus.topic("order.new").emit(&Placed(2));
        let list = format!("\n  1. Placed(1) {}\n  2. Placed(2) on \"order.new\" {}", at(emitted), at(emitted + 1));
        let what = std::any::type_name::<Placed>();

        let (message, failed_at) = said(|| orders.assert_emitted(|order| order.0 == 3));
        assert_eq!(message, format!("no such `{what}` was emitted. These were, in order:{list}"));
        assert_eq!(failed_at, line() - 2);
        let (message, failed_at) = said(|| orders.assert_none());
        assert_eq!(message, format!("no `{what}` was to be emitted. These were, in order:{list}"));
        assert_eq!(failed_at, line() - 2);
    }

    #[test]
    fn a_failed_one_lists_the_types_that_nobody_heard() {
        let bus = strict_bus();
        bus.emit(&'x');
        let sums = bus.record::<(u8, u8)>();
        let _hears = bus.on(|_: &u64| {});
        let emitted = line() + 1;
        bus.emit(&(1, 2));
        bus.emit(&(3, 4));
        bus.emit(&5_u64);
        bus.emit(&"six");
        let (message, _) = said(|| sums.assert_emitted(|_| true));
        let expected = [
            "no `(u8, u8)` was emitted at all.".to_owned(),
            "Nobody heard these, emitted meanwhile; is one of them what was meant, as another type?".to_owned(),
            format!("  (i32, i32), 2 times, first {}", at(emitted)),
            format!("  &str {}", at(emitted + 3)),
        ];
        assert_eq!(message, expected.join("\n"), "not the char from before, not what was heard");
    }

    #[test]
    fn what_it_recorded_itself_is_not_called_unheard() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        bus.emit(&7_u32);
        let (message, _) = said(|| numbers.assert_emitted(|_| false));
        assert!(!message.contains("Nobody"), "{message}");
    }

    #[test]
    fn a_listener_that_panics_at_unheard_events_upsets_no_list() {
        in_time(|| {
            let (bus, failures) = logging_bus();
            let _panics = [(); 2].map(|()| bus.on_unheard(|_| panic!("a bug")));
            let numbers = bus.record::<u32>();
            bus.emit(&7_i32);
            let (message, _) = said(|| numbers.assert_emitted(|_| true));
            assert!(message.contains("\n  i32 at "), "{message}");
            assert_eq!(failures.take(), ["a bug"; 2]);
        });
    }

    #[test]
    fn a_listener_that_stops_unheard_events_hides_none_from_the_list() {
        let bus = strict_bus();
        let _stops = bus.on_unheard(|_| std::ops::ControlFlow::Break(()));
        let numbers = bus.record::<u32>();
        bus.emit(&7_i32);
        let (message, _) = said(|| numbers.assert_emitted(|_| true));
        assert!(message.contains("\n  i32 at "), "{message}");
    }

    #[test]
    fn a_long_list_ends_with_the_latest() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        for n in 0..150_u32 {
            bus.emit(&n);
        }
        let (message, _) = said(|| numbers.assert_none());
        let lines: Vec<_> = message.lines().collect();
        assert_eq!((lines.len(), lines[1]), (102, "  (50 before these)"));
        assert!(lines[2].starts_with("  51. 50 at ") && lines[101].starts_with("  150. 149 at "), "{message}");
    }
}

mod user_code {
    use super::*;

    /// What an event does when it is cloned or shown.
    type Does = Arc<dyn Fn() + Send + Sync>;

    struct Event {
        is_shown: Does,
        is_cloned: Does,
    }

    impl Clone for Event {
        fn clone(&self) -> Self {
            (self.is_cloned)();
            Self { is_shown: Arc::clone(&self.is_shown), is_cloned: Arc::clone(&self.is_cloned) }
        }
    }

    impl fmt::Debug for Event {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.is_shown)();
            f.write_str("an event")
        }
    }

    fn nothing() -> Does {
        Arc::new(|| {})
    }

    /// Another thread emits what is recorded, and counts it.
    fn another_thread_records(bus: &Emitter, recorder: &Arc<Recorder<Event>>) -> Does {
        let (bus, recorder) = (bus.downgrade(), Arc::downgrade(recorder));
        let is_done = AtomicBool::new(false);
        Arc::new(move || {
            if is_done.swap(true, Ordering::SeqCst) {
                return;
            }
            let (bus, recorder) = (bus.upgrade().unwrap(), recorder.upgrade().unwrap());
            let counted = in_time(move || {
                let before = recorder.len();
                bus.emit(&Event { is_shown: nothing(), is_cloned: nothing() });
                (before, recorder.len())
            });
            assert_eq!(counted, (1, 2));
        })
    }

    /// A recorder of one event, which does this when it is shown or cloned once more.
    fn recorded(is_shown: impl Fn(&Emitter, &Arc<Recorder<Event>>) -> Does) -> (Emitter, Arc<Recorder<Event>>) {
        let bus = strict_bus();
        let recorder = Arc::new(bus.record::<Event>());
        let does = is_shown(&bus, &recorder);
        let is_recorded = AtomicBool::new(false);
        let later = Arc::clone(&does);
        let is_cloned: Does = Arc::new(move || {
            if is_recorded.swap(true, Ordering::SeqCst) {
                later();
            }
        });
        bus.emit(&Event { is_shown: does, is_cloned });
        (bus, recorder)
    }

    #[test]
    fn recording_waits_for_no_clone_debug_or_predicate() {
        in_time(|| {
            let (_bus, recorder) = recorded(another_thread_records);
            assert_eq!(recorder.events().len(), 1);
            assert_eq!(recorder.len(), 2);
        });
        in_time(|| {
            let (_bus, recorder) = recorded(another_thread_records);
            assert!(caught(|| recorder.assert_none()).is_some());
            assert_eq!(recorder.len(), 2);
        });
        in_time(|| {
            let (bus, recorder) = recorded(|_, _| nothing());
            let does = another_thread_records(&bus, &recorder);
            recorder.assert_emitted(|_| {
                does();
                true
            });
            assert_eq!(recorder.len(), 2);
        });
    }

    #[test]
    fn a_clone_debug_or_predicate_may_use_the_recorder() {
        let (_bus, recorder) = recorded(|_, recorder| {
            let recorder = Arc::downgrade(recorder);
            Arc::new(move || {
                let recorder = recorder.upgrade().unwrap();
                assert_eq!((recorder.len(), recorder.take().len(), recorder.events().len()), (1, 0, 0));
            })
        });
        recorder.assert_emitted(|_| recorder.events().is_empty());
        assert_eq!(recorder.events().len(), 1);
        assert!(recorder.wait_for(2, Duration::ZERO).is_err());
        assert_eq!(recorder.take().len(), 1);
    }

    #[test]
    fn a_panic_in_a_clone_debug_or_predicate_loses_nothing() {
        let panics = |_: &Emitter, _: &Arc<Recorder<Event>>| -> Does { Arc::new(|| panic!("mine")) };
        let (bus, recorder) = recorded(panics);
        let looks: [&dyn Fn(); 5] = [
            &|| drop(recorder.events()),
            &|| recorder.assert_none(),
            &|| recorder.assert_emitted(|_| false),
            &|| recorder.assert_emitted(|_| panic!("mine")),
            &|| drop(recorder.wait_for(2, Duration::ZERO)),
        ];
        for look in looks {
            assert_eq!(caught(look).expect("it panics").message, "mine");
            assert_eq!(recorder.len(), 1);
        }
        bus.emit(&Event { is_shown: nothing(), is_cloned: nothing() });
        assert_eq!((recorder.len(), recorder.take().len()), (2, 2));
        recorder.assert_none();
    }

    /// Another thread does this while an event is looked at, and is to wait for the end of that: what came of it.
    fn meanwhile<R: Send + 'static>(look: fn(&Recorder<u32>) -> R) -> R {
        let bus = strict_bus();
        let numbers = Arc::new(bus.record::<u32>());
        bus.emit(&7_u32);
        let (looks, looked) = channel();
        numbers.assert_emitted(|_| {
            let (other, looks) = (Arc::clone(&numbers), looks.clone());
            thread::spawn(move || looks.send(look(&other)).unwrap());
            looked.recv_timeout(MOMENT).is_err()
        });
        wait(&looked)
    }

    #[test]
    fn who_looks_while_another_thread_does_waits_and_misses_nothing() {
        assert_eq!(meanwhile(Recorder::events), [7]);
        assert_eq!(meanwhile(Recorder::take), [7]);
        assert!(meanwhile(|numbers| caught(|| numbers.assert_none()).is_some()));
    }

    #[test]
    fn the_order_stays_when_something_comes_while_it_is_looked_at() {
        let bus = strict_bus();
        let numbers = bus.record::<u32>();
        bus.emit(&1_u32);
        numbers.assert_emitted(|n| bus.emit(&(n + 1)).heard == 0);
        assert_eq!(numbers.take(), [1, 2]);
    }
}

mod threads {
    use super::*;

    fn thousand(bus: &Emitter, thread: u32) {
        (0..1_000_u32).for_each(|n| keep(&bus.emit(&(thread, n))));
    }

    /// What each of these threads recorded stays in its order.
    fn assert_all_in_order<I: FromEnvelope<(u32, u32)>>(recorded: &[I], number: impl Fn(&I) -> (u32, u32)) {
        for thread in 0..4 {
            let of_this = recorded.iter().map(&number).filter(|(from, _)| *from == thread).map(|(_, n)| n);
            assert!(of_this.eq(0..1_000), "thread {thread}");
        }
    }

    #[test]
    fn what_four_threads_emit_is_recorded_once_each_while_a_fifth_looks() {
        let bus = strict_bus();
        let record = bus.record::<(u32, u32)>().envelopes();
        thread::scope(|threads| {
            let emitters: Vec<_> = (0..4)
                .map(|thread| {
                    let bus = &bus;
                    threads.spawn(move || thousand(bus, thread))
                })
                .collect();
            let mut seen = 0;
            while emitters.iter().any(|emitter| !emitter.is_finished()) {
                let events = record.events();
                assert!(events.len() >= seen, "nothing is missing while others look");
                seen = events.len();
            }
        });
        assert_eq!(record.wait_for(4_000, Duration::ZERO), Ok(()));
        let envelopes: Vec<Envelope<_>> = record.take();
        assert_eq!(envelopes.len(), 4_000);
        assert_all_in_order(&envelopes, |envelope| envelope.event);
    }

    #[test]
    fn what_is_taken_by_two_threads_is_taken_once() {
        let bus = strict_bus();
        let recorder = bus.record::<(u32, u32)>();
        let taken = thread::scope(|threads| {
            let take = || {
                let mut taken = Vec::new();
                while recorder.wait_for(1, MOMENT).is_ok() {
                    taken.extend(recorder.take());
                }
                taken
            };
            let takers = [threads.spawn(take), threads.spawn(take)];
            for thread in 0..4 {
                thousand(&bus, thread);
            }
            takers.map(|taker| taker.join().unwrap())
        });
        let mut all: Vec<_> = taken.into_iter().flatten().chain(recorder.take()).collect();
        all.sort_unstable();
        assert_all_in_order(&all, |event| *event);
        assert_eq!(all.len(), 4_000);
    }

    #[test]
    fn a_recorder_of_events_that_one_thread_at_a_time_may_look_at_is_shared() {
        let bus = strict_bus();
        let cells = bus.record::<Cell<u32>>();
        bus.emit(&Cell::new(7_u32));
        thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    cells.assert_emitted(|cell| {
                        cell.set(cell.get() + 1);
                        true
                    });
                });
            }
        });
        assert_eq!(cells.take(), [Cell::new(9)]); // both looked, one after the other
    }
}
