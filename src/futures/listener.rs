//! Listeners whose calls are futures.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::chain::From;
use crate::context::{Scene, Timing};
use crate::discard::discard;
use crate::dispatch;
use crate::errors::{ErrorChannel, raise_if_outermost};
use crate::failure::{Cause, Failure};
use crate::flow::sealed::Sealed;
use crate::flow::{Flow, IntoFlow};
use crate::future::Work;
use crate::handle::WeakEmitter;
use crate::info::ListenerInfo;
use crate::raw::frame;
use crate::trace::Span;
use crate::watch::tally::{Heard, Run, Tally};

/// Has a call's future run: by the emission, if that is awaited, else by the bus's spawner.
pub(crate) fn start<T, E, F>(
    scene: &Scene<'_, E>,
    listener: impl FnOnce() -> ListenerInfo,
    tally: Option<Arc<Tally>>,
    future: F,
) -> Flow<E>
where
    T: 'static,
    E: Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: IntoFlow<E>,
{
    let bus = scene.emitter.bus();
    let work: Work = Box::pin(Call {
        future: Some(Box::pin(future)),
        address: bus.address(),
        of_failure: dispatch::is_failure::<T, E>(),
        from: scene.from(),
        span: scene.span.to_enter_again(),
        emitter: scene.emitter.downgrade(),
        errors: Arc::clone(&bus.errors),
        listener: listener(),
        tally,
        topic: scene.topic.map(Into::into),
    });
    match (scene.timing, &bus.spawner) {
        (Timing::Awaited(started), _) => started.lock().push(work),
        (_, Some(spawn)) => spawn(Box::pin(alone(work))),
        (_, None) => {
            drop(work);
            return Flow::NoSpawner;
        }
    }
    Flow::Continue
}

/// A call's future on a runtime, with no emission around it.
async fn alone(mut work: Work) {
    poll_fn(|cx| {
        let ended = work.as_mut().poll(cx).map(drop);
        raise_if_outermost();
        ended
    })
    .await;
}

/// A listener's call that is under way. It keeps neither the listener nor the bus.
struct Call<E, F> {
    /// Some, until it has ended.
    future: Option<Pin<Box<F>>>,
    /// Of the bus.
    address: usize,
    /// Whether the event is a failure: then its own goes to the error channel alone.
    of_failure: bool,
    from: From,
    /// Of the emission.
    span: Span,
    emitter: WeakEmitter<E>,
    errors: Arc<ErrorChannel<E>>,
    listener: ListenerInfo,
    tally: Option<Arc<Tally>>,
    topic: Option<Box<str>>,
}

impl<E, F> Future for Call<E, F>
where
    E: Send + Sync + 'static,
    F: Future,
    F::Output: IntoFlow<E>,
{
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let call = self.get_mut();
        let Some(future) = &mut call.future else { return Poll::Ready(false) };
        // What it emits while it is polled is in its emission's chain, and one level below.
        let (_, _frame) = frame::begin_emission(call.address, call.of_failure, call.from.chain);
        let _span = call.span.enter();
        let began = call.tally.as_ref().map(|tally| tally.begin());
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx).map(Sealed::into_flow)));
        if let (Some(tally), Some(began)) = (&call.tally, began) {
            let has_failed = matches!(polled, Ok(Poll::Ready(Flow::Fail(_))) | Err(_));
            let Self { listener, topic, from, .. } = &*call;
            let heard = Heard { event: listener.event, topic: topic.as_deref(), emitted_at: from.emitted_at };
            tally.end(began, Run { is_call: false, has_failed }, &heard);
        }
        let cause = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Flow::Fail(error))) => Some(Cause::Error(Arc::new(error))),
            Ok(Poll::Ready(_)) => None,
            Err(payload) => {
                let cause = Cause::of_panic(&*payload);
                call.errors.suppress(discard(payload));
                Some(cause)
            }
        };
        call.let_go();
        let has_failed = cause.is_some();
        if let Some(cause) = cause {
            call.report(cause);
        }
        Poll::Ready(has_failed)
    }
}

impl<E, F> Call<E, F> {
    /// Drops the future, whose destructor is the user's.
    fn let_go(&mut self) {
        if let Some(future) = self.future.take() {
            self.errors.suppress(discard(future));
        }
    }
}

impl<E: Send + Sync + 'static, F> Call<E, F> {
    fn report(&self, cause: Cause<E>) {
        let Self { listener, topic, from, .. } = self;
        let failure = Failure::new(listener.event, topic.as_deref(), Some(listener.clone()), *from, cause);
        match self.emitter.upgrade() {
            Some(emitter) => dispatch::report(&emitter, failure),
            None => self.errors.take(failure),
        }
    }
}

impl<E, F> Drop for Call<E, F> {
    fn drop(&mut self) {
        self.let_go();
    }
}
