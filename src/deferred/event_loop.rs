//! Threads that deliver what is deferred, as it comes.

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe, resume_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::drain::drain_on;
use crate::errors::raise_if_outermost;
use crate::handle::{Bus, Emitter};
use crate::raw::frame;
use crate::sync::{AtomicBool, Ordering};

/// A thread that delivers a bus's deferred events: the guard of [`spawn_loop`](Emitter::spawn_loop).
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// let _hears = bus.on(|n: &u32| println!("{n}"));
/// let events = bus.spawn_loop("events")?;
/// bus.defer(7_u32).unwrap();
/// events.shutdown(); // after 7 was delivered
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Dropping
///
/// As [`shutdown`](Self::shutdown), but for panics, which it doesn't pass on. On the loop's own thread, and inside any delivery from the
/// queue, as when a listener owns the guard, the loop is told to end and not waited for: it might be waiting for that delivery. A loop keeps
/// its bus alive.
#[must_use = "dropped, it ends the loop"]
pub struct EventLoop {
    /// None once it is joined.
    thread: Option<JoinHandle<()>>,
    stop: Arc<dyn Stop>,
}

impl EventLoop {
    /// Has what is queued delivered, ends the loop, and waits until it has ended. Other loops of the bus go on, and so does the queue.
    ///
    /// On the loop's own thread, and inside a delivery from the bus's queue, it doesn't wait.
    ///
    /// # Panics
    ///
    /// With the panic that ended the loop, if one did: only the error channel [`hearken::panic`](crate::panic) makes one.
    pub fn shutdown(mut self) {
        if let Some(Err(payload)) = self.end() {
            resume_unwind(payload);
        }
    }

    fn end(&mut self) -> Option<thread::Result<()>> {
        let thread = self.thread.take()?;
        self.stop.stop();
        let is_waited_for = thread.thread().id() == thread::current().id() || self.stop.is_drained_here();
        (!is_waited_for).then(|| thread.join())
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        // The panic's message was printed on its thread, and a destructor is no place for another.
        drop(self.end());
    }
}

// A panic leaves no bus broken: see `Emitter`.
impl UnwindSafe for EventLoop {}
impl RefUnwindSafe for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.thread.as_ref().and_then(|thread| thread.thread().name());
        f.debug_struct("EventLoop").field("thread", &name).finish_non_exhaustive()
    }
}

/// A loop of whatever bus.
trait Stop: Send + Sync {
    fn stop(&self);
    /// Whether this thread is delivering from the bus's queue.
    fn is_drained_here(&self) -> bool;
}

struct Switch<E> {
    is_off: AtomicBool,
    /// Weak, so that the guard of a loop that has ended keeps no bus.
    bus: std::sync::Weak<Bus<E>>,
}

impl<E: Send + Sync + 'static> Stop for Switch<E> {
    fn stop(&self) {
        self.is_off.store(true, Ordering::Relaxed);
        if let Some(bus) = self.bus.upgrade() {
            // Under the lock that a loop looks at the switch under before it sleeps.
            bus.queue().wake();
        }
    }

    fn is_drained_here(&self) -> bool {
        self.bus.upgrade().is_some_and(|bus| bus.queue().is_drained_by(frame::thread()))
    }
}

pub(crate) fn spawn<E: Send + Sync + 'static>(emitter: &Emitter<E>, name: &str) -> io::Result<EventLoop> {
    let switch = Arc::new(Switch { is_off: AtomicBool::new(false), bus: emitter.weak_bus() });
    let (emitter, stop) = (emitter.clone(), Arc::clone(&switch));
    let deliver = move || run_until(&emitter, || stop.is_off.load(Ordering::Relaxed));
    let thread = thread::Builder::new().name(name.into()).spawn(deliver)?;
    Ok(EventLoop { thread: Some(thread), stop: switch })
}

/// Delivers until the queue is closed, and then what is left.
#[track_caller]
pub(crate) fn run<E: Send + Sync + 'static>(emitter: &Emitter<E>) {
    assert!(
        !emitter.bus().queue().is_drained_by(frame::thread()),
        "`run` inside a delivery from the same queue would wait for itself: call it outside of listeners, or `defer` and return"
    );
    run_until(emitter, || false);
}

/// The same, or until this is true.
#[track_caller]
fn run_until<E: Send + Sync + 'static>(emitter: &Emitter<E>, is_over: impl Fn() -> bool) {
    let queue = emitter.bus().queue();
    let _inside = queue.enter();
    loop {
        let is_last = is_over();
        let has_drained = drain_on(emitter, &is_over);
        raise_if_outermost();
        if is_last && has_drained || !queue.wait_for_work(&is_over) {
            return;
        }
    }
}
