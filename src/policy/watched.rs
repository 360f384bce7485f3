//! Listeners whose calls are counted and timed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::context::Scene;
use crate::flow::Flow;
use crate::listener::{Hear, Release};
use crate::raw::roll::Called;
use crate::watch::tally::{Heard, Run, Tally};

/// A listener on a bus that notes its listeners' calls. It goes right around the closure: what other policies do is no call.
pub(crate) struct Watched<T: ?Sized, E> {
    tally: Arc<Tally>,
    /// Boxed, so that not every closure is compiled twice.
    inner: Box<dyn Hear<T, E>>,
}

impl<T: ?Sized, E> Watched<T, E> {
    pub(crate) fn new(tally: Arc<Tally>, inner: impl Hear<T, E> + 'static) -> Self {
        Self { tally, inner: Box::new(inner) }
    }
}

impl<T: ?Sized, E> Release for Watched<T, E> {
    fn release(&mut self) -> u64 {
        self.inner.release()
    }

    fn is_silent(&self) -> bool {
        self.inner.is_silent()
    }
}

impl<T: ?Sized, E> Hear<T, E> for Watched<T, E> {
    fn hear(&self, event: &T, scene: &Scene<'_, E>, called: Called<'_>) -> Flow<E> {
        let began = self.tally.begin();
        let answer = catch_unwind(AssertUnwindSafe(|| self.inner.hear(event, scene, called)));
        let run = match &answer {
            // It was not there to be called.
            Ok(Flow::Gone) => Run { is_call: false, has_failed: false },
            Ok(Flow::Continue | Flow::Break) => Run { is_call: true, has_failed: false },
            Ok(_) | Err(_) => Run { is_call: true, has_failed: true },
        };
        let &Scene { event, topic, emitted_at, .. } = scene;
        self.tally.end(began, run, &Heard { event, topic, emitted_at });
        answer.unwrap_or_else(|payload| resume_unwind(payload))
    }

    fn inner(&self) -> Option<&dyn Hear<T, E>> {
        Some(&*self.inner)
    }
}
