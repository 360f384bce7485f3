//! What came of an emit.

use crate::id::ListenerId;

/// The report of one emission: how many heard the event, how many of them failed, and who stopped it.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::ignore);
/// let _fine = bus.on(|_: &u32| {});
/// let _fails = bus.on(|_: &u32| Err::<(), _>("no".into()));
///
/// let emission = bus.emit(&7_u32);
/// assert_eq!((emission.heard, emission.failed), (2, 1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Emission {
    /// How many listeners were called, those that failed included. Listeners of every type, recorders, and listeners whose
    /// filter said no are not counted.
    pub heard: usize,
    /// How many of these returned an error or panicked.
    pub failed: usize,
    /// How many listeners will hear the event later, when the bus's queue is drained.
    pub deferred: usize,
    /// The listener that stopped the emission with `ControlFlow::Break`, if one did.
    pub stopped_by: Option<ListenerId>,
}
