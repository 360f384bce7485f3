//! What `tracing` is told: a span for every emission, and an event for whatever goes wrong.
//!
//! What a subscriber does is user code. It is told with no lock held, and its panics end here. While it is told something on a thread,
//! nothing more is told on that thread: a subscriber that emits would be told of that too, and so for ever.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tracing::field::display;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{Level, debug, debug_span, error, warn};

use crate::chain::Chain;
use crate::discard::discard;
use crate::failure::{Cause, Failure};
use crate::id::EmissionId;
use crate::info::{ListenerInfo, Place};
use crate::sync::thread_cells;

/// The target of all of it.
const TARGET: &str = "hearken";

thread_cells! {
    /// See [`is_told`].
    static IS_TOLD: Cell<bool> = Cell::new(false);
}

/// Whether anybody may want emissions. One relaxed load.
#[inline]
pub(crate) fn is_on() -> bool {
    Level::DEBUG <= STATIC_MAX_LEVEL && Level::DEBUG <= LevelFilter::current()
}

/// Runs a subscriber's code; none if it panics. The hook has said so by then, and who would be told of it is who panicked.
fn caught<R>(tell: impl FnOnce() -> R) -> Option<R> {
    let before = IS_TOLD.with(|is_told| is_told.replace(true));
    let told = catch_unwind(AssertUnwindSafe(tell)).map_err(discard).ok();
    IS_TOLD.with(|is_told| is_told.set(before));
    told
}

/// Whether a subscriber's code runs on this thread already.
fn is_told() -> bool {
    IS_TOLD.with(Cell::get)
}

/// Runs a subscriber's code, unless some runs on this thread already.
fn tell<R>(tell: impl FnOnce() -> R) -> Option<R> {
    if is_told() { None } else { caught(tell) }
}

/// An emission's span, for what is still to come of the emission; none if nobody traces it. The last to let go closes it.
pub(crate) struct Span(Option<Arc<tracing::Span>>);

impl Span {
    /// Enters it, until the guard goes.
    #[inline]
    pub(crate) fn enter(&self) -> Entered {
        match &self.0 {
            None => Entered::NOTHING,
            Some(span) => enter(Arc::clone(span)),
        }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            close(span);
        }
    }
}

/// An emission's span while its listeners are called. One pointer, which is null if nobody traces it.
pub(crate) struct Entered(Option<Arc<tracing::Span>>);

impl Entered {
    /// What nobody traces.
    pub(crate) const NOTHING: Self = Self(None);

    /// The span, for what is still to come of the emission when its listeners were called.
    #[inline]
    pub(crate) fn to_enter_again(&self) -> Span {
        Span(self.0.clone())
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            leave(span);
        }
    }
}

/// Begins an emission's span, and enters it; to be asked for only while it [is on](is_on). Apart, because mostly it is off.
#[cold]
#[inline(never)]
pub(crate) fn begin(
    event: &'static str,
    topic: Option<&str>,
    chain: Chain,
    depth: usize,
    emitted_at: &'static Location<'static>,
) -> Entered {
    let [id, cause, origin] = [chain.id, chain.cause, chain.origin].map(number);
    let place = display(Place(emitted_at));
    let span = tell(|| debug_span!(target: TARGET, "emission", event, topic, id, cause, origin, place, depth));
    match span {
        Some(span) if !span.is_disabled() => enter(Arc::new(span)),
        _ => Entered::NOTHING,
    }
}

fn number(id: Option<EmissionId>) -> Option<u64> {
    id.map(EmissionId::number)
}

#[cold]
fn enter(span: Arc<tracing::Span>) -> Entered {
    if is_told() {
        close(span);
        return Entered::NOTHING;
    }
    // Who panicked on the way in may be half inside, and is to go out all the same.
    caught(|| span.with_subscriber(|(id, subscriber)| subscriber.enter(id)));
    Entered(Some(span))
}

#[cold]
fn leave(span: Arc<tracing::Span>) {
    caught(|| span.with_subscriber(|(id, subscriber)| subscriber.exit(id)));
    close(span);
}

#[cold]
fn close(span: Arc<tracing::Span>) {
    caught(|| drop(span));
}

/// Tells of a failure, whatever becomes of it.
#[cold]
pub(crate) fn failure<E>(failure: &Failure<E>) {
    if !is_on() {
        return;
    }
    let listener = failure.listener().map(|listener| display(Who(listener)));
    let (event, topic, place) = (failure.event(), failure.topic(), display(Place(failure.emitted_at())));
    let Chain { id, cause, origin } = failure.chain();
    let [id, cause, origin] = [id, cause, origin].map(number);
    let (mut panic, mut limit, mut missed) = (None, None, None);
    let what = match failure.cause() {
        Cause::Error(_) => "a listener failed",
        Cause::Panic(message) => {
            panic = Some(&**message);
            if listener.is_some() { "a listener panicked" } else { "the clone of an event panicked" }
        }
        Cause::TooDeep { limit: nested } => {
            limit = Some(*nested);
            "an emission went too deep"
        }
        Cause::Lost { missed: events } => {
            missed = Some(*events);
            "events were lost"
        }
        Cause::NoSpawner => "nobody runs the future of an async listener",
    };
    tell(|| {
        debug!(target: TARGET, event, topic, listener, id, cause, origin, place, panic, limit, missed, "{what}");
    });
}

/// A listener as the value of a field: `billing (src/billing.rs:42)`, or its place if it has no name.
struct Who<'a>(&'a ListenerInfo);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place(self.0.registered_at);
        match self.0.name {
            Some(name) => write!(f, "{name} ({place})"),
            None => place.fmt(f),
        }
    }
}

/// Tells of an event that has more listeners than are likely meant, and of how many each place added.
#[cold]
pub(crate) fn leak(event: &'static str, listeners: usize, places: &str) {
    tell(|| {
        warn!(
            target: TARGET,
            event,
            listeners,
            "{listeners} listeners of {event}: {places}; are subscriptions kept or detached that should be dropped? \
             If so many are meant, say so with `Builder::leak_warning`"
        );
    });
}

/// Tells of a failure that is not one yet: its listener will be called again.
#[cold]
pub(crate) fn retry<E>(failure: &Failure<E>, calls: u32, delay: Duration) {
    if is_on() {
        let id = failure.emission().map(EmissionId::number);
        let (event, topic, listener) = (failure.event(), failure.topic(), failure.listener().map(Who).map(display));
        tell(
            || debug!(target: TARGET, event, topic, listener, id, calls, ?delay, "a listener failed and will be called again"),
        );
    }
}

/// Tells of an event that is kept, because its listener failed for good.
#[cold]
pub(crate) fn dead_letter<E>(failure: &Failure<E>, calls: u32) {
    if is_on() {
        let id = failure.emission().map(EmissionId::number);
        let (event, topic, listener) = (failure.event(), failure.topic(), failure.listener().map(Who).map(display));
        tell(|| debug!(target: TARGET, event, topic, listener, id, calls, "an event became a dead letter"));
    }
}

/// Tells that nobody drains a bus on which retries wait.
#[cold]
pub(crate) fn neglected() {
    tell(|| {
        warn!(
            target: TARGET,
            "retries are overdue and nobody drains their bus: call `drain` now and then, or give it a loop by `run` or `spawn_loop`"
        );
    });
}

/// Tells of a listener that holds everybody up.
#[cold]
pub(crate) fn slow(message: fmt::Arguments<'_>) {
    tell(|| warn!(target: TARGET, "{message}"));
}

/// Tells of a failure that can't go to the error channel.
#[cold]
pub(crate) fn suppressed<E>(failure: &Failure<E>) {
    tell(|| error!(target: TARGET, ?failure, "a failure below an error channel"));
}

#[cold]
pub(crate) fn channel_panicked<E>(cause: &Cause<E>) {
    tell(|| error!(target: TARGET, ?cause, "the error channel panicked"));
}

#[cold]
pub(crate) fn let_go_panicked() {
    tell(
        || error!(target: TARGET, "a destructor or a waker panicked: a listener's, an event's, an error's or a task's; the bus goes on"),
    );
}

/// Tells of failures that should be panics, where none may be.
#[cold]
pub(crate) fn unraised(failures: &str) {
    tell(|| error!(target: TARGET, "{failures}"));
}

#[cold]
#[cfg_attr(not(feature = "async"), expect(dead_code, reason = "only a loop that is a future needs the thread"))]
pub(crate) fn no_thread(error: &io::Error) {
    tell(|| error!(target: TARGET, %error, "no thread for timers: they fire when something else wakes the loop"));
}
