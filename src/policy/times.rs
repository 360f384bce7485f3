//! Listeners that hear a limited number of events.

use std::num::NonZeroU64;

use crate::context::Scene;
use crate::flow::Flow;
use crate::listener::{Hear, Release, Spend};
use crate::raw::roll::Called;
use crate::sync::{AtomicU64, Ordering};

/// A listener that may be called so many times. `once` is one time.
pub(crate) struct Times<H> {
    left: AtomicU64,
    inner: H,
}

impl<H> Times<H> {
    pub(crate) fn new(times: NonZeroU64, inner: H) -> Self {
        Self { left: AtomicU64::new(times.get()), inner }
    }
}

impl<H: Release> Release for Times<H> {
    fn release(&mut self) -> u64 {
        self.inner.release()
    }

    fn is_guarded(&self) -> bool {
        true
    }

    fn is_silent(&self) -> bool {
        self.inner.is_silent()
    }
}

impl<T: ?Sized, E, H: Hear<T, E>> Hear<T, E> for Times<H> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        self.inner.hear(event, scene, called)
    }

    fn inner(&self) -> Option<&dyn Hear<T, E>> {
        Some(&self.inner)
    }

    fn spend(&self) -> Spend {
        // Relaxed: only the number matters, and each of its values is handed out once.
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match spent {
            Err(_) => Spend::Refused,
            Ok(1) => Spend::Last,
            Ok(_) => Spend::Granted,
        }
    }
}
