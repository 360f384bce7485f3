//! Contract 1, 2 and 3 as a matrix: what a listener does to the bus in its call, first, in the middle or last among three
//! listeners, itself typed or of every type, among typed ones or ones of every type.
//!
//! The three are a, b and c. A test is a row: what the acting listener does, and for each of its three places who is
//! called in this emission and who in the next. An `o` is a listener of another event, a `d` one that was added.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{Log, logging_bus, strict_bus};
use hearken::{AnyEvent, Emitter, Subscription, WouldDeadlock};

struct Event;
struct Other;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Typed,
    Any,
}

/// How a listener is removed.
#[derive(Clone, Copy, Debug)]
enum Way {
    Off,
    Drop,
    Id,
    Wait,
}

/// What an acting listener can reach. It owns no handle of the bus it listens on.
struct Stage {
    log: Log<char>,
    subscriptions: Mutex<Vec<Option<Subscription>>>,
    /// Those that were added, and listeners of `Other`.
    more: Mutex<Vec<Subscription>>,
    /// Another handle of the bus.
    handle: Mutex<Option<Emitter>>,
    way: Way,
}

/// The acting listener's view: the stage, the bus, and its own place.
struct Act<'a> {
    stage: &'a Arc<Stage>,
    bus: &'a Emitter,
    place: usize,
}

impl Act<'_> {
    fn before(&self) -> usize {
        self.place - 1
    }

    fn after(&self) -> usize {
        self.place + 1
    }

    fn remove(&self, place: usize) {
        let subscription = self.stage.subscriptions.lock().expect("no panic")[place].take();
        let subscription = subscription.expect("it is removed once");
        match self.stage.way {
            Way::Off => assert!(subscription.off()),
            Way::Drop => drop(subscription),
            Way::Id => {
                assert!(self.bus.off(subscription.id()));
                assert!(!subscription.off(), "it was off already");
            }
            Way::Wait => assert_eq!(subscription.off_and_wait(), Err(WouldDeadlock)),
        }
    }

    fn with(&self, place: usize, act: impl FnOnce(&Subscription)) {
        let subscriptions = self.stage.subscriptions.lock().expect("no panic");
        act(subscriptions[place].as_ref().expect("it is there"));
    }

    fn pause(&self, place: usize) {
        self.with(place, Subscription::pause);
    }

    fn resume(&self, place: usize) {
        self.with(place, Subscription::resume);
    }

    fn add(&self, kind: Kind, priority: i32) {
        let log = self.stage.log.clone();
        let added = match kind {
            Kind::Typed => self.bus.listen::<Event>().priority(priority).on(move |_| log.add('d')),
            Kind::Any => self.bus.on_any(move |event: &AnyEvent<'_>| {
                if event.downcast_ref::<Event>().is_some() {
                    log.add('d');
                }
            }),
        };
        self.stage.more.lock().expect("no panic").push(added);
    }
}

/// What an acting listener panics with.
const ON_PURPOSE: &str = "on purpose";

/// Who is called in this emission, and in the next; none where there is nobody to act upon.
type Cell = Option<[&'static str; 2]>;

/// Plays a row: `act` in every place, for every kind of actor and of others, with every way to remove.
#[track_caller]
fn row(act: fn(&Act<'_>), cells: [Cell; 3]) {
    row_on_stage(|_, _| (), act, cells);
}

/// The same, with something that is done to the three before the emission.
#[track_caller]
fn row_on_stage(set: fn(&[Subscription], usize), act: fn(&Act<'_>), cells: [Cell; 3]) {
    for (place, cell) in cells.into_iter().enumerate() {
        let Some(expected) = cell else { continue };
        for actor in [Kind::Typed, Kind::Any] {
            for others in [Kind::Typed, Kind::Any] {
                for way in [Way::Off, Way::Drop, Way::Id, Way::Wait] {
                    let seen = play(set, act, place, (actor, others), way);
                    let seen = [seen[0].as_str(), seen[1].as_str()];
                    assert_eq!(seen, expected, "place {place}, {actor:?} among {others:?}, {way:?}");
                }
            }
        }
    }
}

fn play(
    set: fn(&[Subscription], usize),
    act: fn(&Act<'_>),
    place: usize,
    (actor, others): (Kind, Kind),
    way: Way,
) -> [String; 2] {
    let (bus, failures) = logging_bus();
    let (subscriptions, more, handle) = (Mutex::default(), Mutex::default(), Mutex::new(Some(bus.clone())));
    let stage = Arc::new(Stage { log: Log::new(), subscriptions, more, handle, way });

    let listen = |(name, at): (char, usize)| {
        let (stage, has_acted) = (Arc::clone(&stage), AtomicBool::new(at != place));
        let call = move |bus: &Emitter| {
            stage.log.add(name);
            if !has_acted.swap(true, Ordering::Relaxed) {
                act(&Act { stage: &stage, bus, place });
            }
        };
        match if at == place { actor } else { others } {
            Kind::Typed => bus.on_with(move |_: &Event, cx| call(cx.emitter())),
            Kind::Any => bus.on_any(move |event: &AnyEvent<'_>| {
                if event.downcast_ref::<Event>().is_some() {
                    call(event.context().emitter());
                }
            }),
        }
    };
    let three: Vec<_> = [('a', 0), ('b', 1), ('c', 2)].into_iter().map(listen).collect();
    set(&three, place);
    *stage.subscriptions.lock().expect("no panic") = three.into_iter().map(Some).collect();

    [(), ()].map(|()| {
        bus.emit(&Event);
        assert!(failures.take().iter().all(|failure| failure == ON_PURPOSE), "nothing else fails");
        stage.log.take().into_iter().collect()
    })
}

// Adding

#[test]
fn a_typed_listener_that_is_added_is_called_from_the_next_emission_on() {
    row(|act| act.add(Kind::Typed, 0), [Some(["abc", "abcd"]), Some(["abc", "abcd"]), Some(["abc", "abcd"])]);
}

#[test]
fn an_any_listener_that_is_added_is_called_from_the_next_emission_on() {
    row(|act| act.add(Kind::Any, 0), [Some(["abc", "abcd"]), Some(["abc", "abcd"]), Some(["abc", "abcd"])]);
}

#[test]
fn a_listener_that_is_added_at_the_front_is_called_from_the_next_emission_on() {
    row(|act| act.add(Kind::Typed, 9), [Some(["abc", "dabc"]), Some(["abc", "dabc"]), Some(["abc", "dabc"])]);
}

#[test]
fn a_nested_emission_that_begins_after_an_addition_calls_the_added_one() {
    row(
        |act| {
            act.add(Kind::Typed, 0);
            act.bus.emit(&Event);
        },
        [Some(["aabcdbc", "abcd"]), Some(["ababcdc", "abcd"]), Some(["abcabcd", "abcd"])],
    );
}

// Removing

#[test]
fn removing_the_one_before_changes_the_next_emission() {
    row(|act| act.remove(act.before()), [None, Some(["abc", "bc"]), Some(["abc", "ac"])]);
}

#[test]
fn the_one_behind_is_not_called_any_more_once_it_is_removed() {
    row(|act| act.remove(act.after()), [Some(["ac", "ac"]), Some(["ab", "ab"]), None]);
}

#[test]
fn a_listener_that_removes_itself_is_not_called_again_and_nobody_is_skipped() {
    row(|act| act.remove(act.place), [Some(["abc", "bc"]), Some(["abc", "ac"]), Some(["abc", "ab"])]);
}

#[test]
fn a_listener_that_removes_both_others_stays_alone() {
    row(
        |act| {
            for place in (0..3).filter(|&place| place != act.place) {
                act.remove(place);
            }
        },
        [Some(["a", "a"]), Some(["ab", "b"]), Some(["abc", "c"])],
    );
}

#[test]
fn one_that_replaces_the_one_behind_is_called_from_the_next_emission_on() {
    row(
        |act| {
            act.remove(act.after());
            act.add(Kind::Typed, 0);
        },
        [Some(["ac", "acd"]), Some(["ab", "abd"]), None],
    );
}

#[test]
fn neither_a_nested_emission_nor_the_one_around_it_calls_the_one_that_was_removed() {
    row(
        |act| {
            act.remove(act.after());
            act.bus.emit(&Event);
        },
        [Some(["aacc", "ac"]), Some(["abab", "ab"]), None],
    );
}

#[test]
fn what_a_listener_of_a_nested_event_removes_is_not_called_any_more() {
    row(
        |act| {
            let (stage, place) = (Arc::clone(act.stage), act.place);
            let removes = act.bus.on_with(move |_: &Other, cx| {
                stage.log.add('o');
                Act { stage: &stage, bus: cx.emitter(), place }.remove(place + 1);
            });
            act.bus.emit(&Other);
            drop(removes);
        },
        [Some(["aoc", "ac"]), Some(["abo", "ab"]), None],
    );
}

#[test]
fn nobody_is_called_any_more_after_off_all() {
    row(|act| assert_eq!(act.bus.off_all(), 3), [Some(["a", ""]), Some(["ab", ""]), Some(["abc", ""])]);
}

#[test]
fn one_that_is_added_after_off_all_is_called_from_the_next_emission_on() {
    row(
        |act| {
            act.bus.off_all();
            act.add(Kind::Any, 0);
        },
        [Some(["a", "d"]), Some(["ab", "d"]), Some(["abc", "d"])],
    );
}

#[test]
fn resuming_one_that_was_removed_does_not_bring_it_back() {
    row(
        |act| {
            act.pause(act.after());
            act.with(act.after(), |removed| {
                assert!(act.bus.off(removed.id()));
                removed.resume();
                assert!(!removed.is_active());
            });
        },
        [Some(["ac", "ac"]), Some(["ab", "ab"]), None],
    );
}

// Pausing

#[test]
fn pausing_the_one_before_changes_the_next_emission() {
    row(|act| act.pause(act.before()), [None, Some(["abc", "bc"]), Some(["abc", "ac"])]);
}

#[test]
fn the_one_behind_is_not_called_while_it_is_paused() {
    row(|act| act.pause(act.after()), [Some(["ac", "ac"]), Some(["ab", "ab"]), None]);
}

#[test]
fn a_listener_that_pauses_itself_is_not_called_again_and_nobody_is_skipped() {
    row(|act| act.pause(act.place), [Some(["abc", "bc"]), Some(["abc", "ac"]), Some(["abc", "ab"])]);
}

#[test]
fn one_that_is_paused_and_resumed_keeps_its_place_but_has_missed_this_emission() {
    row(
        |act| {
            act.pause(act.after());
            act.resume(act.after());
        },
        [Some(["ac", "abc"]), Some(["ab", "abc"]), None],
    );
}

#[test]
fn one_that_is_resumed_is_called_from_the_next_emission_on() {
    let pause_the_next = |three: &[Subscription], place: usize| three[place + 1].pause();
    row_on_stage(pause_the_next, |act| act.resume(act.after()), [Some(["ac", "abc"]), Some(["ab", "abc"]), None]);
    let pause_the_former = |three: &[Subscription], place: usize| three[place - 1].pause();
    row_on_stage(pause_the_former, |act| act.resume(act.before()), [None, Some(["bc", "abc"]), Some(["ac", "abc"])]);
}

#[test]
fn a_nested_emission_that_begins_after_a_resume_calls_the_resumed_one() {
    let pause_the_next = |three: &[Subscription], place: usize| three[place + 1].pause();
    row_on_stage(
        pause_the_next,
        |act| {
            act.resume(act.after());
            act.bus.emit(&Event);
        },
        [Some(["aabcc", "abc"]), Some(["ababc", "abc"]), None],
    );
}

#[test]
fn resuming_one_that_is_not_paused_changes_nothing() {
    row(|act| act.resume(act.after()), [Some(["abc", "abc"]), Some(["abc", "abc"]), None]);
    row(|act| act.resume(act.place), [Some(["abc", "abc"]), Some(["abc", "abc"]), Some(["abc", "abc"])]);
}

// Emitting

#[test]
fn the_same_event_nested_calls_everybody_at_once_and_then_the_rest() {
    row(
        |act| drop_emission(act.bus, &Event),
        [Some(["aabcbc", "abc"]), Some(["ababcc", "abc"]), Some(["abcabc", "abc"])],
    );
}

#[test]
fn another_event_nested_is_delivered_before_the_rest() {
    row(
        |act| {
            let log = act.stage.log.clone();
            let other = act.bus.on(move |_: &Other| log.add('o'));
            drop_emission(act.bus, &Other);
            drop_emission(act.bus, &Other);
            drop(other);
        },
        [Some(["aoobc", "abc"]), Some(["abooc", "abc"]), Some(["abcoo", "abc"])],
    );
}

fn drop_emission<T: 'static>(bus: &Emitter, event: &T) {
    bus.emit(event);
}

// Letting go, and failing

#[test]
fn a_handle_that_is_dropped_takes_nobody_with_it() {
    row(
        |act| drop(act.stage.handle.lock().expect("no panic").take()),
        [Some(["abc", "abc"]), Some(["abc", "abc"]), Some(["abc", "abc"])],
    );
}

#[test]
fn a_panic_takes_nobody_with_it() {
    row(|_| panic!("{ON_PURPOSE}"), [Some(["abc", "abc"]), Some(["abc", "abc"]), Some(["abc", "abc"])]);
}

#[test]
fn a_panic_undoes_nothing_that_was_done_before() {
    row(
        |act| {
            act.remove(act.after());
            act.add(Kind::Typed, 0);
            panic!("{ON_PURPOSE}")
        },
        [Some(["ac", "acd"]), Some(["ab", "abd"]), None],
    );
}

// Many

#[test]
fn a_removal_among_hundreds_reaches_just_its_listener() {
    let (bus, log) = (strict_bus(), Log::<usize>::new());
    let subscriptions: Arc<Mutex<Vec<Option<Subscription>>>> = Arc::default();
    let listen = |n: usize| {
        let (subscriptions, log) = (Arc::clone(&subscriptions), log.clone());
        bus.on(move |_: &Event| {
            log.add(n);
            // The two behind it, and one far behind.
            let mut subscriptions = subscriptions.lock().expect("no panic");
            let removed = [n + 1, n + 2, n + 150].map(|n| subscriptions.get_mut(n).and_then(Option::take));
            drop(subscriptions);
            drop(removed);
        })
    };
    let all: Vec<_> = (0..400).map(|n| Some(listen(n))).collect();
    *subscriptions.lock().expect("no panic") = all;

    let mut expected: Vec<_> = (0..400).collect();
    let mut at = 0;
    while let Some(&n) = expected.get(at) {
        expected.retain(|&other| ![n + 1, n + 2, n + 150].contains(&other));
        at += 1;
    }
    bus.emit(&Event);
    assert_eq!(log.take(), expected);
    bus.emit(&Event);
    assert_eq!(log.take(), expected);
    assert_eq!(bus.off_all(), expected.len());
}

#[test]
fn hundreds_that_are_added_in_an_emission_wait_for_the_next() {
    let (bus, log) = (strict_bus(), Log::<usize>::new());
    let heard = log.clone();
    let _adds = bus.once_with(move |_: &Event, cx| {
        for n in 0..300 {
            let log = heard.clone();
            cx.emitter().listen::<Event>().priority(if n < 150 { 1 } else { -1 }).on(move |_| log.add(n)).detach();
        }
    });
    let last = log.clone();
    let _last = bus.on(move |_: &Event| last.add(999));
    bus.emit(&Event);
    assert_eq!(log.take(), [999]);
    bus.emit(&Event);
    let expected: Vec<_> = (0..150).chain([999]).chain(150..300).collect();
    assert_eq!(log.take(), expected);
}
