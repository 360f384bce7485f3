//! Who tells whom what: a bus as it is used.

mod graph;
mod table;

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::handle::Emitter;
use crate::info::{ListenerInfo, Place, Who};
use crate::registry::{ANY, UNHEARD};
use crate::topic::{Pattern, Topic};
use crate::watch::sites::{self, Sites};

/// What a bus was used for so far: which places in the source emit what, on which topic and how often, and which listeners hear it.
///
/// From [`Emitter::topology`]. It is for the questions that an event-driven program raises: where does this event come from, who heard it, who
/// didn't? Its [`Display`](fmt::Display) is a table that ends with what nobody heard and who was never called; [`to_mermaid`](Self::to_mermaid)
/// and [`to_dot`](Self::to_dot) draw it.
///
/// ```
/// struct Placed;
/// struct Paid;
///
/// let bus = hearken::Emitter::builder().metrics(true).build(hearken::log);
/// let _billing = bus.listen::<Placed>().named("billing").on_with(|_, cx| { cx.emitter().emit(&Paid); });
/// bus.emit(&Placed);
///
/// let topology = bus.topology();
/// println!("{topology}");
/// let [paid, placed] = topology.sites() else { unreachable!("two places emit") };
/// assert_eq!((placed.emitted, placed.unheard, topology.heard_by(placed).count()), (1, 0, 1));
/// assert_eq!((paid.emitted, paid.unheard, topology.heard_by(paid).count()), (1, 1, 0));
/// ```
///
/// # What is in it
///
/// Everything since the bus was built, as far as it is known when it is asked: a value, which stays as it is. Deferred events count when they are
/// delivered, with the place that deferred them; what was refused, lost or cancelled, or went too deep, doesn't count. Failures are the bus's own
/// events: their listeners are there, places that emit them aren't.
///
/// Who hears an event is who listens now for its type and topic, whatever the filters say and who is paused. Who left isn't there, though the event
/// was heard.
///
/// # Metrics
///
/// Places and figures are there with [`Builder::metrics`](crate::Builder::metrics). Without, there are the listeners and their events alone.
///
/// # Topics
///
/// A place may emit on names that never come again, such as ones with an order's number. A thread tells the first 32 topics at a place apart; all
/// further ones are counted together, as [`EmitSite::OTHER_TOPICS`].
#[derive(Clone)]
pub struct Topology {
    sites: Vec<EmitSite>,
    listeners: Vec<ListenerInfo>,
    separator: char,
    has_metrics: bool,
}

/// A place in the source that emits events of one type, on one topic or on none: a line of a [`Topology`].
#[derive(Clone)]
#[non_exhaustive]
pub struct EmitSite {
    /// The type of the events, as [`std::any::type_name`] spells it.
    pub event: &'static str,
    /// The topic that they were emitted on, if it was one; [`OTHER_TOPICS`](Self::OTHER_TOPICS) for all past the first few.
    pub topic: Option<Arc<str>>,
    /// The place.
    pub emitted_at: &'static Location<'static>,
    /// Whether it defers them, by itself or with a timer.
    pub is_deferred: bool,
    /// How many there were.
    pub emitted: u64,
    /// How many of these nobody heard: whose [`Emission`](crate::Emission) counted no listener, now or deferred.
    pub unheard: u64,
    /// The number of the type's channel.
    home: u32,
    /// In whose calls.
    by: Vec<Who>,
}

impl EmitSite {
    /// What stands for the topics that are not told apart. No topic has this name, for it has a space in it.
    pub const OTHER_TOPICS: &'static str = "(other topics)";

    fn new(line: sites::Line, uses: sites::Uses) -> Self {
        let sites::Line { event, home, emitted_at, is_deferred, topic } = line;
        let topic = match topic {
            sites::Topic::None => None,
            sites::Topic::Named(name) => Some(name),
            sites::Topic::Others => Some(Self::OTHER_TOPICS.into()),
        };
        let sites::Uses { counts: sites::Counts { emitted, unheard }, by } = uses;
        Self { event, topic, emitted_at, is_deferred, emitted, unheard, home, by: by.into_iter().collect() }
    }
}

impl Topology {
    pub(crate) fn of<E: Send + Sync + 'static>(emitter: &Emitter<E>) -> Self {
        let bus = emitter.bus();
        let sites = bus.watch.as_ref().and_then(|watch| watch.sites.as_ref());
        Self {
            listeners: emitter.listeners(),
            separator: bus.registry.separator,
            has_metrics: sites.is_some(),
            sites: sites.into_iter().flat_map(Sites::all).map(|(line, uses)| EmitSite::new(line, uses)).collect(),
        }
    }

    /// The places that emitted something, by the event, the place and the topic; none without [`Builder::metrics`](crate::Builder::metrics).
    pub fn sites(&self) -> &[EmitSite] {
        &self.sites
    }

    /// Who listens: what [`Emitter::listeners`] gives.
    pub fn listeners(&self) -> &[ListenerInfo] {
        &self.listeners
    }

    /// Who listens for what this place emits, in order: listeners of its type and of every type, narrowed to topics that match or to none; and, if
    /// some of it was unheard, who listens for that.
    ///
    /// Whether an event on one of the [other topics](EmitSite::OTHER_TOPICS) matches isn't known: who is narrowed is not among them.
    pub fn heard_by<'a>(&'a self, site: &'a EmitSite) -> impl Iterator<Item = &'a ListenerInfo> {
        let topic = self.topic(site.topic.as_deref());
        self.listeners.iter().filter(move |listener| match listener.id.home() {
            UNHEARD => site.unheard > 0,
            home => (home == ANY || home == site.home) && is_narrowed_to(listener, topic.as_ref()),
        })
    }

    fn topic(&self, name: Option<&str>) -> Option<Topic> {
        Topic::parse_with(name?, self.separator).ok()
    }

    /// The listeners, those that were added alike together.
    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut known = HashMap::new();
        for listener in &self.listeners {
            let ListenerInfo { id, topics, priority, name, registered_at, .. } = listener;
            let at = *known.entry((id.home(), topics, priority, name, registered_at)).or_insert(groups.len());
            if at == groups.len() {
                groups.push(Group::of(listener));
            }
            groups[at].add(listener);
        }
        groups
    }
}

/// Whether a listener of the event's type hears it on this topic, or on none.
fn is_narrowed_to(listener: &ListenerInfo, topic: Option<&Topic>) -> bool {
    let topics = &listener.topics;
    topics.is_empty() || topic.is_some_and(|topic| topics.iter().any(|pattern| pattern.matches(topic)))
}

/// Listeners that were added by one place, for the same events: to people, one.
struct Group<'a> {
    first: &'a ListenerInfo,
    listeners: usize,
    paused: usize,
    /// How many were never called, as far as that is known.
    idle: usize,
    calls: u64,
    failures: u64,
    time: Duration,
    retries: u64,
    dead_letters: u64,
}

impl<'a> Group<'a> {
    fn of(first: &'a ListenerInfo) -> Self {
        Self {
            first,
            listeners: 0,
            paused: 0,
            idle: 0,
            calls: 0,
            failures: 0,
            time: Duration::ZERO,
            retries: 0,
            dead_letters: 0,
        }
    }

    fn add(&mut self, listener: &ListenerInfo) {
        self.listeners += 1;
        self.paused += usize::from(listener.is_paused);
        self.idle += usize::from(listener.calls == Some(0));
        self.calls += listener.calls.unwrap_or(0);
        self.failures += listener.failures.unwrap_or(0);
        self.time = self.time.saturating_add(listener.time.unwrap_or(Duration::ZERO));
        self.retries += listener.retries.unwrap_or(0);
        self.dead_letters += listener.dead_letters.unwrap_or(0);
    }

    fn home(&self) -> u32 {
        self.first.id.home()
    }

    fn who(&self) -> Who {
        Who { name: self.first.name, registered_at: self.first.registered_at }
    }

    /// `"billing" (src/billing.rs:42)`.
    fn title(&self) -> String {
        let place = self.place();
        self.first.name.map_or_else(|| place.clone(), |name| format!("{name:?} ({place})"))
    }

    /// `src/billing.rs:42`, and how many it added.
    fn place(&self) -> String {
        let (place, listeners) = (Place(self.first.registered_at), self.listeners);
        if listeners == 1 { place.to_string() } else { format!("{place}, {listeners} listeners") }
    }

    /// The patterns it is narrowed to.
    fn topics(&self) -> Option<String> {
        let topics: Vec<_> = self.first.topics.iter().map(Pattern::as_str).collect();
        (!topics.is_empty()).then(|| topics.join(", "))
    }

    /// What is to be noticed about it.
    fn remark(&self) -> String {
        let some = |part: usize, what: &str| match part {
            0 => None,
            all if all == self.listeners => Some(what.to_owned()),
            part => Some(format!("{part} {what}")),
        };
        let retried = (self.retries > 0).then(|| format!("retried {}", self.retries));
        let dead = match self.dead_letters {
            0 => None,
            1 => Some("1 dead letter".to_owned()),
            letters => Some(format!("{letters} dead letters")),
        };
        [some(self.idle, "never called"), some(self.paused, "paused"), retried, dead]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("sites", &self.sites)
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EmitSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmitSite")
            .field("event", &self.event)
            .field("topic", &self.topic)
            .field("emitted_at", &format_args!("{}", Place(self.emitted_at)))
            .field("is_deferred", &self.is_deferred)
            .field("emitted", &self.emitted)
            .field("unheard", &self.unheard)
            .finish_non_exhaustive()
    }
}

/// Said where there are no places.
const WITHOUT_METRICS: &str = "who emits what is not known: the bus was built without `Builder::metrics`";
