//! Listeners that only watch.

use crate::context::Scene;
use crate::flow::Flow;
use crate::id::ListenerId;
use crate::listener::{Closure, Hear, Release};

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
    F: Fn(&T, &Scene<'_, E>, ListenerId) -> Flow<E> + Send + Sync,
{
    fn hear(&self, event: &T, scene: &Scene<'_, E>, id: ListenerId) -> Flow<E> {
        self.inner.hear(event, scene, id)
    }
}
