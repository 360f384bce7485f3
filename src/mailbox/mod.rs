//! What an inbox and a stream keep until somebody takes it.

mod patience;
mod row;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::Waker;
#[cfg(feature = "async")]
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::chain::From;
use crate::context::{Scene, Timing};
use crate::discard::{discard, wake};
use crate::dispatch;
use crate::envelope::{Envelope, FromEnvelope};
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
use patience::Patience;
use row::Row;

/// Events that wait for a reader, up to a number.
///
/// Senders put them into one half; the reader takes all that are there at once into the other, and from there one after the other. So
/// the two meet once for many events, not at each.
pub(crate) struct Mailbox<T> {
    incoming: Apart<Mutex<Incoming<T>>>,
    /// Locked behind the other half, never before it.
    outgoing: Apart<Mutex<Outgoing<T>>>,
    /// Readers that block wait here, with the incoming half.
    changed: Condvar,
    capacity: usize,
    overflow: Overflow,
}

#[repr(C)] // first what every event needs
struct Incoming<T> {
    events: Row<T>,
    /// How many of those taken over are left, at most: the reader takes them without a word.
    taken_over: usize,
    /// Who awaits an event.
    reader: Option<Waker>,
    blocked: u32,
    /// The listener is gone, or the reader is.
    is_over: bool,
    missed: u64,
    /// What was dropped since an event was taken last.
    gap: Option<Box<Gap>>,
    /// Come last, and are not counted: there is no room for them yet.
    waiting: VecDeque<Waiting<T>>,
}

/// An event that waits for room.
struct Waiting<T> {
    envelope: Envelope<T>,
    sender: Option<Waker>,
}

/// What came before all that is incoming.
struct Outgoing<T> {
    events: Row<T>,
    /// Whether there is more to taking an event: a gap to report, or room to give to one that waits.
    takes_more: bool,
    patience: Patience,
}

impl<T> Incoming<T> {
    #[inline]
    fn is_awaited(&self) -> bool {
        self.reader.is_some() || self.blocked > 0
    }

    /// How many there are, or a few more.
    #[inline]
    fn at_most(&self) -> usize {
        self.taken_over + self.events.len()
    }

    /// Gives room to the one that waits for it longest. Who is to be told.
    fn admit(&mut self) -> Option<Waker> {
        let Waiting { envelope, sender } = self.waiting.pop_front()?;
        self.events.push_envelope(envelope);
        sender
    }
}

impl<T> Outgoing<T> {
    /// Takes all that came. `before` is how many there were before the reader waited, if it did.
    fn take_over(&mut self, incoming: &mut Incoming<T>, before: Option<usize>, capacity: usize) {
        self.patience = self.patience.after(before, incoming.events.len(), capacity);
        self.events.rewind();
        mem::swap(&mut incoming.events, &mut self.events);
        incoming.taken_over = self.events.len();
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
enum Taken<I> {
    /// And who waited for its room.
    Event(I, Option<Waker>),
    Gap(Box<Gap>),
}

/// Why there is no event.
pub(crate) enum Missing {
    Yet,
    Ever,
}

/// How long to wait for one.
pub(crate) enum Wait<'a> {
    Never,
    /// This task is woken for it.
    #[cfg_attr(not(feature = "async"), expect(dead_code, reason = "nothing is awaited without the feature"))]
    Awake(&'a Waker),
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
        let mut incoming = self.mailbox.incoming.lock();
        if incoming.at_most() >= self.mailbox.capacity {
            return self.send_to_full(incoming, event, scene, called, listener);
        }
        incoming.events.push(event, scene);
        if incoming.is_awaited() {
            self.mailbox.tell(incoming);
        }
        false
    }

    /// The same where it looks full, which it may not be.
    #[cold]
    fn send_to_full(
        &self,
        mut incoming: MutexGuard<'_, Incoming<T>>,
        event: T,
        scene: &Scene<'_, E>,
        called: Called<'_>,
        listener: &impl Fn(ListenerId) -> ListenerInfo,
    ) -> bool {
        let overflow = self.mailbox.overflow;
        let mut outgoing = self.mailbox.outgoing.lock();
        incoming.taken_over = outgoing.events.len();
        let mut dropped = None;
        if incoming.at_most() >= self.mailbox.capacity {
            outgoing.takes_more = true;
            if overflow == Overflow::Block && matches!(scene.timing, Timing::Awaited(_)) {
                incoming.waiting.push_back(Waiting { envelope: Envelope::new(event, scene), sender: None });
                return true;
            }
            incoming.missed += 1;
            let gap = || Box::new(Gap { missed: 0, listener: listener(called.id()), from: scene.from() });
            incoming.gap.get_or_insert_with(gap).missed += 1;
            if overflow != Overflow::DropOldest {
                drop(outgoing);
                drop(incoming);
                drop(event);
                return false;
            }
            dropped = outgoing.events.take::<T>().or_else(|| incoming.events.take());
        }
        drop(outgoing);
        incoming.events.push(event, scene);
        self.mailbox.tell(incoming);
        drop(dropped);
        false
    }

    #[cfg(feature = "async")]
    pub(crate) fn mailbox(&self) -> Arc<Mailbox<T>> {
        Arc::clone(&self.mailbox)
    }
}

/// The listener is gone, perhaps because the bus is.
impl<T, E> Drop for Sender<T, E> {
    fn drop(&mut self) {
        let (gap, panics) = self.mailbox.end();
        self.errors.suppress(panics);
        if let Some(gap) = gap {
            self.errors.take(gap.failure());
            trace_if_outermost();
        }
    }
}

impl<T> Mailbox<T> {
    pub(crate) fn len(&self) -> usize {
        let incoming = self.incoming.lock();
        self.outgoing.lock().events.len() + incoming.events.len() + incoming.waiting.len()
    }

    pub(crate) fn missed(&self) -> u64 {
        self.incoming.lock().missed
    }

    /// Nobody takes what is kept.
    fn take_all(&self) -> impl Iterator<Item = T> + use<T> {
        let mut incoming = self.incoming.lock();
        let outgoing = mem::take(&mut self.outgoing.lock().events);
        let waiting = mem::take(&mut incoming.waiting).into_iter().map(|waiting| waiting.envelope.event);
        [outgoing, mem::take(&mut incoming.events)].into_iter().flat_map(Row::into_events).chain(waiting)
    }

    /// Nothing comes any more, or nobody takes it any more. The gap that is open, and how many wakers panicked.
    fn end(&self) -> (Option<Box<Gap>>, u64) {
        let mut incoming = self.incoming.lock();
        incoming.is_over = true;
        self.changed.notify_all();
        let (gap, reader) = (incoming.gap.take(), incoming.reader.take());
        let senders: Vec<_> = incoming.waiting.iter_mut().filter_map(|waiting| waiting.sender.take()).collect();
        drop(incoming);
        (gap, wake(reader.into_iter().chain(senders)))
    }

    /// Says that there is an event, with the lock open: a waker is the user's.
    #[cold]
    fn tell(&self, mut incoming: MutexGuard<'_, Incoming<T>>) {
        self.tell_blocked(&incoming);
        let reader = incoming.reader.take();
        drop(incoming);
        reader.into_iter().for_each(Waker::wake);
    }

    fn tell_blocked(&self, incoming: &Incoming<T>) {
        if incoming.blocked > 0 {
            self.changed.notify_one();
        }
    }

    /// The next event, if there is nothing but to take it. If not, how long to wait before it's asked for.
    #[inline]
    fn take_at_once<I: FromEnvelope<T>>(&self) -> Result<I, Patience> {
        let mut outgoing = self.outgoing.lock();
        if outgoing.takes_more { Err(Patience::NONE) } else { outgoing.events.take().ok_or(outgoing.patience) }
    }

    #[inline(never)]
    fn take<I: FromEnvelope<T>>(&self, wait: &Wait<'_>, mut patience: Patience) -> Result<Taken<I>, Missing> {
        loop {
            let before = (patience != Patience::NONE && !matches!(wait, Wait::Never)).then(|| {
                let before = self.incoming.lock().events.len();
                patience.wait();
                before
            });
            let mut incoming = self.incoming.lock();
            let mut outgoing = self.outgoing.lock();
            if outgoing.events.is_empty() {
                outgoing.take_over(&mut incoming, before, self.capacity);
            }
            // A gap first: should reporting it panic, no event is in anybody's hands.
            if !outgoing.events.is_empty()
                && let Some(gap) = incoming.gap.take()
            {
                // While this reader tells of the gap, or if that panics, the event is another's.
                self.tell_blocked(&incoming);
                return Ok(Taken::Gap(gap));
            }
            if let Some(event) = outgoing.events.take() {
                let sender = incoming.admit();
                outgoing.takes_more = !incoming.waiting.is_empty();
                return Ok(Taken::Event(event, sender));
            }
            patience = outgoing.patience;
            drop(outgoing);
            if incoming.is_over {
                return Err(Missing::Ever);
            }
            match wait {
                Wait::Never => return Err(Missing::Yet),
                _ if patience != Patience::NONE => {}
                Wait::Awake(task) => {
                    drop(incoming);
                    // With the lock open: cloning a waker is the user's. And only now: it costs more than an event.
                    let waker = Waker::clone(task);
                    let mut incoming = self.incoming.lock();
                    if incoming.events.is_empty() && !incoming.is_over {
                        let before = incoming.reader.replace(waker);
                        drop(incoming);
                        drop(before);
                        return Err(Missing::Yet);
                    }
                }
                Wait::ForEver => self.block(&mut incoming, None),
                Wait::Until(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Missing::Yet);
                    }
                    self.block(&mut incoming, Some(left));
                }
            }
        }
    }

    fn block(&self, incoming: &mut MutexGuard<'_, Incoming<T>>, at_most: Option<Duration>) {
        incoming.blocked += 1;
        match at_most {
            None => self.changed.wait(incoming),
            Some(time) => _ = self.changed.wait_for(incoming, time),
        }
        incoming.blocked -= 1;
    }

    /// Whether there is room for the event of this emission, or it has no need of any.
    #[cfg(feature = "async")]
    pub(crate) fn poll_room(&self, id: EmissionId, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut incoming = self.incoming.lock();
        if incoming.is_over {
            return Poll::Ready(());
        }
        let Some(waiting) = incoming.waiting.iter_mut().find(|waiting| waiting.envelope.id == id) else {
            return Poll::Ready(());
        };
        let before = waiting.sender.replace(waker);
        drop(incoming);
        drop(before);
        Poll::Pending
    }

    /// Takes the event of this emission back, if it still waits for room.
    #[cfg(feature = "async")]
    pub(crate) fn take_back(&self, id: EmissionId) {
        let mut incoming = self.incoming.lock();
        let place = incoming.waiting.iter().position(|waiting| waiting.envelope.id == id);
        let taken = place.and_then(|place| incoming.waiting.remove(place));
        drop(incoming);
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
        let incoming = Incoming {
            events: Row::default(),
            taken_over: 0,
            reader: None,
            blocked: 0,
            is_over: false,
            missed: 0,
            gap: None,
            waiting: VecDeque::new(),
        };
        let outgoing = Outgoing { events: Row::default(), takes_more: false, patience: Patience::NONE };
        let (incoming, outgoing) = (Apart(Mutex::new(incoming)), Apart(Mutex::new(outgoing)));
        let mailbox = Arc::new(Mailbox { incoming, outgoing, changed: Condvar::default(), capacity, overflow });
        let sender = Sender { mailbox: Arc::clone(&mailbox), errors: Arc::clone(&emitter.bus().errors) };
        let reports = Reporter { emitter: emitter.downgrade(), errors: Arc::clone(&emitter.bus().errors) };
        Self { mailbox, reports: Box::new(reports), subscription: Some(subscribe(sender)) }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<T> {
        &self.mailbox
    }

    #[track_caller]
    pub(crate) fn take<I: FromEnvelope<T>>(&self, wait: &Wait<'_>) -> Result<I, Missing> {
        let mut patience = match self.mailbox.take_at_once() {
            Ok(event) => return Ok(event),
            Err(patience) => patience,
        };
        loop {
            match self.mailbox.take(wait, mem::take(&mut patience))? {
                Taken::Event(event, sender) => {
                    self.reports.suppress(wake(sender));
                    return Ok(event);
                }
                Taken::Gap(gap) => self.report(*gap),
            }
        }
    }

    #[cfg(feature = "async")]
    #[track_caller]
    pub(crate) fn poll_take<I: FromEnvelope<T>>(&self, cx: &Context<'_>) -> Poll<Option<I>> {
        match self.take(&Wait::Awake(cx.waker())) {
            Ok(event) => Poll::Ready(Some(event)),
            Err(Missing::Ever) => Poll::Ready(None),
            Err(Missing::Yet) => Poll::Pending,
        }
    }

    #[track_caller]
    fn report(&self, gap: Gap) {
        self.reports.report(gap);
        raise_if_outermost();
    }

    fn report_quietly(&self, gap: Option<Box<Gap>>) {
        if let Some(gap) = gap {
            self.reports.report(*gap);
            trace_if_outermost();
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        // Before the listener goes, which would tell nobody but the error channel.
        let gap = self.mailbox.incoming.lock().gap.take();
        self.report_quietly(gap);
        drop(self.subscription.take());
        let (gap, panics) = self.mailbox.end();
        self.reports.suppress(panics);
        self.report_quietly(gap);
        self.reports.suppress(self.mailbox.take_all().map(discard).sum());
    }
}
