//! What a bus notes that was built to be looked at: with metrics, or with a limit for slow listeners.

pub(crate) mod sites;
pub(crate) mod tally;

use std::sync::Arc;
use std::time::Duration;

use self::sites::Sites;
use self::tally::Tally;
use crate::clock::Clock;
use crate::info::Who;

pub(crate) struct Watch {
    /// With metrics.
    pub(crate) sites: Option<Sites>,
    /// How long a listener may run before that is told.
    limit: Option<Duration>,
}

impl Watch {
    /// None if there is nothing to note.
    pub(crate) fn new(metrics: bool, limit: Option<Duration>) -> Option<Box<Self>> {
        (metrics || limit.is_some()).then(|| Box::new(Self { sites: metrics.then(Sites::new), limit }))
    }

    /// Of a listener that is about to be added.
    pub(crate) fn tally(&self, clock: &Clock, who: Who) -> Arc<Tally> {
        Arc::new(Tally::new(who, clock.clone(), self.sites.is_some(), self.limit))
    }
}
