//! The owning handle of a listener.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

use crate::id::ListenerId;
use crate::listener::{Release, Slot};
use crate::raw::frame;
use crate::raw::gate::Gate;

/// A listener's owning handle: while it lives the listener hears, and dropping it unsubscribes.
///
/// Keep it where the listener belongs: a `Vec<Subscription>` field is a module's whole set. To listen for as long as the
/// bus lives, [`detach`](Self::detach) it.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// let hears = bus.on(|n: &u32| println!("{n}"));
/// assert_eq!(bus.emit(&1_u32).heard, 1);
/// drop(hears);
/// assert_eq!(bus.emit(&2_u32).heard, 0);
/// ```
///
/// # Removal
///
/// Once [`off`](Self::off), [`pause`](Self::pause) or the drop has returned, no emission picks the listener, on any thread. A call that
/// another thread had begun may still be running; [`off_and_wait`](Self::off_and_wait) waits for it.
///
/// # Dropping
///
/// The listener's closure is dropped by the time `off` returns or, if emissions are under way that could have picked it,
/// when the last of these ends. A subscription doesn't keep its bus alive, may outlive it, and may be dropped in its own listener's call.
///
/// # Cost
///
/// Removal takes a short lock and `O(log n + 64)` steps; the listener's place is free at once.
#[must_use = "a listener hears only while its `Subscription` lives: keep it in a field or a named variable (`let _ =` drops \
              it at once), or call `.detach()` to listen for as long as the bus lives"]
pub struct Subscription {
    id: ListenerId,
    /// None once it is detached.
    slot: Option<Weak<dyn Control>>,
}

/// `off_and_wait` was called inside an emission of the same bus, which it would have waited for. The listener is off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`off_and_wait` inside an emission of its own bus would wait for itself; the listener is off, but calls on other \
     threads may not have ended: call it outside of the bus's listeners"
)]
pub struct WouldDeadlock;

impl Subscription {
    pub(crate) fn new(id: ListenerId, slot: Weak<dyn Control>) -> Self {
        Self { id, slot: Some(slot) }
    }

    fn slot(&self) -> Option<Arc<dyn Control>> {
        self.slot.as_ref()?.upgrade()
    }

    /// The listener's name, for [`Emitter::off`](crate::Emitter::off).
    pub fn id(&self) -> ListenerId {
        self.id
    }

    /// Whether the listener may still be called: it is on, and its bus is there. A paused listener is active.
    pub fn is_active(&self) -> bool {
        self.slot().is_some_and(|slot| !slot.gate().word().is_off())
    }

    /// Has the listener hear nothing until it is resumed. It keeps its place in the order. A flag, not a count.
    pub fn pause(&self) {
        if let Some(slot) = self.slot() {
            slot.gate().pause();
        }
    }

    /// Ends a pause, from the next emission on: one under way passes the listener by.
    pub fn resume(&self) {
        if let Some(slot) = self.slot() {
            slot.resume(self.id);
        }
    }

    /// Removes the listener. True exactly when this did it: a `once` then never ran, and never will.
    ///
    /// Inside the listener's own call it comes too late for a `once`.
    pub fn off(mut self) -> bool {
        self.take_off()
    }

    /// Removes the listener, and waits until no thread is in it, nor can be: every emission that could have picked it has ended.
    ///
    /// Use it before what the listener works on is torn down by hand. Whoever holds a lock that the listener takes must not
    /// wait here.
    ///
    /// # Errors
    ///
    /// [`WouldDeadlock`] inside any emission of this bus on this thread, and in the destructor of a closure that the bus is letting go of: it
    /// would wait for itself. The listener is switched off all the same. (When nothing at all is left of the listener there is nothing to wait
    /// for, and it is `Ok` there too.)
    pub fn off_and_wait(mut self) -> Result<(), WouldDeadlock> {
        match self.slot.take().and_then(|slot| slot.upgrade()) {
            Some(slot) => slot.off_and_wait(self.id),
            None => Ok(()),
        }
    }

    /// Lets the listener hear for as long as its bus lives. Its name is what [`Emitter::off`](crate::Emitter::off) takes.
    pub fn detach(mut self) -> ListenerId {
        self.slot = None;
        self.id
    }

    fn take_off(&mut self) -> bool {
        self.slot.take().and_then(|slot| slot.upgrade()).is_some_and(|slot| slot.off(self.id))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.take_off();
    }
}

// A panic leaves no bus broken: see `Emitter`.
impl UnwindSafe for Subscription {}
impl RefUnwindSafe for Subscription {}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("is_active", &self.is_active())
            .finish_non_exhaustive()
    }
}

/// A slot of whatever type, as its subscription sees it.
pub(crate) trait Control: Send + Sync {
    fn gate(&self) -> &Gate;
    fn resume(&self, id: ListenerId);
    fn off(self: Arc<Self>, id: ListenerId) -> bool;
    fn off_and_wait(self: Arc<Self>, id: ListenerId) -> Result<(), WouldDeadlock>;
}

impl<E: Send + Sync + 'static, H: Release> Control for Slot<E, H> {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn resume(&self, id: ListenerId) {
        if let Some(bus) = self.about.bus.upgrade()
            && self.gate.resume()
        {
            let _clean_up = bus.clean_up();
            bus.registry.note(id);
        }
    }

    fn off(self: Arc<Self>, id: ListenerId) -> bool {
        let closed = self.gate.close();
        if closed && let Some(bus) = self.about.bus.upgrade() {
            let _clean_up = bus.clean_up();
            bus.registry.remove(id);
            drop(self);
        }
        closed
    }

    fn off_and_wait(self: Arc<Self>, id: ListenerId) -> Result<(), WouldDeadlock> {
        let Some(bus) = self.about.bus.upgrade() else { return Ok(()) };
        let gone = self.about.gone();
        self.off(id);
        let is_inside = frame::is_inside(bus.address());
        drop(bus);
        if is_inside {
            return Err(WouldDeadlock);
        }
        gone.wait();
        Ok(())
    }
}
