//! The error channel of a bus, as the bus holds it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::discard::discard;
use crate::failure::{Cause, Failure};
use crate::raw::frame;
use crate::sync::{AtomicU64, Ordering};
use crate::trace;

/// The user's error channel, and the count of what could not go to it.
pub(crate) struct ErrorChannel<E> {
    on_failure: Box<dyn Fn(Failure<E>) + Send + Sync>,
    suppressed: AtomicU64,
}

impl<E> ErrorChannel<E> {
    pub(crate) fn new(on_failure: Box<dyn Fn(Failure<E>) + Send + Sync>) -> Self {
        Self { on_failure, suppressed: AtomicU64::new(0) }
    }

    /// Takes a failure that nobody listens to, because there is no bus any more.
    #[cold]
    pub(crate) fn take(&self, failure: Failure<E>) {
        trace::failure(&failure);
        self.hand_over(failure);
    }

    /// Hands a failure over. Below an error channel it is traced and counted instead, and so is a panic of this one.
    #[cold]
    pub(crate) fn hand_over(&self, failure: Failure<E>) {
        if frame::is_below_channel() {
            trace::suppressed(&failure);
            self.suppress(1 + discard(failure));
            return;
        }
        let _report = frame::begin_report();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.on_failure)(failure))) {
            trace::channel_panicked(&Cause::<E>::of_panic(&*payload));
            self.suppress(1 + discard(payload));
        }
    }

    /// Counts failures that went nowhere but into the trace.
    pub(crate) fn suppress(&self, failures: u64) {
        self.suppressed.fetch_add(failures, Ordering::Relaxed);
    }

    pub(crate) fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }
}

/// Ends the outermost verb of a bus with the panic that `hearken::panic` asked for.
#[inline]
#[track_caller]
pub(crate) fn raise_if_outermost() {
    if let Some(failures) = frame::take_raised() {
        raise(&failures);
    }
}

#[cold]
#[track_caller]
pub(crate) fn raise(failures: &str) {
    if std::thread::panicking() {
        // A second panic on the way would abort the process.
        trace::unraised(failures);
    } else {
        panic!("{failures}");
    }
}

/// The same where nobody expects a panic: in a destructor.
pub(crate) fn trace_if_outermost() {
    if let Some(failures) = frame::take_raised() {
        trace::unraised(&failures);
    }
}
