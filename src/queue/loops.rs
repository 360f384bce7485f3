//! Loops that wait for work, and producers that wait for a loop.

#[cfg(feature = "async")]
use std::task::Context;
use std::time::Duration;

use super::{Queue, State};
#[cfg(feature = "async")]
use crate::raw::frame;
use crate::sync::{IS_MODEL, Ordering};

/// What a loop is to do next.
pub(crate) enum Next {
    Deliver,
    /// The queue is closed, or the loop is to end, and nothing is left.
    Nothing,
    /// To sleep until it is woken, and at most so long.
    Later(Option<Duration>),
}

impl<E: Send + Sync + 'static> Queue<E> {
    /// A loop begins: until it ends, it is somebody who makes room.
    pub(crate) fn enter(&self) -> Inside<'_, E> {
        self.state.lock().inside += 1;
        Inside { queue: self }
    }

    /// The same for a loop that is a future.
    #[cfg(feature = "async")]
    pub(crate) fn enter_task(&self) -> InsideTask<'_, E> {
        let mut state = self.state.lock();
        state.tasks_begun += 1;
        let number = state.tasks_begun;
        state.tasks.push((number, frame::thread()));
        InsideTask { queue: self, number }
    }

    /// Sleeps until there is something to deliver. False if there won't be: the queue is closed, or `is_over` says so, and nothing is left.
    pub(crate) fn wait_for_work(&self, is_over: impl Fn() -> bool) -> bool {
        let mut state = self.state.lock();
        loop {
            let time = match self.next(&state, is_over()) {
                Next::Deliver => return true,
                Next::Nothing => return false,
                Next::Later(time) => time,
            };
            state.idle += 1;
            match time {
                Some(time) => _ = self.work.wait_for(&mut state, time),
                None => self.work.wait(&mut state),
            }
            state.idle -= 1;
        }
    }

    /// Stays awake for some microseconds. Whether something came: that was cheaper, for both sides, than to sleep and be woken.
    pub(crate) fn linger(&self) -> bool {
        const SPINS: u32 = 7;
        const YIELDS: u32 = 4;

        if IS_MODEL {
            return false;
        }
        // Relaxed: who takes it does so under the lock.
        let has_come = || self.has_come.load(Ordering::Relaxed);
        (0..SPINS).any(|step| {
            (0..1 << step).for_each(|_| std::hint::spin_loop());
            has_come()
        }) || (0..YIELDS).any(|_| {
            std::thread::yield_now();
            has_come()
        })
    }

    /// What a loop that is a future is to do next. If that is to wait, it is woken for it, but for the time.
    #[cfg(feature = "async")]
    pub(crate) fn poll_work(&self, task: &InsideTask<'_, E>, cx: &Context<'_>) -> Next {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if let Some((_, thread)) = state.tasks.iter_mut().find(|(number, _)| *number == task.number) {
            *thread = frame::thread();
        }
        let next = self.next(&state, false);
        if let Next::Later(_) = next
            && !state.wakers.iter().any(|other| other.will_wake(&waker))
        {
            state.wakers.push(waker);
        }
        next
    }

    fn next(&self, state: &State<E>, is_over: bool) -> Next {
        let pending = state.pending(self.begun.load(Ordering::Relaxed));
        let due = state.next_due().map(|due| due.saturating_sub(self.clock.now()));
        if state.drainer.is_none() && (pending > 0 || due == Some(Duration::ZERO)) {
            return Next::Deliver;
        }
        if pending == 0 && (state.is_closed || is_over) {
            return Next::Nothing;
        }
        // Somebody who drains fires what is due, or wakes this one when done.
        Next::Later(due.filter(|_| self.clock.is_running() && state.drainer.is_none()))
    }
}

impl<E> State<E> {
    /// Whether somebody else than this thread delivers, or will. A loop that this thread polled last may have to be polled by it again.
    pub(super) fn is_served_beside(&self, thread: usize) -> bool {
        let has_others = self.inside > 0 || self.tasks.iter().any(|(_, other)| *other != thread);
        has_others && self.drainer != Some(thread)
    }
}

/// Somebody who drains, or will.
pub(crate) struct Inside<'a, E> {
    queue: &'a Queue<E>,
}

/// A loop that is a future.
#[cfg(feature = "async")]
pub(crate) struct InsideTask<'a, E> {
    queue: &'a Queue<E>,
    number: u64,
}

#[cfg(feature = "async")]
impl<E> Drop for InsideTask<'_, E> {
    fn drop(&mut self) {
        self.queue.state.lock().tasks.retain(|(number, _)| *number != self.number);
        self.queue.room.notify_all();
    }
}

impl<E> Drop for Inside<'_, E> {
    fn drop(&mut self) {
        self.queue.state.lock().inside -= 1;
        self.queue.room.notify_all();
    }
}
