//! What hearken's topics are measured against: the least that finding a topic's listeners costs. They find them and call nobody.

use divan::black_box;
use hashbrown::HashMap; // with hearken's hash, so that what is compared is how often it is taken, and of what

use crate::{Contender, Plan};

/// A listener's number.
type Listener = u32;

/// From each repeated topic, whole, to who hears it. It knows no other topics, and no pattern can come or go.
pub(crate) struct WholeNames(HashMap<String, Vec<Listener>>);

impl Contender for WholeNames {
    fn new(plan: &Plan) -> Self {
        let mut trie = PlainTrie::new(plan);
        Self(plan.repeated.iter().map(|topic| (topic.clone(), trie.find(topic).to_vec())).collect())
    }

    #[inline]
    fn tell(&mut self, topic: &str) -> usize {
        black_box(self.0.get(topic)).map_or(0, Vec::len)
    }
}

/// Patterns by their segments, which are numbers here: interned. It knows `*`, and `**` at the end.
pub(crate) struct PlainTrie {
    segments: HashMap<String, u32>,
    /// The first is the root.
    nodes: Vec<Node>,
    children: HashMap<(u32, u32), u32>,
    /// Used again and again, so that finding allocates nothing.
    path: Vec<Option<u32>>,
    found: Vec<Listener>,
}

#[derive(Default)]
struct Node {
    star: Option<u32>,
    /// Who hears what ends here, and what begins here.
    here: Vec<Listener>,
    below: Vec<Listener>,
}

impl PlainTrie {
    fn insert(&mut self, pattern: &str, listener: Listener) {
        let mut node = 0;
        for segment in pattern.split('.') {
            node = match segment {
                "**" => return self.nodes[node as usize].below.push(listener),
                "*" => {
                    let star = self.nodes[node as usize].star.unwrap_or_else(|| new_node(&mut self.nodes));
                    self.nodes[node as usize].star = Some(star);
                    star
                }
                _ => {
                    let next = number(self.segments.len());
                    let segment = *self.segments.entry_ref(segment).or_insert(next);
                    *self.children.entry((node, segment)).or_insert_with(|| new_node(&mut self.nodes))
                }
            };
        }
        self.nodes[node as usize].here.push(listener);
    }

    #[inline]
    fn find(&mut self, topic: &str) -> &[Listener] {
        self.path.clear();
        self.path.extend(topic.split('.').map(|segment| self.segments.get(segment).copied()));
        self.found.clear();
        walk(&self.nodes, &self.children, 0, &self.path, &mut self.found);
        &self.found
    }
}

fn walk(
    nodes: &[Node],
    children: &HashMap<(u32, u32), u32>,
    node: u32,
    path: &[Option<u32>],
    found: &mut Vec<Listener>,
) {
    let here = &nodes[node as usize];
    found.extend_from_slice(&here.below);
    let Some((segment, rest)) = path.split_first() else { return found.extend_from_slice(&here.here) };
    let literal = segment.and_then(|segment| children.get(&(node, segment)).copied());
    for child in [literal, here.star].into_iter().flatten() {
        walk(nodes, children, child, rest, found);
    }
}

fn new_node(nodes: &mut Vec<Node>) -> u32 {
    nodes.push(Node::default());
    number(nodes.len() - 1)
}

fn number(count: usize) -> u32 {
    count.try_into().expect("a benchmark is small")
}

impl Contender for PlainTrie {
    fn new(plan: &Plan) -> Self {
        let mut trie = Self {
            segments: HashMap::new(),
            nodes: vec![Node::default()],
            children: HashMap::new(),
            path: Vec::new(),
            found: Vec::new(),
        };
        (0..).zip(&plan.patterns).for_each(|(listener, pattern)| trie.insert(pattern, listener));
        trie
    }

    #[inline]
    fn tell(&mut self, topic: &str) -> usize {
        black_box(self.find(topic)).len()
    }
}
