//! The one door to atomics and locks, so that a model checker can put its own behind it.

pub(crate) use parking_lot::{Condvar, Mutex, ReentrantMutex};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
