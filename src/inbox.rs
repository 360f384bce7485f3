//! Inboxes: events that a thread takes when it likes.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use crate::dispatch;
use crate::errors::{ErrorChannel, raise_if_outermost, trace_if_outermost};
use crate::failure::{Cause, Failure};
use crate::handle::{Emitter, WeakEmitter};
use crate::info::ListenerInfo;
use crate::overflow::Overflow;
use crate::subscription::Subscription;
use crate::sync::{Condvar, Mutex, MutexGuard};

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
/// one, or is dropped with [`Overflow::DropNewest`]. [`missed`](Self::missed) counts what was dropped, at once. Each gap is reported to the
/// error channel as one [`Cause::Lost`], by the thread that takes the next event, and at the latest when the inbox or the bus goes.
///
/// # Ending
///
/// When the bus is gone, or has removed the inbox's listener, what is kept can still be taken; then the inbox has ended. An inbox doesn't keep
/// its bus alive. Dropping it ends its listener.
///
/// # Threads
///
/// Several threads may take from one inbox: each event goes to one of them.
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
    reports: Arc<dyn Report>,
    /// None once it is dropped, which happens before the last gap is reported.
    subscription: Option<Subscription>,
}

pub(crate) struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
    drops_newest: bool,
}

struct State<T> {
    events: VecDeque<T>,
    missed: u64,
    /// What was dropped since an event was taken last.
    gap: Option<Gap>,
    is_over: bool,
    /// How many threads wait.
    waiting: usize,
}

/// Events in a row that were dropped.
struct Gap {
    missed: u64,
    listener: ListenerInfo,
    emitted_at: &'static Location<'static>,
}

impl Gap {
    fn failure<E>(self) -> Failure<E> {
        let Self { missed, listener, emitted_at } = self;
        Failure::new(listener.event, None, Some(listener), emitted_at, Cause::Lost { missed })
    }
}

/// How an inbox of a bus with whatever error reports a gap.
trait Report: Send + Sync {
    fn report(&self, gap: Gap);
}

impl<E: Send + Sync + 'static> Report for WeakEmitter<E> {
    fn report(&self, gap: Gap) {
        if let Some(emitter) = self.upgrade() {
            dispatch::report(&emitter, gap.failure());
        }
    }
}

/// The end of an inbox that its bus holds.
pub(crate) struct Sender<T, E> {
    shared: Arc<Shared<T>>,
    errors: Arc<ErrorChannel<E>>,
}

impl<T, E> Sender<T, E> {
    /// Keeps this event. `listener` says who it is that keeps it.
    pub(crate) fn send(
        &self,
        event: T,
        emitted_at: &'static Location<'static>,
        listener: impl FnOnce() -> ListenerInfo,
    ) {
        let mut state = self.shared.state.lock();
        let mut dropped = None;
        if state.events.len() < self.shared.capacity {
            state.events.push_back(event);
        } else {
            state.missed += 1;
            state.gap.get_or_insert_with(|| Gap { missed: 0, listener: listener(), emitted_at }).missed += 1;
            if self.shared.drops_newest {
                dropped = Some(event);
            } else {
                dropped = state.events.pop_front();
                state.events.push_back(event);
            }
        }
        if state.waiting > 0 {
            self.shared.changed.notify_one();
        }
        drop(state);
        drop(dropped);
    }
}

/// The listener is gone, perhaps because the bus is.
impl<T, E> Drop for Sender<T, E> {
    fn drop(&mut self) {
        let gap = {
            let mut state = self.shared.state.lock();
            state.is_over = true;
            self.shared.changed.notify_all();
            state.gap.take()
        };
        if let Some(gap) = gap {
            self.errors.take(gap.failure());
            trace_if_outermost();
        }
    }
}

impl<T> Inbox<T> {
    pub(crate) fn new<E: Send + Sync + 'static>(
        emitter: &Emitter<E>,
        capacity: usize,
        overflow: Overflow,
        subscribe: impl FnOnce(Sender<T, E>) -> Subscription,
    ) -> Self {
        let state = State { events: VecDeque::new(), missed: 0, gap: None, is_over: false, waiting: 0 };
        let drops_newest = overflow != Overflow::DropOldest;
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::default(), capacity, drops_newest });
        let sender = Sender { shared: Arc::clone(&shared), errors: Arc::clone(&emitter.bus().errors) };
        Self { shared, reports: Arc::new(emitter.downgrade()), subscription: Some(subscribe(sender)) }
    }

    /// The next event, waited for if there is none yet. `None` once the inbox has ended.
    #[track_caller]
    pub fn recv(&self) -> Option<T> {
        self.take(Wait::ForEver).ok()
    }

    /// The next event, if there is one now.
    ///
    /// # Errors
    ///
    /// `Empty` if there is none, `Disconnected` once the inbox has ended.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.take(Wait::Never).map_err(|missing| match missing {
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
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        // An end beyond all times never comes.
        let wait = Instant::now().checked_add(timeout).map_or(Wait::ForEver, Wait::Until);
        self.take(wait).map_err(|missing| match missing {
            Missing::Yet => RecvTimeoutError::Timeout,
            Missing::Ever => RecvTimeoutError::Disconnected,
        })
    }

    /// The events as they come, until the inbox ends.
    pub fn iter(&self) -> InboxIter<'_, T> {
        InboxIter { inbox: self }
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.shared.state.lock().events.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events were dropped so far because the inbox was full.
    pub fn missed(&self) -> u64 {
        self.shared.state.lock().missed
    }

    #[track_caller]
    fn take(&self, wait: Wait) -> Result<T, Missing> {
        let mut state = self.shared.state.lock();
        let event = loop {
            if let Some(event) = state.events.pop_front() {
                break event;
            }
            if state.is_over {
                return Err(Missing::Ever);
            }
            state.waiting += 1;
            let is_time = self.wait(&mut state, &wait);
            state.waiting -= 1;
            if !is_time && state.events.is_empty() {
                return Err(if state.is_over { Missing::Ever } else { Missing::Yet });
            }
        };
        let gap = state.gap.take();
        drop(state);
        if let Some(gap) = gap {
            self.reports.report(gap);
            raise_if_outermost();
        }
        Ok(event)
    }

    /// Whether it may wait on.
    fn wait(&self, state: &mut MutexGuard<'_, State<T>>, wait: &Wait) -> bool {
        match wait {
            Wait::Never => return false,
            Wait::ForEver => self.shared.changed.wait(state),
            Wait::Until(end) => {
                let left = end.saturating_duration_since(Instant::now());
                self.shared.changed.wait_for(state, left);
                return Instant::now() < *end;
            }
        }
        true
    }
}

enum Wait {
    Never,
    ForEver,
    Until(Instant),
}

/// Why there is no event.
enum Missing {
    Yet,
    Ever,
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        drop(self.subscription.take());
        let gap = self.shared.state.lock().gap.take();
        if let Some(gap) = gap {
            self.reports.report(gap);
            trace_if_outermost();
        }
    }
}

/// The events of an [`Inbox`] as they come: [`Inbox::iter`].
pub struct InboxIter<'a, T> {
    inbox: &'a Inbox<T>,
}

impl<T> Iterator for InboxIter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.inbox.recv()
    }
}

impl<'a, T> IntoIterator for &'a Inbox<T> {
    type Item = T;
    type IntoIter = InboxIter<'a, T>;

    fn into_iter(self) -> InboxIter<'a, T> {
        self.iter()
    }
}

// A panic breaks no bus, and no inbox.
impl<T> UnwindSafe for Inbox<T> {}
impl<T> RefUnwindSafe for Inbox<T> {}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("event", &std::any::type_name::<T>())
            .field("len", &self.len())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for InboxIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InboxIter").field(self.inbox).finish()
    }
}
