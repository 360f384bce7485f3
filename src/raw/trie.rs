//! Patterns, and what is kept for each.

use std::hash::BuildHasher;

use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use crate::topic::{GLOB, Pattern, STAR};

/// From a pattern to a value, and from a topic to the values of all patterns that match it.
///
/// Patterns without a wildcard are found by their whole text; the others are paths in a trie. A node lives as long as a pattern
/// ends at it or beyond it.
pub(crate) struct Trie<V> {
    /// Its hasher is that of the edges' segments too.
    concrete: HashMap<Box<str>, V>,
    /// The first is the root.
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
    /// From a node by a literal segment to another.
    edges: HashTable<Edge>,
    /// Counts walks, for the nodes' `seen`.
    walks: u64,
}

struct Node<V> {
    value: Option<V>,
    star: Option<u32>,
    glob: Option<u32>,
    literals: u32,
    /// In which walk it was entered last. Of use for `**`, which can be entered in several ways.
    seen: u64,
}

struct Edge {
    /// Of its segment.
    hash: u64,
    from: u32,
    segment: Box<str>,
    to: u32,
}

const ROOT: u32 = 0;

/// The hash of an edge from this node by a segment of this hash. A segment is hashed once a walk, however many nodes it leads on from.
#[inline]
fn hash_of_edge(from: u32, segment: u64) -> u64 {
    // The segment's hash is seeded and uses all bits. An odd factor and a rotation spread the node's number over them too.
    (segment ^ u64::from(from)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26)
}

impl<V> Node<V> {
    fn new() -> Self {
        Self { value: None, star: None, glob: None, literals: 0, seen: 0 }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.star.is_none() && self.glob.is_none() && self.literals == 0
    }
}

impl<V> Trie<V> {
    pub(crate) fn new() -> Self {
        Self { concrete: HashMap::new(), nodes: Vec::new(), free: Vec::new(), edges: HashTable::new(), walks: 0 }
    }

    /// The pattern's value, if it has one.
    pub(crate) fn get_mut(&mut self, pattern: &Pattern) -> Option<&mut V> {
        if pattern.is_concrete() {
            return self.concrete.get_mut(pattern.as_str());
        }
        if self.nodes.is_empty() {
            return None;
        }
        let end = pattern.segments().try_fold(ROOT, |node, segment| self.child(node, segment))?;
        self.nodes[end as usize].value.as_mut()
    }

    /// The pattern's value, made if it has none.
    pub(crate) fn get_or_insert_with(&mut self, pattern: &Pattern, make: impl FnOnce() -> V) -> &mut V {
        if pattern.is_concrete() {
            return self.concrete.entry(pattern.as_str().into()).or_insert_with(make);
        }
        if self.nodes.is_empty() {
            self.nodes.push(Node::new());
        }
        let end = pattern.segments().fold(ROOT, |node, segment| self.child_or_new(node, segment));
        self.nodes[end as usize].value.get_or_insert_with(make)
    }

    /// Takes the pattern's value out, and the nodes that nobody needs any more.
    pub(crate) fn remove(&mut self, pattern: &Pattern) -> Option<V> {
        if pattern.is_concrete() {
            let removed = self.concrete.remove(pattern.as_str());
            if self.concrete.is_empty() {
                // With the same hasher: it is that of the edges too.
                self.concrete = HashMap::with_hasher(self.concrete.hasher().clone());
            }
            return removed;
        }
        if self.nodes.is_empty() {
            return None;
        }
        let mut path: SmallVec<[(u32, &str); 8]> = SmallVec::new();
        let mut end = ROOT;
        for segment in pattern.segments() {
            path.push((end, segment));
            end = self.child(end, segment)?;
        }
        let removed = self.nodes[end as usize].value.take();
        for (parent, segment) in path.into_iter().rev() {
            if !self.nodes[end as usize].is_empty() {
                break;
            }
            self.unlink(parent, segment, end);
            end = parent;
        }
        if self.nodes[ROOT as usize].is_empty() {
            (self.nodes, self.free, self.edges) = (Vec::new(), Vec::new(), HashTable::new());
        }
        removed
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    /// Visits the values of all patterns that match this topic, whose segments these are. Returns in how many steps.
    pub(crate) fn visit<'t>(
        &mut self,
        topic: &str,
        segments: impl Iterator<Item = &'t str>,
        mut visit: impl FnMut(&V),
    ) -> usize {
        if let Some(value) = self.concrete.get(topic) {
            visit(value);
        }
        if self.nodes.is_empty() {
            return 1;
        }
        self.walks += 1;
        let mut steps = 1;
        // Where the segments so far lead to: nodes that one more segment leaves, the last so many of those entered, and `**` nodes, which
        // stay for good. A node is entered once a segment at most, because one way leads to it from its only parent; a `**` node once a walk.
        let (mut entered, mut globs) = (SmallVec::<[u32; 32]>::new(), SmallVec::<[u32; 8]>::new());
        let mut here = 0;
        self.enter(ROOT, &mut entered, &mut globs);
        for segment in segments {
            let hash = self.concrete.hasher().hash_one(segment);
            let (leaving, staying) = (entered.len(), globs.len());
            for at in here..leaving + staying {
                let node = if at < leaving { entered[at] } else { globs[at - leaving] };
                steps += 1;
                let has_literals = self.nodes[node as usize].literals != 0;
                let literal = if has_literals { self.literal(node, segment, hash) } else { None };
                for child in [literal, self.nodes[node as usize].star].into_iter().flatten() {
                    self.enter(child, &mut entered, &mut globs);
                }
            }
            here = leaving;
        }
        for &node in entered[here..].iter().chain(&globs) {
            if let Some(value) = &self.nodes[node as usize].value {
                visit(value);
            }
        }
        steps
    }

    /// Enters a node, and with it the `**` behind it, which may match nothing.
    fn enter(&mut self, node: u32, entered: &mut SmallVec<[u32; 32]>, globs: &mut SmallVec<[u32; 8]>) {
        entered.push(node);
        let mut glob = self.nodes[node as usize].glob;
        while let Some(node) = glob {
            let walks = self.walks;
            let node_ref = &mut self.nodes[node as usize];
            if std::mem::replace(&mut node_ref.seen, walks) == walks {
                break;
            }
            globs.push(node);
            glob = node_ref.glob;
        }
    }

    fn child(&self, node: u32, segment: &str) -> Option<u32> {
        match segment {
            STAR => self.nodes[node as usize].star,
            GLOB => self.nodes[node as usize].glob,
            literal => self.literal(node, literal, self.concrete.hasher().hash_one(literal)),
        }
    }

    #[inline]
    fn literal(&self, from: u32, segment: &str, hash: u64) -> Option<u32> {
        let is_it = |edge: &Edge| edge.hash == hash && edge.from == from && &*edge.segment == segment;
        self.edges.find(hash_of_edge(from, hash), is_it).map(|edge| edge.to)
    }

    fn child_or_new(&mut self, node: u32, segment: &str) -> u32 {
        if let Some(child) = self.child(node, segment) {
            return child;
        }
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::new());
            u32::try_from(self.nodes.len() - 1).unwrap_or_else(|_| unreachable!("memory ends before"))
        });
        match segment {
            STAR => self.nodes[node as usize].star = Some(child),
            GLOB => self.nodes[node as usize].glob = Some(child),
            literal => {
                self.nodes[node as usize].literals += 1;
                let hash = |edge: &Edge| hash_of_edge(edge.from, edge.hash);
                let edge = Edge {
                    hash: self.concrete.hasher().hash_one(literal),
                    from: node,
                    segment: literal.into(),
                    to: child,
                };
                self.edges.insert_unique(hash(&edge), edge, hash);
            }
        }
        child
    }

    fn unlink(&mut self, parent: u32, segment: &str, child: u32) {
        match segment {
            STAR => self.nodes[parent as usize].star = None,
            GLOB => self.nodes[parent as usize].glob = None,
            literal => {
                self.nodes[parent as usize].literals -= 1;
                let hash = hash_of_edge(parent, self.concrete.hasher().hash_one(literal));
                if let Ok(edge) = self.edges.find_entry(hash, |edge| edge.to == child) {
                    edge.remove();
                }
            }
        }
        self.free.push(child);
    }

    /// How many patterns without wildcard, and how many nodes for the others, there are.
    #[cfg(test)]
    fn size(&self) -> (usize, usize) {
        (self.concrete.len(), self.nodes.len() - self.free.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topic::Topic;

    /// The rule, and nothing else.
    fn naive(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            ([GLOB, rest @ ..], _) => naive(rest, topic) || matches!(topic, [_, more @ ..] if naive(pattern, more)),
            ([STAR, rest @ ..], [_, more @ ..]) => naive(rest, more),
            ([literal, rest @ ..], [segment, more @ ..]) => literal == segment && naive(rest, more),
            _ => false,
        }
    }

    fn split(text: &str) -> Vec<&str> {
        text.split('.').collect()
    }

    fn found(trie: &mut Trie<String>, topic: &str) -> (Vec<String>, usize) {
        let mut found = Vec::new();
        let steps = trie.visit(topic, topic.split('.'), |value| found.push(value.clone()));
        found.sort();
        (found, steps)
    }

    fn segments(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(of), 1..=most).prop_map(|segments| segments.join("."))
    }

    proptest! {
        #[test]
        fn a_trie_finds_what_the_rule_matches(
            mut patterns in prop::collection::vec(segments(&["a", "b", "*", "**"], 7), 1..40),
            topics in prop::collection::vec(segments(&["a", "b", "c"], 8), 1..20),
        ) {
            patterns.sort();
            patterns.dedup();
            let mut trie = Trie::new();
            let parsed: Vec<_> = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
            for pattern in &parsed {
                trie.get_or_insert_with(pattern, || pattern.to_string());
            }
            for topic in &topics {
                let matching = |pattern: &&String| naive(&split(pattern), &split(topic));
                let wanted: Vec<_> = patterns.iter().filter(matching).cloned().collect();
                prop_assert_eq!(found(&mut trie, topic).0, wanted, "on {}", topic);
                for (pattern, text) in parsed.iter().zip(&patterns) {
                    let wanted = naive(&split(text), &split(topic));
                    prop_assert_eq!(pattern.matches(&Topic::parse(topic).unwrap()), wanted, "{} on {}", text, topic);
                }
            }
            for pattern in &parsed {
                prop_assert_eq!(trie.get_mut(pattern).map(|value| value.clone()), Some(pattern.to_string()));
                prop_assert_eq!(trie.remove(pattern), Some(pattern.to_string()));
                prop_assert_eq!(trie.remove(pattern), None);
            }
            prop_assert!(trie.concrete.is_empty() && trie.nodes.is_empty() && trie.edges.is_empty());
        }
    }

    #[test]
    fn the_rule_as_the_books_say_it() {
        for (pattern, topics, others) in [
            ("order.**", &["order", "order.a", "order.a.b"][..], &["orders", "a.order"][..]),
            ("**.b", &["b", "a.b", "a.b.b"], &["a", "b.a"]),
            ("a.**.b", &["a.b", "a.x.b", "a.x.b.b", "a.b.b"], &["a", "b", "a.b.c"]),
            ("**.**", &["a", "a.b", "a.b.c"], &[]),
            ("*.*", &["a.b"], &["a", "a.b.c"]),
            ("**", &["a", "a.b"], &[]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            let mut trie = Trie::new();
            trie.get_or_insert_with(&parsed, || pattern.to_owned());
            for (topics, wanted) in [(topics, true), (others, false)] {
                for topic in topics {
                    assert_eq!(parsed.matches(&Topic::parse(topic).unwrap()), wanted, "{pattern} on {topic}");
                    assert_eq!(found(&mut trie, topic).0.len(), usize::from(wanted), "{pattern} on {topic}");
                }
            }
        }
    }

    #[test]
    fn a_pattern_without_wildcard_takes_no_node() {
        let mut trie = Trie::new();
        trie.get_or_insert_with(&Pattern::parse("a.b").unwrap(), || ());
        assert_eq!(trie.size(), (1, 0));
        trie.get_or_insert_with(&Pattern::parse("a.*").unwrap(), || ());
        assert_eq!(trie.size(), (1, 3));
    }

    #[test]
    fn many_wildcards_take_few_steps() {
        let mut trie = Trie::new();
        let patterns =
            ["**.a.**.a.**.a.**.a.**", "**.*.**.*.**.*.**.*.**", "**.a.**.*.**.a.**.*.**.b", "**.**.**.**.**"];
        for pattern in patterns {
            trie.get_or_insert_with(&Pattern::parse(pattern).unwrap(), || pattern.to_owned());
        }
        let (_, nodes) = trie.size();
        let topic = ["a"; 32].join(".");
        let (matching, steps) = found(&mut trie, &topic);
        assert_eq!(matching.len(), 3);
        assert!(steps > 32 && steps <= 32 * nodes, "{steps} steps for {nodes} nodes");
    }
}
