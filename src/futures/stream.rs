//! Events to await one after the other.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::envelope::{Envelope, FromEnvelope};
use crate::id::EmissionId;
use crate::mailbox::{Mailbox, Reader};

/// The events of a type to await, one after the other, on any runtime.
///
/// From [`Emitter::stream`](crate::Emitter::stream), or with options from [`Listen::stream`](crate::Listen::stream). It keeps a copy of every event
/// emitted from that call on, also before it is first polled, and counts in [`Emission::heard`](crate::Emission::heard). It is an
/// [`Inbox`](crate::Inbox) for async code.
///
/// ```
/// # async fn example() {
/// use futures_util::StreamExt;
///
/// let bus = hearken::Emitter::new(hearken::log);
/// let mut numbers = bus.stream::<u32>();
/// bus.emit(&7_u32);
/// assert_eq!(numbers.next().await, Some(7));
/// drop(bus);
/// assert_eq!(numbers.next().await, None);
/// # }
/// # futures_executor::block_on(example());
/// ```
///
/// # Lagging
///
/// It holds 256 events, unless [`Listen::capacity`](crate::Listen::capacity) says otherwise. What comes while it is full takes the place of the oldest
/// one; with [`Overflow::DropNewest`](crate::Overflow::DropNewest) it is dropped; with [`Overflow::Block`](crate::Overflow::Block) an
/// [`emit_async`](crate::Emitter::emit_async) waits until there is room, and an `emit`, which waits for nobody, drops it. [`missed`](Self::missed)
/// counts what was dropped, at once; each gap is reported to the error channel as one [`Cause::Lost`](crate::Cause::Lost), when the next event
/// is taken, and at the latest when the stream or the bus goes. The stream goes on behind it.
///
/// # Ending
///
/// When the bus is gone, or has removed the stream's listener, what is kept still comes; then the stream has ended. It doesn't keep its bus
/// alive. Dropping it ends its listener.
///
/// # Cancel safety
///
/// An event is taken by the poll that returns it, so a `next` that is dropped loses none.
///
/// # Cost
///
/// An emission pays a short lock for each stream. A task that takes events meets it only when it has taken all those that were there the last
/// time. While events come close behind one another, it waits before it looks again, awake and for at most some four microseconds: then
/// it finds many at once, and who emits need not wake it for each. When they stop, it sleeps after some five. Where events come one by one, it
/// never waits. Topic, cause, origin and place are kept once for events in a row that share them. Once the buffers have grown nothing is
/// allocated for an event, but for its topic, where that isn't the topic of the event before.
#[must_use = "a stream does nothing unless polled, and dropped it listens no more"]
pub struct EventStream<T, I = T> {
    reader: Reader<T>,
    /// What it hands out.
    item: PhantomData<fn() -> I>,
}

impl<T> EventStream<T> {
    pub(crate) fn new(reader: Reader<T>) -> Self {
        Self { reader, item: PhantomData }
    }

    /// The same stream, which hands out every event with its emission: also those that it keeps already.
    pub fn envelopes(self) -> EventStream<T, Envelope<T>> {
        EventStream { reader: self.reader, item: PhantomData }
    }
}

impl<T, I> EventStream<T, I> {
    /// How many events were dropped so far because the stream was full.
    pub fn missed(&self) -> u64 {
        self.reader.mailbox().missed()
    }
}

impl<T, I: FromEnvelope<T>> Stream for EventStream<T, I> {
    type Item = I;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<I>> {
        self.reader.poll_take(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.reader.mailbox().len(), None)
    }
}

impl<T, I> Unpin for EventStream<T, I> {}

// A panic breaks no bus, and no stream.
impl<T, I> UnwindSafe for EventStream<T, I> {}
impl<T, I> RefUnwindSafe for EventStream<T, I> {}

impl<T, I> fmt::Debug for EventStream<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("event", &std::any::type_name::<T>())
            .field("len", &self.reader.mailbox().len())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

/// An awaited emission's wait for room in a stream. Dropped, it takes the event back.
pub(crate) struct Room<T> {
    mailbox: Arc<Mailbox<T>>,
    id: EmissionId,
    /// Whether the event stays.
    is_kept: bool,
}

impl<T> Room<T> {
    pub(crate) fn new(mailbox: Arc<Mailbox<T>>, id: EmissionId) -> Self {
        Self { mailbox, id, is_kept: false }
    }
}

impl<T> Future for Room<T> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let room = self.get_mut();
        room.mailbox.poll_room(room.id, cx).map(|()| {
            room.is_kept = true;
            false
        })
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.mailbox.take_back(self.id);
        }
    }
}
