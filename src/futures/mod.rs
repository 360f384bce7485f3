//! The same subscriptions for async code, on any runtime.

pub(crate) mod emission;
pub(crate) mod event_loop;
mod join;
pub(crate) mod listener;
pub(crate) mod next;
mod sleeper;
pub(crate) mod stream;
