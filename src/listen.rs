//! Choosing what to hear, and how.

use std::any::Any;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "async")]
use crate::context::Timing;
use crate::context::{AnyEvent, Context, Scene};
use crate::deferred::event::defer;
use crate::deferred::timer::{self, Timer};
use crate::dispatch;
use crate::emission::Emission;
#[cfg(feature = "async")]
use crate::envelope::Envelope;
use crate::failure::BoxError;
use crate::flow::{Flow, IntoFlow};
#[cfg(feature = "async")]
use crate::futures::{
    self,
    listener::{ask_listener, start},
    next::Next,
    stream::{EventStream, Room},
};
use crate::handle::Emitter;
use crate::id::ListenerId;
use crate::inbox::Inbox;
use crate::info::{ListenerInfo, Who};
use crate::listener::{About, Closure, Hear, Slot};
use crate::mailbox::Reader;
use crate::overflow::{DeferError, Overflow};
use crate::policy::deferred::{Deferred, Postpone, postpone};
use crate::policy::filter::{Filter, Filtered};
use crate::policy::retry::{Again, Retried, again};
use crate::policy::silent::Silent;
use crate::policy::times::Times;
use crate::policy::watched::Watched;
use crate::policy::weak::Owned;
use crate::port::Port;
use crate::raw::roll::{Called, List};
use crate::record::emitted::Emitted;
use crate::record::recorder::{Listens, Recorder, keep};
use crate::registry::{ANY, ListenerRef, Name};
use crate::retry::Retry;
use crate::subscription::Subscription;
use crate::sync::{AtomicU64, Mutex};
use crate::topic::{Pattern, Topic, TopicError};
use crate::watch::tally::Tally;

/// A listener in the making: options first, then one of `on`, `on_with`, `once`, `once_with`, `on_weak`, `inbox`, `record`, `record_map`, `count`; with the feature `async`, also `on_async`,
/// `on_async_with`, `stream`, `next`.
///
/// From [`Emitter::listen`].
///
/// ```
/// struct Reading(f64);
///
/// let bus = hearken::Emitter::new(hearken::log);
/// let _alarm = bus
///     .listen::<Reading>()
///     .named("alarm")
///     .priority(10)
///     .filter(|reading| reading.0 > 80.0)
///     .times(3)
///     .on(|reading| println!("hot: {}", reading.0));
/// ```
///
/// # Order
///
/// A higher priority is called first; among equals, the one that was added first.
///
/// # Options and once
///
/// A filter that says no uses nothing up of a limit. A call that fails or panics does.
#[must_use = "this only chooses: end it with `.on(…)` or another of its verbs to listen"]
pub struct Listen<'a, T, E = BoxError> {
    emitter: &'a Emitter<E>,
    priority: i32,
    name: Option<&'static str>,
    times: Option<NonZeroU64>,
    filters: Vec<Filter<T>>,
    patterns: Vec<Pattern>,
    /// How its turns are put off, if they are.
    postpone: Option<Postpone<T, E>>,
    /// Whether, and how, it is called again when it failed.
    retry: Option<(Retry<E>, Again<T, E>)>,
    capacity: usize,
    overflow: Overflow,
    /// What is to be counted of it, once it is known who it is.
    tally: Option<Arc<Tally>>,
    /// How often it was tried again, once it is known that it will be.
    retries: Option<Arc<AtomicU64>>,
    /// The topic it was begun from, if it was begun from one.
    topic: Option<Name<'a>>,
}

impl<'a, T: 'static, E: Send + Sync + 'static> Listen<'a, T, E> {
    pub(crate) fn new(emitter: &'a Emitter<E>) -> Self {
        Self {
            emitter,
            priority: 0,
            name: None,
            times: None,
            filters: Vec::new(),
            patterns: Vec::new(),
            postpone: None,
            retry: None,
            capacity: 256,
            overflow: Overflow::DropOldest,
            tally: None,
            retries: None,
            topic: None,
        }
    }

    /// Narrows it to the events emitted on a topic that matches this pattern. With several patterns, on a topic that matches any of them;
    /// an event is heard once, however many match.
    ///
    /// # Panics
    ///
    /// If it is no valid pattern: see [`Emitter::topics`].
    #[track_caller]
    pub fn topics(mut self, pattern: &str) -> Self {
        // No closure: its panic would not be at the caller's line.
        let pattern = match parse_pattern(self.emitter, pattern) {
            Ok(pattern) => pattern,
            Err(error) => panic!("{error}"),
        };
        if !self.patterns.contains(&pattern) {
            self.patterns.push(pattern);
        }
        self
    }

    /// Its place in the order: higher ones are called first. 0 unless set.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// What failures call it, beside its place in the source.
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Has it go after so many calls. Exact, also under threads and nested emissions.
    ///
    /// # Panics
    ///
    /// If `calls` is 0: such a listener would never hear anything.
    #[track_caller]
    pub fn times(mut self, calls: u64) -> Self {
        let calls = NonZeroU64::new(calls);
        assert!(calls.is_some(), "`times(0)` would never hear a `{}`: ask for one call or more", event_name::<T>());
        self.times = calls;
        self
    }

    /// Has it hear only the events for which this is true. With several filters, those for which all are.
    ///
    /// A filter runs before every call, on the thread that emits. Its panic is a failure, and counts as no.
    pub fn filter(mut self, passes: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.filters.push(Box::new(passes));
        self
    }

    /// Has it hear an event that is emitted later: a copy of it waits in the bus's queue, and the listener is called by the next
    /// [`drain`](Emitter::drain), on the thread that drains. An event that is itself deferred reaches it at once.
    ///
    /// For what must run on one thread, a GUI's or an event loop's, whichever thread emits. Toolkits call it a queued connection.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _window = bus.listen::<u32>().deferred().on(|n| println!("{n}"));
    /// let emission = bus.emit(&7_u32);
    /// assert_eq!((emission.heard, emission.deferred), (0, 1));
    /// assert_eq!(bus.drain().delivered, 1);
    /// ```
    ///
    /// # Between the emission and the call
    ///
    /// Filters are asked when the event is emitted. A listener that is off or paused when its turn comes is passed by; a limit, also that
    /// of `once`, is used up then. Its `Break` stops nothing. Its [`Context`] is that of the emission it hears.
    ///
    /// # Overflow
    ///
    /// An emit never waits: what a full or closed queue doesn't take, whatever its [`Overflow`], is a failure of this listener with
    /// [`Cause::Lost`](crate::Cause::Lost).
    pub fn deferred(mut self) -> Self
    where
        T: Clone + Send,
    {
        self.postpone = Some(postpone);
        self
    }

    /// Has it called again with a copy of the event when it failed, by an error or a panic: see [`Retry`].
    ///
    /// For what fails now and works a moment later: a network, a database, a lock that somebody else has. Not for bugs, which fail again.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    /// use hearken::{Clock, Emitter, Retry};
    ///
    /// let clock = Clock::manual();
    /// let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
    /// let calls = AtomicU32::new(0);
    /// let _charges = bus.listen::<u32>().retry(Retry::attempts(3)).on(move |_| {
    ///     match calls.fetch_add(1, Ordering::Relaxed) {
    ///         0 => Err("the line is busy".into()),
    ///         _ => Ok(()),
    ///     }
    /// });
    ///
    /// let emission = bus.emit(&7_u32);
    /// assert_eq!((emission.heard, emission.failed), (1, 0), "it isn't over yet");
    /// clock.advance(Duration::from_millis(100));
    /// assert_eq!(bus.drain().delivered, 1);
    /// assert_eq!(bus.dead_letters().len(), 0);
    /// ```
    ///
    /// # When
    ///
    /// The copy waits as a timer, and then at the end of the queue: somebody must [drain](Emitter::drain) the bus. When retries are long overdue
    /// and nobody does, a warning says so to [`tracing`]. Meanwhile the listener hears other events: retries are not in their order. Nobody
    /// else hears the event again.
    ///
    /// # Failures
    ///
    /// Only the failure of the last attempt is reported, and the event is kept as a [dead letter](Emitter::dead_letters). A listener
    /// that is off or paused when the time comes is not called: then the failure before was the last. So it is for retries that wait when the
    /// queue is closed, and for one that a drain inside [too many](crate::Builder::max_depth) nested emissions would deliver. An attempt that is
    /// [intercepted](Emitter::intercept) ends there. A bus that goes counts them in its [`Cause::Lost`](crate::Cause::Lost).
    ///
    /// # With other options
    ///
    /// Filters are asked for the first attempt only. Each attempt is one of [`times`](Self::times). After [`on_async`](Self::on_async) it is the
    /// future that is tried again; one that fails when its listener is gone fails for good, without a dead letter. Inboxes, streams and recorders don't fail.
    ///
    /// # Cost
    ///
    /// A copy of the event and some allocations for a failure; nothing for a call that doesn't fail.
    pub fn retry(mut self, retry: Retry<E>) -> Self
    where
        T: Clone + Send,
    {
        self.retry = Some((retry, again));
        self
    }

    /// How many events an [`inbox`](Self::inbox), or a stream, holds; 256 unless set.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn capacity(mut self, events: usize) -> Self {
        assert!(events != 0, "`capacity(0)` would hold no `{}`: ask for one or more", event_name::<T>());
        self.capacity = events;
        self
    }

    /// What a full [`inbox`](Self::inbox), or stream, does with one more event; [`Overflow::DropOldest`] unless set.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Hears every event: [`Emitter::on`] with these options.
    #[track_caller]
    pub fn on<R: IntoFlow<E>>(self, listener: impl Fn(&T) -> R + Send + Sync + 'static) -> Subscription {
        self.add(Closure::new(move |event: &T, _, _| listener(event).into_flow()))
    }

    /// Hears every event and its emission: [`Emitter::on_with`] with these options.
    #[track_caller]
    pub fn on_with<R: IntoFlow<E>>(
        self,
        listener: impl Fn(&T, &Context<'_, E>) -> R + Send + Sync + 'static,
    ) -> Subscription {
        self.add(Closure::new(move |event: &T, scene, called| {
            listener(event, &Context::new(scene, called)).into_flow()
        }))
    }

    /// Hears one event: [`Emitter::once`] with these options.
    ///
    /// # Panics
    ///
    /// After [`times`](Self::times): a listener hears once or so many times, not both. After [`retry`](Self::retry): its closure is gone after one call.
    #[track_caller]
    pub fn once<R: IntoFlow<E>>(self, listener: impl FnOnce(&T) -> R + Send + 'static) -> Subscription {
        self.once_with(move |event, _| listener(event))
    }

    /// Hears one event and its emission: [`Emitter::once_with`] with these options.
    ///
    /// # Panics
    ///
    /// After [`times`](Self::times): a listener hears once or so many times, not both. After [`retry`](Self::retry): its closure is gone after one call.
    #[track_caller]
    pub fn once_with<R: IntoFlow<E>>(
        mut self,
        listener: impl FnOnce(&T, &Context<'_, E>) -> R + Send + 'static,
    ) -> Subscription {
        self.limit_to_one("once");
        if self.retry.is_some() {
            let event = event_name::<T>();
            panic!(
                "a listener of `{event}` can't hear `once` and `retry`: its closure is gone after one call; end with `times(1)` and `on`, \
                 or leave `retry` out"
            );
        }
        let listener = Mutex::new(Some(listener));
        self.add(Closure::new(move |event: &T, scene, called| {
            // On a line of its own, so that the lock is open again before the call.
            let listener = listener.lock().take();
            match listener {
                Some(listener) => listener(event, &Context::new(scene, called)).into_flow(),
                None => Flow::Gone,
            }
        }))
    }

    /// Hears every event together with an owner, and goes when the owner is gone. It doesn't keep the owner alive.
    ///
    /// For objects that listen with their own methods, where a captured `Arc` would keep them for ever.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let sum = Arc::new(AtomicU32::new(0));
    /// bus.listen::<u32>().on_weak(&sum, |sum, n| { sum.fetch_add(*n, Ordering::Relaxed); }).detach();
    ///
    /// assert_eq!(bus.emit(&7_u32).heard, 1);
    /// drop(sum);
    /// assert_eq!(bus.emit(&7_u32).heard, 0);
    /// ```
    #[track_caller]
    pub fn on_weak<O: ?Sized + Send + Sync + 'static, R: IntoFlow<E>>(
        self,
        owner: &Arc<O>,
        listener: impl Fn(&O, &T) -> R + Send + Sync + 'static,
    ) -> Subscription {
        self.add(Owned::new(Arc::downgrade(owner), move |owner: &O, event: &T| listener(owner, event).into_flow()))
    }

    /// Keeps the events for a test to look at: [`Emitter::record`] with these options.
    #[track_caller]
    pub fn record(self) -> Recorder<T>
    where
        T: Clone + Send,
    {
        self.record_map(T::clone)
    }

    /// Keeps what this makes of the events for a test to look at: [`Emitter::record_map`] with these options.
    #[track_caller]
    pub fn record_map<V: Send + 'static>(self, map: impl Fn(&T) -> V + Send + Sync + 'static) -> Recorder<V> {
        let added_at = Location::caller();
        Recorder::new(self.emitter, event_name::<T>(), |seen| {
            Listens::Subscription(self.add_at(added_at, Silent { inner: Closure::new(keep(seen, map)) }))
        })
    }

    /// Keeps copies of the events for a thread to take: [`Emitter::inbox`] with these options.
    #[track_caller]
    pub fn inbox(mut self) -> Inbox<T>
    where
        T: Clone + Send,
    {
        // An emission that waits for a thread could wait for its own.
        if self.overflow == Overflow::Block {
            self.overflow = Overflow::DropNewest;
        }
        Inbox::new(self.reader())
    }

    /// Keeps copies of the events to await one after the other: [`Emitter::stream`] with these options.
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn stream(self) -> EventStream<T>
    where
        T: Clone + Send,
    {
        EventStream::new(self.reader())
    }

    /// The next event, awaited: [`Emitter::next`] with these options.
    ///
    /// # Panics
    ///
    /// After [`times`](Self::times): the next event is one.
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn next(mut self) -> Next<T>
    where
        T: Clone + Send,
    {
        self.limit_to_one("next");
        Next { reader: self.reader() }
    }

    /// Hears every event with a future: [`Emitter::on_async`] with these options.
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn on_async<F>(self, listener: impl Fn(T) -> F + Send + Sync + 'static) -> Subscription
    where
        T: Clone + Send,
        F: Future<Output: IntoFlow<E>> + Send + 'static,
    {
        self.on_async_with(move |envelope| listener(envelope.event))
    }

    /// Hears every event and its emission with a future: [`Emitter::on_async`] with these options.
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn on_async_with<F>(mut self, listener: impl Fn(Envelope<T>) -> F + Send + Sync + 'static) -> Subscription
    where
        T: Clone + Send,
        F: Future<Output: IntoFlow<E>> + Send + 'static,
    {
        let place = Location::caller();
        let (about, tally, is_retried) = (self.about(place), self.tally(place), self.retry.is_some());
        self.add(Closure::new(move |event: &T, scene: &Scene<'_, E>, called| {
            let after_failure = is_retried.then(|| ask_listener(scene, called.id(), event.clone()));
            let future = listener(Envelope::new(event.clone(), scene));
            start::<T, _, _>(scene, || about(called.id()), tally.clone(), after_failure, future)
        }))
    }

    #[track_caller]
    fn limit_to_one(&mut self, verb: &str) {
        if let Some(times) = self.times {
            let event = event_name::<T>();
            panic!(
                "a listener of `{event}` can't hear `{verb}` and `times({times})`: end with another verb, or leave `times` out"
            );
        }
        self.times = Some(NonZeroU64::MIN);
    }

    #[track_caller]
    fn reader(mut self) -> Reader<T>
    where
        T: Clone + Send,
    {
        let place = Location::caller();
        let about = self.about(place);
        Reader::new(self.emitter, self.capacity, self.overflow, |sender| {
            let keep = move |event: &T, scene: &Scene<'_, E>, called: Called<'_>| {
                let waits = sender.send(event.clone(), scene, called, &about);
                #[cfg(not(feature = "async"))]
                debug_assert!(!waits, "nobody awaits");
                #[cfg(feature = "async")]
                if let (Timing::Awaited(started), true) = (scene.timing, waits) {
                    started.lock().push(Box::pin(Room::new(sender.mailbox(), scene.place.id)));
                }
                Flow::Continue
            };
            self.add_at(place, Closure::new(keep))
        })
    }

    /// What there will be to say about the listener, for its own use.
    fn about(
        &mut self,
        registered_at: &'static Location<'static>,
    ) -> impl Fn(ListenerId) -> ListenerInfo + Send + Sync + use<T, E> {
        let (topics, who, tally) = (self.patterns.clone(), self.who(registered_at), self.tally(registered_at));
        move |id| {
            let figures = tally.as_ref().and_then(|tally| tally.figures());
            ListenerInfo::new(id, event_name::<T>(), topics.clone(), who, figures)
        }
    }

    fn who(&self, registered_at: &'static Location<'static>) -> Who {
        Who { name: self.name, registered_at }
    }

    /// What is to be counted of the listener, if anything is.
    fn tally(&mut self, registered_at: &'static Location<'static>) -> Option<Arc<Tally>> {
        if self.tally.is_none() {
            self.tally = self.emitter.bus().tally(self.who(registered_at));
        }
        self.tally.clone()
    }

    /// How many listeners an emit of `T` would call, now or deferred, on the topic if it was begun from one ([`TopicRef`]); filters aside: those that are not
    /// paused and whose owner lives.
    ///
    /// Narrowed to patterns, it is how many of them are registered on these very patterns. Listeners of every type and recorders don't count,
    /// as in [`Emission::heard`](crate::Emission::heard). The other options set before don't matter.
    pub fn count(self) -> usize {
        let bus = self.emitter.bus();
        let _clean_up = bus.clean_up();
        let Some(channel) = bus.registry.find::<T>() else { return 0 };
        let would_hear = |listener: &ListenerRef<T, E>| {
            let word = listener.gate().word();
            !word.is_off() && !word.is_paused() && !word.is_silent() && listener.is_present()
        };
        let count =
            |list: List<'_, ListenerRef<T, E>>| list.behind(None).filter(|entry| would_hear(&entry.value)).count();
        match self.topic {
            None if !self.patterns.is_empty() => channel.count_on(&self.patterns, would_hear),
            None => count(List::Chunks(&channel.snapshot(&bus.registry).own)),
            Some(topic) => {
                let loaded = channel.snapshot(&bus.registry);
                let (newer, narrowed) = channel.resolve(&bus.registry, topic, &loaded);
                count(List::Chunks(&newer.unwrap_or(loaded).own)) + count(narrowed.own())
            }
        }
    }

    #[track_caller]
    fn add(self, hear: impl Hear<T, E> + 'static) -> Subscription {
        self.add_at(Location::caller(), hear)
    }

    /// The same in a closure, which doesn't know its caller.
    fn add_at(mut self, added_at: &'static Location<'static>, hear: impl Hear<T, E> + 'static) -> Subscription {
        match self.tally(added_at) {
            None => self.wrap(hear, added_at),
            Some(tally) => self.wrap(Watched::new(tally, hear), added_at),
        }
    }

    /// Puts its options around it.
    fn wrap(mut self, hear: impl Hear<T, E> + 'static, added_at: &'static Location<'static>) -> Subscription {
        let filters = std::mem::take(&mut self.filters);
        if let Some(postpone) = self.postpone.take() {
            let hear: Box<dyn Hear<T, E>> = match self.times.take() {
                None => Box::new(hear),
                Some(times) => Box::new(Times::new(times, hear)),
            };
            return self.insert(Deferred::new(postpone, Filtered::new(filters, hear)), added_at);
        }
        match (self.times, filters.is_empty()) {
            (None, true) => self.insert(hear, added_at),
            (Some(times), true) => self.insert(Times::new(times, hear), added_at),
            // Boxed, so that not every closure is compiled in every combination.
            (None, false) => {
                let hear: Box<dyn Hear<T, E>> = Box::new(hear);
                self.insert(Filtered::new(filters, hear), added_at)
            }
            (Some(times), false) => {
                let hear: Box<dyn Hear<T, E>> = Box::new(Times::new(times, hear));
                self.insert(Filtered::new(filters, hear), added_at)
            }
        }
    }

    fn insert(mut self, hear: impl Hear<T, E> + 'static, added_at: &'static Location<'static>) -> Subscription {
        if let Some((retry, again)) = self.retry.take() {
            let hear: Box<dyn Hear<T, E>> = Box::new(hear);
            let retries = Arc::clone(self.retries.insert(Arc::default()));
            return self.insert(Retried::new(retry, again, retries, hear), added_at);
        }
        let Self { emitter, priority, name, patterns, tally, retries, .. } = self;
        let channel = emitter.bus().registry.channel::<T>();
        let about = About::new(emitter.weak_bus(), name, patterns, tally, retries, added_at);
        let slot = Slot::new(channel.home, about, hear);
        let control = Arc::downgrade(&slot);
        let _clean_up = emitter.bus().clean_up();
        Subscription::new(channel.insert(priority, slot), control)
    }
}

fn parse_pattern<E>(emitter: &Emitter<E>, pattern: &str) -> Result<Pattern, TopicError> {
    Pattern::parse_with(pattern, emitter.bus().registry.separator)
}

/// Adds a listener of every type, narrowed to these patterns if there are any.
#[track_caller]
pub(crate) fn add_broad<E: Send + Sync + 'static, R: IntoFlow<E>>(
    emitter: &Emitter<E>,
    home: u32,
    patterns: Vec<Pattern>,
    listener: impl Fn(&AnyEvent<'_, E>) -> R + Send + Sync + 'static,
) -> Subscription {
    let call = move |event: &dyn Any, scene: &Scene<'_, E>, called: Called<'_>| -> Flow<E> {
        listener(&AnyEvent::new(event, Context::new(scene, called))).into_flow()
    };
    let registered_at = Location::caller();
    let tally = emitter.bus().tally(Who { name: None, registered_at });
    let about = About::new(emitter.weak_bus(), None, patterns, tally.clone(), None, registered_at);
    match tally {
        None => insert_broad(emitter, home, 0, about, Closure::new(call)),
        Some(tally) => insert_broad(emitter, home, 0, about, Watched::new(tally, Closure::new(call))),
    }
}

/// Records every type, before everybody else, so that what listeners emit comes behind.
#[track_caller]
pub(crate) fn record_any<E: Send + Sync + 'static>(emitter: &Emitter<E>, patterns: Vec<Pattern>) -> Recorder<Emitted> {
    let about = About::new(emitter.weak_bus(), None, patterns, None, None, Location::caller());
    Recorder::new(emitter, "any event", |seen| {
        let call = move |event: &dyn Any, scene: &Scene<'_, E>, _: Called<'_>| {
            Emitted::keep(&seen, event, scene);
            Flow::Continue
        };
        Listens::Subscription(insert_broad(emitter, ANY, i32::MAX, about, Closure::new(call)))
    })
}

fn insert_broad<E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    home: u32,
    priority: i32,
    about: About<E>,
    hear: impl Hear<dyn Any, E> + 'static,
) -> Subscription {
    let slot = Slot::new(home, about, hear);
    let control = Arc::downgrade(&slot);
    let _clean_up = emitter.bus().clean_up();
    Subscription::new(emitter.bus().registry.insert_broad(home, priority, slot), control)
}

fn event_name<T>() -> &'static str {
    std::any::type_name::<T>()
}

impl<T, E> fmt::Debug for Listen<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listen")
            .field("event", &event_name::<T>())
            .field("priority", &self.priority)
            .field("name", &self.name)
            .field("times", &self.times)
            .field("filters", &self.filters.len())
            .field("patterns", &self.patterns)
            .field("deferred", &self.postpone.is_some())
            .finish_non_exhaustive()
    }
}

/// A topic of a bus, to emit on and to listen to.
///
/// From [`Emitter::topic`]; a copy is two pointers and a hash. It has the verbs of the bus, so one set of names serves everywhere.
///
/// ```
/// struct Order(u32);
///
/// let bus = hearken::Emitter::new(hearken::log);
/// let created = bus.topic("order.created");
/// let _hears = created.on(|order: &Order| println!("order {}", order.0));
/// assert_eq!(created.emit(&Order(7)).heard, 1);
/// assert_eq!(bus.emit(&Order(7)).heard, 0, "it has no topic, so it matches none");
/// ```
///
/// # Cost
///
/// Emitting on a topic that came before looks its listeners up by one hash of its text, which was computed when this was made; on a new
/// topic it walks the patterns, under a short lock. Hold a [`port`](Self::port) in a hot loop.
pub struct TopicRef<'a, E = BoxError> {
    emitter: &'a Emitter<E>,
    name: Name<'a>,
}

/// A pattern of a bus's topics, to listen to. There is no `emit`: an event is emitted on a topic, not on a pattern.
///
/// From [`Emitter::topics`]; a copy is two pointers and a length.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// let _audit = bus.topics("order.**").on_any(|event| {
///     println!("{} at {:?}", event.type_name(), event.context().topic());
/// });
/// bus.topic("order.created").emit(&7_u32);
/// ```
pub struct TopicsRef<'a, E = BoxError> {
    emitter: &'a Emitter<E>,
    pattern: &'a str,
}

impl<'a, E: Send + Sync + 'static> TopicRef<'a, E> {
    pub(crate) fn new(emitter: &'a Emitter<E>, name: &'a str) -> Result<Self, TopicError> {
        Topic::check(name, emitter.bus().registry.separator)?;
        Ok(Self { emitter, name: emitter.bus().registry.name(name) })
    }

    /// Delivers the event now to everybody who listens for `T` on whatever topic, and to those who narrowed themselves to patterns that match
    /// this one: [`Emitter::emit`].
    #[inline]
    #[track_caller]
    pub fn emit<T: 'static>(self, event: &T) -> Emission {
        dispatch::emit(self.emitter, None, Some(self.name), event)
    }

    /// Delivers the event on this topic to synchronous and to async listeners: [`Emitter::emit_async`].
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn emit_async<T: Sync + 'static>(self, event: &'a T) -> impl Future<Output = Emission> + Send + use<'a, T, E> {
        futures::emission::emit(self.emitter, Some(self.name), event)
    }

    /// Queues the event on this topic: [`Emitter::defer`].
    ///
    /// # Errors
    ///
    /// The event itself, if the queue is full or closed.
    #[inline]
    #[track_caller]
    pub fn defer<T: Send + 'static>(self, event: T) -> Result<(), DeferError<T>> {
        defer(self.emitter, None, Some(self.name), event)
    }

    /// Queues the event on this topic after a delay: [`Emitter::defer_in`].
    #[track_caller]
    pub fn defer_in<T: Send + 'static>(self, delay: Duration, event: T) -> Timer {
        timer::defer_in(self.emitter, Some(self.name), delay, event)
    }

    /// Queues a copy of the event on this topic again and again: [`Emitter::defer_every`].
    ///
    /// # Panics
    ///
    /// If the period is zero.
    #[track_caller]
    pub fn defer_every<T: Clone + Send + 'static>(self, period: Duration, event: T) -> Timer {
        timer::defer_every(self.emitter, Some(self.name), period, event)
    }

    /// The right to emit `T`s on this topic. See [`Port`].
    pub fn port<T: 'static>(self) -> Port<T, E> {
        Port::new(self.emitter.clone(), Some(self.name))
    }

    /// A listener with options, narrowed to this topic. See [`Listen`].
    pub fn listen<T: 'static>(self) -> Listen<'a, T, E> {
        Listen { patterns: self.patterns(), topic: Some(self.name), ..Listen::new(self.emitter) }
    }

    fn patterns(self) -> Vec<Pattern> {
        vec![Pattern::known(self.name.text, self.emitter.bus().registry.separator)]
    }
}

impl<'a, E: Send + Sync + 'static> TopicsRef<'a, E> {
    pub(crate) fn new(emitter: &'a Emitter<E>, pattern: &'a str) -> Result<Self, TopicError> {
        Pattern::check(pattern, emitter.bus().registry.separator)?;
        Ok(Self { emitter, pattern })
    }

    /// A listener with options, narrowed to this pattern. See [`Listen`].
    pub fn listen<T: 'static>(self) -> Listen<'a, T, E> {
        Listen { patterns: self.patterns(), ..Listen::new(self.emitter) }
    }

    fn patterns(self) -> Vec<Pattern> {
        vec![Pattern::known(self.pattern, self.emitter.bus().registry.separator)]
    }
}

/// The verbs for listening that a topic and a pattern share.
macro_rules! listening {
    ($type:ident) => {
        impl<E: Send + Sync + 'static> $type<'_, E> {
            /// Hears every such event of type `T`: [`Emitter::on`].
            #[track_caller]
            pub fn on<T: 'static, R: IntoFlow<E>>(
                self,
                listener: impl Fn(&T) -> R + Send + Sync + 'static,
            ) -> Subscription {
                self.listen().on(listener)
            }

            /// Hears every such event of type `T`, and its emission: [`Emitter::on_with`].
            #[track_caller]
            pub fn on_with<T: 'static, R: IntoFlow<E>>(
                self,
                listener: impl Fn(&T, &Context<'_, E>) -> R + Send + Sync + 'static,
            ) -> Subscription {
                self.listen().on_with(listener)
            }

            /// Hears the next such event of type `T`: [`Emitter::once`].
            #[track_caller]
            pub fn once<T: 'static, R: IntoFlow<E>>(
                self,
                listener: impl FnOnce(&T) -> R + Send + 'static,
            ) -> Subscription {
                self.listen().once(listener)
            }

            /// Hears the next such event of type `T`, and its emission: [`Emitter::once_with`].
            #[track_caller]
            pub fn once_with<T: 'static, R: IntoFlow<E>>(
                self,
                listener: impl FnOnce(&T, &Context<'_, E>) -> R + Send + 'static,
            ) -> Subscription {
                self.listen().once_with(listener)
            }

            /// Hears every such event of every type: [`Emitter::on_any`].
            #[track_caller]
            pub fn on_any<R: IntoFlow<E>>(
                self,
                listener: impl Fn(&AnyEvent<'_, E>) -> R + Send + Sync + 'static,
            ) -> Subscription {
                add_broad(self.emitter, ANY, self.patterns(), listener)
            }

            /// Keeps copies of such events of type `T`, for a thread to take: [`Emitter::inbox`].
            #[track_caller]
            pub fn inbox<T: Clone + Send + 'static>(self) -> Inbox<T> {
                self.listen().inbox()
            }

            /// Keeps copies of such events of type `T`, to await one after the other: [`Emitter::stream`].
            #[cfg(feature = "async")]
            #[track_caller]
            pub fn stream<T: Clone + Send + 'static>(self) -> EventStream<T> {
                self.listen().stream()
            }

            /// The next such event of type `T`, awaited: [`Emitter::next`].
            #[cfg(feature = "async")]
            #[track_caller]
            pub fn next<T: Clone + Send + 'static>(self) -> Next<T> {
                self.listen().next()
            }

            /// Hears every such event of type `T` with a future: [`Emitter::on_async`].
            #[cfg(feature = "async")]
            #[track_caller]
            pub fn on_async<T, F>(self, listener: impl Fn(T) -> F + Send + Sync + 'static) -> Subscription
            where
                T: Clone + Send + 'static,
                F: Future<Output: IntoFlow<E>> + Send + 'static,
            {
                self.listen().on_async(listener)
            }

            /// Keeps every such event of type `T`, for a test to look at: [`Emitter::record`].
            #[track_caller]
            pub fn record<T: Clone + Send + 'static>(self) -> Recorder<T> {
                self.listen().record()
            }

            /// Keeps what this makes of every such event of type `T`, for a test to look at: [`Emitter::record_map`].
            #[track_caller]
            pub fn record_map<T: 'static, V: Send + 'static>(
                self,
                map: impl Fn(&T) -> V + Send + Sync + 'static,
            ) -> Recorder<V> {
                self.listen().record_map(map)
            }

            /// Keeps every such emission of every type, for a test to look at: [`Emitter::record_any`].
            #[track_caller]
            pub fn record_any(self) -> Recorder<Emitted> {
                record_any(self.emitter, self.patterns())
            }
        }

        impl<E> Clone for $type<'_, E> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<E> Copy for $type<'_, E> {}

        impl<E> fmt::Debug for $type<'_, E> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($type), self.text())
            }
        }
    };
}

listening!(TopicRef);
listening!(TopicsRef);

impl<'a, E> TopicRef<'a, E> {
    fn text(&self) -> &'a str {
        self.name.text
    }
}

impl<'a, E> TopicsRef<'a, E> {
    fn text(&self) -> &'a str {
        self.pattern
    }
}
