//! What an inbox and a stream keep until somebody takes it.

use std::collections::VecDeque;
use std::iter;
use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::time::Instant;

use crate::chain::From;
use crate::context::{Scene, Timing};
use crate::discard::discard;
use crate::dispatch;
use crate::envelope::Envelope;
use crate::errors::{ErrorChannel, raise_if_outermost, trace_if_outermost};
use crate::failure::{Cause, Failure};
use crate::handle::{Emitter, WeakEmitter};
#[cfg(feature = "async")]
use crate::id::EmissionId;
use crate::id::ListenerId;
use crate::info::ListenerInfo;
use crate::overflow::Overflow;
use crate::raw::roll::Called;
use crate::subscription::Subscription;
use crate::sync::{Apart, Condvar, Mutex, MutexGuard};

/// Events that wait for a reader, up to a number.
pub(crate) struct Mailbox<T> {
    state: Apart<Mutex<State<T>>>,
    /// Readers that block wait here.
    changed: Condvar,
    capacity: usize,
    overflow: Overflow,
}

/// First what every event needs: with the lock it is one cache line, which a sender and a reader hand to and fro.
#[repr(C)]
struct State<T> {
    /// In the order they came. More than the capacity only while senders wait.
    events: VecDeque<Envelope<T>>,
    /// Who awaits an event.
    reader: Option<Waker>,
    blocked: u32,
    /// Whether there is more to taking an event: a gap to report, or senders to wake.
    takes_more: bool,
    /// The listener is gone, or the reader is.
    is_over: bool,
    missed: u64,
    /// What was dropped since an event was taken last.
    gap: Option<Gap>,
    /// Who await that there is room for theirs.
    senders: Vec<Waker>,
}

impl<T> State<T> {
    /// The envelope is made where it is kept: to be moved there, it would cost more than to be made.
    #[inline]
    fn keep(&mut self, make: impl FnOnce() -> Envelope<T>) {
        self.events.extend(iter::once_with(make));
    }

    #[inline]
    fn is_awaited(&self) -> bool {
        self.reader.is_some() || self.blocked > 0
    }
}

/// Events in a row that were dropped.
struct Gap {
    missed: u64,
    listener: ListenerInfo,
    /// The first of them.
    from: From,
}

impl Gap {
    fn failure<E>(self) -> Failure<E> {
        let Self { missed, listener, from } = self;
        Failure::new(listener.event, None, Some(listener), from, Cause::Lost { missed })
    }
}

/// What is taken out of a mailbox.
enum Taken<T> {
    Event(Envelope<T>),
    Gap(Gap),
}

/// Why there is no event.
pub(crate) enum Missing {
    Yet,
    Ever,
}

/// How long to wait for one.
pub(crate) enum Wait {
    Never,
    ForEver,
    Until(Instant),
}

/// The end of a mailbox that its bus holds.
pub(crate) struct Sender<T, E> {
    mailbox: Arc<Mailbox<T>>,
    errors: Arc<ErrorChannel<E>>,
}

impl<T, E> Sender<T, E> {
    /// Keeps this event of an emission. `listener` says who it is that keeps it. Whether it has to wait for room.
    #[inline]
    pub(crate) fn send(
        &self,
        event: T,
        scene: &Scene<'_, E>,
        called: Called<'_>,
        listener: &impl Fn(ListenerId) -> ListenerInfo,
    ) -> bool {
        let topic = scene.shared_topic();
        let mut state = self.mailbox.state.lock();
        if state.events.len() >= self.mailbox.capacity {
            return self.send_to_full(state, Envelope::on(topic, event, scene), scene.timing, called, listener);
        }
        state.keep(|| Envelope::on(topic, event, scene));
        if state.is_awaited() {
            self.mailbox.tell(state);
        }
        false
    }

    #[cold]
    fn send_to_full(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        envelope: Envelope<T>,
        timing: Timing<'_>,
        called: Called<'_>,
        listener: &impl Fn(ListenerId) -> ListenerInfo,
    ) -> bool {
        let overflow = self.mailbox.overflow;
        let waits = overflow == Overflow::Block && matches!(timing, Timing::Awaited(_));
        let mut dropped = None;
        if !waits {
            let from = envelope.from();
            state.missed += 1;
            state.gap.get_or_insert_with(|| Gap { missed: 0, listener: listener(called.id()), from }).missed += 1;
            state.takes_more = true;
            if overflow != Overflow::DropOldest {
                drop(state);
                drop(envelope);
                return false;
            }
            dropped = state.events.pop_front();
        }
        state.keep(|| envelope);
        self.mailbox.tell(state);
        drop(dropped);
        waits
    }

    #[cfg(feature = "async")]
    pub(crate) fn mailbox(&self) -> Arc<Mailbox<T>> {
        Arc::clone(&self.mailbox)
    }
}

/// The listener is gone, perhaps because the bus is.
impl<T, E> Drop for Sender<T, E> {
    fn drop(&mut self) {
        if let Some(gap) = self.mailbox.end() {
            self.errors.take(gap.failure());
            trace_if_outermost();
        }
    }
}

impl<T> Mailbox<T> {
    pub(crate) fn len(&self) -> usize {
        self.state.lock().events.len()
    }

    pub(crate) fn missed(&self) -> u64 {
        self.state.lock().missed
    }

    /// Nobody takes what is kept.
    fn take_all(&self) -> VecDeque<Envelope<T>> {
        std::mem::take(&mut self.state.lock().events)
    }

    /// Nothing comes any more, or nobody takes it any more. The gap that is open.
    fn end(&self) -> Option<Gap> {
        let mut state = self.state.lock();
        state.is_over = true;
        self.changed.notify_all();
        let (gap, reader, senders) = (state.gap.take(), state.reader.take(), std::mem::take(&mut state.senders));
        drop(state);
        reader.into_iter().chain(senders).for_each(Waker::wake);
        gap
    }

    /// Says that there is an event, with the lock open: a waker is the user's.
    #[cold]
    fn tell(&self, mut state: MutexGuard<'_, State<T>>) {
        if state.blocked > 0 {
            self.changed.notify_one();
        }
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// The next event, if there is nothing but to take it.
    #[inline]
    fn take_at_once(&self) -> Option<Envelope<T>> {
        let mut state = self.state.lock();
        if state.takes_more { None } else { state.events.pop_front() }
    }

    #[cold]
    fn take(&self, wait: &Wait) -> Result<Taken<T>, Missing> {
        let mut state = self.state.lock();
        loop {
            // A gap first: should reporting it panic, no event is in anybody's hands.
            if !state.events.is_empty()
                && let Some(gap) = state.gap.take()
            {
                return Ok(Taken::Gap(gap));
            }
            if let Some(event) = state.events.pop_front() {
                state.takes_more = false;
                let senders = std::mem::take(&mut state.senders);
                drop(state);
                senders.into_iter().for_each(Waker::wake);
                return Ok(Taken::Event(event));
            }
            if state.is_over {
                return Err(Missing::Ever);
            }
            state.blocked += 1;
            let is_late = match wait {
                Wait::Never => true,
                Wait::ForEver => {
                    self.changed.wait(&mut state);
                    false
                }
                Wait::Until(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        self.changed.wait_for(&mut state, left);
                    }
                    left.is_zero()
                }
            };
            state.blocked -= 1;
            if is_late {
                return Err(Missing::Yet);
            }
        }
    }

    #[cfg(feature = "async")]
    fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Taken<T>>> {
        loop {
            match self.take(&Wait::Never) {
                Ok(taken) => return Poll::Ready(Some(taken)),
                Err(Missing::Ever) => return Poll::Ready(None),
                Err(Missing::Yet) => {}
            }
            // Only now, and with the lock open: cloning a waker is the user's, and costs more than an event.
            let waker = cx.waker().clone();
            let mut state = self.state.lock();
            if state.events.is_empty() && !state.is_over {
                let before = state.reader.replace(waker);
                drop(state);
                drop(before);
                return Poll::Pending;
            }
        }
    }

    /// Whether there is room for the event of this emission, or it has no need of any.
    #[cfg(feature = "async")]
    pub(crate) fn poll_room(&self, id: EmissionId, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if state.is_over || self.waiting(&state, id).is_none() {
            return Poll::Ready(());
        }
        state.senders.push(waker);
        state.takes_more = true;
        Poll::Pending
    }

    /// Takes the event of this emission back, if it still waits for room.
    #[cfg(feature = "async")]
    pub(crate) fn take_back(&self, id: EmissionId) {
        let mut state = self.state.lock();
        let taken = self.waiting(&state, id).and_then(|place| state.events.remove(place));
        drop(state);
        drop(taken);
    }

    /// The place of the event of this emission, if it waits for room.
    #[cfg(feature = "async")]
    fn waiting(&self, state: &State<T>, id: EmissionId) -> Option<usize> {
        (self.capacity..state.events.len()).find(|&place| state.events[place].id == id)
    }
}

/// The end of a mailbox that its reader holds.
pub(crate) struct Reader<T> {
    mailbox: Arc<Mailbox<T>>,
    reports: Box<dyn Report>,
    /// None once it is dropped, which happens before the last gap is reported.
    subscription: Option<Subscription>,
}

/// How a gap, and panics, are reported to a bus with whatever error.
trait Report: Send + Sync {
    fn report(&self, gap: Gap);
    fn suppress(&self, panics: u64);
}

struct Reporter<E> {
    emitter: WeakEmitter<E>,
    /// For when the bus is on its way out.
    errors: Arc<ErrorChannel<E>>,
}

impl<E: Send + Sync + 'static> Report for Reporter<E> {
    fn report(&self, gap: Gap) {
        match self.emitter.upgrade() {
            Some(emitter) => dispatch::report(&emitter, gap.failure()),
            None => self.errors.take(gap.failure()),
        }
    }

    fn suppress(&self, panics: u64) {
        self.errors.suppress(panics);
    }
}

impl<T> Reader<T> {
    pub(crate) fn new<E: Send + Sync + 'static>(
        emitter: &Emitter<E>,
        capacity: usize,
        overflow: Overflow,
        subscribe: impl FnOnce(Sender<T, E>) -> Subscription,
    ) -> Self {
        let state = State {
            events: VecDeque::new(),
            reader: None,
            blocked: 0,
            takes_more: false,
            is_over: false,
            missed: 0,
            gap: None,
            senders: Vec::new(),
        };
        let state = Apart(Mutex::new(state));
        let mailbox = Arc::new(Mailbox { state, changed: Condvar::default(), capacity, overflow });
        let sender = Sender { mailbox: Arc::clone(&mailbox), errors: Arc::clone(&emitter.bus().errors) };
        let reports = Reporter { emitter: emitter.downgrade(), errors: Arc::clone(&emitter.bus().errors) };
        Self { mailbox, reports: Box::new(reports), subscription: Some(subscribe(sender)) }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<T> {
        &self.mailbox
    }

    #[track_caller]
    pub(crate) fn take(&self, wait: &Wait) -> Result<Envelope<T>, Missing> {
        if let Some(envelope) = self.mailbox.take_at_once() {
            return Ok(envelope);
        }
        loop {
            match self.mailbox.take(wait)? {
                Taken::Event(envelope) => return Ok(envelope),
                Taken::Gap(gap) => self.report(gap),
            }
        }
    }

    #[cfg(feature = "async")]
    #[track_caller]
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Envelope<T>>> {
        if let Some(envelope) = self.mailbox.take_at_once() {
            return Poll::Ready(Some(envelope));
        }
        loop {
            match self.mailbox.poll_take(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Taken::Event(envelope))) => return Poll::Ready(Some(envelope)),
                Poll::Ready(Some(Taken::Gap(gap))) => self.report(gap),
            }
        }
    }

    #[track_caller]
    fn report(&self, gap: Gap) {
        self.reports.report(gap);
        raise_if_outermost();
    }

    fn report_quietly(&self, gap: Option<Gap>) {
        if let Some(gap) = gap {
            self.reports.report(gap);
            trace_if_outermost();
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        // Before the listener goes, which would tell nobody but the error channel.
        let gap = self.mailbox.state.lock().gap.take();
        self.report_quietly(gap);
        drop(self.subscription.take());
        let gap = self.mailbox.end();
        self.report_quietly(gap);
        self.reports.suppress(self.mailbox.take_all().into_iter().map(discard).sum());
    }
}
