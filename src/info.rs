//! What can be said about a listener.

use std::fmt;
use std::panic::Location;

use crate::id::ListenerId;
use crate::topic::Pattern;

/// Who a listener is: what it hears, where in the source it was added, and what it is called.
///
/// [`Failure::listener`](crate::Failure::listener) names the culprit with it.
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
}

/// `listener "billing" (src/billing.rs:42)`, or `listener at src/billing.rs:42` when it has no name.
impl fmt::Display for ListenerInfo {
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
