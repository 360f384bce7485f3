//! Listeners that live as long as somebody else does.

use std::sync::Weak;

use crate::context::Scene;
use crate::discard::discard;
use crate::flow::Flow;
use crate::listener::{Admit, Hear, Release};
use crate::raw::roll::Called;

/// A listener that is called with its owner, and goes when the owner is gone.
pub(crate) struct Owned<O: ?Sized, F> {
    owner: Weak<O>,
    /// Some, until it is released.
    call: Option<F>,
}

impl<O: ?Sized, F> Owned<O, F> {
    pub(crate) fn new(owner: Weak<O>, call: F) -> Self {
        Self { owner, call: Some(call) }
    }

    fn is_alive(&self) -> bool {
        self.owner.strong_count() > 0
    }
}

impl<O: ?Sized + Send + Sync, F: Send + Sync> Release for Owned<O, F> {
    fn release(&mut self) -> u64 {
        self.call.take().map_or(0, discard)
    }
}

impl<O, T, E, F> Hear<T, E> for Owned<O, F>
where
    O: ?Sized + Send + Sync,
    T: ?Sized,
    F: Fn(&O, &T) -> Flow<E> + Send + Sync,
{
    fn hear(&self, event: &T, _scene: &Scene<'_, E>, _called: Called<'_>) -> Flow<E> {
        match (self.owner.upgrade(), &self.call) {
            (Some(owner), Some(call)) => call(&owner, event),
            _ => Flow::Gone,
        }
    }

    /// Asked by who wraps it. On its own it isn't guarded: that the owner is gone, it can also answer when it is called.
    fn admits(&self, _event: &T) -> Admit {
        if self.is_alive() { Admit::Yes } else { Admit::Gone }
    }

    fn is_present(&self) -> bool {
        self.is_alive()
    }
}
