//! The event loop as a future.

use std::future::poll_fn;
use std::task::Poll;

use super::sleeper::Sleeper;
use crate::deferred::drain::drain;
use crate::handle::Emitter;
use crate::queue::{Limit, Next};

/// Delivers until the queue is closed, and then what is left. A drain a poll: between two, others have their turn.
pub(crate) async fn run<E: Send + Sync + 'static>(emitter: &Emitter<E>) {
    let queue = emitter.bus().queue();
    let inside = queue.enter_task();
    let mut sleeper = Sleeper::default();
    poll_fn(|cx| {
        let mut next = queue.poll_work(&inside, cx);
        if let Next::Deliver = next {
            drain(emitter, Limit::None);
            next = queue.poll_work(&inside, cx);
        }
        match next {
            Next::Deliver => cx.waker().wake_by_ref(),
            Next::Nothing => return Poll::Ready(()),
            Next::Later(None) => {}
            Next::Later(Some(time)) => sleeper.wake_in(time, cx.waker().clone()),
        }
        Poll::Pending
    })
    .await;
}
