//! Listeners that hear only the events they want.

use crate::context::Scene;
use crate::discard::discard;
use crate::flow::Flow;
use crate::listener::{Admit, Hear, Release};
use crate::raw::roll::Called;

/// Asked of an event before its listener is called.
pub(crate) type Filter<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;

/// A listener for the events that pass all of these filters.
pub(crate) struct Filtered<T: ?Sized, H> {
    filters: Vec<Filter<T>>,
    inner: H,
}

impl<T: ?Sized, H> Filtered<T, H> {
    pub(crate) fn new(filters: Vec<Filter<T>>, inner: H) -> Self {
        Self { filters, inner }
    }
}

impl<T: ?Sized, H: Release> Release for Filtered<T, H> {
    fn release(&mut self) -> u64 {
        self.filters.drain(..).map(discard).sum::<u64>() + self.inner.release()
    }

    fn is_guarded(&self) -> bool {
        true
    }

    fn is_silent(&self) -> bool {
        self.inner.is_silent()
    }
}

impl<T: ?Sized, E, H: Hear<T, E>> Hear<T, E> for Filtered<T, H> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        self.inner.hear(event, scene, called)
    }

    fn inner(&self) -> Option<&dyn Hear<T, E>> {
        Some(&self.inner)
    }

    fn admits(&self, event: &T) -> Admit {
        match self.inner.admits(event) {
            Admit::Yes if self.filters.iter().all(|passes| passes(event)) => Admit::Yes,
            Admit::Yes => Admit::No,
            other => other,
        }
    }
}
