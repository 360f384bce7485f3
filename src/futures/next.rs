//! The next event, awaited.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::mailbox::Reader;

/// The next event of a type, as a future: `None` if the bus goes before it comes.
///
/// From [`Emitter::next`](crate::Emitter::next), or with options from [`Listen::next`](crate::Listen::next). It listens from that call on, not from
/// its first poll: what is emitted before the first `await` isn't missed.
///
/// ```
/// # async fn example() {
/// let bus = hearken::Emitter::new(hearken::log);
/// let answer = bus.listen::<u32>().filter(|n| n % 2 == 0).next();
/// bus.emit(&7_u32);
/// bus.emit(&8_u32);
/// assert_eq!(answer.await, Some(8));
/// # }
/// # futures_executor::block_on(example());
/// ```
///
/// # Cancel safety
///
/// Polled through a `&mut` reference, as in a `select!`, it loses nothing when another branch is taken. Dropped, it listens no more.
#[must_use = "a future does nothing unless polled, and dropped it listens no more"]
pub struct Next<T> {
    pub(crate) reader: Reader<T>,
}

impl<T> Future for Next<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.reader.poll_take(cx)
    }
}

impl<T> Unpin for Next<T> {}

// A panic breaks no bus, and no future of its events.
impl<T> UnwindSafe for Next<T> {}
impl<T> RefUnwindSafe for Next<T> {}

impl<T> fmt::Debug for Next<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("event", &std::any::type_name::<T>()).finish_non_exhaustive()
    }
}
