//! Waking a task at a time, on any runtime or on none.

use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};
use crate::trace;

/// A thread that sleeps in a task's place. There is none until it is needed, and it ends with its owner.
#[derive(Default)]
pub(crate) struct Sleeper {
    shared: Option<Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    alarm: Option<(Instant, Waker)>,
    is_over: bool,
}

impl Sleeper {
    /// Wakes the task after this time, instead of after the time asked for before.
    pub(crate) fn wake_in(&mut self, time: Duration, waker: Waker) {
        // Beyond all times, it never wakes.
        let Some(at) = Instant::now().checked_add(time) else { return };
        let shared = self.shared.get_or_insert_with(|| {
            let shared = Arc::new(Shared::default());
            let sleeping = Arc::clone(&shared);
            let thread = thread::Builder::new().name("hearken-timers".into()).spawn(move || sleeping.run());
            if let Err(error) = thread {
                trace::no_thread(&error);
            }
            shared
        });
        let before = shared.state.lock().alarm.replace((at, waker));
        shared.changed.notify_one();
        drop(before);
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let alarm = {
                let mut state = shared.state.lock();
                state.is_over = true;
                state.alarm.take()
            };
            shared.changed.notify_one();
            drop(alarm);
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.is_over {
            match &state.alarm {
                None => self.changed.wait(&mut state),
                Some((at, _)) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        self.changed.wait_for(&mut state, left);
                        continue;
                    }
                    let alarm = state.alarm.take();
                    drop(state);
                    if let Some((_, waker)) = alarm {
                        waker.wake();
                    }
                    state = self.state.lock();
                }
            }
        }
    }
}
