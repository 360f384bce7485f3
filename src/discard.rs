//! Letting go of what is the user's: that may panic, and the bus may not.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::trace;

/// Drops the value. Panics on the way are traced, not let through; returns how many there were.
pub(crate) fn discard<T>(value: T) -> u64 {
    quietly(move || drop(value))
}

/// Wakes the tasks. Panics on the way are traced, not let through; returns how many there were.
pub(crate) fn wake(tasks: impl IntoIterator<Item = Waker>) -> u64 {
    tasks.into_iter().map(|task| quietly(move || task.wake())).sum()
}

/// Panics are traced, not let through; returns how many there were.
fn quietly(act: impl FnOnce()) -> u64 {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(()) => 0,
        Err(payload) => discard_payload(payload),
    }
}

/// The same for the payload of the panic, whose own destructor may panic in turn.
#[cold]
fn discard_payload(mut payload: Box<dyn Any + Send>) -> u64 {
    const ENOUGH: u64 = 8;
    for panics in 1..ENOUGH {
        trace::let_go_panicked();
        match catch_unwind(AssertUnwindSafe(move || drop(payload))) {
            Ok(()) => return panics,
            Err(next) => payload = next,
        }
    }
    // Every payload panics with another one. A leak ends it.
    std::mem::forget(payload);
    ENOUGH
}
