//! The bus's front: how one is made, and its verbs.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;

use crate::context::{AnyEvent, Context};
use crate::dispatch;
use crate::emission::Emission;
use crate::failure::{BoxError, Failure};
use crate::flow::IntoFlow;
use crate::handle::{Bus, Emitter};
use crate::id::ListenerId;
use crate::listen::{Listen, TopicRef, TopicsRef, add_broad};
use crate::port::Port;
use crate::record::Recorder;
use crate::registry::{ANY, UNHEARD};
use crate::subscription::Subscription;
use crate::topic::{SEPARATOR, TopicError, can_separate};

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

    /// The right to emit `T`s, to give to a module that has no business listening. See [`Port`].
    pub fn port<T: 'static>(&self) -> Port<T, E> {
        Port::new(self.clone(), None)
    }

    /// Keeps every `T` that is emitted from now on, for a test to look at. See [`Recorder`].
    #[track_caller]
    pub fn record<T: Clone + Send + 'static>(&self) -> Recorder<T> {
        self.listen().record()
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
    max_depth: usize,
    leak_warning: Option<NonZeroUsize>,
    separator: char,
    error: PhantomData<fn() -> E>,
}

impl<E: Send + Sync + 'static> Builder<E> {
    /// The settings that a bus has unless told otherwise.
    #[expect(clippy::new_without_default, reason = "`Emitter::builder()` and this are ways enough")]
    pub fn new() -> Self {
        Self { max_depth: 128, leak_warning: NonZeroUsize::new(1_000), separator: SEPARATOR, error: PhantomData }
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
        self.max_depth = nested_emits;
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

    /// The bus, and the error channel that all of its failures go to: see [`Emitter::new`].
    pub fn build(self, on_failure: impl Fn(Failure<E>) + Send + Sync + 'static) -> Emitter<E> {
        Emitter::from_bus(Bus::new(self.max_depth, self.leak_warning, self.separator, Box::new(on_failure)))
    }
}

impl<E> fmt::Debug for Builder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("max_depth", &self.max_depth)
            .field("leak_warning", &self.leak_warning)
            .field("separator", &self.separator)
            .finish_non_exhaustive()
    }
}
