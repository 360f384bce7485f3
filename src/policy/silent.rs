//! Listeners that only watch.

use crate::context::Scene;
use crate::flow::Flow;
use crate::id::ListenerId;
use crate::listener::{Admit, Hear, Release, Spend};

/// A listener whose calls don't count as hearing.
pub(crate) struct Silent<H> {
    pub(crate) inner: H,
}

impl<H: Release> Release for Silent<H> {
    fn release(&mut self) -> u64 {
        self.inner.release()
    }

    fn is_guarded(&self) -> bool {
        self.inner.is_guarded()
    }

    fn is_silent(&self) -> bool {
        true
    }
}

impl<T: ?Sized, E, H: Hear<T, E>> Hear<T, E> for Silent<H> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, id: ListenerId) -> Flow<E> {
        self.inner.hear(event, scene, id)
    }

    fn admits(&self, event: &T) -> Admit {
        self.inner.admits(event)
    }

    fn spend(&self) -> Spend {
        self.inner.spend()
    }

    fn is_present(&self) -> bool {
        self.inner.is_present()
    }
}
