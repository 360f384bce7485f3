//! Who hears an event on a topic. hearken calls them; the others find them and call nobody.

use divan::black_box;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use hearken::Emitter;
use mqtt_topic_engine::{CacheStrategy, QoS, TopicPath, TopicPatternPath, TopicRouter};

use crate::Plan;
use crate::harness::{HEARKEN, Who, case};
use crate::lookups::{PlainTrie, WholeNames};
use crate::measure::{all_in_turns, rounds};
use crate::plan::NewTopics;
use crate::sync::{PLACED, Placed, bytes, listener};

/// What can be compared: something that can be told of an event on a topic.
pub(crate) trait Contender {
    fn new(plan: &Plan) -> Self
    where
        Self: Sized;
    /// How many listeners hear it.
    fn tell(&mut self, topic: &str) -> usize;
}

const NAMES: Who = Who::new("floor: a map of whole names", "knows no patterns; calls nobody");
const TRIE: Who = Who::new("floor: a plain trie", "`**` only at the end; calls nobody");
const MQTT: Who = Who::new("mqtt-topic-engine", "`#` only at the end; no order; calls nobody");
const GLOBS: Who = Who::new("globset", "patterns can't come or go; calls nobody");

struct Hearken(Emitter);

impl Contender for Hearken {
    fn new(plan: &Plan) -> Self {
        let bus = Emitter::builder().leak_warning(0).build(hearken::panic);
        for (number, pattern) in (0..).zip(&plan.patterns) {
            let listener = listener(number);
            bus.topics(pattern).on(move |placed: &Placed| listener(placed)).detach();
        }
        Self(bus)
    }

    fn tell(&mut self, topic: &str) -> usize {
        self.0.topic(topic).emit(&PLACED).heard
    }
}

/// Its topics are separated by slashes; whoever asks has them so.
struct Mqtt(TopicRouter<u32>);

fn with_slashes(topic: &str) -> String {
    topic.replace('.', "/")
}

impl Contender for Mqtt {
    fn new(plan: &Plan) -> Self {
        let mut router = TopicRouter::new();
        for (listener, pattern) in (0..).zip(&plan.patterns) {
            let pattern = with_slashes(pattern).replace("**", "#").replace('*', "+");
            let pattern = TopicPatternPath::new_from_string(pattern, CacheStrategy::NoCache).expect("it is a pattern");
            router.add_subscription(pattern, QoS::AtMostOnce, listener);
        }
        Self(router)
    }

    fn tell(&mut self, topic: &str) -> usize {
        black_box(self.0.get_subscribers(&TopicPath::new(topic).expect("it is a topic"))).len()
    }
}

struct Globs {
    set: GlobSet,
    found: Vec<usize>,
}

impl Contender for Globs {
    fn new(plan: &Plan) -> Self {
        let mut set = GlobSetBuilder::new();
        for pattern in &plan.patterns {
            let glob = GlobBuilder::new(&with_slashes(pattern)).literal_separator(true).build();
            set.add(glob.expect("it is a glob"));
        }
        Self { set: set.build().expect("they are globs"), found: Vec::new() }
    }

    fn tell(&mut self, topic: &str) -> usize {
        self.set.matches_into(topic, &mut self.found);
        black_box(&self.found).len()
    }
}

/// Who is measured, what is told, and whether its topics have slashes.
type Entrant = (Who, Box<dyn Contender>, bool);

fn entrants(plan: &Plan) -> [Entrant; 4] {
    [
        (TRIE, Box::new(PlainTrie::new(plan)), false),
        (HEARKEN, Box::new(Hearken::new(plan)), false),
        (MQTT, Box::new(Mqtt::new(plan)), true),
        (GLOBS, Box::new(Globs::new(plan)), true),
    ]
}

const PATTERNS: [usize; 2] = [1_000, 10_000];

pub(crate) fn repeated() {
    for patterns in PATTERNS {
        let plan = Plan::with_patterns(patterns);
        let mut entrants = Vec::from(entrants(&plan));
        entrants.insert(0, (NAMES, Box::new(WholeNames::new(&plan)), false));
        among(patterns, entrants, &plan.repeated);
    }
}

pub(crate) fn new() {
    /// More than a cache keeps, so that when they come again, they are new again.
    const NEW: usize = 200_000;

    for patterns in PATTERNS {
        let topics = NewTopics::new();
        let topics: Vec<_> = (0..NEW).map(|_| topics.next()).collect();
        among(patterns, entrants(&Plan::with_patterns(patterns)).into(), &topics);
    }
}

fn among(patterns: usize, mut entrants: Vec<Entrant>, topics: &[String]) {
    let slashed: Vec<_> = topics.iter().map(|topic| with_slashes(topic)).collect();
    for (topic, slashed) in topics.iter().zip(&slashed).take(1_000) {
        let heard: Vec<_> =
            entrants.iter_mut().map(|(_, entrant, slash)| entrant.tell(if *slash { slashed } else { topic })).collect();
        assert!(heard.iter().all(|count| *count == heard[0]), "they don't agree on {topic}: {heard:?}");
    }
    let who: Vec<_> = entrants.iter().map(|(who, ..)| *who).collect();
    let mut tells: Vec<_> = entrants
        .iter_mut()
        .map(|(_, entrant, slash)| {
            let mut topics = if *slash { &slashed } else { topics }.iter().cycle();
            move |calls: u32| (0..calls).for_each(|_| _ = entrant.tell(black_box(topics.next().expect("there is one"))))
        })
        .collect();
    let rounds = rounds(|| all_in_turns(&mut tells.iter_mut().map(|tell| tell as _).collect::<Vec<_>>()));
    case(&format!("{patterns} patterns"), "ns", &who, rounds);
}

/// Bytes of each listener on a topic of its own, and of each on a pattern of its own.
pub(crate) fn heap() {
    let is_pattern = |pattern: &String| pattern.contains('*');
    let (patterns, topics): (Vec<_>, Vec<_>) = Plan::with_patterns(10_000).patterns.into_iter().partition(is_pattern);
    for (name, patterns) in [("one on a topic", topics), ("one on a pattern", patterns)] {
        let plan = Plan { patterns, repeated: Vec::new() };
        let hearken = heap_of::<Hearken>(&plan) - size_of_val(&listener(0)) as f64;
        let figures = vec![heap_of::<PlainTrie>(&plan), hearken, heap_of::<Mqtt>(&plan), heap_of::<Globs>(&plan)];
        case(name, "bytes", &[TRIE, HEARKEN, MQTT, GLOBS], [figures]);
    }
}

fn heap_of<C: Contender>(plan: &Plan) -> f64 {
    let mut contender = None;
    let all = bytes(|| _ = contender.insert(C::new(plan)).tell("plant00"));
    all / plan.patterns.len() as f64
}
