//! The second way to tell: queued now, delivered by whoever drains.

pub(crate) mod drain;
pub(crate) mod event;
pub(crate) mod event_loop;
pub(crate) mod timer;
