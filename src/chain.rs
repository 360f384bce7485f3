//! What an event came of.

use std::panic::Location;

use crate::id::EmissionId;

/// What an event is a part of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Its emission, if that has begun: what deferred listeners are still to hear.
    pub(crate) id: Option<EmissionId>,
    pub(crate) cause: Option<EmissionId>,
    pub(crate) origin: Option<EmissionId>,
}

impl Chain {
    /// What comes of this event is a part of; if it was never emitted, what comes of the same as it.
    pub(crate) fn behind(self) -> Self {
        Self { id: None, cause: self.id.or(self.cause), origin: self.origin }
    }
}

/// Where an event comes from.
#[derive(Clone, Copy)]
pub(crate) struct From {
    pub(crate) emitted_at: &'static Location<'static>,
    pub(crate) chain: Chain,
}

impl From {
    /// Whether another event surely comes from the same place and chain. By the place's address: its text is long to compare.
    #[inline]
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.emitted_at, other.emitted_at) && self.chain == other.chain
    }
}
