//! Events on which listeners failed for good: what is kept, and what can be done with it.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use common::{Bomb, Drops, Log, Token, fail, reporting_bus};
use hearken::{Builder, Clock, DeadLetterId, Emitter, Overflow, RedriveError, Retry, Subscription};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// A listener that fails on all events, for good at once, until it is told to work.
fn broken(bus: &Emitter) -> (Subscription, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let listener = {
        let works = Arc::clone(&works);
        move |_: &u32| if works.load(Ordering::Relaxed) { Ok(()) } else { fail("broken") }
    };
    (bus.listen().named("worker").retry(Retry::attempts(1)).on(listener), works)
}

fn first(bus: &Emitter) -> DeadLetterId {
    bus.dead_letters().iter().next().expect("there is one").id
}

#[test]
fn a_dead_letter_says_what_failed_who_on_what_how_often_and_when() {
    let clock = Clock::manual();
    let (bus, _) = reporting_bus(Emitter::builder().clock(clock.clone()));
    let topics = bus.topics("order.*");
    let _hears =
        topics.listen::<u32>().named("billing").retry(Retry::attempts(3).backoff(SECOND)).on(|_| fail("declined"));
    clock.advance(SECOND);
    bus.topic("order.placed").emit(&7_u32);
    for _ in 0..5 {
        clock.advance(SECOND);
        bus.drain();
    }
    let letters: Vec<_> = bus.dead_letters().iter().collect();
    let [letter] = &letters[..] else { panic!("one, not {letters:?}") };
    assert_eq!((letter.failure.event(), letter.failure.topic()), ("u32", Some("order.placed")));
    assert_eq!(letter.failure.listener().and_then(|listener| listener.name), Some("billing"));
    assert_eq!((letter.attempts, letter.first_failed, letter.last_failed), (3, SECOND, 4 * SECOND));
    assert!(
        letter.emission.is_some() && letter.emission == letter.origin && letter.cause.is_none() && !letter.is_orphan
    );
    let line = letter.to_string();
    assert!(line.starts_with("listener \"billing\" (") && line.ends_with(": declined; 3 attempts"), "{line}");
}

#[test]
fn a_redriven_event_goes_to_the_listener_that_failed_alone_with_all_attempts_before_it_and_in_its_chain() {
    let clock = Clock::manual();
    let (bus, _) = reporting_bus(Emitter::builder().clock(clock.clone()));
    let calls = Log::new();
    let others = bus.record::<u32>();
    let _hears = {
        let calls = calls.clone();
        bus.listen::<u32>().retry(Retry::attempts(2).backoff(SECOND)).on_with(move |_, cx| {
            calls.add((cx.id(), cx.origin(), cx.cause()));
            fail("always")
        })
    };
    bus.emit(&7_u32);
    clock.advance(SECOND);
    bus.drain();
    let before = calls.take();
    assert_eq!(before.len(), 2);

    assert_eq!(bus.dead_letters().redrive(first(&bus)), Ok(()));
    assert!(bus.dead_letters().is_empty() && calls.take().is_empty(), "it waits for a drain");
    bus.drain();
    clock.advance(SECOND);
    bus.drain();
    assert_eq!(calls.take(), before, "twice again, in the same chain");
    assert_eq!(bus.dead_letters().iter().map(|letter| letter.attempts).collect::<Vec<_>>(), [4]);
    assert_eq!(others.len(), 1);
}

#[test]
fn what_works_when_it_is_redriven_is_a_dead_letter_no_more() {
    let (bus, failures) = reporting_bus(Emitter::builder());
    let (_hears, works) = broken(&bus);
    for event in 0..3_u32 {
        bus.emit(&event);
    }
    assert_eq!(failures.take().len(), 3);
    works.store(true, Ordering::Relaxed);
    assert_eq!(bus.dead_letters().redrive_all(), 3);
    assert_eq!(bus.drain().delivered, 3);
    assert!(bus.dead_letters().is_empty() && failures.take().is_empty());
}

#[test]
fn a_letter_that_is_not_there_can_neither_be_redriven_nor_discarded() {
    let (bus, _) = reporting_bus(Emitter::builder());
    let (_hears, _) = broken(&bus);
    bus.emit(&7_u32);
    let id = first(&bus);
    assert!(bus.dead_letters().discard(id));
    assert!(!bus.dead_letters().discard(id));
    assert_eq!(bus.dead_letters().redrive(id), Err(RedriveError::Unknown));
}

#[test]
fn a_letter_whose_listener_is_gone_says_so_and_stays() {
    let (bus, _) = reporting_bus(Emitter::builder());
    let (hears, _) = broken(&bus);
    bus.emit(&7_u32);
    drop(hears);
    let letters = bus.dead_letters();
    assert_eq!(letters.redrive(first(&bus)), Err(RedriveError::ListenerGone));
    assert_eq!((letters.redrive_all(), letters.len()), (0, 1));
    let line = letters.iter().next().unwrap().to_string();
    assert!(line.ends_with("; 1 attempt, and the listener is gone"), "{line}");
}

#[test]
fn a_queue_that_is_full_or_closed_takes_no_letter_and_the_letter_stays() {
    for (overflow, wanted) in [(Overflow::Reject, 1), (Overflow::DropNewest, 1)] {
        let (bus, _) = reporting_bus(Emitter::builder().queue(1, overflow));
        let (_hears, _) = broken(&bus);
        bus.emit(&7_u32);
        bus.defer("fills it").unwrap();
        let letters = bus.dead_letters();
        assert_eq!((letters.redrive(first(&bus)), letters.len()), (Err(RedriveError::Full), wanted));
        bus.drain();
        bus.close();
        assert_eq!((letters.redrive(first(&bus)), letters.len()), (Err(RedriveError::Closed), wanted));
    }
}

#[test]
fn a_letter_that_makes_room_for_itself_has_the_oldest_event_reported() {
    let (bus, failures) = reporting_bus(Emitter::builder().queue(1, Overflow::DropOldest));
    let (_hears, _) = broken(&bus);
    bus.emit(&7_u32);
    bus.defer("the oldest").unwrap();
    failures.take();
    assert_eq!(bus.dead_letters().redrive(first(&bus)), Ok(()));
    assert_eq!(failures.take(), ["lost 1 &str"]);
}

#[test]
fn when_one_more_comes_than_may_be_kept_the_oldest_is_reported_and_goes() {
    let (bus, failures) = reporting_bus(Emitter::builder().dead_letters(2));
    let (_hears, _) = broken(&bus);
    for event in 0..3_u32 {
        bus.emit(&event);
    }
    assert_eq!(failures.take(), ["broken", "broken", "lost 1 u32", "broken"]);
    let heard = bus.intercept::<u32>();
    assert_eq!(bus.dead_letters().redrive_all(), 2);
    bus.drain();
    assert_eq!(heard.take(), [1, 2], "the newest are kept, and redriven oldest first");
    drop(heard);

    let (bus, failures) = reporting_bus(Emitter::builder().dead_letters(0));
    let (_hears, _) = broken(&bus);
    bus.emit(&0_u32);
    assert_eq!(failures.take(), ["lost 1 u32", "broken"], "none is kept");
    assert!(bus.dead_letters().is_empty());
}

#[test]
fn letters_go_with_their_bus_and_a_destructor_that_panics_harms_nothing() {
    #[derive(Clone)]
    struct Job(#[expect(dead_code, reason = "it is for its destructor")] Arc<(Token, Bomb)>);
    let drops = Drops::new();
    let (bus, failures) = reporting_bus(Emitter::builder());
    bus.listen::<Job>().retry(Retry::attempts(1)).on(|_| fail("broken")).detach();
    let emit = || {
        let job = Job(Arc::new((drops.token(), Bomb("on purpose"))));
        bus.emit(&job);
        // The copy is the last one now.
        drop(job);
    };
    emit();
    assert_eq!(drops.count(), 0);
    assert!(bus.dead_letters().discard(first(&bus)));
    assert_eq!((drops.count(), bus.suppressed_failures()), (1, 1));
    emit();
    drop(bus);
    assert_eq!((drops.count(), failures.take().len()), (2, 2), "each was reported once, when it failed");
}

#[test]
fn an_event_and_the_error_beside_it_may_both_panic_in_their_destructors() {
    /// Unlike a `Bomb`, it panics also while the thread unwinds.
    struct Ruthless(&'static str);
    impl Drop for Ruthless {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }
    #[derive(Clone)]
    struct Job(#[expect(dead_code, reason = "it is for its destructor")] Arc<Ruthless>);

    for attempts in [1, 2] {
        let bus = Builder::<Ruthless>::new().build(|_| {});
        let fails = |_: &Job| Err::<(), _>(Ruthless("the error's"));
        bus.listen().retry(Retry::attempts(attempts)).on(fails).detach();
        let job = Job(Arc::new(Ruthless("the event's")));
        bus.emit(&job);
        drop(job);
        drop(bus);
    }
}

#[test]
fn an_error_channel_may_look_at_the_letters_and_redrive_them() {
    let bus: Arc<std::sync::OnceLock<hearken::WeakEmitter>> = Arc::default();
    let seen = Log::new();
    let emitter = Emitter::new({
        let (bus, seen) = (Arc::clone(&bus), seen.clone());
        move |_| {
            let bus = bus.get().and_then(hearken::WeakEmitter::upgrade).expect("it is failing");
            seen.add((bus.dead_letters().len(), bus.dead_letters().redrive_all()));
        }
    });
    assert!(bus.set(emitter.downgrade()).is_ok());
    let (_hears, _) = broken(&emitter);
    emitter.emit(&7_u32);
    assert_eq!(seen.take(), [(1, 1)]);
    assert_eq!(emitter.pending(), 1);
}

/// What one of a random program's steps does.
#[derive(Clone, Debug)]
enum Step {
    Emit,
    Pass(u8),
    Drain,
    Redrive,
    Pause,
    Resume,
    Replace,
    DiscardLetter,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{DiscardLetter, Drain, Emit, Pass, Pause, Redrive, Replace, Resume};
    let step = prop_oneof![
        6 => Just(Emit),
        6 => (0..5_u8).prop_map(Pass),
        6 => Just(Drain),
        2 => Just(Redrive),
        1 => Just(Pause),
        2 => Just(Resume),
        1 => Just(Replace),
        1 => Just(DiscardLetter),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 5 } else { 400 }))]

    /// Each event, given to one listener that retries, ends as a success, as a dead letter, or as a reported loss: in exactly one of these.
    #[test]
    fn every_event_ends_in_exactly_one_way(
        steps in steps(),
        fate in prop::collection::vec(0..3_u8, 1..40),
        (attempts, kept, capacity) in (1..4_u32, 0..4_u32, 1..6_usize),
        overflow in prop::sample::select(&[Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest][..]),
        closes in any::<bool>(),
    ) {
        let clock = Clock::manual();
        let make: Builder = Emitter::builder().clock(clock.clone()).dead_letters(kept).queue(capacity, overflow);
        let (bus, failures) = reporting_bus(make);
        let successes = Log::new();
        let calls = Arc::new(AtomicU32::new(0));
        let listen = || {
            let (successes, calls, fate) = (successes.clone(), Arc::clone(&calls), fate.clone());
            bus.listen::<u32>().retry(Retry::attempts(attempts).backoff(SECOND)).on(move |event| {
                let call = calls.fetch_add(1, Ordering::Relaxed) as usize;
                match fate[call % fate.len()] {
                    0 => { successes.add(*event); Ok(()) }
                    1 => fail("failed"),
                    _ => panic!("panicked"),
                }
            })
        };
        let mut hears = listen();
        // What nobody was there to hear, because the listener was paused, is nobody's.
        let (mut told, mut heard, mut discarded, mut lost) = (0_u32, 0, 0, 0);
        for step in steps {
            match step {
                Step::Emit => {
                    heard += bus.emit(&told).heard;
                    told += 1;
                }
                Step::Pass(seconds) => clock.advance(SECOND * u32::from(seconds)),
                Step::Drain => _ = bus.drain(),
                Step::Redrive => _ = bus.dead_letters().redrive_all(),
                Step::Pause => hears.pause(),
                Step::Resume => hears.resume(),
                Step::Replace => hears = listen(),
                Step::DiscardLetter => {
                    let letter = bus.dead_letters().iter().next();
                    discarded += usize::from(letter.is_some_and(|letter| bus.dead_letters().discard(letter.id)));
                }
            }
        }
        if closes {
            bus.close();
        }
        let letters = bus.dead_letters().iter().count();
        drop((bus, hears));
        for failure in failures.take() {
            if let Some(rest) = failure.strip_prefix("lost ") {
                lost += rest.split(' ').next().unwrap().parse::<usize>().unwrap();
            }
        }
        let mut ended = successes.take();
        let all = ended.len();
        ended.sort_unstable();
        ended.dedup();
        prop_assert_eq!(ended.len(), all, "no event succeeds twice");
        prop_assert_eq!(all + letters + discarded + lost, heard);
    }
}
