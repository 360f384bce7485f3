//! Emissions that are awaited.

use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;

use super::join::Join;
use crate::chain::From;
use crate::dispatch;
use crate::emission::Emission;
use crate::errors::raise;
use crate::handle::Emitter;
use crate::raw::frame;
use crate::registry::Name;
use crate::sync::Mutex;

/// Delivers the event when it is first polled, and ends with the last of its async listeners.
#[track_caller]
pub(crate) fn emit<'a, T: Sync + 'static, E: Send + Sync + 'static>(
    emitter: &'a Emitter<E>,
    topic: Option<Name<'a>>,
    event: &'a T,
) -> impl Future<Output = Emission> + Send + use<'a, T, E> {
    // An async function doesn't know its caller.
    let from = From { emitted_at: Location::caller(), chain: frame::chain() };
    async move {
        let (mut emission, mut running) = {
            let started = Mutex::new(Vec::new());
            let emission = dispatch::emit_awaited(emitter, topic, event, from, &started);
            let running = Join::new(std::mem::take(&mut *started.lock()));
            (emission, running)
        };
        // What `hearken::panic` says on one thread waits here for the end, which may come on another.
        let mut raised: Vec<String> = frame::take_raised().into_iter().collect();
        emission.failed += poll_fn(|cx| {
            let ended = Pin::new(&mut running).poll(cx);
            raised.extend(frame::take_raised());
            ended
        })
        .await;
        if !raised.is_empty() {
            raise(&raised.join("\n"));
        }
        emission
    }
}
