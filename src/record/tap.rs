//! Listeners that only a test kit has: on no roll, and before all others.

use std::any::{Any, type_name};
use std::panic::Location;
use std::sync::{Arc, Weak};

use super::recorder::{Listens, Recorder, keep};
use crate::context::Scene;
use crate::flow::Flow;
use crate::handle::{Bus, Emitter};
use crate::id::ListenerId;
use crate::listener::{About, Closure, Release, Slot};
use crate::policy::silent::Silent;
use crate::raw::roll::Called;
use crate::registry::UNHEARD;

/// A tap's owning handle. No `off` finds a tap, and what began while it was there, it hears: so an emission is either
/// intercepted, from its beginning to its end, or delivered.
pub(crate) struct Tap {
    id: ListenerId,
    bus: Weak<dyn Tapped>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.untap(self.id);
        }
    }
}

/// A bus, whatever its errors are.
trait Tapped: Send + Sync {
    fn untap(&self, id: ListenerId);
}

impl<E: Send + Sync + 'static> Tapped for Bus<E> {
    fn untap(&self, id: ListenerId) {
        let _clean_up = self.clean_up();
        self.registry.remove(id);
    }
}

/// Has the events of a type recorded, and delivered to nobody.
#[track_caller]
pub(crate) fn intercept<T: 'static, V: Send + 'static, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    map: impl Fn(&T) -> V + Send + Sync + 'static,
) -> Recorder<V> {
    let added_at = Location::caller();
    Recorder::new(emitter, type_name::<T>(), |seen| {
        let channel = emitter.bus().registry.channel::<T>();
        let slot = slot(emitter, channel.home, added_at, Silent { inner: Closure::new(keep::<T, V, E>(seen, map)) });
        let _clean_up = emitter.bus().clean_up();
        Listens::Tap(Tap { id: channel.tap(slot), bus: bus(emitter) })
    })
}

/// Tells of every emission that nobody heard.
#[track_caller]
pub(crate) fn tap_unheard<E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    tell: impl Fn(&Scene<'_, E>) + Send + Sync + 'static,
) -> Tap {
    let call = move |_: &dyn Any, scene: &Scene<'_, E>, _: Called<'_>| {
        tell(scene);
        Flow::Continue
    };
    let slot = slot(emitter, UNHEARD, Location::caller(), Closure::new(call));
    let _clean_up = emitter.bus().clean_up();
    Tap { id: emitter.bus().registry.tap_unheard(slot), bus: bus(emitter) }
}

fn slot<H: Release, E: Send + Sync + 'static>(
    emitter: &Emitter<E>,
    home: u32,
    added_at: &'static Location<'static>,
    hear: H,
) -> Arc<Slot<E, H>> {
    Slot::new(home, About::new(emitter.weak_bus(), None, Vec::new(), None, None, added_at), hear)
}

fn bus<E: Send + Sync + 'static>(emitter: &Emitter<E>) -> Weak<dyn Tapped> {
    emitter.weak_bus()
}
