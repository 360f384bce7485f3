//! Inboxes: events that a thread takes when it likes.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use crate::envelope::{Envelope, FromEnvelope};
use crate::mailbox::{Missing, Reader, Wait};

/// The events of a type, one after the other, for a thread that takes them when it likes.
///
/// From [`Emitter::inbox`](crate::Emitter::inbox), or with options from [`Listen::inbox`](crate::Listen::inbox). It keeps a copy of every event
/// emitted from that call on, and counts in [`Emission::heard`](crate::Emission::heard). Use it where a listener, which runs on the thread that
/// emits, would be in the way; where events should be delivered to listeners on another thread, defer them.
///
/// ```
/// use std::thread;
///
/// let bus = hearken::Emitter::new(hearken::log);
/// let numbers = bus.inbox::<u32>();
/// let sum = thread::spawn(move || numbers.iter().sum::<u32>());
/// bus.emit(&1_u32);
/// bus.emit(&2_u32);
/// drop(bus); // ends the inbox, once it is empty
/// assert_eq!(sum.join().unwrap(), 3);
/// ```
///
/// # Lagging
///
/// It holds 256 events, unless [`Listen::capacity`](crate::Listen::capacity) says otherwise. What comes while it is full takes the place of the oldest
/// one, or is dropped with [`Overflow::DropNewest`](crate::Overflow::DropNewest). [`missed`](Self::missed) counts what was dropped, at once. Each gap is reported to the
/// error channel as one [`Cause::Lost`](crate::Cause::Lost), by the thread that takes the next event, and at the latest when the inbox or the bus goes.
///
/// # Ending
///
/// When the bus is gone, or has removed the inbox's listener, what is kept can still be taken; then the inbox has ended. An inbox doesn't keep
/// its bus alive. Dropping it ends its listener.
///
/// # Threads
///
/// Several threads may take from one inbox: each event goes to one of them.
///
/// # Cost
///
/// An emission pays a short lock for each inbox. A thread that takes events meets it only when it has taken all those that were there the last
/// time. While events come close behind one another, `recv` and its kin wait before they look again, awake and for at most some four
/// microseconds: then they find many at once, and who emits need not wake them for each. `try_recv` never waits. Once the buffers have grown nothing is
/// allocated for an event, but for its topic, where that isn't the topic of the event before.
pub struct Inbox<T, I = T> {
    reader: Reader<T>,
    /// What it hands out.
    item: PhantomData<fn() -> I>,
}

impl<T> Inbox<T> {
    pub(crate) fn new(reader: Reader<T>) -> Self {
        Self { reader, item: PhantomData }
    }

    /// The same inbox, which hands out every event with its emission: also those that it keeps already.
    pub fn envelopes(self) -> Inbox<T, Envelope<T>> {
        Inbox { reader: self.reader, item: PhantomData }
    }
}

impl<T, I: FromEnvelope<T>> Inbox<T, I> {
    /// The next event, waited for if there is none yet. `None` once the inbox has ended.
    #[track_caller]
    pub fn recv(&self) -> Option<I> {
        self.take(&Wait::ForEver).ok()
    }

    /// The next event, if there is one now.
    ///
    /// # Errors
    ///
    /// `Empty` if there is none, `Disconnected` once the inbox has ended.
    #[track_caller]
    pub fn try_recv(&self) -> Result<I, TryRecvError> {
        self.take(&Wait::Never).map_err(|missing| match missing {
            Missing::Yet => TryRecvError::Empty,
            Missing::Ever => TryRecvError::Disconnected,
        })
    }

    /// The next event, waited for at most so long.
    ///
    /// # Errors
    ///
    /// `Timeout` if none came, `Disconnected` once the inbox has ended.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<I, RecvTimeoutError> {
        // An end beyond all times never comes.
        let wait = Instant::now().checked_add(timeout).map_or(Wait::ForEver, Wait::Until);
        self.take(&wait).map_err(|missing| match missing {
            Missing::Yet => RecvTimeoutError::Timeout,
            Missing::Ever => RecvTimeoutError::Disconnected,
        })
    }

    /// The events as they come, until the inbox ends.
    pub fn iter(&self) -> InboxIter<'_, T, I> {
        InboxIter { inbox: self }
    }

    #[track_caller]
    fn take(&self, wait: &Wait<'_>) -> Result<I, Missing> {
        self.reader.take(wait)
    }
}

impl<T, I> Inbox<T, I> {
    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.reader.mailbox().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events were dropped so far because the inbox was full.
    pub fn missed(&self) -> u64 {
        self.reader.mailbox().missed()
    }
}

/// The events of an [`Inbox`] as they come: [`Inbox::iter`].
pub struct InboxIter<'a, T, I = T> {
    inbox: &'a Inbox<T, I>,
}

impl<T, I: FromEnvelope<T>> Iterator for InboxIter<'_, T, I> {
    type Item = I;

    #[track_caller]
    fn next(&mut self) -> Option<I> {
        self.inbox.recv()
    }
}

impl<'a, T, I: FromEnvelope<T>> IntoIterator for &'a Inbox<T, I> {
    type Item = I;
    type IntoIter = InboxIter<'a, T, I>;

    fn into_iter(self) -> InboxIter<'a, T, I> {
        self.iter()
    }
}

// A panic breaks no bus, and no inbox.
impl<T, I> UnwindSafe for Inbox<T, I> {}
impl<T, I> RefUnwindSafe for Inbox<T, I> {}

impl<T, I> fmt::Debug for Inbox<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("event", &std::any::type_name::<T>())
            .field("len", &self.len())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

impl<T, I> fmt::Debug for InboxIter<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InboxIter").field(self.inbox).finish()
    }
}
