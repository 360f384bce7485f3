//! What the error channel carries.

use std::any::Any;
use std::fmt::{self, Write};
use std::panic::Location;
use std::sync::Arc;

use crate::chain::{Chain, From};
use crate::id::EmissionId;
use crate::info::{ListenerInfo, Place};

/// The error type of an [`Emitter`](crate::Emitter) that names none: any error, and text, by `?` or `into()`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Something that went wrong on the bus: a listener's error or panic, a chain of emissions that went too deep.
///
/// The bus hands every failure to the error channel it was built with, by value, after the listeners of `Failure<E>`
/// ([`Emitter::on_failure`](crate::Emitter::on_failure)) have heard it. A clone is a reference count.
///
/// Its [`Display`](fmt::Display) is one line a person can act on; control characters in an error's text are escaped:
///
/// ```
/// use std::sync::mpsc;
///
/// let (failures, failed) = mpsc::channel();
/// let bus = hearken::Emitter::new(move |failure| drop(failures.send(failure)));
/// let _billing = bus.listen::<u32>().named("billing").on(|_| Err::<(), _>("card declined".into()));
/// bus.emit(&7_u32);
///
/// let line = failed.recv()?.to_string();
/// assert!(line.starts_with("listener \"billing\" ("), "{line}");
/// assert!(line.contains(" failed on u32 (emitted at "), "{line}");
/// assert!(line.ends_with("): card declined"), "{line}");
/// # Ok::<(), mpsc::RecvError>(())
/// ```
///
/// # Errors inside
///
/// [`cause`](Self::cause) looks at what happened; [`into_error`](Self::into_error) takes the listener's own error out.
pub struct Failure<E = BoxError> {
    inner: Arc<Inner<E>>,
}

struct Inner<E> {
    event: &'static str,
    topic: Option<Box<str>>,
    listener: Option<ListenerInfo>,
    from: From,
    cause: Cause<E>,
}

/// Why something failed.
#[non_exhaustive]
pub enum Cause<E = BoxError> {
    /// A listener returned this error.
    Error(Arc<E>),
    /// A listener, or its filter, panicked with this message.
    Panic(Arc<str>),
    /// So many emissions were nested already on this thread that one more was not delivered:
    /// [`Builder::max_depth`](crate::Builder::max_depth).
    TooDeep {
        /// How many emissions the bus lets nest.
        limit: usize,
    },
    /// So many events were not delivered: what was to take them was full, closed, or is gone.
    Lost {
        /// How many.
        missed: u64,
    },
    /// An async listener was called by an emission that isn't awaited, and the bus has nobody to run its future:
    /// `Builder::spawner`.
    NoSpawner,
}

impl<E> Failure<E> {
    pub(crate) fn new(
        event: &'static str,
        topic: Option<&str>,
        listener: Option<ListenerInfo>,
        from: From,
        cause: Cause<E>,
    ) -> Self {
        Self { inner: Arc::new(Inner { event, topic: topic.map(Into::into), listener, from, cause }) }
    }

    /// The type of the event in question, as [`std::any::type_name`] spells it.
    pub fn event(&self) -> &'static str {
        self.inner.event
    }

    /// The topic that the event was emitted on, if it was emitted on one.
    pub fn topic(&self) -> Option<&str> {
        self.inner.topic.as_deref()
    }

    /// The listener that failed; `None` where none is to blame, as when a chain went too deep.
    pub fn listener(&self) -> Option<&ListenerInfo> {
        self.inner.listener.as_ref()
    }

    /// The place in the source that emitted the event.
    pub fn emitted_at(&self) -> &'static Location<'static> {
        self.inner.from.emitted_at
    }

    /// The emission in question, as [`Context::id`](crate::Context::id) names it to its listeners; the first, if several are. `None` if it never
    /// began, as when a chain went too deep.
    pub fn emission(&self) -> Option<EmissionId> {
        self.inner.from.chain.id
    }

    pub(crate) fn chain(&self) -> Chain {
        self.inner.from.chain
    }

    /// What happened.
    pub fn cause(&self) -> &Cause<E> {
        &self.inner.cause
    }

    /// The error that the listener returned, by value.
    ///
    /// # Errors
    ///
    /// The failure itself, untouched, when it is not a returned error, or when a clone of it or of its error is still alive.
    pub fn into_error(self) -> Result<E, Self> {
        let inner = Arc::try_unwrap(self.inner).map_err(|inner| Self { inner })?;
        let back = |cause| Self { inner: Arc::new(Inner { cause, ..inner }) };
        match inner.cause {
            Cause::Error(error) => Arc::try_unwrap(error).map_err(|error| back(Cause::Error(error))),
            cause => Err(back(cause)),
        }
    }
}

impl<E> Cause<E> {
    /// A panic's cause. The payload itself is the caller's to get rid of: its destructor is user code.
    pub(crate) fn of_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(the panic's payload is no text)");
        Self::Panic(text.into())
    }
}

impl<E> Clone for Failure<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E> Clone for Cause<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Error(error) => Self::Error(Arc::clone(error)),
            Self::Panic(message) => Self::Panic(Arc::clone(message)),
            Self::TooDeep { limit } => Self::TooDeep { limit: *limit },
            Self::Lost { missed } => Self::Lost { missed: *missed },
            Self::NoSpawner => Self::NoSpawner,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { event, topic, listener, from, cause } = &*self.inner;
        if let Some(listener) = listener {
            let verb = if matches!(cause, Cause::Panic(_)) { "panicked" } else { "failed" };
            write!(f, "{listener} {verb} on ")?;
        }
        f.write_str(event)?;
        if let Some(topic) = topic {
            write!(f, " at {topic:?}")?;
        }
        write!(f, " (emitted at {}): ", Place(from.emitted_at))?;
        write!(OneLine(f), "{cause}")
    }
}

/// Writes what breaks a line, or plays with a terminal, as an escape: the text is the user's, or comes from further outside.
struct OneLine<'f, 'a>(&'f mut fmt::Formatter<'a>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive(char::is_control) {
            match line.char_indices().next_back() {
                Some((at, control)) if control.is_control() => {
                    write!(self.0, "{}{}", &line[..at], control.escape_default())?;
                }
                _ => self.0.write_str(line)?,
            }
        }
        Ok(())
    }
}

impl<E: fmt::Display> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panic(message) => f.write_str(message),
            Self::TooDeep { limit } => write!(
                f,
                "not delivered, {limit} emissions are nested on this thread already; \
                 break the cycle, or allow more with `Builder::max_depth`"
            ),
            Self::Lost { missed } => write!(
                f,
                "{missed} {} lost, what was to take {} is full, closed or gone; take events out faster, or give it more room",
                if *missed == 1 { "event was" } else { "events were" },
                if *missed == 1 { "it" } else { "them" },
            ),
            Self::NoSpawner => f.write_str(
                "not called, nobody runs the futures of async listeners; await `emit_async`, or give the bus a `Builder::spawner`",
            ),
        }
    }
}

impl<E> fmt::Debug for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { event, topic, listener, from, cause } = &*self.inner;
        f.debug_struct("Failure")
            .field("event", event)
            .field("topic", topic)
            .field("listener", listener)
            .field("emission", &from.chain.id)
            .field("emitted_at", &format_args!("{}", Place(from.emitted_at)))
            .field("cause", cause)
            .finish()
    }
}

impl<E> fmt::Debug for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(_) => write!(f, "Error({})", std::any::type_name::<E>()),
            Self::Panic(message) => f.debug_tuple("Panic").field(message).finish(),
            Self::TooDeep { limit } => f.debug_struct("TooDeep").field("limit", limit).finish(),
            Self::Lost { missed } => f.debug_struct("Lost").field("missed", missed).finish(),
            Self::NoSpawner => f.write_str("NoSpawner"),
        }
    }
}

impl<E: fmt::Display> std::error::Error for Failure<E> {}
