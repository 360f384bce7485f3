//! What can be said about a listener.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::id::ListenerId;
use crate::topic::Pattern;

/// Who a listener is: what it hears, where in the source it was added, and what it is called.
///
/// [`Failure::listener`](crate::Failure::listener) names the culprit with it, and [`Emitter::listeners`](crate::Emitter::listeners) gives those
/// of all that there are.
///
/// # Figures
///
/// `calls`, `failures` and `time` are there with [`Builder::metrics`](crate::Builder::metrics); these and `retries` are as they were when this was
/// made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// Its name, as [`Emitter::off`](crate::Emitter::off) takes it.
    pub id: ListenerId,
    /// The type it hears, as [`std::any::type_name`] spells it; `any event` and `unheard events` for listeners of every type.
    pub event: &'static str,
    /// The patterns it narrowed itself to; none if it hears events on whatever topic, or on none.
    pub topics: Vec<Pattern>,
    /// Its priority; higher ones are called first.
    pub priority: i32,
    /// What [`Listen::named`](crate::Listen::named) called it.
    pub name: Option<&'static str>,
    /// The place in the source that added it.
    pub registered_at: &'static Location<'static>,
    /// Whether it was paused when [`Emitter::listeners`](crate::Emitter::listeners) was asked.
    pub is_paused: bool,
    /// How many of its calls have ended, however. A recorder's, an inbox's or a stream's are the events that it was given.
    pub calls: Option<u64>,
    /// How many of these returned an error or panicked. An async listener's future counts as its call does. A filter's panic is a failure
    /// too, but none of these: the listener was not called.
    pub failures: Option<u64>,
    /// How long it ran, on all threads together and by the bus's clock: its calls, with all that they emitted in turn; of an async listener,
    /// also every poll of its futures.
    pub time: Option<Duration>,
    /// How many of its calls were second or later attempts at an event, with metrics or without; `None` without
    /// [`Listen::retry`](crate::Listen::retry).
    pub retries: Option<u64>,
    /// How many of its events were [dead letters](crate::Emitter::dead_letters) when [`Emitter::listeners`](crate::Emitter::listeners) was asked;
    /// `None` without [`Listen::retry`](crate::Listen::retry), and in a failure.
    pub dead_letters: Option<u64>,
}

/// What is counted of a listener.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) time: Duration,
}

impl ListenerInfo {
    /// Of one that isn't paused, as none is that runs.
    pub(crate) fn new(
        id: ListenerId,
        event: &'static str,
        topics: Vec<Pattern>,
        who: Who,
        figures: Option<Figures>,
    ) -> Self {
        Self {
            id,
            event,
            topics,
            priority: id.key().priority(),
            name: who.name,
            registered_at: who.registered_at,
            is_paused: false,
            calls: figures.map(|figures| figures.calls),
            failures: figures.map(|figures| figures.failures),
            time: figures.map(|figures| figures.time),
            retries: None,
            dead_letters: None,
        }
    }
}

/// `listener "billing" (src/billing.rs:42)`, or `listener at src/billing.rs:42` when it has no name.
impl fmt::Display for ListenerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Who { name: self.name, registered_at: self.registered_at }.fmt(f)
    }
}

/// What a listener is called, and where it was added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) name: Option<&'static str>,
    pub(crate) registered_at: &'static Location<'static>,
}

impl Who {
    /// `"billing"`, or `src/billing.rs:42` when it has no name.
    pub(crate) fn short(self) -> String {
        self.name.map_or_else(|| Place(self.registered_at).to_string(), |name| format!("{name:?}"))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place(self.registered_at);
        match self.name {
            Some(name) => write!(f, "listener {name:?} ({place})"),
            None => write!(f, "listener at {place}"),
        }
    }
}

/// A place in the source as `file:line`: what an editor opens.
pub(crate) struct Place(pub(crate) &'static Location<'static>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}
