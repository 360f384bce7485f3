//! The patterns and topics of the benchmarks: the same in every run.

use std::cell::Cell;
use std::collections::HashSet;

use crate::measure::Random;

/// Patterns to listen to, and topics to emit on.
pub(crate) struct Plan {
    pub(crate) patterns: Vec<String>,
    pub(crate) repeated: Vec<String>,
}

/// Of each of a topic's four segments there are so many.
const NAMES: usize = 50;
const TOPICS: usize = NAMES * NAMES * NAMES * NAMES;
const REPEATED: usize = 1_000;

impl Plan {
    /// 70 % exact, 25 % with one `*`, 5 % ending in `**`; all of them different.
    pub(crate) fn with_patterns(count: usize) -> Self {
        let (mut random, mut patterns) = (Random::new(), HashSet::new());
        let mut add_until = |count, make: &dyn Fn([String; 4], &mut Random) -> String| {
            while patterns.len() < count {
                let topic = segments(random.below(TOPICS));
                patterns.insert(make(topic, &mut random));
            }
        };
        add_until(count * 70 / 100, &|topic, _| topic.join("."));
        add_until(count * 95 / 100, &|mut topic, random| {
            topic[random.below(topic.len())] = "*".into();
            topic.join(".")
        });
        add_until(count, &|topic, random| [&topic[..2 + random.below(2)].join("."), "**"].join("."));

        let mut patterns: Vec<_> = patterns.into_iter().collect();
        patterns.sort_unstable(); // not in the order of their hashes, which is another in each run
        let exact: Vec<_> = patterns.iter().filter(|pattern| !pattern.contains('*')).collect();
        let repeated = (0..REPEATED).map(|_| exact[random.below(exact.len())].clone()).collect();
        Self { patterns, repeated }
    }
}

/// The topic of this number.
fn segments(number: usize) -> [String; 4] {
    [("plant", NAMES.pow(3)), ("line", NAMES.pow(2)), ("machine", NAMES), ("metric", 1)]
        .map(|(name, place)| format!("{name}{:02}", number / place % NAMES))
}

/// Topics that never came before.
pub(crate) struct NewTopics(Cell<usize>);

impl NewTopics {
    pub(crate) fn new() -> Self {
        Self(Cell::new(0))
    }

    pub(crate) fn next(&self) -> String {
        /// It has no factor in common with `TOPICS`, so this comes to each topic once, criss-cross.
        const STRIDE: usize = 3_141_593;
        self.0.set((self.0.get() + STRIDE) % TOPICS);
        segments(self.0.get()).join(".")
    }
}
