//! Tells when a path has come to rest, so that whoever acts on changes acts once, not on each of a hundred writes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hearken::{Emitter, Subscription, Timer};

use crate::events::{Change, Settled};

/// How long nothing may have happened to a path.
const QUIET: Duration = Duration::from_millis(200);

pub(crate) struct Settling {
    timers: Arc<Timers>,
    hears: Vec<Subscription>,
}

/// Of each path that is not quiet yet. A timer that is dropped is cancelled.
#[derive(Default)]
struct Timers(Mutex<HashMap<PathBuf, Timer>>);

impl Timers {
    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Timer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settling {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let timers = Arc::new(Timers::default());
        let changes = bus.listen::<Change>().named("settling").on_with({
            let timers = Arc::clone(&timers);
            move |change, cx| {
                let path = change.path.clone();
                if change.is_gone {
                    timers.lock().remove(&path);
                } else {
                    // In place of the one before, which so never fires.
                    let timer = cx.emitter().defer_in(QUIET, Settled { path: path.clone() });
                    timers.lock().insert(path, timer);
                }
            }
        });
        let settled = bus.listen::<Settled>().named("settling").on_weak(&timers, |timers, settled| {
            timers.lock().remove(&settled.path);
        });
        Self { timers, hears: vec![changes, settled] }
    }

    /// Lets go of what has not settled. How many paths these are.
    pub(crate) fn end(self) -> u64 {
        for hears in self.hears {
            // The loop may be in this very listener: when it is out, no timer is set any more.
            let _ = hears.off_and_wait();
        }
        // On a line of its own, so that the lock is open again before the timers go.
        let timers = std::mem::take(&mut *self.timers.lock());
        // Without those that fired just now, which are told of as settled.
        timers.into_values().map(Timer::cancel).filter(|is_cancelled| *is_cancelled).count() as u64
    }
}
