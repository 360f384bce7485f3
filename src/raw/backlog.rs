//! Events that wait, in the order they came.

use std::collections::VecDeque;
use std::panic::Location;

use super::frame::Chain;

/// First in, first out, over events of all types: each type's events wait in a lane of their own, side by side, and a list of runs
/// says whose turn it is. Neither a box for an event nor, once it is warm, any other allocation.
pub(crate) struct Backlog<L: ?Sized> {
    runs: VecDeque<Run>,
    lanes: Vec<Option<Box<L>>>,
    /// The topics of the runs, one after the other.
    text: String,
    /// How many bytes of text there were before those.
    gone: usize,
    len: usize,
}

/// Events of one lane that came one after the other, from one place.
struct Run {
    lane: u32,
    len: u32,
    from: From,
    topic: Option<Span>,
}

/// Where an event comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct From {
    pub(crate) emitted_at: &'static Location<'static>,
    pub(crate) chain: Chain,
}

/// A part of the text, and its hash in the registry.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    len: usize,
    hash: u64,
}

/// A topic, and its hash.
pub(crate) type Topic<'a> = Option<(&'a str, u64)>;

impl<L: ?Sized> Backlog<L> {
    pub(crate) const fn new() -> Self {
        Self { runs: VecDeque::new(), lanes: Vec::new(), text: String::new(), gone: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Notes one more event, and hands out its lane for it to be put there.
    #[inline]
    pub(crate) fn push(&mut self, lane: u32, from: From, topic: Topic<'_>, make: impl FnOnce() -> Box<L>) -> &mut L {
        self.len += 1;
        match self.runs.back_mut() {
            Some(run)
                if run.lane == lane
                    && run.from == from
                    && is_same(&self.text, self.gone, run.topic, topic)
                    && run.len < u32::MAX =>
            {
                run.len += 1;
            }
            _ => self.begin_run(lane, from, topic),
        }
        let lane = lane as usize;
        if lane >= self.lanes.len() {
            self.lanes.resize_with(lane + 1, || None);
        }
        self.lanes[lane].get_or_insert_with(make)
    }

    fn begin_run(&mut self, lane: u32, from: From, topic: Topic<'_>) {
        let topic = topic.map(|(topic, hash)| {
            let start = self.gone + self.text.len();
            self.text.push_str(topic);
            Span { start, len: topic.len(), hash }
        });
        self.runs.push_back(Run { lane, len: 1, from, topic });
    }

    /// The lane of the events that go next, and their run.
    #[inline]
    pub(crate) fn front(&mut self) -> Option<(&mut L, Front<'_>)> {
        let Self { runs, lanes, text, gone, len } = self;
        let run = runs.front_mut()?;
        let lane = lanes.get_mut(run.lane as usize)?.as_deref_mut()?;
        let topic = run.topic.map(|span| (&text[span.start - *gone..][..span.len], span.hash));
        Some((lane, Front { from: run.from, topic, left: &mut run.len, all: len }))
    }

    /// Forgets a run that has come to its end; the texts, when there is none left.
    pub(crate) fn tidy(&mut self) {
        while self.runs.front().is_some_and(|run| run.len == 0) {
            self.runs.pop_front();
        }
        if self.runs.is_empty() {
            self.text.clear();
            self.gone = 0;
        }
    }

    /// Moves all of another's events behind its own. `join` moves those of a lane.
    pub(crate) fn append(&mut self, other: &mut Self, mut join: impl FnMut(&mut L, &mut L)) {
        if self.len == 0 {
            std::mem::swap(self, other);
            return;
        }
        // What was delivered of the texts goes first, when it is the larger part: they don't pile up, and no byte moves often.
        let begins = self.runs.iter().find_map(|run| run.topic).map_or(self.gone + self.text.len(), |span| span.start);
        if (begins - self.gone) * 2 > self.text.len() {
            self.text.drain(..begins - self.gone);
            self.gone = begins;
        }
        let shift = |span: Span| Span { start: span.start - other.gone + self.gone + self.text.len(), ..span };
        self.runs.extend(other.runs.drain(..).map(|run| Run { topic: run.topic.map(shift), ..run }));
        self.text.push_str(&other.text);
        self.len += other.len;
        (other.len, other.gone) = (0, 0);
        other.text.clear();
        if self.lanes.len() < other.lanes.len() {
            self.lanes.resize_with(other.lanes.len(), || None);
        }
        for (own, others) in self.lanes.iter_mut().zip(&mut other.lanes) {
            match (own.as_deref_mut(), others) {
                (Some(own), Some(others)) => join(own, others),
                (None, others) => *own = others.take(),
                _ => {}
            }
        }
    }
}

fn is_same(text: &str, gone: usize, span: Option<Span>, topic: Topic<'_>) -> bool {
    match (span, topic) {
        (None, None) => true,
        (Some(span), Some((topic, hash))) => span.hash == hash && &text[span.start - gone..][..span.len] == topic,
        _ => false,
    }
}

/// The run of the events that go next.
pub(crate) struct Front<'a> {
    pub(crate) from: From,
    pub(crate) topic: Topic<'a>,
    left: &'a mut u32,
    all: &'a mut usize,
}

impl Front<'_> {
    /// Counts one event that was taken out of the lane. Whether the next one is of this run too.
    #[inline]
    pub(crate) fn took(&mut self) -> bool {
        *self.left -= 1;
        *self.all -= 1;
        *self.left > 0
    }
}
