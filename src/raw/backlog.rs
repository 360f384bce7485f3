//! Events that wait, in the order they came.

use std::collections::VecDeque;

use crate::chain::From;

/// First in, first out, over events of all types: each type's events wait in a lane of their own, side by side, and a list of runs
/// says whose turn it is. Neither a box for an event nor, once it is warm, any other allocation.
#[repr(C)] // first what every event needs
pub(crate) struct Backlog<L: ?Sized> {
    len: usize,
    runs: VecDeque<Run>,
    lanes: Vec<Option<Box<L>>>,
    /// The topics of the runs, one after the other.
    text: String,
    /// How many bytes of text there were before those.
    gone: usize,
}

/// Events of one lane that came one after the other, from one place.
struct Run {
    lane: u32,
    len: u32,
    from: From,
    topic: Option<Span>,
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

/// What an event that is to wait has in common with others.
#[derive(Clone, Copy)]
pub(crate) struct Label<'a> {
    pub(crate) from: &'a From,
    pub(crate) topic: Topic<'a>,
}

impl<L: ?Sized> Backlog<L> {
    pub(crate) const fn new() -> Self {
        Self { runs: VecDeque::new(), lanes: Vec::new(), text: String::new(), gone: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Notes one more event, and hands out its lane for it to be put there.
    #[inline]
    pub(crate) fn push(&mut self, lane: u32, label: Label<'_>, make: impl FnOnce() -> Box<L>) -> &mut L {
        self.len += 1;
        match self.runs.back_mut() {
            Some(run)
                if run.lane == lane
                    && run.from.is(label.from)
                    && is_same(&self.text, self.gone, run.topic, label.topic)
                    && run.len < u32::MAX =>
            {
                run.len += 1;
            }
            _ => self.begin_run(lane, label),
        }
        let lane = lane as usize;
        if lane >= self.lanes.len() {
            self.add_lanes(lane + 1);
        }
        self.lanes[lane].get_or_insert_with(make)
    }

    #[cold]
    fn add_lanes(&mut self, len: usize) {
        self.lanes.resize_with(len, || None);
    }

    // Apart, so that an event that continues a run needs few registers.
    #[inline(never)]
    fn begin_run(&mut self, lane: u32, label: Label<'_>) {
        let topic = label.topic.map(|(topic, hash)| {
            let start = self.gone + self.text.len();
            self.text.push_str(topic);
            Span { start, len: topic.len(), hash }
        });
        self.runs.push_back(Run { lane, len: 1, from: *label.from, topic });
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

#[inline]
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
    /// Counts one event that was taken out of the lane.
    #[inline]
    pub(crate) fn took(&mut self) {
        *self.left -= 1;
        *self.all -= 1;
    }

    /// Whether the next event is of this run too.
    #[inline]
    pub(crate) fn goes_on(&self) -> bool {
        *self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use proptest::prelude::*;

    use super::*;
    use crate::chain::Chain;

    type Lane = VecDeque<u32>;

    fn from(chain: bool) -> From {
        let id = chain.then(crate::id::EmissionId::next);
        From { emitted_at: Location::caller(), chain: Chain { id, cause: None, origin: None } }
    }

    /// The number, lane and topic of the event that goes next, taken out.
    fn pop(backlog: &mut Backlog<Lane>) -> Option<(u32, Option<String>)> {
        let (lane, mut front) = backlog.front()?;
        let popped = (lane.pop_front().unwrap(), front.topic.map(|(text, _)| text.to_owned()));
        front.took();
        backlog.tidy();
        Some(popped)
    }

    const TOPICS: [Topic<'_>; 3] = [None, Some(("a.b", 1)), Some(("a.b.c", 1))];

    proptest! {
        #[test]
        fn what_came_first_goes_first_with_its_topic_whatever_its_lane(
            steps in prop::collection::vec((0..3_u32, 0..3_usize, any::<bool>(), 0..12_u8), 1..400),
        ) {
            let (mut incoming, mut outgoing) = (Backlog::<Lane>::new(), Backlog::<Lane>::new());
            let mut model = [VecDeque::new(), VecDeque::new()];
            for (number, (lane, topic, chain, what)) in (0_u32..).zip(steps) {
                match what {
                    0..7 => {
                        incoming.push(lane, Label { from: &from(chain), topic: TOPICS[topic] }, Box::default).push_back(number);
                        model[1].push_back((number, TOPICS[topic].map(|(text, _)| text.to_owned())));
                    }
                    7..11 => prop_assert_eq!(pop(&mut outgoing), model[0].pop_front()),
                    _ => {
                        outgoing.append(&mut incoming, Lane::append);
                        let [old, new] = &mut model;
                        old.append(new);
                    }
                }
                prop_assert_eq!((outgoing.len(), incoming.len()), (model[0].len(), model[1].len()));
            }
            for (backlog, model) in [outgoing, incoming].iter_mut().zip(&mut model) {
                while let Some(event) = pop(backlog) {
                    prop_assert_eq!(Some(event), model.pop_front());
                }
                prop_assert!(model.is_empty() && backlog.runs.is_empty() && backlog.text.is_empty());
            }
        }
    }

    #[test]
    fn events_from_one_place_on_one_topic_share_a_run() {
        let mut backlog = Backlog::<Lane>::new();
        let (here, there) = (from(false), from(true));
        for (lane, from, topic, runs) in [
            (0, here, 0, 1),
            (0, here, 0, 1),
            (1, here, 0, 2),
            (1, there, 0, 3),
            (1, there, 1, 4),
            (1, there, 1, 4),
            (1, there, 2, 5),
        ] {
            backlog.push(lane, Label { from: &from, topic: TOPICS[topic] }, Box::default);
            assert_eq!(backlog.runs.len(), runs);
        }
    }

    #[test]
    fn texts_of_what_was_delivered_do_not_pile_up() {
        let (mut incoming, mut outgoing) = (Backlog::<Lane>::new(), Backlog::<Lane>::new());
        for number in 0..1_000 {
            incoming.push(0, Label { from: &from(true), topic: TOPICS[1] }, Box::default).push_back(number);
            incoming.push(0, Label { from: &from(true), topic: TOPICS[2] }, Box::default).push_back(number);
            outgoing.append(&mut incoming, Lane::append);
            if number > 0 {
                pop(&mut outgoing);
                pop(&mut outgoing);
            }
            assert!(outgoing.len() == 2 && outgoing.text.len() < 40, "{}", outgoing.text);
        }
    }
}
