//! The bus's front: how one is made, and its verbs.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::context::{AnyEvent, Context};
use crate::dead_letters::DeadLetters;
use crate::deferred::drain::{self, Drained};
use crate::deferred::event::defer;
use crate::deferred::event_loop::{self, EventLoop};
use crate::deferred::timer::{self, Timer};
use crate::dispatch;
use crate::emission::Emission;
use crate::errors::ErrorChannel;
use crate::failure::{BoxError, Failure};
use crate::flow::IntoFlow;
#[cfg(feature = "async")]
use crate::future::BoxFuture;
#[cfg(feature = "async")]
use crate::futures::{self, next::Next, stream::EventStream};
#[cfg(feature = "async")]
use crate::handle::Spawner;
use crate::handle::{Bus, Emitter};
use crate::id::ListenerId;
use crate::inbox::Inbox;
use crate::info::ListenerInfo;
use crate::listen::{Listen, TopicRef, TopicsRef, add_broad, record_any};
use crate::overflow::{DeferError, Overflow};
use crate::port::Port;
use crate::queue::{Limit, Settings};
use crate::record::emitted::Emitted;
use crate::record::recorder::Recorder;
use crate::record::tap;
use crate::registry::{ANY, Registry, UNHEARD};
use crate::subscription::Subscription;
use crate::topic::{SEPARATOR, TopicError, can_separate};
use crate::topology::Topology;
use crate::watch::Watch;

impl Emitter {
    /// A bus, and the error channel that all of its failures go to.
    ///
    /// There is no bus without one: [`log`](crate::log), [`panic`](crate::panic) and [`ignore`](crate::ignore) are ready made, and any closure
    /// will do. For other settings, and for another error type than [`BoxError`], use [`Builder`].
    ///
    /// ```
    /// let bus = hearken::Emitter::new(|failure| eprintln!("{failure}"));
    /// ```
    ///
    /// # The error channel
    ///
    /// It runs on the thread where the failure happened, before the next listener's turn. It may use the bus; failures below it
    /// are traced and counted ([`suppressed_failures`](Self::suppressed_failures)), and so are its own panics.
    pub fn new(on_failure: impl Fn(Failure) + Send + Sync + 'static) -> Self {
        Self::builder().build(on_failure)
    }

    /// The settings of a bus whose listeners return [`BoxError`]s; [`Builder::new`] for other errors.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<E: Send + Sync + 'static> Emitter<E> {
    /// Hears every event of type `T`, until the subscription is dropped.
    ///
    /// The listener may return nothing, a `Result`, or a `ControlFlow` to stop the emission: [`IntoFlow`]. It has to be `Fn`, `Send` and
    /// `Sync`, because emissions nest and threads emit at once; keep state in an atomic or a mutex, and share it in an `Arc`, not an `Rc`.
    ///
    /// ```
    /// struct Placed { order: u32 }
    ///
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _hears = bus.on(|placed: &Placed| println!("order {}", placed.order));
    /// bus.emit(&Placed { order: 7 });
    /// ```
    ///
    /// # Order
    ///
    /// Listeners are called by priority, high first ([`Listen::priority`]; 0 here), then in the order they were added.
    ///
    /// # Re-entrancy
    ///
    /// A listener may call anything on the bus. What it adds hears nothing of the emission it is called in; what it removes is not called any
    /// more in it; what it emits is delivered before its call to `emit` returns.
    ///
    /// # Dropping
    ///
    /// The closure is dropped when the listener is removed, or with the bus. A closure that captures an `Emitter` of its own bus keeps the
    /// bus alive for ever: take [`Context::emitter`] or a [`WeakEmitter`](crate::WeakEmitter).
    ///
    /// # Errors and panics
    ///
    /// An error that it returns and a panic are [`Failure`]s: they go to the error channel, and everybody else is called all the same.
    ///
    /// # Cost
    ///
    /// A short lock and `O(log n + 64)` steps, about 100 bytes beside the closure; the next emission makes a new snapshot, in `n / 64` steps.
    #[track_caller]
    pub fn on<T: 'static, R: IntoFlow<E>>(&self, listener: impl Fn(&T) -> R + Send + Sync + 'static) -> Subscription {
        self.listen().on(listener)
    }

    /// [`on`](Self::on), with the emission beside the event: its cause, its depth, the place that emitted it, the bus itself.
    #[track_caller]
    pub fn on_with<T: 'static, R: IntoFlow<E>>(
        &self,
        listener: impl Fn(&T, &Context<'_, E>) -> R + Send + Sync + 'static,
    ) -> Subscription {
        self.listen().on_with(listener)
    }

    /// Hears the next event of type `T`, and only that one.
    ///
    /// Exactly once, however many threads emit, and also if the listener itself emits another `T`: whoever claims the call first makes it. A
    /// call that fails or panics was the call.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let hears = bus.once(|n: &u32| println!("{n}"));
    /// assert_eq!(bus.emit(&1_u32).heard, 1);
    /// assert_eq!(bus.emit(&2_u32).heard, 0);
    /// assert!(!hears.off(), "it ran, so there was nothing to remove");
    /// ```
    ///
    /// # Dropping
    ///
    /// The closure is used up by its call.
    #[track_caller]
    pub fn once<T: 'static, R: IntoFlow<E>>(&self, listener: impl FnOnce(&T) -> R + Send + 'static) -> Subscription {
        self.listen().once(listener)
    }

    /// [`once`](Self::once), with the emission beside the event.
    #[track_caller]
    pub fn once_with<T: 'static, R: IntoFlow<E>>(
        &self,
        listener: impl FnOnce(&T, &Context<'_, E>) -> R + Send + 'static,
    ) -> Subscription {
        self.listen().once_with(listener)
    }

    /// Hears every event of every type, failures included: for audit trails and debugging.
    ///
    /// It has its turn in the one order, with priority 0, and may stop an emission like any listener; but it is not counted in
    /// [`Emission::heard`], and an event that only such listeners heard is unheard.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _audit = bus.on_any(|event| println!("{}", event.type_name()));
    /// ```
    ///
    /// # Cost
    ///
    /// Adding or removing one has every type's next emission make a new snapshot.
    #[track_caller]
    pub fn on_any<R: IntoFlow<E>>(
        &self,
        listener: impl Fn(&AnyEvent<'_, E>) -> R + Send + Sync + 'static,
    ) -> Subscription {
        add_broad(self, ANY, Vec::new(), listener)
    }

    /// Hears every event that nobody heard: whose emission counts no listener, now or deferred.
    ///
    /// It is called after everybody else's turn, so also when a listener of every type stopped the emission before anybody heard it.
    /// Failures are not among these events.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _stray = bus.on_unheard(|event| {
    ///     eprintln!("nobody heard the {} from {}", event.type_name(), event.context().emitted_at());
    /// });
    /// bus.emit(&"hello?");
    /// ```
    #[track_caller]
    pub fn on_unheard<R: IntoFlow<E>>(
        &self,
        listener: impl Fn(&AnyEvent<'_, E>) -> R + Send + Sync + 'static,
    ) -> Subscription {
        add_broad(self, UNHEARD, Vec::new(), listener)
    }

    /// Hears every failure, before the error channel gets it: failures are events too, and this is [`on`](Self::on) for `Failure<E>`.
    ///
    /// Listening is not handling: the error channel gets the failure all the same. A failure that happens below one's delivery goes to the
    /// error channel alone.
    #[track_caller]
    pub fn on_failure<R: IntoFlow<E>>(
        &self,
        listener: impl Fn(&Failure<E>) -> R + Send + Sync + 'static,
    ) -> Subscription {
        self.on(listener)
    }

    /// A topic to emit on and to listen to. See [`TopicRef`].
    ///
    /// ```
    /// struct Order(u32);
    ///
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _hears = bus.topics("order.*").on(|order: &Order| println!("order {}", order.0));
    /// assert_eq!(bus.topic("order.created").emit(&Order(7)).heard, 1);
    /// assert_eq!(bus.topic("payment.made").emit(&Order(7)).heard, 0);
    /// ```
    ///
    /// # Panics
    ///
    /// If the name is no valid topic, with what is wrong with it: [`Topic`](crate::Topic) says what is valid. For names from outside, there
    /// is [`try_topic`](Self::try_topic).
    #[track_caller]
    pub fn topic<'a>(&'a self, name: &'a str) -> TopicRef<'a, E> {
        // No closure: its panic would not be at the caller's line.
        match self.try_topic(name) {
            Ok(topic) => topic,
            Err(error) => panic!("{error}"),
        }
    }

    /// A pattern of topics to listen to. See [`TopicsRef`].
    ///
    /// # Panics
    ///
    /// If it is no valid pattern, with what is wrong with it: [`Pattern`](crate::Pattern) says what is valid. For patterns from outside,
    /// there is [`try_topics`](Self::try_topics).
    #[track_caller]
    pub fn topics<'a>(&'a self, pattern: &'a str) -> TopicsRef<'a, E> {
        match self.try_topics(pattern) {
            Ok(pattern) => pattern,
            Err(error) => panic!("{error}"),
        }
    }

    /// [`topic`](Self::topic), for names from outside.
    ///
    /// # Errors
    ///
    /// What is wrong with the name, where, and what to do about it.
    pub fn try_topic<'a>(&'a self, name: &'a str) -> Result<TopicRef<'a, E>, TopicError> {
        TopicRef::new(self, name)
    }

    /// [`topics`](Self::topics), for patterns from outside.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern, where, and what to do about it.
    pub fn try_topics<'a>(&'a self, pattern: &'a str) -> Result<TopicsRef<'a, E>, TopicError> {
        TopicsRef::new(self, pattern)
    }

    /// A listener with options: a priority, a name, a filter, a limit, an owner. See [`Listen`].
    pub fn listen<T: 'static>(&self) -> Listen<'_, T, E> {
        Listen::new(self)
    }

    /// Removes the listener of this name. True exactly when this did it.
    ///
    /// What [`Subscription::off`] says holds here too. A name of another bus, or of a listener that is gone, finds nothing.
    pub fn off(&self, id: ListenerId) -> bool {
        let _clean_up = self.bus().clean_up();
        self.bus().registry.off(id)
    }

    /// Removes all listeners, of all types. How many there were.
    pub fn off_all(&self) -> usize {
        let _clean_up = self.bus().clean_up();
        self.bus().registry.off_all()
    }

    /// Delivers the event to everybody who listens for `T`, on this thread, before it returns.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _hears = bus.on(|n: &u32| println!("{n}"));
    /// assert_eq!(bus.emit(&7_u32).heard, 1);
    /// ```
    ///
    /// An event is a value with a size: text is emitted as `&"text"`, which listeners of `&'static str` hear, or as a `&String`.
    ///
    /// # Order
    ///
    /// Depth first: what a listener emits is delivered, whole, before the next listener's turn. See [`on`](Self::on) for the order of listeners.
    ///
    /// # Failures
    ///
    /// A listener's error or panic stops nobody else and comes to no caller of `emit`: it goes to the error channel, and is counted in
    /// the [`Emission`]. Past [`Builder::max_depth`] nested emissions the event is not delivered; that is a failure too.
    ///
    /// # Panics
    ///
    /// Only with the error channel [`hearken::panic`](crate::panic).
    ///
    /// # Cost
    ///
    /// No lock, no allocation, nothing written that threads share: one load of a snapshot, then a call for each listener.
    #[inline]
    #[track_caller]
    pub fn emit<T: 'static>(&self, event: &T) -> Emission {
        dispatch::emit(self, None, None, event)
    }

    /// Queues the event, for whoever drains to deliver: to those who listen then, and on that thread.
    ///
    /// The second way to tell. [`emit`](Self::emit) delivers before it returns; this one returns at once, so it is for telling from a
    /// callback that must be short, from a thread that isn't to run listeners, or from a listener that would otherwise recurse. Somebody has to
    /// deliver: [`drain`](Self::drain) in every frame, [`run`](Self::run) or [`spawn_loop`](Self::spawn_loop) on a thread.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _hears = bus.on(|n: &u32| println!("{n}"));
    /// bus.defer(7_u32)?;
    /// assert_eq!(bus.pending(), 1);
    /// assert_eq!(bus.drain().delivered, 1);
    /// # Ok::<(), hearken::DeferError<u32>>(())
    /// ```
    ///
    /// # Order
    ///
    /// First in, first out, across all types, topics and threads.
    ///
    /// # Causes
    ///
    /// [`Context::cause`] and [`origin`](Context::origin) are those of the emission in which it was deferred, if it was in one.
    ///
    /// # Overflow
    ///
    /// The queue is bounded: [`Builder::queue`] says by how much, and what becomes of one more event. An event that isn't delivered is given
    /// back, or reported as [`Cause::Lost`](crate::Cause::Lost). A bus that goes with events in its queue reports them in one such failure, and
    /// drops them.
    ///
    /// # Errors
    ///
    /// The event itself, if the queue is full or closed.
    ///
    /// # Cost
    ///
    /// A short lock. No allocation once the queue is as large as it gets.
    #[inline]
    #[track_caller]
    pub fn defer<T: Send + 'static>(&self, event: T) -> Result<(), DeferError<T>> {
        defer(self, None, None, event)
    }

    /// Queues the event when this much time has passed. Dropping the [`Timer`] cancels it; [`Timer::detach`] lets it run.
    ///
    /// A timer fires from a drain, or wakes a loop to fire it: its event joins the end of the queue then, whatever the queue's capacity.
    /// Timers fire in the order of their times; those of equal times, in the order they were set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use hearken::{Clock, Emitter};
    ///
    /// let clock = Clock::manual();
    /// let bus = Emitter::builder().clock(clock.clone()).build(hearken::log);
    /// let reminder = bus.defer_in(Duration::from_secs(60), "tea is ready");
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(bus.drain().delivered, 1);
    /// # drop(reminder);
    /// ```
    ///
    /// # Closing
    ///
    /// After [`close`](Self::close), and by it, the event is reported as [`Cause::Lost`](crate::Cause::Lost).
    ///
    /// # Cost
    ///
    /// A short lock, an allocation or two, and `O(log n)` steps among `n` timers.
    #[track_caller]
    pub fn defer_in<T: Send + 'static>(&self, delay: Duration, event: T) -> Timer {
        timer::defer_in(self, None, delay, event)
    }

    /// Queues a copy of the event whenever a period has passed, the first time one period from now. See [`defer_in`](Self::defer_in).
    ///
    /// Periods that nobody drained in are made up for by one firing, not by many: the next one is at the next multiple of the period. A
    /// clone that panics is a failure, and that firing is left out. [`close`](Self::close) ends it.
    ///
    /// # Panics
    ///
    /// If the period is zero.
    #[track_caller]
    pub fn defer_every<T: Clone + Send + 'static>(&self, period: Duration, event: T) -> Timer {
        timer::defer_every(self, None, period, event)
    }

    /// Delivers the events that are queued now, and those of timers that are due now, on this thread.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _echo = bus.on_with(|n: &u32, cx| drop(cx.emitter().defer(n + 1)));
    /// bus.defer(1_u32)?;
    /// let drained = bus.drain();
    /// assert_eq!((drained.delivered, drained.remaining), (1, 1), "2 waits for the next drain");
    /// # Ok::<(), hearken::DeferError<u32>>(())
    /// ```
    ///
    /// # Order
    ///
    /// That of deferring. What a listener defers meanwhile waits for the next drain, so this one ends.
    ///
    /// # Re-entrancy
    ///
    /// One thread delivers at a time. Inside a delivery from this queue, and beside another thread's, it delivers nothing.
    ///
    /// # Failures
    ///
    /// A listener's failure stops neither its fellows nor the drain.
    ///
    /// # Panics
    ///
    /// Only with the error channel [`hearken::panic`](crate::panic), after everything was delivered.
    ///
    /// # Cost
    ///
    /// Two short locks for the drain, and an emit without the search for its type for every event.
    #[track_caller]
    pub fn drain(&self) -> Drained {
        drain::drain(self, Limit::None)
    }

    /// [`drain`](Self::drain), until this much time has passed by the bus's clock: for frames that have to be on time.
    ///
    /// It looks at the clock before every event, so it may deliver none. What it doesn't get to stays first in the queue.
    #[track_caller]
    pub fn drain_for(&self, budget: Duration) -> Drained {
        drain::drain(self, Limit::Until(self.bus().settings.clock.now().saturating_add(budget)))
    }

    /// [`drain`](Self::drain), and again, with what listeners deferred meanwhile, until nothing is left or so many events were delivered.
    ///
    /// For tests and scripts, which want to see a flow to its end; the limit ends flows that have none.
    #[track_caller]
    pub fn drain_until_idle(&self, limit: usize) -> Drained {
        drain::drain_until_idle(self, limit)
    }

    /// How many events wait in the queue: those whose delivery has not begun. Timers that are not due don't count.
    pub fn pending(&self) -> usize {
        self.bus().queue().pending()
    }

    /// Drops the events that wait in the queue, unreported. How many there were. Timers stay.
    ///
    /// A [further attempt](Listen::retry) is a timer until the first drain behind its time, and then an event in the queue: dropped here, it is neither
    /// reported nor a dead letter. So is a dead letter that was redriven.
    ///
    /// What another thread's drain holds already is not delivered any more, and dropped by that thread.
    pub fn discard_pending(&self) -> usize {
        drain::discard_pending(self)
    }

    /// The event loop: delivers what is deferred as it comes, on this thread, until the queue is [closed](Self::close), and then what is left.
    ///
    /// It sleeps while there is nothing to do; an event, or a timer's time, wakes it. Failures don't end it. Several loops may run on one bus:
    /// each event is delivered by one of them. For a loop with a thread of its own there is [`spawn_loop`](Self::spawn_loop).
    ///
    /// ```
    /// use std::thread;
    ///
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _hears = bus.on(|n: &u32| println!("{n}"));
    /// thread::scope(|threads| {
    ///     threads.spawn(|| {
    ///         bus.defer(7_u32).unwrap();
    ///         bus.close();
    ///     });
    ///     bus.run(); // prints 7, and returns
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// Inside a delivery from this very queue, where it would wait for itself.
    #[track_caller]
    pub fn run(&self) {
        event_loop::run(self);
    }

    /// An event loop on a thread of its own, with this name. See [`run`](Self::run) and [`EventLoop`].
    ///
    /// # Errors
    ///
    /// If the system can't start a thread.
    pub fn spawn_loop(&self, name: &str) -> io::Result<EventLoop> {
        event_loop::spawn(self, name)
    }

    /// Ends deferral: from now on `defer` gives [`DeferError::Closed`], and loops end when they have delivered what is left. `emit` works on.
    ///
    /// Timers that repeat are cancelled; each other one that waits is reported as [`Cause::Lost`](crate::Cause::Lost).
    #[track_caller]
    pub fn close(&self) {
        drain::close(self);
    }

    /// Keeps a copy of every `T` that is emitted from now on, for a thread to take one after the other. See [`Inbox`].
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let numbers = bus.inbox::<u32>();
    /// bus.emit(&7_u32);
    /// drop(bus);
    /// assert_eq!(numbers.iter().collect::<Vec<_>>(), [7]);
    /// ```
    #[track_caller]
    pub fn inbox<T: Clone + Send + 'static>(&self) -> Inbox<T> {
        self.listen().inbox()
    }

    /// Keeps a copy of every `T` that is emitted from now on, to await one after the other. See [`EventStream`].
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn stream<T: Clone + Send + 'static>(&self) -> EventStream<T> {
        self.listen().stream()
    }

    /// The next `T` that is emitted from now on, as a future. See [`Next`].
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn next<T: Clone + Send + 'static>(&self) -> Next<T> {
        self.listen().next()
    }

    /// Hears every event of type `T` with a future: a listener that may await.
    ///
    /// The closure is called at its turn, with a copy of the event. Its future is polled by the [`emit_async`](Self::emit_async) that called
    /// it, together with those of the event's other async listeners. Under [`emit`](Self::emit), and for deferred events, it goes to the
    /// bus's [`spawner`](Builder::spawner); a bus without one makes a failure of it, with [`Cause::NoSpawner`](crate::Cause::NoSpawner).
    ///
    /// ```
    /// # async fn example() {
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _saves = bus.on_async(|order: u32| async move {
    ///     // … await a database …
    ///     if order == 0 { Err("no such order")? }
    ///     Ok(())
    /// });
    /// let emission = bus.emit_async(&7_u32).await;
    /// assert_eq!((emission.heard, emission.failed), (1, 0));
    /// # }
    /// # futures_executor::block_on(example());
    /// ```
    ///
    /// # Errors and panics
    ///
    /// Those of the future are failures, as a listener's are. `Break` has no effect: everybody had their turn before.
    ///
    /// # Causes
    ///
    /// What the future emits while it is polled is in its emission's chain, and counts for [`Builder::max_depth`].
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn on_async<T, F>(&self, listener: impl Fn(T) -> F + Send + Sync + 'static) -> Subscription
    where
        T: Clone + Send + 'static,
        F: Future<Output: IntoFlow<E>> + Send + 'static,
    {
        self.listen().on_async(listener)
    }

    /// Delivers the event as [`emit`](Self::emit) does, and then runs the futures of its async listeners, all at once: a future that ends when the last of
    /// them has.
    ///
    /// Synchronous listeners are called, in order, by its first poll; one that is never polled calls nobody. A stream that is to
    /// [block](crate::Overflow::Block) has it wait for room.
    ///
    /// # Failures
    ///
    /// [`Emission::failed`] counts the futures that failed, too.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, it drops the futures of the listeners. The bus goes on.
    ///
    /// # Panics
    ///
    /// Only with the error channel [`hearken::panic`](crate::panic), when everything has ended.
    ///
    /// # Cost
    ///
    /// An emit's, and two allocations for each async listener.
    #[cfg(feature = "async")]
    #[track_caller]
    pub fn emit_async<'a, T: Sync + 'static>(
        &'a self,
        event: &'a T,
    ) -> impl Future<Output = Emission> + Send + use<'a, T, E> {
        futures::emission::emit(self, None, event)
    }

    /// The event loop as a future: [`run`](Self::run), for a task.
    ///
    /// It sleeps while there is nothing to do, without polling, and needs no runtime of a kind: while a timer is pending, a thread of its own
    /// sleeps until that is due and wakes it. There is no such thread before the first timer.
    ///
    /// ```
    /// # async fn example() {
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _hears = bus.on(|n: &u32| println!("{n}"));
    /// bus.defer(7_u32).unwrap();
    /// bus.close();
    /// bus.run_async().await; // prints 7
    /// # }
    /// # futures_executor::block_on(example());
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves what is queued in the queue.
    #[cfg(feature = "async")]
    pub fn run_async(&self) -> impl Future<Output = ()> + Send {
        futures::event_loop::run(self)
    }

    /// The events on which listeners failed for good, although they were [tried again](crate::Listen::retry). See [`DeadLetters`].
    pub fn dead_letters(&self) -> DeadLetters<'_, E> {
        DeadLetters::new(self)
    }

    /// The right to emit `T`s, to give to a module that has no business listening. See [`Port`].
    pub fn port<T: 'static>(&self) -> Port<T, E> {
        Port::new(self.clone(), None)
    }

    /// Keeps every `T` that is emitted from now on, for a test to look at. See [`Recorder`].
    #[track_caller]
    pub fn record<T: Clone + Send + 'static>(&self) -> Recorder<T> {
        self.listen().record()
    }

    /// Keeps what this makes of every `T` that is emitted from now on, for a test to look at: for events that aren't `Clone`, or that are more than
    /// the test wants to see. See [`Recorder`].
    ///
    /// ```
    /// struct Paid { order: u32, receipt: Box<dyn Fn() -> String> }
    ///
    /// let bus = hearken::Emitter::new(hearken::panic);
    /// let paid = bus.record_map(|paid: &Paid| paid.order);
    /// bus.emit(&Paid { order: 7, receipt: Box::new(String::new) });
    /// assert_eq!(paid.take(), [7]);
    /// ```
    #[track_caller]
    pub fn record_map<T: 'static, V: Send + 'static>(
        &self,
        map: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Recorder<V> {
        self.listen().record_map(map)
    }

    /// Keeps every emission from now on, of every type, failures included: what came, in which order, and what of what. See [`Emitted`], and
    /// [`assert_sequence!`](crate::assert_sequence) for the order of types.
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::panic);
    /// let seen = bus.record_any();
    /// bus.emit(&7_u32);
    /// bus.emit(&"seven");
    /// hearken::assert_sequence!(seen, [u32, &str]);
    /// ```
    ///
    /// # Order
    ///
    /// It hears before other listeners, with the highest priority, and so an event comes before those that it leads to.
    #[track_caller]
    pub fn record_any(&self) -> Recorder<Emitted> {
        record_any(self, Vec::new())
    }

    /// Keeps every `T` that is emitted while the [`Recorder`] lives, for a test to look at, and keeps it from everybody else: nobody hears it.
    ///
    /// For tests of a module that would set others going. On every path: `emit` and `emit_async` on a topic or on none, ports, what is deferred
    /// when it is drained, timers, and the turns of [`deferred`](Listen::deferred) listeners that waited already, each for itself.
    ///
    /// ```
    /// #[derive(Clone, PartialEq, Debug)]
    /// struct Mail(&'static str);
    ///
    /// let bus = hearken::Emitter::new(hearken::panic);
    /// let _sends = bus.on(|_: &Mail| unreachable!("a test sends no mail"));
    /// let mails = bus.intercept::<Mail>();
    /// assert_eq!(bus.emit(&Mail("hello")).heard, 0);
    /// assert_eq!(mails.take(), [Mail("hello")]);
    /// ```
    ///
    /// # Who hears it
    ///
    /// Nobody: no listener of `T` or of every type, no inbox, stream or other recorder. An emission that is intercepted has `heard` 0, and is not
    /// unheard. Two such recorders both keep it. For failures: the error channel gets them all the same.
    ///
    /// # Beginning and end
    ///
    /// An emission is either intercepted or delivered, all of it, as it was when it began: one that is under way goes on to its listeners, and
    /// one that began before the recorder was dropped is kept from them. [`off_all`](Self::off_all) doesn't end it.
    #[must_use = "events are intercepted only while the recorder lives: keep it in a named variable"]
    #[track_caller]
    pub fn intercept<T: Clone + Send + 'static>(&self) -> Recorder<T> {
        tap::intercept(self, T::clone)
    }

    /// [`intercept`](Self::intercept), for events that aren't `Clone`: keeps what this makes of them.
    #[must_use = "events are intercepted only while the recorder lives: keep it in a named variable"]
    #[track_caller]
    pub fn intercept_map<T: 'static, V: Send + 'static>(
        &self,
        map: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Recorder<V> {
        tap::intercept(self, map)
    }

    /// Everybody who listens: of one type, of every type, and to what nobody heard; recorders, inboxes and streams, and who is paused.
    ///
    /// For a look at a program while it runs, and for tests of who subscribes to what. With [`Builder::metrics`], also how often each was called,
    /// how often it failed and how long it took. Who [is tried again](Listen::retry) has the number of these attempts and of its dead letters with
    /// metrics or without. Who would hear what is in [`topology`](Self::topology).
    ///
    /// ```
    /// let bus = hearken::Emitter::new(hearken::log);
    /// let _hears = bus.listen::<u32>().named("printer").on(|n| println!("{n}"));
    /// let _audit = bus.listen::<u32>().priority(1).on(|_| {});
    ///
    /// let names: Vec<_> = bus.listeners().iter().map(|listener| listener.name).collect();
    /// assert_eq!(names, [None, Some("printer")]);
    /// ```
    ///
    /// # Order
    ///
    /// The one order, whatever they listen to: a higher priority first, then the one that was added first.
    ///
    /// # Cost
    ///
    /// Steps and allocations for every listener; a short lock for every event type. If any is tried again, steps for every dead letter, too.
    pub fn listeners(&self) -> Vec<ListenerInfo> {
        let _clean_up = self.bus().clean_up();
        let mut listeners = self.bus().registry.listeners();
        if listeners.iter().any(|listener| listener.retries.is_some()) {
            let dead = self.dead_letters().by_listener();
            for listener in listeners.iter_mut().filter(|listener| listener.retries.is_some()) {
                listener.dead_letters = Some(dead.get(&listener.id).copied().unwrap_or(0));
            }
        }
        listeners
    }

    /// Who emits what, on which topic and how often, who hears it, what nobody hears, and who never heard anything. See [`Topology`].
    ///
    /// Places that emit are known with [`Builder::metrics`].
    ///
    /// # Cost
    ///
    /// That of [`listeners`](Self::listeners), and a short lock for every thread that emits.
    pub fn topology(&self) -> Topology {
        Topology::of(self)
    }
}

/// The settings of a bus, before it is built.
///
/// ```
/// #[derive(Debug)]
/// enum ShopError { OutOfStock }
///
/// let bus = hearken::Builder::<ShopError>::new()
///     .max_depth(32)
///     .build(|failure| eprintln!("{failure:?}"));
/// let _stock = bus.on(|wanted: &u32| if *wanted > 9 { Err(ShopError::OutOfStock) } else { Ok(()) });
/// ```
#[must_use = "a builder builds nothing until `.build(…)`"]
pub struct Builder<E = BoxError> {
    max_depth: u32,
    leak_warning: Option<NonZeroUsize>,
    separator: char,
    capacity: usize,
    overflow: Overflow,
    clock: Clock,
    metrics: bool,
    slow_listener: Option<Duration>,
    dead_letters: u32,
    #[cfg(feature = "async")]
    spawner: Option<Spawner>,
    error: PhantomData<fn() -> E>,
}

impl<E: Send + Sync + 'static> Builder<E> {
    /// The settings that a bus has unless told otherwise.
    #[expect(clippy::new_without_default, reason = "`Emitter::builder()` and this are ways enough")]
    pub fn new() -> Self {
        Self {
            max_depth: 128,
            leak_warning: NonZeroUsize::new(1_000),
            separator: SEPARATOR,
            capacity: 65_536,
            overflow: Overflow::Reject,
            clock: Clock::system(),
            metrics: false,
            slow_listener: None,
            dead_letters: 1_000,
            #[cfg(feature = "async")]
            spawner: None,
            error: PhantomData,
        }
    }

    /// How many emissions may nest on a thread, the outermost included, all buses counted; 128 unless set. One more is not delivered but
    /// becomes a failure with [`Cause::TooDeep`](crate::Cause::TooDeep).
    ///
    /// The bus's own part of a level is less than 2 KiB of stack in a release build, so that 128 levels leave a listener 14 KiB each of a
    /// thread's usual 2 MiB; a debug build leaves 12 KiB.
    ///
    /// # Panics
    ///
    /// If it is 0: such a bus would deliver nothing.
    #[track_caller]
    pub fn max_depth(mut self, nested_emits: usize) -> Self {
        assert!(nested_emits != 0, "`max_depth(0)` would deliver nothing: allow one emission or more");
        // More would need more memory than an address space has.
        self.max_depth = u32::try_from(nested_emits).unwrap_or(u32::MAX);
        self
    }

    /// With how many listeners of one event to suspect a leak; 1,000 unless set, 0 for never.
    ///
    /// When an event gathers more, one warning says so to [`tracing`], with the places in the source that added them and how many each
    /// (`990 from src/session.rs:40`). It is said once for an event.
    pub fn leak_warning(mut self, listeners_per_event: usize) -> Self {
        self.leak_warning = NonZeroUsize::new(listeners_per_event);
        self
    }

    /// What separates the segments of topics; `.` unless set. With `:`, topics look like `user:email:updated`.
    ///
    /// # Panics
    ///
    /// If it can't separate: `*`, a letter or digit, white space, a control character.
    #[track_caller]
    pub fn separator(mut self, separator: char) -> Self {
        assert!(
            can_separate(separator),
            "{separator:?} can't separate segments: choose a sign that is no letter, digit, `*`, white space or control character"
        );
        self.separator = separator;
        self
    }

    /// How many deferred events may wait at once, and what becomes of one more; 65,536 and [`Overflow::Reject`] unless set.
    ///
    /// An event waits until its delivery begins. What timers fire joins the queue whatever its capacity. Room is made as it is needed, not
    /// set aside.
    ///
    /// # Panics
    ///
    /// If the capacity is 0: such a queue would take nothing.
    #[track_caller]
    pub fn queue(mut self, capacity: usize, overflow: Overflow) -> Self {
        assert!(capacity != 0, "`queue(0, …)` would take no event: allow one or more");
        (self.capacity, self.overflow) = (capacity, overflow);
        self
    }

    /// How many [dead letters](Emitter::dead_letters) are kept; 1,000 unless set. When one more comes, the oldest is reported as
    /// [`Cause::Lost`](crate::Cause::Lost) and dropped.
    pub fn dead_letters(mut self, kept: u32) -> Self {
        self.dead_letters = kept;
        self
    }

    /// Who runs the futures of async listeners that an emission which isn't awaited calls: a runtime's `spawn`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let bus = hearken::Emitter::builder()
    ///     .spawner(|future| drop(tokio::spawn(future)))
    ///     .build(hearken::log);
    /// let _saves = bus.on_async(|order: u32| async move { println!("saved {order}") });
    /// bus.emit(&7_u32); // saved soon, by a task
    /// # }
    /// ```
    ///
    /// It is called in the listener's turn; its panic is the listener's.
    #[cfg(feature = "async")]
    pub fn spawner(mut self, spawn: impl Fn(BoxFuture) + Send + Sync + 'static) -> Self {
        self.spawner = Some(Box::new(spawn));
        self
    }

    /// Whether to count: of every listener its calls, its failures and its time ([`Emitter::listeners`]), and of every place in the source what
    /// it emits ([`Emitter::topology`]). Off unless set.
    ///
    /// ```
    /// let bus = hearken::Emitter::builder().metrics(true).build(hearken::log);
    /// let _hears = bus.on(|n: &u32| println!("{n}"));
    /// bus.emit(&7_u32);
    /// bus.emit(&"text");
    ///
    /// assert_eq!(bus.listeners()[0].calls, Some(1));
    /// let nobody_heard: Vec<_> = bus.topology().sites().iter().filter(|site| site.unheard > 0).map(|site| site.event).collect();
    /// assert_eq!(nobody_heard, ["&str"]);
    /// ```
    ///
    /// # Threads
    ///
    /// Every thread counts for itself, so threads that emit at once don't wait for one another. The sums are exact for what happened before the
    /// look.
    ///
    /// # Cost
    ///
    /// Without it, nothing. With it, a call takes two looks at the clock longer, and an emission a look-up in a table of its thread's own; no
    /// allocation once each thread has been everywhere. A listener takes 500 bytes more, and 128 for each thread that calls it. Of the stack, a
    /// level takes no more than [`max_depth`](Self::max_depth) says, but for another KiB in a debug build.
    pub fn metrics(mut self, on: bool) -> Self {
        self.metrics = on;
        self
    }

    /// How long a listener may run. One that runs longer is told to [`tracing`] at warn level, under the target `hearken`: who it is and where it
    /// was added, what it ran for and where that was emitted, and how long it took.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let bus = hearken::Emitter::builder().slow_listener(Duration::from_millis(16)).build(hearken::log);
    /// ```
    ///
    /// A listener is told of at most once a minute, by the bus's clock as all of this; the next time says how often it was slow in between.
    /// What it emits runs inside of its call, so the listeners of a slow one's event may look slow, too. Of an async listener, the call and every
    /// poll of its future have this much time each: a poll that takes longer blocks its thread.
    ///
    /// # Cost
    ///
    /// Without it, nothing. With it, a call takes two looks at the clock longer.
    pub fn slow_listener(mut self, longer_than: Duration) -> Self {
        self.slow_listener = Some(longer_than);
        self
    }

    /// What timers, budgets and metrics go by: the system's clock unless set, [`Clock::manual`] in tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The bus, and the error channel that all of its failures go to: see [`Emitter::new`].
    pub fn build(self, on_failure: impl Fn(Failure<E>) + Send + Sync + 'static) -> Emitter<E> {
        Emitter::from_bus(Bus {
            registry: Registry::new(self.leak_warning, self.separator, self.metrics),
            queue: OnceLock::new(),
            settings: Settings {
                max_depth: self.max_depth,
                capacity: self.capacity.try_into().unwrap_or(u32::MAX),
                overflow: self.overflow,
                clock: self.clock,
                dead_letters: self.dead_letters,
            },
            errors: Arc::new(ErrorChannel::new(Box::new(on_failure))),
            watch: Watch::new(self.metrics, self.slow_listener),
            #[cfg(feature = "async")]
            spawner: self.spawner,
        })
    }
}

// A panic leaves no bus broken: see `Emitter`.
impl<E> UnwindSafe for Builder<E> {}
impl<E> RefUnwindSafe for Builder<E> {}

impl<E> fmt::Debug for Builder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("max_depth", &self.max_depth)
            .field("leak_warning", &self.leak_warning)
            .field("separator", &self.separator)
            .field("queue", &(self.capacity, self.overflow))
            .field("clock", &self.clock)
            .field("metrics", &self.metrics)
            .field("slow_listener", &self.slow_listener)
            .field("dead_letters", &self.dead_letters)
            .finish_non_exhaustive()
    }
}
