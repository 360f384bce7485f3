//! A topology as a graph, in two languages.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Group, Topology, WITHOUT_METRICS, is_narrowed_to};
use crate::info::{Place, Who};
use crate::registry::{FIRST_TYPE, UNHEARD};

impl Topology {
    /// A flowchart for [Mermaid](https://mermaid.js.org), which many sites draw where Markdown has a block in `mermaid`.
    ///
    /// From top to bottom: places that emit, the events (with their topics), the listeners, and the places that emitted in their calls. What
    /// nobody heard and who was never called is drawn dashed, and says so.
    pub fn to_mermaid(&self) -> String {
        let mut text = "flowchart TB\n".to_owned();
        let graph = Graph::of(self);
        if !self.has_metrics {
            line(&mut text, format_args!("%% {WITHOUT_METRICS}"));
        }
        for (kind, number, node) in graph.nodes() {
            let (open, close) = match kind {
                Kind::Place => ("[", "]"),
                Kind::Event => ("([", "])"),
                Kind::Listener => ("(", ")"),
            };
            let label: Vec<_> = node.lines.iter().map(|line| escape_for_mermaid(line)).collect();
            let class = node.mark.map_or("", |mark| match mark {
                Mark::Unheard => ":::unheard",
                Mark::Idle => ":::idle",
            });
            line(&mut text, format_args!("{}{open}\"{}\"{close}{class}", kind.id(number), label.join("<br/>")));
        }
        for Edge { from, to, label, is_dashed } in &graph.edges {
            let arrow = if *is_dashed { "-.->" } else { "-->" };
            let label = if label.is_empty() { String::new() } else { format!("|\"{}\"|", escape_for_mermaid(label)) };
            line(&mut text, format_args!("{from} {arrow}{label} {to}"));
        }
        line(&mut text, format_args!("classDef unheard stroke:red,stroke-width:2px,stroke-dasharray:6 3"));
        line(&mut text, format_args!("classDef idle stroke:gray,color:gray,stroke-dasharray:2 3"));
        text
    }

    /// A graph for [Graphviz](https://graphviz.org): `dot -Tsvg` draws it. It shows what [`to_mermaid`](Self::to_mermaid) shows.
    pub fn to_dot(&self) -> String {
        let mut text = "digraph bus {\n".to_owned();
        let graph = Graph::of(self);
        if !self.has_metrics {
            line(&mut text, format_args!("// {WITHOUT_METRICS}"));
        }
        line(&mut text, format_args!("node [fontname=\"Helvetica\"];"));
        line(&mut text, format_args!("edge [fontname=\"Helvetica\"];"));
        for (kind, number, node) in graph.nodes() {
            let (shape, style) = match kind {
                Kind::Place => ("box", "solid"),
                Kind::Event => ("ellipse", "solid"),
                Kind::Listener => ("box", "rounded"),
            };
            let mark = match node.mark {
                None => "",
                Some(Mark::Unheard) => ",dashed\", color=red, penwidth=\"2",
                Some(Mark::Idle) => ",dashed\", color=gray, fontcolor=\"gray",
            };
            let label: Vec<_> = node.lines.iter().map(|line| escape_for_dot(line)).collect();
            let label = label.join("\\n");
            let id = kind.id(number);
            line(&mut text, format_args!("{id} [label=\"{label}\", shape={shape}, style=\"{style}{mark}\"];"));
        }
        for Edge { from, to, label, is_dashed } in &graph.edges {
            let style = if *is_dashed { "dashed" } else { "solid" };
            line(&mut text, format_args!("{from} -> {to} [label=\"{}\", style={style}];", escape_for_dot(label)));
        }
        text.push_str("}\n");
        text
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "    {line}");
}

/// For a label in quotes: what would end it, or be read as HTML, as Markdown, or as something of Mermaid's own.
fn escape_for_mermaid(text: &str) -> String {
    let text = without_controls(text);
    let mut escaped = String::with_capacity(text.len());
    let mut is_in_word = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_plain = match c {
            '"' | '<' | '>' | '&' | '#' | '\\' | '`' | '*' | '~' | '%' | '[' | '$' => false,
            '_' => is_in_word && rest.peek().is_some_and(|next| next.is_alphanumeric()),
            _ => true,
        };
        if is_plain {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "#{};", u32::from(c));
        }
        if c == '\\' && rest.peek() == Some(&'n') {
            // With nothing between them, Mermaid breaks the line there; this joins and takes no room.
            escaped.push_str("#8288;");
        }
        is_in_word = c.is_alphanumeric();
    }
    // Mermaid looks for these words with a colon and a `#` behind them, wherever they stand, and takes a `;` away.
    escaped.replace("style", "#115;tyle").replace("classDef", "#99;lassDef")
}

/// For a label in quotes, where Graphviz has escapes of its own and reads entities of HTML.
fn escape_for_dot(text: &str) -> String {
    without_controls(text).replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

fn without_controls(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
    text.chars().map(escape).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Place,
    Event,
    Listener,
}

impl Kind {
    fn id(self, number: usize) -> String {
        let letter = match self {
            Self::Place => 'p',
            Self::Event => 'e',
            Self::Listener => 'l',
        };
        format!("{letter}{number}")
    }
}

#[derive(Clone, Copy)]
enum Mark {
    /// An event that nobody heard, at least once.
    Unheard,
    /// A listener that was never called, an event that was never emitted.
    Idle,
}

struct Node {
    lines: Vec<String>,
    mark: Option<Mark>,
}

struct Edge {
    from: String,
    to: String,
    label: String,
    is_dashed: bool,
}

struct Graph {
    places: Vec<Node>,
    events: Vec<Node>,
    listeners: Vec<Node>,
    edges: Vec<Edge>,
}

/// An event on a topic, or on none; or what listeners listen for, if nobody emitted it.
struct Event {
    home: u32,
    name: &'static str,
    topic: Option<String>,
    emitted: u64,
    unheard: u64,
    /// How often its listeners were called.
    calls: u64,
}

impl Graph {
    fn of(topology: &Topology) -> Self {
        let mut graph = Self { places: Vec::new(), events: Vec::new(), listeners: Vec::new(), edges: Vec::new() };
        let mut events = Vec::new();
        let callers = graph.add_sites(topology, &mut events);
        graph.add_listeners(topology, &mut events, &callers);
        for unheard in positions(&events, |event| event.home == UNHEARD) {
            let strays = positions(&events, |event| event.unheard > 0);
            graph.edges.extend(strays.map(|stray| Edge {
                from: Kind::Event.id(stray),
                to: Kind::Event.id(unheard),
                label: String::new(),
                is_dashed: true,
            }));
        }
        graph.events.extend(events.iter().map(|event| event.node(topology.has_metrics)));
        graph
    }

    /// Also in whose calls there is emitted at which place.
    fn add_sites(&mut self, topology: &Topology, events: &mut Vec<Event>) -> BTreeSet<(Who, usize)> {
        let mut places = Vec::new();
        let mut callers = BTreeSet::new();
        for site in &topology.sites {
            let place = Place(site.emitted_at).to_string();
            let from = places.iter().position(|known| *known == place).unwrap_or_else(|| {
                places.push(place.clone());
                self.places.push(Node { lines: vec![place], mark: None });
                places.len() - 1
            });
            callers.extend(site.by.iter().map(|&who| (who, from)));
            let to = Event::find_or_add(events, site.home, site.event, site.topic.as_deref());
            events[to].emitted += site.emitted;
            events[to].unheard += site.unheard;
            self.edges.push(Edge {
                from: Kind::Place.id(from),
                to: Kind::Event.id(to),
                label: format!("{}{}", if site.is_deferred { "deferred " } else { "" }, site.emitted),
                is_dashed: false,
            });
        }
        callers
    }

    fn add_listeners(&mut self, topology: &Topology, events: &mut Vec<Event>, callers: &BTreeSet<(Who, usize)>) {
        let topics: Vec<_> = events.iter().map(|event| topology.topic(event.topic.as_deref())).collect();
        for group in topology.groups() {
            let to = Kind::Listener.id(self.listeners.len());
            let is_heard =
                |at: usize| events[at].home == group.home() && is_narrowed_to(group.first, topics[at].as_ref());
            let mut heard: Vec<_> = (0..topics.len()).filter(|&at| is_heard(at)).collect();
            if heard.is_empty() {
                heard.push(Event::find_or_add(events, group.home(), group.first.event, group.topics().as_deref()));
            }
            for event in heard {
                events[event].calls += group.calls;
                let (from, is_dashed) = (Kind::Event.id(event), group.home() == UNHEARD);
                self.edges.push(Edge { from, to: to.clone(), label: String::new(), is_dashed });
            }
            let own = callers.iter().filter(|(who, _)| *who == group.who());
            self.edges.extend(own.map(|&(_, place)| Edge {
                from: to.clone(),
                to: Kind::Place.id(place),
                label: String::new(),
                is_dashed: false,
            }));
            self.listeners.push(group.node(topology.has_metrics));
        }
    }

    fn nodes(&self) -> impl Iterator<Item = (Kind, usize, &Node)> {
        let kinds = [(Kind::Place, &self.places), (Kind::Event, &self.events), (Kind::Listener, &self.listeners)];
        kinds
            .into_iter()
            .flat_map(|(kind, nodes)| nodes.iter().enumerate().map(move |(number, node)| (kind, number, node)))
    }
}

fn positions(events: &[Event], is_it: impl Fn(&Event) -> bool) -> impl Iterator<Item = usize> {
    (0..events.len()).filter(move |&at| is_it(&events[at]))
}

impl Event {
    fn find_or_add(events: &mut Vec<Self>, home: u32, name: &'static str, topic: Option<&str>) -> usize {
        let known = positions(events, |known| known.home == home && known.topic.as_deref() == topic).next();
        known.unwrap_or_else(|| {
            let topic = topic.map(str::to_owned);
            events.push(Self { home, name, topic, emitted: 0, unheard: 0, calls: 0 });
            events.len() - 1
        })
    }

    fn node(&self, has_metrics: bool) -> Node {
        let mut lines = vec![self.name.to_owned()];
        lines.extend(self.topic.as_ref().map(|topic| format!("@ {topic}")));
        let (remark, mark) = match (self.emitted, self.unheard) {
            (0, _) if has_metrics && self.home >= FIRST_TYPE && self.calls == 0 => {
                (Some("never emitted".to_owned()), Some(Mark::Idle))
            }
            (_, 0) => (None, None),
            (emitted, unheard) if emitted == unheard => (Some("heard by nobody".to_owned()), Some(Mark::Unheard)),
            (emitted, unheard) => (Some(format!("{unheard} of {emitted} heard by nobody")), Some(Mark::Unheard)),
        };
        lines.extend(remark);
        Node { lines, mark }
    }
}

impl Group<'_> {
    fn node(&self, has_metrics: bool) -> Node {
        let mut lines: Vec<_> = self.first.name.map(|name| format!("{name:?}")).into_iter().collect();
        lines.push(self.place());
        if has_metrics && self.calls > 0 {
            let failed = if self.failures > 0 { format!(", {} failed", self.failures) } else { String::new() };
            lines.push(format!("{} {}{failed}", self.calls, if self.calls == 1 { "call" } else { "calls" }));
        }
        let remark = self.remark();
        lines.extend((!remark.is_empty()).then_some(remark));
        Node { lines, mark: (self.idle == self.listeners).then_some(Mark::Idle) }
    }
}
