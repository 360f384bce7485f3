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
