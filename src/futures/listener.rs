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
use crate::handle::{Emitter, WeakEmitter};
use crate::id::ListenerId;
use crate::info::ListenerInfo;
use crate::raw::frame::{self, Place};
use crate::trace::{Entered, Span};
use crate::watch::tally::{Heard, Run, Tally};

/// What decides on an event whose call's future failed. Returns the failure, if it is for good.
pub(crate) type AfterFailure<E> = Box<dyn FnOnce(&Emitter<E>, Failure<E>) -> Option<Failure<E>> + Send>;

/// Asks the listener of this name, should it still be there then.
pub(crate) fn ask_listener<T, E>(scene: &Scene<'_, E>, id: ListenerId, event: T) -> AfterFailure<E>
where
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    let Scene { event: name, emitted_at, place: Place { id: emission, cause, origin, depth }, .. } = *scene;
    let topic: Option<Box<str>> = scene.topic.map(Into::into);
    let tried = if let Timing::Again(tried) = scene.timing { Some(*tried) } else { None };
    Box::new(move |emitter, failure| {
        let bus = emitter.bus();
        let decided = match bus.registry.find::<T>().and_then(|channel| channel.entry(id.key())) {
            Some(entry) => {
                let place = Place { id: emission, cause, origin, depth };
                let timing = tried.as_ref().map_or(Timing::Late, Timing::Again);
                let scene = Scene {
                    emitter,
                    event: name,
                    topic: topic.as_deref(),
                    emitted_at,
                    place,
                    timing,
                    span: Entered::NOTHING,
                };
                entry.value.after_failure(&entry, &event, &scene, failure)
            }
            None => Some(failure),
        };
        bus.errors.suppress(discard(event));
        decided
    })
}

/// Has a call's future run: by the emission, if that is awaited, else by the bus's spawner.
pub(crate) fn start<T, E, F>(
    scene: &Scene<'_, E>,
    listener: impl FnOnce() -> ListenerInfo,
    tally: Option<Arc<Tally>>,
    after_failure: Option<AfterFailure<E>>,
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
        after_failure,
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
    after_failure: Option<AfterFailure<E>>,
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
        Poll::Ready(cause.is_some_and(|cause| call.report(cause)))
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
    /// Whether it failed for good.
    fn report(&mut self, cause: Cause<E>) -> bool {
        let Self { listener, topic, from, .. } = self;
        let failure = Failure::new(listener.event, topic.as_deref(), Some(listener.clone()), *from, cause);
        let Some(emitter) = self.emitter.upgrade() else {
            self.errors.take(failure);
            return true;
        };
        let failure = match self.after_failure.take() {
            Some(decide) => decide(&emitter, failure),
            None => Some(failure),
        };
        failure.is_some_and(|failure| {
            dispatch::report(&emitter, failure);
            true
        })
    }
}

impl<E, F> Drop for Call<E, F> {
    fn drop(&mut self) {
        self.let_go();
        self.errors.suppress(discard(self.after_failure.take()));
    }
}
