//! Listeners that only watch.

use crate::context::Scene;
use crate::flow::Flow;
use crate::listener::{Closure, Hear, Release};
use crate::raw::roll::Called;

/// A closure whose calls don't count as hearing.
pub(crate) struct Silent<F> {
    pub(crate) inner: Closure<F>,
}

impl<F: Send + Sync> Release for Silent<F> {
    fn release(&mut self) -> u64 {
        self.inner.release()
    }

    fn is_silent(&self) -> bool {
        true
    }
}

impl<T: ?Sized, E, F> Hear<T, E> for Silent<F>
where
    F: Fn(&T, &Scene<'_, E>, Called<'_>) -> Flow<E> + Send + Sync,
{
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        self.inner.hear(event, scene, called)
    }
}
