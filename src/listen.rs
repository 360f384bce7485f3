//! Choosing what to hear, and how.

use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::Arc;

use crate::context::{Context, Scene};
use crate::failure::BoxError;
use crate::flow::{Flow, IntoFlow};
use crate::handle::Emitter;
use crate::listener::{About, Closure, Hear, Slot};
use crate::policy::filter::{Filter, Filtered};
use crate::policy::silent::Silent;
use crate::policy::times::Times;
use crate::policy::weak::Owned;
use crate::record::Recorder;
use crate::registry::ListenerRef;
use crate::subscription::Subscription;
use crate::sync::Mutex;

/// A listener in the making: options first, then one of `on`, `on_with`, `once`, `once_with`, `on_weak`, `record`.
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
}

impl<'a, T: 'static, E: Send + Sync + 'static> Listen<'a, T, E> {
    pub(crate) fn new(emitter: &'a Emitter<E>) -> Self {
        Self { emitter, priority: 0, name: None, times: None, filters: Vec::new() }
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
        self.add(Closure::new(move |event: &T, scene, id| listener(event, &Context::new(scene, id)).into_flow()))
    }

    /// Hears one event: [`Emitter::once`] with these options.
    ///
    /// # Panics
    ///
    /// After [`times`](Self::times): a listener hears once or so many times, not both.
    #[track_caller]
    pub fn once<R: IntoFlow<E>>(self, listener: impl FnOnce(&T) -> R + Send + 'static) -> Subscription {
        self.once_with(move |event, _| listener(event))
    }

    /// Hears one event and its emission: [`Emitter::once_with`] with these options.
    ///
    /// # Panics
    ///
    /// After [`times`](Self::times): a listener hears once or so many times, not both.
    #[track_caller]
    pub fn once_with<R: IntoFlow<E>>(
        mut self,
        listener: impl FnOnce(&T, &Context<'_, E>) -> R + Send + 'static,
    ) -> Subscription {
        if let Some(times) = self.times {
            let event = event_name::<T>();
            panic!(
                "a listener of `{event}` can't hear `once` and `times({times})`: end with `on`, or leave `times` out"
            );
        }
        self.times = Some(NonZeroU64::MIN);
        let listener = Mutex::new(Some(listener));
        self.add(Closure::new(move |event: &T, scene, id| {
            // On a line of its own, so that the lock is open again before the call.
            let listener = listener.lock().take();
            match listener {
                Some(listener) => listener(event, &Context::new(scene, id)).into_flow(),
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
        Recorder::new(|seen| {
            let keep = move |event: &T, _: &Scene<'_, E>, _| {
                seen.push(event);
                Flow::Continue
            };
            self.add(Silent { inner: Closure::new(keep) })
        })
    }

    /// How many listeners an emit of `T` would call, filters aside: those that are not paused and whose owner lives.
    ///
    /// Listeners of every type and recorders don't count, as in [`Emission::heard`](crate::Emission::heard). The options set
    /// before don't matter.
    pub fn count(self) -> usize {
        let bus = self.emitter.bus();
        let _clean_up = bus.clean_up();
        let Some(channel) = bus.registry.find::<T>() else { return 0 };
        let snapshot = channel.snapshot(&bus.registry);
        let would_hear = |listener: &ListenerRef<T, E>| {
            let word = listener.gate().word();
            !word.is_off() && !word.is_paused() && !word.is_silent() && listener.is_present()
        };
        snapshot.own.iter().flat_map(|chunk| chunk.iter()).filter(|entry| would_hear(&entry.value)).count()
    }

    #[track_caller]
    fn add(self, hear: impl Hear<T, E> + 'static) -> Subscription {
        let added_at = Location::caller();
        match (self.times, self.filters.is_empty()) {
            (None, true) => self.insert(hear, added_at),
            (Some(times), true) => self.insert(Times::new(times, hear), added_at),
            (times, false) => {
                let mut hear: Box<dyn Hear<T, E>> = Box::new(hear);
                if let Some(times) = times {
                    hear = Box::new(Times::new(times, hear));
                }
                let (filters, rest) = self.split_filters();
                rest.insert(Filtered::new(filters, hear), added_at)
            }
        }
    }

    fn split_filters(mut self) -> (Vec<Filter<T>>, Self) {
        (std::mem::take(&mut self.filters), self)
    }

    fn insert(self, hear: impl Hear<T, E> + 'static, added_at: &'static Location<'static>) -> Subscription {
        let Self { emitter, priority, name, .. } = self;
        let channel = emitter.bus().registry.channel::<T>();
        let slot = Slot::new(channel.home, About::new(emitter.weak_bus(), name, added_at), hear);
        let control = Arc::downgrade(&slot);
        let _clean_up = emitter.bus().clean_up();
        Subscription::new(channel.insert(priority, slot), control)
    }
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
            .finish_non_exhaustive()
    }
}
