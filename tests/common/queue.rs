//! What the tests of the queue share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use hearken::{DeferError, Drained, Emitter, EventLoop, Overflow, Subscription};

use super::{Log, MOMENT, keep, reporting_bus, soon};

/// The bus's own figures, as tests compare them.
pub(crate) fn figures(drained: Drained) -> (usize, usize) {
    (drained.delivered, drained.remaining)
}

/// A bus with this queue, and what its failures say.
pub(crate) fn queue(capacity: usize, overflow: Overflow) -> (Emitter, Log<String>) {
    reporting_bus(Emitter::builder().queue(capacity, overflow))
}

/// Keeps the numbers that are heard.
pub(crate) fn numbers(bus: &Emitter) -> (Log<u32>, Subscription) {
    let log = Log::new();
    let heard = log.clone();
    (log, bus.on(move |n: &u32| heard.add(*n)))
}

/// An event whose listener stays in its call until it is let go.
pub(crate) struct Hold;

/// A thread that drains, and is in the call for a `Hold`.
pub(crate) struct Held {
    thread: JoinHandle<Drained>,
    go: Sender<()>,
}

/// Defers a `Hold`, then what `behind` defers, and has all of it drained on another thread.
pub(crate) fn hold(bus: &Emitter, behind: impl FnOnce()) -> Held {
    let (enter, entered) = channel();
    let (go, goes) = channel();
    let goes = Mutex::new(goes);
    let stay = bus.on(move |_: &Hold| {
        enter.send(()).expect("somebody waits");
        soon(&goes.lock().expect("no panic"));
    });
    stay.detach();
    bus.defer(Hold).unwrap();
    behind();
    let drainer = bus.clone();
    let thread = thread::spawn(move || drainer.drain());
    soon(&entered);
    Held { thread, go }
}

impl Held {
    /// Lets it go on to its end.
    pub(crate) fn end(self) -> (usize, usize) {
        self.go.send(()).expect("it waits");
        figures(self.thread.join().expect("no panic"))
    }
}

/// Defers it on another thread. What comes of that.
pub(crate) fn defer_elsewhere<T: Send + 'static>(bus: &Emitter, event: T) -> Receiver<Result<(), DeferError<T>>> {
    let (done, is_done) = channel();
    let bus = bus.clone();
    thread::spawn(move || drop(done.send(bus.defer(event))));
    is_done
}

/// A loop that has begun: it has delivered something.
pub(crate) fn started_loop(bus: &Emitter, name: &str) -> EventLoop {
    struct Started;
    let (start, started) = channel();
    let started_listener = bus.on(move |_: &Started| start.send(()).unwrap());
    let events = bus.spawn_loop(name).unwrap();
    bus.defer(Started).unwrap();
    soon(&started);
    drop(started_listener);
    events
}

pub(crate) fn has_not_happened<T>(receiver: &Receiver<T>) -> bool {
    receiver.recv_timeout(MOMENT).is_err()
}

/// Something to call, and how often it was called.
pub(crate) fn counter() -> (impl Fn() + Clone + Send + Sync + 'static, impl Fn() -> usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    (move || keep(&calls.fetch_add(1, Ordering::SeqCst)), move || count.load(Ordering::SeqCst))
}
