//! Events that wait for a drain: who may add one, who takes them out, and who waits for whom.
//!
//! What is deferred goes into one backlog, under the lock. A drain swaps that for an empty one and delivers with the lock open; it takes one
//! event after the other by counting `begun` up, and so does whoever drops an event out of the drain's hands. So an event is either begun or
//! dropped, and counts as queued until then.

mod claims;
mod dead;
mod lane;
mod loops;
mod timers;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::chain::From;
use crate::clock::Clock;
use crate::discard::discard;
use crate::errors::{ErrorChannel, trace_if_outermost};
use crate::failure::{Cause, Failure};
use crate::handle::Emitter;
use crate::overflow::Overflow;
use crate::raw::backlog::{Backlog, Label, Topic};
use crate::raw::frame;
use crate::registry::Channel;
use crate::sync::{Apart, AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};

pub(crate) use self::claims::{Claim, Claims, Limit};
pub(crate) use self::dead::{DeadEvent, Refusal};
pub(crate) use self::lane::{Claimed, Entry, Lane, drop_all};
#[cfg(feature = "async")]
pub(crate) use self::loops::Next;
pub(crate) use self::timers::{Alarm, Waiting};

use self::lane::{Entries, KINDS, join};

/// How a bus was built to queue, and to nest.
pub(crate) struct Settings {
    pub(crate) max_depth: u32,
    /// As large as memory is, or larger: what a bus holds at least is small.
    pub(crate) capacity: u32,
    pub(crate) dead_letters: u32,
    pub(crate) overflow: Overflow,
    pub(crate) clock: Clock,
}

/// The queue of a bus.
pub(crate) struct Queue<E> {
    // Two lines: a drain writes one for every event, and who defers the other.
    state: Apart<Mutex<State<E>>>,
    /// How many of the events that a drain took out were begun, or dropped. With [`BLOCKED`], if somebody waits for room.
    ///
    /// Every access is relaxed, and every change a read-modify-write. Each of its values is handed out once, which is all that a claim
    /// needs: the events come by the lock. Who waits for room sets the flag and learns by the same step how much room there is; a claim
    /// behind that sees the flag.
    begun: Apart<AtomicUsize>,
    /// Whether something came since a drain took all; for a loop that is about to sleep.
    has_come: AtomicBool,
    /// Blocked producers wait here.
    room: Condvar,
    /// Idle loops wait here.
    work: Condvar,
    dead: Mutex<dead::Dead<E>>,
    clock: Clock,
    errors: Arc<ErrorChannel<E>>,
}

const BLOCKED: usize = 1 << (usize::BITS - 1);

/// First what every event needs: with the lock it is two cache lines, which producers and a drain hand to and fro.
#[repr(C)]
struct State<E> {
    /// How many more events fit for sure. None, once it is closed.
    room: usize,
    incoming: Backlog<dyn Lane<E>>,
    /// What a drain took out and didn't deliver.
    outgoing: Backlog<dyn Lane<E>>,
    /// Whether a drain has it.
    is_out: bool,
    /// How many there were when the drain took them; if none did, how many there are, and `begun` is 0.
    taken: usize,
    /// The thread that drains.
    drainer: Option<usize>,
    /// How many threads are inside a drain or a loop.
    inside: usize,
    /// Loops that are futures, by number, and the thread that polled each last.
    tasks: Vec<(u64, usize)>,
    #[cfg(feature = "async")]
    tasks_begun: u64,
    /// How many loops sleep.
    idle: usize,
    /// Loops that are futures, and sleep.
    wakers: Vec<Waker>,
    /// How many producers wait for room.
    blocked: usize,
    capacity: usize,
    overflow: Overflow,
    /// How many events a full queue dropped out of a drain's hands, which the drain still has to report.
    overdue: usize,
    is_closed: bool,
    /// By when they are due, and the order they were set in.
    timers: BTreeMap<(Duration, u64), Box<dyn Alarm<E>>>,
    timers_set: u64,
}

/// What came of an attempt to queue something.
pub(crate) enum Pushed<V, E> {
    Queued,
    /// It is queued, and the oldest was dropped. The failure, if that one is missed.
    Displaced(Box<dyn Any + Send>, Option<Failure<E>>),
    /// As many as there may be, and nothing makes room.
    Full(V),
    /// As many as there may be, and the newest is to be dropped.
    Surplus(V),
    Closed(V),
}

impl<E> Queue<E> {
    pub(crate) fn new(settings: &Settings, errors: Arc<ErrorChannel<E>>) -> Self {
        let &Settings { capacity, overflow, ref clock, dead_letters, .. } = settings;
        let capacity = capacity as usize;
        let state = State {
            incoming: Backlog::new(),
            outgoing: Backlog::new(),
            is_out: false,
            taken: 0,
            drainer: None,
            inside: 0,
            tasks: Vec::new(),
            #[cfg(feature = "async")]
            tasks_begun: 0,
            idle: 0,
            wakers: Vec::new(),
            blocked: 0,
            room: capacity,
            capacity,
            overflow,
            overdue: 0,
            is_closed: false,
            timers: BTreeMap::new(),
            timers_set: 0,
        };
        Self {
            state: Apart(Mutex::new(state)),
            begun: Apart(AtomicUsize::new(0)),
            has_come: AtomicBool::new(false),
            room: Condvar::default(),
            work: Condvar::default(),
            dead: Mutex::new(dead::Dead::new(dead_letters as usize)),
            clock: clock.clone(),
            errors,
        }
    }
}

impl<E> State<E> {
    fn pending(&self, begun: usize) -> usize {
        self.incoming.len() + self.taken.saturating_sub(begun & !BLOCKED)
    }

    fn is_watched(&self) -> bool {
        self.idle > 0 || !self.wakers.is_empty()
    }

    fn next_due(&self) -> Option<Duration> {
        self.timers.first_key_value().map(|(&(due, _), _)| due)
    }
}

impl<E: Send + Sync + 'static> State<E> {
    #[inline]
    fn push<V: Entry<E>>(
        &mut self,
        number: u32,
        channel: impl FnOnce() -> Arc<Channel<V::Event, E>>,
        label: Label<'_>,
        entry: V,
    ) {
        let lane = self.incoming.push(number * KINDS + V::KIND, label, || Entries::<V, E>::begin(channel()));
        match lane.as_any().downcast_mut::<Entries<V, E>>() {
            Some(entries) => entries.waiting.push_back(entry),
            None => unreachable!("a lane is of the type that its number stands for"),
        }
    }

    /// Takes the oldest event out, of those that no drain has.
    fn take_oldest(&mut self) -> Option<Oldest<E>> {
        let backlog = if !self.is_out && self.outgoing.len() > 0 {
            self.taken -= 1;
            &mut self.outgoing
        } else {
            &mut self.incoming
        };
        let (lane, mut run) = backlog.front()?;
        let failure = lane.is_wanted().then(|| lost(lane.event(), run.topic, run.from, 1));
        let oldest = lane.take();
        run.took();
        backlog.tidy();
        Some((oldest, failure))
    }
}

/// The failure that so many events were not delivered.
pub(crate) fn lost<E>(event: &'static str, topic: Topic<'_>, from: From, missed: u64) -> Failure<E> {
    Failure::new(event, topic.map(|(topic, _)| topic), None, from, Cause::Lost { missed })
}

impl<E: Send + Sync + 'static> Queue<E> {
    /// Queues something, if there is room or something makes room. `may_wait`: also by waiting for it, if the queue was built so.
    ///
    /// What it returns is dropped by the caller, with the queue unlocked.
    #[inline]
    pub(crate) fn push<V: Entry<E>>(
        &self,
        channel: &Channel<V::Event, E>,
        shared: impl FnOnce() -> Arc<Channel<V::Event, E>>,
        label: Label<'_>,
        entry: V,
        may_wait: bool,
    ) -> Pushed<V, E> {
        let mut state = self.state.lock();
        if state.room == 0 {
            return self.push_without_room(state, channel.home, shared, label, entry, may_wait);
        }
        state.room -= 1;
        self.add(state, channel.home, shared, label, entry);
        Pushed::Queued
    }

    #[cold]
    fn push_without_room<V: Entry<E>>(
        &self,
        mut state: MutexGuard<'_, State<E>>,
        number: u32,
        channel: impl FnOnce() -> Arc<Channel<V::Event, E>>,
        label: Label<'_>,
        entry: V,
        may_wait: bool,
    ) -> Pushed<V, E> {
        if state.is_closed {
            return Pushed::Closed(entry);
        }
        let mut displaced = None;
        match self.find_room(&mut state, may_wait) {
            Room::Some => {}
            Room::Displaced(oldest) => displaced = oldest,
            Room::None if state.is_closed => return Pushed::Closed(entry),
            Room::None if state.overflow == Overflow::DropNewest => return Pushed::Surplus(entry),
            Room::None => return Pushed::Full(entry),
        }
        state.room = state.room.saturating_sub(1);
        self.add(state, number, channel, label, entry);
        match displaced {
            None => Pushed::Queued,
            Some((oldest, failure)) => Pushed::Displaced(oldest, failure),
        }
    }

    #[inline]
    fn add<V: Entry<E>>(
        &self,
        mut state: MutexGuard<'_, State<E>>,
        number: u32,
        channel: impl FnOnce() -> Arc<Channel<V::Event, E>>,
        label: Label<'_>,
        entry: V,
    ) {
        state.push(number, channel, label, entry);
        // Behind the first one, who sleeps was woken already.
        if state.incoming.len() == 1 {
            self.tell_of_first(state);
        }
    }

    #[cold]
    fn tell_of_first(&self, state: MutexGuard<'_, State<E>>) {
        self.has_come.store(true, Ordering::Relaxed);
        if state.is_watched() && state.drainer.is_none() {
            self.work.notify_one();
            wake(state);
        }
    }

    #[cold]
    fn find_room(&self, state: &mut MutexGuard<'_, State<E>>, may_wait: bool) -> Room<E> {
        loop {
            let flag = if may_wait && state.overflow == Overflow::Block { BLOCKED } else { 0 };
            let begun = self.begun.fetch_or(flag, Ordering::Relaxed);
            state.room = state.capacity.saturating_sub(state.pending(begun));
            if state.room > 0 {
                return Room::Some;
            }
            match state.overflow {
                Overflow::DropOldest => return Room::Displaced(self.drop_oldest(state)),
                Overflow::Block if may_wait && state.is_served_beside(frame::thread()) => {
                    state.blocked += 1;
                    self.room.wait(state);
                    state.blocked -= 1;
                    if state.is_closed {
                        return Room::None;
                    }
                }
                _ => return Room::None,
            }
        }
    }

    fn drop_oldest(&self, state: &mut State<E>) -> Option<Oldest<E>> {
        if state.is_out {
            let taken = state.taken;
            let one_more = |begun: usize| (begun & !BLOCKED < taken).then(|| begun + 1);
            if self.begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
                state.overdue += 1;
                return None;
            }
        }
        state.take_oldest()
    }

    pub(crate) fn pending(&self) -> usize {
        self.state.lock().pending(self.begun.load(Ordering::Relaxed))
    }

    /// Takes out all that waits. How many that were, and those that no drain has, for the caller to drop.
    pub(crate) fn take_pending(&self) -> (usize, [Backlog<dyn Lane<E>>; 2]) {
        let mut state = self.state.lock();
        let taken = state.taken;
        let all = |begun: usize| Some(begun & BLOCKED | (begun & !BLOCKED).max(taken));
        let begun = self.begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, all).unwrap_or_else(|begun| begun);
        let pending = state.pending(begun);
        let incoming = std::mem::replace(&mut state.incoming, Backlog::new());
        let outgoing = std::mem::replace(&mut state.outgoing, Backlog::new());
        if !state.is_out {
            state.taken = 0;
            self.begun.fetch_and(BLOCKED, Ordering::Relaxed);
        }
        self.room.notify_all();
        (pending, [outgoing, incoming])
    }

    /// Nothing more is queued from now on. The timers that will never fire.
    pub(crate) fn close(&self) -> Vec<Box<dyn Alarm<E>>> {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.room = 0;
        self.room.notify_all();
        let timers = std::mem::take(&mut state.timers).into_values().collect();
        self.wake_all(state);
        timers
    }

    /// Takes out what waits, and what is due by now, for this thread to deliver. None while another drain, or this very thread, does.
    pub(crate) fn begin<'a>(
        &'a self,
        emitter: &'a Emitter<E>,
        limit: Limit,
    ) -> Option<(Backlog<dyn Lane<E>>, Claims<'a, E>)> {
        let mut state = self.state.lock();
        if state.drainer.is_some() {
            return None;
        }
        state.drainer = Some(frame::thread());
        state.inside += 1;
        if !state.timers.is_empty() {
            state = self.fire(state, emitter);
        }
        let State { incoming, outgoing, .. } = &mut *state;
        outgoing.append(incoming, join);
        let backlog = std::mem::replace(outgoing, Backlog::new());
        (state.is_out, state.taken) = (true, backlog.len());
        self.has_come.store(false, Ordering::Relaxed);
        let claims = Claims { queue: self, emitter, at: 0, taken: state.taken, delivered: 0, limit };
        Some((backlog, claims))
    }

    /// Takes out what came meanwhile, for the same drain to go on with; false if nothing came, or if there is more to it.
    pub(crate) fn go_on(&self, backlog: &mut Backlog<dyn Lane<E>>, claims: &mut Claims<'_, E>) -> bool {
        let mut state = self.state.lock();
        let is_all_delivered = backlog.len() == 0 && state.incoming.len() > 0;
        if !is_all_delivered || state.next_due().is_some_and(|due| due <= self.clock.now()) {
            return false;
        }
        std::mem::swap(&mut state.incoming, backlog);
        self.has_come.store(false, Ordering::Relaxed);
        state.taken = backlog.len();
        self.begun.fetch_and(BLOCKED, Ordering::Relaxed);
        (claims.at, claims.taken) = (0, state.taken);
        true
    }

    /// Ends a drain: what is left of its backlog goes back. If some of that was dropped meanwhile, it is the caller's to let go of, up to the
    /// event of this number, and then to call again. How many events wait.
    pub(crate) fn end(&self, backlog: &mut Backlog<dyn Lane<E>>, at: usize) -> Result<usize, usize> {
        let mut state = self.state.lock();
        let begun = self.begun.load(Ordering::Relaxed) & !BLOCKED;
        let begun = begun.min(state.taken);
        if begun > at {
            return Err(begun);
        }
        std::mem::swap(&mut state.outgoing, backlog);
        (state.is_out, state.taken) = (false, state.outgoing.len());
        self.begun.fetch_and(BLOCKED, Ordering::Relaxed);
        state.drainer = None;
        self.leave(&mut state);
        let pending = state.pending(0);
        // Who sleeps while somebody drains looks again for what that left, for timers, and for the end.
        if state.is_watched() && (pending > 0 || state.is_closed || !state.timers.is_empty() || state.idle > 0) {
            self.wake_all(state);
        }
        Ok(pending)
    }

    /// How many of the next so many dropped events are still to be reported.
    pub(crate) fn take_overdue(&self, most: usize) -> usize {
        let mut state = self.state.lock();
        let overdue = state.overdue.min(most);
        state.overdue -= overdue;
        overdue
    }

    fn leave(&self, state: &mut State<E>) {
        state.inside -= 1;
        self.room.notify_all();
    }

    #[cold]
    fn make_room(&self) {
        let _state = self.state.lock();
        self.begun.fetch_and(!BLOCKED, Ordering::Relaxed);
        self.room.notify_all();
    }

    /// Whether it is this thread that drains.
    pub(crate) fn is_drained_by(&self, thread: usize) -> bool {
        self.state.lock().drainer == Some(thread)
    }

    /// Has all loops look again.
    pub(crate) fn wake(&self) {
        self.wake_all(self.state.lock());
    }

    fn wake_all(&self, state: MutexGuard<'_, State<E>>) {
        self.work.notify_all();
        wake(state);
    }
}

/// Wakes the loops that are futures, with the lock open: what a waker does is the user's.
fn wake<E>(mut state: MutexGuard<'_, State<E>>) {
    let wakers = std::mem::take(&mut state.wakers);
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

enum Room<E> {
    Some,
    /// There is, now that the oldest was dropped; by the drain that has it, if none is here.
    Displaced(Option<Oldest<E>>),
    None,
}

/// An event that was dropped for a newer one, and the failure, if it is missed.
type Oldest<E> = (Box<dyn Any + Send>, Option<Failure<E>>);

/// The last handle of the bus has gone: what still waits is lost, and said so at once for all.
impl<E> Drop for Queue<E> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        let State { timers, outgoing, incoming, .. } = &mut *state;
        let timers = std::mem::take(timers);
        let mut backlogs = [outgoing, incoming].map(|backlog| std::mem::replace(backlog, Backlog::new()));
        drop(state);
        let mut missed = 0;
        let mut first = None;
        let mut panics = 0;
        for backlog in &mut backlogs {
            panics += drop_all(backlog, |place| {
                missed += 1;
                first.get_or_insert(place);
            });
        }
        for alarm in timers.into_values() {
            if let Some(place) = alarm.missed() {
                missed += 1;
                first.get_or_insert(place);
            }
            panics += discard(alarm);
        }
        // They were reported when they died.
        let dead = std::mem::take(&mut self.dead.lock().kept);
        panics += dead.into_values().map(discard).sum::<u64>();
        self.errors.suppress(panics);
        if let Some((event, from)) = first {
            let event = if missed == 1 { event } else { DEFERRED };
            self.errors.take(Failure::new(event, None, None, from, Cause::Lost { missed }));
            trace_if_outermost();
        }
    }
}

/// What a bus that goes with several events in its queue calls them.
const DEFERRED: &str = "deferred events";
