//! The one door to time.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::sync::Mutex;

/// What a bus tells the time by: the system's clock, or one that a test moves by hand.
///
/// Timers ([`Emitter::defer_in`](crate::Emitter::defer_in), [`defer_every`](crate::Emitter::defer_every)) and budgets
/// ([`drain_for`](crate::Emitter::drain_for)) go by it. A clone shows the same time.
///
/// ```
/// use std::time::Duration;
/// use hearken::{Clock, Emitter};
///
/// let clock = Clock::manual();
/// let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
/// let seen = bus.record::<&str>();
/// bus.defer_in(Duration::from_secs(60), "a minute later").detach();
///
/// clock.advance(Duration::from_secs(59));
/// bus.drain();
/// assert!(seen.is_empty());
/// clock.advance(Duration::from_secs(1));
/// bus.drain();
/// assert_eq!(seen.take(), ["a minute later"]);
/// ```
#[derive(Clone)]
pub struct Clock {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// It began to run here.
    System(Instant),
    Manual(Arc<Manual>),
}

struct Manual {
    now: Mutex<Duration>,
    sleepers: Mutex<Vec<Weak<dyn Wake>>>,
}

/// Somebody who sleeps until a time comes.
pub(crate) trait Wake: Send + Sync {
    /// The time has changed: look again. Runs no user code.
    fn wake(&self);
}

impl Clock {
    /// The system's monotonic clock: what a bus has unless told otherwise.
    pub fn system() -> Self {
        Self { kind: Kind::System(Instant::now()) }
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it: for tests, which then need not sleep.
    pub fn manual() -> Self {
        Self {
            kind: Kind::Manual(Arc::new(Manual { now: Mutex::new(Duration::ZERO), sleepers: Mutex::new(Vec::new()) })),
        }
    }

    /// Moves a manual clock, and all of its clones, forward. Event loops that sleep until a timer is due wake up.
    ///
    /// Nothing is delivered by this itself: timers fire from the next drain, or from a loop.
    ///
    /// # Panics
    ///
    /// If it is the system's clock, which nobody can move.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let Kind::Manual(manual) = &self.kind else {
            panic!("only a clock made by `Clock::manual()` can be moved; this one is the system's");
        };
        {
            let mut now = manual.now.lock();
            *now = now.saturating_add(by);
        }
        let sleepers = {
            let mut sleepers = manual.sleepers.lock();
            sleepers.retain(|sleeper| sleeper.strong_count() > 0);
            sleepers.clone()
        };
        // With the list unlocked: the handle made here may be the last of a bus.
        for sleeper in sleepers.iter().filter_map(Weak::upgrade) {
            sleeper.wake();
        }
    }

    /// How long it has run.
    pub(crate) fn now(&self) -> Duration {
        match &self.kind {
            Kind::System(start) => start.elapsed(),
            Kind::Manual(manual) => *manual.now.lock(),
        }
    }

    /// Wakes this one whenever the time is changed by hand.
    pub(crate) fn wakes(&self, sleeper: Weak<dyn Wake>) {
        if let Kind::Manual(manual) = &self.kind {
            manual.sleepers.lock().push(sleeper);
        }
    }

    /// Whether time passes by itself.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.kind, Kind::System(_))
    }
}

// A panic stops no clock.
impl UnwindSafe for Clock {}
impl RefUnwindSafe for Clock {}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_running() { "system" } else { "manual" };
        f.debug_struct("Clock").field("kind", &kind).field("now", &self.now()).finish()
    }
}
