//! What becomes of an event that a queue has no room for.

use std::fmt;

/// What a full queue does with one more event: [`Builder::queue`](crate::Builder::queue), [`Listen::overflow`](crate::Listen::overflow).
///
/// Nothing is lost in silence: an event is given back, or reported as [`Cause::Lost`](crate::Cause::Lost).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[non_exhaustive]
pub enum Overflow {
    /// Gives it back, as [`DeferError::Full`]. For inboxes and streams, which can give nothing back, the same as `DropNewest`.
    #[default]
    Reject,
    /// Waits for room, as long as another thread is inside `run` or a `drain` of the bus, and this one isn't delivering from its queue; else
    /// it gives the event back, as nobody would make room. For inboxes, and for streams under
    /// a plain `emit`, the same as `DropNewest`: an emit never waits. An `emit_async` waits until a stream has room.
    Block,
    /// Drops the event that waited longest, and reports that.
    DropOldest,
    /// Drops the event that came, reports that, and says `Ok`.
    DropNewest,
}

/// An event that was not queued, and why: what `defer` gives back.
///
/// ```
/// use hearken::{DeferError, Emitter, Overflow};
///
/// let bus = Emitter::builder().queue(1, Overflow::Reject).build(hearken::panic);
/// bus.defer("first")?;
/// let error = bus.defer("second").unwrap_err();
/// assert!(matches!(error, DeferError::Full(_)));
/// assert_eq!(error.into_inner(), "second");
/// # Ok::<(), DeferError<&str>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DeferError<T> {
    /// The queue has as many events as it may have.
    Full(T),
    /// The queue was closed: [`Emitter::close`](crate::Emitter::close).
    Closed(T),
}

impl<T> DeferError<T> {
    /// The event.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(event) | Self::Closed(event) => event,
        }
    }

    fn why(&self) -> &'static str {
        match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        }
    }
}

impl<T> fmt::Display for DeferError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = std::any::type_name::<T>();
        match self {
            Self::Full(_) => write!(
                f,
                "{event} was not deferred, the queue is full: drain more often, or give it more room with `Builder::queue`"
            ),
            Self::Closed(_) => {
                write!(f, "{event} was not deferred, the queue is closed: emit it, or stop deferring before `close`")
            }
        }
    }
}

impl<T> fmt::Debug for DeferError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.why(), std::any::type_name::<T>())
    }
}

impl<T> std::error::Error for DeferError<T> {}
