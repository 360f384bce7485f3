//! Timers that wait, and how their events join the queue.

use std::sync::Arc;
use std::time::Duration;

use super::{Entry, Queue, State};
use crate::chain::From;
use crate::handle::Emitter;
use crate::raw::backlog::Label;
use crate::registry::Channel;
use crate::sync::MutexGuard;

/// A timer that waits.
pub(crate) trait Alarm<E>: Send {
    /// Makes the event ready. Runs user code.
    fn prepare(&mut self, emitter: &Emitter<E>);
    /// Puts the event, if it is ready, into the queue.
    fn fire(&mut self, waiting: &mut Waiting<'_, E>);
    /// Ends it, and reports it if it should have fired once more. Runs user code.
    fn give_up(self: Box<Self>, emitter: &Emitter<E>);
    /// When it is due next, if it is due again.
    fn due_next(&mut self, now: Duration) -> Option<Duration>;
    /// Where its event comes from, if it should fire once: then it is missed.
    fn missed(&self) -> Option<(&'static str, From)>;
    fn is_cancelled(&self) -> bool;
}

/// The end of the queue, for what may join it whatever its capacity.
pub(crate) struct Waiting<'a, E>(&'a mut State<E>);

impl<E: Send + Sync + 'static> Waiting<'_, E> {
    pub(crate) fn push<V: Entry<E>>(&mut self, channel: &Arc<Channel<V::Event, E>>, label: Label<'_>, entry: V) {
        self.0.push(channel.home, || Arc::clone(channel), label, entry);
        self.0.room = self.0.room.saturating_sub(1);
    }
}

impl<E: Send + Sync + 'static> Queue<E> {
    /// Puts the events of the timers that are due at the queue's end.
    #[cold]
    pub(super) fn fire<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<E>>,
        emitter: &Emitter<E>,
    ) -> MutexGuard<'a, State<E>> {
        let now = self.clock.now();
        let later = state.timers.split_off(&(now.saturating_add(Duration::from_nanos(1)), 0));
        let mut due = std::mem::replace(&mut state.timers, later);
        drop(state);
        for alarm in due.values_mut() {
            alarm.prepare(emitter);
        }
        let mut over = Vec::new();
        state = self.state.lock();
        for ((_, set), mut alarm) in due {
            if !alarm.is_cancelled() && !state.is_closed {
                alarm.fire(&mut Waiting(&mut state));
                if let Some(next) = alarm.due_next(now) {
                    state.timers.insert((next, set), alarm);
                    continue;
                }
            }
            over.push(alarm);
        }
        drop(state);
        for alarm in over {
            alarm.give_up(emitter);
        }
        self.state.lock()
    }

    /// Sets a timer. Its name, or the timer itself if the queue is closed.
    pub(crate) fn set(&self, after: Duration, alarm: Box<dyn Alarm<E>>) -> Result<(Duration, u64), Box<dyn Alarm<E>>> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(alarm);
        }
        state.timers_set += 1;
        let name = (self.clock.now().saturating_add(after), state.timers_set);
        state.timers.insert(name, alarm);
        if state.is_watched() {
            self.wake_all(state);
        }
        Ok(name)
    }

    /// Takes out the timer that was set under this name, for the caller to drop.
    pub(crate) fn take_timer(&self, name: (Duration, u64), repeats: bool) -> Option<Box<dyn Alarm<E>>> {
        let mut state = self.state.lock();
        let alarm = state.timers.remove(&name);
        if alarm.is_some() || !repeats {
            return alarm;
        }
        // It fired and moved on, and kept its number.
        let name = *state.timers.keys().find(|(_, number)| *number == name.1)?;
        state.timers.remove(&name)
    }
}
