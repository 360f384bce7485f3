//! What was seen lately, in little memory.

/// Tells a first sight from a second, for deciding what is worth keeping.
///
/// It remembers two bytes of a hash for each of the latest 32,768 or so; one new sight in ten thousand is taken for a second.
pub(crate) struct Sights {
    /// In groups of `WAYS`, each with the latest first; 0 where there is none. Empty until the first sight.
    prints: Box<[u16]>,
}

const GROUPS: usize = 1 << 13;
const WAYS: usize = 4;

impl Sights {
    pub(crate) fn new() -> Self {
        Self { prints: Box::default() }
    }

    /// Notes this sight. Whether it is the second, or a later one.
    pub(crate) fn is_second(&mut self, hash: u64) -> bool {
        if self.prints.is_empty() {
            self.prints = vec![0; GROUPS * WAYS].into();
        }
        #[expect(clippy::cast_possible_truncation, reason = "bits of a hash, each used once")]
        let (group, print) = (hash as usize % GROUPS, (hash >> 48) as u16 | 1);
        let group = &mut self.prints[group * WAYS..][..WAYS];
        let is_second = group.contains(&print);
        if !is_second {
            group.rotate_right(1);
            group[0] = print;
        }
        is_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads numbers over all bits.
    fn hash(n: u64) -> u64 {
        let n = (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn what_comes_again_soon_is_known() {
        let mut sights = Sights::new();
        let again = |sights: &mut Sights| (0..10_000).filter(|&n| sights.is_second(hash(n))).count();
        assert!(again(&mut sights) < 10, "all were new");
        let known = again(&mut sights);
        assert!(known > 9_000, "only {known} of 10,000 were known");
    }

    #[test]
    fn no_sight_is_the_second_before_the_first() {
        let mut sights = Sights::new();
        // All in one group; two at a time share a print.
        assert!((0..=u64::from(u16::MAX)).step_by(2).all(|print| !sights.is_second(print << 48)));
    }

    #[test]
    fn what_never_comes_again_is_rarely_taken_for_known() {
        let mut sights = Sights::new();
        let known = (0..1_000_000).filter(|&n| sights.is_second(hash(n))).count();
        assert!(known < 300, "{known} of a million new ones taken for known");
    }
}
