//! Recorders: what a test looks at.

use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use super::seen::Seen;
use super::tap::Tap;
use super::unheard::Unheard;
use crate::context::Scene;
use crate::envelope::{Envelope, FromEnvelope};
use crate::flow::Flow;
use crate::handle::Emitter;
use crate::info::Place;
use crate::raw::roll::Called;
use crate::subscription::Subscription;

/// Keeps every event it hears, for a test to look at. It records until it is dropped.
///
/// From [`Emitter::record`], [`record_map`](Emitter::record_map) and [`record_any`](Emitter::record_any), or with options from
/// [`Listen::record`](crate::Listen::record). It hears at its place in the order, as any listener, so a listener before it that stops an emission
/// stops it for the recorder too; it is not counted in [`Emission::heard`](crate::Emission::heard). From [`Emitter::intercept`], it keeps the events
/// from everybody else.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::panic);
/// let numbers = bus.record::<u32>();
/// bus.emit(&1_u32);
/// bus.emit(&2_u32);
/// numbers.assert_emitted(|n| *n == 2);
/// assert_eq!(numbers.take(), [1, 2]);
/// numbers.assert_none();
/// ```
///
/// The guide to [testing](crate::guide::testing) shows it at work.
///
/// # When an assertion fails
///
/// It says what was emitted, in order, each with its topic and the place in the source that emitted it. It also lists the types that were
/// emitted meanwhile and that nobody heard, because an event of another type than was meant goes unnoticed: `bus.emit(&(1, 2))`
/// emits an `(i32, i32)`, which no listener of `(u8, u8)` hears.
///
/// # Threads
///
/// It may be used from any thread. Emissions never wait for who looks at it; who looks at it waits for others who do.
///
/// # Cost
///
/// For tests: an event takes a short lock, and on a topic an allocation. While there is a recorder, what nobody hears is noted too, of
/// whatever type.
///
/// # Panics
///
/// What the events' own `Clone` and `Debug`, or a predicate, panic with. Nothing that was recorded is lost by that.
pub struct Recorder<T, I = T> {
    seen: Arc<Seen<T>>,
    /// The type of event that it records; what is kept of it may be of another.
    event: &'static str,
    unheard: Unheard,
    _listens: Listens,
    /// What it hands out.
    item: PhantomData<fn() -> I>,
}

/// What has events recorded while it is there.
#[expect(dead_code, reason = "only kept")]
pub(crate) enum Listens {
    Subscription(Subscription),
    Tap(Tap),
}

/// What keeps events in a recorder.
pub(crate) fn keep<T: 'static, V, E>(
    seen: Arc<Seen<V>>,
    map: impl Fn(&T) -> V,
) -> impl Fn(&T, &Scene<'_, E>, Called<'_>) -> Flow<E> {
    move |event, scene, _| {
        // The user's first: no lock is held over it.
        seen.push(Envelope::new(map(event), scene));
        Flow::Continue
    }
}

/// The events were too few when the time was over: [`Recorder::wait_for`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{came} of {wanted} `{event}`s were emitted in {timeout:?}{shown}")]
#[non_exhaustive]
pub struct WaitTimeout {
    /// How many events were waited for.
    pub wanted: usize,
    /// How many there were in the end.
    pub came: usize,
    event: &'static str,
    timeout: Duration,
    shown: String,
}

/// As its message: it is mostly seen where a test unwraps it.
impl fmt::Debug for WaitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> Recorder<T> {
    /// Of events of type `T`, of which a `V` each is kept.
    #[track_caller]
    pub(crate) fn new<E: Send + Sync + 'static>(
        emitter: &Emitter<E>,
        event: &'static str,
        listen: impl FnOnce(Arc<Seen<T>>) -> Listens,
    ) -> Self {
        let seen = Arc::new(Seen::new());
        let unheard = Unheard::new(emitter, event);
        let listens = listen(Arc::clone(&seen));
        Self { seen, event, unheard, _listens: listens, item: PhantomData }
    }

    /// The same recorder, which hands out every event with its emission: also those that were recorded already.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::panic);
    /// let orders = bus.record::<u32>().envelopes();
    /// bus.topic("order.created").emit(&7_u32);
    /// orders.assert_emitted(|order| order.event == 7 && order.topic.as_deref() == Some("order.created"));
    /// ```
    pub fn envelopes(self) -> Recorder<T, Envelope<T>> {
        let Self { seen, event, unheard, _listens: listens, item: _ } = self;
        Recorder { seen, event, unheard, _listens: listens, item: PhantomData }
    }
}

impl<T, I: FromEnvelope<T>> Recorder<T, I> {
    /// The events heard so far, in order. They stay recorded.
    pub fn events(&self) -> Vec<I>
    where
        T: Clone,
    {
        self.seen.read(|envelopes| envelopes.iter().cloned().map(I::open).collect())
    }

    /// The events heard so far, in order; recording begins anew.
    pub fn take(&self) -> Vec<I> {
        self.seen.take().into_iter().map(I::open).collect()
    }

    /// Asserts that one of the events is such.
    ///
    /// ```should_panic
    /// let bus = hearken::Emitter::new(hearken::panic);
    /// let sums = bus.record::<u32>();
    /// bus.topic("sum").emit(&4_u32);
    /// bus.emit(&(2 + 3)); // an `i32`
    /// sums.assert_emitted(|sum| *sum == 5);
    /// // no such `u32` was emitted. These were, in order:
    /// //   1. 4 on "sum" at src/lib.rs:4
    /// // Nobody heard these, emitted meanwhile; is one of them what was meant, as another type?
    /// //   i32 at src/lib.rs:5
    /// ```
    ///
    /// # Panics
    ///
    /// If none is.
    #[track_caller]
    pub fn assert_emitted(&self, is_such: impl Fn(&I) -> bool)
    where
        T: fmt::Debug,
    {
        // No closure around the panic: it would not be at the caller's line.
        let list = self.seen.read(|envelopes| {
            let found = envelopes.iter().any(|envelope| is_such(I::look(envelope)));
            (!found).then(|| show(envelopes))
        });
        if let Some(list) = list {
            let (event, unheard) = (self.event, &self.unheard);
            assert!(!list.is_empty(), "no `{event}` was emitted at all.{unheard}");
            panic!("no such `{event}` was emitted. These were, in order:{list}{unheard}");
        }
    }
}

impl<T, I> Recorder<T, I> {
    /// How many events are recorded.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until so many events are recorded in all, for at most so long. For events that other threads emit, in place of a sleep.
    ///
    /// Those that were [taken](Self::take) don't count any more.
    ///
    /// ```
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// let bus = hearken::Emitter::new(hearken::panic);
    /// let numbers = bus.record::<u32>();
    /// let worker = bus.port();
    /// thread::spawn(move || (1..=3_u32).for_each(|n| drop(worker.emit(&n))));
    /// numbers.wait_for(3, Duration::from_secs(10)).unwrap();
    /// assert_eq!(numbers.take(), [1, 2, 3]);
    /// ```
    ///
    /// # Errors
    ///
    /// If there are fewer when the time is over: how many, and which. By the system's time, whatever the bus's clock says.
    pub fn wait_for(&self, events: usize, timeout: Duration) -> Result<(), WaitTimeout>
    where
        T: fmt::Debug,
    {
        if self.seen.wait_for(events, timeout) {
            return Ok(());
        }
        let (came, list) = self.seen.read(|envelopes| (envelopes.len(), show(envelopes)));
        let shown = format!("{}{list}{}", if list.is_empty() { "" } else { ":" }, self.unheard);
        Err(WaitTimeout { wanted: events, came, event: self.event, timeout, shown })
    }

    /// Asserts that nothing is recorded.
    ///
    /// # Panics
    ///
    /// If something is.
    #[track_caller]
    pub fn assert_none(&self)
    where
        T: fmt::Debug,
    {
        let list = self.seen.read(show);
        assert!(list.is_empty(), "no `{}` was to be emitted. These were, in order:{list}", self.event);
    }

    pub(crate) fn seen(&self) -> &Seen<T> {
        &self.seen
    }
}

/// The events, one a line.
fn show<T: fmt::Debug>(envelopes: &[Envelope<T>]) -> String {
    /// More would bury the rest of the message.
    const MOST: usize = 100;
    let mut list = String::new();
    let left_out = envelopes.len().saturating_sub(MOST);
    if left_out > 0 {
        let _ = write!(list, "\n  ({left_out} before these)");
    }
    for (n, envelope) in envelopes.iter().enumerate().skip(left_out) {
        let _ = write!(list, "\n  {}. {:?}{}", n + 1, envelope.event, Whence(envelope));
    }
    list
}

/// The topic and the place that an event was emitted on and at.
pub(crate) struct Whence<'a, T>(pub(crate) &'a Envelope<T>);

impl<T> fmt::Display for Whence<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(topic) = &self.0.topic {
            write!(f, " on {topic:?}")?;
        }
        write!(f, " at {}", Place(self.0.emitted_at))
    }
}

// A panic breaks no bus, and no recorder: see `Seen::read`.
impl<T, I> UnwindSafe for Recorder<T, I> {}
impl<T, I> RefUnwindSafe for Recorder<T, I> {}

impl<T, I> fmt::Debug for Recorder<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("event", &self.event).field("len", &self.len()).finish_non_exhaustive()
    }
}
