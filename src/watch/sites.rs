//! What is emitted, and where in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::info::Who;
use crate::raw::shards::Shards;
use crate::sync::Mutex;

/// The places that emitted something, of each thread's own making.
pub(crate) struct Sites(Shards<Mutex<HashMap<Key, Site>>>);

/// A place in the source may emit several types, if it is generic, and pass for the place of both verbs, if it is a caller's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    /// The address of the place, which is cheaper to hash than its text. One place may have several.
    place: usize,
    /// The event's channel.
    home: u32,
    is_deferred: bool,
}

struct Site {
    emitted_at: &'static Location<'static>,
    event: &'static str,
    /// In whose calls, each once and the first few of them.
    by: Vec<Who>,
    without_topic: Counts,
    by_topic: HashMap<String, Counts>,
    /// On topics past the first [`TOPICS`], which may be names that never come again.
    on_others: Counts,
}

/// How many topics a thread tells apart at a place.
const TOPICS: usize = 32;

/// How many listeners it tells apart that emit there.
const CALLERS: usize = 32;

/// How many events were emitted, and how many of these nobody heard.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) emitted: u64,
    pub(crate) unheard: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.emitted += other.emitted;
        self.unheard += other.unheard;
    }
}

/// An emission that has ended.
pub(crate) struct Emission<'a> {
    pub(crate) home: u32,
    pub(crate) event: &'static str,
    pub(crate) topic: Option<&'a str>,
    pub(crate) emitted_at: &'static Location<'static>,
    /// In whose call, if it was in one.
    pub(crate) by: Option<Who>,
    pub(crate) is_deferred: bool,
    pub(crate) is_unheard: bool,
}

/// What all threads emitted at one place, of one type, on one topic. Ordered by the event, then the place, then the topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) event: &'static str,
    pub(crate) home: u32,
    pub(crate) emitted_at: &'static Location<'static>,
    pub(crate) is_deferred: bool,
    pub(crate) topic: Topic,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    None,
    Named(Arc<str>),
    Others,
}

/// How often that was, and in whose calls.
#[derive(Default)]
pub(crate) struct Uses {
    pub(crate) counts: Counts,
    pub(crate) by: BTreeSet<Who>,
}

impl Sites {
    pub(crate) fn new() -> Self {
        Self(Shards::new())
    }

    pub(crate) fn note(&self, emitted: &Emission<'_>) {
        let &Emission { home, event, topic, emitted_at, by, is_deferred, is_unheard } = emitted;
        let key = Key { place: std::ptr::from_ref(emitted_at).addr(), home, is_deferred };
        // No user code runs below this lock, and no other thread waits at it, but to read.
        let mut sites = self.0.mine().lock();
        let site = sites.entry(key).or_insert_with(|| Site {
            emitted_at,
            event,
            by: Vec::new(),
            without_topic: Counts::default(),
            by_topic: HashMap::new(),
            on_others: Counts::default(),
        });
        if let Some(caller) = by {
            site.add_caller(caller);
        }
        site.counts(topic).add(Counts { emitted: 1, unheard: u64::from(is_unheard) });
    }

    /// What was noted so far, in order.
    pub(crate) fn all(&self) -> BTreeMap<Line, Uses> {
        let mut lines = BTreeMap::<_, Uses>::new();
        for shard in self.0.all() {
            for (key, site) in &*shard.lock() {
                let mut add = |topic, counts: Counts| {
                    if counts.emitted > 0 {
                        let &Site { emitted_at, event, .. } = site;
                        let Key { home, is_deferred, .. } = *key;
                        let line = Line { event, home, emitted_at, is_deferred, topic };
                        let uses = lines.entry(line).or_default();
                        uses.counts.add(counts);
                        uses.by.extend(&site.by);
                    }
                };
                add(Topic::None, site.without_topic);
                site.by_topic.iter().for_each(|(topic, counts)| add(Topic::Named(topic.as_str().into()), *counts));
                add(Topic::Others, site.on_others);
            }
        }
        lines
    }
}

impl Site {
    fn add_caller(&mut self, caller: Who) {
        if self.by.len() < CALLERS && !self.by.contains(&caller) {
            self.by.push(caller);
        }
    }

    fn counts(&mut self, topic: Option<&str>) -> &mut Counts {
        let Some(topic) = topic else { return &mut self.without_topic };
        if self.by_topic.len() >= TOPICS && !self.by_topic.contains_key(topic) {
            return &mut self.on_others;
        }
        self.by_topic.entry_ref(topic).or_default()
    }
}
