//! What users build on without being told: which types cross threads, what they take up, and what can be done with them
//! whatever the error and the event can do.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use hearken::{
    AnyEvent, BoxError, Builder, Cause, Clock, Context, DeadLetter, DeadLetterId, DeadLetters, DeferError, Drained,
    Emission, EmissionId, EmitSite, Emitted, Emitter, Envelope, EventLoop, Failure, Inbox, InboxIter, Listen,
    ListenerId, ListenerInfo, Overflow, Pattern, Port, Recorder, RedriveError, Retry, Subscription, Timer, Topic,
    TopicError, TopicRef, TopicsRef, Topology, WaitTimeout, WeakEmitter, WouldDeadlock,
};

/// An error that can do nothing but cross threads.
struct Bare;

/// An event that can't even do that.
struct Local(#[expect(dead_code, reason = "it is only what it keeps the type from")] Rc<()>);

/// The answer where [`has`] finds no better one.
trait Otherwise {
    const HAS: bool = false;
}
impl<T> Otherwise for T {}

/// Whether a type has a trait. The constant of `Is` itself is preferred to the trait's, where its bound holds.
macro_rules! has {
    ($type:ty: $trait:path) => {{
        #[allow(dead_code, reason = "only asked, never made")]
        struct Is<T>(T);
        #[allow(dead_code, reason = "not used where the bound doesn't hold")]
        impl<T: $trait> Is<T> {
            const HAS: bool = true;
        }
        Is::<$type>::HAS
    }};
}

/// A type's auto traits, by name.
macro_rules! auto_traits {
    ($type:ty) => {
        [
            ("Send", has!($type: Send)),
            ("Sync", has!($type: Sync)),
            ("Unpin", has!($type: Unpin)),
            ("UnwindSafe", has!($type: UnwindSafe)),
            ("RefUnwindSafe", has!($type: RefUnwindSafe)),
        ]
        .iter()
        .filter_map(|&(name, has)| has.then_some(name))
        .collect::<Vec<_>>()
        .join(" ")
    };
}

#[test]
fn handles_cross_threads_whatever_the_event_and_the_error_are() {
    const CROSSES: &str = "Send Sync Unpin";
    const SURVIVES_PANICS_TOO: &str = "Send Sync Unpin UnwindSafe RefUnwindSafe";
    assert_eq!(auto_traits!(Emitter), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Emitter<Bare>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(WeakEmitter<Bare>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Port<Local>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Port<Local, Bare>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Listen<'_, Local, Bare>), CROSSES);
    assert_eq!(auto_traits!(Subscription), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Context<'_, Bare>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(TopicRef<'_, Bare>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(TopicsRef<'_, Bare>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Builder<Bare>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Timer), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(EventLoop), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Clock), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(Retry<Local>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(DeadLetters<'_>), SURVIVES_PANICS_TOO);
    assert_eq!(auto_traits!(DeadLetters<'_, Bare>), SURVIVES_PANICS_TOO);
}

#[test]
fn what_holds_a_value_crosses_threads_as_the_value_does() {
    assert_eq!(auto_traits!(Failure), "Send Sync Unpin");
    assert_eq!(auto_traits!(Cause), "Send Sync Unpin");
    assert_eq!(auto_traits!(Failure<Bare>), "Send Sync Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(Cause<Bare>), "Send Sync Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(Failure<Local>), "Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(DeadLetter), "Send Sync Unpin");
    assert_eq!(auto_traits!(DeadLetter<Bare>), "Send Sync Unpin UnwindSafe RefUnwindSafe");
    // A recorder needs no `Sync` of its events: one thread reads at a time.
    assert_eq!(auto_traits!(Recorder<Cell<u32>>), "Send Sync Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(Recorder<Local>), "Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(Recorder<Cell<u32>, Envelope<Cell<u32>>>), "Send Sync Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(Inbox<Cell<u32>>), "Send Sync Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(Inbox<Local>), "Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(InboxIter<'_, Cell<u32>>), "Send Sync Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(Envelope<Local>), "Unpin UnwindSafe RefUnwindSafe");
    assert_eq!(auto_traits!(DeferError<Local>), "Unpin UnwindSafe RefUnwindSafe");
    // The event behind it may be of any type.
    assert_eq!(auto_traits!(AnyEvent<'_, Bare>), "Unpin");
}

#[test]
fn names_and_reports_are_plain_values() {
    const PLAIN: &str = "Send Sync Unpin UnwindSafe RefUnwindSafe";
    assert_eq!(auto_traits!(Emission), PLAIN);
    assert_eq!(auto_traits!(EmissionId), PLAIN);
    assert_eq!(auto_traits!(ListenerId), PLAIN);
    assert_eq!(auto_traits!(Drained), PLAIN);
    assert_eq!(auto_traits!(Overflow), PLAIN);
    assert_eq!(auto_traits!(ListenerInfo), PLAIN);
    assert_eq!(auto_traits!(DeadLetterId), PLAIN);
    assert_eq!(auto_traits!(RedriveError), PLAIN);
    assert_eq!(auto_traits!(Topology), PLAIN);
    assert_eq!(auto_traits!(EmitSite), PLAIN);
    assert_eq!(auto_traits!(Topic), PLAIN);
    assert_eq!(auto_traits!(Pattern), PLAIN);
    assert_eq!(auto_traits!(TopicError), PLAIN);
    assert_eq!(auto_traits!(Emitted), PLAIN);
    assert_eq!(auto_traits!(WaitTimeout), PLAIN);
    assert_eq!(auto_traits!(WouldDeadlock), PLAIN);
}

#[test]
fn names_and_reports_are_copied_compared_and_shown() {
    fn is_a_name<T: Copy + Eq + Hash + Debug>() {}
    fn is_a_report<T: Copy + Eq + Default + Debug>() {}
    fn is_an_error<T: Copy + Eq + Error + 'static>() {}
    is_a_name::<EmissionId>();
    is_a_name::<ListenerId>();
    is_a_name::<DeadLetterId>();
    is_a_report::<Emission>();
    is_a_report::<Drained>();
    is_a_report::<Overflow>();
    is_an_error::<WouldDeadlock>();
    is_an_error::<RedriveError>();
}

#[cfg(target_pointer_width = "64")]
#[test]
fn what_is_kept_and_passed_often_is_small() {
    assert_eq!(size_of::<Emitter>(), 8);
    assert_eq!(size_of::<Option<Emitter>>(), 8);
    assert_eq!(size_of::<WeakEmitter>(), 8);
    // With its topic and the topic's hash, so that emitting computes neither.
    assert_eq!(size_of::<Port<Local>>(), 40);
    assert_eq!(size_of::<TopicRef<'_>>(), 32);
    assert_eq!(size_of::<TopicsRef<'_>>(), 24);
    assert_eq!(size_of::<Failure>(), 8);
    assert_eq!(size_of::<Option<Subscription>>(), 32);
    assert_eq!(size_of::<ListenerId>(), 16);
    assert_eq!(size_of::<EmissionId>(), 8);
    assert_eq!(size_of::<Option<EmissionId>>(), 8);
    assert_eq!(size_of::<Emission>(), 40);
    assert_eq!(size_of::<Context<'_>>(), 24);
    assert_eq!(size_of::<Timer>(), 16);
    assert_eq!(size_of::<DeadLetters<'_>>(), 8);
    assert_eq!(size_of::<DeadLetterId>(), 8);
    assert_eq!(size_of::<Result<(), DeferError<u64>>>(), 16);
}

#[test]
fn handles_and_failures_are_cloned_and_shown_whatever_the_error_can_do() {
    fn is_cloned_and_shown<T: Clone + Debug>() {}
    is_cloned_and_shown::<Emitter<Local>>();
    is_cloned_and_shown::<WeakEmitter<Local>>();
    is_cloned_and_shown::<Port<Local, Local>>();
    is_cloned_and_shown::<Failure<Local>>();
    is_cloned_and_shown::<Cause<Local>>();
    is_cloned_and_shown::<ListenerInfo>();
    is_cloned_and_shown::<(DeadLetters<'_, Bare>, DeadLetter<Local>)>();
    is_cloned_and_shown::<(Topology, EmitSite)>();
}

#[test]
fn every_public_type_is_shown_whatever_the_event_and_the_error_can_do() {
    fn is_shown<T: Debug>() {}
    is_shown::<Builder<Local>>();
    is_shown::<Listen<'_, Local, Local>>();
    is_shown::<Context<'_, Local>>();
    is_shown::<AnyEvent<'_, Local>>();
    is_shown::<Recorder<Local>>();
    is_shown::<Recorder<Local, Envelope<Local>>>();
    is_shown::<(Emitted, WaitTimeout)>();
    is_shown::<Subscription>();
    is_shown::<Retry<Local>>();
    is_shown::<Inbox<Local>>();
    is_shown::<InboxIter<'_, Local>>();
    is_shown::<Envelope<u32>>();
    is_shown::<DeferError<Local>>();
    is_shown::<(Timer, EventLoop, Clock, Drained, Overflow)>();
}

#[test]
fn a_failure_is_an_error_as_soon_as_its_error_has_words() {
    fn is_an_error<T: Error + Send + Sync + 'static>() {}
    is_an_error::<Failure>();
    is_an_error::<Failure<String>>();
    assert!(!has!(Failure<Bare>: Error));
    is_an_error::<DeferError<Bare>>();
    is_an_error::<WaitTimeout>();
}

#[test]
fn the_error_is_any_error_unless_named() {
    // It compiles: each pair is one type.
    let _: fn(Emitter) -> Emitter<BoxError> = |same| same;
    let _: fn(WeakEmitter) -> WeakEmitter<BoxError> = |same| same;
    let _: fn(Builder) -> Builder<BoxError> = |same| same;
    let _: fn(Port<u8>) -> Port<u8, BoxError> = |same| same;
    let _: fn(Listen<'static, u8>) -> Listen<'static, u8, BoxError> = |same| same;
    let _: fn(Failure) -> Failure<BoxError> = |same| same;
    let _: fn(Retry) -> Retry<BoxError> = |same| same;
    let _: fn(DeadLetter) -> DeadLetter<BoxError> = |same| same;
    let _: fn(DeadLetters<'static>) -> DeadLetters<'static, BoxError> = |same| same;
    let _: fn(Cause) -> Cause<BoxError> = |same| same;
    let _: fn(Context<'static>) -> Context<'static, BoxError> = |same| same;
    let _: fn(AnyEvent<'static>) -> AnyEvent<'static, BoxError> = |same| same;
}

#[test]
fn events_and_errors_that_can_do_nothing_go_through_a_bus() {
    let bus = Builder::<Bare>::new().build(|failure| drop(failure.into_error()));
    let port = bus.port();
    let _fails = bus.on(|_: &Local| Err::<(), _>(Bare));
    let emission = port.emit(&Local(Rc::new(())));
    assert_eq!((emission.heard, emission.failed), (1, 1));
}

#[cfg(feature = "async")]
mod awaited {
    use hearken::{BoxFuture, EventStream, Next};

    use super::*;

    #[test]
    fn what_is_awaited_crosses_threads_as_its_events_do() {
        const PLAIN: &str = "Send Sync Unpin UnwindSafe RefUnwindSafe";
        assert_eq!(auto_traits!(EventStream<Cell<u32>>), PLAIN);
        assert_eq!(auto_traits!(EventStream<Local>), "Unpin UnwindSafe RefUnwindSafe");
        assert_eq!(auto_traits!(Next<Cell<u32>>), PLAIN);
        assert_eq!(auto_traits!(BoxFuture), "Send Unpin");
    }

    #[test]
    fn what_is_awaited_is_shown_and_emissions_are_sent() {
        fn is_shown<T: Debug>() {}
        fn is_sent<T: Send>(_: T) {}
        is_shown::<(EventStream<Local>, Next<Local>)>();
        let bus = Emitter::new(hearken::ignore);
        is_sent(bus.emit_async(&7_u32));
        is_sent(bus.run_async());
    }
}
