//! Error channels, ready made.

use std::fmt;

use crate::failure::Failure;
use crate::raw::frame;

/// The error channel that writes every failure to [`tracing`], at error level under the target `hearken`.
///
/// For programs: install a subscriber, and no failure is overlooked. Without a subscriber it says nothing.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// ```
///
/// # Tracing
///
/// Whatever its error channel, a bus tells `tracing` what happens on it, under the target `hearken`:
///
/// | what | level | fields |
/// | --- | --- | --- |
/// | an emission: a span, `emission` | debug | `event`, `topic`, `id`, `cause`, `origin`, `depth`, `place` |
/// | every [`Failure`], when it happens: an event | debug | `event`, `topic`, `listener`, `id`, `cause`, `origin`, `place`; `panic`, `limit` or `missed` |
/// | a failure that goes to this error channel: an event | error | its one line, as the message |
/// | a failure after which the listener [is tried again](crate::Listen::retry), and is none yet: an event | debug | `event`, `topic`, `listener`, `id`, `calls`, `delay` |
/// | a new [dead letter](crate::Emitter::dead_letters): an event | debug | `event`, `topic`, `listener`, `id`, `calls` |
/// | retries that are long overdue because nobody drains, at most once a minute: an event | warn | |
/// | a suspected leak ([`Builder::leak_warning`](crate::Builder::leak_warning)): an event | warn | `event`, `listeners` |
/// | what no error channel can be told ([`suppressed_failures`](crate::Emitter::suppressed_failures)): an event | error | |
///
/// Fields have the names, and the values, that a [`Context`](crate::Context) gives them; `place` is where the event was emitted, and `listener` who
/// failed, as `file:line`. Those that there are none of are left out.
///
/// ```
/// use tracing_subscriber::filter::LevelFilter;
///
/// tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).init();
/// let bus = hearken::Emitter::new(hearken::log);
/// let _billing = bus.on(|n: &u32| tracing::info!("order {n}"));
/// bus.topic("order.created").emit(&7_u32);
/// // INFO emission{event="u32" topic="order.created" id=1 origin=1 place=src/main.rs:6 depth=1}: shop: order 7
/// ```
///
/// A span is entered while the listeners of its emission run, so what they log and emit is in it; again for the turn of a deferred listener,
/// on whichever thread that comes; and whenever an async listener's future is polled. It is closed when nothing of the emission is to come
/// any more.
///
/// What is deferred has a span when it is delivered. It is not in the span of its cause, which is closed by then: `cause` and `origin` tell what it
/// belongs to. The example `traced` makes one OpenTelemetry trace of such a chain by them.
///
/// ## Subscribers
///
/// A subscriber is user code: no lock is held over it, and it may use the bus. What it emits in turn is delivered, but not traced. Its panics end
/// where they happen, and the bus goes on.
///
/// ## Cost
///
/// One relaxed load for an emission, while no subscriber wants the debug level. Behind that, what the subscriber does, and one allocation.
pub fn log<E: fmt::Display>(failure: Failure<E>) {
    tracing::error!(target: "hearken", "{failure}");
}

/// The error channel that panics, for tests and scripts: no failure goes unnoticed.
///
/// Every listener is called first; then the outermost `emit` or `drain` on the thread panics, at its caller's line, with all the failures'
/// messages. Where a failure happens outside of both, the verb that it happened in panics, such as a `defer` that had to drop an event. In
/// a destructor, and if the thread is unwinding already, they are traced at error level instead.
///
/// # Panics
///
/// That is what it is for; outside of any emission, at once.
///
/// ```should_panic
/// let bus = hearken::Emitter::new(hearken::panic);
/// let _fails = bus.on(|n: &u32| Err::<(), _>(format!("no {n}").into()));
/// bus.emit(&7_u32); // panics: listener at …, failed on u32 …: no
/// ```
#[track_caller]
pub fn panic<E: fmt::Display>(failure: Failure<E>) {
    let message = failure.to_string();
    // A bus that hands it a failure raises what is said here when it is done.
    assert!(frame::depth() != 0 || frame::is_below_channel(), "{message}");
    frame::raise_at_the_end(&message);
}

/// The error channel that ignores failures, on purpose and in plain sight.
///
/// For benchmarks, and for tests of something else. A program that uses it hides its bugs.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::ignore);
/// ```
pub fn ignore<E>(_: Failure<E>) {}
