//! How long a reader waits before it looks what came.

use crate::sync::pause;

/// Where one event comes close behind another, a reader that never waits finds one each time: for each the two threads hand their memory to and
/// fro, or one sleeps and is woken, which costs more than the event. So a reader waits the longer the more often that pays, and no more as
/// soon as it doesn't, as drivers of busy network cards do.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Patience(u32);

impl Patience {
    pub(super) const NONE: Self = Self(0);

    /// Some four microseconds: about what it takes to wake a thread.
    const MOST: u32 = 128;

    pub(super) fn wait(self) {
        pause(self.0);
    }

    /// What is learnt of a look that found so many events. If it was waited for, there were `before` of them before.
    pub(super) fn after(self, before: Option<usize>, came: usize, capacity: usize) -> Self {
        // What would fill a mailbox is not waited for: it would be lost.
        let is_safe = came <= capacity / 4;
        Self(match before {
            Some(before) if came > before && is_safe => Self::MOST.min(2 * self.0 + 1),
            Some(_) => self.0 / 4,
            None => u32::from(came > 3 && is_safe),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks that each found so many events, where waiting brings so many of them.
    fn looks(came: usize, brought: usize, capacity: usize, patience: Patience) -> impl Iterator<Item = Patience> {
        std::iter::successors(Some(patience), move |patience| {
            let before = (*patience != Patience::NONE).then_some(came - brought);
            Some(patience.after(before, came, capacity))
        })
    }

    #[test]
    fn who_finds_single_events_never_waits() {
        assert!(looks(1, 1, 256, Patience::NONE).take(100).all(|patience| patience == Patience::NONE));
    }

    #[test]
    fn waiting_that_pays_grows_to_its_most_within_a_few_looks() {
        assert_eq!(looks(20, 10, 256, Patience::NONE).nth(8), Some(Patience(Patience::MOST)));
    }

    #[test]
    fn waiting_in_vain_ends_within_a_few_looks_and_hardly_begins() {
        assert_eq!(looks(0, 0, 256, Patience(Patience::MOST)).nth(4), Some(Patience::NONE));
        assert!(looks(20, 0, 256, Patience::NONE).take(100).all(|patience| patience.0 <= 1));
    }

    #[test]
    fn nobody_waits_for_what_would_fill_the_mailbox() {
        assert!(looks(20, 10, 79, Patience::NONE).take(100).all(|patience| patience == Patience::NONE));
        assert_eq!(looks(65, 30, 256, Patience(Patience::MOST)).nth(4), Some(Patience::NONE));
    }
}
