//! What an inbox and a stream keep until somebody takes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::time::Instant;

use crate::chain::From;
use crate::discard::discard;
use crate::dispatch;
use crate::envelope::Envelope;
use crate::errors::{ErrorChannel, raise_if_outermost, trace_if_outermost};
use crate::failure::{Cause, Failure};
use crate::handle::{Emitter, WeakEmitter};
use crate::info::ListenerInfo;
use crate::overflow::Overflow;
use crate::subscription::Subscription;
use crate::sync::{Condvar, Mutex};

/// Events that wait for a reader, up to a number.
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    /// Readers that block wait here.
    changed: Condvar,
    capacity: usize,
    overflow: Overflow,
}

struct State<T> {
    /// Numbered in the order they came. More than the capacity only while senders wait.
    events: VecDeque<(u64, Envelope<T>)>,
    sent: u64,
    missed: u64,
    /// What was dropped since an event was taken last.
    gap: Option<Gap>,
    /// The listener is gone, or the reader is.
    is_over: bool,
    blocked: usize,
    /// Who awaits an event.
    reader: Option<Waker>,
    /// Who await that there is room for theirs.
    senders: Vec<Waker>,
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
    /// Keeps this event. `listener` says who it is that keeps it; `may_wait`: who sent it can wait. Its number, if it has to wait for room.
    pub(crate) fn send(
        &self,
        envelope: Envelope<T>,
        may_wait: bool,
        listener: impl FnOnce() -> ListenerInfo,
    ) -> Option<u64> {
        let Mailbox { state, changed, capacity, overflow } = &*self.mailbox;
        let mut state = state.lock();
        let (from, number) = (envelope.from(), state.sent);
        let (mut dropped, mut waits) = (None, None);
        if state.events.len() >= *capacity && *overflow == Overflow::Block && may_wait {
            waits = Some(number);
        } else if state.events.len() >= *capacity {
            state.missed += 1;
            state.gap.get_or_insert_with(|| Gap { missed: 0, listener: listener(), from }).missed += 1;
            if *overflow != Overflow::DropOldest {
                drop(state);
                drop(envelope);
                return None;
            }
            dropped = state.events.pop_front();
        }
        state.sent += 1;
        state.events.push_back((number, envelope));
        if state.blocked > 0 {
            changed.notify_one();
        }
        let reader = state.reader.take();
        // The event's destructor and the waker are the user's.
        drop(state);
        drop(dropped);
        reader.into_iter().for_each(Waker::wake);
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
    fn take_all(&self) -> VecDeque<(u64, Envelope<T>)> {
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

    fn take(&self, wait: &Wait) -> Result<Taken<T>, Missing> {
        let mut state = self.state.lock();
        loop {
            // A gap first: should reporting it panic, no event is in anybody's hands.
            if !state.events.is_empty()
                && let Some(gap) = state.gap.take()
            {
                return Ok(Taken::Gap(gap));
            }
            if let Some((_, event)) = state.events.pop_front() {
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

    #[cfg(feature = "async")]
    /// Whether there is room for the event of this number, or it has no need of any.
    pub(crate) fn poll_room(&self, number: u64, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let place = state.events.partition_point(|(other, _)| *other < number);
        if state.is_over || place < self.capacity {
            return Poll::Ready(());
        }
        state.senders.push(waker);
        Poll::Pending
    }

    #[cfg(feature = "async")]
    /// Takes the event of this number back, if it still waits for room.
    pub(crate) fn take_back(&self, number: u64) {
        let mut state = self.state.lock();
        let place = state.events.partition_point(|(other, _)| *other < number);
        let is_there = state.events.get(place).is_some_and(|(other, _)| *other == number);
        let taken = if place >= self.capacity && is_there { state.events.remove(place) } else { None };
        drop(state);
        drop(taken);
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
            sent: 0,
            missed: 0,
            gap: None,
            is_over: false,
            blocked: 0,
            reader: None,
            senders: Vec::new(),
        };
        let mailbox = Arc::new(Mailbox { state: Mutex::new(state), changed: Condvar::default(), capacity, overflow });
        let sender = Sender { mailbox: Arc::clone(&mailbox), errors: Arc::clone(&emitter.bus().errors) };
        let reports = Reporter { emitter: emitter.downgrade(), errors: Arc::clone(&emitter.bus().errors) };
        Self { mailbox, reports: Box::new(reports), subscription: Some(subscribe(sender)) }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<T> {
        &self.mailbox
    }

    #[track_caller]
    pub(crate) fn take(&self, wait: &Wait) -> Result<Envelope<T>, Missing> {
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
