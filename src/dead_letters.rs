//! What failed for good, to be looked at, tried again, or thrown away.

use std::collections::HashMap;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::discard::discard;
use crate::failure::{BoxError, Failure};
use crate::handle::Emitter;
use crate::id::{EmissionId, ListenerId};
use crate::queue::Refusal;

/// The events on which listeners failed for good, although they were [tried again](crate::Listen::retry): from
/// [`Emitter::dead_letters`].
///
/// For a person, or a job at night, who finds out what went wrong, puts it right, and has the listeners try once more.
///
/// ```
/// use hearken::{Emitter, Retry};
///
/// let bus = Emitter::new(hearken::ignore);
/// let _charges = bus.listen::<u32>().named("billing").retry(Retry::attempts(1)).on(|_| Err::<(), _>("card declined".into()));
/// bus.emit(&7_u32);
///
/// let letters = bus.dead_letters();
/// for letter in letters.iter() {
///     println!("{letter}"); // listener "billing" (…) failed on u32 (…): card declined; 1 attempt
/// }
/// assert_eq!(letters.redrive_all(), 1);
/// assert_eq!(letters.len(), 0, "it waits in the queue now");
/// bus.drain();
/// assert_eq!(letters.len(), 1, "and it failed once more");
/// ```
///
/// # How many are kept
///
/// As many as [`Builder::dead_letters`](crate::Builder::dead_letters) says. When one more comes the oldest goes, reported as
/// [`Cause::Lost`](crate::Cause::Lost). They go with their bus: each was reported when it failed.
pub struct DeadLetters<'a, E = BoxError> {
    emitter: &'a Emitter<E>,
}

/// An event on which a listener failed for good; from [`DeadLetters::iter`].
///
/// Its [`Display`](fmt::Display) is that of its [failure](Self::failure), with the number of attempts.
#[non_exhaustive]
pub struct DeadLetter<E = BoxError> {
    /// Its name, as [`DeadLetters::redrive`] and [`DeadLetters::discard`] take it.
    pub id: DeadLetterId,
    /// The last failure: the event's type and topic, the listener, the error.
    pub failure: Failure<E>,
    /// How often the listener was called for this event.
    pub attempts: u32,
    /// When it failed first, and when last: how long the bus's [clock](crate::Clock) had run by then.
    pub first_failed: Duration,
    /// See [`first_failed`](Self::first_failed).
    pub last_failed: Duration,
    /// The event's emission. It stays the same, however often the event is tried again.
    pub emission: Option<EmissionId>,
    /// The emission in which that one was made; `None` where a chain begins.
    pub cause: Option<EmissionId>,
    /// The first emission of the chain: a correlation id.
    pub origin: Option<EmissionId>,
    /// Whether the listener is gone: then it can't be tried again.
    pub is_orphan: bool,
}

/// The copyable name of a dead letter. Names are never used again on a bus.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeadLetterId(u64);

/// Why a dead letter was not put back into the queue. It is still there, if it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedriveError {
    /// There is none of this name: it was redriven or discarded, or had to go for newer ones.
    #[error("there is no such dead letter: it was redriven or discarded, or had to go for newer ones")]
    Unknown,
    /// Its listener is gone.
    #[error("the listener that failed is gone: discard the dead letter, or emit the event anew")]
    ListenerGone,
    /// The queue is full.
    #[error("the queue is full: drain it, or give it more room by `Builder::queue`, and redrive again")]
    Full,
    /// The queue is closed.
    #[error("the queue is closed: nothing can be tried again on this bus")]
    Closed,
}

impl<'a, E: Send + Sync + 'static> DeadLetters<'a, E> {
    pub(crate) fn new(emitter: &'a Emitter<E>) -> Self {
        Self { emitter }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.emitter.bus().queue().count_dead()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All there are at the time of the call, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = DeadLetter<E>> + use<E> {
        let letters = self.emitter.bus().queue().look_at_dead(|number, event| {
            let (failure, tried, chain) = (event.failure().clone(), event.tried(), event.from().chain);
            DeadLetter {
                id: DeadLetterId(number),
                failure,
                attempts: tried.calls,
                first_failed: tried.first,
                last_failed: tried.last,
                emission: chain.id,
                cause: chain.cause,
                origin: chain.origin,
                is_orphan: event.is_orphan(),
            }
        });
        letters.into_iter()
    }

    /// How many each listener has.
    pub(crate) fn by_listener(self) -> HashMap<ListenerId, u64> {
        let ids =
            self.emitter.bus().queue().look_at_dead(|_, event| event.failure().listener().map(|listener| listener.id));
        let mut counts = HashMap::new();
        for id in ids.into_iter().flatten() {
            *counts.entry(id).or_default() += 1;
        }
        counts
    }

    /// Has the listener that failed try once more, with all its attempts before it: the event goes to the end of the queue, for that listener
    /// alone, and keeps its emission, cause and origin. What fails again is a dead letter again.
    ///
    /// # Errors
    ///
    /// Why it can't be; the dead letter stays.
    pub fn redrive(&self, id: DeadLetterId) -> Result<(), RedriveError> {
        let bus = self.emitter.bus();
        let _clean_up = bus.clean_up();
        let queue = bus.queue();
        let event = queue.take_dead(id.0).ok_or(RedriveError::Unknown)?;
        let (error, event) = if event.is_orphan() {
            (RedriveError::ListenerGone, event)
        } else {
            match event.redrive(self.emitter) {
                Ok(()) => return Ok(()),
                Err((Refusal::Full, event)) => (RedriveError::Full, event),
                Err((Refusal::Closed, event)) => (RedriveError::Closed, event),
            }
        };
        queue.put_dead_back(id.0, event);
        Err(error)
    }

    /// [`redrive`](Self::redrive) for all there are at the time of the call, oldest first. How many it put into the queue; the others stay.
    pub fn redrive_all(&self) -> usize {
        let ids = self.emitter.bus().queue().look_at_dead(|number, _| DeadLetterId(number));
        ids.into_iter().filter(|id| self.redrive(*id).is_ok()).count()
    }

    /// Throws one away. False if there is none of this name.
    pub fn discard(&self, id: DeadLetterId) -> bool {
        let bus = self.emitter.bus();
        let Some(event) = bus.queue().take_dead(id.0) else { return false };
        let _clean_up = bus.clean_up();
        bus.errors.suppress(discard(event));
        true
    }
}

impl<E> Clone for DeadLetters<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for DeadLetters<'_, E> {}

impl<E: Send + Sync + 'static> fmt::Debug for DeadLetters<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("len", &self.len()).finish()
    }
}

impl<E> Clone for DeadLetter<E> {
    fn clone(&self) -> Self {
        Self { failure: self.failure.clone(), ..*self }
    }
}

impl<E: fmt::Display> fmt::Display for DeadLetter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = if self.attempts == 1 { "attempt" } else { "attempts" };
        let gone = if self.is_orphan { ", and the listener is gone" } else { "" };
        write!(f, "{}; {} {attempts}{gone}", self.failure, self.attempts)
    }
}

impl<E> fmt::Debug for DeadLetter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("event", &self.failure.event())
            .field("topic", &self.failure.topic())
            .field("listener", &self.failure.listener())
            .field("attempts", &self.attempts)
            .field("first_failed", &self.first_failed)
            .field("last_failed", &self.last_failed)
            .field("emission", &self.emission)
            .field("is_orphan", &self.is_orphan)
            .finish_non_exhaustive()
    }
}

// A panic leaves no bus broken: see `Emitter`.
impl<E> UnwindSafe for DeadLetters<'_, E> {}
impl<E> RefUnwindSafe for DeadLetters<'_, E> {}
