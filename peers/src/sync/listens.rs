//! What can be compared, and what keeps its listeners.

use std::time::{Duration, Instant};

use super::peers::Placed;
use crate::measure::Random;

/// Something with listeners that threads can tell of an event: what the floors are.
pub(crate) trait Bus: Sync {
    fn with_listeners(listeners: u64) -> Self;
    fn emit(&self, event: &Placed);
}

/// Something whose listeners come and go.
pub(crate) trait Listens {
    /// What a listener is removed by.
    type Kept;
    /// Whether listeners are called on the thread that emits.
    const EMITS_HERE: bool = true;
    fn empty() -> Self;
    fn on(&mut self, number: u64) -> Self::Kept;
    fn off(&mut self, kept: Self::Kept);
    /// The listeners are there, in case it is they who have to ask.
    fn emit(&mut self, event: &Placed, kept: &mut [Self::Kept]);
}

/// The same for threads.
pub(crate) trait Shared: Listens<Kept: Sync> + Sync {
    fn tell(&self, event: &Placed);
    fn come_and_go(&self);
}

/// With so many listeners.
pub(crate) struct Filled<P: Listens> {
    peer: P,
    kept: Vec<P::Kept>,
}

impl<P: Listens> Filled<P> {
    pub(crate) fn with(listeners: u64) -> Self {
        let mut peer = P::empty();
        let kept = (0..listeners).map(|number| peer.on(number)).collect();
        Self { peer, kept }
    }

    pub(crate) fn within(listeners: u64, patience: Duration) -> Option<Self> {
        let (mut peer, start) = (P::empty(), Instant::now());
        let kept = (0..listeners).map(|number| (start.elapsed() < patience).then(|| peer.on(number)));
        let kept = kept.collect::<Option<_>>()?;
        Some(Self { peer, kept })
    }

    pub(crate) fn emit(&mut self, event: &Placed) {
        self.peer.emit(event, &mut self.kept);
    }

    /// A listener comes, and goes at once.
    pub(crate) fn on_off_newest(&mut self) {
        let kept = self.peer.on(0);
        self.peer.off(kept);
    }

    /// A listener comes, and another goes, whichever it is.
    pub(crate) fn on_off_random(&mut self, random: &mut Random) {
        let index = random.below(self.kept.len());
        let kept = std::mem::replace(&mut self.kept[index], self.peer.on(0));
        self.peer.off(kept);
    }
}

impl<P: Shared> Filled<P> {
    pub(crate) fn tell(&self, event: &Placed) {
        self.peer.tell(event);
    }

    pub(crate) fn come_and_go(&self) {
        self.peer.come_and_go();
    }
}

impl<P: Shared> Bus for Filled<P> {
    fn with_listeners(listeners: u64) -> Self {
        Self::with(listeners)
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        self.peer.tell(event);
    }
}
