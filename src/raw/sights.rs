//! What was seen before, roughly and in little memory.

/// Tells a first sight from a second, for deciding what is worth keeping. Now and then it takes a first for a second, and after
/// many sights it forgets all.
pub(crate) struct Sights {
    /// A bit for each of a hash's values; empty until the first sight.
    bits: Vec<u64>,
    /// How many bits are set.
    count: usize,
}

const BITS: u32 = 18;
/// With so many bits set one first sight in eight is taken for a second.
const MANY: usize = 1 << (BITS - 3);

impl Sights {
    pub(crate) const fn new() -> Self {
        Self { bits: Vec::new(), count: 0 }
    }

    /// Notes this sight. Whether it is the second or a later one.
    pub(crate) fn is_second(&mut self, hash: u64) -> bool {
        if self.count == MANY {
            *self = Self::new();
        }
        if self.bits.is_empty() {
            self.bits = vec![0; 1 << (BITS - u64::BITS.ilog2())];
        }
        let bit = hash >> (u64::BITS - BITS);
        #[expect(clippy::cast_possible_truncation, reason = "it has 18 bits")]
        let word = &mut self.bits[(bit / u64::from(u64::BITS)) as usize];
        let mask = 1 << (bit % u64::from(u64::BITS));
        let is_second = *word & mask != 0;
        *word |= mask;
        self.count += usize::from(!is_second);
        is_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads numbers over all bits.
    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn what_comes_again_soon_is_known() {
        let mut sights = Sights::new();
        let first = (0..10_000).filter(|&n| sights.is_second(hash(n))).count();
        assert!(first < 500, "{first} of 10,000 new ones taken for known");
        assert!((0..10_000).all(|n| sights.is_second(hash(n))));
    }

    #[test]
    fn what_never_comes_again_is_rarely_taken_for_known() {
        let mut sights = Sights::new();
        let known = (0..1_000_000).filter(|&n| sights.is_second(hash(n))).count();
        assert!(known < 100_000, "{known} of a million new ones taken for known");
    }
}
