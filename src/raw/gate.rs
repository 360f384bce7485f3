//! Whether a listener may be called.

use crate::sync::{AtomicU32, Ordering};

/// A listener's state in one word: flags, and a stamp that a [`resume`](Gate::resume) changes.
///
/// Every place that lists the listener keeps the word under which it may be called without a second look. One comparison
/// answers for all the rest: a listener that is off, paused, guarded or silent, or that was resumed since the place was
/// written, has another word.
///
/// All accesses are relaxed. Nothing is published through the word: the closure reaches other threads through the
/// snapshot. What is promised is that a call to `off` or `pause` that *happened before* a look is seen by it, and that
/// much, coherence gives to a relaxed access of a single word; and that of two who close one gate exactly one wins, which
/// every read-modify-write gives.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU32);

/// The word of a gate at one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word(u32);

const OFF: u32 = 1;
const PAUSED: u32 = 1 << 1;
const GUARDED: u32 = 1 << 2;
const SILENT: u32 = 1 << 3;
const STAMP: u32 = 1 << 4;

impl Gate {
    /// `guarded`: it wants to be asked before it is called. `silent`: its calls don't count as hearing.
    pub(crate) fn new(guarded: bool, silent: bool) -> Self {
        Self(AtomicU32::new(if guarded { GUARDED } else { 0 } | if silent { SILENT } else { 0 }))
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.0.load(Ordering::Relaxed))
    }

    /// Switches it off for good. True for the one who did, of all who try: this is also how a last call is claimed.
    pub(crate) fn close(&self) -> bool {
        self.0.fetch_or(OFF, Ordering::Relaxed) & OFF == 0
    }

    pub(crate) fn pause(&self) {
        self.0.fetch_or(PAUSED, Ordering::Relaxed);
    }

    /// Ends a pause under a new stamp, so that emissions begun before go on passing it by.
    /// True if it was paused.
    pub(crate) fn resume(&self) -> bool {
        let resumed = |word: u32| (word & PAUSED != 0).then(|| (word & !PAUSED).wrapping_add(STAMP));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, resumed).is_ok()
    }
}

impl Word {
    /// The word under which a listener with this one can be called with no further question.
    pub(crate) fn plain(self) -> Self {
        Self(self.0 & !(STAMP - 1))
    }

    pub(crate) fn is_off(self) -> bool {
        self.0 & OFF != 0
    }

    pub(crate) fn is_paused(self) -> bool {
        self.0 & PAUSED != 0
    }

    pub(crate) fn is_guarded(self) -> bool {
        self.0 & GUARDED != 0
    }

    pub(crate) fn is_silent(self) -> bool {
        self.0 & SILENT != 0
    }

    /// Whether it can be called by someone whose note of it says `noted`: on, not paused, not resumed since.
    pub(crate) fn is_open_to(self, noted: Self) -> bool {
        self.0 & (OFF | PAUSED) == 0 && self.plain() == noted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_listeners_word_is_the_plain_one_until_something_happens() {
        let gate = Gate::new(false, false);
        let noted = gate.word().plain();
        assert!(gate.word() == noted && gate.word().is_open_to(noted));
        assert!(!gate.word().is_guarded() && !gate.word().is_silent() && !gate.word().is_off());

        gate.pause();
        assert!(gate.word() != noted && gate.word().is_paused() && !gate.word().is_open_to(noted));
        assert!(gate.resume());
        assert!(!gate.word().is_paused() && !gate.word().is_open_to(noted), "who noted it before passes it by");
        let noted = gate.word().plain();
        assert!(gate.word() == noted && !gate.resume());

        assert!(gate.close() && !gate.close());
        assert!(gate.word() != noted && gate.word().is_off() && !gate.word().is_open_to(noted));
    }

    #[test]
    fn a_guarded_or_silent_listeners_word_is_never_plain() {
        for (guarded, silent) in [(true, false), (false, true), (true, true)] {
            let gate = Gate::new(guarded, silent);
            let noted = gate.word().plain();
            assert!(gate.word() != noted && gate.word().is_open_to(noted));
            assert_eq!((gate.word().is_guarded(), gate.word().is_silent()), (guarded, silent));
        }
    }
}
