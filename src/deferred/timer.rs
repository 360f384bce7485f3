//! Events that are deferred until a time.

use std::fmt;
use std::iter;
use std::panic::{AssertUnwindSafe, Location, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::chain::From;
use crate::discard::discard;
use crate::dispatch;
use crate::errors::raise_if_outermost;
use crate::failure::{Cause, Failure};
use crate::handle::{Bus, Emitter};
use crate::queue::{Alarm, Claimed, Entry, Waiting, lost};
use crate::raw::backlog::{Label, Topic};
use crate::raw::frame;
use crate::registry::{Channel, Name};
use crate::sync::{AtomicU32, Ordering};

/// A timer that was set: the guard of [`defer_in`](Emitter::defer_in) and [`defer_every`](Emitter::defer_every). Dropped, it cancels the
/// timer; [`detach`](Self::detach) lets it run.
///
/// For a debounce, keep the latest one and put the next in its place: what was to come is cancelled.
///
/// ```
/// use std::time::Duration;
/// use hearken::{Clock, Emitter};
///
/// let clock = Clock::manual();
/// let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
/// let saved = bus.record::<&str>();
///
/// let mut save = bus.defer_in(Duration::from_secs(2), "draft 1");
/// clock.advance(Duration::from_secs(1));
/// save = bus.defer_in(Duration::from_secs(2), "draft 2");
/// clock.advance(Duration::from_secs(2));
/// bus.drain();
/// assert_eq!(saved.take(), ["draft 2"]);
/// assert!(!save.cancel(), "it fired");
/// ```
///
/// # Cancelling
///
/// A timer can be cancelled until the delivery of its event begins; also when it fired already and its event waits in the queue. A timer
/// doesn't keep its bus alive.
#[must_use = "dropped, it cancels the timer; `.detach()` lets it run"]
pub struct Timer {
    /// None once it is cancelled or let go.
    set: Option<Arc<dyn Cancel>>,
}

impl Timer {
    /// Cancels it. True exactly when this did it: its event, or the next one of it, will not be delivered.
    pub fn cancel(mut self) -> bool {
        self.set.take().is_some_and(|set| set.cancel())
    }

    /// Lets it run for as long as its bus lives.
    pub fn detach(mut self) {
        self.set = None;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(set) = self.set.take() {
            set.cancel();
        }
    }
}

// A panic leaves no bus broken: see `Emitter`.
impl UnwindSafe for Timer {}
impl RefUnwindSafe for Timer {}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_pending = self.set.as_ref().is_some_and(|set| set.is_pending());
        f.debug_struct("Timer").field("is_pending", &is_pending).finish()
    }
}

/// A timer of whatever bus.
trait Cancel: Send + Sync {
    fn cancel(&self) -> bool;
    fn is_pending(&self) -> bool;
}

struct Set<E> {
    state: Arc<State>,
    /// None if it was never set: its bus was closed.
    name: Option<(Duration, u64)>,
    repeats: bool,
    bus: Weak<Bus<E>>,
}

impl<E: Send + Sync + 'static> Cancel for Set<E> {
    fn cancel(&self) -> bool {
        let Some(bus) = self.bus.upgrade() else { return false };
        if !self.state.move_on(CANCELLED) {
            return false;
        }
        if let Some(alarm) = self.name.and_then(|name| bus.queue().take_timer(name, self.repeats)) {
            let _clean_up = bus.clean_up();
            bus.errors.suppress(discard(alarm));
        }
        true
    }

    fn is_pending(&self) -> bool {
        self.state.is_pending()
    }
}

/// Where a timer stands. Pending until its only event is delivered or it is cancelled, whichever comes first.
#[derive(Default)]
struct State(AtomicU32);

const PENDING: u32 = 0;
const CANCELLED: u32 = 1;
const OVER: u32 = 2;

impl State {
    /// True for the one who did, of all who try. Relaxed: nothing is published by it.
    fn move_on(&self, to: u32) -> bool {
        self.0.compare_exchange(PENDING, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn is_pending(&self) -> bool {
        self.0.load(Ordering::Relaxed) == PENDING
    }
}

/// What a timer's event needs on its way.
struct Letter<T, E> {
    state: Arc<State>,
    channel: Arc<Channel<T, E>>,
    from: From,
    topic: Option<(Box<str>, u64)>,
}

impl<T, E> Letter<T, E> {
    fn label(&self) -> Label<'_> {
        Label { from: &self.from, topic: self.topic() }
    }

    fn topic(&self) -> Topic<'_> {
        self.topic.as_ref().map(|(text, hash)| (&**text, *hash))
    }
}

/// A timer that fires once.
struct Once<T, E> {
    letter: Letter<T, E>,
    event: Option<T>,
}

impl<T: Send + 'static, E: Send + Sync + 'static> Alarm<E> for Once<T, E> {
    fn prepare(&mut self, _: &Emitter<E>) {}

    fn fire(&mut self, waiting: &mut Waiting<'_, E>) {
        if let Some(event) = self.event.take() {
            let fired = Fired { event, shot: Shot { state: Arc::clone(&self.letter.state), is_last: true } };
            waiting.push(&self.letter.channel, self.letter.label(), fired);
        }
    }

    fn due_next(&mut self, _: Duration) -> Option<Duration> {
        None
    }

    fn give_up(self: Box<Self>, emitter: &Emitter<E>) {
        let Self { letter, event } = *self;
        let is_missed = event.is_some() && letter.state.move_on(OVER);
        emitter.bus().errors.suppress(discard(event));
        if is_missed {
            dispatch::report(emitter, lost(letter.channel.event, letter.topic(), letter.from, 1));
        }
    }

    fn missed(&self) -> Option<(&'static str, From)> {
        self.letter.state.is_pending().then_some((self.letter.channel.event, self.letter.from))
    }

    fn is_cancelled(&self) -> bool {
        !self.letter.state.is_pending()
    }
}

/// A timer that repeats.
struct Every<T, E> {
    letter: Letter<T, E>,
    event: T,
    ready: Option<T>,
    due: Duration,
    period: Duration,
}

impl<T: Clone + Send + 'static, E: Send + Sync + 'static> Alarm<E> for Every<T, E> {
    fn prepare(&mut self, emitter: &Emitter<E>) {
        match catch_unwind(AssertUnwindSafe(|| self.event.clone())) {
            Ok(event) => self.ready = Some(event),
            Err(payload) => {
                let Letter { channel, from, topic, .. } = &self.letter;
                let cause = Cause::of_panic(&*payload);
                emitter.bus().errors.suppress(discard(payload));
                let topic = topic.as_ref().map(|(text, _)| &**text);
                dispatch::report(emitter, Failure::new(channel.event, topic, None, *from, cause));
            }
        }
    }

    fn fire(&mut self, waiting: &mut Waiting<'_, E>) {
        if let Some(event) = self.ready.take() {
            let fired = Fired { event, shot: Shot { state: Arc::clone(&self.letter.state), is_last: false } };
            waiting.push(&self.letter.channel, self.letter.label(), fired);
        }
    }

    fn due_next(&mut self, now: Duration) -> Option<Duration> {
        // The first multiple of the period that is still to come: what was missed in between is one firing.
        let late = now.saturating_sub(self.due).as_nanos() % self.period.as_nanos();
        #[expect(clippy::cast_possible_truncation, reason = "less than a period")]
        let late = Duration::new((late / 1_000_000_000) as u64, (late % 1_000_000_000) as u32);
        self.due = now.max(self.due).checked_add(self.period.saturating_sub(late))?;
        Some(self.due)
    }

    fn give_up(self: Box<Self>, emitter: &Emitter<E>) {
        let Self { letter, event, ready, .. } = *self;
        letter.state.move_on(OVER);
        emitter.bus().errors.suppress(discard(event) + discard(ready));
    }

    fn missed(&self) -> Option<(&'static str, From)> {
        None
    }

    fn is_cancelled(&self) -> bool {
        !self.letter.state.is_pending()
    }
}

/// A timer's event that waits in the queue.
struct Fired<T> {
    event: T,
    shot: Shot,
}

/// What becomes of a timer's firing. A timer that fires once is over with it, delivered or not.
struct Shot {
    state: Arc<State>,
    is_last: bool,
}

impl Shot {
    /// Whether its event is to be delivered, as it is now.
    fn is_on(&self) -> bool {
        if self.is_last { self.state.move_on(OVER) } else { self.state.is_pending() }
    }
}

impl Drop for Shot {
    fn drop(&mut self) {
        if self.is_last {
            self.state.move_on(OVER);
        }
    }
}

impl<T: Send + 'static, E: Send + Sync + 'static> Entry<E> for Fired<T> {
    type Event = T;

    const KIND: u32 = 2;

    fn is_wanted(&self) -> bool {
        self.shot.state.is_pending()
    }

    fn deliver(mut entries: Claimed<'_, '_, Self, E>, channel: &Channel<T, E>) {
        let (emitter, from, topic) = (entries.emitter, entries.from(), entries.topic());
        let topic = topic.map(|(text, hash)| Name { text, hash });
        while let Some(Self { event, shot }) = entries.next() {
            if shot.is_on() {
                dispatch::deliver_run(emitter, channel, topic, from, iter::once(event));
            } else {
                entries.was_not_delivered();
                emitter.bus().errors.suppress(discard(event));
            }
        }
    }
}

#[track_caller]
pub(crate) fn defer_in<T: Send + 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    topic: Option<Name<'_>>,
    delay: Duration,
    event: T,
) -> Timer {
    let letter = letter(emitter, topic);
    set(emitter, delay, Arc::clone(&letter.state), Box::new(Once { letter, event: Some(event) }), false)
}

/// Panics at a period of zero.
#[track_caller]
pub(crate) fn defer_every<T: Clone + Send + 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    topic: Option<Name<'_>>,
    period: Duration,
    event: T,
) -> Timer {
    assert!(!period.is_zero(), "`defer_every` with a period of zero would never let a drain end: ask for some time");
    let letter = letter(emitter, topic);
    let due = emitter.bus().settings.clock.now().saturating_add(period);
    set(emitter, period, Arc::clone(&letter.state), Box::new(Every { letter, event, ready: None, due, period }), true)
}

#[track_caller]
fn letter<T: 'static, E: Send + Sync + 'static>(emitter: &Emitter<E>, topic: Option<Name<'_>>) -> Letter<T, E> {
    Letter {
        state: Arc::default(),
        channel: emitter.bus().registry.channel(),
        from: From { emitted_at: Location::caller(), chain: frame::chain() },
        topic: topic.map(|topic| (topic.text.into(), topic.hash)),
    }
}

#[track_caller]
fn set<E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    after: Duration,
    state: Arc<State>,
    alarm: Box<dyn Alarm<E>>,
    repeats: bool,
) -> Timer {
    let name = match emitter.bus().queue().set(after, alarm) {
        Ok(name) => Some(name),
        Err(alarm) => {
            alarm.give_up(emitter);
            raise_if_outermost();
            None
        }
    };
    Timer { set: Some(Arc::new(Set { state, name, repeats, bus: emitter.weak_bus() })) }
}
